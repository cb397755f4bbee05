"""Answer many songs: here, or in processes of their own where there are enough to be worth it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.classifier.files import File, claims_to_be_audio, find
from genre.core.compute import Failed, Song, Source, map_songs, open_workers, this_process
from genre.core.errors import AudioError, GenreError, InputError
from genre.core.progress import progress
from genre.features.families import FAMILIES

if TYPE_CHECKING:
    from genre.classifier import Answer, Classifier
    from genre.core.params import ComputeParams

WORTH_WORKERS = 8  # songs, from which on it pays to start processes
WORTH_PROGRESS = 4


@dataclass(frozen=True)
class NotAudio:
    """In the place of an answer: why this file is not audio by its content."""

    reason: str


@dataclass(frozen=True)
class Result:
    """A song's answer, or why there is none; `defect` if that is a defect of the program."""

    path: str
    answer: Answer | None = None
    error: str | None = None
    defect: bool = False


class _Broken(GenreError):
    """The classifier itself cannot be loaded: no song's fault."""


@lru_cache(maxsize=1)
def load(folder: Path) -> Classifier:
    """The classifier in `folder`, loaded once a process."""
    from genre.classifier import Classifier

    try:
        return Classifier.from_folder(folder)
    except InputError as error:
        raise _Broken(str(error)) from error


def listen(source: Source, content: str, *, folder: Path, settings: dict[str, Any]) -> Any:
    """Answer one song with the classifier in `folder`; `content` is not looked at.

    Returns an `Answer`, or `NotAudio` if the file is not audio. Raises `AudioError` where it
    cannot be opened or heard.
    """
    del content
    from genre.classifier import NotAudioError

    classifier = load(folder)
    try:
        _must_open(source)
        return classifier.classify(source, **settings)
    except NotAudioError as error:
        return NotAudio(str(error))


def answer(
    paths: Sequence[Path], folder: Path, settings: dict[str, Any], compute: ComputeParams
) -> tuple[list[Result], int]:
    """The results of `paths`, in order, and how many files of folders were skipped: not audio.

    A file of a folder that claims to be audio and cannot be decoded is not skipped but an error.
    `settings` are those of `Classifier.classify`. A folder without a single song is an error in
    its own name. Raises `InputError` if the classifier in `folder` cannot be loaded, and
    `UnforeseenError` as `map_songs`.
    """
    files = find(paths)
    outcomes = _outcomes(files, folder, settings, compute)
    if len(files) >= WORTH_PROGRESS:
        outcomes = progress(outcomes, total=len(files), what="songs")
    results: list[Result] = []
    songs: list[Path] = []
    try:
        with redirect_stdout(sys.stderr):  # a log's lines; the answers alone go to stdout
            for file, outcome in outcomes:
                skip = file.found and isinstance(outcome, NotAudio)
                if not skip or claims_to_be_audio(file.path):
                    results.append(_result(file, outcome))
                    songs.append(file.path)
    except _Broken as error:
        raise InputError(str(error)) from error
    for path in dict.fromkeys(paths):
        if path.is_dir() and not any(path in song.parents for song in songs):
            results.append(Result(str(path), error="no songs in this folder"))
    return results, len(files) - len(songs)


def _result(file: File, outcome: Answer | NotAudio | Failed) -> Result:
    if isinstance(outcome, NotAudio | Failed):
        defect = isinstance(outcome, Failed) and outcome.defect is not None
        return Result(str(file.path), error=outcome.reason, defect=defect)
    return Result(str(file.path), outcome)


def _outcomes(
    files: Sequence[File], folder: Path, settings: dict[str, Any], compute: ComputeParams
) -> Iterator[tuple[File, Answer | NotAudio | Failed]]:
    work = partial(listen, folder=folder, settings=settings)
    songs = [Song(str(number), file.path, "") for number, file in enumerate(files)]
    few = len(files) < WORTH_WORKERS
    with (
        nullcontext(this_process()) if few else open_workers(compute, preload=preload(folder))
    ) as workers:
        found = map_songs(workers, work, songs, lambda _: None)
        for file, (_, outcome) in zip(files, found, strict=True):
            yield file, outcome


def must_know_tags(folder: Path) -> None:
    """Raise `InputError` unless the classifier in `folder` can say how a song sounds."""
    from genre.models.ensemble import read_description

    families = read_description(folder).families
    if not any(FAMILIES[name].tags for name in families if name in FAMILIES):
        with_tags = " or ".join(name for name, family in FAMILIES.items() if family.tags)
        raise InputError(
            f"--tags: this model does not predict tags; train one with {with_tags} "
            "in features.families of params.yaml"
        )


def preload(folder: Path) -> list[str]:
    """What every worker will need, loaded once before they start."""
    from genre.classifier.inputs import preload as preload_inputs
    from genre.models.ensemble import read_description
    from genre.models.serialization import read_description as read_model

    description = read_description(folder)
    inputs = {read_model(folder / one.name).input for one in description.members}
    modules = ["genre.classifier.classifier", *preload_inputs(inputs, description.front)]
    if set(inputs) - {"features_3s"}:
        modules += ["genre.models.training", "genre.models.networks"]
    return modules


def _must_open(source: Source) -> None:
    """Raise `AudioError` for a path that is no file or may not be read."""
    if isinstance(source, bytes):
        return
    try:
        if source.exists() and not source.is_file():
            raise AudioError("is no file")
        with source.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from error
