"""What `make up` makes of the deployments, whatever a person did to them in Prefect."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL

from flows import deployments, serve
from genre.params import load_params

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

NIGHTLY, EARLY, HOURLY = "0 3 * * *", "0 5 * * *", "0 * * * *"


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("serve"))
        deployments.SERVED.parent.mkdir()
        yield


@pytest.fixture
def up(project):
    """A function that does what the runner does when `make up` asks it to; returns its record."""
    params = load_params(project / "params.yaml")

    def apply(cron=NIGHTLY, classify_cron=""):
        retrain = params.retrain.model_copy(update={"cron": cron, "timezone": "UTC"})
        classify = params.classify.model_copy(update={"cron": classify_cron})
        changed = params.model_copy(update={"retrain": retrain, "classify": classify})
        served = asyncio.run(serve.apply(Runner(), changed))
        deployments.write_served(served)
        return served

    with get_client(sync_client=True) as client:  # as if nothing had been served before
        for name in serve.FLOWS:
            try:
                client.delete_deployment(client.read_deployment_by_name(f"{name}/{name}").id)
            except ObjectNotFound:
                continue
    deployments.SERVED.unlink(missing_ok=True)
    apply()
    return apply


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
    """Edit the schedule, as Prefect's page does."""
    deployment = known()
    path = f"/deployments/{deployment.id}/schedules/{deployment.schedules[0].id}"
    request("PATCH", path, changes)


def clear_schedules():
    """Delete every schedule, as `prefect deployment schedule clear` does."""
    for schedule in known().schedules:
        request("DELETE", f"/deployments/{known().id}/schedules/{schedule.id}")


def cron(text):
    return {"cron": text, "timezone": "UTC"}


def warnings():
    server = PREFECT_API_URL.value().removesuffix("/api")
    return deployments.warnings(server, deployments.read_served().crons)


def shell(command):
    """Type a command, as a message says it."""
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)


def test_a_paused_schedule_stays_paused_and_the_message_says_how_to_resume_it(up):
    edit_schedule(active=False)

    served = up()
    (warning,) = warnings()
    again = warnings() if up() else None

    assert served.messages == []
    assert schedules() == [(NIGHTLY, False)]
    assert warning.startswith("retrain is paused in Prefect; to resume it: PREFECT_API_URL=http")
    assert again == [warning]  # a message that was printed yesterday works today
    shell(warning.partition("to resume it: ")[2])
    up()
    assert schedules() == [(NIGHTLY, True)]
    assert warnings() == []


def test_a_schedule_that_was_edited_and_paused_stays_paused_with_the_cron_of_params_yaml(up):
    edit_schedule(schedule=cron(EARLY), active=False)

    served = up()

    assert schedules() == [(NIGHTLY, False)]
    assert served.messages == [
        f"retrain: the schedule '{EARLY}' (UTC) is replaced by retrain.cron, '{NIGHTLY}' (UTC)"
    ]


def test_an_edited_schedule_is_replaced_in_one_line_and_stays_active(up):
    edit_schedule(schedule=cron(EARLY))

    served = up()

    assert schedules() == [(NIGHTLY, True)]
    assert [line.count("is replaced by retrain.cron") for line in served.messages] == [1]
    assert up().messages == []


@pytest.mark.parametrize(
    ("timing", "text"),
    [({"interval": 3600}, "'1:00:00' (UTC)"), ({"rrule": "FREQ=DAILY"}, "FREQ=DAILY' (UTC)")],
    ids=["interval", "rrule"],
)
def test_a_schedule_of_another_kind_is_replaced_too(up, timing, text):
    edit_schedule(schedule=timing, active=False)

    served = up()

    assert schedules() == [(NIGHTLY, False)]
    assert f"{text} is replaced by retrain.cron" in served.messages[0]


def test_a_paused_schedule_stays_paused_when_the_cron_of_params_yaml_changes(up):
    edit_schedule(active=False)

    up(cron=HOURLY)

    assert schedules() == [(HOURLY, False)]


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("slug", [None, "mine"])
def test_a_second_schedule_is_removed_and_the_first_stays_as_it_was(up, active, slug):
    edit_schedule(active=active)
    more = [{"schedule": cron(EARLY), "active": True, "slug": slug}]
    request("POST", f"/deployments/{known().id}/schedules", more)

    served = up()

    assert schedules() == [(NIGHTLY, active)]
    assert "'0 5 * * *' (UTC) is replaced" in served.messages[0]


def test_a_deployment_whose_schedules_were_all_deleted_stays_off_until_it_is_resumed(up):
    clear_schedules()
    before = warnings()

    up()
    after = warnings()

    assert before[0].startswith("retrain is paused in Prefect (its schedule was deleted)")
    assert schedules() == [(NIGHTLY, False)]
    assert "to resume it: " in after[0]
    edit_schedule(active=True)
    up()
    assert schedules() == [(NIGHTLY, True)]


def test_a_schedule_that_a_person_made_in_place_of_the_deleted_one_counts_as_on(up):
    clear_schedules()
    request("POST", f"/deployments/{known().id}/schedules", [{"schedule": cron(EARLY)}])

    up()

    assert schedules() == [(NIGHTLY, True)]


def test_a_paused_deployment_stays_paused_and_the_message_says_how_to_resume_it(up):
    request("POST", f"/deployments/{known().id}/pause_deployment")

    up()
    (warning,) = warnings()

    assert known().paused
    shell(warning.partition("to resume it: ")[2])
    up()
    assert not known().paused
    assert warnings() == []


def test_a_deleted_deployment_is_created_again_as_params_yaml_says(up):
    edit_schedule(active=False)
    request("DELETE", f"/deployments/{known().id}")
    before = warnings()

    served = up()

    assert before == ["retrain is missing in Prefect and does not run; `make up` creates it again"]
    assert served.messages == ["retrain was missing in Prefect and is created again"]
    assert schedules() == [(NIGHTLY, True)]
    assert warnings() == []


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


def test_the_concurrency_limit_of_an_older_release_is_removed(up):
    deployment = known()
    request("PATCH", f"/deployments/{deployment.id}", {"concurrency_limit": 1})
    before = known().global_concurrency_limit

    up()

    assert before.limit == 1
    assert known().global_concurrency_limit is None


def test_a_cron_of_classify_takes_effect_when_it_is_set_and_ends_when_it_is_removed(up):
    without = schedules("classify")
    up(classify_cron=EARLY)
    on = schedules("classify")
    up()
    removed = schedules("classify")
    up(classify_cron=HOURLY)

    assert (without, on, removed) == ([], [(EARLY, True)], [])
    assert schedules("classify") == [(HOURLY, True)]


def test_a_schedule_of_an_older_release_is_recognised_by_being_the_only_one(up):
    clear_schedules()
    schedule = {"schedule": cron(NIGHTLY), "active": False}
    request("POST", f"/deployments/{known().id}/schedules", [schedule])
    deployments.SERVED.unlink()

    served = up()

    assert served.messages == []
    assert schedules() == [(NIGHTLY, False)]
