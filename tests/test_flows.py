"""The flow retrain on a Prefect server for the tests, with small DVC projects."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest
import registry_project
from flows_harness import CHAIN, add_song, alive, make_project, wait_until, write_stages
from params_file import change_params
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed

from flows import artifacts as results
from flows import steps
from flows.retrain import WARNING, main, retrain
from genre import registry
from genre.core.errors import InputError
from genre.core.params import StepParams, load_params
from runner import pipeline, processes
from runner.pipeline import Stage
from tasks import register

pytestmark = pytest.mark.usefixtures("prefect_server")

LEVEL = {"accuracy": 0.714, "ci95": [0.57, 0.857], "n": 35}
METRICS = {
    "models": {"mlp": {"validation": {"song": LEVEL}}},
    "selected": "mlp",
    "protocol": "song",
}
RECEIPT = {
    "name": "m",
    "version": "3",
    "aliases": ["champion"],
    "champion": "3",
    "reason": "better: 0.7",
    "comparison": {
        **{"against": "2", "songs": 20, "groups": 18, "estimate": 0.1, "low": 0.02, "high": 0.2},
        **{"first": [0.7, 0.6, 0.8], "second": [0.6, 0.5, 0.7]},
    },
}
CATALOGUE = (
    "import pandas as pd; from pathlib import Path; "
    "paths = sorted(p.relative_to('data/raw').as_posix() for p in Path('data/raw').glob('*/*')); "
    "table = pd.DataFrame({'track_id': paths, 'path': paths, 'status': 'ok', 'reason': None}); "
    "table['genre'] = table['path'].str.partition('/')[0]; "
    "table.to_parquet('data/catalogue.parquet'); Path('data/catalogue').write_text(str(paths))"
)
INGEST = {**CHAIN["ingest"], "cmd": f'python -c "{CATALOGUE}"'}
WHOLE = {
    **CHAIN,
    "ingest": INGEST,
    "evaluate": {
        "cmd": f"mkdir -p reports/plots; echo '{json.dumps(METRICS)}' > reports/metrics.json; "
        "(echo actual,predicted; echo blues,blues; echo blues,jazz) > reports/plots/confusion.csv",
        "deps": ["models"],
        "outs": ["reports/metrics.json"],
    },
    "register": {
        "cmd": "if [ -e mlruns/registered.json ]; then echo 'unchanged: m version 3'; exit; fi; "
        f"echo '{json.dumps(RECEIPT)}' > mlruns/registered.json; echo 'm version 3'",
        "deps": ["reports/metrics.json"],
        "outs": [{"mlruns/registered.json": {"cache": False, "persist": True}}],
        "always_changed": True,  # it reads the registry each time, which DVC does not see
    },
}


def make_flow_project(root, project, stages):
    """A project whose retries wait only a moment."""
    make_project(root, stages)
    (root / "mlruns").mkdir()
    changes = {
        "train.models": ["mlp"],
        "retrain.retries": 2,
        "retrain.retry_delay_seconds": 0.1,
        "retrain.steps": {},
        "services.mlflow_port": 5999,
    }
    change_params(root, changes, start=project)
    return root


@pytest.fixture
def root(tmp_path, project, monkeypatch):
    """A project of one step."""
    make_flow_project(tmp_path, project, {"ingest": INGEST})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def twice(tmp_path_factory, project):
    """The states of two runs of the flow, one after the other, in one project."""
    with pytest.MonkeyPatch.context() as patch:
        root = make_flow_project(tmp_path_factory.mktemp("twice"), project, WHOLE)
        patch.chdir(root)
        yield root, retrain(return_state=True), retrain(return_state=True)


def ask(path, flow_run, **more):
    """Query the server's REST API about a flow run."""
    body = {"flow_runs": {"id": {"any_": [str(flow_run)]}}, **more}
    answer = httpx.post(f"{PREFECT_API_URL.value()}/{path}/filter", json=body)
    answer.raise_for_status()
    return answer.json()


