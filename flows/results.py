"""What a retraining shows in Prefect's UI beside its logs: tables, as Markdown artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from tasks import paths, summary

RESULTS = "results"  # the artifact's key: its versions are one retraining each


def publish(states: Mapping[str, State[Any]], root: Path) -> None:
    """Make the results artifact of a run whose steps ended in `states`."""
    create_markdown_artifact(
        key=RESULTS,
        markdown=as_markdown(states, root),
        description="Each step, the accuracy of each model, and the gate's decision",
    )


def as_markdown(states: Mapping[str, State[Any]], root: Path) -> str:
    """Steps, figures and decision; figures and decision only where their step has passed."""
    parts = ["## Steps", steps_table(states)]
    if passed(states, "evaluate"):
        metrics = _read_json(root / paths.REPORTS / "metrics.json")
        parts += ["## Accuracy of whole songs", accuracy_table(metrics)]
    if passed(states, "register"):
        parts += ["## Decision", decision(_read_json(root / paths.RECEIPT))]
    return "\n\n".join(parts) + "\n"


def passed(states: Mapping[str, State[Any]], step: str) -> bool:
    """Whether a step ran and completed."""
    return step in states and states[step].is_completed()


def steps_table(states: Mapping[str, State[Any]]) -> str:
    """A row a step: how it ended and what it said."""
    rows = [
        f"| {stage} | {state.name} | {_cell(state.message or '')} |"
        for stage, state in states.items()
    ]
    return "\n".join(["| step | state | what it said |", "| --- | --- | --- |", *rows])


def accuracy_table(metrics: dict[str, Any]) -> str:
    """A row a model and subset, the selected model first: song-level accuracy, 95 % interval."""
    rows = []
    for model, subsets in summary.selected_first(metrics):
        for subset in summary.SUBSETS:
            level = subsets.get(subset, {}).get("song")
            if level is not None:
                low, high = level["ci95"]
                rows.append(
                    f"| {model} | {subset} | {100 * level['accuracy']:.1f} % "
                    f"| {100 * low:.1f} to {100 * high:.1f} | {level['n']} |"
                )
    head = [
        "| model | subset | accuracy | 95 % interval | songs |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])


def decision(receipt: dict[str, Any]) -> str:
    """Which version was registered, which aliases it holds, and why."""
    return f"{summary.version(receipt)}: {receipt['reason']}"


def _cell(text: str) -> str:
    """Text as it can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", "<br>")


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
