"""The songs behind a run, as datasets of MLflow: one for each subset of the split.

A dataset lists songs and not features, so that its digest is the same whatever is computed from
them: it hashes the content and genre of each song.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genre.registry import facts
from genre.registry.facts import Pipeline
from genre.splits import SUBSETS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import DatasetInput

NAME = "songs"
COLUMNS = ["track_id", "path", "genre", "artist", "seconds", "sha256"]
CONTEXT = "mlflow.data.context"  # the tag in which MLflow's pages expect the subset
DIGEST_LENGTH = 16  # hex digits; MLflow takes up to 36 characters


def digests(pipeline: Pipeline) -> dict[str, str]:
    """The digest of the dataset of each subset that has songs."""
    tables = {subset: _songs(pipeline, subset) for subset in SUBSETS}
    return {
        subset: facts.data_sha256(songs)[:DIGEST_LENGTH]
        for subset, songs in tables.items()
        if len(songs)
    }


def inputs(pipeline: Pipeline) -> list[DatasetInput]:
    """The datasets of the subsets that have songs, with the subset as context."""
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for subset, digest in digests(pipeline).items():
        dataset = from_pandas(
            _songs(pipeline, subset)[COLUMNS].sort_values("track_id", ignore_index=True),
            source=str(pipeline.catalogue.absolute()),
            targets="genre",
            name=NAME,
            digest=digest,
        )
        found.append(DatasetInput(Dataset(**dataset.to_dict()), [InputTag(CONTEXT, subset)]))
    return found


def _songs(pipeline: Pipeline, subset: str) -> pd.DataFrame:
    placed = pipeline.subsets.loc[pipeline.subsets["subset"] == subset, "track_id"]
    return pipeline.songs[pipeline.songs["track_id"].isin(placed)]
