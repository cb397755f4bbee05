"""features: `data/clips` → `data/features/<family>/30s` and `/3s`, a Parquet dataset each.

`30s` has a row per song and `3s` ten, sorted by `track_id` and `segment`. The families are those of
`genre.features.families`; `report` is always computed. The families that models are trained on are
written to `data/families.json`: `features.families`, or for `auto` `report` for demo songs and the
automatic families for real songs. Their pretrained weights are in `data/pretrained`; valid files
are reused. If weights cannot be fetched, `auto` leaves their families out, and the next `make run`
or retraining tries again (`tasks.io.families.try_weights_again`).

With `features.csv` the report's two tables are written too, in the layout of the public GTZAN
tables: `data/features/csv/features_30_sec.csv` and `features_3_sec.csv`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from genre.audio import CLIP_SAMPLES, SEGMENT_SAMPLES
from genre.core.errors import GenreError
from genre.core.files import atomic_folder, write_bytes, write_json
from genre.core.messages import command
from genre.core.params import AUTO, Params
from genre.features.families import FAMILIES, LONG, REPORT, SHORT, check
from tasks.io import paths
from tasks.io.datasets import write_csv, write_family
from tasks.io.families import DEMO, REAL, WITHOUT_WEIGHTS, section
from tasks.io.step import step
from tasks.io.tables import as_songs, find_clips, is_demo, read_songs


def run(params: Params, root: Path) -> str:
    """Compute the features of every song; a song that cannot be read is reported and left out.

    Raises `ParameterError` for an unknown family, and, unless `auto` (then a warning is printed),
    `GenreError` if weights cannot be fetched and `InputError` if their checksum is wrong.
    """
    families, fetched = choose_families(params, root)
    table = read_songs(root)
    sources = {"clip": find_clips(root), "song": as_songs(table, root / paths.RAW)}
    genres = dict(zip(table["track_id"], table["genre"], strict=True))
    parts = []
    with atomic_folder(root / paths.FEATURES) as folder:
        for name in dict.fromkeys((REPORT, *families)):
            songs = [song for song in sources[FAMILIES[name].reads] if song.name in genres]
            counts = write_family(folder / name, FAMILIES[name], songs, genres, params, root)
            parts.append(f"{name} of {counts.kept} songs ({counts})")
        if params.features.csv:
            names = dict(zip(table["track_id"], table["path"], strict=True))
            for dataset, length, target in (
                (LONG, CLIP_SAMPLES, "features_30_sec.csv"),
                (SHORT, SEGMENT_SAMPLES, "features_3_sec.csv"),
            ):
                report = folder / REPORT / dataset
                write_csv(report, folder / "csv" / target, length=length, names=names)
    write_json(root / paths.FAMILIES, {"families": families})
    new = f"; {fetched} weights fetched" if fetched else ""
    return f"{'; '.join(parts)}; models use {', '.join(families)}{new}"


def choose_families(params: Params, root: Path) -> tuple[list[str], int]:
    """Return the families that models are trained on, and the number of fetched weights."""
    chosen = params.features.families
    if chosen != AUTO:
        return check(chosen), write_weights(chosen, params, root)
    families = [*(DEMO if is_demo(root) else REAL)]
    try:
        return families, write_weights(families, params, root)
    except GenreError as error:
        families = [*WITHOUT_WEIGHTS]
        print(
            f"warning: {error}. This run continues without pretrained weights "
            f"({', '.join(families)}); the next make run or retraining tries again, or "
            f"{command('dvc repro --force features')}",
            file=sys.stderr,
        )
        return families, write_weights(families, params, root)


def write_weights(families: Iterable[str], params: Params, root: Path) -> int:
    """Write the weights of `families` to `data/pretrained`; return how many were fetched."""
    target = root / paths.PRETRAINED
    contents: dict[str, bytes] = {}
    fetched = 0
    for family in (FAMILIES[name] for name in families if FAMILIES[name].pretrained):
        source = family.extractor_class
        names = family.open(section(params, family)).weights
        found = {name: source.read_weights(target, name) for name in names}
        missing = [name for name, content in found.items() if content is None]
        contents |= {name: content for name, content in found.items() if content is not None}
        if missing:
            contents |= source.fetch_weights(missing)
            fetched += len(missing)
    with atomic_folder(target) as folder:
        for name, content in contents.items():
            write_bytes(folder / f"{name}.safetensors", content)
    return fetched


def main() -> None:
    """Run the step as `python -m tasks.features`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
