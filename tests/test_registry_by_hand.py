"""`genre models`, `genre promote` and `genre rollback`, as a person meets them."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_project import Project, make_project

from genre import cli, registry
from genre.promotion import CHALLENGER, CHAMPION, Decision
from genre.registry import aliases, artifacts, versions
from tasks import register

NAME = "music-genre"
CHECKOUT = Path(__file__).parent.parent
DROP, CAP_DAC_OVERRIDE = 24, 1  # linux/prctl.h, linux/capability.h


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A finished pipeline; nothing is registered."""
    return make_project(tmp_path / "project")


def stored(project: Project, number: int, **tags: str) -> None:
    """Add versions up to `number`, each with a file, and tags as a registration leaves them."""
    store = project.store
    with registry.quiet():
        if not store.client.search_registered_models(f"name = '{NAME}'"):
            store.client.create_registered_model(NAME)
        for each in range(len(aliases.all_versions(store, NAME)) + 1, number + 1):
            place = project.root / f"mlruns/artifacts/models/m-{each}"
            place.mkdir(parents=True)
            (place / "MLmodel").write_text(f"model {each}")
            files = artifacts.as_tag(artifacts.of_folder(place))
            described = {"protocol": "song", "files": files, "settled": "yes"} | tags
            store.client.create_model_version(NAME, place.as_uri(), tags=described)


