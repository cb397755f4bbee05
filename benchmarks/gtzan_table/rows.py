"""The public feature table of GTZAN, or any with its columns, as rows to learn from and to score.

Columns: `filename`, `label` and the 57 of `genre.features.NAMES`; others (`length`) are not looked
at. Songs of 30 s are named like `blues.00012.wav`, 3 s segments of one like `blues.00012.3.wav`:
they are recognised by name and stay together.

Who belongs with whom: a column `group` names recordings of one origin, a column `artist` artists;
songs that share either are never parted in folds. Where neither is there and the table says which
side each song is on, neighbours by file number stand in for an artist, as GTZAN is sorted by artist
within much of each genre: songs of one side whose numbers lie in the same stretch of `NEIGHBOURS`
at most. Of the 215 clips of GTZAN's fault-filtered split whose artist was at hand, stretches of 15
keep 93 % of the pairs by one artist together, of 10 only 81 %; three in four pairs in a
stretch are by one artist.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.errors import InputError
from genre.features import NAMES
from genre.models.data import FeatureData
from genre.splits import EXCLUDED, SUBSETS, TEST, TRAIN, VALIDATION, split
from genre.splits.groups import COPIES, components, links
from genre.splits.predefined import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

NEIGHBOURS = 15  # file numbers
SEGMENT = re.compile(r"(?P<song>.+\.\d+)\.(?P<segment>\d+)")  # a stem such as blues.00012.3
NUMBERED = re.compile(r"(?P<series>.*?)(?P<number>\d+)")
SIDE = "side"
ALL_WORDS = WORDS | {EXCLUDED: EXCLUDED}
NAMED = 5  # examples in a message


@dataclass(frozen=True)
class Rows:
    """Rows that are learned from and chosen by, and those that are scored at the end alone.

    `fitting` has the sides train and validation, `test` the side test, or is null where there are
    no such rows. `artist_leak` names the genres in which an artist may be on two sides.
    """

    fitting: FeatureData
    test: FeatureData | None
    artist_leak: list[str]
    warnings: list[str]


def read(path: str | Path) -> pd.DataFrame:
    """The table at `path`: `track_id, segment, genre, artist, duplicate_group`, and its columns.

    Raises `InputError` where it cannot be read, lacks columns (which are named), has no row, a row
    without a label, or a file twice.
    """
    import pandas as pd

    path = Path(path)
    try:
        table = pd.read_csv(path, dtype={"filename": str, "label": str})
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table") from error
    except (OSError, ValueError) as error:  # pandas' errors of parsing are ValueErrors
        raise InputError(f"{path}: cannot be read as a CSV table: {error}") from error
    if missing := [name for name in ("filename", *NAMES, "label") if name not in table]:
        raise InputError(
            f"{path}: {len(missing)} columns are missing: {', '.join(missing)}; expected those of "
            "the public GTZAN table"
        )
    if table.empty:
        raise InputError(f"{path}: has no row")
    for column in ("filename", "label"):
        if (blank := table[column].isna()).any():
            raise InputError(f"{path}: row {int(blank.to_numpy().argmax()) + 2} has no {column}")
    stems = table["filename"].str.replace(r"\.[A-Za-z]\w*$", "", regex=True)
    parts = [SEGMENT.fullmatch(stem) for stem in stems]
    songs = [found["song"] if found else stem for found, stem in zip(parts, stems, strict=True)]
    rows = table.assign(
        track_id=songs,
        segment=np.array([int(found["segment"]) if found else 0 for found in parts]),
        genre=table["label"],
        artist=_text(table, "artist"),
        **{COPIES: _text(table, "group")},
    )
    if (twice := rows.duplicated(["track_id", "segment"])).any():
        raise InputError(f"{path}: listed twice: {_few(rows.loc[twice, 'filename'])}")
    _agree(rows, "label", str(path))
    return rows


def predefined(rows: pd.DataFrame, column: str, shares: Mapping[str, float], near: int) -> Rows:
    """The sides that `column` says; test rows are kept apart before anything else is done.

    Words are those of the protocol `predefined`, and `excluded`. Neighbours within `near` numbers
    stand in for unknown artists; 0: none do. Songs whose `group` is also on a side that judges them
    are left out, as the protocol does it. Raises `InputError` for an unknown word, a song on two
    sides, no valid row, a genre that train or validation lacks, and features that are not finite.
    """
    if column not in rows:
        close = difflib.get_close_matches(column, [str(name) for name in rows], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"the table has no column {column!r} that says the sides{hint}")
    words = rows[column].astype("object").where(rows[column].notna(), "")
    words = words.map(lambda word: str(word).strip().casefold())
    if unknown := sorted(set(words) - set(ALL_WORDS)):
        raise InputError(
            f"column {column!r} says {', '.join(map(repr, unknown[:NAMED]))} ("
            f"{_few(rows.loc[words == unknown[0], 'filename'])}); expected train, valid, test, "
            "excluded or nothing"
        )
    rows = rows.assign(**{SIDE: words.map(ALL_WORDS)})
    rows = rows[rows[SIDE] != EXCLUDED]
    _agree(rows, SIDE, f"column {column!r}")
    for side, word in ((TRAIN, "train"), (VALIDATION, "valid")):
        if not (rows[SIDE] == side).any():
            raise InputError(f"column {column!r} has no row that says {word}; it needs both")
    learned = set(rows.loc[rows[SIDE] == TRAIN, "genre"])
    if strange := sorted(set(rows["genre"]) - learned):
        raise InputError(f"no train row of {', '.join(strange)}, which other rows are of")
    rows = tie_neighbours(_finite(rows), near)
    fitting, test = rows[rows[SIDE] != TEST], rows[rows[SIDE] == TEST]
    fitting = fitting[~fitting[COPIES].isin(set(test[COPIES].dropna()))]
    made = split(catalogue(fitting), protocol="predefined", shares=shares, seed=0, column=SIDE)
    return Rows(
        data(fitting, made.table["subset"].set_axis(made.table["track_id"]), _together(fitting)),
        data(test, test[SIDE].set_axis(test["track_id"]), _together(test)) if len(test) else None,
        made.artist_leak,
        # Test rows were not among what was split.
        [words for words in made.warnings if not words.startswith("no test songs")],
    )


def drawn(rows: pd.DataFrame, shares: Mapping[str, float], near: int, seed: int) -> Rows:
    """The protocol `song`, drawn with `seed`; neighbours stand in for artists as in `predefined`.

    Raises `InputError` where a genre has too few songs, and for features that are not finite.
    """
    rows = tie_neighbours(_finite(rows.assign(**{SIDE: ""})), near)
    made = split(catalogue(rows), protocol="song", shares=shares, seed=seed)
    table = made.table.set_index("track_id")
    sides = table["subset"]
    is_test = rows["track_id"].map(sides) == TEST
    fitting, test = rows[~is_test], rows[is_test]
    return Rows(
        data(fitting, sides, table["group"]),
        data(test, sides, table["group"]) if len(test) else None,
        made.artist_leak,
        made.warnings,
    )


def tie_neighbours(rows: pd.DataFrame, near: int) -> pd.DataFrame:
    """`rows` with an artist made of the file numbers where none is known; `near` 0 changes nothing.

    A stretch begins at the first number of a series of names, where the side changes, and `near`
    numbers after its beginning. A name that does not end in a number is nobody's neighbour.
    """
    nameless = rows[rows["artist"].isna()].drop_duplicates("track_id")
    sides = dict(zip(nameless["track_id"], nameless[SIDE], strict=True))
    found = [(NUMBERED.fullmatch(song), song) for song in nameless["track_id"] if near]
    order = sorted((match["series"], int(match["number"]), song) for match, song in found if match)
    stretches: dict[str, str] = {}
    before, start = None, 0
    for series, number, song in order:
        if (series, sides[song]) != before or number - start >= near:
            before, start = (series, sides[song]), number
        stretches[song] = f"{series}{start} and neighbours on {sides[song]}"
    pairs = zip(rows["track_id"], rows["artist"], strict=True)
    return rows.assign(artist=np.array([stretches.get(*pair) for pair in pairs], dtype=object))


def catalogue(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a song, as `genre.splits` reads it."""
    songs = rows.drop_duplicates("track_id").reset_index(drop=True)
    columns = ["track_id", "genre", "artist", COPIES, SIDE]
    return songs[columns].assign(path=songs["filename"], status="ok", duplicate_of=None)


