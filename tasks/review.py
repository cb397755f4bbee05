"""review: songs for a curator to review → `reports/review.csv` and `reports/review.md`.

Suspected labels are found in the selected classifier's out-of-fold predictions for songs of train
and validation; test songs are left out. Defective clips, near-duplicates and files that were set
aside are listed too. Nothing is changed or removed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genre import evaluation, review
from genre.core.cache import cache_key
from genre.core.compute import Failed
from genre.core.errors import InputError
from genre.core.files import write_text
from genre.core.messages import run_step
from genre.core.params import Params
from tasks.io import paths
from tasks.io.songs import SongCounts, process_songs
from tasks.io.step import step
from tasks.io.tables import find_clips, read_songs

if TYPE_CHECKING:
    import pandas as pd

TABLE = paths.REPORTS / "review.csv"
PAGE = paths.REPORTS / "review.md"
NAMES = {  # of each kind of finding: singular, plural
    review.LABEL: ("suspicious label", "suspicious labels"),
    review.TWO_GENRES: ("recording in several genres", "recordings in several genres"),
    review.DEFECT: ("noisy clip", "noisy clips"),
    review.DUPLICATE: ("near-duplicate", "near-duplicates"),
    review.SET_ASIDE: ("file set aside", "files set aside"),
}
LIBRARIES = ("numpy", "scipy", "soundfile")


def run(params: Params, root: Path) -> str:
    """Write the findings as a table and as a page; return the number of each kind.

    Raises `InputError` if a table is missing or has songs that are not in the catalogue; then
    `reports/` is not changed.
    """
    import pandas as pd

    songs = read_songs(root)
    catalogue = pd.read_parquet(root / paths.CATALOGUE)
    out_of_fold = read_table(root, paths.HELD_OUT, "select", songs)
    duplicates = read_table(root, paths.DUPLICATES, "duplicates", songs)
    split = read_table(root, paths.SPLIT, "split", songs)
    position = params.trim.position
    suspects = review.suspected_labels(out_of_fold)
    defects, song_counts = find_defects(params, root, songs)
    findings = review.collect(
        review.label_findings(suspects, songs, position=position),
        review.defect_findings(defects, songs, position=position),
        review.duplicate_findings(duplicates, catalogue, position=position),
        review.set_aside_findings(catalogue),
    )
    page = review.page(
        findings,
        scope=describe_scope(out_of_fold, split, song_counts),
        rows_shown=params.review.rows_shown,
    )
    write_text(root / TABLE, findings.to_csv(index=False))
    write_text(root / PAGE, page)
    counts = findings["kind"].value_counts()
    found = [
        f"{counts[kind]} {one if counts[kind] == 1 else many}"
        for kind, (one, many) in NAMES.items()
        if kind in counts
    ]
    what = f"to review: {', '.join(found)}" if found else "nothing to review"
    return f"{what}; see {PAGE} ({song_counts})"


def find_defects(
    params: Params, root: Path, songs: pd.DataFrame
) -> tuple[dict[str, review.Defect], SongCounts]:
    """The defects of clips, by `track_id`; clips that cannot be read are printed."""
    seconds = dict(zip(songs["track_id"], songs["seconds"], strict=True))
    song_counts = SongCounts()
    defects = {}
    results = process_songs(
        [clip for clip in find_clips(root) if clip.name in seconds],
        review.measures_of_clip,
        cache_key=cache_key({}, ["audio", "defects"], LIBRARIES),
        compute=params.compute,
        root=root,
        what="review",
        counts=song_counts,
    )
    for clip, result in results:
        if isinstance(result, Failed):
            continue
        measures = review.read_measures(result)
        defect = review.judge(measures, seconds[clip.name], params.review)
        if defect:
            defects[clip.name] = defect
    song_counts.print_set_aside(root)
    return defects, song_counts


def describe_scope(out_of_fold: pd.DataFrame, split: pd.DataFrame, song_counts: SongCounts) -> str:
    """The scope of the review as a text: how many songs and clips, and the model's accuracy."""
    whole = evaluation.by_song(
        out_of_fold.assign(subset="out of fold", group=out_of_fold["track_id"])
    )
    agreeing = (
        (evaluation.predicted(whole) == whole["genre"].to_numpy()).mean() if len(whole) else 0
    )
    model = ", ".join(out_of_fold["model"].astype(str).unique())
    others = split["track_id"].nunique() - len(whole)
    return (
        f"The labels of {len(whole)} songs were compared with out-of-fold predictions of {model}, "
        f"which agree for {100 * agreeing:.0f} %; {others} songs of the split were left out, "
        f"because they are test songs or are in no fold. {song_counts.kept} clips were checked for "
        "defects."
    )


def read_table(root: Path, path: Path, stage: str, songs: pd.DataFrame) -> pd.DataFrame:
    """A table with a column `track_id`, of usable songs only; `InputError` otherwise."""
    import pandas as pd

    if not (root / path).is_file():
        raise InputError(f"{root / path}: no such file; {run_step(stage)}")
    table = pd.read_parquet(root / path)
    if unknown := sorted(set(table["track_id"]) - set(songs["track_id"])):
        raise InputError(
            f"{root / path}: {len(unknown)} songs are not in {paths.CATALOGUE}, {unknown[0]} "
            f"first; {run_step(stage, 'again')}"
        )
    return table


def main() -> None:
    """Run the step as `python -m tasks.review`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
