"""Retraining with an inbox, a remote, and another retraining running, on a Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from flows_harness import add_song, dvc, write_stages
from prefect.settings import PREFECT_API_URL
from test_flows import INGEST, artifacts, edit_params, make_flow_project, states

from flows import artifacts as results
from flows.retrain import LOCK, retrain
from flows.single_instance import single_instance
from genre.collection import inbox

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def root(tmp_path, project, monkeypatch):
    """A project of one step, whose inbox is read at once."""
    make_flow_project(tmp_path, project, {"ingest": INGEST})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    # `genre add` runs in a process of its own.
    site = tmp_path.parent / f"{tmp_path.name}-site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from genre.collection import inbox\ninbox.QUIET_SECONDS = 0.0\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(project)]))
    return tmp_path


def put(root, name, content):
    path = root / "data/inbox" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def test_songs_of_the_inbox_are_added_versioned_and_listed(root):
    put(root, "jazz/three.mp3", "three")

    state = retrain(return_state=True)

    assert state.is_completed()
    assert states(state) == {"collect": "Completed", "ingest": "Completed", "push": "Skipped"}
    assert names(root / "data/raw") == ["blues/one.txt", "blues/two.txt", "jazz/three.mp3"]
    assert names(root / "data/inbox") == []
    assert "data/raw.dvc" in dvc(root, "status") or "up to date" in dvc(root, "status")
    assert "| jazz/three.mp3 |" in artifacts(state)[results.DATA]


def test_a_failed_step_keeps_the_song_and_the_next_run_continues(root):
    put(root, "jazz/three.mp3", "three")
    write_stages(root, {"ingest": {**INGEST, "cmd": "echo 'error: no' >&2; exit 2"}})
    failed = retrain(return_state=True)
    write_stages(root, {"ingest": INGEST})

    after = retrain(return_state=True)

    assert failed.is_failed()
    assert states(failed)["collect"] == "Completed"
    assert "jazz/three.mp3" in names(root / "data/raw")
    assert states(after)["ingest"] == "Completed"
    assert "| jazz/three.mp3 |" in artifacts(after)[results.DATA]


def test_files_that_cannot_be_added_stay_in_the_inbox_and_retraining_continues(root):
    put(root, "jazz/notes.pdf", "no song")

    state = retrain(return_state=True)

    assert state.is_completed()
    assert names(root / "data/inbox") == ["jazz/notes.pdf"]


def test_an_inbox_elsewhere_that_is_missing_is_bad_input(root):
    edit_params(root, inbox="/nowhere/music")

    state = retrain(return_state=True)

    assert states(state)["collect"] == "Failed"
    assert "retrain.inbox is /nowhere/music: no such folder" in state.message


def test_songs_are_pushed_to_the_default_remote_even_when_a_step_fails(root, tmp_path):
    store = tmp_path.parent / f"{tmp_path.name}-remote"
    dvc(root, "remote", "add", "-d", "store", str(store))
    write_stages(root, {"ingest": {**INGEST, "cmd": "echo 'error: no' >&2; exit 2"}})

    failed = retrain(return_state=True)
    write_stages(root, {"ingest": INGEST})
    passed, again = retrain(return_state=True), retrain(return_state=True)

    assert (states(failed)["ingest"], states(failed)["push"]) == ("Failed", "Completed")
    assert (states(passed)["push"], states(again)["push"]) == ("Completed", "Cached")
    assert dvc(root, "status", "--cloud").strip().endswith("in sync.")


def test_a_remote_that_cannot_be_reached_fails_the_push_alone_and_hides_its_password(root):
    edit_params(root, retries=0)
    dvc(root, "remote", "add", "-d", "gone", "http://ann:hunter2@127.0.0.1:9/store")

    state = retrain(return_state=True)

    assert state.is_failed()
    assert (states(state)["ingest"], states(state)["push"]) == ("Completed", "Failed")
    assert "dvc push" in state.message
    assert "hunter2" not in state.message


def test_a_second_retraining_is_cancelled_and_changes_nothing(root):
    add_song(root, "jazz", "three")
    with single_instance(root / LOCK):
        second = subprocess.run(
            [sys.executable, "-m", "flows.retrain"],
            env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert second.returncode == 1
    assert "another retraining is running (process" in second.stdout + second.stderr
    assert not (root / "data/catalogue").exists()


def test_the_lock_is_free_again_when_its_holder_was_killed(root):
    code = "import time; from flows.retrain import LOCK, single_instance\n"
    code += "with single_instance(LOCK): print('held', flush=True); time.sleep(300)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()

    with single_instance(root / LOCK):
        assert str(os.getpid()) in (root / LOCK).read_text()


def test_the_parameters_of_a_run_are_source_and_force():
    assert set(retrain.parameters.properties) == {"source", "force"}
