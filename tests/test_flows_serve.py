"""The deployments after `make up`, whatever was changed in Prefect."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL

from genre.core.params import load_params
from services import deployments, serve

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

NIGHTLY, EARLY, HOURLY = "0 3 * * *", "0 5 * * *", "0 * * * *"


@pytest.fixture
def up(project):
    """A function that does what the runner does on `make up`; returns the notes."""
    params = load_params(project / "params.yaml")

    def apply(cron=NIGHTLY, classify_cron=""):
        retrain = params.retrain.model_copy(update={"cron": cron, "timezone": "UTC"})
        classify = params.classify.model_copy(update={"cron": classify_cron})
        changed = params.model_copy(update={"retrain": retrain, "classify": classify})
        asyncio.run(serve.apply(Runner(), changed))
        return notes()

    with get_client(sync_client=True) as client:  # as if nothing had been served
        for name in serve.FLOWS:
            try:
                client.delete_deployment(client.read_deployment_by_name(f"{name}/{name}").id)
            except ObjectNotFound:
                continue
    assert apply() == []
    return apply


def notes():
    return deployments.notes(PREFECT_API_URL.value().removesuffix("/api"))


def known(name="retrain"):
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"{name}/{name}")


def schedules(name="retrain"):
    """Each schedule on the server: its cron, and whether it is active."""
    return [(one.schedule.cron, one.active) for one in known(name).schedules]


def request(method, path, body=None):
    with get_client(sync_client=True) as client:
        return client.request(method, path, json=body)


def edit_schedule(**changes):
    """Edit the schedule, as Prefect's UI does."""
    deployment = known()
    path = f"/deployments/{deployment.id}/schedules/{deployment.schedules[0].id}"
    request("PATCH", path, changes)


def clear_schedules():
    """Delete every schedule, as `prefect deployment schedule clear` does."""
    for schedule in known().schedules:
        request("DELETE", f"/deployments/{known().id}/schedules/{schedule.id}")


def cron(text):
    return {"cron": text, "timezone": "UTC"}


def shell(command):
    """Run a command of a message."""
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)


def test_a_paused_schedule_stays_paused_and_the_note_says_how_to_resume_it(up):
    edit_schedule(active=False)
    before = notes()

    (note,) = up()

    assert schedules() == [(NIGHTLY, False)]
    assert note.startswith("retrain is paused in Prefect; to resume it: PREFECT_API_URL=http")
    assert before == [note]  # the command stays the same
    shell(note.partition("to resume it: ")[2])
    assert up() == []
    assert schedules() == [(NIGHTLY, True)]


@pytest.mark.parametrize(
    ("timing", "text"),
    [
        (cron(EARLY), "0 5 * * * (UTC)"),
        ({"interval": 3600}, "every 3600.0 s (UTC)"),
        ({"rrule": "FREQ=DAILY"}, "FREQ=DAILY (UTC)"),
    ],
    ids=["cron", "interval", "rrule"],
)
def test_an_edited_schedule_is_kept_and_reported(up, timing, text):
    edit_schedule(schedule=timing)
    edited = known().schedules

    (note,) = up()

    assert known().schedules == edited
    assert note.startswith("retrain runs as edited in Prefect: ")
    assert note.endswith(f"{text}; params.yaml has {NIGHTLY} (UTC)")


def test_a_schedule_that_was_edited_and_paused_stays_so(up):
    edit_schedule(schedule=cron(EARLY), active=False)

    (note,) = up()

    assert schedules() == [(EARLY, False)]
    assert note.startswith("retrain is paused in Prefect; to resume it: ")


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("slug", [None, "mine"])
def test_a_new_cron_in_params_yaml_replaces_every_schedule_and_switches_none_on(up, active, slug):
    edit_schedule(active=active)
    more = [{"schedule": cron(EARLY), "active": active, "slug": slug}]
    request("POST", f"/deployments/{known().id}/schedules", more)

    up(cron=HOURLY)

    assert schedules() == [(HOURLY, active)]


def test_a_deployment_whose_schedules_were_all_deleted_stays_off(up):
    clear_schedules()

    (note,) = up()
    without = schedules()
    up(cron=HOURLY)

    assert note.startswith("retrain runs as edited in Prefect: no schedule; params.yaml has ")
    assert without == []
    assert schedules() == [(HOURLY, False)]


def test_a_paused_deployment_stays_paused_and_the_note_says_how_to_resume_it(up):
    request("POST", f"/deployments/{known().id}/pause_deployment")

    (note,) = up()

    assert known().paused
    shell(note.partition("to resume it: ")[2])
    assert up() == []
    assert not known().paused


def test_a_deleted_deployment_is_created_again_as_params_yaml_says(up):
    edit_schedule(active=False)
    request("DELETE", f"/deployments/{known().id}")
    before = notes()

    after = up()

    assert before == ["retrain is missing in Prefect and does not run; `make up` creates it again"]
    assert after == []
    assert schedules() == [(NIGHTLY, True)]


def test_a_deleted_flow_is_created_again_with_its_deployment(up):
    request("DELETE", f"/flows/{known().flow_id}")

    up()

    assert schedules() == [(NIGHTLY, True)]


def test_a_deployment_that_was_moved_to_a_work_pool_is_served_here_again(up):
    request("POST", "/work_pools/", {"name": "elsewhere", "type": "process"})
    request("PATCH", f"/deployments/{known().id}", {"work_pool_name": "elsewhere"})
    moved = known().work_pool_name

    up()

    assert moved == "elsewhere"
    assert known().work_pool_name is None


def test_a_cron_of_classify_takes_effect_when_it_is_set_and_ends_when_it_is_removed(up):
    without = schedules("classify")
    up(classify_cron=EARLY)
    on = schedules("classify")
    up()
    removed = schedules("classify")
    up(classify_cron=HOURLY)

    assert (without, on, removed) == ([], [(EARLY, True)], [])
    assert schedules("classify") == [(HOURLY, True)]
