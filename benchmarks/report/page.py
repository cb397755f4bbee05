"""Write `docs/results.md`: the report's results beside ours, and the effect of leakage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report import family_page
from benchmarks.report.measure import Result
from benchmarks.report.names import NAMES
from genre import figures
from genre.core.files import write_text
from genre.core.markdown import table as markdown

# The student report, "Music Genre Classification" (2023): validation accuracy on segments of songs
# that are also in training, and 100 songs by other artists, ten random 3 s samples each.
REPORT = {"mlp": 0.84, "resnet": 0.70, "cnn": 0.42}
NEW_SONGS = {"accuracy": 80.23, "precision": 79.96, "recall": 80.02, "F1": 79.99}

PROTOCOLS = {
    "segment": "**segment**: leaky, for comparison only: 3 s pieces of one song in every subset, "
    "as in the report",
    "song": "**song**: all pieces of a song in one subset; so are all songs of an artist, in "
    "genres with at least three artists",
    "artist": "**artist**: all songs of an artist in one subset, in every genre. If all genres "
    "have three artists this is the same split as song; otherwise genres with fewer are left out "
    "of both",
}


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write the page and its figures into `folder`."""
    parts = [
        "# Results",
        "*Written by `.venv/bin/python -m benchmarks.report`. All figures are measured, except the "
        "student report's.*",
        "The accuracy of a model depends on the split: it is much higher if pieces of one song, or "
        "songs of one artist, are in several subsets. Every table names its protocol:",
        "\n".join(f"- {words}" for words in PROTOCOLS.values()),
    ]
    for title, found in results.items():
        parts += collection(folder, title, found)
    parts += [
        "## The report's songs by other artists",
        "The report tested 100 songs by artists that were not in training, ten random 3 s samples "
        "each: " + ", ".join(f"{name} {value} %" for name, value in NEW_SONGS.items()) + ". Those "
        "songs are not public, so its figure cannot be measured again; the same protocol runs here "
        "on any folder of new songs (`evaluate.new_songs` in `params.yaml`).",
    ]
    write_text(folder / "results.md", "\n\n".join(parts) + "\n")


def collection(folder: Path, title: str, found: dict[str, Any]) -> Iterable[str]:
    """The section of one collection."""
    kind = "synthetic demo songs" if found["synthetic"] else "songs"
    genres = ", ".join(f"{genre} {count}" for genre, count in found["songs"].items())
    yield f"## {title}"
    yield f"{sum(found['songs'].values())} {kind}: {genres}."
    if found["synthetic"]:
        yield "They are made by arithmetic: these figures say nothing about real music."
    if "results" not in found:
        yield from family_page.section(found["families"])
        return
    table = as_table(found["results"])
    yield "Accuracy of **3 s segments**, as the report counts, on validation:"
    yield versus_report(table)
    yield "Accuracy of **whole songs**, with its 95 % interval, on validation and on test:"
    yield by_protocol(table)
    yield "The effect of leakage, in points of segment accuracy on validation:"
    yield gaps(table)
    name = f"leakage_{title}.png"
    figures.save(figure(table, title, synthetic=found["synthetic"]), folder / "figures" / name)
    yield f"![Accuracy of each model under each protocol](figures/{name})"
    for model in dict.fromkeys(one["model"] for one in found["results"]):
        name = curves_file(title, model)
        if (folder / name).is_file():
            yield f"![Loss and accuracy of {model} by epoch]({name})"
    if "families" in found:
        yield from family_page.section(found["families"])


def curves_file(title: str, model: str) -> str:
    """Return the path of the training curves of a model, below the page's folder."""
    return f"figures/curves_{title}_{model}.png"


def draw_curves(folder: Path, title: str, found: Result, *, synthetic: bool) -> None:
    """Draw loss and accuracy by epoch of a model with epochs, for the protocol song."""
    if not found.curves or found.protocol != "song" or found.without:
        return
    heading = f"Training of {found.model} on {title}, by segment"
    picture = figures.curves_figure(
        pd.DataFrame(found.curves),
        figures.heading(heading, found.protocol, demo=synthetic),
        best_epoch=found.best_epoch,
    )
    figures.save(picture, folder / curves_file(title, found.model))


