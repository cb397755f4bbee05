"""Actions of users and programs in random order: every command then agrees with MLflow.

Three ways of use and one change made by other means, drawn with `--seed`; all of them in
`make soak`. The expected values come from MLflow's own client.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Draws
from flows_harness import wait_until
from services_harness import free_port
from trained_project import Reply, TrainedProject
from user_actions import CHANGES, NAME, WAYS, Registry, Step, Use, parameter_changed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CHECKOUT = Path(__file__).parent.parent
FEW_CHANGES = 1  # and a parameter, which `use` changes
RUN, RETRAIN = ("make", "run"), ("make", "retrain")
ALIASES = {"champion", "challenger", "previous"}
WAY_OUT = re.compile(r"(?:\.venv/bin/(?:genre|dvc|mlflow|python)|make) [a-z-]+")
RESTORED = re.compile(r"\.venv/bin/genre (?:rollback|promote (?:VERSION|\d+))")
DEFECT = re.compile(r"Traceback|unexpected \w+")
PRINTED = re.compile(rf"{NAME} version (\d+)[,:] ([a-z, ]+)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Draw the actions and their order."""
    draws = Draws(metafunc.config.getoption("soak"), metafunc.config.getoption("seed"))
    random = draws.random()
    changes = random.sample(CHANGES, draws.count(FEW_CHANGES, len(CHANGES)))
    steps = random.sample([*WAYS, *changes], len(WAYS) + len(changes))
    metafunc.parametrize("step", steps, ids=lambda step: step.__name__)


@pytest.fixture(scope="module")
def use(
    tmp_path_factory: pytest.TempPathFactory, session_folder: Path, draws: Draws
) -> Iterator[Use]:
    """A project whose first run makes a second version, and a Prefect server that its flows use."""
    project = TrainedProject(CHECKOUT, tmp_path_factory.mktemp("ordinary"), session_folder)
    found = Use(project, draws.random())
    parameter_changed(found)
    with prefect_server(project):
        yield found


@contextlib.contextmanager
def prefect_server(project: TrainedProject) -> Iterator[None]:
    """A Prefect server on a free port, which the project's flows use."""
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (project.home / "prefect.log").open("w") as log:
        server = subprocess.Popen(
            [project.root / ".venv/bin/python", *command],
            cwd=project.root,
            env=project.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: responds(f"{address}/health"), 120)
        project.variables["PREFECT_API_URL"] = address
        yield
    finally:
        server.terminate()
        server.wait(60)


def responds(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def test_after_each_step_every_command_reports_what_mlflow_holds(step: Step, use: Use) -> None:
    undo = step(use)
    try:
        every_command_reports_what_mlflow_holds(use)
    finally:
        if undo:
            undo()
        make_usable(use)


def every_command_reports_what_mlflow_holds(use: Use) -> None:
    """Compare what the commands print with what MLflow holds, before and after a run."""
    run = " ".join(use.random.choice([RUN, RUN, RUN, RETRAIN]))  # a retraining takes longer
    before = use.registry()
    commands = ("classify {song} --json", "check", "models --json", "models --history --json")
    asked = [f"genre {command}".format(song=use.project.song) for command in commands]

    *replies, ran = use.project.ask(*asked, run)

    print(*replies, ran, sep="\n")
    use.forget_client()
    after = use.registry()
    for reply in (*replies, ran):
        assert not DEFECT.search(reply.out + reply.err), str(reply)
    classified, checked, listed, history = replies
    is_usable = use.is_usable(before.champion)
    for reply in (classified, checked):
        if is_usable:
            assert reply.code == 0, str(reply)
        else:
            refused_with_a_way_out(reply)
    if is_usable:
        assert json.loads(classified.out)[0]["model_version"] == before.champion
        assert checked.out.startswith(f"{NAME} version {before.champion}:")
    lists(listed, before)
    if before.versions:
        promoted = {row["version"] for row in json.loads(history.out)}
        assert promoted <= set(before.versions), str(history)
    reports_the_registry(ran, after, use)


def refused_with_a_way_out(reply: Reply) -> None:
    """One line, with a command to run."""
    assert reply.code == 2, str(reply)
    assert len(reply.err.splitlines()) == 1, str(reply)
    assert WAY_OUT.search(reply.err), str(reply)


def lists(reply: Reply, registry: Registry) -> None:
    """`genre models --json` names the versions and aliases that MLflow holds, and no others."""
    if not registry.versions:
        assert reply.code == 2 or json.loads(reply.out) == [], str(reply)
        return
    rows = {row["version"]: set(row["aliases"]) for row in json.loads(reply.out)}
    assert rows == {version: registry.aliases_of(version) for version in registry.versions}


def reports_the_registry(ran: Reply, after: Registry, use: Use) -> None:
    """A run names an existing version with its aliases, or prints a command that helps."""
    printed = ran.out + ran.err
    found = PRINTED.findall(printed)
    for version, words in found:
        assert version in after.versions, str(ran)
        aliases = ALIASES & set(re.findall(r"\w+", words))
        assert aliases == after.aliases_of(version) & ALIASES, str(ran)
    assert ran.code in (0, 2), str(ran)
    assert found or ran.code or ran.command == RETRAIN, str(ran)
    if ran.code == 2 or not use.is_usable(after.champion):
        assert WAY_OUT.search(printed), str(ran)


def make_usable(use: Use) -> None:
    """If no champion can be used, run the command that `genre check` prints."""
    now = use.registry()
    if use.is_usable(now.champion):
        return
    (refused,) = use.project.ask("genre check")
    usable = next(version for version in now.versions if use.is_usable(version))
    try:
        (command, *_) = RESTORED.findall(refused.err) or [""]
        assert command, str(refused)
        use.project.shell(command.replace("VERSION", usable))
        assert use.is_usable(use.registry().champion)
    finally:  # the next action begins with a champion
        if not use.is_usable(use.registry().champion):
            use.client.set_registered_model_alias(NAME, "champion", usable)
