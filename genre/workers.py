"""Where songs are worked on: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from importlib.machinery import PathFinder
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genre
from genre.errors import AudioError, GenreError, ParameterError

if TYPE_CHECKING:
    from genre.params import ComputeParams

Source = Path | bytes

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
CONNECT_SECONDS = 8  # to reach a Dask scheduler


def core_count() -> int:
    """The cores that this process may use: by its affinity and by the CPU quota of its cgroup."""
    from joblib import cpu_count

    return int(cpu_count())


class Workers:
    """Where work is sent; made by `genre.compute.open_workers`.

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
        """`path` itself if workers see the same files, else what is in it.

        Raises `AudioError` if it cannot be read.
        """
        if self._shared_files:
            return path
        try:
            return path.read_bytes()
        except OSError as error:
            raise AudioError(f"cannot be opened ({error.strerror})") from error


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
def process_workers(settings: ComputeParams, preload: Sequence[str]) -> Iterator[Workers]:
    """Start processes of this machine; `preload` names modules that they will need."""
    from pebble import ProcessPool

    count = settings.workers or core_count()
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
def dask_workers(settings: ComputeParams) -> Iterator[Workers]:
    """Connect to a running Dask cluster. Raises `GenreError` if there is none at the address."""
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
        yield Workers(threads, partial(executor.submit), shared_files=False)
    finally:
        client.close()
