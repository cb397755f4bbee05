"""Rates of drift alerts with and without drift, on synthetic draws.

Songs are drawn from a table of song-level features (`--table`, CSV or Parquet; its numeric columns
except `--without`), or from a normal distribution with a few common factors. Shifts are in standard
deviations of a column. `python -m benchmarks.drift` prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from genre.core.markdown import table
from genre.core.params import DriftParams, load_params
from genre.drift.measures import index_by_chance, share
from genre.drift.reference import Reference, make
from genre.drift.report import compare

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
FACTORS, COLUMNS = 6, 57
TRAINING = 700  # songs
HELD_OUT = 300
SONGS = (50, 100, 200, 500)
SHIFTS = ((0.25, 1.0), (0.5, 1.0), (1.0, 1.0), (1.0, 0.2), (2.0, 0.05))
LOOKS = 10  # comparisons of a growing folder, in equal steps


def factors() -> Draw:
    """Draw columns that share a few factors, of either sign."""
    loads = np.random.default_rng(0).normal(size=(FACTORS, COLUMNS))

    def draw(random: np.random.Generator, songs: int) -> Floats:
        common = random.normal(size=(songs, FACTORS)) @ loads / np.sqrt(FACTORS)
        return np.asarray((common + random.normal(size=common.shape)) / np.sqrt(2))

    return draw


def resampled(path: Path, without: list[str]) -> Draw:
    """Draw songs of a table with noise of a tenth of a standard deviation."""
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    values = table.select_dtypes("number").drop(columns=without, errors="ignore")
    values = values.loc[:, values.nunique() > 2]
    known = ((values - values.mean()) / values.std()).to_numpy(np.float64)

    def draw(random: np.random.Generator, songs: int) -> Floats:
        rows = known[random.integers(len(known), size=songs)]
        return np.asarray(rows + 0.1 * random.normal(size=rows.shape))

    return draw


def reference_of(draw: Draw, random: np.random.Generator) -> Reference:
    """Return the reference of a version."""
    table = pd.DataFrame(draw(random, TRAINING)).add_prefix("c")
    return make(table, {"all": TRAINING}, random.beta(6, 2, size=HELD_OUT), "middle")


def songs_of(
    draw: Draw, random: np.random.Generator, songs: int, shift: float = 0.0, part: float = 0.0
) -> pd.DataFrame:
    """Draw new songs with a shift in a share `part` of the columns."""
    values = draw(random, songs)
    values[:, : round(part * values.shape[1])] += shift
    table = pd.DataFrame(values).add_prefix("c")
    table.insert(0, "confidence", random.beta(6, 2, size=songs))
    table.insert(0, "genre", "all")
    table.insert(0, "sha256", [f"{number:05}" for number in range(songs)])
    table.insert(0, "path", table["sha256"])
    return table


def rate(alarms: list[bool]) -> str:
    """Return the rate of alerts with its 95 % interval."""
    found = share(sum(alarms), len(alarms))
    return f"{100 * found.share:.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f})"


def measure(draw: Draw, settings: DriftParams, draws: int) -> None:
    """Print the tables."""
    rows: list[tuple[object, ...]] = []
    for songs in SONGS:
        alarm, column, looks = [], [], []
        for number in range(draws):
            random = np.random.default_rng([songs, number])
            reference = reference_of(draw, random)
            new = songs_of(draw, random, songs)
            found = compare(reference, new, settings)
            alarm.append(bool(found.alerts))
            column.append(bool(found.drifted))
            if number < draws // 4:
                steps = np.linspace(songs / LOOKS, songs, LOOKS).astype(int)
                each = (compare(reference, new[:step], settings) for step in steps)
                looks.append(any(one.alerts for one in each))
        chance = index_by_chance((TRAINING // 10,) * 10, songs)
        rows.append((songs, f"{chance:.2f}", rate(alarm), rate(column), rate(looks)))
    heading = ["songs", "PSI by chance", "alarm", "any column", "looks at a growing folder"]
    print(table(heading, rows, left=0), end="\n\n", flush=True)
    rows = []
    for shift, part in SHIFTS:
        cells = []
        for songs in SONGS:
            alarms = []
            for number in range(draws // 4):
                random = np.random.default_rng([songs, number, 1])
                reference = reference_of(draw, random)
                new = songs_of(draw, random, songs, shift, part)
                alarms.append(bool(compare(reference, new, settings).alerts))
            cells.append(f"{100 * np.mean(alarms):.0f} %")
        rows.append((f"{shift:g}", f"{part:.0%}", *cells))
    print(table(["shift, deviations", "of columns", *map(str, SONGS)], rows, left=0))


def main() -> None:
    """Run as `python -m benchmarks.drift`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift")
    parser.add_argument("--table", type=Path, help="song-level features, CSV or Parquet")
    parser.add_argument("--without", nargs="*", default=["length"], help="columns to leave out")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    draw = resampled(options.table, options.without) if options.table else factors()
    measure(draw, load_params().drift, options.draws)


if __name__ == "__main__":
    main()
