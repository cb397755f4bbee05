"""An unexpected exception is one line on stderr, and a traceback in a log."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from genre import cli
from genre.core import unexpected as unforeseen
from genre.core.errors import GenreError, InputError, UnexpectedError
from genre.core.params import Params
from runner import run
from tasks.io import step as steps

LINE = (
    "error: unexpected KeyError: 'x' in tests/test_unexpected.py:{}. This is a defect; the details "
    "are in {}"
)


def fail(*_: object, **__: object) -> int:
    raise KeyError("x")


FAIL = LINE.format(fail.__code__.co_firstlineno + 1, "{}")


def test_it_is_one_line_with_where_the_log_is(
    in_new_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unforeseen.one_line_errors(fail)() == 1

    assert capsys.readouterr().err == FAIL.format(".services/errors.log") + "\n"
    log = (in_new_project / ".services/errors.log").read_text()
    assert f"Python {sys.version.split()[0]}" in log
    assert "music-genre-pipeline" in log
    assert 'raise KeyError("x")' in log


def test_outside_a_project_the_log_is_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert unforeseen.one_line_errors(fail)() == 1

    log = tmp_path / f"genre-errors-{os.getuid()}.log"
    assert capsys.readouterr().err == FAIL.format(log) + "\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_line_appears_if_the_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere/at all"))

    assert unforeseen.one_line_errors(fail)() == 1

    line = capsys.readouterr().err
    assert line.endswith("This is a defect; its log could not be written\n")


def test_passwords_in_addresses_are_neither_shown_nor_logged(in_new_project: Path) -> None:
    defect = unforeseen.describe(ValueError("postgresql://me:hunter2@host/db?password=secret"))

    message = str(unforeseen.as_error(defect))

    log = (in_new_project / ".services/errors.log").read_text()
    for secret in ("hunter2", "secret"):
        assert secret not in message
        assert secret not in log
    assert "…@host/db" in message


def test_the_log_stays_small(in_new_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unforeseen, "MAX_LOG_BYTES", 5000)
    for number in range(50):
        unforeseen.log(unforeseen.describe(ValueError(f"number {number}" * 20)))

    logs = sorted((in_new_project / ".services").iterdir())
    assert [path.name for path in logs] == ["errors.log", "errors.log.1"]
    assert all(path.stat().st_size < 7000 for path in logs)
    assert "number 49" in logs[0].read_text()


def test_a_message_is_one_short_line_and_the_same_in_every_run() -> None:
    what = unforeseen.describe(ValueError(f"a\nb {object()!r} \x1b[31m" + 1000 * "c")).what
    assert what.startswith("ValueError: a b <object object at 0x…> \\x1b[31mccc")
    assert len(what) < 350


def test_an_error_of_the_machine_is_not_called_a_defect(in_new_project: Path) -> None:
    del in_new_project
    message = str(unforeseen.as_error(PermissionError(13, "Permission denied", "x")))
    assert "[Errno 13] Permission denied: 'x' in" in message
    assert message.endswith(". The details are in .services/errors.log")


def test_expected_errors_are_shown_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in ((GenreError("later"), 1), (InputError("never"), 2)):
        assert unforeseen.as_error(error) is error
        assert unforeseen.print_error(error) == code
        assert capsys.readouterr().err == f"error: {error}\n"
    assert not isinstance(unforeseen.as_error(KeyError("x")), InputError)


def test_a_step_fails_in_one_line(in_new_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def step(params: Params, root: Path) -> str:
        del params, root
        return str(fail())

    assert steps.step(step, in_new_project) == 1
    assert capsys.readouterr().err == FAIL.format(".services/errors.log") + "\n"


def test_make_run_fails_in_one_line(
    in_new_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del in_new_project
    monkeypatch.setattr(run, "prepare_collection", fail)
    assert run.main([]) == 1
    assert capsys.readouterr().err == FAIL.format(".services/errors.log") + "\n"


def test_a_command_of_genre_fails_in_one_line(
    in_new_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del in_new_project
    monkeypatch.setattr(cli.genre, "main", fail)
    with pytest.raises(SystemExit, match="1"):
        cli.main(["models"])
    assert capsys.readouterr().err == FAIL.format(".services/errors.log") + "\n"


def test_ctrl_c_is_not_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unforeseen.one_line_errors(stop)()
    monkeypatch.setattr(cli.genre, "main", stop)
    with pytest.raises(SystemExit, match="130"):
        cli.main(["models"])


def test_a_closed_pipe_gives_no_traceback(project: Path) -> None:
    code = (
        "import sys, time; from genre import cli\n"
        "def lines(*_, **__):\n"
        "    print('first', flush=True); time.sleep(0.5)\n"
        "    for number in range(20000): print(number)\n"
        "cli.genre.main = lines; cli.main([])"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdout is not None
    assert started.stderr is not None
    assert started.stdout.readline() == b"first\n"
    started.stdout.close()
    assert started.stderr.read() == b""
    assert started.wait() == 141


def test_an_error_of_most_songs_is_a_genre_error() -> None:
    assert issubclass(UnexpectedError, GenreError)


@pytest.mark.parametrize(
    ("module", "inner", "arguments"),
    [
        ("services.control", "load_params", (["up"],)),
        ("services.serve", "load_params", ()),
        ("flows.retrain", "running_server", ([],)),
        ("flows.classify", "running_server", ([],)),
    ],
)
def test_the_services_and_the_flows_fail_in_one_line(
    in_new_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    inner: str,
    arguments: tuple[object, ...],
) -> None:
    del in_new_project
    command = importlib.import_module(module)
    monkeypatch.setattr(command, inner, fail)

    assert command.main(*arguments) == 1

    assert capsys.readouterr().err == FAIL.format(".services/errors.log") + "\n"


@pytest.mark.slow
def test_the_page_shows_an_unexpected_error_instead_of_the_prediction(
    in_new_project: Path,
) -> None:
    page = pytest.importorskip("genre.app.page", reason="Gradio is not here")
    answering = SimpleNamespace(classifier=SimpleNamespace(classify=fail, predicts_tags=False))

    card, *_ = page.shown(answering, in_new_project / "a.mp3", page.Limits(1, 1), "<a>.mp3")

    assert "“&lt;a&gt;.mp3” met an error: unexpected KeyError: &#x27;x&#x27; in tests/" in card
    assert (in_new_project / ".services/errors.log").exists()
