"""Drift, as a Prefect task of the flow `classify`: measure, show, and ask for a retraining.

A retraining is asked for once for the same songs and version. It is asked for again when as many
songs have come since as `drift.min_songs`; so a champion that stays, since the gate found nothing
better, is not challenged with every new song. And where the run that was asked for could not work.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed

from flows.alone import AT_WORK
from flows.steps import failure
from genre.classify.commands import Found, found_classifier
from genre.drift import page
from genre.drift.reference import NO_REFERENCE
from genre.params import DriftParams
from genre.unforeseen import as_error
from tasks import drift
from tasks.classify import answered

DRIFT = "drift"  # the artifact's key: its versions are one finding each
DEPLOYMENT = "retrain/retrain"
SERVED_SECONDS = 60.0  # since what serves it has asked for work; it does so every five
MOST_CRASHES = 3  # of the runs that were asked for, before no further one is
UNCHANGED = "Unchanged"  # the name of the state of a task that found nothing new
Asked = dict[str, Any]  # of a retraining: evidence, songs, flow_run


@task(
    name="drift",
    description="Compare the answered songs with those that the version learned from",
    cache_policy=NO_CACHE,
)
def drift_of(output: Path, model: str, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """Measure and show the drift of the songs in `output` that the version `model` has answered.

    Where it is found, and both `may_retrain` and `drift.retrain` hold, a retraining is asked for.
    """
    try:
        with found_classifier(Path(), model) as found:
            return measured(output, found, settings, may_retrain)
    except Exception as error:
        return failure(as_error(error))


def measured(output: Path, found: Found, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """As `drift_of`, of the version `found`; raises `InputError` where its files are damaged."""
    reference = drift.reference_of(found)
    if reference is None:
        return Completed(message=NO_REFERENCE.format(found))
    result = drift.measure(output, answered(output, found.version), found, reference, settings)
    before = drift.read_figures(output, found)
    asked, words = before.get("retraining"), []
    if result.finding.drift:
        asked, said = retraining(asked, result, found, settings, may_retrain)
        words = [said]
    message = "; ".join([page.verdict(result.finding), *words])
    values = drift.figures_of(result, found, asked)
    if values == before and output.with_name(drift.PAGE).is_file():
        return Completed(name=UNCHANGED, message=message)
    text = drift.report(result, output, found, settings, [page.sentence(one) for one in words])
    drift.write_figures(output, values)
    create_markdown_artifact(text, key=DRIFT, description=page.verdict(result.finding))
    log = get_run_logger()
    (log.warning if result.finding.drift else log.info)(message)
    return Completed(message=message)


def retraining(
    asked: Asked | None,
    result: drift.Measured,
    found: Found,
    settings: DriftParams,
    may_retrain: bool,
) -> tuple[Asked | None, str]:
    """Ask for a retraining where that is to be done; what was asked for, and what to say of it."""
    if not settings.retrain:
        return asked, "no retraining is asked for: drift.retrain is off"
    if not may_retrain:
        return asked, "no retraining is asked for: the champion was not the one that was asked"
    finding = result.finding
    wanted: Asked = {"evidence": finding.evidence, "songs": finding.songs, "flow_run": ""}
    if asked and finding.songs - asked["songs"] < settings.min_songs:
        wanted = asked  # few more songs are no other question
    said = f"retraining was not asked for: nothing serves {DEPLOYMENT} (make up does)"
    try:
        run = request(f"drift-{found.name}-{found.version}-{wanted['evidence']}")
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        run, said = None, f"retraining could not be asked for ({error}); the next run tries again"
    if run and run.name != wanted["flow_run"]:
        return wanted | {"flow_run": run.name}, f"retraining is asked for: {run.name}"
    if wanted["flow_run"]:
        said = f"retraining was asked for at {wanted['songs']} songs: {wanted['flow_run']}"
    return asked, said


def request(key: str) -> FlowRun | None:
    """Ask for a run of the retraining, once for `key`; null where nothing serves it.

    Returns the run that was asked for before where there is one, and asks for another where that
    one could not work (see `gave_way`).
    """
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return None
        polled = deployment.last_polled
        if polled is None or (datetime.now(UTC) - polled).total_seconds() > SERVED_SECONDS:
            return None
        run = client.create_flow_run_from_deployment(deployment.id, idempotency_key=key)
        crashes = 0
        while gave_way(run) and crashes < MOST_CRASHES:
            crashes += run.state is not None and run.state.is_crashed()
            after = f"{key}-after-{run.id}"
            run = client.create_flow_run_from_deployment(deployment.id, idempotency_key=after)
        return run


def gave_way(run: FlowRun) -> bool:
    """Whether a run ended without having worked: cancelled since another worked, or killed.

    One that failed, or that a person cancelled while it worked, did its part.
    """
    state = run.state
    if state is None:
        return False
    unneeded = run.run_count == 0 or (state.message or "").startswith(AT_WORK)
    return state.is_crashed() or (state.is_cancelled() and unneeded)
