"""Parameters of the inputs of models: features and spectrograms."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from genre.core.params.section import Positive, Section

AUTO: Literal["auto"] = "auto"
LIST = "list"  # tag of the other type in pydantic's error locations


def _kind(value: Any) -> str | None:
    return LIST if isinstance(value, list) else AUTO if value == AUTO else None


Families = Annotated[  # discriminated, so that an error message is about one of the two
    Annotated[Literal["auto"], Tag(AUTO)] | Annotated[list[str], Field(min_length=1), Tag(LIST)],
    Discriminator(
        _kind,
        custom_error_type="families",
        custom_error_message="expected auto, or a list of feature families",
    ),
]

Layer = Literal["tags", "penultimate", "mean_pool", "max_pool"]


class SpectrogramParams(Section):
    """How spectrogram images are computed and drawn."""

    nperseg: Annotated[int, Field(ge=16)]
    noverlap: Annotated[int, Field(ge=0)]
    dynamic_range_db: Positive
    colour_map: str
    width: Annotated[int, Field(ge=32, le=4096)]
    height: Annotated[int, Field(ge=32, le=4096)]

    @model_validator(mode="after")
    def _overlap_is_shorter_than_the_window(self) -> SpectrogramParams:
        if self.noverlap >= self.nperseg:
            raise ValueError(
                f"noverlap is {self.noverlap}, expected less than nperseg ({self.nperseg})"
            )
        return self


class FrameParams(Section):
    """The frames of a short-time Fourier transform, in samples."""

    n_fft: Annotated[int, Field(ge=512, le=16384)]
    hop_length: Annotated[int, Field(ge=64)]

    @model_validator(mode="after")
    def _hop_is_shorter_than_the_window(self) -> Self:
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length is {self.hop_length}, expected at most n_fft ({self.n_fft})"
            )
        return self


class FeatureParams(FrameParams):
    """The feature families, and the frames of their short-time Fourier transform.

    `families` may be `auto` in `params.yaml`; the step `features` resolves it. A classifier holds a
    list, or nothing if it was trained before there were several families.
    """

    families: Families = Field(default_factory=lambda: ["report"])
    csv: bool = False

    @model_validator(mode="after")
    def _families_are_different(self) -> FeatureParams:
        if self.families != AUTO and len(set(self.families)) < len(self.families):
            raise ValueError(f"families is {self.families}, expected each name once")
        return self


class MusicnnParams(Section):
    """The pretrained MusiCNN networks and the length of their input patches.

    `patch_frames` and `hop_frames` count frames of 256 samples at 16 kHz.
    """

    weights: Annotated[list[Literal["msd", "mtt"]], Field(min_length=1)]
    patch_frames: Annotated[int, Field(ge=64)]
    hop_frames: Annotated[int, Field(ge=1)]
    layers: Annotated[list[Layer], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_different(self) -> MusicnnParams:
        for key, names in (("weights", self.weights), ("layers", self.layers)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} is {names}, expected each name once")
        return self


class LogMelParams(FrameParams):
    """The frames of the log-mel spectrograms."""
