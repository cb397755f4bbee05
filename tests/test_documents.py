"""The commands of README.md and docs/*.md, run one after the other in a trained project.

After each page the main commands must still work and agree about the champion.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from documents import Block, Terminal, blocks, commands, documents
from services_harness import free_port
from songs import tone, write
from trained_project import GENRES, TrainedProject

from genre import cli
from genre.core.params import load_params

CHECKOUT = Path(__file__).parent.parent
TYPED = [block for block in blocks(CHECKOUT) if block.is_command]
SERVERS = ("make app", "mlflow models serve")  # they run until they are ended
NOT_RUN = {
    "make test": "runs the tests, this one among them",
    "benchmarks.duplicates": "encodes 236 songs that are not part of the project in eleven ways",
}
# What a command prints if it does what its comment says.
PRINTED = {
    "make app": "Open http://127.0.0.1:",
    "SOURCE=~/music": "Added 15 songs to data/raw",
    "SOURCE=songs.zip": "Already in the collection: 15 songs.",
    "--json": '"probability"',
    "model.predict": "probability",
    "curl": '{"predictions": [{"genre": "',
    "make status": "prefect",
    "genre models": "champion",
    "genre promote 3": "version 3 is champion",
    "genre rollback": "is champion instead of version",
    "genre check": "all files match their checksums",
    "get_model_dependencies": "requirements.txt",
}

COPY = """
import mlflow
client = mlflow.MlflowClient("sqlite:///mlruns/mlflow.db")
client.copy_model_version("models:/music-genre/1", "music-genre")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, session_folder: Path) -> TrainedProject:
    """A trained project of a user with `~/music`, `~/incoming` and a few single songs."""
    ports = {"prefect_port": free_port(), "mlflow_port": free_port()}
    made = TrainedProject(CHECKOUT, tmp_path_factory.mktemp("documents"), session_folder, **ports)
    made.shell(f".venv/bin/python -c '{COPY}'")  # a version more, as the documents name a third
    write_collection(made.home / "music", seed=100)
    # The same songs: what an archive of other ones leads to is tested in test_hostile_secrets.
    shutil.make_archive(str(made.root / "songs"), "zip", made.home / "music")
    for seed, name in enumerate(("song.mp3", "song.ogg", "song.wav")):
        write(made.root / name, tone(8, seed=300 + seed))
    write(made.home / "incoming/new.wav", tone(8, seed=400))
    return made


def write_collection(folder: Path, *, seed: int) -> None:
    """Write short songs of `GENRES` into folders of their genres."""
    for number, genre in enumerate(GENRES * 5):
        write(folder / genre / f"{seed + number}.wav", tone(6, seed=seed + number))


@pytest.fixture(scope="module")
def terminal(project: TrainedProject) -> Iterator[Terminal]:
    opened = Terminal(project, SERVERS)
    yield opened
    opened.close()


def commands_of(block: Block) -> list[str]:
    """The commands of a block; a block of Python is run as a whole."""
    return commands(block.text) if block.language == "sh" else [block.text]


def reasons(block: Block) -> dict[str, str]:
    """The commands of a block that are not run, and why."""
    return {
        command: reason
        for command in commands_of(block)
        for what, reason in NOT_RUN.items()
        if what in command
    }


def can_run(block: Block) -> bool:
    """Whether any command of a block is run here."""
    return len(reasons(block)) < len(commands_of(block))


RUN = [block for block in TYPED if can_run(block)]
LAST = {block.document: block for block in RUN}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_runs_as_written_and_the_project_works_afterwards(
    block: Block, project: TrainedProject, terminal: Terminal
) -> None:
    left_out = reasons(block)
    for command, reason in left_out.items():
        print(f"{block}: not run, {reason}: {command}", end="")

    printed = terminal.run(block, list(left_out))

    print(printed)
    run = "".join(command for command in commands_of(block) if command not in left_out)
    for part, expected in PRINTED.items():
        assert part not in run or expected in printed
    if "--timeline song.png" in run:
        assert (project.root / "song.png").stat().st_size
    if block is LAST[block.document]:
        the_project_works(project)


def the_project_works(project: TrainedProject) -> None:
    """The main commands work, and agree about the champion."""
    replies = project.ask(
        "genre classify song.wav --json", "genre check", "genre models --json", "make run"
    )
    for reply in replies:
        assert reply.code == 0, str(reply)
        assert not re.search(r"Traceback|unexpected \w+", reply.out + reply.err), str(reply)
    classified, checked, listed, run = replies
    versions = {row["version"]: row["aliases"] for row in json.loads(listed.out)}
    (champion,) = (number for number, aliases in versions.items() if "champion" in aliases)
    (prediction,) = json.loads(classified.out)
    assert prediction["genre"] in GENRES
    assert prediction["model_version"] == champion
    assert checked.out.startswith(f"music-genre version {champion}:")
    registered = re.search(r"Registered +music-genre version (\d+), ([a-z, ]+)", run.out)
    assert registered, str(run)
    assert registered[1] in versions, str(run)
    for alias in ("champion", "challenger", "previous"):
        assert (alias in registered[2]) == (alias in versions[registered[1]]), str(run)
    started = re.findall(r"^(\S+) …$", run.out, re.MULTILINE)
    assert started in ([], ["register"]), f"nothing changed, and yet steps ran:\n{run}"


def test_settings_that_are_shown_are_settings_of_params_yaml(tmp_path: Path) -> None:
    shown = [block for block in blocks(CHECKOUT) if block.language == "yaml"]
    assert shown
    for block in shown:
        content = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
        for section, values in yaml.safe_load(block.text).items():
            content[section] |= values
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(content))
        load_params(path)  # raises for an unknown one


@pytest.mark.parametrize("path", documents(CHECKOUT), ids=lambda path: path.name)
def test_commands_in_the_text_exist(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    quoted = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]
    assert [each for each in quoted if not exists(each)] == []


def exists(text: str) -> bool:
    """Whether a text between backquotes is not a command, or an existing one."""
    program, *words = text.removeprefix(".venv/bin/").split() or [""]
    if not words:
        return True
    if program == "genre":  # by its name; blocks have its path
        return words[0] in cli.COMMANDS or words[0].startswith("-")
    if program == "make":
        makefile = (CHECKOUT / "Makefile").read_text()
        return words[0] == "-C" or f"\n{words[0]}:" in makefile
    if program == "python":
        module = CHECKOUT.joinpath(*words[1].split("."))
        there = module.is_dir() or module.with_suffix(".py").is_file()
        return there and text.startswith(".venv/bin/")
    if program in ("dvc", "mlflow", "prefect", "pip") and len(words) > 2:
        return text.startswith(".venv/bin/")
    return True
