"""The driver of DVC, tried on small projects with the real `dvc`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from flows_harness import CHAIN, add_song, alive, make_project, wait_until

from genre.errors import InputError
from tasks import dvc_command, pipeline, processes
from tasks.processes import EndedError, StepTimeoutError
from tasks.transcript import BusyError, Outcome, Said, Started, StepError

# A step with a worker which itself has a child, both deaf to SIGTERM.
LINGERING = (
    "trap '' TERM; (sleep 300 & echo $! > grandchild.pid; wait) & "
    "echo $! > child.pid; echo working; wait; touch data/catalogue"
)


def ignore(event):
    """Hear an event and do nothing."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose steps are all up to date."""
    root = make_project(tmp_path_factory.mktemp("finished"), models=("mlp", "cnn"))
    pipeline.reproduce(root, ignore)
    return root


def lingering_project(root):
    ingest = {**CHAIN["ingest"], "cmd": LINGERING}
    return make_project(root, {"ingest": ingest})


def lingers(root):
    """Whether both processes of a lingering step have told their ids."""
    files = root / "child.pid", root / "grandchild.pid"
    return all(file.exists() and file.read_text().strip() for file in files)


def assert_nothing_is_left(root):
    assert not alive(root / "child.pid")
    assert not alive(root / "grandchild.pid")


def test_stages_come_parents_first_and_a_matrix_gives_one_a_model(finished):
    stages = pipeline.stages(finished)

    assert {name: stage.parents for name, stage in stages.items()} == {
        "ingest": (),
        "spectrograms": ("ingest",),
        "features": ("ingest",),
        "train@mlp": ("features",),
        "train@cnn": ("features",),
    }
    assert next(iter(stages)) == "ingest"


@pytest.mark.slow
def test_a_broken_dvc_yaml_is_bad_input(tmp_path):
    root = make_project(tmp_path)
    (root / "dvc.yaml").write_text("stages: {ingest: {comand: true}}")

    with pytest.raises(InputError, match=r"dvc\.yaml"):
        pipeline.stages(root)


def test_a_step_runs_once_and_is_cached_the_second_time(tmp_path):
    root = make_project(tmp_path)
    lines = []

    first = pipeline.bring_up_to_date("ingest", root, on_line=lines.append)
    second = pipeline.bring_up_to_date("ingest", root)

    assert (first.stage, first.state, first.summary) == ("ingest", "ran", "2 songs in 1 genre")
    assert lines == ["reading", "2 songs in 1 genre"]
    assert second == Outcome("ingest", "cached")


@pytest.mark.slow
def test_a_forced_step_runs_again(tmp_path):
    root = make_project(tmp_path)
    pipeline.bring_up_to_date("ingest", root)

    again = pipeline.bring_up_to_date("ingest", root, force=True)

    assert (again.state, again.summary) == ("ran", "2 songs in 1 genre")


@pytest.mark.slow
def test_a_step_that_dvc_remembers_is_restored(tmp_path):
    root = make_project(tmp_path)
    pipeline.bring_up_to_date("ingest", root)
    add_song(root, "blues", "three")
    pipeline.bring_up_to_date("ingest", root)
    (root / "data/raw/blues/three.txt").unlink()

    outcome = pipeline.bring_up_to_date("ingest", root)

    assert outcome.state == "restored"
    assert (root / "data/catalogue").read_text() == "one\ntwo\n"


def test_exit_code_2_is_bad_input_with_the_steps_own_message(tmp_path):
    cmd = "echo hello; (echo 'error: params.yaml: seed is 1.5'; echo 'expected 1') >&2; exit 2"
    root = make_project(tmp_path, {"ingest": {**CHAIN["ingest"], "cmd": cmd}})

    with pytest.raises(InputError) as raised:
        pipeline.bring_up_to_date("ingest", root)

    assert str(raised.value) == "ingest: params.yaml: seed is 1.5\nexpected 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        ("echo 'ValueError: no' >&2; exit 1", r"ingest: ValueError: no \(exit code 1\)"),
        ("kill -9 $$", "ingest: ended by signal 9"),
        ("exit 3", r"ingest: it printed nothing \(exit code 3\)"),
        ("echo done", "ingest: .*data/catalogue"),  # the promised output is not there
    ],
)
def test_any_other_failure_may_be_tried_again(tmp_path, cmd, message):
    root = make_project(tmp_path, {"ingest": {**CHAIN["ingest"], "cmd": cmd}})

    with pytest.raises(StepError, match=message):
        pipeline.bring_up_to_date("ingest", root)


