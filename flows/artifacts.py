"""Markdown artifacts of a retraining in Prefect's UI.

They are `results` (steps, accuracies, comparison with the champion), `confusion-matrix`,
`data-changes` and `decision`, with a version per retraining. Each is made only if its step has
completed, so that no result of an earlier run is shown. A warning of the step `register` comes
first in `results` and `decision`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.steps import CACHED
from genre.core.errors import GenreError
from genre.core.markdown import cell, table
from genre.core.params import Params
from genre.registry import lookup
from genre.registry.promotion import CHAMPION
from runner import summary
from tasks.io import paths

RESULTS, CONFUSION, DATA, DECISION = "results", "confusion-matrix", "data-changes", "decision"
DESCRIPTIONS = {
    RESULTS: "Each step, the accuracy of each model, and the new one against the champion",
    CONFUSION: "Confusion matrix of the selected model",
    DATA: "Songs added, removed, moved and set aside since the last retraining",
    DECISION: "Which version was registered, which alias it holds, and why",
}


def publish(states: Mapping[str, State[Any]], root: Path, params: Params, changes: str) -> None:
    """Create the artifacts of a run; `states` are those of its steps, `changes` is Markdown."""
    for key, text in pages(states, root, params, changes).items():
        create_markdown_artifact(key=key, markdown=text, description=DESCRIPTIONS[key])


def pages(
    states: Mapping[str, State[Any]], root: Path, params: Params, changes: str
) -> dict[str, str]:
    """Return the Markdown of the artifacts of this run by key."""
    parts, found = warning_section(warning(states, root)), {}
    parts += ["## Steps", steps_table(states)]
    metrics = receipt = None
    if passed(states, "evaluate"):
        metrics = _read_json(root / paths.REPORTS / "metrics.json")
        parts += ["## Accuracy of whole songs", accuracy_table(metrics)]
        found[CONFUSION] = confusion(root, metrics)
    if passed(states, "register"):
        receipt = _read_json(root / paths.RECEIPT)
        now = states["register"].name != CACHED
        parts += ["## Against the champion", comparison_table(receipt, now=now)]
        found[DECISION] = decision(receipt, params, champion(receipt, params, root), now=now)
    if passed(states, "ingest"):
        found[DATA] = changes
    return {RESULTS: "\n\n".join(parts) + "\n", **found}


def warning(states: Mapping[str, State[Any]], root: Path) -> str | None:
    """Return the warning of the step `register` of this run, if any."""
    if not passed(states, "register"):
        return None
    text: str | None = _read_json(root / paths.RECEIPT).get("warning")
    return text


def warning_section(warning: str | None) -> list[str]:
    """Return the paragraphs of a warning."""
    return ["## Warning", cell(warning)] if warning else []


def passed(states: Mapping[str, State[Any]], step: str) -> bool:
    """Whether a step ran and completed."""
    return step in states and states[step].is_completed()


def steps_table(states: Mapping[str, State[Any]]) -> str:
    """Return a row per step with its state and message."""
    rows = [(step, state.name, state.message or "") for step, state in states.items()]
    return table(["step", "state", "message"], rows, left=3)


def accuracy_table(metrics: dict[str, Any]) -> str:
    """Return song-level accuracies with 95 % intervals, the selected model first."""
    rows = []
    for model, subsets in summary.selected_first(metrics):
        for subset in summary.SUBSETS:
            level = subsets.get(subset, {}).get("song")
            if level is not None:
                low, high = level["ci95"]
                share = f"{100 * level['accuracy']:.1f} %"
                interval = f"{100 * low:.1f} to {100 * high:.1f}"
                rows.append((model, subset, share, interval, level["n"]))
    headings = ["model", "subset", "accuracy", "95 % interval", "songs"]
    return f"Protocol `{metrics['protocol']}`.\n\n{table(headings, rows, left=2)}"


def comparison_table(receipt: dict[str, Any], *, now: bool) -> str:
    """Compare the version with the champion on the same songs, with intervals.

    `now`: the version was registered by this run and not by an earlier one.
    """
    found = receipt["comparison"]
    when = "this run" if now else "an earlier run"
    if found is None:
        return f"Not compared by {when}: {receipt['reason']}."
    rows = [
        (f"version {receipt['version']} ({when})", *_scores(found["first"])),
        (f"version {found['against']} (champion then)", *_scores(found["second"])),
        ("difference", *_scores((found["estimate"], found["low"], found["high"]), sign="+")),
    ]
    songs = (
        f"On {found['songs']} validation songs of {found['groups']} groups, "
        "seen in training by neither."
    )
    return f"{songs}\n\n{table(['', 'macro-F1', '95 % interval'], rows)}"


def confusion(root: Path, metrics: dict[str, Any]) -> str:
    """Return the confusion matrix of the selected model, actual genres in rows."""
    import pandas as pd

    pairs = pd.read_csv(root / paths.REPORTS / "plots" / "confusion.csv", keep_default_na=False)
    genres = sorted(set(pairs["actual"]) | set(pairs["predicted"]))
    counts = pd.crosstab(pairs["actual"], pairs["predicted"]).reindex(
        index=genres, columns=genres, fill_value=0
    )
    rows = [
        (
            f"**{cell(genre)}**",
            *(f"**{n}**" if other == genre else n or "" for other, n in line.items()),
        )
        for genre, line in counts.iterrows()
    ]
    subset = "test" if "test" in metrics["models"][metrics["selected"]] else "validation"
    caption = (
        f"`{metrics['selected']}`, {len(pairs)} {subset} songs, protocol `{metrics['protocol']}`. "
        "Rows: actual genres; columns: predicted genres."
    )
    return f"{caption}\n\n{table(['', *map(cell, genres)], rows, raw=True)}\n"


def decision(receipt: dict[str, Any], params: Params, champion: str, *, now: bool) -> str:
    """Describe the registered version, its aliases, the reason, and the champion now.

    `now`: the version was registered by this run and not by an earlier one.
    """
    lines = [f"**{summary.version(receipt)}**", receipt["reason"]]
    if not now:
        lines.insert(0, "Nothing has changed since an earlier run, which decided:")
    if receipt["version"] is not None:
        lines += [f"[Open it in MLflow]({version_page(receipt, params)})", champion]
    return "\n\n".join([*warning_section(receipt.get("warning")), *lines]) + "\n"


def champion(receipt: dict[str, Any], params: Params, root: Path) -> str:
    """Look up the current champion; return its version, or why it cannot be looked up."""
    uri = f"models:/{receipt['name']}@{CHAMPION}"
    try:
        with lookup.find(uri, params.tracking, root) as found:
            return f"`{uri}` is now version {found.version}."
    except GenreError as error:
        return f"`{uri}` cannot be looked up: {cell(error)}"


def version_page(receipt: dict[str, Any], params: Params) -> str:
    """Return the URL of a version in MLflow's UI: the tracking server, or `make up`."""
    store = urlsplit(params.tracking.uri)
    if store.scheme in ("http", "https"):
        host = store.netloc.rpartition("@")[2]  # without user and password
        base = f"{store.scheme}://{host}{store.path.rstrip('/')}"
    else:
        base = f"http://127.0.0.1:{params.services.mlflow_port}"
    return f"{base}/#/models/{quote(receipt['name'])}/versions/{receipt['version']}"


def _scores(values: tuple[float, float, float], sign: str = "") -> tuple[str, str]:
    value, low, high = (format(number, f"{sign}.3f") for number in values)
    return value, f"{low} to {high}"


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
