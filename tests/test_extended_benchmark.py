"""`python -m benchmarks.extended` on generated audio."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

SR = 22_050


def benchmark(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.extended", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_benchmark_compares_both_families_and_writes_its_figures(
    project: Path, tmp_path: Path
) -> None:
    t = np.arange(31 * SR) / SR
    noise = np.random.default_rng(0).normal(size=len(t))
    soundfile.write(tmp_path / "song.flac", 0.3 * np.sin(2 * np.pi * 330 * t) + 0.02 * noise, SR)
    figures = tmp_path / "figures.json"

    done = benchmark(project, "--audio", str(tmp_path), "--clips", "1", "--json", str(figures))

    assert done.returncode == 0, done.stderr
    assert "| 30 s and its ten 3 s |" in done.stdout
    result = json.loads(figures.read_text())
    assert result["clips"] == 1
    assert result["max_relative_error"] <= 1e-4
    assert min(result["ratio_30s"], result["ratio_3s"], result["ratio_clip"]) > 0


def test_a_folder_without_audio_is_named(project: Path, tmp_path: Path) -> None:
    done = benchmark(project, "--audio", str(tmp_path))

    assert done.returncode == 2
    assert "found 0 audio files" in done.stderr
    assert "Traceback" not in done.stderr
