"""Scaling of the step features: time by workers, memory by number of songs.

    python -m benchmarks.scaling [--songs 200] [--many 2000] [--json FILE]

Clips are synthetic, in a temporary project; every run is a new process without cache, so start-up
is included. Runs with one and two workers alternate. Memory is the peak resident set size in MB
(10^6 bytes) of the main process and of the largest worker.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import yaml

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE
from tasks.io import paths

PROJECT = Path(__file__).resolve().parent.parent
TURNS = 3
LOOK_SECONDS = 0.1


def make_clips(root: Path, count: int) -> None:
    """Write `count` different clips and their catalogue below `root`."""
    import soundfile

    (root / paths.CLIPS).mkdir(parents=True, exist_ok=True)
    time_s = np.arange(CLIP_SAMPLES) / SAMPLE_RATE
    names = [f"{number:016x}" for number in range(count)]
    for number, name in enumerate(names):
        path = root / paths.CLIPS / f"{name}.flac"
        if not path.exists():
            random = np.random.default_rng(number)
            y = 0.05 * random.standard_normal(CLIP_SAMPLES)
            y += 0.3 * np.sin(2 * np.pi * (200 + number) * time_s) * np.exp(-(time_s % 0.5) * 5)
            soundfile.write(path, y, SAMPLE_RATE, subtype="PCM_16")
    table = pd.DataFrame({"track_id": names, "path": names, "genre": "noise", "status": "ok"})
    table["sha256"] = ""  # of songs, which this family does not read
    table.to_parquet(root / paths.CATALOGUE)


def run(root: Path, workers: int) -> dict[str, float]:
    """Run the step without cache; return its wall time and peaks of memory."""
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["compute"] |= {"engine": "local", "workers": workers}
    params["features"] |= {"families": ["report"]}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.rmtree(root / ".cache", ignore_errors=True)
    script = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from tasks.features import main; main()"
    )
    start = time.perf_counter()
    process = psutil.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.DEVNULL)
    driver = worker = 0
    while process.poll() is None:
        try:
            driver = max(driver, process.memory_info().rss)
            for child in process.children(recursive=True):
                worker = max(worker, child.memory_info().rss)
        except psutil.NoSuchProcess:
            pass
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise SystemExit(f"the step failed with exit code {process.returncode}")
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "driver_mb": driver / 1e6, "worker_mb": worker / 1e6}


def main() -> None:
    """Measure, print a table, and write the results as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000, help="songs of the memory run; 0: none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"songs": options.songs}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_clips(root, options.songs)
        turns = [(run(root, 1), run(root, 2)) for _ in range(TURNS)]
        figures["seconds_1_worker"] = statistics.median(one["seconds"] for one, _ in turns)
        figures["seconds_2_workers"] = statistics.median(two["seconds"] for _, two in turns)
        figures["ratio"] = statistics.median(one["seconds"] / two["seconds"] for one, two in turns)
        figures["driver_mb"] = max(two["driver_mb"] for _, two in turns)
        figures["worker_mb"] = max(two["worker_mb"] for _, two in turns)
        if options.many:
            make_clips(root, options.many)
            many = run(root, 2)
            figures |= {"many": options.many, **{f"many_{key}": many[key] for key in many}}
    for key, value in figures.items():
        print(f"{key:20} {value:.2f}" if isinstance(value, float) else f"{key:20} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
