"""The selected classifier: one trained model, or several with soft voting.

It is a folder that runs no code when it is loaded. `classifier.json` names the members, with
weights and temperatures, and the preprocessing of their inputs; each member has a folder, and
`pretrained` has the weights of pretrained networks, if its features need any. The probabilities of
a segment are the weighted mean of its members'; those of a song are the mean of its segments',
scaled by one temperature (see `genre.soft_voting`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genre.core.errors import InputError
from genre.core.files import atomic_folder, write_json
from genre.core.messages import command
from genre.models.base import Input, Model, predict_proba
from genre.models.serialization import Classes, PlainName, read_file
from genre.soft_voting import SINGLE, SoftVoting, scale

DESCRIPTION = "classifier.json"
PRETRAINED = "pretrained"
FORMAT: Literal[1] = 1
MAX_BYTES = 16 * 2**20  # of the description
SYNTHETIC = (  # follows "trained on"
    "synthetic demo songs, made by arithmetic: its figures and predictions mean nothing for real "
    "music"
)

Floats = npt.NDArray[np.float64]


class Member(BaseModel):
    """One model of a classifier."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: PlainName
    weight: Annotated[float, Field(ge=0, le=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Description(BaseModel):
    """The content of `classifier.json`.

    `preprocessing` holds the sections of `params.yaml` that its inputs depend on; `synthetic` is
    true if it was trained on the demo songs.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    name: str
    protocol: str
    classes: Classes
    members: Annotated[list[Member], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    preprocessing: dict[str, dict[str, Any]] = Field(alias="front")
    synthetic: bool = False

    @property
    def families(self) -> tuple[str, ...]:
        """The feature families of its inputs; empty if no member uses features."""
        return families_of(self.preprocessing)


def families_of(preprocessing: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The feature families in a classifier's `preprocessing`.

    `report` for classifiers that were trained before there were families.
    """
    found = (
        preprocessing["features"].get("families", ["report"]) if "features" in preprocessing else []
    )
    return tuple(str(family) for family in found) if isinstance(found, list) else ()


class Ensemble:
    """Trained models with soft voting, or a single one."""

    def __init__(
        self,
        name: str,
        members: Sequence[Model],
        voting: SoftVoting = SINGLE,
        *,
        temperature: float = 1.0,
        protocol: str = "",
        preprocessing: Mapping[str, Mapping[str, Any]] | None = None,
        pretrained: Path | None = None,
        synthetic: bool = False,
    ) -> None:
        """Combine `members` by `voting`.

        `preprocessing` holds the settings of their inputs, sections of `params.yaml` by name;
        `pretrained` is the folder of the pretrained weights, None if none are needed; `synthetic`
        is true if the members were trained on the demo songs. Raises `InputError` if the members
        were trained on different genres.
        """
        if len({member.classes for member in members}) != 1:
            found = "; ".join(f"{m.name}: {', '.join(m.classes)}" for m in members)
            raise InputError(
                f"{name}: its models were trained on different genres ({found}); train them again "
                f"({command('dvc repro train')})"
            )
        self.name, self.members, self.voting = name, tuple(members), voting
        self.temperature, self.protocol = temperature, protocol
        self.preprocessing = {
            section: dict(values) for section, values in (preprocessing or {}).items()
        }
        self.pretrained, self.synthetic = pretrained, synthetic

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres that it predicts."""
        return self.members[0].classes

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs of its members, sorted."""
        return tuple(sorted({member.input for member in self.members}))

    def proba(self, inputs: Mapping[Input, Any]) -> Floats:
        """The probabilities of segments [shape=(n, classes)].

        `inputs` has one row per segment for each of `self.inputs`: a table with the feature columns
        of the members, or pictures [shape=(n, channels, height, width)].
        """
        return self.voting.combine(
            [predict_proba(member, inputs[member.input]) for member in self.members]
        )

    def song(self, proba: Floats) -> Floats:
        """The calibrated probabilities of a song [shape=(classes,)] whose segments have `proba`."""
        calibrated: Floats = scale(proba.mean(axis=0, keepdims=True), self.temperature)[0]
        return calibrated

    def save(self, folder: str | Path) -> None:
        """Save it to `folder`, replacing it atomically."""
        parts = zip(self.members, self.voting.weights, self.voting.temperatures, strict=True)
        description = Description(
            format=FORMAT,
            name=self.name,
            protocol=self.protocol,
            classes=list(self.classes),
            members=[Member(name=m.name, weight=w, temperature=t) for m, w, t in parts],
            temperature=self.temperature,
            front=self.preprocessing,
            synthetic=self.synthetic,
        )
        with atomic_folder(Path(folder)) as new:
            write_json(new / DESCRIPTION, description.model_dump(by_alias=True))
            if self.pretrained:
                shutil.copytree(self.pretrained, new / PRETRAINED)
            for member in self.members:
                member.save(new / member.name)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """Load the classifier in `folder`; raises `InputError` if it is missing or damaged."""
        from genre.models import load_model

        folder = Path(folder)
        found = read_description(folder)
        members = [load_model(folder / member.name) for member in found.members]
        voting = SoftVoting(
            tuple(member.temperature for member in found.members),
            tuple(member.weight for member in found.members),
        )
        ensemble = cls(
            found.name,
            members,
            voting,
            temperature=found.temperature,
            protocol=found.protocol,
            preprocessing=found.preprocessing,
            pretrained=pretrained if (pretrained := folder / PRETRAINED).is_dir() else None,
            synthetic=found.synthetic,
        )
        if list(ensemble.classes) != found.classes:
            raise InputError(
                f"{folder / DESCRIPTION}: its genres are not those of its models; select it again "
                f"({command('dvc repro select')})"
            )
        return ensemble


def read_description(folder: Path) -> Description:
    """Read `classifier.json` in `folder`; raises `InputError` if it is missing or invalid."""
    path = folder / DESCRIPTION
    try:
        return Description.model_validate(json.loads(read_file(path, MAX_BYTES)))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no classifier here ({DESCRIPTION} is missing)") from error
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InputError(
            f"{path}: not the description of a classifier ({problem}); select it again "
            f"({command('dvc repro select')})"
        ) from error
