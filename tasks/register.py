"""register: the results of a run → the MLflow store, and the receipt `mlruns/registered.json`.

DVC cannot see changes of the registry, so the step always runs (`always_changed`): what the
registry already holds is left unchanged, what is missing is registered again.

In a DVC experiment (`dvc exp run` sets `DVC_EXP_NAME`) the run and its models are recorded in
MLflow but not registered. The store is that of the main checkout; the receipt is written in the
experiment's folder.
"""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from pathlib import Path

from genre.core.files import write_json
from genre.core.params import Params
from genre.registry import Pipeline, register
from tasks.io import inputs, paths
from tasks.io.step import UNCHANGED, step


def run(params: Params, root: Path) -> str:
    """Record and register the results at `root`; return the version, its aliases and the reason.

    The summary begins with `unchanged: ` if the registry already holds the version.
    """
    pipeline = Pipeline(
        root=root,
        params=params,
        catalogue=root / paths.CATALOGUE,
        split=root / paths.SPLIT,
        models=root / paths.MODELS,
        classifier=root / paths.CLASSIFIER,
        clips=root / paths.CLIPS,
        selection=root / paths.SELECTION,
        metrics=root / paths.REPORTS / "metrics.json",
        predictions=root / paths.REPORTS / "predictions.parquet",
        figures=root / paths.REPORTS / "figures",
        # needed by each member of a champion
        data=cache(partial(inputs.read_data, root, params=params)),
        experiment=os.environ.get("DVC_EXP_NAME") or None,
    )
    receipt, new = register(pipeline)
    write_json(root / paths.RECEIPT, receipt)
    if receipt["warning"]:
        print(f"warning: {receipt['warning']}", file=sys.stderr)
    if receipt["version"] is None:
        return f"{receipt['name']}: recorded, not registered ({receipt['reason']})"
    aliases = ", ".join(receipt["aliases"]) or "no alias"
    unchanged = "" if new else UNCHANGED
    version = f"{receipt['name']} version {receipt['version']}"
    return f"{unchanged}{version}: {aliases} ({receipt['reason']})"


def main() -> None:
    """Run the step as `python -m tasks.register`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
