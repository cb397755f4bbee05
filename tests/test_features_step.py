"""The step features: two Parquet datasets, cached per song."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from params_file import with_families
from songs import tone, write, write_collection

from genre.audio import SAMPLE_RATE, read_clip, segment
from genre.core.params import Params, load_params
from genre.features.report import NAMES, extract
from tasks import features, ingest, trim


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return with_families(load_params(project / "params.yaml"), "report")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A project whose steps up to features have run."""
    root = tmp_path_factory.mktemp("made")
    write_collection(root / "data/raw", songs=3)
    for step in (ingest, trim, features):
        step.run(params, root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of that project, to change."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def datasets(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.read_parquet(root / "data/features/report/30s"),
        pd.read_parquet(root / "data/features/report/3s"),
    )


def with_helpers() -> dict[str, str]:
    """The environment, with the helpers of the tests on Python's path."""
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def digest(root: Path) -> list[str]:
    return [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "data/features").rglob("*.parquet"))
    ]


def test_each_clip_has_a_row_and_each_of_its_segments_one(made: Path) -> None:
    long, short = datasets(made)

    assert list(long.columns) == ["track_id", "genre", "segment", "start_s", *NAMES]
    assert list(short.columns) == list(long.columns)
    assert len(long) == 6
    assert len(short) == 60
    assert (long["segment"] == 0).all()
    for table in (long, short):
        assert table.equals(table.sort_values(["track_id", "segment"], ignore_index=True))
        assert np.isfinite(table[list(NAMES)].to_numpy()).all()
    first = short[short["track_id"] == short["track_id"].iloc[0]]
    assert first["segment"].tolist() == list(range(10))
    assert first["start_s"].tolist() == [3.0 * number for number in range(10)]
    assert set(long["genre"]) == {"jazz", "rock"}


def test_the_rows_hold_what_extract_gives_for_the_clip_and_for_its_segments(made: Path) -> None:
    long, short = datasets(made)
    track_id = long["track_id"].iloc[2]
    y = read_clip(made / f"data/clips/{track_id}.flac")

    clip = long.set_index("track_id").loc[track_id, list(NAMES)]
    second = short[(short["track_id"] == track_id) & (short["segment"] == 1)].iloc[0]

    assert clip.to_dict() == pytest.approx(extract(y, SAMPLE_RATE), rel=1e-6, abs=1e-9)
    assert second[list(NAMES)].to_dict() == pytest.approx(
        extract(segment(y)[1], SAMPLE_RATE), rel=1e-6, abs=1e-9
    )


def test_nothing_changed_computes_nothing_and_gives_the_same_bytes(
    root: Path, params: Params
) -> None:
    before = digest(root)

    summary = features.run(params, root)

    assert "(0 computed, 6 reused)" in summary
    assert digest(root) == before


@pytest.mark.slow
def test_one_worker_without_cache_gives_the_same_bytes(root: Path, params: Params) -> None:
    before = digest(root)
    shutil.rmtree(root / ".cache")
    compute = params.compute.model_copy(update={"workers": 1})

    summary = features.run(params.model_copy(update={"compute": compute}), root)

    assert "(6 computed, 0 reused)" in summary
    assert digest(root) == before


def test_one_song_more_computes_one_song(root: Path, params: Params) -> None:
    write(root / "data/raw/jazz/new.wav", tone(6, seed=999))

    scanned, cut, extracted = (step.run(params, root) for step in (ingest, trim, features))

    assert "(1 scanned, 6 cached)" in scanned
    assert "(1 computed, 6 reused)" in cut
    assert "(1 computed, 6 reused)" in extracted
    assert len(datasets(root)[0]) == 7


