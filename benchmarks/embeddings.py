"""Time MusiCNN's embeddings of a 30 s clip on one core: `python -m benchmarks.embeddings`.

One process, one thread; milliseconds of processor time, which hardly depends on other load (the sum
is also given in wall-clock time). The network is timed with frames shared between patches, as the
pipeline uses it, and patch by patch; the shared variant runs before and after the other one, so
that a slowing machine affects both. The ratio of a clip is the time patch by patch over the mean of
the two; the median over the clips is reported. Times do not depend on the content: without
`--audio` clips are synthetic sweeps and noise.

The weights are read from `data/pretrained`, or fetched as the step features fetches them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import choose, command, machine
from genre.audio import Samples, decode, resample, to_mono
from genre.core.files import write_bytes
from genre.core.markdown import table
from genre.core.progress import progress
from genre.features.musicnn import HOP_FRAMES, PATCH_FRAMES, SAMPLE_RATE, Embedder, weights, wheel
from genre.features.musicnn.front_end import SharedFrontEnd
from genre.features.musicnn.network import MusiCNN
from genre.features.musicnn.patches import log_mel, patch_starts

SECONDS = 30
MADE_RATE = 44_100
REPEATS = 9  # of each part
PRETRAINED = Path("data/pretrained")


def compare(y: Samples, network: MusiCNN, front_end: SharedFrontEnd) -> dict[str, float]:
    """Time the embedding of a clip in milliseconds, and compare both variants."""
    began = time.perf_counter()
    front_ms, spectrogram = _timed(lambda: torch.from_numpy(log_mel(y)))
    starts = patch_starts(len(spectrogram), PATCH_FRAMES, HOP_FRAMES)
    shape = len(starts), HOP_FRAMES, PATCH_FRAMES
    read_windows = [spectrogram[start : start + PATCH_FRAMES] for start in starts]

    def shared() -> Any:
        return network.after_front_end(front_end(spectrogram, *shape))

    first, ours = _timed(shared)
    wall_ms = 1e3 * (time.perf_counter() - began)
    plain_ms, plain = _timed(lambda: network(torch.stack(read_windows)))
    second, _ = _timed(shared)
    network_ms = (first + second) / 2
    return {
        "front_ms": front_ms,
        "network_ms": network_ms,
        "total_ms": front_ms + network_ms,
        "wall_ms": wall_ms,
        "plain_ms": plain_ms,
        "ratio": plain_ms / network_ms,
        "patches_per_second": 1000 * len(starts) / (front_ms + network_ms),
        "patches": len(starts),
        "tags_apart": float((ours.tags - plain.tags).abs().max()),
        "penultimate_apart": float((ours.penultimate - plain.penultimate).abs().max()),
    }


def parts(y: Samples, network: MusiCNN, front_end: SharedFrontEnd) -> dict[str, float]:
    """Time each part of the network on one clip, in milliseconds."""
    spectrogram = torch.from_numpy(log_mel(y))
    starts = patch_starts(len(spectrogram), PATCH_FRAMES, HOP_FRAMES)
    shape = len(starts), HOP_FRAMES, PATCH_FRAMES
    x = network.normalisation(spectrogram[None, None])[0, 0]
    layers: dict[str, torch.nn.Module] = {"timbral filters": front_end.timbral}
    for one in front_end.temporal:
        layers[f"temporal filters, {one.length} frames"] = one
    took = {name: _median_ms(partial(layer, x, *shape)) for name, layer in layers.items()}
    values = front_end(spectrogram, *shape)
    took["everything after them"] = _median_ms(lambda: network.after_front_end(values))
    return took


def run(audio: Path | None, n_clips: int) -> dict[str, Any]:
    """Measure on `n_clips` clips below the folder `audio`, or on synthetic ones.

    Raises `InputError` if the folder holds none.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    torch.set_num_threads(1)
    with _pretrained() as folder, threadpool_limits(1), torch.inference_mode():
        network = weights.load_network(folder, "msd")
        front_end = SharedFrontEnd(network)
        both = Embedder.load(folder, ["msd", "mtt"], device="cpu")
        clips = list(_clips(audio, n_clips))
        both.embed(clips[0][0])  # warm up
        results, together, resampling = [], [], []
        for y, rate in progress(clips, total=len(clips), what="embeddings"):
            took, resampled = _timed(partial(resample, y, rate, SAMPLE_RATE))
            resampled = resampled[: SECONDS * SAMPLE_RATE]
            resampling.append(took)
            results.append(compare(resampled, network, front_end))
            together.append(_timed(partial(both.embed, resampled))[0])
        medians = {key: statistics.median(one[key] for one in results) for key in results[0]}
        return medians | {
            "machine": machine(),
            "clips": len(clips),
            "resampling_ms": statistics.median(resampling),
            "both_weights_ms": statistics.median(together),
            "tags_apart": max(one["tags_apart"] for one in results),
            "penultimate_apart": max(one["penultimate_apart"] for one in results),
            "parts_ms": parts(resampled, network, front_end),
        }