def task_runs(state):
    """The task runs of the flow run that ended in `state`, by name, once all have arrived."""
    flow_run = state.state_details.flow_run_id

    def all_ended():
        names = [run["state_name"] for run in ask("task_runs", flow_run)]
        return not {"Pending", "Running", "Retrying"}.intersection(names)

    wait_until(all_ended)
    return {run["name"]: run for run in ask("task_runs", flow_run)}


def states(state):
    return {name: run["state_name"] for name, run in task_runs(state).items()}


def change(root, **steps):
    """Write `dvc.yaml` with some steps of the chain changed."""
    stages = {**CHAIN, "ingest": INGEST}
    write_stages(root, {name: {**stages[name], **changes} for name, changes in steps.items()})


def edit_params(root, **retrain_params):
    change_params(root, {f"retrain.{key}": value for key, value in retrain_params.items()})


def test_the_flow_runs_every_step_and_the_second_time_all_are_cached(twice):
    _, first, second = twice

    names = ["collect", *(name.replace("@", " ") for name in pipeline.stages(twice[0]))]
    around = {"collect": "Cached", "push": "Skipped"}
    assert states(first) == dict.fromkeys(names, "Completed") | around
    assert states(second) == dict.fromkeys(names, "Cached") | around
    assert (first.message, second.message) == ("m version 3", "nothing has changed")


def test_each_step_waits_for_its_parents_in_dvc_yaml(twice):
    root, first, _ = twice
    runs = task_runs(first)

    by_id = {run["id"]: name.replace(" ", "@") for name, run in runs.items()}
    waited_for = {
        by_id[run["id"]]: {by_id[parent["id"]] for parent in run["task_inputs"].get("wait_for", [])}
        for run in runs.values()
    }
    parents = {name: set(stage.parents) for name, stage in pipeline.stages(root).items()}
    last = parents.keys() - set().union(*parents.values())
    assert waited_for == {"collect": set(), **parents, "ingest": {"collect"}, "push": last}


def artifacts(state):
    """The artifacts of a flow run by key."""
    found = ask("artifacts", state.state_details.flow_run_id)
    return {artifact["key"]: re.sub(" +", " ", artifact["data"]) for artifact in found}


def test_the_artifacts_show_steps_figures_data_and_the_decision(twice):
    found = artifacts(twice[1])

    assert "| mlp | validation | 71.4 % | 57.0 to 85.7 | 35 |" in found[results.RESULTS]
    assert "| train@mlp | Completed | trained |" in found[results.RESULTS]
    assert "| version 3 (this run) | 0.700 | 0.600 to 0.800 |" in found[results.RESULTS]
    assert "| version 2 (champion then) | 0.600 | 0.500 to 0.700 |" in found[results.RESULTS]
    assert "| difference | +0.100 | +0.020 to +0.200 |" in found[results.RESULTS]
    assert "| **blues** | **1** | 1 |" in found[results.CONFUSION]
    assert "## 2 added" in found[results.DATA]
    assert "| blues/one.txt |" in found[results.DATA]
    assert "**m version 3, champion**" in found[results.DECISION]
    assert "(http://127.0.0.1:5999/#/models/m/versions/3)" in found[results.DECISION]
    assert "there is no MLflow store yet, and so no champion" in found[results.DECISION]


def test_a_run_without_changes_reports_the_decision_of_an_earlier_run(twice):
    found = artifacts(twice[2])

    assert "Nothing has changed." in found[results.DATA]
    assert "Nothing has changed since an earlier run, which decided:" in found[results.DECISION]
    assert "| version 3 (an earlier run) | 0.700 | 0.600 to 0.800 |" in found[results.RESULTS]


@pytest.mark.slow
def test_the_champion_is_looked_up_in_every_run(tmp_path):
    made = registry_project.make_project(tmp_path / "project")
    register.run(made.params, made.root)
    made.retrain(seed=1)
    register.run(made.params, made.root)
    registry.promote(made.params, made.root, "1")

    output = results.champion(made.receipt, made.params, made.root)
    made.store.client.delete_registered_model_alias("music-genre", "champion")
    without = results.champion(made.receipt, made.params, made.root)

    assert output == "`models:/music-genre@champion` is now version 1."
    assert "music-genre has no alias champion" in without


