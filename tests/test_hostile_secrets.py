"""No secret of the environment or a URL is stored; servers listen on this machine only.

Canaries are put in place of secrets, everything is run, and all files are searched for them.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import psutil
import pytest
from app_server import running
from flows_harness import dvc
from params_file import change_params
from services_harness import Services, family, listening, make_services_project, ours
from songs import write_collection
from test_whole_run import GIT, clone

from genre.core.errors import ParameterError
from genre.core.urls import has_password, redact
from genre.registry import resolve_uri

CANARY = "-".join(("bird", "of", "mines"))  # in no file, not even this one
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": f"{CANARY}-aws-id",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws-secret",
    "PREFECT_API_KEY": f"{CANARY}-prefect-key",
    "MLFLOW_TRACKING_USERNAME": f"{CANARY}-mlflow-user",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow-password",
    "MLFLOW_TRACKING_URI": f"http://ann:{CANARY}-mlflow-address@127.0.0.1:9",
    "GITHUB_TOKEN": f"{CANARY}-github",
}
EVERYWHERE = dict.fromkeys(  # settings that make each server listen on all interfaces
    (
        *("HOST", "UVICORN_HOST", "GRADIO_SERVER_NAME"),
        *("MLFLOW_HOST", "PREFECT_SERVER_API_HOST", "FLASK_RUN_HOST"),
    ),
    "0.0.0.0",
)
USER, PASSWORD = "ann", f"{CANARY}-source:p@ss"
OWN = {".dvc/config.local", ".git/config"}  # files in which the user stored a secret


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """An environment with secrets, and settings to listen on all interfaces."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, **EVERYWHERE}.items():
            patch.setenv(name, value)
        for name in ("DVC_ROOT", "DVC_EXP_NAME"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with a password and a token, of a protected archive."""
    folder = tmp_path_factory.mktemp("served")
    write_collection(folder / "raw", genres=("jazz", "pop"), songs=3)
    archive = folder / "songs.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((folder / "raw").rglob("*.*")):
            packed.write(path, path.relative_to(folder / "raw"))
    allowed = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == allowed and f"token={CANARY}" in self.path
            content = archive.read_bytes() if known else b""
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = PASSWORD.replace("@", "%40").replace(":", "%3A")
    yield f"http://{USER}:{secret}@127.0.0.1:{server.server_port}/songs.zip?token={CANARY}-token"
    server.shutdown()
    server.server_close()


def run(root: Path, *command: str, code: int | None = 0) -> str:
    """Run a program in the project; return its output."""
    done = subprocess.run(
        [sys.executable, *command] if command[0] == "-m" else command,
        cwd=root,
        env={**os.environ, "DVC_SITE_CACHE_DIR": str(root.parent / "site-cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert code in (None, done.returncode), done.stdout
    return done.stdout


def betrayed(root: Path) -> list[str]:
    """The files below `root`, also compressed ones, that contain a canary."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        content = path.read_bytes()
        if ".git/objects/" in name and len(path.name) == 38:
            content = zlib.decompress(content)
        if path.suffix == ".parquet":
            content = pd.read_parquet(path).to_csv().encode()
        if CANARY.encode() in content and name not in OWN:
            found.append(name)
    return found


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """The output of the pipeline's run."""
    return []


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory,
    project: Path,
    address: str,
    printed: list[str],
) -> Path:
    """A project, its remotes full of secrets, after a whole run on songs from `address`."""
    root = clone(project, tmp_path_factory.mktemp("secrets") / "project")
    changes = {
        "features.families": ["report"],
        "train.models": ["lda"],
        "train.folds": 2,
        "evaluate.bootstrap_samples": 100,
        "compute.workers": 1,
    }
    change_params(root, changes)
    run(root, "git", "remote", "add", "origin", f"https://x:{CANARY}-git@127.0.0.1:9/songs.git")
    away = ["remote", "add", "--local", "-d", "away", f"http://ann:{CANARY}-dvc@127.0.0.1:9/store"]
    run(root, "-m", "dvc", *away)
    closed = address.replace(address.rpartition(":")[2].partition("/")[0], "9")
    for unreachable in (
        closed,
        f"http://ann:{CANARY}-port@/songs.zip",
        f"https://a:{CANARY}-x@h:y/z",
    ):
        printed.append(run(root, "-m", "genre.cli", "add", unreachable, code=None))
        assert "error: " in printed[-1]
    printed.append(run(root, "-m", "runner.run", address))
    return root


