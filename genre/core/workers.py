"""Workers: local processes, a Dask cluster, or this process itself.

Local processes come from a Pebble pool, which kills a process that takes too long and replaces one
that crashed. They use one thread each, ignore Ctrl-C, and end with the parent process.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, TypeVar

import genre
from genre.core.errors import GenreError, ParameterError

Item = TypeVar("Item")
Sent = TypeVar("Sent")

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
QUEUED_PER_WORKER = 4  # keeps workers busy and bounds memory
CONNECT_SECONDS = 8  # to reach a Dask scheduler


class WorkerError(GenreError):
    """A worker crashed or was killed before it returned a result."""


@dataclass(frozen=True)
class Workers:
    """A pool of workers: `submit(work, *arguments)` returns a future.

    `in_flight` is how many calls to submit before waiting for a result; `shared_files` whether
    workers can read local files.
    """

    submit: Callable[..., Future[Any]]
    in_flight: int
    shared_files: bool = True


def core_count() -> int:
    """The number of cores that this process may use (affinity and cgroup quota)."""
    from joblib import cpu_count

    return int(cpu_count())


def in_order(
    workers: Workers, items: Iterable[Item], send: Callable[[Item], Sent]
) -> Iterator[tuple[Item, Sent]]:
    """Yield each of `items`, in order, with what `send` returned for it: a future, or a result.

    At most `workers.in_flight` items are sent ahead. If the caller stops early, the remaining
    futures are cancelled.
    """
    waiting: deque[tuple[Item, Sent]] = deque()
    try:
        for item in items:
            waiting.append((item, send(item)))
            if len(waiting) >= workers.in_flight:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, sent in waiting:
            if isinstance(sent, Future):
                sent.cancel()


def result(future: Future[Any]) -> Any:
    """Return the result of a future, or raise its exception.

    Raises `WorkerError` if its worker crashed or timed out, `GenreError` if no worker can start.
    """
    from pebble import ProcessExpired

    try:
        return future.result()
    except ProcessExpired as error:
        why = f"crashed its worker process (exit code {error.exitcode}): damaged, or too large"
        raise WorkerError(why) from error
    except TimeoutError as error:
        raise WorkerError("took longer than compute.song_timeout_seconds") from error
    except BrokenProcessPool as error:
        raise GenreError(
            "the worker processes ended before they started to work; see what they printed above"
        ) from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask's, which may not be installed
            raise WorkerError("crashed its worker repeatedly: damaged, or too large") from error
        raise


def this_process() -> Workers:
    """Return workers that run in this process, for work too small to start processes for."""

    def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    return Workers(submit, in_flight=1)


@contextmanager
def new_processes(preload: Sequence[str] = ()) -> Iterator[BaseContext]:
    """Yield a multiprocessing context whose processes import the same `genre` as this one.

    `preload` names modules to import first. New processes search `sys.path`, where MLflow puts the
    code of each loaded model first: the part of `genre` that predictions need, and not workers.
    """
    # Not fork: the threads of numpy and torch do not survive it.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["genre.core.compute", *preload])
    own = str(Path(__file__).parents[2])
    found = PathFinder.find_spec("genre")
    shadowed = found is not None and found.origin != genre.__file__
    if shadowed:
        sys.path.insert(0, own)
    try:
        yield context
    finally:
        if shadowed:  # other additions to the path stay
            sys.path.remove(own)


@contextmanager
def process_workers(
    count: int, *, preload: Sequence[str] = (), timeout: float | None = None
) -> Iterator[Workers]:
    """Start `count` local processes (0: one per core), and stop them at the end.

    `preload` names modules to import first; `timeout` is in seconds per call.
    """
    from pebble import ProcessPool

    count = count or core_count()
    os.environ.update(ONE_THREAD)
    with new_processes(preload) as context:
        pool = ProcessPool(count, context=context, initializer=_end_with_parent)

        def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = pool.schedule(work, args=arguments, timeout=timeout)
            return future

        try:
            yield Workers(submit, in_flight=QUEUED_PER_WORKER * count)
            pool.close()
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.join()


def _end_with_parent() -> None:
    """Exit as soon as the parent process has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def dask_workers(address: str) -> Iterator[Workers]:
    """Connect to a running Dask cluster. Raises `GenreError` if there is none at the address."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ParameterError(
            "compute.engine is dask, which is not installed: pip install "
            "'music-genre-pipeline[dask]', or set compute.engine to local"
        ) from error
    if not address:
        raise ParameterError(
            "compute.address is empty, expected the address of a running Dask scheduler, such as "
            "tcp://127.0.0.1:8786"
        )
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise GenreError(
            f"compute.address {address}: no Dask scheduler responded within {CONNECT_SECONDS} s; "
            "start one (dask scheduler), fix the address, or set compute.engine to local"
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
        yield Workers(executor.submit, in_flight=QUEUED_PER_WORKER * threads, shared_files=False)
    finally:
        client.close()
