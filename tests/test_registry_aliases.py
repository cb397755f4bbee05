"""`genre models`, `genre promote` and `genre rollback`, as a person uses them."""

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
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from registry_project import Project, make_project

from genre import cli, registry
from genre.core.errors import InputError
from genre.registry import aliases, lookup
from genre.registry.promotion import CHALLENGER, CHAMPION
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
    with store.reading():
        store.client.create_registered_model(NAME)
        for each in range(1, number + 1):
            place = project.root / f"mlruns/artifacts/models/m-{each}"
            (place / "artifacts/model").mkdir(parents=True)
            (place / "artifacts/model/weights").write_text(f"model {each}")
            described = {"protocol": "song", lookup.FILES: lookup.checksums(place)} | tags
            store.client.create_model_version(NAME, place.as_uri(), tags=described)


def genre(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    """Run the command; its exit code, output and errors."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--root", str(root), *words])
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def process(
    root: Path, code: str, *, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=preexec_fn,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def changes(project: Project) -> list[tuple[str, str, str]]:
    """Version, kind of promotion and reason of each row of the history."""
    rows = registry.history(project.params, project.root)
    return [(row["version"], row["by"].split()[0], row["reason"]) for row in rows]


def test_promoting_and_rolling_back_keeps_previous_right(project: Project) -> None:
    stored(project, 3)
    client = project.store.client
    client.set_registered_model_alias(NAME, CHALLENGER, "3")
    client.set_registered_model_alias(NAME, "shadow", "3")
    walk = []
    for command, words in (
        (registry.promote, ("1",)),
        (registry.promote, ("2", "sounds\nbetter")),
        (registry.promote, ("3", "again")),
        (registry.promote, ("3", "nothing changes")),
        (registry.rollback, ()),
        (registry.rollback, ()),
        (registry.promote, ("previous",)),
    ):
        returned = command(project.params, project.root, *words)
        held = project.aliases
        assert held.pop("shadow") == "3"
        walk.append((*returned, held))

    assert walk == [
        ("1", None, {"champion": "1"}),
        ("2", "1", {"champion": "2", "previous": "1"}),
        ("3", "2", {"champion": "3", "previous": "2"}),
        ("3", "3", {"champion": "3", "previous": "2"}),
        ("2", "3", {"champion": "2", "previous": "3"}),
        ("3", "2", {"champion": "3", "previous": "2"}),
        ("2", "3", {"champion": "2", "previous": "3"}),
    ]


def test_the_history_has_the_last_promotion_of_each_version_newest_first(project: Project) -> None:
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2", "sounds\nbetter")
    registry.rollback(project.params, project.root)

    assert changes(project) == [
        ("1", "rollback", "no reason given"),
        ("2", "manual", "sounds better"),
    ]
    tags = project.store.client.get_model_version(NAME, "2").tags
    assert tags["promoted_at"].endswith("Z")
    assert (tags["reason"], tags["decision"]) == ("sounds better", "champion")


def test_a_champion_chosen_in_mlflow_is_respected(project: Project) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    project.store.client.set_registered_model_alias(NAME, CHAMPION, "3")

    assert registry.models(project.params, project.root)[0]["aliases"] == ["champion"]
    assert [version for version, *_ in changes(project)] == ["2", "1"]
    assert registry.promote(project.params, project.root, "2") == ("2", "3")
    assert project.aliases == {"champion": "2", "previous": "3"}


@pytest.mark.parametrize(
    ("removed", "back"), [("previous", "1"), ("champion", "2"), ("version 1", None)]
)
def test_what_was_removed_in_mlflow_is_recovered_from_the_promotions(
    project: Project, removed: str, back: str | None
) -> None:
    stored(project, 2)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "2")
    client = project.store.client
    if removed.startswith("version"):
        client.delete_model_version(NAME, "1")
        with pytest.raises(InputError, match="no other version of music-genre was champion"):
            registry.rollback(project.params, project.root)
        return
    client.delete_registered_model_alias(NAME, removed)

    assert registry.rollback(project.params, project.root)[0] == back


@pytest.mark.parametrize(
    "write",
    [pytest.param(number, marks=[pytest.mark.slow] * (number != 3)) for number in range(1, 8)],
)
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
            "set_model_version_tag",
        ):
            patch.setattr(client, name, counted(getattr(client, name)))
        with pytest.raises(KeyboardInterrupt):
            registry.promote(project.params, project.root, "2")
    champion = project.aliases["champion"]
    assert champion == ("1" if write < 6 else "2")

    registry.promote(project.params, project.root, "3")

    assert project.aliases == {"champion": "3", "previous": champion}
    assert changes(project)[0][0] == "3"
    assert registry.rollback(project.params, project.root)[0] == champion


def test_an_alias_that_another_machine_adds_at_the_same_moment_is_set_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(project, 1)
    client = type(project.store.client)
    real, refused = client.set_registered_model_alias, []

    def refuse_once(*words: Any) -> None:  # as MLflow's server does
        if not refused:
            refused.append(words)
            raise MlflowException("UNIQUE constraint failed", BAD_REQUEST)
        real(*words)

    monkeypatch.setattr(client, "set_registered_model_alias", refuse_once)

    assert registry.promote(project.params, project.root, "1") == ("1", None)
    assert project.aliases == {"champion": "1"}


def test_a_number_is_a_version_before_it_is_an_alias(project: Project) -> None:
    stored(project, 2)
    project.store.client.set_registered_model_alias(NAME, "2", "1")

    assert registry.promote(project.params, project.root, "2") == ("2", None)


def test_the_table_the_json_and_the_history_agree(
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
    assert set(rows[0]) == {
        *("version", "aliases", "created", "model", "protocol", "subset", "data_sha256"),
        *("git_commit", "git_dirty", "reason", "accuracy", "accuracy_low", "accuracy_high"),
    }
    assert history.splitlines()[1].split()[2:4] == ["1", "gate"]
    assert set(changes[0]) == {"time", "version", "by", "reason"}
    assert changes[0]["reason"] == "there was no champion"


def test_the_commands_print_what_they_did(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 2)

    printed = [
        genre(capsys, project.root, *words)
        for words in (["promote", "1"], ["promote", "2"], ["promote", "2"], ["rollback"])
    ]

    assert printed == [
        (0, "music-genre: version 1 is champion\n", ""),
        (0, "music-genre: version 2 is champion instead of version 1\n", ""),
        (0, "music-genre: version 2 is champion already\n", ""),
        (0, "music-genre: version 1 is champion instead of version 2\n", ""),
    ]


COMMANDS = (["models"], ["models", "--history"], ["promote", "1"], ["rollback"])


def test_without_a_store_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(CHECKOUT / "params.yaml", tmp_path / "params.yaml")

    for words in COMMANDS:
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
def test_a_file_that_is_not_a_store_is_named_and_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, cause: str
) -> None:
    shutil.copyfile(CHECKOUT / "params.yaml", tmp_path / "params.yaml")
    path = tmp_path / "mlruns/mlflow.db"
    path.parent.mkdir()
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE songs (title)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()

    for words in COMMANDS:
        code, out, err = genre(capsys, tmp_path, *words)

        assert (code, out) == (2, "")
        assert cause in err
        assert "mlruns/mlflow.db" in err
        assert len(err.splitlines()) == 1
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
    assert "database is locked" in err
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

    # In a process of its own, for ours has the page in memory.
    done = process(project.root, "from genre import cli\ncli.main(['promote', '1'])")

    assert (done.returncode, done.stdout) == (2, "")
    assert "malformed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_store_without_a_version_is_reported(
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
        assert "no version of music-genre is registered yet" in err or "no other version" in err


def test_an_unknown_version_is_refused_and_the_others_are_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 2)

    for version in ("7", "0", "-1", "x", "1.0", "", "Ⅱ", "1; drop table"):
        code, out, err = genre(capsys, project.root, "promote", "--", version)

        assert (code, out) == (2, "")
        assert f"music-genre has no version {version!r}: found 2, 1" in err
    assert project.aliases == {}


def test_a_version_whose_files_are_gone_or_cut_short_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 3)
    registry.promote(project.params, project.root, "1")
    registry.promote(project.params, project.root, "3")
    shutil.rmtree(project.root / "mlruns/artifacts/models/m-1")
    (project.root / "mlruns/artifacts/models/m-2/artifacts/model/weights").write_text("cut")

    gone = genre(capsys, project.root, "promote", "1")
    cut = genre(capsys, project.root, "promote", "2")
    back = genre(capsys, project.root, "rollback")

    assert [code for code, _, _ in (gone, cut, back)] == [2, 2, 2]
    assert "version 1 of music-genre cannot become champion: its files are gone" in gone[2]
    assert "its files are not those that were registered (artifacts/model/weights)" in cut[2]
    assert "its files are gone" in back[2]
    assert project.aliases == {"champion": "3", "previous": "1"}


def test_a_version_with_a_leaky_protocol_is_refused_with_the_reason(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(project, 1, protocol="segment")

    code, _, err = genre(capsys, project.root, "promote", "1", "--reason", "99 %!")

    assert code == 2
    assert "segments of one song are in several subsets" in err
    assert project.aliases == {}
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
    for _, _, err in (none_yet, only_one, same):
        assert "no other version of music-genre was champion" in err
        assert "genre promote VERSION" in err


@pytest.fixture
def read_only(project: Project) -> Iterator[Project]:
    """A project with two versions that may be read but not written, also by its owner."""
    stored(project, 2)
    project.store.client.set_registered_model_alias(NAME, CHAMPION, "1")
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
    code = (
        "from genre import cli\n"
        "for words in (['models', '--json'], ['check'], ['promote', '2']):\n"
        "    try:\n"
        "        cli.main(words)\n"
        "    except SystemExit as ended:\n"
        "        print('ended with', ended.code)\n"
    )

    done = process(read_only.root, code, preexec_fn=obey_permissions)

    rows, checked, promoted = done.stdout.split("ended with ")[:3]
    assert [row["aliases"] for row in json.loads(rows)] == [[], ["champion"]]
    assert checked == "0\nmusic-genre version 1: all files match their checksums\n"
    assert promoted == "0\n"
    assert done.stdout.endswith("ended with 2\n")
    assert done.stderr.startswith("error: tracking.uri sqlite:///")
    assert "that you may write to it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_store_of_another_mlflow_version_is_recognised(
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
    assert "'mlflow db upgrade <database_uri>'" in err
    assert "Traceback" not in err


def test_versions_of_before_are_verified_with_the_checksums_that_they_have(
    project: Project,
) -> None:
    register.run(project.params, project.root)
    client = project.store.client
    tags = client.get_model_version(NAME, "1").tags
    place = Path(client.get_model_version_download_uri(NAME, "1").removeprefix("file://"))
    of_before = json.loads(tags[lookup.FILES]) | {"MLmodel": [1, "0" * 64]}  # of every file
    client.delete_model_version_tag(NAME, "1", lookup.FILES)
    client.set_model_version_tag(NAME, "1", "files", json.dumps(of_before))

    version = client.get_model_version(NAME, "1")
    assert lookup.verify(project.store, version) is None
    (place / "artifacts/model/classifier.json").write_text("{}")
    assert "classifier.json" in (lookup.verify(project.store, version) or "")
    assert aliases.champion(project.store, NAME) is not None