@pytest.mark.slow
def test_a_whole_run_prints_and_writes_no_secret(pipeline: Path, printed: list[str]) -> None:
    printed.append(run(pipeline, "-m", "genre.cli", "models", "--json"))
    assert '"champion"' in printed[-1]
    run(pipeline, "git", "add", "-A")
    run(pipeline, *GIT, "commit", "-qm", "all")

    assert [words for words in printed if CANARY in words] == []
    assert betrayed(pipeline) == []
    for name in OWN:  # the search works
        assert CANARY in (pipeline / name).read_text()
    assert ".dvc/config.local" not in run(pipeline, "git", "ls-files")


@pytest.mark.slow
def test_the_page_listens_on_this_machine_alone(pipeline: Path, tmp_path: Path) -> None:
    with running(pipeline, tmp_path, tmp_path / "errors") as server:
        page = psutil.Process(server.process.pid)
        assert listening(family([page])) == {"127.0.0.1"}
    assert betrayed(tmp_path) == []


@pytest.mark.slow
def test_the_services_listen_on_this_machine_alone_and_keep_no_secret(
    tmp_path_factory: pytest.TempPathFactory, project: Path, address: str
) -> None:
    root = make_services_project(tmp_path_factory.mktemp("up") / "project", project, retries=0)
    url = f"http://ann:{CANARY}-dvc@127.0.0.1:9/store"
    dvc(root, "remote", "add", "--local", "-d", "away", url)
    services = Services(root, project)
    try:
        printed = [services.up().stdout]
        assert listening(family(ours(root))) == {"127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-m", "flows.retrain", address],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            check=False,
        )
        printed += [done.stdout, done.stderr]
    finally:
        services.call("down")

    assert done.returncode == 1, done.stderr
    assert "dvc push: " in done.stderr  # all else succeeded
    assert [words for words in printed if CANARY in words] == []
    assert betrayed(root) == []
    assert ours(root) == []


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("http://ann:secret@host:80/x", "http://…@host:80/x"),
        ("cannot reach 'ssh://ann@host/x?key=secret'!", "cannot reach 'ssh://…@host/x?…'!"),
        ("https://a:p@ss/word@host/x", "https://…@host/x"),
        ("s3://bucket/songs of 2@home", "s3://bucket/songs of 2@home"),
        ("http://127.0.0.1:4200/api@x", "http://127.0.0.1:4200/api@x"),
        ("(https://h/a?b=secret) and http://h/c", "(https://h/a?…) and http://h/c"),
    ],
)
def test_a_url_is_redacted(words: str, shown: str) -> None:
    assert redact(words) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "http://ann:secret@host:5000",
        "postgresql://ann:secret@host/mlflow",
        "mysql+pymysql://ann:half/secret@host/mlflow",
        "mysql+pymysql://ann:half?secret@host/mlflow",
        "postgresql://ann@host/mlflow?password=secret",
        "postgresql://ann@host/mlflow?sslmode=require&sslPassword=secret",
        "postgresql://ann@host/mlflow?%70assword=secret",
        "mysql+pymysql://ann@host/mlflow?passwd=secret",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dany%3BUID%3Dann%3BPWD%3Dsecret",
        "http://host:5000?user_pass=secret",
        "http://host:5000?access_token=secret",
        "http://host:5000?client-secret=secret",
        "http://host:5000?key=secret",
        "http://host:5000?apiKey=secret",
        "http://host:5000?private_key=secret",
    ],
)
def test_a_password_in_the_store_url_is_refused_and_redacted(tmp_path: Path, uri: str) -> None:
    assert has_password(uri)
    with pytest.raises(ParameterError, match="contains a password") as raised:
        resolve_uri(uri, tmp_path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "http://127.0.0.1:5000/ann@home",
        "http://tokens:5000/secret/key",
        "postgresql://ann@host/mlflow",
        "postgresql://ann@host:5432/mlflow?sslmode=require&sslkey=/home/ann@host/client.key",
        "postgresql://ann@host/mlflow?passfile=/home/ann/.pgpass&keepalives=1&target=any",
        "mysql+pymysql://ann@host/mlflow?ssl_key=/home/ann/client.pem&charset=utf8mb4",
        "mssql+pyodbc://ann@host/mlflow?Trusted_Connection=yes&monkey=1&bypass=1&design=1",
    ],
)
def test_a_store_url_without_a_password_is_accepted(tmp_path: Path, uri: str) -> None:
    assert not has_password(uri)
    assert resolve_uri(uri, tmp_path) == uri


@pytest.mark.parametrize(
    "path", ["mlruns/mlflow.db", "/home/ann@host/a:b@c/mlflow.db", "C:/ann@host/mlflow.db"]
)
def test_a_stores_file_may_lie_at_a_path_that_looks_like_a_password(
    tmp_path: Path, path: str
) -> None:
    assert resolve_uri(f"sqlite:///{path}", tmp_path) == f"sqlite:///{tmp_path / path}"