def genre(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    """Run the command; its exit code, output and errors."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--root", str(root), *words])
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def process(
    root: Path, *words: str, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "genre.cli", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=preexec_fn,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def held(project: Project) -> dict[str, str]:
    return aliases.held(project.store, NAME)


def files(root: Path) -> dict[str, bytes]:
    """Everything below `root`, but the lock that a writer leaves."""
    found = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in found
        if path.name != "registry.lock"
    }


def test_promoting_and_rolling_back_keeps_previous_right(project: Project) -> None:
    stored(project, 3)
    walk = []
    for command, words in (
        (registry.promote, ("1",)),
        (registry.promote, ("2",)),
        (registry.promote, ("3",)),
        (registry.rollback, ()),
        (registry.rollback, ()),
        (registry.promote, ("previous",)),
    ):
        command(project.params, project.root, *words)
        walk.append(held(project))

    assert walk == [
        {"champion": "1"},
        {"champion": "2", "previous": "1"},
        {"champion": "3", "previous": "2"},
        {"champion": "2", "previous": "3"},
        {"champion": "3", "previous": "2"},
        {"champion": "2", "previous": "3"},
    ]


def test_a_new_champion_ends_the_challengers_alias_and_leaves_others_alone(
    project: Project,
) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    project.store.client.set_registered_model_alias(NAME, CHALLENGER, "2")
    project.store.client.set_registered_model_alias(NAME, "shadow", "3")

    registry.promote(project.params, project.root, CHALLENGER)

    assert held(project) == {"champion": "2", "previous": "1", "shadow": "3"}


def test_each_change_is_recorded_with_time_reason_and_who_made_it(project: Project) -> None:
    stored(project, 2)
    first = aliases.all_versions(project.store, NAME)[1]
    versions.settle(project.store, first, Decision(CHAMPION, "first"))
    registry.promote(project.params, project.root, "2", "sounds\nbetter")
    registry.promote(project.params, project.root, "2", "again: nothing changes")
    registry.rollback(project.params, project.root)

    history = registry.history(project.params, project.root)

    assert [(c["version"], c["replaced"], c["by"], c["reason"]) for c in history] == [
        ("1", None, "gate", "first"),
        ("2", "1", "manual", "sounds better"),
        ("1", "2", "rollback", "no reason given"),
    ]
    assert all(c["time"].endswith("Z") and c["user"] for c in history)


def test_the_history_outlives_a_deleted_version(project: Project) -> None:
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    project.store.client.delete_model_version(NAME, "1")

    assert len(registry.history(project.params, project.root)) == 2
    assert held(project) == {"champion": "2"}


def test_a_champion_chosen_in_mlflow_is_kept_and_the_one_before_it_is_previous(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    project.store.client.set_registered_model_alias(NAME, CHAMPION, "3")

    shown = genre(capsys, project.root, "models", "--history")[1].splitlines()[1]
    back = genre(capsys, project.root, "rollback")

    assert shown.split()[:5] == ["not", "recorded", "3", "2", "outside"]
    assert back == (0, "music-genre: version 2 is champion instead of version 3\n", "")
    assert held(project) == {"champion": "2", "previous": "3"}
    history = registry.history(project.params, project.root)
    assert [(c["version"], c["replaced"], c["by"]) for c in history] == [
        ("1", None, "manual"),
        ("2", "1", "manual"),
        ("3", "2", "outside"),
        ("2", "3", "rollback"),
    ]
    assert all(change["time"] for change in history)


def test_after_the_champion_was_removed_in_mlflow_a_rollback_brings_it_back(
    project: Project,
) -> None:
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    project.store.client.delete_registered_model_alias(NAME, CHAMPION)

    registry.rollback(project.params, project.root)

    assert held(project)["champion"] == "2"


def test_a_deleted_alias_previous_is_known_from_the_history(project: Project) -> None:
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    project.store.client.delete_registered_model_alias(NAME, "previous")

    assert registry.rollback(project.params, project.root)[0] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("write", range(1, 5))
def test_killed_at_any_write_no_alias_is_lost_and_the_next_change_is_right(
    project: Project, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    project.store.client.set_registered_model_alias(NAME, CHALLENGER, "2")
    client = type(project.store.client)
    done = 0

    def counted(real: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            nonlocal done
            done += 1
            if done == write:
                raise KeyboardInterrupt
            return real(*words, **more)

        return call

    with monkeypatch.context() as patch:
        for name in (
            "set_registered_model_alias",
            "delete_registered_model_alias",
            "set_registered_model_tag",
        ):
            patch.setattr(client, name, counted(getattr(client, name)))
        with pytest.raises(KeyboardInterrupt):
            registry.promote(project.params, project.root, "2")
    champion = held(project)["champion"]
    assert champion in {"1", "2"}

    registry.promote(project.params, project.root, "3")

    assert held(project) == {"champion": "3", "previous": champion}
    history = registry.history(project.params, project.root)
    assert (history[-1]["version"], history[-1]["replaced"]) == ("3", champion)


@pytest.mark.slow
def test_a_promotion_by_hand_of_a_version_whose_registration_was_killed_stands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(versions, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            register.run(project.params, project.root)
    registry.promote(project.params, project.root, "1", "it is fine")

    assert register.run(project.params, project.root).endswith(
        "version 1: champion (promoted manually: it is fine)"
    )


@pytest.mark.slow
def test_after_a_rollback_registering_the_same_again_moves_nothing(project: Project) -> None:
    project.retrain(confused=("blues", "jazz"))
    register.run(project.params, project.root)
    project.retrain()
    register.run(project.params, project.root)
    registry.rollback(project.params, project.root, "heard it: worse")

    register.run(project.params, project.root)

    assert held(project) == {"champion": "1", "previous": "2"}


def test_the_table_the_json_and_the_history_say_the_same(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    register.run(project.params, project.root)

    code, out, err = genre(capsys, project.root, "models")
    rows = json.loads(genre(capsys, project.root, "models", "--json")[1])
    history = genre(capsys, project.root, "models", "--history")[1]
    changes = json.loads(genre(capsys, project.root, "models", "--history", "--json")[1])

    assert (code, err) == (0, "")
    heading, line = out.splitlines()
    assert heading.split() == [
        "version", "aliases", "registered", "model", "protocol", "accuracy", "data", "commit"
    ]  # fmt: skip
    assert line.startswith("1        champion")
    assert "100.0 % (43.9–100.0, test)" in line
    assert rows[0]["data_sha256"][:8] in line
    assert (rows[0]["accuracy"], rows[0]["accuracy_low"]) == (1.0, pytest.approx(0.4385, abs=1e-4))
    assert rows[0]["aliases"] == ["champion"]
    assert history.splitlines()[1].split()[2:5] == ["1", "–", "gate"]
    assert changes[0]["reason"] == "there was no champion"


def test_the_commands_say_what_they_did(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 2)

    said = [
        genre(capsys, project.root, *words)
        for words in (["promote", "1"], ["promote", "2"], ["promote", "2"], ["rollback"])
    ]

    assert said == [
        (0, "music-genre: version 1 is champion\n", ""),
        (0, "music-genre: version 2 is champion instead of version 1\n", ""),
        (0, "music-genre: version 2 is champion already\n", ""),
        (0, "music-genre: version 1 is champion instead of version 2\n", ""),
    ]


COMMANDS = (["models"], ["models", "--history"], ["promote", "1"], ["rollback"])


@pytest.mark.parametrize("words", COMMANDS)
def test_without_a_store_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    shutil.copyfile(CHECKOUT / "params.yaml", tmp_path / "params.yaml")

    code, out, err = genre(capsys, tmp_path, *words)

    assert (code, out) == (2, "")
    assert "mlruns/mlflow.db: there is no MLflow store yet" in err
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"these are not the tables you are looking for", "file is not a database"),
        (b"SQLite format 3\x00 and then nothing of the kind", "database"),
        (None, "file is not a database of MLflow"),
    ],
)
@pytest.mark.parametrize("words", COMMANDS)
def test_a_file_that_is_no_store_is_named_and_left_as_it_is(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    content: bytes | None,
    cause: str,
) -> None:
    shutil.copyfile(CHECKOUT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "mlruns").mkdir()
    path = tmp_path / "mlruns/mlflow.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE songs (title)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()

    code, out, err = genre(capsys, tmp_path, *words)

    assert (code, out) == (2, "")
    assert cause in err
    assert "mlruns/mlflow.db" in err
    assert "Traceback" not in err
    assert path.read_bytes() == before
    assert [path.name for path in (tmp_path / "mlruns").iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_a_database_that_another_program_locks_may_pass(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 1)
    other = sqlite3.connect(project.root / "mlruns/mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        code, out, err = genre(capsys, project.root, "models")
    finally:
        other.close()

    assert (code, out) == (1, "")
    assert "Another program is writing to it" in err
    assert len(err.splitlines()) == 1
    assert genre(capsys, project.root, "models")[0] == 0


@pytest.mark.slow
def test_a_damaged_page_deep_in_the_database_is_named(project: Project) -> None:
    stored(project, 1)
    path = project.root / "mlruns/mlflow.db"
    with sqlite3.connect(path) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'registered_models'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as handle:
        handle.seek((page - 1) * size)
        handle.write(b"\xff" * size)

    done = process(project.root, "promote", "1")  # ours has the page in memory

    assert (done.returncode, done.stdout) == (2, "")
    assert "malformed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_store_without_a_version_says_so(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert genre(capsys, project.root, "models") == (
        0,
        "music-genre: no version is registered yet. Next: make run\n",
        "",
    )
    assert genre(capsys, project.root, "models", "--json") == (0, "[]\n", "")
    for words in (["promote", "1"], ["rollback"]):
        code, out, err = genre(capsys, project.root, *words)
        assert (code, out) == (2, "")
        assert "no version of music-genre is registered yet" in err or "no champion and none" in err


def test_looking_leaves_every_file_as_it_was(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 1)
    (project.root / "mlruns/registry.lock").unlink()
    before = files(project.root)

    for words in (["models"], ["models", "--json"], ["models", "--history"]):
        assert genre(capsys, project.root, *words)[0] == 0

    assert files(project.root) == before
    assert not (project.root / "mlruns/registry.lock").exists()


@pytest.mark.parametrize("version", ["7", "0", "-1", "x", "1.0", "", "Ⅱ", "1; drop table"])
def test_an_unknown_version_is_refused_and_the_known_ones_named(
    project: Project, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    stored(project, 2)
    before = files(project.root)

    code, out, err = genre(capsys, project.root, "promote", "--", version)

    assert (code, out) == (2, "")
    assert f"music-genre has no version {version!r}: found 2, 1" in err
    assert files(project.root) == before


def test_a_version_whose_files_are_gone_or_cut_short_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "3")
    shutil.rmtree(project.root / "mlruns/artifacts/models/m-1")
    (project.root / "mlruns/artifacts/models/m-2/MLmodel").write_text("cut")

    gone = genre(capsys, project.root, "promote", "1")
    cut = genre(capsys, project.root, "promote", "2")
    back = genre(capsys, project.root, "rollback")

    assert [code for code, _, _ in (gone, cut, back)] == [2, 2, 2]
    assert "version 1 of music-genre cannot become champion: its files are gone" in gone[2]
    assert "its files are not those that were registered (MLmodel)" in cut[2]
    assert "its files are gone" in back[2]
    assert held(project) == {"champion": "3", "previous": "1"}


def test_a_version_with_a_leaky_protocol_is_refused_with_the_reason(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 1, protocol="segment")

    code, _, err = genre(capsys, project.root, "promote", "1", "--reason", "99 %!")

    assert code == 2
    assert "pieces of one song are on both sides" in err
    assert held(project) == {}
    assert registry.history(project.params, project.root) == []


def test_rolling_back_without_a_champion_before_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 2)
    none_yet = genre(capsys, project.root, "rollback")
    registry.promote(project.params, project.root, "2")
    only_one = genre(capsys, project.root, "rollback")
    project.store.client.set_registered_model_alias(NAME, "previous", "2")
    same = genre(capsys, project.root, "rollback")

    assert [code for code, _, _ in (none_yet, only_one, same)] == [2, 2, 2]
    assert "music-genre has no champion and none before" in none_yet[2]
    assert "version 2 is the only champion of music-genre so far" in only_one[2]
    assert "version 2 is the only champion of music-genre so far" in same[2]


@pytest.fixture
def read_only(project: Project) -> Iterator[Project]:
    """A project with two versions that may be read but not written, also by its owner."""
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    (project.root / "mlruns/registry.lock").unlink()
    everything = [project.root, *project.root.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield project
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)


def obey_permissions() -> None:
    """Let permissions bind root too, from the next program on."""
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(DROP, CAP_DAC_OVERRIDE):
        raise OSError(ctypes.get_errno(), "cannot give up the right to overrule permissions")


@pytest.mark.slow
def test_a_store_that_may_only_be_read_is_listed_and_refuses_changes(read_only: Project) -> None:
    listed = process(read_only.root, "models", "--json", preexec_fn=obey_permissions)
    promoted = process(read_only.root, "promote", "2", preexec_fn=obey_permissions)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert [row["aliases"] for row in json.loads(listed.stdout)] == [[], ["champion"]]
    assert (promoted.returncode, promoted.stdout) == (2, "")
    assert promoted.stderr.startswith("error: tracking.uri sqlite:///")
    assert len(promoted.stderr.splitlines()) == 1


def test_a_store_of_another_mlflow_is_told_from_todays(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.root / "mlruns/mlflow.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    connection.close()

    code, _, err = genre(capsys, project.root, "models")
    assert code == 2
    assert "out-of-date database schema" in err
    assert f"mlflow db upgrade sqlite:///{path}" in err
    assert "Traceback" not in err
