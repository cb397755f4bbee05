"""Drift, as a Prefect task of the flow `classify`: compare, report, and request a retraining.

A retraining is requested once for the same songs: the last report says whether it was. The flow
`retrain` itself makes sure that only one works at a time.
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
from runner.classify_folder import answered

DRIFT = "drift"  # the artifact's key: each version of it is a report
DEPLOYMENT = "retrain/retrain"
UNCHANGED = "Unchanged"  # the name of the state of a task that has nothing new to report


@task(
    name="drift",
    description="Compare the classified songs with those that the version was trained on",
    cache_policy=NO_CACHE,
)
def drift_of(output: Path, model: str, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """Report the drift of the songs in `output` that the version `model` has classified.

    If there is drift, and both `may_retrain` and `drift_report.retrain` hold, request a retraining.
    """
    try:
        with found_classifier(Path(), model) as found:
            return report_on(output, found, settings, may_retrain)
    except Exception as error:
        return failure(as_error(error))


def report_on(output: Path, found: Found, settings: DriftParams, may_retrain: bool) -> State[Any]:
    """As `drift_of`, of the version `found`; raises `InputError` if its files are damaged."""
    if found.reference is None:
        return Completed(message=NO_REFERENCE.format(found))
    classified = answered(output, found.version)
    compared = drift_report.compare_songs(
        output, classified, found, load(found.reference), settings
    )
    report, last = compared.report, drift_report.last_figures(output, found)
    run = last.get("retraining_run") if last.get("evidence") == report.evidence else None
    notes = []
    if report.alerts:
        run, note = retraining(run, settings, may_retrain)
        notes = [note]
    message = "; ".join([report.verdict, *notes])
    figures = drift_report.figures_of(report, found, run)
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
    """Request a retraining, if that is due; the run that was requested, and what to say of it.

    `requested` is the run that was requested for the same songs before.
    """
    if not settings.retrain:
        return requested, "no retraining is asked for: drift_report.retrain is off"
    if not may_retrain:
        return requested, "no retraining is asked for: the champion was not the one that was asked"
    if requested:
        return requested, f"retraining was asked for: {requested}"
    try:
        run = cast("FlowRun", run_deployment(DEPLOYMENT, timeout=0, as_subflow=False))
    except ObjectNotFound:
        return None, f"retraining was not asked for: nothing serves {DEPLOYMENT} (make up does)"
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        return None, f"retraining could not be asked for ({error}); the next run tries again"
    return run.name, f"retraining is asked for: {run.name}"
