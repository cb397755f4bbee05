"""The whole pipeline is killed at many moments; the next run ends as an undisturbed one.

Half of the kills strike a first run, half one in which new songs meet a champion. In half of each
everything is killed at once, as by a power cut; in the others only the job's own process group,
whose watchdog then ends the steps while the next run already waits for them. `make test-slow` kills
four runs, `make soak` forty.
"""

from __future__ import annotations

import collections
import compileall
import concurrent.futures
import contextlib
import itertools
import queue
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile
from killed_runs import Found, Lane, Round, different, step_of, wait_until_quiet
from params_file import change_params
from test_whole_run import clone

from genre import audio
from genre.collection import demo

if TYPE_CHECKING:
    from conftest import Draws

pytestmark = [pytest.mark.slow, pytest.mark.whole_machine, pytest.mark.timeout(3600)]

FEW, ALL = 4, 40  # kills: few are one in each half of each scene
LANES = 2  # projects that are worked on side by side: one a core
GENRES = ("country", "pop", "rock")
SONGS, MORE = 4, 2  # a genre, at first and added later
SECONDS = 6.0
CHEAP = {
    "features.families": ["extended"],
    "train.models": ["lda"],
    "train.folds": 2,
    "select.vote": False,
    "evaluate.bootstrap_samples": 100,
}
FIRST, GROWN = "a first run", "a run with new songs"
BEFORE = {FIRST: "nothing", GROWN: "first"}  # the starting point of each run


class Experiment:
    """Undisturbed runs in two lanes, then kills, each followed by a run."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.songs = write_songs(folder / "songs")
        self.lanes = [Lane(folder / f"lane-{number}") for number in range(LANES)]
        self.template = cheap_project(project, folder / "template")
        self.seconds: dict[str, float] = {}
        self.undisturbed: dict[str, list[Found]] = {FIRST: [], GROWN: []}
        self.rounds: list[Round] = []

    @property
    def succeeded(self) -> list[Round]:
        """The rounds in which the run after the kill succeeded; of the others a test tells."""
        return [one for one in self.rounds if one.found]

    def run_undisturbed(self) -> None:
        """Do both runs in each lane, and save their starting points."""
        for workers, lane in enumerate(
            self.lanes, start=1
        ):  # the number of workers changes no byte
            shutil.copytree(self.template, lane.root, symlinks=True)
            change_params(lane.root, {"compute.workers": workers})
        for scene, before in BEFORE.items():
            for lane in self.lanes:
                lane.keep(before)
            songs = [self.songs[scene]] * LANES
            start = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor() as pool:
                for code, printed in pool.map(Lane.run, self.lanes, songs):
                    assert code == 0, printed
            self.seconds[scene] = time.monotonic() - start
            self.undisturbed[scene] = [lane.look() for lane in self.lanes]

    def kill(self, draws: Draws) -> None:
        """The rounds, shared by the lanes: a kill in each of equal parts of the undisturbed run."""
        draw = draws.random()
        rounds = draws.count(FEW, ALL) // len(BEFORE)
        waiting: queue.SimpleQueue[Round] = queue.SimpleQueue()
        for number, scene in itertools.product(range(rounds), BEFORE):
            moment = self.seconds[scene] * (number + draw.random()) / rounds
            one = Round(scene, moment, everything=number % 2 == 0)
            self.rounds.append(one)
            waiting.put(one)

        def work(lane: Lane) -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self.go(lane, waiting.get_nowait())

        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(work, self.lanes))

    def go(self, lane: Lane, one: Round) -> None:
        """One kill and the run after it."""
        lane.put_back(BEFORE[one.scene])
        while not lane.kill(self.songs[one.scene], one.moment, everything=one.everything):
            one.moment *= 0.9  # it was faster than the undisturbed one
            lane.put_back(BEFORE[one.scene])
        one.step = step_of(lane.printed())
        one.code, one.printed = lane.run(self.songs[one.scene])
        wait_until_quiet(lane.root, 15)
        if one.code == 0:
            one.found = lane.look()


@pytest.fixture(scope="module")
def experiment(project: Path, tmp_path_factory: pytest.TempPathFactory, draws: Draws) -> Experiment:
    experiment = Experiment(tmp_path_factory.mktemp("kills"), project)
    experiment.run_undisturbed()
    experiment.kill(draws)
    return experiment


def write_songs(folder: Path) -> dict[str, Path]:
    """Eighteen short songs: those of a first run, and those that are added."""
    demo.write_songs(folder / "long", songs_per_genre=SONGS + MORE, genres=GENRES)
    folders = {FIRST: folder / "first", GROWN: folder / "more"}
    for genre in GENRES:
        for number, path in enumerate(sorted((folder / "long" / genre).iterdir())):
            target = folders[FIRST if number < SONGS else GROWN] / genre / f"{path.stem}.flac"
            target.parent.mkdir(parents=True, exist_ok=True)
            y = audio.load(path)[: round(SECONDS * audio.SAMPLE_RATE)]
            soundfile.write(target, y, audio.SAMPLE_RATE)
    return folders


def cheap_project(project: Path, target: Path) -> Path:
    """A clone with the least work in every step."""
    clone(project, target)
    compileall.compile_dir(target, quiet=1)
    change_params(target, CHEAP)
    return target


def test_two_undisturbed_runs_leave_the_same_bytes(experiment):
    for scene, (one, other) in experiment.undisturbed.items():
        assert one.artifacts == other.artifacts, scene
        assert (
            one.registry
            == other.registry
            == {
                "versions": ["1"] if scene == FIRST else ["1", "2"],
                "aliases": one.registry["aliases"],
                "wrong": [],
            }
        )
        assert one.temporary == one.processes == []


def test_the_kills_hit_many_steps(experiment, draws, capsys):
    struck = collections.Counter(one.step for one in experiment.rounds)

    with capsys.disabled():
        print(f"\nkills: {', '.join(f'{step} {count}' for step, count in struck.most_common())}")
    assert sum(struck.values()) == draws.count(FEW, ALL)
    assert len(struck) >= draws.count(2, 8)
    if draws.soak:
        assert {"features", "register"} <= struck.keys()


def test_the_run_after_a_kill_succeeds(experiment):
    assert [f"{one}: {one.printed}" for one in experiment.rounds if one.code != 0] == []


def test_the_run_after_a_kill_leaves_the_bytes_of_an_undisturbed_one(experiment):
    differences = {}
    for one in experiment.succeeded:
        if names := different(experiment.undisturbed[one.scene][0], one.found):
            differences[str(one)] = names

    assert differences == {}


def test_the_registry_after_a_kill_is_that_of_an_undisturbed_run(experiment):
    wrong = {
        str(one): one.found.registry
        for one in experiment.succeeded
        if one.found.registry != experiment.undisturbed[one.scene][0].registry
    }

    assert wrong == {}


def test_neither_a_temporary_file_nor_a_process_is_left_after_a_kill(experiment):
    left = {
        str(one): one.found.temporary + one.found.processes
        for one in experiment.succeeded
        if one.found.temporary or one.found.processes
    }

    assert left == {}
