"""Answer the songs of a folder that the champion has not answered yet. `python -m flows.classify`.

Each batch is a Prefect task with retries, and its answers are kept as soon as it is done: a run
that is ended goes on where it stopped. The table is the one of `runner.classify_folder`. Then the
answered songs are compared with those that the version was trained on (see `flows.drift`).
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
from flows.drift import drift_of
from flows.server import running_server
from flows.single_instance import AtWorkError, alone
from flows.steps import failure, worth_trying_again
from genre.classifier import output as output_of
from genre.core.errors import InputError
from genre.core.markdown import cell
from genre.core.markdown import table as markdown_table
from genre.core.params import PARAMS_FILE, load_params
from genre.core.unexpected import as_error, one_line
from genre.registry.resolve import found_classifier
from runner import classify_folder as answers
from tasks.io.step import BAD_INPUT, FAILED, OK

ANSWERS = "answers"  # the artifact's key: its versions are one run each
CHAMPION = "@champion"  # ends the address of a model whose drift may ask for a retraining
SHOWN = 50  # songs in the artifact
TRIES, DELAY_SECONDS = 2, 10.0
LOCK = SERVICES / "classify" / "lock"
AT_WORK = "songs are being answered here already"


@task(
    name="answer",
    description="Answer a batch of songs and keep the answers",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=exponential_backoff(DELAY_SECONDS),
    retry_condition_fn=worth_trying_again,
)
def answer(
    songs: list[answers.Waiting], folder: Path, output: Path, model: str | None
) -> State[Any]:
    """Classify some songs; the classifier is looked up anew, as a retry may come much later.

    The state's data is how many could not be classified.
    """
    try:
        with found_classifier(Path(), model) as found:
            results = answers.answer(songs, folder, output, found)
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
    """Answer the songs of a folder that this version of the model has not answered yet.

    Args:
        folder: songs to answer; `classify.folder` of params.yaml if not given.
        output: the Parquet file of answers; `classify.output` if not given.
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or a folder; the champion if not given.
    """
    try:
        with alone(LOCK, AT_WORK):
            return answer_all(folder, output, model)
    except AtWorkError as error:
        return Cancelled(message=str(error), data=error)
    except Exception as error:
        shown = as_error(error)
        return Failed(message=str(shown), data=shown)


def answer_all(folder: str | None, output: str | None, model: str | None) -> State[Any]:
    """As `classify`, if no other one works in the project. Raises `GenreError`."""
    params = load_params(PARAMS_FILE)
    settings = params.classify
    songs, table = Path(folder or settings.folder), Path(output or settings.output)
    with found_classifier(Path(), model) as found:
        version, uri = found.version, model
        if version:  # one version for the whole run, whatever is promoted meanwhile
            uri = f"models:/{found.name}/{version}"
    todo, skipped = answers.waiting(songs, table, version)
    states = [
        answer(list(batch), songs, table, uri, return_state=True)
        for batch in answers.batches(todo, settings.batch)
    ]
    failures: list[Any] = [state.result() for state in states if state.is_completed()]
    errors = sum(failures)
    said = [f"{len(todo) - errors} songs classified, in {table}" if todo else "no new songs"]
    if errors:
        said.append(f"{errors} could not be classified")
    if skipped:
        said.append(f"{skipped} skipped: not audio")
    if version and table.exists():
        champion = model is None or model.endswith(CHAMPION)
        drift = drift_of(table, uri, params.drift, champion, return_state=True)
        said.append(drift.message or "")
        states.append(drift)
    failed = [state for state in states if state.is_failed()]
    if todo:
        create_markdown_artifact(page(table, version), key=ANSWERS, description="Newest answers")
    if failed:
        return Failed(message=failed[0].message, data=failed[0].result(raise_on_failure=False))
    return Completed(message="; ".join(said))


def page(output: Path, version: str | None) -> str:
    """The newest answers of a version, as Markdown."""
    table = answers.read(output)
    table = table[table["model_version"].fillna("") == (version or "")]
    newest = table.sort_values(["answered_at", "path"], ascending=[False, True]).head(SHOWN)
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
        f"# Answers of version {version or '(a folder)'}\n\n"
        f"{markdown_table(heading, rows, left=2, raw=True)}\n"
    )


@one_line
def main(arguments: list[str] | None = None) -> int:
    """Run the flow once, on the server of `make up` where it is running."""
    parser = argparse.ArgumentParser(prog="python -m flows.classify")
    parser.add_argument("folder", nargs="?", help="songs to answer")
    parser.add_argument("--output", help="the Parquet file of answers")
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
