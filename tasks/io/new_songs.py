"""Evaluate new songs by other artists, as in the student report → `reports/new_songs/`.

`evaluate.new_songs` names a folder of genre folders, with an optional `manifest.csv`. The
classifier predicts ten random 3 s samples of each song. Songs that were seen in training (by
content, fingerprint or artist) are excluded and counted. The scores decide nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre import duplicates, evaluation, figures, new_songs
from genre.audio import SEGMENT_SECONDS
from genre.classifier.inputs import input_makers, preload
from genre.collection import catalogue
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.errors import InputError
from genre.core.files import atomic_folder, write_json, write_parquet, write_text
from genre.core.params import Params
from genre.models.ensemble import Ensemble
from genre.new_songs import SET_ASIDE, SampleProba
from tasks.io import outcomes, paths
from tasks.io.fingerprints import fingerprint_songs
from tasks.io.scanning import scan_songs
from tasks.io.songs import SongCounts, process_songs
from tasks.io.tables import as_song, as_songs, is_synthetic, read_songs, read_split

if TYPE_CHECKING:
    import pandas as pd

METRICS = "metrics.json"
COLUMNS = ["path", "genre", "artist", "kind", "reason"]  # of excluded.csv


def run(params: Params, root: Path) -> str:
    """Predict the new songs and write the report; return a summary, empty without songs.

    Raises `InputError` if the classifier, a table or the folder is missing, if the folder has no
    songs (unless it is the default one), a genre that the classifier was not trained on, or a
    manifest with other songs. Then the report is not changed.
    """
    ensemble = Ensemble.load(root / paths.CLASSIFIER)
    input_makers(ensemble)  # raises before any song is decoded
    training = new_songs.training_songs(read_songs(root), read_split(root))
    folder = root / params.evaluate.new_songs
    default = root / paths.NEW_SONGS
    names = new_songs.find(folder, ensemble.classes, default)
    if not names:
        if folder.resolve() != default.resolve():
            raise InputError(
                f"{folder}: found no songs in genre folders; put some there, or set "
                "evaluate.new_songs in params.yaml to another folder"
            )
        with atomic_folder(root / paths.NEW_SONGS_REPORT) as report:
            write_json(report / METRICS, {"songs": 0})
        return ""

    manifest = new_songs.read_manifest(folder, names)
    scanned = scan(params, root, folder, names, manifest)
    usable = scanned[scanned["status"] == catalogue.OK]
    copies = find_copies(params, root, folder, usable, training)
    seen = new_songs.seen_in_training(usable, training, copies)
    songs = usable[~usable["track_id"].isin(seen["track_id"])]
    songs = songs.assign(group=new_songs.groups(songs, copies))
    proba_of, failed, counts = predict(params, root, folder, songs, ensemble)
    aside = scanned[scanned["status"] != catalogue.OK].assign(kind=SET_ASIDE)
    broken = songs[songs["track_id"].isin(failed)]
    broken = broken.assign(kind=SET_ASIDE, reason=broken["track_id"].map(failed))
    excluded = new_songs.excluded_songs(aside, seen, broken)
    for row in excluded.itertuples():
        if row.kind == SET_ASIDE:
            outcomes.set_aside(f"{row.path} {row.reason}")
        else:
            print(f"excluded: {row.path} {row.reason}")
    demo = any(is_synthetic(table["source"].dropna()) for table in (scanned, training))
    scores = write(params, root, ensemble, songs, proba_of, excluded, demo=demo)
    return summary(ensemble.name, scores, excluded, counts)


def scan(
    params: Params, root: Path, folder: Path, names: list[str], manifest: pd.DataFrame
) -> pd.DataFrame:
    """The catalogue of the new songs; files that the pipeline would set aside are set aside."""
    least = max(params.ingest.min_seconds, float(SEGMENT_SECONDS))
    settings = params.ingest.model_copy(update={"min_seconds": least})
    songs = [as_song(name, folder / name) for name in names]
    scanned = scan_songs(songs, params, root, what="new songs", counts=SongCounts())
    return catalogue.build(
        (catalogue.check_song(song, result, settings) for song, result in scanned), manifest
    )


def find_copies(
    params: Params, root: Path, folder: Path, songs: pd.DataFrame, training: pd.DataFrame
) -> new_songs.Copies:
    """The new songs with the same fingerprint as a training song or another new song."""
    settings = params.duplicates
    new, old = as_songs(songs, folder), as_songs(training, root / paths.RAW)
    both = {song.name: song for song in [*new, *old]}  # the same file has the same name
    prints = fingerprint_songs(
        list(both.values()), params, root, what="recordings", counts=SongCounts()
    )

    def fingerprints(part: list[Song]) -> dict[str, duplicates.Fingerprint]:
        return {song.name: prints[song.name] for song in part if song.name in prints}

    return new_songs.compare(
        fingerprints(new),
        fingerprints(old),
        min_length=round(settings.min_seconds * duplicates.SUBFINGERPRINTS_PER_SECOND),
        max_bit_error=settings.max_bit_error,
    )


def predict(
    params: Params, root: Path, folder: Path, songs: pd.DataFrame, ensemble: Ensemble
) -> tuple[SampleProba, dict[str, str], SongCounts]:
    """Probabilities of the samples by `track_id`; errors by `track_id`; the counts.

    Workers compute the classifier's inputs, which are cached; the prediction is made here.
    """
    settings: dict[str, Any] = {
        "inputs": ensemble.inputs,
        "seed": params.evaluate.seed,
        "max_seconds": params.ingest.max_seconds,
    }
    preprocessing = ensemble.preprocessing
    keyed = {**settings, "front": preprocessing}  # named as in classifier.json
    results = process_songs(
        as_songs(songs, folder),
        partial(
            new_songs.sample_song,
            **settings,
            preprocessing=preprocessing,
            pretrained=ensemble.pretrained,
        ),
        cache_key=cache_key(keyed, new_songs.CODE, new_songs.LIBRARIES),
        compute=params.compute,
        root=root,
        what="samples",
        counts=(counts := SongCounts()),
        preload=preload(ensemble.inputs, preprocessing),
    )
    proba_of: SampleProba = {}
    failed: dict[str, str] = {}
    for song, result in results:
        if isinstance(result, Failed):
            failed[song.name] = result.reason
        else:
            starts, inputs = new_songs.read_samples(result)
            proba_of[song.name] = starts, ensemble.proba(inputs)
    return proba_of, failed, counts


def write(
    params: Params,
    root: Path,
    ensemble: Ensemble,
    songs: pd.DataFrame,
    proba_of: SampleProba,
    excluded: pd.DataFrame,
    *,
    demo: bool,
) -> dict[str, Any]:
    """Write the report and return its scores; without predictions, only the exclusions."""
    scores: dict[str, Any] = {
        "songs": 0,
        "classifier": ensemble.name,
        "protocol": ensemble.protocol,
        "excluded": {str(kind): int(n) for kind, n in excluded["kind"].value_counts().items()},
    }
    with atomic_folder(root / paths.NEW_SONGS_REPORT) as report:
        write_text(report / "excluded.csv", excluded[COLUMNS].to_csv(index=False))
        if proba_of:
            settings = params.evaluate
            table = new_songs.predictions(songs, proba_of, ensemble)
            scores |= new_songs.describe(
                table, samples=settings.bootstrap_samples, seed=settings.seed
            )
            whole = evaluation.by_song(table)
            write_parquet(report / "predictions.parquet", table)
            top = new_songs.top_genres(whole, songs)
            write_text(report / "songs.csv", top.to_csv(index=False))
            for name, rows, what in (
                ("segments", table, f"{len(table)} samples of {len(whole)} new songs"),
                ("songs", whole, f"{len(whole)} new songs"),
            ):
                shown = f"Confusion of genres: {ensemble.name}, {what}"
                title = new_songs.heading(shown, ensemble.protocol, demo=demo)
                figure = figures.confusion_figure(evaluation.confusion(rows), title)
                figures.save(figure, report / f"confusion_{name}.png")
        write_json(report / METRICS, scores)
    return scores


def summary(name: str, scores: dict[str, Any], excluded: pd.DataFrame, counts: SongCounts) -> str:
    """The summary: accuracy of songs and samples, and the number of excluded songs."""
    aside = int((excluded["kind"] == SET_ASIDE).sum())
    excluded_text = f"{len(excluded) - aside} seen in training, {aside} set aside; {counts}"
    if not scores["songs"]:
        return f"no new song is unseen: {excluded_text}"
    song, segment = scores["song"], scores["segment"]
    low, high = song["ci95"]
    return (
        f"{name}: {100 * song['accuracy']:.1f} % of {song['n']} new songs right (95 % interval "
        f"{100 * low:.1f}–{100 * high:.1f}), {100 * segment['accuracy']:.1f} % of "
        f"{segment['n']} samples ({excluded_text})"
    )
