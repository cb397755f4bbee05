"""Classify many songs, in worker processes if there are enough of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.classifier.files import File, find, seems_audio
from genre.core.compute import Failed, Song, Source, map_songs, open_workers, this_process
from genre.core.errors import AudioError, GenreError, InputError
from genre.core.progress import progress
from genre.features.families import FAMILIES

if TYPE_CHECKING:
    from genre.classifier import Classifier, Prediction
    from genre.core.params import ComputeParams

MIN_SONGS_FOR_WORKERS = 8  # fewer are classified sooner than processes start
MIN_SONGS_FOR_PROGRESS = 4


@dataclass(frozen=True)
class NotAudio:
    """Why a file is not audio, by its content."""

    reason: str


@dataclass(frozen=True)
class Result:
    """The prediction for a song, or the error; `defect` if the error is a bug of the program."""

    path: str
    prediction: Prediction | None = None
    error: str | None = None
    defect: bool = False


class _ClassifierError(GenreError):
    """The classifier cannot be loaded, so no song can be classified."""


@lru_cache(maxsize=1)
def load(folder: Path) -> Classifier:
    """Load the classifier in `folder`, once per process."""
    from genre.classifier import Classifier

    try:
        return Classifier.from_folder(folder)
    except InputError as error:
        raise _ClassifierError(str(error)) from error


def classify_song(source: Source, content: str, *, folder: Path, settings: dict[str, Any]) -> Any:
    """Classify one song with the classifier in `folder`; `content` is not used.

    Returns a `Prediction`, or `NotAudio` if the file is not audio. Raises `AudioError` if it
    cannot be opened or decoded.
    """
    del content
    from genre.classifier import NotAudioError

    classifier = load(folder)
    try:
        _check_readable(source)
        return classifier.classify(source, **settings)
    except NotAudioError as error:
        return NotAudio(str(error))


def classify_songs(
    paths: Sequence[Path], folder: Path, settings: dict[str, Any], compute: ComputeParams
) -> tuple[list[Result], int]:
    """Classify the files and folders `paths`; return the results, and the number of skipped files.

    Files in folders are skipped if they are not audio, by name and content; one that seems to be
    audio and cannot be decoded is an error. A folder without songs is an error too. `settings` are
    the arguments of `Classifier.classify`. Raises `InputError` if the classifier in `folder` cannot
    be loaded, `UnforeseenError` as `map_songs`.
    """
    files = find(paths)
    outcomes = _outcomes(files, folder, settings, compute)
    if len(files) >= MIN_SONGS_FOR_PROGRESS:
        outcomes = progress(outcomes, total=len(files), what="songs")
    results: list[Result] = []
    songs: list[Path] = []
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the predictions
            for file, outcome in outcomes:
                skip = file.found and isinstance(outcome, NotAudio)
                if not skip or seems_audio(file.path):
                    results.append(_result(file, outcome))
                    songs.append(file.path)
    except _ClassifierError as error:
        raise InputError(str(error)) from error
    for path in dict.fromkeys(paths):
        if path.is_dir() and not any(path in song.parents for song in songs):
            results.append(Result(str(path), error="no songs in this folder"))
    return results, len(files) - len(songs)


def _result(file: File, outcome: Prediction | NotAudio | Failed) -> Result:
    if isinstance(outcome, NotAudio | Failed):
        defect = isinstance(outcome, Failed) and outcome.defect is not None
        return Result(str(file.path), error=outcome.reason, defect=defect)
    return Result(str(file.path), outcome)


def _outcomes(
    files: Sequence[File], folder: Path, settings: dict[str, Any], compute: ComputeParams
) -> Iterator[tuple[File, Prediction | NotAudio | Failed]]:
    work = partial(classify_song, folder=folder, settings=settings)
    songs = [Song(str(number), file.path, "") for number, file in enumerate(files)]
    few = len(files) < MIN_SONGS_FOR_WORKERS
    with (
        nullcontext(this_process()) if few else open_workers(compute, preload=preload(folder))
    ) as workers:
        found = map_songs(workers, work, songs, lambda _: None)
        for file, (_, outcome) in zip(files, found, strict=True):
            yield file, outcome


def check_predicts_tags(folder: Path) -> None:
    """Raise `InputError` if the classifier in `folder` predicts no tags."""
    from genre.models.ensemble import read_description

    families = read_description(folder).families
    if not any(FAMILIES[name].tags for name in families if name in FAMILIES):
        with_tags = " or ".join(name for name, family in FAMILIES.items() if family.tags)
        raise InputError(
            f"--tags: this model does not predict tags; train one with {with_tags} "
            "in features.families of params.yaml"
        )


def preload(folder: Path) -> list[str]:
    """The modules that every worker needs, to import once before they start."""
    from genre.classifier.inputs import preload as preload_inputs
    from genre.models.ensemble import read_description
    from genre.models.serialization import read_description as read_model

    description = read_description(folder)
    inputs = {read_model(folder / one.name).input for one in description.members}
    modules = ["genre.classifier.classifier", *preload_inputs(inputs, description.preprocessing)]
    if set(inputs) - {"features_3s"}:
        modules += ["genre.models.training", "genre.models.networks"]
    return modules


def _check_readable(source: Source) -> None:
    """Raise `AudioError` if the path is not a file or cannot be read."""
    if isinstance(source, bytes):
        return
    try:
        if source.exists() and not source.is_file():
            raise AudioError("is not a file")
        with source.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from error