@pytest.mark.slow
def test_another_genre_for_a_song_computes_nothing(root: Path, params: Params) -> None:
    (root / "data/raw/jazz/jazz0.wav").rename(root / "data/raw/rock/jazz0.wav")
    write(root / "data/raw/jazz/new.wav", tone(6, seed=999))
    for step in (ingest, trim):
        step.run(params, root)

    assert "(1 computed, 6 reused)" in features.run(params, root)
    assert datasets(root)[0]["genre"].value_counts().to_dict() == {"rock": 4, "jazz": 3}


@pytest.mark.slow
def test_other_frames_compute_everything(root: Path, params: Params) -> None:
    frames = params.features.model_copy(update={"n_fft": 1024})

    summary = features.run(params.model_copy(update={"features": frames}), root)

    assert "(6 computed, 0 reused)" in summary


def test_a_truncated_clip_is_set_aside_by_name_and_the_others_are_computed(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = sorted((root / "data/clips").glob("*.flac"))[0]
    clip.write_bytes(clip.read_bytes()[:1000])

    summary = features.run(params, root)

    assert "(0 computed, 5 reused, 1 set aside)" in summary
    assert f"set aside: data/clips/{clip.name} " in capsys.readouterr().out
    assert clip.stem not in set(datasets(root)[1]["track_id"])


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_songs_it_had_finished(root: Path, params: Params) -> None:
    shutil.rmtree(root / ".cache")
    before = digest(root)
    script = f"""
import os, signal
from pathlib import Path
from params_file import with_families
from genre.core.params import load_params
from genre.core.cache import Cache
from tasks import features

put = Cache.put
def put_three(self, *entry, done=[]):
    put(self, *entry)
    done.append(entry)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Cache.put = put_three
if __name__ == "__main__":
    features.run(with_families(load_params(), "report"), Path({str(root)!r}))
"""
    file = root / "killed.py"
    file.write_text(script)
    killed = subprocess.run([sys.executable, str(file)], check=False, env=with_helpers())
    assert killed.returncode == -signal.SIGKILL
    assert digest(root) == before

    summary = features.run(params, root)

    assert "(3 computed, 3 reused)" in summary
    assert digest(root) == before
    assert not list((root / "data").glob(".incomplete-*"))


def test_the_reports_csv_tables_are_written_when_asked(root: Path, params: Params) -> None:
    settings = params.features.model_copy(update={"csv": True})
    features.run(params.model_copy(update={"features": settings}), root)

    long = pd.read_csv(root / "data/features/csv/features_30_sec.csv")
    short = pd.read_csv(root / "data/features/csv/features_3_sec.csv")

    assert list(long.columns) == ["filename", "length", *NAMES, "label"]
    assert list(short.columns) == list(long.columns)
    assert "jazz0.wav" in set(long["filename"])
    assert {"jazz0.0.wav", "jazz0.9.wav"} <= set(short["filename"])
    assert set(long["length"]) == {661_500}
    assert set(short["length"]) == {66_150}
    pd.testing.assert_frame_equal(
        long[list(NAMES)], datasets(root)[0][list(NAMES)], check_exact=False, rtol=1e-12
    )


@pytest.mark.real_audio
def test_the_columns_are_named_as_in_the_public_table(shared_data: Path) -> None:
    header = pd.read_csv(shared_data / "gtzan_features_30s_dev.csv", nrows=0).columns

    assert list(header) == ["filename", "length", *NAMES, "label", "fault_filtered"]


@pytest.mark.slow
def test_waiting_workers_end_with_a_killed_run(root: Path) -> None:
    import psutil

    shutil.rmtree(root / ".cache")
    command = [sys.executable, "-c", _RUN_FEATURES.format(root=str(root))]
    running = subprocess.Popen(command, env=with_helpers())
    children: list[psutil.Process] = []
    while not children and running.poll() is None:
        time.sleep(0.2)
        children = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.wait()

    assert children
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


_RUN_FEATURES = """
from pathlib import Path
from params_file import with_families
from genre.core.params import load_params
from tasks import features
features.run(with_families(load_params(), "report"), Path({root!r}))
"""
