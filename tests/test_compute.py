"""Parallel work in processes or a Dask cluster; a failing song does not affect others."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import work
from flows_harness import wait_until
from params_file import with_families
from songs import write_collection

from genre.core.compute import Failed, Song, map_songs, open_workers
from genre.core.errors import GenreError, InputError, ParameterError, UnexpectedError
from genre.core.params import ComputeParams, load_params
from genre.core.workers import QUEUED_PER_WORKER
from runner.processes import is_alive
from tasks import features, ingest, spectrograms, trim

LOCAL = ComputeParams(engine="local", workers=2, address="", song_timeout_seconds=60.0)

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}


def songs(folder: Path, *texts: str) -> list[Song]:
    made = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.txt"
        path.write_text(text)
        made.append(Song(str(number), path, hashlib.sha256(text.encode()).hexdigest()))
    return made


def results(settings: ComputeParams, function: object, items: list[Song]) -> list[object]:
    with open_workers(settings, preload=["work"]) as workers:
        return [result for _, result in map_songs(workers, function, items, lambda _: None)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """A real Dask scheduler with two real worker processes; yields its address and their pids."""
    folder = tmp_path_factory.mktemp("dask")
    dask = [sys.executable, "-m", "dask"]
    file = folder / "scheduler.json"
    options = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    running = [subprocess.Popen([*dask, "scheduler", "--port", "0", *options], env=ENVIRONMENT)]
    options = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--nthreads", "1"]
    for name in ("one", "two"):
        place = ["--name", name, "--local-directory", str(folder / name), "--no-dashboard"]
        command = [*dask, "worker", *options, *place]
        running.append(subprocess.Popen(command, env=ENVIRONMENT))
    try:
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
            pids = list(client.run(os.getpid).values())
        yield address, pids
    finally:
        for process in reversed(running):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def on(address: str) -> ComputeParams:
    return LOCAL.model_copy(update={"engine": "dask", "address": address})


@pytest.mark.slow
def test_results_come_in_order_whatever_the_engine_and_the_number_of_workers(
    tmp_path: Path, cluster: tuple[str, list[int]]
) -> None:
    items = songs(tmp_path, *(f"song {number}" for number in range(20)))
    expected = [f"SONG {number}".encode() for number in range(20)]

    assert results(LOCAL, work.shout, items) == expected
    assert results(LOCAL.model_copy(update={"workers": 1}), work.shout, items) == expected
    assert results(on(cluster[0]), work.shout, items) == expected


def test_a_song_with_a_cached_result_is_not_processed(tmp_path: Path) -> None:
    items = songs(tmp_path, "a", "crash", "b")

    with open_workers(LOCAL, preload=["work"]) as workers:
        known = {"1": b"known"}
        found = map_songs(workers, work.shout, items, lambda song: known.get(song.name))
        assert [result for _, result in found] == [b"A", b"known", b"B"]


@pytest.mark.slow
def test_a_song_that_crashes_hangs_or_is_refused_does_not_affect_others(tmp_path: Path) -> None:
    settings = LOCAL.model_copy(update={"song_timeout_seconds": 3.0})
    items = songs(tmp_path, "a", "crash", "b", "hang", "c", "refuse", *"defg")

    found = results(settings, work.shout, items)

    assert found[1].reason.startswith("crashed its worker process (exit code -9)")
    assert found[3] == Failed("took longer than compute.song_timeout_seconds")
    assert found[5] == Failed("was refused")
    finished = [result for result in found if isinstance(result, bytes)]
    assert finished == [letter.encode() for letter in "ABCDEFG"]


@pytest.mark.slow
def test_an_unexpected_exception_sets_its_song_aside_and_the_others_are_computed(
    tmp_path: Path, in_new_project: Path, cluster: tuple[str, list[int]]
) -> None:
    items = songs(tmp_path, "a", "bug", "b")
    place = next(
        f"tests/work.py:{number}"
        for number, line in enumerate(Path(work.__file__).read_text().splitlines(), start=1)
        if "ZeroDivisionError" in line
    )

    for settings in (LOCAL, on(cluster[0])):
        found = results(settings, work.shout, items)

        assert found[0] == b"A"
        assert found[2] == b"B"
        assert found[1].reason == (
            f"failed with an unexpected ZeroDivisionError: a bug (in {place}; this is a defect of "
            "the program, please report it)"
        )
    log = (in_new_project / ".services/errors.log").read_text()
    assert log.count("Traceback (most recent call last)") == 2  # once per run
    assert 'raise ZeroDivisionError("a bug")' in log


def test_an_exception_of_most_songs_is_one_error_of_the_step(
    tmp_path: Path, in_new_project: Path
) -> None:
    items = songs(tmp_path, "a", "bug", "bug", "b", "bug")

    with pytest.raises(UnexpectedError) as raised:
        results(LOCAL, work.shout, items)

    assert not isinstance(raised.value, InputError)  # exit code 1
    message = str(raised.value)
    assert message.startswith(f"3 of 5 songs ({items[1].path} first) failed with the same unexp")
    assert message.endswith("This is a defect; the details are in .services/errors.log")
    assert (in_new_project / ".services/errors.log").read_text().count("Traceback") == 1


def test_two_songs_are_too_few_to_blame_the_step(tmp_path: Path, in_new_project: Path) -> None:
    del in_new_project
    found = results(LOCAL, work.shout, songs(tmp_path, "bug", "bug"))
    assert [type(result) for result in found] == [Failed, Failed]


def test_after_many_songs_without_a_result_the_rest_is_not_tried(
    tmp_path: Path, in_new_project: Path
) -> None:
    del in_new_project
    asked: list[str] = []

    with pytest.raises(UnexpectedError, match="20 of 20 songs"), open_workers(LOCAL) as workers:
        items = songs(tmp_path, *["bug"] * 100)
        for _ in map_songs(workers, work.shout, items, lambda song: asked.append(song.name)):
            pass

    assert len(asked) < 40


@pytest.mark.slow
def test_a_full_disk_or_memory_is_an_error_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        results(LOCAL, work.shout, songs(tmp_path, "a", "full"))
    with pytest.raises(MemoryError):
        results(LOCAL, work.shout, songs(tmp_path, "a", "big"))


def test_a_missing_or_changed_file_fails_alone(
    tmp_path: Path, cluster: tuple[str, list[int]]
) -> None:
    items = songs(tmp_path, "a", "b", "c")
    items[1].path.write_text("other")

    for settings in (LOCAL, on(cluster[0])):
        assert results(settings, work.shout, items)[1] == Failed("has changed")
    items[2].path.unlink()
    assert results(on(cluster[0]), work.shout, items)[2] == Failed(
        "cannot be opened (No such file or directory)"
    )


@pytest.mark.slow
def test_workers_import_the_code_of_this_process_whatever_is_first_on_the_path(
    tmp_path: Path,
) -> None:
    # As after MLflow has loaded a model, which brings a part of the package, and after other code
    # has started the server that workers are forked from.
    (tmp_path / "part/genre").mkdir(parents=True)
    for module in ("__init__", "errors"):
        (tmp_path / f"part/genre/{module}.py").write_text("")
    code = (
        "import multiprocessing, sys; from pathlib import Path\n"
        "import work; from test_compute import LOCAL, results, songs\n"
        "if __name__ == '__main__':\n"
        "    other = multiprocessing.get_context('forkserver').Process(target=print)\n"
        "    other.start(); other.join()\n"
        f"    sys.path.insert(0, {str(tmp_path / 'part')!r}); before = list(sys.path)\n"
        f"    print(results(LOCAL, work.shout, songs(Path({str(tmp_path)!r}), 'a')))\n"
        "    assert sys.path == before\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "[b'A']", done.stderr


def test_work_that_workers_cannot_import_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = types.ModuleType("nowhere")
    exec("def shout(source, content): pass", nowhere.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)

    with pytest.raises(GenreError, match="ended before they started to work"):
        results(LOCAL, nowhere.shout, songs(tmp_path, "a"))


def test_few_songs_are_in_flight_at_once(tmp_path: Path) -> None:
    items = songs(tmp_path, *(f"song {number}" for number in range(100)))
    asked: list[str] = []

    with open_workers(LOCAL, preload=["work"]) as workers:
        for done, _ in enumerate(
            map_songs(workers, work.shout, items, lambda song: asked.append(song.name)), start=1
        ):
            assert len(asked) <= done + QUEUED_PER_WORKER * LOCAL.workers


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_the_number_of_workers_respects_the_affinity_of_the_process() -> None:
    code = (
        "import os; from genre.core.workers import core_count; "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(core_count())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "1\n"


def test_workers_keep_to_one_thread(tmp_path: Path) -> None:
    assert results(LOCAL, work.threads, songs(tmp_path, "a")) == [b"1 1"]


@pytest.mark.slow
def test_no_worker_is_left_after_a_finished_or_aborted_run(tmp_path: Path) -> None:
    items = songs(tmp_path, *"abcdefgh")
    pids = {int(result.split()[1]) for result in results(LOCAL, work.slowly, items)}
    assert len(pids) == 2

    with pytest.raises(KeyboardInterrupt), open_workers(LOCAL, preload=["work"]) as workers:
        for _, result in map_songs(workers, work.slowly, items, lambda _: None):
            pids.add(int(result.split()[1]))
            raise KeyboardInterrupt

    assert len(pids) > 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_workers_end_with_a_parent_that_is_killed_amid_their_work(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "import work; from genre.core.compute import Song, map_songs, open_workers\n"
        "from test_compute import LOCAL\n"
        "if __name__ == '__main__':\n"
        "    songs = [Song(name, Path(name), '') for name in 'ab']\n"
        "    with open_workers(LOCAL, preload=['work']) as workers:\n"
        "        list(map_songs(workers, work.linger, songs, lambda _: None))\n"
    )
    for name in "ab":
        (tmp_path / name).touch()
    parent = psutil.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    wait_until(lambda: all((tmp_path / name).read_text() for name in "ab"))
    workers = [psutil.Process(int((tmp_path / name).read_text())) for name in "ab"]

    parent.kill()
    parent.wait(30)

    wait_until(lambda: not any(is_alive(worker) for worker in workers))


@pytest.mark.slow
def test_a_dask_worker_that_dies_costs_only_its_unfinished_songs(
    tmp_path: Path, cluster: tuple[str, list[int]]
) -> None:
    address, pids = cluster
    items = songs(tmp_path, *(f"song{number}" for number in range(30)))
    found = []

    with open_workers(on(address), preload=["work"]) as workers:
        for number, (_, result) in enumerate(
            map_songs(workers, work.slowly, items, lambda _: None)
        ):
            found.append(result)
            if number == 5:
                os.kill(pids[0], signal.SIGKILL)

    assert [result.split()[0] for result in found] == [f"song{n}".encode() for n in range(30)]
    done_by = [int(result.split()[1]) for result in found]
    assert pids[1] in done_by[-5:]  # a third worker, started in its place, may help it
    assert pids[0] not in done_by[-5:]


@pytest.mark.slow
def test_the_steps_write_the_same_bytes_on_a_cluster_without_shared_files(
    tmp_path: Path, project: Path, cluster: tuple[str, list[int]]
) -> None:
    params = with_families(load_params(project / "params.yaml"), "report")
    written = []
    for name, compute in (("local", LOCAL), ("dask", on(cluster[0]))):
        root = tmp_path / name
        write_collection(root / "data/raw", songs=3)
        for step in (ingest, trim, spectrograms, features):
            step.run(params.model_copy(update={"compute": compute}), root)
        files = (path for path in sorted((root / "data").rglob("*")) if path.is_file())
        written.append({str(f.relative_to(root)): f.read_bytes() for f in files})

    tables = 2 + 1 + 2  # of ingest, the choice of families, of features
    assert len(written[0]) == 3 * 6 + tables  # songs, clips, spectrograms
    assert written[0] == written[1]


@pytest.mark.slow
def test_a_scheduler_that_does_not_respond_is_a_clear_error_within_ten_seconds() -> None:
    start = time.monotonic()

    with pytest.raises(GenreError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler responded"):
        results(on("tcp://127.0.0.1:9"), work.shout, [])

    assert time.monotonic() - start < 10


def test_no_address_and_a_wrong_address_are_named() -> None:
    with pytest.raises(ParameterError, match=r"compute\.address is empty"):
        results(on(""), work.shout, [])
    with pytest.raises(GenreError, match="nonsense"):
        results(on("nonsense"), work.shout, [])