def data(rows: pd.DataFrame, sides: pd.Series, groups: pd.Series) -> FeatureData:
    """What models learn from; `sides` and `groups` are indexed by song."""
    keys = rows[["track_id", "segment", "genre"]].assign(
        group=rows["track_id"].map(groups[~groups.index.duplicated()]),
        subset=rows["track_id"].map(sides[~sides.index.duplicated()]),
    )
    kept = keys["subset"].isin(SUBSETS)
    return FeatureData(keys[kept], rows.loc[kept, list(NAMES)])


def _text(table: pd.DataFrame, column: str) -> npt.NDArray[Any]:
    """`column` as text, null where it is empty or missing."""
    values = table.get(column, [None] * len(table))
    return np.array([str(v) if v == v and v is not None else None for v in values], dtype=object)


def _together(rows: pd.DataFrame) -> pd.Series:
    """The first song of those that each song belongs with, on whatever side, indexed by song."""
    songs = links(catalogue(rows))
    return (
        songs.groupby(components(songs))["track_id"].transform("first").set_axis(songs["track_id"])
    )


def _finite(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with features in float64; raises `InputError` for what is no finite number."""
    import pandas as pd

    names = list(NAMES)
    numbers = rows[names].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    bad = ~np.isfinite(numbers.to_numpy())
    if bad.any():
        files = rows.loc[bad.any(axis=1), "filename"]
        columns = [name for name, is_bad in zip(names, bad.any(axis=0), strict=True) if is_bad]
        raise InputError(
            f"values that are not finite numbers in {_few(columns)}, of {_few(files)}; compute "
            "them again, or mark these rows excluded"
        )
    rows = rows.copy()
    rows[names] = numbers
    return rows


def _agree(rows: pd.DataFrame, column: str, where: str) -> None:
    """Raise `InputError` for a song whose segments differ in `column`."""
    kinds = rows.groupby("track_id")[column].nunique()
    if torn := kinds.index[kinds > 1].tolist():
        raise InputError(f"{where}: segments of one song have more than one {column}: {_few(torn)}")


def _few(names: object) -> str:
    listed = [str(name) for name in names]  # type: ignore[attr-defined]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
