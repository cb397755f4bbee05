"""The commands `genre add`, `genre remove`, `genre relabel`, and the command group."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from folders import songs_in, write_tree

from genre import __version__, cli
from genre.core import messages
from genre.core.errors import GenreError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = write_tree(tmp_path / "project", {"params.yaml": ""})
    write_tree(tmp_path / "music", {"blues/a.mp3": "A", "rock/c d.mp3": "C", "rock/notes.txt": ""})
    monkeypatch.chdir(root)
    return root


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from genre.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(*sorted(sys.modules))"
    )
    for argument in ("--help", "--version"):
        out = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, check=True
        ).stdout
        modules = set(out.splitlines()[-1].split())
        assert not modules & {"numpy", "torch", "pandas", "librosa", "mlflow", "genre.collection"}
    assert __version__ in out


def test_every_command_is_listed_and_can_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for name, entry in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert entry.help in out
        command = cli.genre.get_command(click.Context(cli.genre), name)
        assert command is not None
        assert command.name == name
        assert run(name, "--help") == 0


def test_songs_are_added_removed_and_moved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "../music") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Added 2 songs to data/raw: blues 1, rock 1.",
        "Files skipped: 1 not songs.",
        "Next: make run",
    ]
    assert run("relabel", "data/raw/rock/c d.mp3", "pop") == 0
    assert capsys.readouterr().out == "Moved rock/c d.mp3 to pop/c d.mp3\nNext: make run\n"
    assert run("add", "../music") == 0
    assert capsys.readouterr().out.splitlines() == [
        "No song was added.",
        "Already in the collection: 1 song.",
        "Not added: rock/c d.mp3 is in the collection as pop/c d.mp3; "
        "to move it: " + messages.command("genre relabel 'pop/c d.mp3' rock"),
        "Files skipped: 1 not songs.",
    ]
    assert run("remove", hashlib.sha256(b"A").hexdigest()[:16]) == 0
    assert capsys.readouterr().out == "Removed blues/a.mp3\nNext: make run\n"
    assert set(songs_in(root)) == {"pop/c d.mp3"}


def test_a_refusal_is_one_line_on_stderr_and_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("add", "nowhere") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: nowhere: no such folder")
    assert captured.err.count("\n") == 1
    assert run("remove", "x") == 2
    assert run("relabel", "x") == 2  # the genre is missing
    assert run("add", "../music", "--max-gigabytes", "0") == 2
    assert run("sing") == 2
    assert not (root / "data/raw").exists()


def test_a_temporary_failure_has_exit_code_1(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_settings: object) -> None:
        raise GenreError("the disk is full;\n  make room\x1b[2J")

    monkeypatch.setattr("genre.cli.collection.add_songs", fail)
    assert run("add", "../music") == 1
    assert capsys.readouterr().err == "error: the disk is full; make room\\x1b[2J\n"
    assert root.is_dir()


def test_a_folder_that_is_not_a_project_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["add", "music"], ["remove", "x"], ["relabel", "x", "y"]):
        assert run(*command) == 2
        assert "is not the project's folder (no params.yaml in it)" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert run("--root", str(root), "add", "music") == 0
    assert set(songs_in(root)) == {"blues/a.mp3", "rock/c d.mp3"}


def test_names_with_control_characters_do_not_reach_the_terminal(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tree(tmp_path / "odd", {"jazz/a\x1b[31m.mp3": "1"})
    assert run("add", "../odd") == 0
    assert "Renamed: jazz/a\\x1b[31m.mp3 to jazz/a_[31m.mp3." in capsys.readouterr().out
    assert set(songs_in(root)) == {"jazz/a_[31m.mp3"}


@pytest.mark.real_audio
def test_songs_as_people_really_have_them_are_added_with_their_own_genre_words(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("add", str(shared_data / "cc_songs")) == 0
    out = capsys.readouterr().out
    assert "Added 18 songs" in out
    assert "Files skipped: 1 without a genre." in out
    assert (root / "data/raw/Reggae - Dub").is_dir()
