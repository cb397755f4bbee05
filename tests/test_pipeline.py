"""Running DVC, on small projects with the real `dvc`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading

import pytest
import yaml
from flows_harness import CHAIN, add_song, dvc, make_project, wait_until

from genre.core.errors import InputError
from runner import dvc_command, pipeline
from runner.dvc_command import BusyError
from tasks.io.outcomes import Outcome, StepError


def ignore(line):
    """Ignore a line."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose steps are all up to date, with their outcomes and output."""
    root = make_project(tmp_path_factory.mktemp("finished"), models=("mlp", "cnn"))
    lines = []
    return root, pipeline.reproduce(root, lines.append), lines


def project_of_one(root, cmd):
    return make_project(root, {"ingest": {**CHAIN["ingest"], "cmd": cmd}})


def test_stages_are_sorted_parents_first_with_one_per_matrix_value(finished):
    stages = pipeline.stages(finished[0])

    assert {name: set(stage.parents) for name, stage in stages.items()} == {
        "ingest": set(),
        "spectrograms": {"ingest"},
        "features": {"ingest"},
        "train@mlp": {"features"},
        "train@cnn": {"features"},
    }
    names = list(stages)
    assert all(
        names.index(parent) < names.index(name)
        for name, stage in stages.items()
        for parent in stage.parents
    )


def test_the_steps_of_this_project_are_those_of_dvc(project):
    known = dvc(project, "stage", "list", "--name-only").split()

    assert list(pipeline.descriptions(project)) == known
    assert all(pipeline.descriptions(project).values())


@pytest.mark.slow
def test_a_broken_dvc_yaml_is_bad_input(tmp_path):
    root = make_project(tmp_path)
    (root / "dvc.yaml").write_text("stages: {ingest: {comand: true}}")

    with pytest.raises(InputError, match=r"dvc\.yaml"):
        pipeline.reproduce(root, ignore)


def test_a_step_runs_once_and_is_cached_the_second_time(tmp_path):
    root = make_project(tmp_path)
    lines = []

    first = pipeline.bring_up_to_date("ingest", root, on_line=lines.append)
    second = pipeline.bring_up_to_date("ingest", root)

    assert (first.stage, first.state, first.summary) == ("ingest", "ran", "2 songs in 1 genre")
    assert lines[:3] == ["ingest …", "reading", "2 songs in 1 genre"]
    assert lines[3:] == [f"ingest: {first.seconds:.1f} s"]
    assert second == Outcome("ingest", "cached")


@pytest.mark.slow
def test_a_step_in_the_run_cache_is_restored_and_a_forced_one_runs(tmp_path):
    root = make_project(tmp_path)
    pipeline.bring_up_to_date("ingest", root)
    add_song(root, "blues", "three")
    pipeline.bring_up_to_date("ingest", root)
    (root / "data/raw/blues/three.txt").unlink()

    assert pipeline.bring_up_to_date("ingest", root) == Outcome("ingest", "restored")
    assert (root / "data/catalogue").read_text() == "one\ntwo\n"
    assert pipeline.bring_up_to_date("ingest", root, force=True).state == "ran"


def test_exit_code_2_is_bad_input_with_the_steps_own_message(tmp_path):
    cmd = "echo hello; (echo 'error: params.yaml: seed is 1.5'; echo 'expected 1') >&2; exit 2"
    root = project_of_one(tmp_path, cmd)

    with pytest.raises(InputError) as raised:
        pipeline.bring_up_to_date("ingest", root)

    assert str(raised.value) == "ingest: params.yaml: seed is 1.5\nexpected 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        ("echo 'error: no' >&2; exit 1", "ingest: no"),
        ("kill -9 $$", "ingest: was killed"),
        ("echo done", "ingest: .*data/catalogue"),  # the output is missing
    ],
)
def test_any_other_failure_may_be_retried(tmp_path, cmd, message):
    root = project_of_one(tmp_path, cmd)

    with pytest.raises(StepError, match=message):
        pipeline.bring_up_to_date("ingest", root)


