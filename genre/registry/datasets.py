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
    from mlflow.entities import DatasetInput

NAME = "songs"
COLUMNS = ["track_id", "path", "genre", "artist", "seconds", "sha256"]
CONTEXT = "mlflow.data.context"  # the tag in which MLflow's pages expect the subset
DIGEST_LENGTH = 16  # hex digits; MLflow takes up to 36 characters


def inputs(pipeline: Pipeline) -> list[DatasetInput]:
    """The songs of each subset, with the subset as context; subsets without songs are left out."""
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for subset in SUBSETS:
        placed = pipeline.subsets.loc[pipeline.subsets["subset"] == subset, "track_id"]
        songs = pipeline.songs[pipeline.songs["track_id"].isin(placed)]
        if songs.empty:
            continue
        dataset = from_pandas(
            songs[COLUMNS].sort_values("track_id", ignore_index=True),
            source=str(pipeline.catalogue.absolute()),
            targets="genre",
            name=NAME,
            digest=facts.data_sha256(songs)[:DIGEST_LENGTH],
        )
        found.append(DatasetInput(Dataset(**dataset.to_dict()), [InputTag(CONTEXT, subset)]))
    return found