@pytest.mark.slow
def test_an_unknown_step_is_named(finished):
    with pytest.raises(StepError, match="mixdown"):
        pipeline.bring_up_to_date("mixdown", finished)


@pytest.mark.slow
def test_a_time_out_leaves_no_process_behind(tmp_path, monkeypatch):
    root = lingering_project(tmp_path)
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)

    with pytest.raises(StepTimeoutError, match="ingest: ran longer than 2 s"):
        pipeline.bring_up_to_date("ingest", root, timeout=2)

    assert_nothing_is_left(root)


@pytest.mark.slow
def test_ending_all_from_another_thread_leaves_no_process_behind(tmp_path, monkeypatch):
    root = lingering_project(tmp_path)
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    raised = []

    def wait():
        try:
            pipeline.bring_up_to_date("ingest", root)
        except EndedError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    with pytest.raises(KeyboardInterrupt), processes.ending_all_on_error():
        thread.start()
        wait_until(lambda: lingers(root))
        raise KeyboardInterrupt
    thread.join(30)

    assert len(raised) == 1
    assert_nothing_is_left(root)
    with processes.ending_all_on_error():  # a later run is not refused
        assert pipeline.stages(root).keys() == {"ingest"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_driver_leaves_no_process_behind(tmp_path, number, project):
    root = lingering_project(tmp_path)
    code = (
        "from pathlib import Path; from tasks import pipeline, processes; "
        "processes.GRACE_SECONDS = 0.3; pipeline.bring_up_to_date('ingest', Path())"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(project)},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: lingers(root))
    driver.send_signal(number)
    driver.wait(30)

    wait_until(lambda: not alive(root / "child.pid") and not alive(root / "grandchild.pid"))


@pytest.mark.slow
def test_a_process_that_a_step_leaves_in_the_background_is_ended(tmp_path):
    cmd = "sleep 300 & echo $! > child.pid; echo > data/catalogue; echo done"
    root = make_project(tmp_path, {"ingest": {**CHAIN["ingest"], "cmd": cmd}})

    outcome = pipeline.bring_up_to_date("ingest", root)

    assert (outcome.state, outcome.summary) == ("ran", "done")
    assert not alive(root / "child.pid")


