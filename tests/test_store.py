"""What was computed before is kept by content, settings and code."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from genre.core.cache import FILE, VERSIONS, Store, cache_key


def test_what_was_put_is_got_by_another_process(tmp_path: Path) -> None:
    with Store(tmp_path, "work") as store:
        store.put("a", b"1")
    script = f"""
from pathlib import Path
from genre.core.cache import Store
with Store(Path({str(tmp_path)!r}), "work") as store:
    print(store.get(["a", "b"]))
"""
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert printed.strip() == "{'a': b'1'}"


def test_other_work_knows_nothing_of_it(tmp_path: Path) -> None:
    with Store(tmp_path, "n_fft 2048") as store:
        store.put("a", b"1")
    with Store(tmp_path, "n_fft 4096") as store:
        assert store.get(["a"]) == {}


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from genre.core.cache import Store
store = Store(Path({str(tmp_path)!r}), "work")
for number in range(100):
    store.put(str(number), b"x" * 5000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)

    with Store(tmp_path, "work") as store:
        assert len(store.get(map(str, range(200)))) == 100


def test_many_can_be_asked_for_at_once(tmp_path: Path) -> None:
    with Store(tmp_path, "work") as store:
        for number in range(0, 1200, 2):
            store.put(str(number), str(number).encode())

        found = store.get(map(str, range(1200)))

    assert found == {str(number): str(number).encode() for number in range(0, 1200, 2)}


def test_a_store_that_is_no_database_is_started_afresh(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(b"not a database " * 1000)

    with Store(tmp_path, "work") as store:
        store.put("a", b"1")
        assert store.get(["a"]) == {"a": b"1"}


def test_a_store_that_cannot_be_made_costs_time_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE.parent).write_text("a file where the folder should be")

    with Store(tmp_path, "work") as store:
        store.put("a", b"1")
        assert store.get(["a"]) == {}
    assert "computing everything" in capsys.readouterr().err


def test_a_store_that_goes_bad_in_use_costs_time_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path, "work") as store:
        store.put("a", b"1")
        other = sqlite3.connect(tmp_path / FILE)
        other.execute("DROP TABLE songs")
        other.commit()
        other.close()

        assert store.get(["a"]) == {}
        store.put("b", b"2")
    assert "not kept" in capsys.readouterr().err


def test_experiments_share_the_store_of_the_main_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "main", "work") as store:
        store.put("a", b"1")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))

    with Store(tmp_path / "experiment", "work") as store:
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
