"""Map a function over songs, in parallel: local processes or a Dask cluster.

A worker gets a song as `Source`: its path if the worker can read local files, else its bytes.
Results come in the order of the songs and do not depend on the engine or the number of workers.
If a worker crashes, runs out of memory or times out, or raises an unexpected exception, only that
song fails; the same unexpected exception for most songs is an error of the step.
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
from genre.core.errors import GenreError, InputError, UnexpectedError
from genre.core.files import DISK_FULL
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

UNEXPECTED = "failed with an unexpected"  # how the reason begins if the program is to blame
SAME_DEFECT = 3  # songs with one defect, and most of those computed: an error of the step
GIVE_UP_AFTER = 20  # songs; if they all have the same defect, the step stops


@dataclass(frozen=True)
class Song:
    """A file to process: its name (usually the track_id), path, and the sha256 of its content."""

    name: str
    path: Path
    content: str


@dataclass(frozen=True)
class Failed:
    """Returned in place of a result: why a song failed.

    `defect` is set if the program is to blame and not the song, which is then tried again later.
    """

    reason: str
    defect: Defect | None = None


@contextmanager
def open_workers(settings: ComputeParams, *, preload: Sequence[str] = ()) -> Iterator[Workers]:
    """Start the workers of `compute` in `params.yaml`, and stop them at the end.

    `preload` names modules that local workers import first. Raises `GenreError` if the Dask
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
    cached: Callable[[Song], Result | None],
) -> Iterator[tuple[Song, Result | Failed]]:
    """Yield each song, in order, with `work(source, content)`, or why that failed.

    Songs for which `cached` returns a result are not processed. `work` must be picklable. If it
    raises an `InputError` or an unexpected exception, that song is `Failed`; the first exception of
    each kind is logged with its traceback.

    Raises `UnexpectedError` if most songs fail with the same unexpected exception, any other
    `GenreError` of `work`, `MemoryError` or `OSError` if memory or disk are full, and `GenreError`
    if the workers cannot start.
    """
    defects = _Defects()

    def send(song: Song) -> Future[Result | Failed] | Result | Failed:
        if (found := cached(song)) is not None:
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
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        defect = unexpected.describe(error)
        advice = "; this is a defect of the program, please report it" if defect.advice else ""
        return Failed(f"{UNEXPECTED} {defect.what} (in {defect.place}{advice})", defect)


class _Defects:
    """Counts songs by unexpected exception (its type and place)."""

    def __init__(self) -> None:
        self._computed = 0
        self._songs: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], tuple[Path, Defect, Path | None]] = {}

    def count(self, song: Song, result: object) -> None:
        """Count a computed song. Raises `UnexpectedError` if the first 20 have the same defect."""
        self._computed += 1
        if isinstance(result, Failed) and (defect := result.defect):
            key = defect.kind, defect.place
            self._songs[key] += 1
            if key not in self._first:
                self._first[key] = song.path, defect, unexpected.log(defect)
            if self._songs[key] == self._computed == GIVE_UP_AFTER:
                self.check()

    def check(self) -> None:
        """Raise `UnexpectedError` if most songs have the same defect."""
        for key, count in self._songs.most_common(1):
            if count >= SAME_DEFECT and 2 * count > self._computed:
                song, defect, path = self._first[key]
                hint = unexpected.log_hint(defect, path)
                raise UnexpectedError(
                    f"{count} of {self._computed} songs ({song} first) failed with the same "
                    f"unexpected {defect.what} in {defect.place}. {hint}"
                )
