"""Task `drift` of the flow `classify`: compare songs, write the report, request a retraining.

A retraining is requested once for the same songs; the last report holds the request. The flow
`retrain` itself ensures that only one runs at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed

from flows.steps import failure
from genre.core.params import DriftParams
from genre.core.unexpected import as_error
from genre.drift import page
from genre.drift.reference import NO_REFERENCE, load
from genre.registry.resolve import Found, found_classifier
from runner import drift_report
from runner.classify_folder import classified_songs

DRIFT = "drift"  # key of the artifact, with a version per report
DEPLOYMENT = "retrain/retrain"
UNCHANGED = "Unchanged"  # state name of a task without a new report


@task(
    name="drift",
    description="Compare the classified songs with the training songs of the version",
    cache_policy=NO_CACHE,
)
def check_drift(output: Path, model: str, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """Report the drift of the songs in `output` that the version `model` has classified.

    Requests a retraining if there is drift, and `may_retrain` and `drift.retrain` are set.
    """
    try:
        with found_classifier(Path(), model) as found:
            return report_on(output, found, settings, may_retrain)
    except Exception as error:
        return failure(as_error(error))


def report_on(output: Path, found: Found, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """As `check_drift`, of the version `found`. Raises `InputError` if its files are damaged."""
    if found.reference is None:
        return Completed(message=NO_REFERENCE.format(found))
    classified = classified_songs(output, found.version)
    compared = drift_report.compare_songs(
        output, classified, found, load(found.reference), settings
    )
    report, last = compared.report, drift_report.last_values(output, found)
    run = last.get("retraining_run") if last.get("evidence") == report.evidence else None
    notes = []
    if report.alerts:
        run, note = retraining(run, settings, may_retrain)
        notes = [note]
    message = "; ".join([report.verdict, *notes])
    figures = drift_report.report_values(report, found, run)
    if figures == last and output.with_name(drift_report.PAGE).is_file():
        return Completed(name=UNCHANGED, message=message)
    sentences = [page.sentence(note) for note in notes]
    text = drift_report.write(compared, figures, output, found, settings, sentences)
    create_markdown_artifact(text, key=DRIFT, description=report.verdict)
    log = get_run_logger()
    (log.warning if report.alerts else log.info)(message)
    return Completed(message=message)


def retraining(
    requested: str | None, settings: DriftParams, may_retrain: bool
) -> tuple[str | None, str]:
    """Request a retraining if necessary; return the requested run, and a note.

    `requested` is a run that was requested for the same songs before.
    """
    if not settings.retrain:
        return requested, "no retraining requested: drift.retrain is false"
    if not may_retrain:
        return requested, "no retraining requested: the model is not the champion"
    if requested:
        return requested, f"retraining requested before: {requested}"
    try:
        run = cast("FlowRun", run_deployment(DEPLOYMENT, timeout=0, as_subflow=False))
    except ObjectNotFound:
        return None, f"no retraining requested: {DEPLOYMENT} is not served (make up serves it)"
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        return None, f"retraining could not be requested ({error}); the next run tries again"
    return run.name, f"retraining requested: {run.name}"
