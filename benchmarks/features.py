"""Time the 57 features against librosa's functions, one by one: `python -m benchmarks.features`.

One process, one thread. This project's code runs before and after librosa on each clip, so that a
slowing machine affects both; the ratio of a clip is librosa's time over the mean of the two, and
the median over the clips is reported. "30 s" is a whole clip, "3 s" its middle segment. Kernels are
timed separately on one clip, after a warm-up.

The floor is one STFT and one inverse STFT of librosa: a lower bound for code that calls them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, load
from genre.core.errors import GenreError, InputError
from genre.core.markdown import table
from genre.core.progress import progress
from genre.core.workers import core_count
from genre.features.report import NAMES, extract
from genre.features.report.reference import extract as librosas

SUFFIXES = {".flac", ".wav", ".mp3", ".ogg", ".opus", ".au", ".aiff", ".m4a"}
SMALLEST = 1e-4  # smaller values are compared as this one
REPEATS = 15  # of each kernel

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Times of both extractions in milliseconds, and their greatest relative difference."""

    ours_ms: float
    librosa_ms: float
    error: float
    column: str

    @property
    def ratio(self) -> float:
        """The ratio of librosa's time to ours."""
        return self.librosa_ms / self.ours_ms


def compare(y: Samples) -> Comparison:
    """Extract `y` by this project, by librosa, and by this project again."""
    first, ours = _timed(lambda: extract(y, SAMPLE_RATE))
    theirs, expected = _timed(lambda: librosas(y, SAMPLE_RATE))
    second, _ = _timed(lambda: extract(y, SAMPLE_RATE))
    errors = {
        name: abs(ours[name] - expected[name]) / max(abs(expected[name]), SMALLEST)
        for name in NAMES
    }
    worst = max(errors, key=errors.__getitem__)
    return Comparison((first + second) / 2, theirs, errors[worst], worst)


def kernels(y: Samples) -> dict[str, float]:
    """Time each kernel on `y` in milliseconds, in their order."""
    from genre.features.report import (
        harmonic,
        medians,
        pitch,
        rhythm,
        shape,
        spectrum,
        temporal,
        timbre,
    )
    from genre.features.report.workspace import borrow

    frames = spectrum.Frames(len(y), 2048, 512)
    arrays = borrow(frames)
    took: dict[str, float] = {}

    def step(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        took[name] = _median_ms(lambda: function(*arguments))
        return function(*arguments)

    padded = step("padding", spectrum.pad, y, frames, arrays.padded)
    columns = step("columns", spectrum.columns, padded, frames, arrays.columns)
    spectra, magnitudes = step("STFT", spectrum.stft, columns, frames, arrays.spectra)
    peaks = step("spectral peaks", pitch.peaks, magnitudes, SAMPLE_RATE, frames)
    tuning = step("tuning", pitch.tuning, *peaks)
    step("chroma", pitch.chroma, magnitudes, SAMPLE_RATE, tuning, frames)
    step("centroid, bandwidth, roll-off", shape.shape, magnitudes, SAMPLE_RATE, frames)
    step("zero crossings", temporal.zero_crossing_rate, padded, frames)
    step("loudness", temporal.rms, padded, frames)
    parts = arrays.separation
    step("medians over time", medians.over_time, magnitudes, frames.n_frames, parts.lasting)
    step("medians over frequency", medians.over_frequency, magnitudes, parts.striking)
    both = (parts.lasting, parts.striking)
    sums = step("masks, inverse STFT", harmonic.masked, spectra, *both, frames, parts.sums)
    step("moments of the two parts", harmonic.moments_of, sums, columns, frames)
    mel = step("mel spectrum", timbre.mel_decibels, magnitudes, SAMPLE_RATE, frames)
    step("cepstrum", timbre.mfcc, mel)
    envelope = step("onset strength", rhythm.onset_strength, mel, 512)
    step("tempo", rhythm.tempo, envelope, SAMPLE_RATE, 512)
    return took


def floor(y: Samples) -> float:
    """Time librosa's STFT and inverse STFT of `y` in milliseconds."""
    import librosa

    return _median_ms(lambda: librosa.istft(librosa.stft(y), length=len(y)))


def peers(path: Path, y: Samples) -> dict[str, float]:
    """Time other feature extractors, if installed, in milliseconds."""
    took = {}
    if importlib.util.find_spec("opensmile"):
        import opensmile  # type: ignore[import-not-found, unused-ignore]

        smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.ComParE_2016,
            feature_level=opensmile.FeatureLevel.Functionals,
        )
        took["openSMILE ComParE 2016"] = _timed(lambda: smile.process_signal(y, SAMPLE_RATE))[0]
    if importlib.util.find_spec("essentia"):
        from essentia import standard  # type: ignore[import-not-found, unused-ignore]

        took["Essentia MusicExtractor"] = _timed(lambda: standard.MusicExtractor()(str(path)))[0]
    return took


