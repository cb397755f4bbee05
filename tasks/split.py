"""split: the catalogue, its near-duplicates and the last split → `data/split.parquet`.

The step reads its last output (`persist: true` in `dvc.yaml`), so that songs keep their subset as
the collection grows. A change of protocol, shares or `split.reseed` draws a new split.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genre import splits
from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.messages import run_step
from genre.core.params import Params
from tasks.io import paths
from tasks.io.step import step

if TYPE_CHECKING:
    import pandas as pd


def run(params: Params, root: Path) -> str:
    """Split the usable songs; return the number of songs in each subset.

    Raises `InputError` if an input is missing or a genre cannot be split.
    """
    import pandas as pd

    catalogue = root / paths.CATALOGUE
    if not catalogue.is_file():
        raise InputError(f"{catalogue}: no such file; {run_step('ingest')}")
    duplicates = root / paths.DUPLICATES
    if not duplicates.is_file():
        raise InputError(f"{duplicates}: no such file; {run_step('ingest')}")
    settings = params.split
    found = splits.split(
        splits.with_copies(pd.read_parquet(catalogue), pd.read_parquet(duplicates)),
        protocol=settings.protocol,
        shares={subset: getattr(settings, subset) for subset in splits.SUBSETS},
        seed=settings.reseed,
        previous=read_previous(root / paths.SPLIT),
        column=settings.column,
    )
    for warning in found.warnings:
        print(f"warning: {warning}")
    write_parquet(root / paths.SPLIT, found.table)
    songs = found.table.drop_duplicates(["track_id", "subset"])["subset"].value_counts()
    counts = ", ".join(f"{songs.get(subset, 0)} {subset}" for subset in splits.SUBSETS)
    excluded = f", {songs[splits.EXCLUDED]} excluded" if splits.EXCLUDED in songs else ""
    return f"{counts} songs{excluded} (protocol {settings.protocol})"


def read_previous(path: Path) -> pd.DataFrame | None:
    """Read the split of the last run, if any. Raises `InputError` if it is damaged."""
    import pandas as pd
    import pyarrow as pa

    if not path.exists():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); delete it to draw a new split"
        ) from error


def main() -> None:
    """Run the step as `python -m tasks.split`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