def test_only_the_step_register_runs_every_time_and_counts_as_cached(twice):
    root, _, second = twice
    runs = task_runs(second)

    assert pipeline.status(root) == {"register": pipeline.ALWAYS}
    assert runs["register"]["state"]["message"] == "m version 3"
    asked = {name for name, run in runs.items() if run["total_run_time"] > 0.5}
    assert asked <= {"collect", "register", "push"}


@pytest.fixture
def registration_warning(tmp_path, project, monkeypatch):
    """A project whose registration gives a warning."""
    receipt = {**RECEIPT, "warning": "version 2 is damaged: model.safetensors is not as it was"}
    register_step = {
        "cmd": f"echo '{json.dumps(receipt)}' > mlruns/registered.json; echo 'm version 3'",
        "outs": [{"mlruns/registered.json": {"cache": False}}],
        "deps": ["data/catalogue.parquet"],
    }
    ingest = {**INGEST, "outs": ["data/catalogue.parquet"]}
    make_flow_project(tmp_path, project, {"ingest": ingest, "register": register_step})
    monkeypatch.chdir(tmp_path)
    return receipt["warning"]


@pytest.mark.slow
def test_a_warning_of_the_registration_is_the_state_name_and_comes_first(registration_warning):
    state = retrain(return_state=True)

    (run,) = ask("flow_runs", state.state_details.flow_run_id)
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Warning")
    assert run["state"]["message"] == registration_warning
    found = artifacts(state)
    for key in (results.RESULTS, results.DECISION):
        assert found[key].startswith(f"## Warning\n\n{registration_warning}\n\n")
    deadline = time.monotonic() + 60
    while (messages := warnings_of(run["id"])) != [
        registration_warning
    ]:  # Prefect sends logs in batches
        assert time.monotonic() < deadline, messages
        time.sleep(0.5)


def warnings_of(flow_run):
    """What a flow run, not its tasks, logged as a warning."""
    logs = httpx.post(
        f"{PREFECT_API_URL.value()}/logs/filter",
        json={"logs": {"flow_run_id": {"any_": [flow_run]}, "level": {"ge_": 30, "le_": 30}}},
    ).json()
    return [log["message"] for log in logs if log["task_run_id"] is None]


@pytest.mark.usefixtures("root")
def test_make_retrain_prints_the_warning_on_stderr_and_ends_with_0(monkeypatch, capsys):
    warning = Completed(name=WARNING, message="version 2 is damaged")
    monkeypatch.setattr("flows.retrain.retrain", lambda *_, **__: warning)

    assert main([]) == 0
    assert capsys.readouterr().err == "warning: version 2 is damaged\n"


@pytest.mark.slow
def test_bad_input_of_the_step_register_is_not_retried(root):
    bad = "echo x >> tries; echo 'error: the store is missing' >&2; exit 2"
    stages = {"ingest": INGEST, "register": {"cmd": bad, "deps": ["data/catalogue"]}}
    write_stages(root, stages)

    state = retrain(return_state=True)

    assert (root / "tries").read_text().count("x") == 1
    assert state.message == "register: the store is missing"
    assert isinstance(state.result(raise_on_failure=False), InputError)


@pytest.mark.slow
def test_a_forced_run_runs_steps_that_are_up_to_date(root):
    pipeline.bring_up_to_date("ingest", root)

    forced = retrain(force=True, return_state=True)

    assert states(forced) == {"collect": "Cached", "ingest": "Completed", "push": "Skipped"}


@pytest.mark.slow
def test_new_songs_are_versioned_and_a_step_from_the_run_cache_is_restored(root):
    pipeline.bring_up_to_date("ingest", root)
    add_song(root, "jazz", "three")

    changed = retrain(return_state=True)
    shutil.rmtree(root / "data/raw/jazz")
    back = retrain(return_state=True)

    ran = {"collect": "Completed", "ingest": "Completed", "push": "Skipped"}
    assert states(changed) == ran
    assert states(back) == {**ran, "ingest": "Restored"}


