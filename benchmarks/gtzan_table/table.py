"""Read a feature table with the columns of the public GTZAN table, split it, join tags.

Columns: `filename`, `label` and the 57 of `genre.features.report.NAMES`; `artist` and `group`
(copies of one recording) if they are there. Clips of 30 s are named like `blues.00012.wav`, 3 s
segments of one like `blues.00012.3.wav`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from genre.core.errors import InputError
from genre.core.params import Params
from genre.features.report import NAMES
from genre.models.data import FeatureData
from genre.splits import EXCLUDED, SUBSETS, TRAIN, Split, split
from genre.splits.groups import COPIES, components, grouping_table

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = re.compile(r"\.[A-Za-z]\w*$")
SEGMENT = re.compile(r"(?P<song>.+\.\d+)\.(?P<segment>\d+)")  # a stem such as blues.00012.3
NUMBERED = re.compile(r"(?P<series>.*?)(?P<number>\d+)")
# GTZAN is sorted by artist within much of each genre. Of the 215 clips of its fault-filtered split
# with a known artist, runs of 15 keep 93 % of the pairs by one artist together, of 10 only 81 %.
NEIGHBOURS = 15  # file numbers
TAGS = tuple(f"musicnn_tag{number:02d}" for number in range(50))
SMALLEST = 1e-6  # activations are clipped this far from 0 and 1
NOT_TAGS = (OSError, EOFError, ValueError, LookupError, TypeError, BadZipFile, zlib.error)
EXAMPLES = 5  # names in a message


def read(path: Path) -> pd.DataFrame:
    """Read the table at `path` and add `track_id, segment, genre, artist, duplicate_group`.

    Raises `InputError` if it cannot be read or lacks columns, and for a row without a label, a file
    listed twice, and segments of one song with two labels.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"filename": "str", "label": "str"})
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table") from error
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
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
    stems = [SUFFIX.sub("", name) for name in table["filename"]]
    parts = [SEGMENT.fullmatch(stem) for stem in stems]
    nobody = pd.Series(None, index=table.index, dtype="object")
    rows = table.assign(
        track_id=[part["song"] if part else stem for part, stem in zip(parts, stems, strict=True)],
        segment=[int(part["segment"]) if part else 0 for part in parts],
        genre=table["label"],
        artist=table.get("artist", nobody).astype("str"),
        **{COPIES: table.get("group", nobody).astype("str")},
    )
    if (twice := rows.duplicated(["track_id", "segment"])).any():
        raise InputError(f"{path}: listed twice: {few(rows.loc[twice, 'filename'])}")
    agree(rows, "label")
    return rows


