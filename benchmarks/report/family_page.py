"""The section of `docs/results.md` about feature families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.report.names import NAMES
from genre.core.markdown import table

PROTOCOLS = {
    "song": "Protocol **song**",
    "predefined": "Protocol **predefined**, as the collection's manifest says (for GTZAN the "
    "published fault-filtered split, without its test songs)",
}


def section(found: Sequence[dict[str, Any]]) -> Iterable[str]:
    """The accuracy of each combination of families, under each protocol."""
    yield "### Feature families"
    yield (
        "Accuracy of **whole songs** with its 95 % interval, for `features.families` in "
        "`params.yaml`. The default, `auto`, is `extended` + `musicnn` for real songs (`extended` "
        "while the weights cannot be fetched) and `report` for the demo songs. *Out of fold*: "
        "songs of train and validation, each predicted by a model that was not trained on it, its "
        "copies or its artist. The network behind `musicnn` was trained by "
        "its authors on commercial recordings with listeners' tags, genre words among them; how "
        "many songs of this collection are among those is unknown, so its figures may be "
        "optimistic. The columns of `extended` were chosen by their out-of-fold gain on the clips "
        "of GTZAN-dev, so its out-of-fold figures there are optimistic; no choice used test songs."
    )
    yield (
        "Seconds are those to fit the models, without their folds; MB is the size of their files. "
        "`.venv/bin/python -m benchmarks.features`, `benchmarks.extended` and "
        "`benchmarks.embeddings` measure the time to compute the inputs of a song."
    )
    rounds = groupby(found, key=lambda one: (one["protocol"], one["genres"]))
    for (protocol, genres), group in rounds:
        results = list(group)
        yield f"{PROTOCOLS[protocol]}, {len(genres)} genres, out of fold, by model:"
        yield by_model(results)
        yield "The model that the pipeline selects in each row, by out-of-fold macro-F1:"
        yield chosen(results)


def by_model(results: list[dict[str, Any]]) -> str:
    """Table of out-of-fold accuracy, families by models."""
    models = list(dict.fromkeys(one["model"] for one in results))
    lines = []
    for families, group in groupby(results, key=lambda one: one["families"]):
        scores = {one["model"]: one["held_out"] for one in group}
        cells = [figure(scores.get(model)) for model in models]
        lines.append([" + ".join(families), *cells])
    return table(["families", *(NAMES[model] for model in models)], lines)


def chosen(results: list[dict[str, Any]]) -> str:
    """Table of the best model of each combination, with scores, time and size."""
    lines = []
    for families, group in groupby(results, key=lambda one: one["families"]):
        best = max(group, key=rank)
        sides = (best["scores"].get(subset) for subset in ("validation", "test"))
        lines.append(
            [
                " + ".join(families),
                NAMES[best["model"]],
                f"{best['held_out']['f1_macro']:.3f}",
                figure(best["held_out"]),
                *(figure(scores) for scores in sides),
                str(best["columns"]),
                f"{best['seconds']:.1f}",
                f"{best['bytes'] / 1e6:.1f}",
            ]
        )
    header = ["families", "model", "out-of-fold macro-F1", "out of fold", "validation", "test"]
    return table([*header, "columns", "s to train", "MB"], lines)


def rank(one: dict[str, Any]) -> tuple[float, float]:
    """The sort key by which the pipeline selects, descending."""
    return one["held_out"]["f1_macro"], one["held_out"]["accuracy"]


def figure(scores: Mapping[str, Any] | None) -> str:
    """Format a score: `71.4 % (60–80)`, or a dash if there is none."""
    if not scores:
        return "–"
    low, high = scores["ci95"]
    return f"{100 * scores['accuracy']:.1f} % ({100 * low:.0f}–{100 * high:.0f})"