@contextlib.contextmanager
def dvc_at_work(root):
    """Another DVC command holds the project's lock."""
    code = (
        "import zc.lockfile, time; lock = zc.lockfile.LockFile('.dvc/tmp/lock'); "
        "print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


@pytest.mark.slow
def test_a_lock_held_by_another_dvc_is_waited_for_and_then_named(tmp_path):
    root = make_project(tmp_path)
    with (
        dvc_at_work(root),
        pytest.raises(BusyError, match="another DVC command works in"),
    ):
        pipeline.bring_up_to_date("ingest", root, lock_wait=0)

    assert pipeline.bring_up_to_date("ingest", root).state == "ran"


@pytest.mark.slow
def test_a_collection_that_another_dvc_may_be_fetching_is_waited_for(tmp_path, monkeypatch):
    root = make_project(tmp_path)
    (root / "data/raw").rename(root / "elsewhere")
    monkeypatch.setattr(dvc_command, "LOCK_WAIT_SECONDS", 0.0)
    with (
        dvc_at_work(root),
        pytest.raises(BusyError, match="wait for it, then run the same again"),
    ):
        pipeline.restore_collection(root)

    pipeline.restore_collection(root)
    assert (root / "data/raw/blues/one.txt").exists()


@pytest.mark.slow
def test_a_step_that_another_dvc_is_running_is_waited_for(tmp_path):
    slow = {**CHAIN["ingest"], "cmd": "touch started; sleep 3; touch data/catalogue; echo done"}
    root = make_project(tmp_path, {"ingest": slow})
    lines = []
    other = threading.Thread(target=pipeline.bring_up_to_date, args=("ingest", root))
    other.start()
    wait_until((root / "started").exists)

    outcome = pipeline.bring_up_to_date("ingest", root, on_line=lines.append)

    other.join()
    assert outcome.state == "cached"
    assert any(line.startswith("waiting for another DVC command") for line in lines)


@pytest.mark.slow
def test_a_list_of_busy_files_that_a_kill_cut_off_stops_nobody(tmp_path):
    root = make_project(tmp_path)
    (root / ".dvc/tmp/rwlock").write_text('{"write": {"/so')

    assert pipeline.bring_up_to_date("ingest", root).state == "ran"


@pytest.mark.slow
def test_reproduce_tells_each_step_its_lines_and_its_end(tmp_path):
    root = make_project(tmp_path, models=("mlp", "cnn"))
    events = []

    outcomes = pipeline.reproduce(root, events.append)
    again = pipeline.reproduce(root, ignore)

    assert [(o.stage, o.state, o.summary) for o in outcomes] == [
        ("ingest", "ran", "2 songs in 1 genre"),
        ("spectrograms", "ran", "2 pictures"),
        ("features", "ran", "2 clips"),
        ("train@mlp", "ran", "trained"),
        ("train@cnn", "ran", "trained"),
    ]
    assert events[:3] == [
        Started("ingest"),
        Said("ingest", "reading"),
        Said("ingest", "2 songs in 1 genre"),
    ]
    assert events[3] == outcomes[0]
    assert {outcome.state for outcome in again} == {"cached"}


def test_a_failed_step_stops_only_what_depends_on_it(tmp_path):
    broken = {**CHAIN["features"], "cmd": "echo 'error: no clips' >&2; exit 2"}
    root = make_project(tmp_path, {**CHAIN, "features": broken}, models=("mlp", "cnn"))

    outcomes = {outcome.stage: outcome for outcome in pipeline.reproduce(root, ignore)}

    assert [(stage, outcome.state) for stage, outcome in outcomes.items()] == [
        ("ingest", "ran"),
        ("spectrograms", "ran"),
        ("features", "failed"),
        ("train@mlp", "skipped"),
        ("train@cnn", "skipped"),
    ]
    assert isinstance(outcomes["features"].error, InputError)
    assert str(outcomes["features"].error) == "features: no clips"


@pytest.mark.slow
def test_a_step_without_its_output_stops_only_what_depends_on_it(tmp_path):
    empty = {**CHAIN["features"], "cmd": "echo done"}
    root = make_project(tmp_path, {**CHAIN, "features": empty})

    outcomes = {outcome.stage: outcome for outcome in pipeline.reproduce(root, ignore)}

    assert {stage: outcome.state for stage, outcome in outcomes.items()} == {
        "ingest": "ran",
        "spectrograms": "ran",
        "features": "failed",
        "train@mlp": "skipped",
    }
    assert "data/features" in str(outcomes["features"].error)


@pytest.mark.slow
def test_the_collection_is_versioned_when_new_or_changed(tmp_path):
    root = make_project(tmp_path)
    before = (root / "data/raw.dvc").read_text()
    assert pipeline.version_collection(root) is False

    add_song(root, "jazz", "three")

    assert pipeline.version_collection(root) is True
    assert (root / "data/raw.dvc").read_text() != before
    assert pipeline.version_collection(root) is False


def test_an_absent_collection_is_not_versioned(tmp_path):
    root = make_project(tmp_path)
    (root / "data/raw").rename(root / "elsewhere")
    before = (root / "data/raw.dvc").read_text()

    assert pipeline.version_collection(root) is False
    assert (root / "data/raw.dvc").read_text() == before

    pipeline.restore_collection(root)
    assert (root / "data/raw/blues/one.txt").read_text() == "one\n"


@pytest.mark.slow
def test_a_collection_that_the_cache_does_not_hold_is_named(tmp_path):
    root = make_project(tmp_path)
    shutil.rmtree(root / "data/raw")
    shutil.rmtree(root / ".dvc/cache")

    with pytest.raises(InputError, match=r"data/raw\.dvc names a collection that is not here"):
        pipeline.restore_collection(root)
