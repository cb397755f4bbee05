"""The chosen classifier: one trained model, or several that vote, ready to be asked about songs.

A folder that runs no code when it is loaded: `classifier.json` says which models answer, with which
weights and temperatures, and how the sound was brought before them; each member's own folder lies
below, and in `pretrained` the weights of the networks that listen for them, where they have any. A
segment's probabilities are the members' weighted mean; a song's are the mean of its
segments', scaled by one temperature (see `genre.soft_voting`).
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
from genre.models.base import Input, Model, ask
from genre.models.serialization import Classes, PlainName, read_file
from genre.soft_voting import ALONE, Mixture, scale

DESCRIPTION = "classifier.json"
PRETRAINED = "pretrained"
FORMAT: Literal[1] = 1
MOST_BYTES = 16 * 2**20  # of the description
SYNTHETIC = (  # what a model of the demo songs was trained on
    "synthetic demo songs, made by arithmetic: its figures and predictions say nothing about real "
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
    """What `classifier.json` holds; `front` are the sections of `params.yaml` behind the inputs.

    `synthetic` if it was trained on the demo songs.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    name: str
    protocol: str
    classes: Classes
    members: Annotated[list[Member], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    front: dict[str, dict[str, Any]]
    synthetic: bool = False

    @property
    def families(self) -> tuple[str, ...]:
        """The feature families of its inputs; none if no member's input are features."""
        return families_of(self.front)


def families_of(front: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The feature families that a classifier's `front` names; `report` if it is older than that."""
    found = front["features"].get("families", ["report"]) if "features" in front else []
    return tuple(str(family) for family in found) if isinstance(found, list) else ()


class Ensemble:
    """Trained models that answer together, or one that answers alone."""

    def __init__(
        self,
        name: str,
        members: Sequence[Model],
        mixture: Mixture = ALONE,
        *,
        temperature: float = 1.0,
        protocol: str = "",
        front: Mapping[str, Mapping[str, Any]] | None = None,
        pretrained: Path | None = None,
        synthetic: bool = False,
    ) -> None:
        """Let `members` answer as `mixture` says.

        `front` are the settings of what made their inputs: sections of `params.yaml`, by name;
        `pretrained` is the folder of the weights that these need, None if they need none;
        `synthetic` if the members were trained on the demo songs.
        Raises `InputError` where the members know different genres.
        """
        if len({member.classes for member in members}) != 1:
            known = "; ".join(f"{m.name}: {', '.join(m.classes)}" for m in members)
            raise InputError(
                f"{name}: its models know different genres ({known}); train them again "
                f"({command('dvc repro train')})"
            )
        self.name, self.members, self.mixture = name, tuple(members), mixture
        self.temperature, self.protocol = temperature, protocol
        self.front = {section: dict(values) for section, values in (front or {}).items()}
        self.pretrained, self.synthetic = pretrained, synthetic

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres that it knows."""
        return self.members[0].classes

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What its members look at, sorted."""
        return tuple(sorted({member.input for member in self.members}))

    def proba(self, inputs: Mapping[Input, Any]) -> Floats:
        """The probabilities of segments [shape=(n, classes)].

        `inputs` gives what each of `self.inputs` is, a row a segment: a table of features with the
        columns that its members know, or pictures [shape=(n, channels, height, width)].
        """
        return self.mixture.mix([ask(member, inputs[member.input]) for member in self.members])

    def song(self, proba: Floats) -> Floats:
        """The calibrated probabilities of a song [shape=(classes,)] whose segments have `proba`."""
        calibrated: Floats = scale(proba.mean(axis=0, keepdims=True), self.temperature)[0]
        return calibrated

    def save(self, folder: str | Path) -> None:
        """Write it to `folder`, in place of what was there, all or nothing."""
        parts = zip(self.members, self.mixture.weights, self.mixture.temperatures, strict=True)
        description = Description(
            format=FORMAT,
            name=self.name,
            protocol=self.protocol,
            classes=list(self.classes),
            members=[Member(name=m.name, weight=w, temperature=t) for m, w, t in parts],
            temperature=self.temperature,
            front=self.front,
            synthetic=self.synthetic,
        )
        with atomic_folder(Path(folder)) as new:
            write_json(new / DESCRIPTION, description.model_dump())
            if self.pretrained:
                shutil.copytree(self.pretrained, new / PRETRAINED)
            for member in self.members:
                member.save(new / member.name)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """The classifier in `folder`; raises `InputError` where it is damaged or is none."""
        from genre.models import load_model

        folder = Path(folder)
        found = read_description(folder)
        members = [load_model(folder / member.name) for member in found.members]
        mixture = Mixture(
            tuple(member.temperature for member in found.members),
            tuple(member.weight for member in found.members),
        )
        ensemble = cls(
            found.name,
            members,
            mixture,
            temperature=found.temperature,
            protocol=found.protocol,
            front=found.front,
            pretrained=pretrained if (pretrained := folder / PRETRAINED).is_dir() else None,
            synthetic=found.synthetic,
        )
        if list(ensemble.classes) != found.classes:
            raise InputError(
                f"{folder / DESCRIPTION}: its genres are not those of its models; choose it again "
                f"({command('dvc repro select')})"
            )
        return ensemble


def read_description(folder: Path) -> Description:
    """What `classifier.json` of `folder` says; raises `InputError` where it is none of ours."""
    path = folder / DESCRIPTION
    try:
        return Description.model_validate(json.loads(read_file(path, MOST_BYTES)))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no classifier here ({DESCRIPTION} is missing)") from error
    except (OSError, ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InputError(
            f"{path}: not a classifier's description ({words}); choose it again "
            f"({command('dvc repro select')})"
        ) from error
