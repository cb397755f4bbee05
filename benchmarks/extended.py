"""Time the extended columns against the 57 and against librosa: `python -m benchmarks.extended`.

One process, one thread. For each clip the 57 columns, the extended ones and the 57 again are
computed, so that a slowing machine affects both; the ratio of a clip is the time of the extended
columns over the mean of the two, and the median over the clips is reported. "clip" is 30 s and its
ten segments, as in the pipeline.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import Samples, choose, clips, command, machine
from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES
from genre.core.errors import InputError
from genre.core.markdown import table
from genre.features import extended
from genre.features import report as features
from genre.features.extended import reference

SMALLEST = 1e-2  # smaller values are compared as this one


def compare(report: Callable[[], Any], ours: Callable[[], Any]) -> tuple[float, float]:
    """Time the extended columns in milliseconds, and relative to the 57 columns."""
    before, took, after = _ms(report), _ms(ours), _ms(report)
    return took, 2 * took / (before + after)


def difference(y: Samples) -> tuple[float, str]:
    """Return the greatest relative difference from librosa, and its column."""
    found, expected = extended.extract(y, SAMPLE_RATE), reference.extract(y, SAMPLE_RATE)
    errors = {
        name: abs(found[name] - value) / max(abs(value), SMALLEST)
        for name, value in expected.items()
        if value == value  # librosa defines it
    }
    worst = max(errors, key=errors.__getitem__)
    return errors[worst], worst


def run(folder: Path, n_clips: int) -> dict[str, Any]:
    """Measure on `n_clips` evenly spaced audio files below `folder`.

    Raises `InputError` if there are none.
    """
    chosen = choose(folder, n_clips)
    _warm_up()
    found: dict[str, list[tuple[float, float]]] = {"30s": [], "3s": [], "clip": []}
    worst = (0.0, "")
    for _, y in clips(chosen):
        middle = len(y) // SEGMENT_SAMPLES // 2 * SEGMENT_SAMPLES
        short = y[middle : middle + SEGMENT_SAMPLES].copy()
        for length, signal in (("30s", y), ("3s", short)):
            both = _of(features.extract, signal), _of(extended.extract, signal)
            found[length].append(compare(*both))
            worst = max(worst, difference(signal))
        found["clip"].append(compare(_of(features.extract_clip, y), _of(extended.extract_clip, y)))
    if not found["30s"]:
        raise InputError(f"{folder}: no file is 30 s long, expected songs or clips of that length")
    result: dict[str, Any] = {"machine": machine(), "clips": len(found["30s"])}
    for length, pairs in found.items():
        result[f"ms_{length}"] = statistics.median(took for took, _ in pairs)
        result[f"ratio_{length}"] = statistics.median(ratio for _, ratio in pairs)
    return {**result, "max_relative_error": worst[0], "max_relative_error_column": worst[1]}


def report(result: dict[str, Any]) -> str:
    """Format the table of `docs/extended.md`."""
    rows = [
        (words, f"{result[f'ms_{length}']:.1f}", f"{result[f'ratio_{length}']:.2f}")
        for length, words in (("30s", "30 s"), ("3s", "3 s"), ("clip", "30 s and its ten 3 s"))
    ]
    lines = [
        f"{result['machine']}; {result['clips']} clips, one thread, medians.",
        "",
        table(["", "extended, ms", "of the 57's time"], rows),
        "",
        f"Greatest relative difference from librosa {result['max_relative_error']:.1e} "
        f"({result['max_relative_error_column']}).",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run as `python -m benchmarks.extended`."""
    return command("Time the extended columns against the 57.", run, report, arguments)


def _warm_up() -> None:
    """Import and compile what either extraction needs."""
    y = np.random.default_rng(0).normal(size=SEGMENT_SAMPLES).astype(np.float32)
    features.extract(y, SAMPLE_RATE)
    extended.extract(y, SAMPLE_RATE)


def _of(extract: Callable[..., Any], y: Samples) -> Callable[[], Any]:
    return lambda: extract(y, SAMPLE_RATE)


def _ms(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
