"""Parameters of the collection: usable songs, duplicates, clips, split, review."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from genre.core.params.section import Count, Positive, Section, Share


class IngestParams(Section):
    """Which songs of the collection are usable."""

    min_seconds: Positive
    max_seconds: Positive
    silence_dbfs: Annotated[float, Field(lt=0)]
    min_songs_per_genre: Annotated[int, Field(ge=3)]
    max_set_aside: Share


class DuplicateParams(Section):
    """When two songs count as the same recording."""

    min_seconds: Annotated[float, Field(ge=1)]
    max_bit_error: Annotated[float, Field(gt=0, le=0.4)]


class TrimParams(Section):
    """Which 30 s of a song are kept."""

    position: Literal["middle", "start"]
    export_segments: bool


class SplitParams(Section):
    """How songs are split into training, validation and test."""

    protocol: Literal["song", "artist", "predefined", "segment"]
    column: Annotated[str, Field(min_length=1)]
    train: Share
    validation: Share
    test: Share
    reseed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitParams:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {total:g}, expected 1")
        if self.train == 0 or self.validation == 0:
            raise ValueError("train and validation must each be above 0")
        return self


class ReviewParams(Section):
    """When a clip is listed as defective, and how long the lists are."""

    noise_flatness: Share
    steady_share: Share
    silent_share: Share
    clipped_share: Share
    faulty_share: Annotated[float, Field(gt=0, le=1)]
    rows_shown: Count
