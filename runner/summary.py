"""The summary of a run: steps, songs, accuracies, registered version, next commands.

Reads the outputs of steps (`data/catalogue.parquet`, `reports/metrics.json`,
`mlruns/registered.json`) only if the step did not fail, so that no result of an earlier run is
shown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genre.core.compute import UNEXPECTED
from genre.core.errors import InputError
from genre.core.messages import command
from tasks.io import paths
from tasks.io.outcomes import Outcome, duration
from tasks.io.step import UNCHANGED
from tasks.io.tables import is_synthetic

SET_ASIDE_SHOWN = 10
SUBSETS = ("validation", "test")


def show(outcomes: Sequence[Outcome], root: Path, console: Console) -> None:
    """Print the summary of a run in the project at `root`."""
    done = {o.stage.partition("@")[0] for o in outcomes if o.state not in ("failed", "skipped")}
    done -= {o.stage.partition("@")[0] for o in outcomes if o.state in ("failed", "skipped")}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    synthetic = False
    add_steps(table, outcomes)
    if "ingest" in done:
        songs = read_songs(root)
        synthetic = is_synthetic(song["source"] for song in songs)
        add_songs(table, songs, synthetic=synthetic)
    add_set_aside(table, outcomes)
    if "evaluate" in done:
        add_accuracies(table, _read_json(root / paths.REPORTS / "metrics.json"))
    if "register" in done:
        now = any(outcome.stage == "register" and made_changes(outcome) for outcome in outcomes)
        add_version(table, _read_json(root / paths.RECEIPT), now=now)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        add_failures(table, outcomes)
    else:
        add_next(table, synthetic=synthetic)
    console.print()
    console.print(table)


def add_steps(table: Table, outcomes: Iterable[Outcome]) -> None:
    """Add a row per step: its time or "up to date", and its last line."""
    steps = Table.grid(padding=(0, 1, 0, 0))
    steps.add_column(min_width=14, no_wrap=True)
    steps.add_column(min_width=10, no_wrap=True)
    steps.add_column(overflow="fold")
    for outcome in outcomes:
        summary = Text("" if outcome.error else outcome.summary, "dim")
        ended = Text(state_text(outcome), "red" if outcome.error else "")
        steps.add_row(outcome.stage, ended, summary)
    table.add_row("Steps", steps)


def state_text(outcome: Outcome) -> str:
    """The state of a step, or the time that it took."""
    if outcome.state == "ran":
        return duration(outcome.seconds)
    return {"cached": "up to date"}.get(outcome.state, outcome.state)


def made_changes(outcome: Outcome) -> bool:
    """Whether a step ran and was not `unchanged`."""
    return outcome.state == "ran" and not outcome.summary.startswith(UNCHANGED)


def read_songs(root: Path) -> list[dict[str, Any]]:
    """Read path, genre, source, status and reason of each song of the catalogue."""
    import pyarrow.parquet as parquet

    columns = ["path", "genre", "source", "status", "reason"]
    rows: list[dict[str, Any]] = parquet.read_table(
        root / paths.CATALOGUE, columns=columns
    ).to_pylist()
    return rows


def add_songs(table: Table, songs: Sequence[dict[str, Any]], *, synthetic: bool) -> None:
    """Add the number of usable songs per genre, and the songs set aside with reasons."""
    kept = Counter(song["genre"] for song in songs if song["status"] == "ok")
    aside = [song for song in songs if song["status"] != "ok"]
    kind = "synthetic demo songs" if synthetic else "songs"
    by_genre = ", ".join(f"{genre} {count}" for genre, count in sorted(kept.items()))
    table.add_row()
    genres = "1 genre" if len(kept) == 1 else f"{len(kept)} genres"
    files = "1 file" if len(aside) == 1 else f"{len(aside)} files"
    table.add_row("Songs", Text(f"{kept.total()} {kind} in {genres} ({by_genre})"))
    table.add_row("Set aside", Text(files if aside else "none"))
    aside.sort(key=lambda song: not song["reason"].startswith(UNEXPECTED))  # defects first
    for song in aside[:SET_ASIDE_SHOWN]:
        table.add_row("", Text(f"{song['path']}: {song['reason']}"))
    if len(aside) > SET_ASIDE_SHOWN:
        more = len(aside) - SET_ASIDE_SHOWN
        table.add_row("", Text(f"… and {more} more, in {paths.CATALOGUE}"))


def add_set_aside(table: Table, outcomes: Iterable[Outcome]) -> None:
    """Add the songs that steps after ingest left out (those of ingest are in the catalogue)."""
    for outcome in outcomes:
        if outcome.stage == "ingest" or not outcome.set_aside:
            continue
        table.add_row("Left out", Text(f"by {outcome.stage}:"))
        for line in outcome.set_aside[:SET_ASIDE_SHOWN]:
            table.add_row("", Text(line))
        if len(outcome.set_aside) > SET_ASIDE_SHOWN:
            table.add_row("", Text(f"… and {len(outcome.set_aside) - SET_ASIDE_SHOWN} more"))


def add_accuracies(table: Table, metrics: dict[str, Any]) -> None:
    """Add the song-level accuracy of each model with its interval, the selected one first."""
    table.add_row()
    heading = "Accuracy"
    for name, subsets in selected_first(metrics):
        for subset in SUBSETS:
            level = subsets.get(subset, {}).get("song")
            if level is not None:
                table.add_row(heading, Text(f"{name:<14} {subset:<10}  {accuracy(level)}"))
                heading = ""
    for line in accuracy_notes(metrics):
        table.add_row("", Text(line, "dim"))
    if metrics.get("artist_leak"):
        genres = ", ".join(metrics["artist_leak"])
        table.add_row("", Text(f"too few artists to keep apart in: {genres}", "dim"))


def accuracy_notes(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield notes: which model is the baseline, and whether validation and test agree."""
    if name := metrics.get("baseline"):
        yield f"{name} is the baseline: the student report's MLP on its 57 columns"
    subsets = metrics["models"][metrics["selected"]]
    levels = [subsets[name]["song"] for name in SUBSETS if "song" in subsets.get(name, {})]
    if len(levels) < len(SUBSETS):
        return
    low, high = sorted(level["ci95"] for level in levels)
    if high[0] <= low[1]:
        yield "the intervals of validation and test overlap: the difference is within chance"
    else:
        yield (
            "the intervals of validation and test do not overlap: their songs are by other "
            f"artists, and {min(level['n'] for level in levels)} songs may not be enough to "
            "represent a genre"
        )