@pytest.mark.slow
def test_a_failed_step_is_retried_and_then_succeeds(root):
    flaky = f"echo x >> tries; test $(wc -l < tries) -ge 3 || exit 1; {INGEST['cmd']}"
    change(root, ingest={"cmd": flaky})

    state = retrain(return_state=True)

    assert state.is_completed()
    assert (root / "tries").read_text().count("x") == 3
    assert task_runs(state)["ingest"]["run_count"] == 3


@pytest.mark.slow
def test_bad_input_is_not_retried_and_an_independent_branch_runs(root):
    bad = "echo x >> tries; echo 'error: no clips' >&2; exit 2"
    change(root, ingest={}, features={"cmd": bad}, train={}, spectrograms={})

    state = retrain(return_state=True)

    assert states(state) == {
        "collect": "Cached",
        "ingest": "Completed",
        "features": "Failed",
        "train mlp": "NotReady",
        "spectrograms": "Completed",
        "push": "Skipped",
    }
    assert (root / "tries").read_text().count("x") == 1
    assert state.is_failed()
    assert state.message == "features: no clips (not run: train@mlp)"
    assert isinstance(state.result(raise_on_failure=False), InputError)


@pytest.mark.slow
def test_a_time_out_is_retried_and_leaves_no_process_behind(root, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    change(root, ingest={"cmd": "(trap '' TERM; sleep 300) & echo $! >> pids; wait"})
    edit_params(root, steps={"ingest": {"step_timeout_seconds": 8.0, "retries": 1}})

    state = retrain(return_state=True)

    assert states(state)["ingest"] == "TimedOut"
    assert "ingest: ran longer than 8 s" in state.message
    pids = (root / "pids").read_text().split()
    assert len(pids) == 2
    for number, pid in enumerate(pids):
        (root / f"{number}.pid").write_text(pid)
        assert not alive(root / f"{number}.pid")


@pytest.mark.slow
def test_an_empty_collection_is_bad_input(root):
    shutil.rmtree(root / "data/raw")
    (root / "data/raw.dvc").unlink()

    state = retrain(return_state=True)

    assert states(state)["collect"] == "Failed"
    assert "the collection is empty" in state.message


def test_options_of_an_unknown_step_are_refused(root):
    edit_params(root, steps={"mixdown": {"retries": 1}})

    state = retrain(return_state=True)

    assert state.is_failed()
    assert "retrain.steps names mixdown" in state.message


def test_a_step_has_its_own_retries_back_off_and_time_out(project):
    params = load_params(project / "params.yaml").retrain
    own = StepParams(retries=3, retry_delay_seconds=2.0, step_timeout_seconds=9.0)
    params = params.model_copy(update={"steps": {"train": own}})

    train, timeout = steps.task_of(Stage("train@mlp", "Train", ()), params)
    trim, usual = steps.task_of(Stage("trim", "Trim", ()), params)

    assert (train.name, train.retries, train.retry_delay_seconds) == ("train", 3, [2, 4, 8])
    assert train.description == "Train"
    assert (timeout, usual) == (9.0, params.step_timeout_seconds)
    assert trim.retries == params.retries


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_flow_that_is_ended_leaves_no_process_behind(root, project, number):
    lingering = "(trap '' TERM; sleep 300 & echo $! > grandchild.pid; wait) & wait"
    change(root, ingest={"cmd": lingering}, spectrograms={})
    code = (
        "import sys; from runner import processes; processes.GRACE_SECONDS = 0.3; "
        "from flows.retrain import main; sys.exit(main())"
    )
    with (root / "log").open("wb") as log:
        flow = subprocess.Popen(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONPATH": str(project),
                "PREFECT_API_URL": PREFECT_API_URL.value(),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        pid_file = root / "grandchild.pid"
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60)
        flow.send_signal(number)
        flow.wait(60)

    wait_until(lambda: not alive(pid_file))
    assert "2 pictures" not in (root / "log").read_text()
