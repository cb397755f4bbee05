"""Damaged and hostile files in the collection.

Three hundred in `make test-slow`, 2 500 in `make soak`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import memory
import mutations
import pandas as pd
import pytest
import work
from params_file import change_params
from songs import tone, write

from genre.collection import add
from genre.core.errors import InputError
from genre.core.params import load_params
from tasks import ingest
from tasks.io import scanning

if TYPE_CHECKING:
    from conftest import Draws

pytestmark = [pytest.mark.slow, pytest.mark.whole_machine]

FEW, ALL = 300, 2_500  # files, of which 168 are crafted
WHOLE = 12  # undamaged songs
MEGABYTES = 600  # limit of memory for a process of a step; ordinary songs need 200
SECONDS_A_FILE = 20.0  # then a file is set aside; an ordinary one needs less than 0.1


class Hostile:
    """A project with mostly damaged files, in a folder with other files."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.raw = self.root / "data/raw"
        self.kinds: dict[str, str] = {}  # by path in the collection
        self.code, self.printed = -1, ""
        self.before: dict[str, str] = {}
        self.megabytes: dict[str, int] = {}  # peak of the largest process of a step
        for name in ("outside.txt", "home/.ssh/id", "home/song.wav"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("not yours")
        changes = {
            "ingest.min_seconds": 0.1,
            "ingest.max_set_aside": 1.0,
            "compute.song_timeout_seconds": SECONDS_A_FILE,
        }
        self.root.mkdir()
        change_params(self.root, changes, start=project)

    def fill(self, draws: Draws) -> None:
        """Write the files into three genres, a tenth of them under hostile names."""
        draw = draws.random()
        songs = mutations.originals(self.folder / "originals")
        made = list(mutations.built(draw, songs))
        made += mutations.mutate(draw, songs, draws.count(FEW, ALL) - len(made))
        for number, one in enumerate(made):
            genre = ("jazz", "pop", "rock")[number % 3]
            name = f"{number}.{one.suffix}"
            if number % 10 == 0:
                name = mutations.NAMES[number // 10 % len(mutations.NAMES)]
            folder = self.raw / genre / f"{number:04}"
            folder.mkdir(parents=True)
            (folder / name).write_bytes(one.content)
            self.kinds[f"{genre}/{number:04}/{name}"] = one.kind
        for number in range(WHOLE):
            name = f"{('jazz', 'pop', 'rock')[number % 3]}/whole{number}.wav"
            write(self.raw / name, tone(4.0, seed=number))
            self.kinds[name] = "whole"

    def run(self, step: str) -> tuple[int, str]:
        """Run a step in a process of its own; record the memory of it and its workers."""
        with subprocess.Popen(
            [sys.executable, "-m", f"tasks.{step}"],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            watch = memory.Watch(process)
            assert process.stdout is not None
            printed = process.stdout.read().decode(errors="replace")
        self.megabytes[step] = watch.most()
        return process.returncode, printed

    def outside(self) -> dict[str, str]:
        """All files in the folder outside the project."""
        return {
            str(path): path.read_text(errors="replace")
            for path in self.folder.rglob("*")
            if path.is_file() and not path.is_relative_to(self.root)
        }


@pytest.fixture(scope="module")
def hostile(project: Path, tmp_path_factory: pytest.TempPathFactory, draws: Draws) -> Hostile:
    hostile = Hostile(tmp_path_factory.mktemp("hostile"), project)
    hostile.fill(draws)
    hostile.before = hostile.outside()
    hostile.code, hostile.printed = hostile.run("ingest")
    return hostile


@pytest.fixture(scope="module")
def catalogue(hostile: Hostile) -> pd.DataFrame:
    assert hostile.code == 0, hostile.printed
    table = pd.read_parquet(hostile.root / "data/catalogue.parquet").set_index("path", drop=False)
    return table.assign(kind=pd.Series(hostile.kinds))


def test_every_hostile_file_is_usable_or_set_aside_with_a_reason(hostile, catalogue, capsys, draws):
    ended = catalogue.groupby(catalogue["kind"].str.split().str[0])["status"].value_counts()

    with capsys.disabled():
        print(f"\n{ended.unstack(fill_value=0).to_string()}\nMB: {hostile.megabytes}")
    files = draws.count(FEW, ALL)
    hidden = [path for path in hostile.kinds if "/." in path]
    assert len(catalogue) + len(hidden) == len(hostile.kinds) == files + WHOLE
    assert catalogue["kind"].notna().all()
    assert set(catalogue["status"]) == {"ok", "set_aside"}
    assert ((catalogue["status"] == "ok") == catalogue["reason"].isna()).all()
    assert (catalogue.loc[catalogue["kind"] == "whole", "status"] == "ok").all()
    assert 0.04 * files < (catalogue["status"] == "ok").sum() < 0.8 * files


def test_no_hostile_file_exceeds_the_time_limit(catalogue):
    late = catalogue[catalogue["reason"].fillna("").str.contains("took longer")]

    assert list(late.index) == []


@pytest.mark.usefixtures("catalogue")
def test_no_process_needs_much_memory_for_hostile_files(hostile):
    assert hostile.megabytes["ingest"] < MEGABYTES


def test_usable_songs_can_be_processed(hostile, catalogue):
    usable = catalogue.loc[catalogue["status"] == "ok", "track_id"]

    code, printed = hostile.run("trim")
    assert code == 0, printed
    assert hostile.megabytes["trim"] < MEGABYTES

    assert {path.stem for path in (hostile.root / "data/clips").iterdir()} == set(usable)


@pytest.mark.usefixtures("catalogue")
def test_nothing_outside_the_project_was_touched_and_nothing_of_a_file_was_run(hostile):
    assert hostile.outside() == hostile.before
    assert list(hostile.folder.rglob("pwned")) == []
    assert {path.name for path in hostile.root.iterdir()} == {"data", "params.yaml", ".cache"}


def test_a_decoder_that_crashes_or_hangs_takes_only_its_own_process(hostile, tmp_path, monkeypatch):
    raw = tmp_path / "data/raw"
    for name in ("jazz", "rock"):
        for number in range(4):
            write(raw / name / f"{number}.wav", tone(4.0, seed=number + 4 * (name == "rock")))
    for number, ending in enumerate((b"segfault", b"abort", b"exit", b"hang")):
        (raw / "rock" / f"{number}.mp3").write_bytes(ending)
    params = load_params(hostile.root / "params.yaml")
    compute = params.compute.model_copy(update={"song_timeout_seconds": 5.0})
    monkeypatch.setattr(scanning.catalogue, "scan_song", work.crash_on_some)

    ingest.run(params.model_copy(update={"compute": compute}), tmp_path)

    table = pd.read_parquet(tmp_path / "data/catalogue.parquet").set_index("path")
    reasons = table["reason"].dropna()
    assert sorted(reasons.index) == [f"rock/{number}.mp3" for number in range(4)]
    assert all("crashed its worker process" in reasons[f"rock/{n}.mp3"] for n in range(3))
    assert "took longer" in reasons["rock/3.mp3"]


def test_hostile_names_are_added_as_harmless_ones(tmp_path):
    source = tmp_path / "songs"
    names = (*mutations.NAMES, mutations.NO_UTF8)
    for number, name in enumerate(names):
        folder = source / "rock"
        folder.mkdir(parents=True, exist_ok=True)
        song = write(tmp_path / "song.wav", tone(1.0, seed=number))
        shutil.move(song, folder / name)

    hidden = sum(name.startswith(".") for name in names)

    added = add(source, tmp_path / "project", log=lambda _: None)

    raw = tmp_path / "project/data/raw"
    found = [path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file()]
    assert len(added.added) == len(found) == len(names) - hidden
    assert [name for name in found if not name.isprintable() or "\\" in name] == []


def test_a_file_name_that_is_not_utf_8_is_reported(tmp_path, hostile):
    write(tmp_path / "song.wav", tone(4.0))
    (tmp_path / "data/raw/rock").mkdir(parents=True)
    shutil.move(tmp_path / "song.wav", tmp_path / "data/raw/rock" / mutations.NO_UTF8)

    with pytest.raises(InputError, match=r"xff.xfe.wav' is a file name that is not UTF-8"):
        ingest.run(load_params(hostile.root / "params.yaml"), tmp_path)
