"""Recall of near-duplicate detection by kind of copy, and false matches.

    python -m benchmarks.duplicates --audio FOLDER [--songs 0] [--seed 0] [--json FILE]

Each song below FOLDER (genre folders) is copied in several ways, encoded and decoded by the
pipeline's code. All songs and copies form one collection; a copy is found if it is matched with its
song. Matched pairs of songs of FOLDER are listed with the correlation of their aligned waveforms:
near 1 for the same recording, near 0 for different ones.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.copies import copies
from genre import duplicates
from genre.audio import decode, load, to_mono
from genre.collection.catalogue import find_songs
from genre.core.files import sha256_of
from genre.core.params import load_params
from genre.core.progress import progress
from genre.core.workers import core_count

PROJECT = Path(__file__).resolve().parent.parent
WIGGLE_SECONDS = 0.05  # searched around the offset of a match


def fingerprints_of(path: Path, seed: tuple[int, int]) -> tuple[dict[str, bytes], float, float]:
    """Return the fingerprints of a song (key "") and of its copies.

    Also returns the seconds for the song, and the share of its samples that clips at +6 dB.
    """
    start = time.perf_counter()
    found = {"": duplicates.fingerprint_song(path, sha256_of(path))}
    seconds = time.perf_counter() - start
    audio = decode(path)
    y = to_mono(audio.samples)
    for name, content in copies(y, audio.sample_rate, np.random.default_rng(seed)).items():
        digest = sha256_of(content)
        found[name] = duplicates.fingerprint_song(content, digest)
    return found, seconds, float(np.mean(np.abs(y) > 10 ** (-6 / 20)))


def correlation(one: Path, other: Path, offset: float) -> float:
    """Return the correlation of two waveforms aligned by `offset` seconds, 0 to 1."""
    from scipy.signal import correlate

    rate = 11_025
    a, b = load(one, rate), load(other, rate)
    shift = round(offset * rate)
    a, b = a[max(0, -shift) :], b[max(0, shift) :]
    n = min(len(a), len(b))
    a, b = a[:n].astype(np.float64), b[:n].astype(np.float64)
    curve: npt.NDArray[np.float64] = correlate(a, b, mode="full", method="fft")
    near = round(WIGGLE_SECONDS * rate)
    peak = np.abs(curve[n - 1 - near : n + near]).max()
    return float(peak / np.sqrt(np.sum(a**2) * np.sum(b**2)))


def measure(folder: Path, songs: list[str], seed: int) -> dict[str, Any]:
    """Measure everything."""
    settings = load_params(PROJECT / "params.yaml").duplicates
    min_length = round(settings.min_seconds * duplicates.SUBFINGERPRINTS_PER_SECOND)
    work = [(folder / path, (seed, number)) for number, path in enumerate(songs)]
    names, origins, fingerprints, took, clipped = [], [], [], [], []
    with ProcessPoolExecutor(core_count()) as pool:
        results = pool.map(fingerprints_of, *zip(*work, strict=True))
        for number, result in enumerate(progress(results, total=len(work), what="copies")):
            found, seconds, share = result
            took.append(seconds)
            clipped.append(share)
            for name, stored in found.items():
                names.append(name)
                origins.append(number)
                fingerprints.append(duplicates.from_bytes(stored))

    originals = [fingerprints[place] for place, name in enumerate(names) if not name]
    true = duplicates.matches(
        originals, min_length=min_length, max_bit_error=settings.max_bit_error
    )
    alike = duplicates.matches(originals, min_length=min_length, max_bit_error=0.5)
    paired = {(match.first, match.second) for match in true}

    start = time.perf_counter()
    matches = duplicates.matches(
        fingerprints, min_length=min_length, max_bit_error=settings.max_bit_error
    )
    match_seconds = time.perf_counter() - start
    kinds = list(dict.fromkeys(name for name in names if name))
    caught: dict[str, list[float]] = {kind: [] for kind in kinds}
    false = []
    for match in matches:
        ends = origins[match.first], origins[match.second]
        if ends[0] == ends[1]:
            if not names[match.first]:
                caught[names[match.second]].append(match.similarity)
        elif ends not in paired:
            false.append(
                [
                    f"{songs[end]} {names[place]}".strip()
                    for end, place in zip(ends, (match.first, match.second), strict=True)
                ]
            )
    return {
        "songs": len(songs),
        "seed": seed,
        "settings": settings.model_dump(),
        "recall": {kind: len(caught[kind]) / len(songs) for kind in kinds},
        "recall_overall": sum(map(len, caught.values())) / len(songs) / len(kinds),
        "least_similarity": {kind: min(caught[kind], default=None) for kind in kinds},
        "false_pairs": false,
        "originals": [
            {
                "first": songs[match.first],
                "second": songs[match.second],
                "similarity": match.similarity,
                "offset_s": match.offset_seconds,
                "shared_s": match.seconds,
                "correlation": correlation(
                    folder / songs[match.first], folder / songs[match.second], match.offset_seconds
                ),
            }
            for match in true
        ],
        "most_alike_of_the_others": max(
            (m.similarity for m in alike if (m.first, m.second) not in paired), default=None
        ),
        "songs_clipped_when_louder": int(np.sum(np.array(clipped) > 0)),
        "fingerprint_seconds_a_song": float(np.median(took)),
        "match_seconds": match_seconds,
        "collection": len(fingerprints),
        "words": sum(map(len, fingerprints)),
    }


def main() -> None:
    """Measure, print the results, and write them as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--audio", type=Path, required=True, help="genre folders of songs")
    parser.add_argument("--songs", type=int, default=0, help="number of songs; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    songs = find_songs(options.audio)
    if options.songs:
        songs = songs[:: max(1, len(songs) // options.songs)][: options.songs]
    figures = measure(options.audio, songs, options.seed)
    for kind, recall in figures["recall"].items():
        least = figures["least_similarity"][kind]
        print(f"{kind:36} recall {recall:.4f}, similarity at least {least or 0:.3f}")
    print(f"{'all':36} recall {figures['recall_overall']:.4f}")
    print(f"false pairs: {len(figures['false_pairs'])} {figures['false_pairs'] or ''}")
    print(f"pairs among the {len(songs)} songs themselves: {len(figures['originals'])}")
    for pair in figures["originals"]:
        print(
            f"    {pair['first']} and {pair['second']}: {pair['shared_s']:.1f} s, similarity "
            f"{pair['similarity']:.3f}, {pair['offset_s']:+.2f} s, waveforms correlate by "
            f"{pair['correlation']:.2f}"
        )
    others = figures["most_alike_of_the_others"]
    print(f"most alike of the other pairs: {'none' if others is None else f'{others:.3f}'}")
    print(f"clipped when 6 dB louder: {figures['songs_clipped_when_louder']} songs")
    print(
        f"{1000 * figures['fingerprint_seconds_a_song']:.0f} ms a song (median); "
        f"{figures['match_seconds']:.2f} s to match all {figures['collection']}"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
