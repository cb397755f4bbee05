"""Measure the effect of leakage, and write `docs/results.md`.

    python -m benchmarks.report [--collection NAME=SOURCE …] [--models mlp,lda,…] [--page]
    python -m benchmarks.report --families [--collection NAME=SOURCE …] [--genres blues,jazz,…]

`SOURCE` is an argument of `genre add`; the default are the demo songs, whose results say nothing
about real music. `--families` measures only the combinations of feature families. Scores are kept
in `docs/results.json` by collection; `--page` writes the page from it without measuring.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import families, measure, page
from genre.core.errors import GenreError
from genre.core.files import write_text
from genre.core.params import BASELINE, PICTURES, load_params
from genre.models import NAMES, family

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
RESULTS = DOCS / "results.json"
WORK = PROJECT / ".cache" / "report"
LEFT_OUT = ("train", "curves", "best_epoch")


def main() -> int:
    """Measure the collections and write the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--collection", action="append", default=[], metavar="NAME=SOURCE")
    every = ",".join(name for name in NAMES if name != BASELINE)  # which would be mlp again
    parser.add_argument("--models", default=every, help="of %(default)s")
    parser.add_argument("--families", action="store_true", help="measure feature families")
    parser.add_argument(
        "--genres", default="", help="measure these under the protocol predefined too"
    )
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_bytes()) if RESULTS.is_file() else {}
    try:
        if not options.page:
            names = options.models.split(",")
            for name in names:
                family(name)  # fails early for an unknown name
            for collection in options.collection or ["demo=demo"]:
                title, _, source = collection.partition("=")
                if options.families:
                    genres = [name for name in options.genres.split(",") if name]
                    found = families_of(title, source or title, genres)
                else:
                    found = measured(title, source or title, names)
                results[title] = {**results.get(title, {}), **found}
                # A line per model.
                text = json.dumps(results, sort_keys=True).replace("}, {", "},\n{")
                write_text(RESULTS, f"{text}\n")
        page.write(DOCS, results)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measured(title: str, source: str, models: list[str]) -> dict[str, Any]:
    """Measure a collection; return its entry of `docs/results.json`."""
    params = families.choose(load_params(PROJECT / "params.yaml"), ["report"])
    pictures = [name for name in models if name in PICTURES]
    train = params.train.model_copy(update={"picture_models": pictures})
    params = params.model_copy(update={"train": train})
    root = WORK / title
    measure.prepare(root, params, source)
    rows = []
    for found in measure.measure(root, params, models):
        page.draw_curves(DOCS, title, found, synthetic=source == "demo")
        rows.append(shown(asdict(found)))
    return {
        "songs": measure.count(root),
        "synthetic": source == "demo",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "results": rows,
    }


def families_of(title: str, source: str, genres: list[str]) -> dict[str, Any]:
    """Measure the feature families on a collection; return its entry of `docs/results.json`."""
    params = load_params(PROJECT / "params.yaml")
    root = WORK / title
    measure.prepare(root, params, source, measure.SHORT)
    families.prepare(root, params)
    found = [shown(asdict(one)) for one in families.measure(root, params, genres)]
    return {
        "songs": measure.count(root),
        "synthetic": source == "demo",
        "families": found,
    }


def shown(value: Any) -> Any:
    """Return the scores of validation and test songs of a result, without curves."""
    if not isinstance(value, dict):
        return value
    if "accuracy" in value:
        return {key: value[key] for key in ("accuracy", "ci95", "f1_macro")}
    return {key: shown(one) for key, one in value.items() if key not in LEFT_OUT}


if __name__ == "__main__":
    sys.exit(main())
