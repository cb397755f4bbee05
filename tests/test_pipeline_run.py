"""`python -m runner.run`, the command of `make run`, on a project with small steps."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from flows_harness import alive, make_project, wait_until

INGEST = """
import glob, pandas as pd
paths = sorted(glob.glob("data/raw/*/*"))
pd.DataFrame({"path": paths, "genre": "blues", "source": None, "status": "ok", "reason": None}
    ).to_parquet("data/catalogue.parquet")
print(len(paths), "songs")
"""
STAGES = {
    "ingest": {
        "cmd": f"{sys.executable} ingest.py",
        "deps": ["data/raw", "ingest.py"],
        "outs": ["data/catalogue.parquet"],
    },
    "trim": {
        "cmd": "echo 'cutting'; cp data/catalogue.parquet data/clips; echo '2 clips'",
        "deps": ["data/catalogue.parquet"],
        "outs": ["data/clips"],
    },
}


@pytest.fixture
def root(tmp_path, project):
    make_project(tmp_path, STAGES)
    (tmp_path / "ingest.py").write_text(INGEST)
    shutil.copy(project / "params.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def start(root, project):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "runner.run", *arguments],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(project)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def run(start):
    def run(*arguments):
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run


@pytest.mark.slow
def test_a_run_does_everything_and_a_second_finds_it_up_to_date(run):
    code, first, _ = run()
    again, second, _ = run()

    assert code == again == 0
    assert "cutting" in first
    assert "2 songs in 1 genre (blues 2)" in first
    assert "cutting" not in second
    assert second.count("up to date") == 2


@pytest.mark.slow
def test_a_deleted_collection_is_restored_from_the_cache(root, run):
    shutil.rmtree(root / "data/raw")

    code, out, _ = run()

    assert code == 0
    assert "restoring the collection" in out
    assert (root / "data/raw/blues/one.txt").exists()


@pytest.mark.slow
def test_a_manually_renamed_genre_folder_is_reported_and_keeps_its_rows(root, run):
    raw = root / "data/raw"
    (raw / "manifest.csv").write_text("path,artist\nblues/one.txt,A\nblues/two.txt,B\n")
    run()
    (raw / "blues").rename(raw / "delta-blues")

    code, out, _ = run()

    assert code == 0
    assert (
        "data/raw/delta-blues holds 2 songs that were in data/raw/blues: the genre folder was "
        "renamed" in out
    )
    assert "delta-blues/one.txt,delta-blues,A" in (raw / "manifest.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("genre", "message"),
    [
        (None, "new: no such folder; evaluate.new_songs"),
        ("blouse", "found the genre blouse, which the classifier was not trained on"),
    ],
)
def test_a_bad_folder_of_new_songs_is_reported_before_any_step(root, run, genre, message):
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("new_songs: data/new_songs", "new_songs: new"))
    if genre:
        (root / "new" / genre).mkdir(parents=True)
        (root / "new" / genre / "song.mp3").write_bytes(b"ID3")

    code, out, err = run()

    assert code == 2
    assert message in err
    assert "ingest" not in out


def test_a_typo_in_params_yaml_is_reported_before_any_step(root, run):
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("position:", "positon:"))

    code, out, err = run()

    assert code == 2
    assert "unknown key trim.positon" in err
    assert "did you mean position?" in err
    assert "ingest" not in out


@pytest.mark.slow
def test_a_failed_step_is_reported_with_its_exit_code(root, run):
    (root / "ingest.py").write_text("import sys; sys.exit('error: data/raw: no songs')")

    code, out, _ = run()

    assert code == 1
    assert "ingest: data/raw: no songs" in out
    assert "Not run" in out


@pytest.mark.slow
def test_bad_input_gives_exit_code_2(root, run):
    (root / "ingest.py").write_text("import sys; print('error: no songs'); sys.exit(2)")

    code, out, _ = run()

    assert code == 2
    assert "fix what the message names" in out


def test_a_checksum_without_a_source_is_refused(run):
    code, _, err = run("--sha256", "00")

    assert code == 2
    assert "--sha256 needs a SOURCE" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ending_a_run_leaves_no_process_and_no_traceback(root, start, number, code):
    (root / "ingest.py").write_text(
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "open('child.pid', 'w').write(str(child.pid))\n"
        "time.sleep(300)\n"
    )
    process = start()
    pid_file = root / "child.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text())

    process.send_signal(number)
    _, err = process.communicate(timeout=30)

    assert process.returncode == code
    assert err == "ended; finished steps are kept: run the same command to continue\n"
    assert not alive(pid_file)
