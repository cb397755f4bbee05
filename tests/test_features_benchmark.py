"""`python -m benchmarks.features` on generated audio."""

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
        [sys.executable, "-m", "benchmarks.features", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_benchmark_compares_both_and_writes_its_figures(project: Path, tmp_path: Path) -> None:
    t = np.arange(31 * SR) / SR
    noise = np.random.default_rng(0).normal(size=len(t))
    soundfile.write(tmp_path / "song.flac", 0.3 * np.sin(2 * np.pi * 330 * t) + 0.02 * noise, SR)
    soundfile.write(tmp_path / "short.wav", noise[:SR] * 0.1, SR)
    figures = tmp_path / "figures.json"

    done = benchmark(project, "--audio", str(tmp_path), "--clips", "2", "--json", str(figures))

    assert done.returncode == 0, done.stderr
    assert "| kernel | 30 s, ms | share | 3 s, ms |" in " ".join(done.stdout.split())
    assert "short.wav: shorter than 30 s, left out" in done.stderr
    result = json.loads(figures.read_text())
    assert result["clips"] == 1
    assert result["max_relative_error"] <= 1e-4
    assert result["ratio_30s"] == pytest.approx(result["librosa_ms_30s"] / result["ms_30s"])
    assert result["ratio_3s"] == pytest.approx(result["librosa_ms_3s"] / result["ms_3s"])
    assert result["floor_ms_30s"] > 0


def test_a_folder_without_audio_is_named(project: Path, tmp_path: Path) -> None:
    done = benchmark(project, "--audio", str(tmp_path))

    assert done.returncode == 2
    assert "found 0 audio files" in done.stderr
    assert "Traceback" not in done.stderr
