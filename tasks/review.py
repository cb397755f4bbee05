"""review: what a curator should listen to → `reports/review.csv` and `reports/review.md`.

Suspected labels come from the selected classifier's out-of-fold predictions of the songs of train
and validation; test songs are left out. Clips that are mostly noise are measured. Near-duplicates
and what was set aside are listed with them. Nothing is changed or removed.
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
from tasks.io.songs import Tally, each_song
from tasks.io.step import step
from tasks.io.tables import find_clips, read_songs

if TYPE_CHECKING:
    import pandas as pd

TABLE = paths.REPORTS / "review.csv"
PAGE = paths.REPORTS / "review.md"
WORDS = {  # of each kind of finding: one, and several
    review.LABEL: ("suspicious label", "suspicious labels"),
    review.TWO_GENRES: ("recording in several genres", "recordings in several genres"),
    review.FAULT: ("noisy clip", "noisy clips"),
    review.DUPLICATE: ("near-duplicate", "near-duplicates"),
    review.SET_ASIDE: ("file set aside", "files set aside"),
}
LIBRARIES = ("numpy", "scipy", "soundfile")


def run(params: Params, root: Path) -> str:
    """Write the findings as a table and as a page, and say how many there are of each kind.

    Raises `InputError` where a table is missing, or tells of songs that are not in the catalogue.
    What was in `reports/` is then as it was.
    """
    import pandas as pd

    songs = read_songs(root)
    catalogue = pd.read_parquet(root / paths.CATALOGUE)
    held_out = read_table(root, paths.HELD_OUT, "select", songs)
    duplicates = read_table(root, paths.DUPLICATES, "duplicates", songs)
    split = read_table(root, paths.SPLIT, "split", songs)
    position = params.trim.position
    suspects = review.suspected_labels(held_out)
    faults, tally = find_faults(params, root, songs)
    findings = review.collect(
        review.label_findings(suspects, songs, position=position),
        review.fault_findings(faults, songs, position=position),
        review.duplicate_findings(duplicates, catalogue, position=position),
        review.set_aside_findings(catalogue),
    )
    page = review.page(
        findings, heard=what_was_heard(held_out, split, tally), most=params.review.rows_shown
    )
    write_text(root / TABLE, findings.to_csv(index=False))
    write_text(root / PAGE, page)
    counts = findings["kind"].value_counts()
    found = [
        f"{counts[kind]} {one if counts[kind] == 1 else many}"
        for kind, (one, many) in WORDS.items()
        if kind in counts
    ]
    what = f"to review: {', '.join(found)}" if found else "nothing to review"
    return f"{what}; see {PAGE} ({tally})"


def find_faults(
    params: Params, root: Path, songs: pd.DataFrame
) -> tuple[dict[str, review.Fault], Tally]:
    """The clips that are mostly noise, by `track_id`; one that cannot be read is named."""
    seconds = dict(zip(songs["track_id"], songs["seconds"], strict=True))
    tally = Tally()
    faults = {}
    results = each_song(
        [clip for clip in find_clips(root) if clip.name in seconds],
        review.measures_of_clip,
        cache_key=cache_key({}, ["audio", "defects"], LIBRARIES),
        compute=params.compute,
        root=root,
        what="review",
        tally=tally,
    )
    for clip, result in results:
        if isinstance(result, Failed):
            continue
        measures = review.read_measures(result)
        fault = review.judge(measures, seconds[clip.name], params.review)
        if fault:
            faults[clip.name] = fault
    tally.print_set_aside(root)
    return faults, tally


def what_was_heard(held_out: pd.DataFrame, split: pd.DataFrame, tally: Tally) -> str:
    """How much was looked at, and how far the labels' judge can be trusted, for a person."""
    whole = evaluation.by_song(held_out.assign(subset="held out", group=held_out["track_id"]))
    right = (evaluation.predicted(whole) == whole["genre"].to_numpy()).mean() if len(whole) else 0
    model = ", ".join(held_out["model"].astype(str).unique())
    unseen = split["track_id"].nunique() - len(whole)
    return (
        f"The labels of {len(whole)} songs were checked against {model}, which gets "
        f"{100 * right:.0f} % of them as they are filed; {unseen} songs of the split were left "
        f"out, as they are for testing or could not be held out. The sound of {tally.kept} clips "
        "was measured."
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
