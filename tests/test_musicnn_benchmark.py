"""The benchmark of embeddings, on one synthetic clip."""

from __future__ import annotations

from pathlib import Path

import pytest
from musicnn_weights import pretrained  # noqa: F401

from benchmarks import embeddings

pytestmark = pytest.mark.slow


def test_the_benchmark_prints_what_it_measured(
    pretrained: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(embeddings, "PRETRAINED", pretrained)
    monkeypatch.setattr(embeddings, "REPEATS", 1)
    assert embeddings.main(["--clips", "1", "--json", str(tmp_path / "figures.json")]) == 0
    output = capsys.readouterr().out
    assert "1 clips of 30 s, 28 patches each" in output
    assert "times faster than the plain one" in output
    assert (tmp_path / "figures.json").exists()


def test_a_folder_without_songs_is_named(
    pretrained: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(embeddings, "PRETRAINED", pretrained)
    assert embeddings.main(["--audio", str(tmp_path)]) == 2
    assert "found 0 audio files" in capsys.readouterr().err