def as_table(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return a table with a row per model, protocol, subset and level."""
    rows = [
        {
            "protocol": one["protocol"] + (" *" if one["without"] else ""),
            "without": ", ".join(one["without"]),
            "model": one["model"],
            "seconds": one["seconds"],
            "subset": subset,
            "level": level,
            "accuracy": values["accuracy"],
            "low": values["ci95"][0],
            "high": values["ci95"][1],
        }
        for one in results
        for subset, levels in one["scores"].items()
        for level, values in levels.items()
    ]
    return pd.DataFrame(rows)


def versus_report(table: pd.DataFrame) -> str:
    """Table of the report's validation accuracy beside ours, by protocol."""
    rows = table[(table["subset"] == "validation") & (table["level"] == "segment")]
    protocols = list(dict.fromkeys(rows["protocol"]))
    lines = []
    for model in dict.fromkeys(rows["model"]):
        said = f"{100 * REPORT[model]:.0f} %" if model in REPORT else "–"
        cells = [cell(rows, model, protocol) for protocol in protocols]
        seconds = rows.loc[(rows["model"] == model) & (rows["protocol"] == "song"), "seconds"]
        lines.append([NAMES[model], said, *cells, f"{seconds.iloc[0]:.0f}"])
    header = ["model", "report (segment)", *protocols, "seconds to train (song)"]
    return markdown(header, lines) + starred(table)


def by_protocol(table: pd.DataFrame) -> str:
    """Table of song-level accuracy by model, protocol and subset."""
    rows = table[table["level"] == "song"]
    keys = [(p, s) for p in dict.fromkeys(rows["protocol"]) for s in ("validation", "test")]
    lines = [
        [
            NAMES[model],
            *(cell(rows[rows["subset"] == s], model, p, interval=True) for p, s in keys),
        ]
        for model in dict.fromkeys(rows["model"])
    ]
    return markdown(["model", *(f"{p}, {s}" for p, s in keys)], lines) + starred(table)


def gaps(table: pd.DataFrame) -> str:
    """Table of differences in accuracy between protocols, in percentage points."""
    rows = table[(table["subset"] == "validation") & (table["level"] == "segment")]
    wide = rows.pivot(index="model", columns="protocol", values="accuracy")
    pairs = [("segment", "song")]
    pairs += [("song *", "artist *")] if "artist *" in wide else [("song", "artist")]
    pairs = [pair for pair in pairs if set(pair) <= set(wide)]
    points = {(a, b): 100 * (wide[a] - wide[b]) for a, b in pairs}
    lines = [
        [NAMES[model], *(f"{points[pair][model]:+.1f}" for pair in pairs)]
        for model in dict.fromkeys(rows["model"])
    ]
    return markdown(["model", *(f"{a} − {b}" for a, b in pairs)], lines)


def figure(table: pd.DataFrame, title: str, *, synthetic: bool) -> Any:
    """Draw accuracy by model and protocol as bars, with the report's results."""
    rows = table[(table["subset"] == "validation") & (table["level"] == "segment")]
    rows = rows[~rows["protocol"].str.endswith("*")]
    words = f"{title}: accuracy of validation segments" + (", synthetic" if synthetic else "")
    said = {NAMES[model]: value for model, value in REPORT.items()}
    return figures.protocols_figure(
        rows.assign(model=rows["model"].map(NAMES)), said, f"{words}\nprotocols side by side"
    )


def cell(rows: pd.DataFrame, model: str, protocol: str, *, interval: bool = False) -> str:
    """Format an accuracy: `71.4 %`, optionally with its interval."""
    found = rows[(rows["model"] == model) & (rows["protocol"] == protocol)]
    if found.empty:
        return "–"
    row = found.iloc[0]
    text = f"{100 * row['accuracy']:.1f} %"
    return f"{text} ({100 * row['low']:.0f}–{100 * row['high']:.0f})" if interval else text


def starred(table: pd.DataFrame) -> str:
    """Explain the star of a protocol, if there is one."""
    left_out = next(iter(table.loc[table["without"] != "", "without"]), "")
    if not left_out:
        return ""
    return f"\n\n\\* without {left_out}, which have too few artists for the protocol artist."
