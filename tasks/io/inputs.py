"""Read the data that models are trained on and predict: features or pictures, and the split.

Columns are those of the run's feature families (`tasks.io.families`), joined by segment, and of the
layers in `musicnn.layers`. Excluded songs, and segments that are only padding, are left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.core.messages import command, run_step
from genre.core.params import Params
from genre.features import log_mel
from genre.features.families import FAMILIES, LONG, REPORT, SHORT, Family
from genre.features.spectrogram import read_picture
from genre.models.base import Input
from genre.models.data import Data, FeatureData, PictureData
from genre.splits import EXCLUDED, TRAIN, VALIDATION
from tasks.io import paths
from tasks.io.families import DEMO, read_families, section

if TYPE_CHECKING:
    import pandas as pd

DATASETS: dict[Input, str] = {"features_3s": SHORT, "features_30s": LONG, "report_3s": SHORT}
PICTURES: dict[Input, Path] = {"spectrogram": paths.SPECTROGRAMS, "log_mel": paths.LOG_MEL}
SEGMENT_KEYS = ["track_id", "segment"]
KEYS = ["track_id", "segment", "genre", "group", "subset"]
NO_FEATURES = {*KEYS, "start_s"}


def read_data(root: Path, source: Input, params: Params) -> Data:
    """The rows of the split, with the model input `source`.

    Raises `InputError` if files are missing or do not fit together.
    """
    rows = read_rows(root, paths.FEATURES / REPORT / DATASETS.get(source, SHORT))
    by_segment = bool(rows.attrs["by_segment"])
    keys = rows[KEYS]
    if source in DATASETS:
        return FeatureData(keys, read_columns(root, source, rows, params), by_segment=by_segment)
    folder = root / PICTURES[source]
    here = {path.stem for path in folder.glob("*.png")}
    lost = sorted(set(keys["track_id"]) - here)
    if 2 * len(lost) > keys["track_id"].nunique():
        raise InputError(
            f"{folder}: {len(lost)} songs of {paths.SPLIT} have no picture, {lost[0]} first; "
            f"{run_step('spectrograms')}"
        )
    _print_missing(lost, "picture")
    return PictureData(
        keys[keys["track_id"].isin(here)], partial(_read, folder, source), by_segment=by_segment
    )


def read_columns(root: Path, source: Input, rows: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The columns of the run's families for `rows`, side by side; for `report_3s`, the report's.

    `rows` are those of `read_rows`, with the columns of `report`. Raises `InputError` if a family
    was not computed, or not of all these songs.
    """
    import pandas as pd

    parts = []
    for name in DEMO if source == "report_3s" else read_families(params, root):
        if name == REPORT:
            parts.append(rows[[column for column in rows if column not in NO_FEATURES]])
            continue
        folder = root / paths.FEATURES / name / DATASETS[source]
        found = _family(folder, FAMILIES[name], params)
        joined = rows[SEGMENT_KEYS].merge(found, on=SEGMENT_KEYS, how="left", validate="one_to_one")
        values = joined.drop(columns=SEGMENT_KEYS)
        if (lost := values.isna().all(axis=1)).any():
            tracks = joined.loc[lost, "track_id"]
            raise InputError(
                f"{folder}: {tracks.nunique()} songs of {paths.REPORT_3S} are missing, "
                f"{tracks.iloc[0]} first; {run_step('features', 'again')}"
            )
        parts.append(values)
    return pd.concat(parts, axis=1)


def _family(folder: Path, family: Family, params: Params) -> pd.DataFrame:
    """The columns of a family that models are trained on, with `track_id` and `segment`."""
    import pyarrow.parquet as pq

    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(
            f"{folder}: not found, but {family.name} is a feature family; {run_step('features')}"
        )
    chosen = family.open(section(params, family)).chosen
    if missing := sorted(set(chosen) - set(pq.read_schema(files[0]).names)):
        raise InputError(f"{folder}: found no column {missing[0]}; {run_step('features', 'again')}")
    table: pd.DataFrame = pq.read_table(folder, columns=[*SEGMENT_KEYS, *chosen]).to_pandas()
    return table


def read_rows(root: Path, folder: Path = paths.REPORT_3S) -> pd.DataFrame:
    """The features with their `group` and `subset`, in the order of the features' table.

    Songs of the split without features (unreadable in an earlier step) are printed. Raises
    `InputError` if that is most of them, or if there are features of songs that are not in the
    split.
    """
    features = _table(root / folder, "features")
    split = _table(root / paths.SPLIT, "split")
    by_segment = not split["segment"].isna().all()
    unknown = sorted(set(features["track_id"]) - set(split["track_id"]))
    if unknown:
        raise InputError(
            f"{root / paths.SPLIT}: {len(unknown)} songs of {folder} are missing, "
            f"{unknown[0]} first; {run_step('split', 'again')}"
        )
    lost = sorted(set(split["track_id"]) - set(features["track_id"]))
    if 2 * len(lost) > split["track_id"].nunique():
        raise InputError(
            f"{root / folder}: {len(lost)} songs of {paths.SPLIT} are missing, "
            f"{lost[0]} first; {run_step('features', 'again')}"
        )
    _print_missing(lost, "features")
    if not by_segment:
        split = split.drop(columns="segment")
    keys = ["track_id", "segment"] if by_segment else ["track_id"]
    rows = features.merge(split, on=keys, how="left", validate="many_to_one")
    if rows["subset"].isna().any():
        raise InputError(
            f"{root / paths.SPLIT}: not every segment of the features has a subset; "
            f"{run_step('split', 'again')}"
        )
    used = (rows["rms_mean"] != 0) & (rows["subset"] != EXCLUDED)
    kept: pd.DataFrame = rows[used].reset_index(drop=True)
    kept.attrs = {"by_segment": by_segment}
    return kept


def check_genres(data: Data) -> None:
    """Raise `InputError` if train or validation has no song of a genre."""
    for subset in (TRAIN, VALIDATION):
        present = set(data.keys.loc[data.mask(subset), "genre"])
        if absent := sorted(set(data.classes) - present):
            raise InputError(
                f"{paths.SPLIT}: no {subset} song of {', '.join(absent)}; add songs of that "
                f"genre ({command('genre add SOURCE')}), or make a new split with another "
                "split.reseed"
            )


def _read(folder: Path, source: Input, track_id: str) -> npt.NDArray[np.uint8]:
    """The picture of a song [shape=(channels, height, width)]."""
    path = folder / f"{track_id}.png"
    if source == "log_mel":
        return log_mel.read(path)[np.newaxis]
    return read_picture(path)


def _print_missing(lost: list[str], what: str) -> None:
    for track_id in lost:
        print(f"no {what}: {track_id} is left out")


def _table(path: Path, stage: str) -> pd.DataFrame:
    import pandas as pd

    if not path.exists():
        raise InputError(f"{path}: no such file; {run_step(stage)}")
    return pd.read_parquet(path)
