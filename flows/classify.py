"""Flow `classify`: classify the new songs of a folder. `python -m flows.classify`.

Each batch is a Prefect task with retries, whose predictions are written when it is done: a run that
was ended continues after the last batch. The table is that of `runner.classify_folder`. Then the
songs are compared with the training songs of the version (see `flows.drift`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import exponential_backoff

from flows import SERVICES
from flows.drift import check_drift
from flows.server import running_server
from flows.single_instance import AlreadyRunningError, single_instance
from flows.steps import failure, is_retryable
from genre.classifier import output as output_of
from genre.core.errors import InputError
from genre.core.markdown import cell
from genre.core.markdown import table as markdown_table
from genre.core.params import PARAMS_FILE, load_params
from genre.core.unexpected import as_error, one_line_errors
from genre.registry.resolve import found_classifier
from runner import classify_folder as predictions
from tasks.io.step import BAD_INPUT, FAILED, OK

PREDICTIONS = "predictions"  # key of the artifact, with a version per run
CHAMPION = "@champion"  # suffix of the URI of a model whose drift may request a retraining
SHOWN = 50  # songs in the artifact
TRIES, DELAY_SECONDS = 2, 10.0
LOCK = SERVICES / "classify" / "lock"
RUNNING = "another run of classify is running"


@task(
    name="classify batch",
    description="Classify a batch of songs and write the predictions",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=exponential_backoff(DELAY_SECONDS),
    retry_condition_fn=is_retryable,
)
def classify_batch(
    songs: list[predictions.PendingSong], folder: Path, output: Path, model: str | None
) -> State[Any]:
    """Classify a batch; the model is looked up again, as a retry may be much later.

    The data of the state is the number of songs that could not be classified.
    """
    try:
        with found_classifier(Path(), model) as found:
            results = predictions.classify_songs(songs, folder, output, found)
            summary = output_of.summary(results, 0, str(found))
    except Exception as error:
        return failure(as_error(error))
    log = get_run_logger()
    for result in results:
        if reason := result.error or (result.prediction and result.prediction.warning):
            log.warning(f"{result.path}: {reason}")
    log.info(summary)
    return Completed(message=summary, data=sum(result.error is not None for result in results))


@flow(name="classify")
def classify(
    folder: str | None = None, output: str | None = None, model: str | None = None
) -> State[Any]:
    """Classify the songs of a folder that this version of the model has not classified yet.

    Args:
        folder: the folder of songs; `classify.folder` of params.yaml if not given.
        output: the Parquet file of predictions; `classify.output` if not given.
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or a folder; the champion if not given.
    """
    try:
        with single_instance(LOCK, RUNNING):
            return classify_folder(folder, output, model)
    except AlreadyRunningError as error:
        return Cancelled(message=str(error), data=error)
    except Exception as error:
        shown = as_error(error)
        return Failed(message=str(shown), data=shown)


def classify_folder(folder: str | None, output: str | None, model: str | None) -> State[Any]:
    """As `classify`, without the lock. Raises `GenreError`."""
    params = load_params(PARAMS_FILE)
    settings = params.classify
    songs, table = Path(folder or settings.folder), Path(output or settings.output)
    with found_classifier(Path(), model) as found:
        version, uri = found.version, model
        if version:  # the same version for the whole run
            uri = f"models:/{found.name}/{version}"
    predictions.rename_old_files(table, get_run_logger().info)
    todo, skipped = predictions.find_pending(songs, table, version)
    states = [
        classify_batch(list(batch), songs, table, uri, return_state=True)
        for batch in predictions.batches(todo, settings.batch)
    ]
    failures: list[Any] = [state.result() for state in states if state.is_completed()]
    errors = sum(failures)
    parts = [f"{len(todo) - errors} songs classified, in {table}" if todo else "no new songs"]
    if errors:
        parts.append(f"{errors} could not be classified")
    if skipped:
        parts.append(f"{skipped} skipped: not audio")
    if version and table.exists():
        champion = model is None or model.endswith(CHAMPION)
        drift = check_drift(table, uri, params.drift, champion, return_state=True)
        parts.append(drift.message or "")
        states.append(drift)
    failed = [state for state in states if state.is_failed()]
    if todo:
        create_markdown_artifact(
            page(table, version), key=PREDICTIONS, description="Newest predictions"
        )
    if failed:
        return Failed(message=failed[0].message, data=failed[0].result(raise_on_failure=False))
    return Completed(message="; ".join(parts))


def page(output: Path, version: str | None) -> str:
    """Return the newest predictions of a version as Markdown."""
    table = predictions.read(output)
    table = table[table["model_version"].fillna("") == (version or "")]
    newest = table.sort_values(["classified_at", "path"], ascending=[False, True]).head(SHOWN)
    rows = [
        (cell(row["path"]), f"*{cell(row['error'])}*", "", "")
        if isinstance(row["error"], str) and row["error"]
        else (
            cell(row["path"]),
            cell(row["genre"]),
            f"{100 * row['probability']:.0f} %",
            f"{row['seconds']:.0f}",
        )
        for row in newest.to_dict("records")
    ]
    heading = ["song", "genre", "probability", "seconds"]
    return (
        f"# Predictions of version {version or '(a folder)'}\n\n"
        f"{markdown_table(heading, rows, left=2, raw=True)}\n"
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Run the flow once, on the server of `make up` if it is running."""
    parser = argparse.ArgumentParser(prog="python -m flows.classify")
    parser.add_argument("folder", nargs="?", help="folder of songs")
    parser.add_argument("--output", help="Parquet file of predictions")
    parser.add_argument("--model", help="models:/NAME@ALIAS, models:/NAME/VERSION or a folder")
    options = parser.parse_args(arguments)
    server = running_server()
    address = {PREFECT_API_URL: f"{server}/api"} if server else {}
    with temporary_settings(updates=address):
        state: State[Any] = classify(
            options.folder, options.output, options.model, return_state=True
        )
    if state.is_completed():
        return OK
    bad = isinstance(state.result(raise_on_failure=False), InputError)
    return BAD_INPUT if bad else FAILED


if __name__ == "__main__":
    sys.exit(main())