@pytest.mark.slow
def test_a_step_that_cannot_start_has_the_exit_code_of_dvc(tmp_path):
    root = make_project(tmp_path)
    stages = {"ingest": {**CHAIN["ingest"], "cmd": "exit 3"}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))

    with pytest.raises(StepError, match=r"ingest: .*failed to run: exit 3, exited with 3"):
        pipeline.bring_up_to_date("ingest", root)
    with pytest.raises(StepError, match="mixdown"):
        pipeline.bring_up_to_date("mixdown", root)


@contextlib.contextmanager
def dvc_running(root):
    """Another DVC command holds the project's lock."""
    code = (
        "import fcntl, time; file = open('.dvc/tmp/lock', 'a'); "
        "fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


@pytest.mark.slow
def test_a_lock_held_by_another_dvc_is_waited_for_and_then_named(tmp_path, monkeypatch):
    root = make_project(tmp_path)
    (root / "data/raw").rename(root / "elsewhere")
    monkeypatch.setattr(dvc_command, "LOCK_WAIT_SECONDS", 0.0)
    with (
        dvc_running(root),
        pytest.raises(BusyError, match=r"another DVC command runs in .* then try again"),
    ):
        pipeline.restore_collection(root)

    pipeline.restore_collection(root)
    assert (root / "data/raw/blues/one.txt").exists()


@pytest.mark.slow
def test_a_step_that_another_dvc_is_running_is_waited_for(tmp_path):
    root = project_of_one(tmp_path, "touch started; sleep 4; touch data/catalogue; echo done")
    lines = []
    other = threading.Thread(target=pipeline.bring_up_to_date, args=("ingest", root))
    other.start()
    wait_until((root / "started").exists)

    outcome = pipeline.bring_up_to_date("ingest", root, on_line=lines.append)

    other.join()
    assert (outcome.state, outcome.summary) == ("ran", "done")
    assert "waiting for another DVC command (PID " in lines[0]
    assert "dvc repro --single-item ingest" in lines[0]
    assert set(lines) == {lines[0]}


def test_reproduce_passes_output_on_and_returns_how_each_step_ended(finished):
    root, outcomes, lines = finished

    again = pipeline.reproduce(root, ignore)

    assert [(o.stage, o.state, o.summary) for o in outcomes] == [
        ("ingest", "ran", "2 songs in 1 genre"),
        ("spectrograms", "ran", "2 pictures"),
        ("features", "ran", "2 clips"),
        ("train@mlp", "ran", "trained"),
        ("train@cnn", "ran", "trained"),
    ]
    assert lines[:3] == ["ingest …", "reading", "2 songs in 1 genre"]
    assert len(lines) == 4 * 3 + 4  # none of DVC's own
    assert {outcome.state for outcome in again} == {"cached"}


@pytest.mark.parametrize(
    ("cmd", "kind", "message"),
    [
        ("echo 'error: no clips' >&2; exit 2", InputError, "features: no clips"),
        pytest.param("echo done", StepError, "data/features", marks=pytest.mark.slow),
    ],
)
def test_a_failed_step_stops_only_what_depends_on_it(tmp_path, cmd, kind, message):
    broken = {**CHAIN["features"], "cmd": cmd}
    root = make_project(tmp_path, {**CHAIN, "features": broken}, models=("mlp", "cnn"))

    outcomes = {outcome.stage: outcome for outcome in pipeline.reproduce(root, ignore)}

    assert [(stage, outcome.state) for stage, outcome in outcomes.items()] == [
        ("ingest", "ran"),
        ("spectrograms", "ran"),
        ("features", "failed"),
        ("train@mlp", "skipped"),
        ("train@cnn", "skipped"),
    ]
    assert isinstance(outcomes["features"].error, kind)
    assert message in str(outcomes["features"].error)


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


@pytest.mark.slow
def test_a_collection_that_the_cache_does_not_hold_is_named(tmp_path):
    root = make_project(tmp_path)
    shutil.rmtree(root / "data/raw")
    shutil.rmtree(root / ".dvc/cache")

    with pytest.raises(InputError, match=r"data/raw\.dvc refers to a collection that is missing"):
        pipeline.restore_collection(root)
