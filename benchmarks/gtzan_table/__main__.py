"""The command `python -m benchmarks.gtzan_table`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

import benchmarks.gtzan_table as package
from benchmarks.gtzan_table.scoring import HELD_OUT, Scores, mean_of, score_split
from benchmarks.gtzan_table.table import join_taggrams, read, split_table
from genre.core.errors import GenreError, InputError
from genre.core.files import write_json
from genre.core.params import Params, load_params
from genre.models import family
from genre.splits import TEST, VALIDATION
from tasks.io.step import BAD_INPUT, FAILED, OK

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = ("mlp", "lda", "svm", "boosting")
TAGGED_DEFAULT = ("lda", "logistic", "svm")
SEEDS = 5


def compute(
    table: pd.DataFrame, params: Params, models: Sequence[str], column: str | None
) -> Scores:
    """Compute all scores of `table` (from `read`); `column` gives the subsets.

    Raises `InputError` if the table cannot be used.
    """
    splits = []
    for seed in range(SEEDS if column is None else 1):
        data, split = split_table(table, params, column, seed)
        if seed == 0:
            for warning in split.warnings:
                print(f"warning: {warning}", file=sys.stderr)
        splits.append(score_split(models, data, params))
    protocol = "song" if column is None else "predefined"
    scores = splits[0] if column else mean_of(splits)
    return {"protocol": protocol, "artist_leak": split.artist_leak, **scores}


def report(result: Scores) -> str:
    """Format a line per model, and the calibration of the selected one."""
    subsets = (HELD_OUT, VALIDATION, TEST)
    rows = [
        [
            name + " *" * (name == result["selected"]),
            *(_accuracy(scores[subset]) if subset in scores else "" for subset in subsets),
        ]
        for name, scores in result["models"].items()
    ]
    heading = [f"protocol {result['protocol']}", "held out", "validation", "test"]
    lines = [tabulate(rows, heading, "plain"), "* selected"]
    lines += [
        f"calibration error {when} temperature scaling {errors['ece']:.3f} (by chance up to "
        f"{errors['ece_chance']:.3f}), debiased {errors['ece_debiased']:.3f}"
        for when, errors in result.get("calibration", {}).items()
    ]
    return "\n".join(lines)


def _accuracy(scores: Scores) -> str:
    low, high = scores["ci95"]
    return f"{100 * scores['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gtzan_table",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True, help="a CSV table, 30 s or 3 s")
    parser.add_argument("--split-column", help="which says train, valid, test or excluded")
    parser.add_argument("--taggrams", type=Path, help="an npz with MusiCNN's tag activations")
    parser.add_argument("--json", type=Path, help="write all figures here")
    models = f"default: {', '.join(DEFAULT)}; with --taggrams {', '.join(TAGGED_DEFAULT)}"
    parser.add_argument("--models", nargs="+", metavar="NAME", help=models)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, 1 if it failed, 2 for bad input."""
    options = parse(arguments)
    try:
        models = options.models or (TAGGED_DEFAULT if options.taggrams else DEFAULT)
        if pictures := [n for n in models if not family(n).input.startswith("features")]:
            raise InputError(f"--models: the input of {', '.join(pictures)} is no table")
        table = read(options.table)
        if options.taggrams:
            table = join_taggrams(table, options.taggrams)
        result = compute(table, load_params(), models, options.split_column)
        if options.json:
            files = {"taggrams": options.taggrams.name} if options.taggrams else {}
            write_json(options.json, {"table": options.table.name, **files, **result})
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    print(report(result))
    return OK


if __name__ == "__main__":
    sys.exit(main())
