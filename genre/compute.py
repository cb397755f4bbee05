"""Share work out, one song at a time: to processes of this machine, or to a Dask cluster.

A worker is given a song as `Source`: its path where the file system is shared, else its bytes.
Results come back in the order of the work and do not depend on the engine or on the number of
workers. A song that breaks its worker (a crash, no memory, no end) costs that song and no other.
Every worker keeps to one thread, so that workers and cores match.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import genre
from genre.errors import AudioError, GenreError, InputError, ParameterError

if TYPE_CHECKING:
    from genre.params import ComputeParams

Source = Path | bytes
Result = TypeVar("Result")

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
AHEAD = 4  # songs in flight for each worker: enough to keep it busy, few enough to bound memory
CONNECT_SECONDS = 8  # to reach a Dask scheduler


@dataclass(frozen=True)
class Song:
    """A file to work on: what to call it, where it is, and the sha256 of what should be in it."""

    name: str
    path: Path
    content: str


@dataclass(frozen=True)
class Failed:
    """In the place of a result: why this song could not be worked on."""

    reason: str


class Workers:
    """Where work is sent; made by `open_workers`.

    `count` is how many there are; `submit(work, *arguments)` returns a future; `share` makes of a
    path what a worker can read.
    """

    def __init__(
        self, count: int, submit: Callable[..., Future[Any]], *, shared_files: bool
    ) -> None:
        self.count = count
        self.submit = submit
        self._shared_files = shared_files

    def share(self, path: Path) -> Source:
        """`path` itself where workers see the same files, else what is in it.

        Raises `AudioError` where it cannot be read.
        """
        if self._shared_files:
            return path
        try:
            return path.read_bytes()
        except OSError as error:
            raise AudioError(f"cannot be opened ({error.strerror})") from error


@contextmanager
def open_workers(settings: ComputeParams, *, preload: Sequence[str] = ()) -> Iterator[Workers]:
    """Start the workers of `compute` in `params.yaml`, and end them afterwards.

    `preload` names modules that every local worker will need. Raises `GenreError` where a Dask
    scheduler cannot be reached.
    """
    if settings.engine == "dask":
        with _dask(settings) as workers:
            yield workers
    else:
        with _processes(settings, preload) as workers:
            yield workers


def map_songs(
    workers: Workers,
    work: Callable[[Source, str], Result],
    songs: Iterable[Song],
    known: Callable[[Song], Result | None],
) -> Iterator[tuple[Song, Result | Failed]]:
    """Yield each song, in order, with `work(source, content)`, or why that failed.

    A song for which `known` returns a result is not worked on. `work` must be picklable. An
    `InputError` that it raises is this song's reason; any other exception is raised here, and
    `GenreError` where the workers cannot begin to work. At most `AHEAD` songs a worker are in
    flight.
    """
    waiting: deque[tuple[Song, Future[Result | Failed] | Result | Failed]] = deque()
    try:
        for song in songs:
            result = known(song)
            if result is not None:
                waiting.append((song, result))
            else:
                waiting.append((song, _send(workers, work, song)))
            if len(waiting) >= AHEAD * workers.count:
                song, outcome = waiting.popleft()
                yield song, _outcome(outcome)
        while waiting:
            song, outcome = waiting.popleft()
            yield song, _outcome(outcome)
    finally:
        for _, outcome in waiting:
            if isinstance(outcome, Future):
                outcome.cancel()


def _send(
    workers: Workers, work: Callable[[Source, str], Result], song: Song
) -> Future[Result | Failed] | Failed:
    try:
        return workers.submit(_attempt, work, workers.share(song.path), song.content)
    except AudioError as error:
        return Failed(str(error))


def _attempt(
    work: Callable[[Source, str], Result], source: Source, content: str
) -> Result | Failed:
    try:
        return work(source, content)
    except InputError as error:
        return Failed(str(error))


def _outcome(future: Future[Result | Failed] | Result | Failed) -> Result | Failed:
    if not isinstance(future, Future):
        return future
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as error:
        return Failed(f"ended its worker process (exit code {error.exitcode}): broken, or too big")
    except TimeoutError:
        return Failed("took longer than compute.song_timeout_seconds")
    except BrokenProcessPool as error:
        raise GenreError(
            "the worker processes ended before they took up a song; what they printed, above, says "
            "why"
        ) from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask's, which may not be installed
            return Failed("ended its worker again and again: broken, or too big")
        raise


@contextmanager
def new_processes(preload: Sequence[str] = ()) -> Iterator[BaseContext]:
    """What this package starts processes from; they have its code from where this one has it.

    `preload` names modules that they will need. New processes look where `sys.path` says, and
    MLflow puts the code of every model that it loads first there: the part of this package that
    answering needs, in which workers would look in vain for the rest.
    """
    # Not fork: the threads of numpy and torch do not survive it.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["genre.compute", *preload])
    own = str(Path(__file__).parents[1])
    found = PathFinder.find_spec("genre")
    hidden = found is not None and found.origin != genre.__file__
    if hidden:
        sys.path.insert(0, own)
    try:
        yield context
    finally:
        if hidden:  # what others have put on the path meanwhile stays
            sys.path.remove(own)


@contextmanager
def _processes(settings: ComputeParams, preload: Sequence[str]) -> Iterator[Workers]:
    from pebble import ProcessPool

    count = settings.workers or len(os.sched_getaffinity(0))
    os.environ.update(ONE_THREAD)
    with new_processes(preload) as context:
        pool = ProcessPool(count, context=context)

        def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = pool.schedule(
                work, args=arguments, timeout=settings.song_timeout_seconds
            )
            return future

        try:
            yield Workers(count, submit, shared_files=True)
            pool.close()
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.join()


@contextmanager
def _dask(settings: ComputeParams) -> Iterator[Workers]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ParameterError(
            "compute.engine is dask, which is not installed: pip install "
            "'music-genre-pipeline[dask]', or set compute.engine to local"
        ) from error
    address = settings.address
    if not address:
        raise ParameterError(
            "compute.address is empty, expected the address of a running Dask scheduler, such as "
            "tcp://127.0.0.1:8786"
        )
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise GenreError(
            f"compute.address {address}: no Dask scheduler answered within {CONNECT_SECONDS} s; "
            "start one (dask scheduler), mend the address, or set compute.engine to local"
        ) from error
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise GenreError(
                f"compute.address {address}: the scheduler has no workers; start some: "
                f"dask worker {address}"
            )
        threads = sum(worker["nthreads"] for worker in workers.values())
        # Pure: a song that another worker lost is computed again, never twice.
        executor = client.get_executor(pure=False)
        yield Workers(threads, partial(executor.submit), shared_files=False)
    finally:
        client.close()
