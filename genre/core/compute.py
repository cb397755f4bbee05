"""Map songs over workers, one at a time: processes of this machine, or a Dask cluster.

A worker is given a song as `Source`: its path if it can read the files of this machine, else its
bytes. Results come back in the order of the songs and do not depend on the engine or on the number
of workers. A song that breaks its worker (a crash, no memory, no end), or meets an unexpected
exception, costs that song and no other; the same exception for most songs is an error of the step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from genre.core import unexpected
from genre.core.errors import GenreError, InputError, UnforeseenError
from genre.core.files import NO_ROOM
from genre.core.unexpected import Defect
from genre.core.workers import (
    WorkerError,
    Workers,
    dask_workers,
    in_order,
    process_workers,
    result,
    this_process,
)

if TYPE_CHECKING:
    from genre.core.params import ComputeParams

__all__ = ["Failed", "Song", "Source", "Workers", "map_songs", "open_workers", "this_process"]

Source = Path | bytes
Result = TypeVar("Result")

UNEXPECTED = "met an unexpected"  # begins the reason of a song that the program failed on
SAME_DEFECT = 3  # songs; as many, and most of those computed, are an error of the step
NO_OTHER_RESULT = 20  # songs; if the first ones all meet the same defect, no more are tried


@dataclass(frozen=True)
class Song:
    """A file to work on: what to call it, where it is, and the sha256 of what should be in it."""

    name: str
    path: Path
    content: str


@dataclass(frozen=True)
class Failed:
    """In the place of a result: why this song could not be worked on.

    `defect` is set if the program is to blame and not the song; such a song is to be tried again.
    """

    reason: str
    defect: Defect | None = None


@contextmanager
def open_workers(settings: ComputeParams, *, preload: Sequence[str] = ()) -> Iterator[Workers]:
    """Start the workers of `compute` in `params.yaml`, and end them afterwards.

    `preload` names modules that every local worker will need. Raises `GenreError` where a Dask
    scheduler cannot be reached.
    """
    if settings.engine == "dask":
        with dask_workers(settings.address) as workers:
            yield workers
    else:
        with process_workers(
            settings.workers, preload=preload, timeout=settings.song_timeout_seconds
        ) as workers:
            yield workers


def map_songs(
    workers: Workers,
    work: Callable[[Source, str], Result],
    songs: Iterable[Song],
    known: Callable[[Song], Result | None],
) -> Iterator[tuple[Song, Result | Failed]]:
    """Yield each song, in order, with `work(source, content)`, or why that failed.

    A song for which `known` returns a result is not worked on. `work` must be picklable. An
    `InputError` that it raises is this song's reason, and so is an unexpected exception; the
    first one of a kind goes to the log. At most `AHEAD` songs a worker are in flight.

    Raises `UnforeseenError` if the same unexpected exception meets most songs, any other
    `GenreError` of `work`, the error if memory or disk are full, and `GenreError` if the workers
    cannot start.
    """
    defects = _Defects()

    def send(song: Song) -> Future[Result | Failed] | Result | Failed:
        if (found := known(song)) is not None:
            return found
        try:
            source = song.path if workers.shared_files else song.path.read_bytes()
        except OSError as error:
            return Failed(f"cannot be opened ({error.strerror})")
        return workers.submit(_attempt, work, source, song.content)

    for song, sent in in_order(workers, songs, send):
        if not isinstance(sent, Future):
            yield song, sent
            continue
        try:
            outcome = result(sent)
        except WorkerError as error:
            outcome = Failed(str(error))
        defects.count(song, outcome)
        yield song, outcome
    defects.check()


def _attempt(
    work: Callable[[Source, str], Result], source: Source, content: str
) -> Result | Failed:
    try:
        return work(source, content)
    except InputError as error:
        return Failed(str(error))
    except (GenreError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        defect = unexpected.describe(error)
        advice = "; this is a defect of the program, please report it" if defect.advice else ""
        return Failed(f"{UNEXPECTED} {defect.what} (in {defect.place}{advice})", defect)


class _Defects:
    """How many songs met each unexpected exception, by its type and place."""

    def __init__(self) -> None:
        self._computed = 0
        self._songs: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], tuple[Path, Defect, Path | None]] = {}

    def count(self, song: Song, result: object) -> None:
        """Count one computed song. Raises `UnforeseenError` if no song so far has a result."""
        self._computed += 1
        if isinstance(result, Failed) and (defect := result.defect):
            key = defect.kind, defect.place
            self._songs[key] += 1
            if key not in self._first:
                self._first[key] = song.path, defect, unexpected.log(defect)
            if self._songs[key] == self._computed == NO_OTHER_RESULT:
                self.check()

    def check(self) -> None:
        """Raise `UnforeseenError` if most songs met the same one."""
        for key, count in self._songs.most_common(1):
            if count >= SAME_DEFECT and 2 * count > self._computed:
                song, defect, path = self._first[key]
                raise UnforeseenError(
                    f"{count} of {self._computed} songs ({song} first) met the same unexpected "
                    f"{defect.what} in {defect.place}. {unexpected.where_to_look(defect, path)}"
                )
