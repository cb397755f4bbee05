"""What `make up` tells the server each time it begins to serve, and what it leaves as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL

from flows import serve
from flows.retrain import retrain

pytestmark = pytest.mark.usefixtures("prefect_server")

NIGHTLY, HOURLY = Cron("0 3 * * *", timezone="UTC"), Cron("0 * * * *", timezone="UTC")


@pytest.fixture
def api():
    with serve.client(PREFECT_API_URL.value()) as client:
        yield client


def begin(api, *schedules):
    """Tell the server of the deployment, as `serve` does; return what it then knows."""
    before = serve.settle(api, serve.NAME, datetime.now(UTC))
    left = serve.as_left(list(schedules), before)
    serve.deployment(retrain, serve.NAME, left, paused=serve.is_paused(before)).apply()
    return known(api)


def known(api):
    return api.get("/deployments/name/retrain/retrain").raise_for_status().json()


def actives(deployment):
    return {one["schedule"]["cron"]: one["active"] for one in deployment["schedules"]}


def test_a_schedule_that_a_person_switched_off_stays_off_until_it_is_another(api):
    first = begin(api, NIGHTLY)
    (schedule,) = first["schedules"]
    path = f"/deployments/{first['id']}/schedules/{schedule['id']}"
    api.patch(path, json={"active": False}).raise_for_status()

    again = begin(api, NIGHTLY)
    changed = begin(api, HOURLY)

    assert actives(first) == {NIGHTLY.cron: True}
    assert actives(again) == {NIGHTLY.cron: False}
    assert actives(changed) == {HOURLY.cron: True}


def test_a_deployment_that_a_person_paused_stays_paused_until_it_is_resumed(api):
    first = begin(api, NIGHTLY)
    api.post(f"/deployments/{first['id']}/pause_deployment").raise_for_status()

    again = begin(api, NIGHTLY)
    api.post(f"/deployments/{first['id']}/resume_deployment").raise_for_status()

    assert not first["paused"]
    assert again["paused"]
    assert not begin(api, NIGHTLY)["paused"]