def selected_first(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the models of the metrics with their subsets: the selected one, then by name."""
    selected = metrics["selected"]
    return sorted(metrics["models"].items(), key=lambda item: (item[0] != selected, item[0]))


def accuracy(level: dict[str, Any]) -> str:
    """Format an accuracy: `71.4 % of 35 songs (95 % interval 57.1 to 85.7)`."""
    low, high = level["ci95"]
    return (
        f"{100 * level['accuracy']:.1f} % of {level['n']} songs "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})"
    )


def add_version(table: Table, receipt: dict[str, Any], *, now: bool) -> None:
    """Add the registered version, its aliases, and the reason.

    `now`: it was registered by this run (aliases may have moved since an earlier one).
    """
    table.add_row()
    table.add_row("Registered", Text(version(receipt) + ("" if now else ", by an earlier run")))
    if warning := receipt.get("warning"):
        table.add_row("", Text(warning, "bold yellow"))
    table.add_row("", Text(receipt["reason"], "dim"))


def version(receipt: dict[str, Any]) -> str:
    """Format a receipt: `music-genre version 3, champion`."""
    if receipt["version"] is None:
        return f"{receipt['name']}: recorded, not registered"
    aliases = ", ".join(receipt["aliases"]) or "no alias"
    champion = receipt.get("champion")
    line = f"{receipt['name']} version {receipt['version']}, {aliases}"
    other = champion not in (None, receipt["version"])
    return f"{line}; version {champion} is champion" if other else line


def add_next(table: Table, *, synthetic: bool) -> None:
    """Add the next commands."""
    table.add_row()
    rows = [
        ("make run SOURCE=…", "a folder of genre folders, an archive or its URL: train on it"),
        (command("genre models"), "list the registered versions"),
        ("make up", "pages of Prefect and MLflow, and the nightly retraining"),
        ("edit params.yaml, make run", "only steps that depend on the change run again"),
    ]
    commands = Table.grid(padding=(0, 2, 0, 0))
    commands.add_column(style="bold", no_wrap=True)
    commands.add_column(overflow="fold")
    for row in rows:
        commands.add_row(*map(Text, row))
    table.add_row("Next", commands)
    if synthetic:
        note = "The demo songs are synthetic: these results say nothing about real music."
        table.add_row("", Text(note, "yellow"))


def add_failures(table: Table, outcomes: Sequence[Outcome]) -> None:
    """Add failed steps with errors, skipped and finished steps, and what to do."""
    table.add_row()
    for outcome in outcomes:
        if outcome.error is not None:
            table.add_row(Text("Failed", "bold red"), Text(str(outcome.error)))
    skipped = [outcome.stage for outcome in outcomes if outcome.state == "skipped"]
    if skipped:
        table.add_row("Not run", Text(", ".join(skipped)))
    done = [o.stage for o in outcomes if o.state not in ("failed", "skipped")]
    if done:
        table.add_row("Done, kept", Text(", ".join(done)))
    bad_input = any(isinstance(outcome.error, InputError) for outcome in outcomes)
    advice = "fix what the message names, then run" if bad_input else "run"
    table.add_row("Next", Text(f"{advice} the same command again: finished steps are kept"))


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