def report(result: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    rows = [
        ("resampling to 16 kHz", f"{result['resampling_ms']:.1f}"),
        ("front end: log-mel spectrogram", f"{result['front_ms']:.1f}"),
        ("network, frames shared between patches", f"{result['network_ms']:.0f}"),
        ("front end and network", f"{result['total_ms']:.0f}"),
        ("the same by the wall clock", f"{result['wall_ms']:.0f}"),
        ("both sets of weights", f"{result['both_weights_ms']:.0f}"),
        ("network, patch by patch", f"{result['plain_ms']:.0f}"),
    ]
    total = sum(result["parts_ms"].values())
    shares = [
        (name, f"{took:.0f}", f"{took / total:.0%}") for name, took in result["parts_ms"].items()
    ]
    lines = [
        f"{result['machine']}; {result['clips']} clips of {SECONDS} s, {result['patches']:.0f} "
        "patches each, one thread, medians.",
        "",
        table(["", "ms a clip"], rows),
        "",
        f"{result['patches_per_second']:.0f} patches a second; the shared network is "
        f"{result['ratio']:.1f} times faster than the plain one. Greatest difference between the "
        f"two: tags {result['tags_apart']:.0e}, penultimate {result['penultimate_apart']:.0e}.",
        "",
        table(["part of the network", "ms", "share"], shares),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run as `python -m benchmarks.embeddings`."""
    description = "Time MusiCNN's embeddings on one core."
    return command(description, run, report, arguments, n_clips=5, makes_clips=True)


def _clips(audio: Path | None, n_clips: int) -> Iterator[tuple[Samples, int]]:
    """Return mono clips of 30 s with their sample rates."""
    if audio is None:
        random = np.random.default_rng(0)
        t = np.arange(SECONDS * MADE_RATE) / MADE_RATE
        for number in range(n_clips):
            sweep = np.sin(2 * np.pi * (100 + 40 * number + 10 * t) * t)
            noisy = 0.3 * sweep + 0.05 * random.normal(size=len(t))
            yield noisy.astype(np.float32), MADE_RATE
        return
    for path in choose(audio, n_clips):
        song = decode(path)
        y = to_mono(song.samples)[: SECONDS * song.sample_rate]
        yield np.pad(y, (0, SECONDS * song.sample_rate - len(y))), song.sample_rate


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    value = function()
    return 1e3 * (time.process_time() - start), value


def _median_ms(function: Callable[[], Any]) -> float:
    function()
    return statistics.median(_timed(function)[0] for _ in range(REPEATS))


@contextmanager
def _pretrained() -> Iterator[Path]:
    """Yield a folder with both sets of weights: the project's, or a temporary one."""
    if all(weights.read_right(PRETRAINED, name) for name in weights.SHA256):
        yield PRETRAINED
        return
    print(f"{PRETRAINED} does not hold both sets of weights: fetching them", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="musicnn-") as folder:
        made = wheel.convert(wheel.fetch(), list(weights.SHA256))
        for name, content in made.items():
            write_bytes(Path(folder) / weights.file_name(name), content)
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