def run(folder: Path, n_clips: int) -> dict[str, Any]:
    """Measure on `n_clips` evenly spaced audio files below `folder`.

    Raises `InputError` if there are none.
    """
    chosen = choose(folder, n_clips)
    whole, segments, last = [], [], None
    _warm_up()
    for path, y in progress(clips(chosen), total=len(chosen), what="features"):
        whole.append(compare(y))
        middle = len(y) // SEGMENT_SAMPLES // 2 * SEGMENT_SAMPLES
        segments.append(compare(y[middle : middle + SEGMENT_SAMPLES].copy()))
        last = path, y
    if last is None:
        raise InputError(f"{folder}: no file is 30 s long, expected songs or clips of that length")
    worst = max(whole + segments, key=lambda comparison: comparison.error)
    return {
        "machine": machine(),
        "clips": len(whole),
        "ratio_30s": statistics.median(comparison.ratio for comparison in whole),
        "ratio_3s": statistics.median(comparison.ratio for comparison in segments),
        "ms_30s": statistics.median(comparison.ours_ms for comparison in whole),
        "ms_3s": statistics.median(comparison.ours_ms for comparison in segments),
        "librosa_ms_30s": statistics.median(comparison.librosa_ms for comparison in whole),
        "librosa_ms_3s": statistics.median(comparison.librosa_ms for comparison in segments),
        "max_relative_error": worst.error,
        "max_relative_error_column": worst.column,
        "floor_ms_30s": floor(last[1]),
        "kernels_ms_30s": kernels(last[1]),
        "kernels_ms_3s": kernels(last[1][:SEGMENT_SAMPLES].copy()),
        "peers_ms_30s": peers(*last),
    }


def report(result: dict[str, Any]) -> str:
    """Format the tables of `docs/features.md`."""
    times = [
        (
            f"{length[:-1]} s",
            f"{result[f'ms_{length}']:.1f}",
            f"{result[f'librosa_ms_{length}']:.0f}",
            f"{result[f'ratio_{length}']:.1f}",
        )
        for length in ("30s", "3s")
    ]
    total = sum(result["kernels_ms_30s"].values())
    short = result["kernels_ms_3s"]
    by_kernel = [
        (name, f"{took:.2f}", f"{took / total:.0%}", f"{short[name]:.3f}")
        for name, took in result["kernels_ms_30s"].items()
    ]
    by_kernel.append(("sum", f"{total:.1f}", "", f"{sum(short.values()):.2f}"))
    lines = [
        f"{result['machine']}; {result['clips']} clips, one thread, medians.",
        "",
        table(["", "ours, ms", "librosa, ms", "ratio"], times),
        "",
        f"Greatest relative error {result['max_relative_error']:.1e} "
        f"({result['max_relative_error_column']}). "
        f"librosa's STFT and inverse STFT alone: {result['floor_ms_30s']:.1f} ms for 30 s.",
        "",
        table(["kernel", "30 s, ms", "share", "3 s, ms"], by_kernel),
    ]
    if result["peers_ms_30s"]:
        elsewhere = [(name, f"{took:.0f}") for name, took in result["peers_ms_30s"].items()]
        lines += ["", table(["the same clip elsewhere", "ms"], elsewhere)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run as `python -m benchmarks.features`."""
    return command("Time the 57 features against librosa.", run, report, arguments)


def command(
    description: str,
    run: Callable[[Any, int], dict[str, Any]],
    report: Callable[[dict[str, Any]], str],
    arguments: list[str] | None,
    *,
    n_clips: int = 24,
    makes_clips: bool = False,
) -> int:
    """Measure, print the report and write JSON; return the exit code.

    `run` gets the folder of songs (None for synthetic clips, if `makes_clips`) and a number.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--audio", type=Path, required=not makes_clips, help="folder with songs or clips"
    )
    parser.add_argument(
        "--clips", type=int, default=n_clips, help="how many of them (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    try:
        result = run(options.audio, options.clips)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    print(report(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def choose(folder: Path, n_clips: int) -> list[Path]:
    """Return `n_clips` evenly spaced audio files below `folder`.

    Raises `InputError` if there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths or n_clips < 1:
        raise InputError(
            f"--audio {folder}, --clips {n_clips}: found {len(paths)} audio files, expected at "
            "least one of each"
        )
    return [paths[i * len(paths) // n_clips] for i in range(min(n_clips, len(paths)))]


def clips(paths: list[Path]) -> Iterator[tuple[Path, Samples]]:
    """Yield the first 30 s of each file; shorter files are reported and left out."""
    for path in paths:
        y = load(path)
        if len(y) >= CLIP_SAMPLES:
            yield path, y[:CLIP_SAMPLES].copy()
        else:
            print(f"\n{path}: shorter than 30 s, left out", file=sys.stderr)


def _warm_up() -> None:
    """Import and compile what either extraction needs."""
    y = np.random.default_rng(0).normal(size=SEGMENT_SAMPLES).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        librosas(y, SAMPLE_RATE)
    extract(y, SAMPLE_RATE)


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = function()
    return 1e3 * (time.perf_counter() - start), value


def _median_ms(function: Callable[[], Any]) -> float:
    function()
    return statistics.median(_timed(function)[0] for _ in range(REPEATS))


def machine() -> str:
    """Describe processor, cores and Python."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{processor}, {core_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