def split_table(
    rows: pd.DataFrame, params: Params, column: str | None, seed: int
) -> tuple[FeatureData, Split]:
    """Return the used rows of `read` with subsets and groups, and the split.

    `column` gives the subset of each row; without it, the protocol `song` is drawn with `seed`. If
    `TAGS` were joined, songs without them are left out. Raises `InputError` if the rows cannot be
    split, and for features that are not finite numbers.
    """
    protocol = "song" if column is None else "predefined"
    if column is not None:
        if column not in rows:
            raise InputError(f"the table has no column {column!r} that gives the subsets")
        said = rows[column].astype("object").where(rows[column].notna(), "")
        said = said.map(lambda word: str(word).strip().casefold()).replace(EXCLUDED, "")
        rows = rows.assign(**{column: said})[said != ""]
        agree(rows, column)
    songs = rows.drop_duplicates("track_id").assign(status="ok", duplicate_of=None)
    songs["path"] = songs["filename"]
    if column is not None and songs[["artist", COPIES]].isna().all(axis=None):
        songs["artist"] = neighbours(songs["track_id"], songs[column])
    shares = {subset: float(getattr(params.split, subset)) for subset in SUBSETS}
    made = split(songs, protocol=protocol, shares=shares, seed=seed, column=column or "")
    subset = made.table.set_index("track_id")["subset"]
    linked = grouping_table(songs)
    labels = components(linked)
    group = linked.groupby(labels)["track_id"].transform("first").set_axis(linked["track_id"])
    keys = rows[["track_id", "segment", "genre"]].assign(
        subset=rows["track_id"].map(subset), group=rows["track_id"].map(group)
    )
    used = keys["subset"].isin(SUBSETS)
    if TAGS[0] in rows and (lacking := used & rows[TAGS[0]].isna()).any():
        without = keys[lacking].groupby("subset")["track_id"].nunique()
        counts = ", ".join(f"{count} {name}" for name, count in without.items())
        made.warnings.append(f"songs without tag activations are left out: {counts}")
        used &= ~lacking
    data = FeatureData(keys[used], features(rows[used]))
    if lost := set(data.classes) - set(data.keys.loc[data.mask(TRAIN), "genre"]):
        raise InputError(f"no train song of {', '.join(sorted(lost))} has tag activations")
    return data, made


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the feature columns of `rows` in float64. Raises `InputError` if not finite."""
    import pandas as pd

    names = [name for name in (*NAMES, *TAGS) if name in rows]
    numbers: pd.DataFrame = rows[names].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    bad = ~np.isfinite(numbers.to_numpy())
    if bad.any():
        raise InputError(
            f"values that are not finite numbers in {few(numbers.columns[bad.any(axis=0)])}, of "
            f"{few(rows.loc[bad.any(axis=1), 'filename'])}; compute them again, or mark these rows "
            "excluded"
        )
    return numbers


def neighbours(songs: pd.Series, subsets: pd.Series) -> list[str | None]:
    """Return a proxy for the unknown artist of each song: its run of file numbers in a subset.

    A run begins at the first number of a series of names, where the subset changes, and
    `NEIGHBOURS` numbers after its beginning. A name that does not end in a number gets None.
    """
    subset_of = dict(zip(songs, subsets, strict=True))
    matches = [match for match in map(NUMBERED.fullmatch, songs) if match]
    found: dict[str, str] = {}
    run = ("", "", 0)
    for series, number, song in sorted((m["series"], int(m["number"]), m.string) for m in matches):
        if run[:2] != (series, subset_of[song]) or number - run[2] >= NEIGHBOURS:
            run = (series, subset_of[song], number)
        found[song] = f"{series}{run[2]} {subset_of[song]}"
    return [found.get(song) for song in songs]


def join_taggrams(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Join the columns `TAGS` from the npz file at `path`; NaN for clips not in it.

    The file has `X`, float [shape=(n, 50)], a row per 3 s patch, and `IDS` [shape=(n,)], the clip
    of each, such as `blues/blues.00029.au`. A clip's columns are the means over its patches of the
    log-odds ln(p / (1 - p)), which are nearly normal. Raises `InputError` for any other file, and
    for clips that are not in the table.
    """
    import pandas as pd

    try:
        with np.load(path, allow_pickle=False) as content:
            X, ids = content["X"].astype(np.float64), content["IDS"].astype(str)
        if X.shape != (len(ids), len(TAGS)) or not ((X >= 0) & (X <= 1)).all():
            raise ValueError(f"expected X of activations from 0 to 1, shape ({len(ids)}, 50)")
    except NOT_TAGS as error:
        raise InputError(f"{path}: cannot be read as tag activations: {error}") from error
    clips = [SUFFIX.sub("", PurePosixPath(clip).name).casefold() for clip in ids]
    X = X.clip(SMALLEST, 1 - SMALLEST)
    odds = pd.DataFrame(np.log(X / (1 - X)), columns=list(TAGS)).groupby(np.array(clips)).mean()
    names = rows["track_id"].str.casefold()
    if unknown := sorted(set(odds.index) - set(names)):
        raise InputError(f"{path}: clips that are not in the table: {few(unknown)}")
    return rows.join(odds.reindex(names).set_axis(rows.index))


def agree(rows: pd.DataFrame, column: str) -> None:
    """Raise `InputError` for songs whose segments differ in `column`."""
    kinds = rows.groupby("track_id")[column].nunique()
    if torn := kinds.index[kinds > 1].tolist():
        raise InputError(f"segments of one song have more than one {column}: {few(torn)}")


def few(names: Iterable[object]) -> str:
    """Format the first of these names and the number of others."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - EXAMPLES} more" if len(listed) > EXAMPLES else ""
    return ", ".join(listed[:EXAMPLES]) + more
