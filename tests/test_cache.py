"""The cache of results per song, by content, settings and code."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from genre.core.cache import FILE, VERSIONS, Cache, cache_key


def test_another_process_reads_a_cached_result(tmp_path: Path) -> None:
    with Cache(tmp_path, "work") as store:
        store.put("a", b"1")
    script = f"""
from pathlib import Path
from genre.core.cache import Cache
with Cache(Path({str(tmp_path)!r}), "work") as store:
    print(store.get(["a", "b"]))
"""
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert printed.strip() == "{'a': b'1'}"


def test_another_cache_key_has_no_result(tmp_path: Path) -> None:
    with Cache(tmp_path, "n_fft 2048") as store:
        store.put("a", b"1")
    with Cache(tmp_path, "n_fft 4096") as store:
        assert store.get(["a"]) == {}


def test_a_cached_result_survives_a_kill(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from genre.core.cache import Cache
store = Cache(Path({str(tmp_path)!r}), "work")
for number in range(100):
    store.put(str(number), b"x" * 5000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)

    with Cache(tmp_path, "work") as store:
        assert len(store.get(map(str, range(200)))) == 100


def test_many_results_are_read_at_once(tmp_path: Path) -> None:
    with Cache(tmp_path, "work") as store:
        for number in range(0, 1200, 2):
            store.put(str(number), str(number).encode())

        found = store.get(map(str, range(1200)))

    assert found == {str(number): str(number).encode() for number in range(0, 1200, 2)}


def test_a_damaged_cache_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(b"not a database " * 1000)

    with Cache(tmp_path, "work") as store:
        store.put("a", b"1")
        assert store.get(["a"]) == {"a": b"1"}


def test_a_cache_that_cannot_be_created_is_not_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE.parent).write_text("a file where the folder should be")

    with Cache(tmp_path, "work") as store:
        store.put("a", b"1")
        assert store.get(["a"]) == {}
    assert "computing everything" in capsys.readouterr().err


def test_a_cache_that_fails_in_use_is_not_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Cache(tmp_path, "work") as store:
        store.put("a", b"1")
        other = sqlite3.connect(tmp_path / FILE)
        other.execute("DROP TABLE songs")
        other.commit()
        other.close()

        assert store.get(["a"]) == {}
        store.put("b", b"2")
    assert "no longer cached" in capsys.readouterr().err


def test_experiments_share_the_cache_of_the_main_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache(tmp_path / "main", "work") as store:
        store.put("a", b"1")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))

    with Cache(tmp_path / "experiment", "work") as store:
        assert store.get(["a"]) == {"a": b"1"}


def test_the_cache_key_changes_with_settings_code_and_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = cache_key({"n_fft": 2048}, ["audio"], ["numpy"])

    assert cache_key({"n_fft": 2048}, ["audio"], ["numpy"]) == first
    assert cache_key({"n_fft": 4096}, ["audio"], ["numpy"]) != first
    assert cache_key({"n_fft": 2048}, ["audio"], ["numpy", "scipy"]) != first
    monkeypatch.setitem(VERSIONS, "audio", VERSIONS["audio"] + 1)
    assert cache_key({"n_fft": 2048}, ["audio"], ["numpy"]) != first
