"""Time of a retraining with one new song or none, and of `make up`.

    python -m benchmarks.retraining [--songs 1000] [--json FILE]

In a temporary copy of the project, with demo songs and one fast model, are timed: the whole
pipeline; each step with one more song; a first and a second `make up`; three retrainings of the
served flow without changes, from request to end. Times are in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

PROJECT = Path(__file__).resolve().parent.parent
TURNS = 3
BEFORE_TRAINING = (
    *("ingest", "duplicates", "trim", "spectrograms", "log_mel"),
    *("features", "extended", "pretrained", "musicnn", "split"),
)
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def copy_project(root: Path) -> None:
    """Copy the working tree with compiled kernels; set free ports and the model lda."""
    own = {"data/raw.dvc", "dvc.lock"}
    listed = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, text=True
    )
    for name in set(listed.splitlines()) - own:
        if (PROJECT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, root / name)
    for kernels in PROJECT.glob("genre/*/__pycache__"):
        shutil.copytree(kernels, root / kernels.relative_to(PROJECT), dirs_exist_ok=True)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["train"]["models"] = ["lda"]
    params["services"] |= {"prefect_port": free_port(), "mlflow_port": free_port()}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)


def python(root: Path, *arguments: str) -> str:
    """Run this Python in the copy; return its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def reproduce(root: Path, source: Path) -> dict[str, float]:
    """Add songs and run all steps; return the seconds of each step, including DVC's."""
    code = (
        "import json, sys; from pathlib import Path; from runner import collect, pipeline\n"
        "collect.add(sys.argv[1], Path(), log=lambda line: None)\n"
        "pipeline.version_collection(Path(), on_line=lambda line: None)\n"
        "done = pipeline.reproduce(Path(), lambda line: None)\n"
        "failed = [str(one.error) for one in done if one.error]\n"
        "sys.exit('; '.join(failed)) if failed else None\n"
        "print(json.dumps({one.stage: one.seconds for one in done}))"
    )
    times: dict[str, float] = json.loads(python(root, "-c", code, str(source)).splitlines()[-1])
    return times


def make_songs(root: Path, folder: Path, songs: int) -> tuple[Path, Path]:
    """Make demo songs in two folders: all but one, and that one."""
    most, one = folder / "songs", folder / "one"
    code = (
        "import sys; from pathlib import Path; from genre.collection import demo\n"
        "if __name__ == '__main__': demo.write_songs(Path(sys.argv[1]), workers=1, "
        "songs_per_genre=int(sys.argv[2]))"
    )
    python(root, "-c", code, str(most), str(songs // 10))
    last = max(most.glob("*/*"))
    (one / last.parent.name).mkdir(parents=True)
    last.rename(one / last.parent.name / last.name)
    shutil.copy(most / "manifest.csv", one)
    return most, one


def retrain(port: int) -> float:
    """Request a run from the server, as its UI does, and wait for its end."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30) as api:
        deployment = api.get("/deployments/name/retrain/retrain").raise_for_status().json()["id"]
        start = time.perf_counter()
        order = {"state": {"type": "SCHEDULED"}}
        run = api.post(f"/deployments/{deployment}/create_flow_run", json=order).json()["id"]
        while (state := api.get(f"/flow_runs/{run}").json()["state"])["type"] not in ENDED:
            time.sleep(0.1)
        if state["message"] != "nothing has changed":
            raise SystemExit(f"the retraining ended otherwise: {state}")
        return time.perf_counter() - start


def services(root: Path) -> dict[str, Any]:
    """Start the services twice, and retrain without changes."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    found: dict[str, Any] = {}
    try:
        for words in ("first", "again"):
            python(root, "-m", "services.control", "down")
            start = time.perf_counter()
            python(root, "-m", "services.control", "up")
            found[f"make up, {words}"] = time.perf_counter() - start
        port = params["services"]["prefect_port"]
        retrain(port)  # what `make up` itself reports may be new to the first
        found["retrain, nothing new"] = [retrain(port) for _ in range(TURNS)]
    finally:
        python(root, "-m", "services.control", "down")
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retraining", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--songs", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retraining-") as name:
        root = Path(name) / "project"
        root.mkdir()
        copy_project(root)
        most, one = make_songs(root, Path(name), options.songs)
        whole, more = reproduce(root, most), reproduce(root, one)
        cost = services(root)
    print(f"{'step':<16}{options.songs - 1:>6} songs{'one more':>12}")
    for step, seconds in more.items():
        print(f"{step:<16}{whole[step]:>12.1f}{seconds:>12.1f}")
    slowest = max(BEFORE_TRAINING, key=lambda step: more[step])
    print(f"slowest step before training, of one song more: {slowest}, {more[slowest]:.1f} s")
    for what, value in cost.items():
        times = value if isinstance(value, list) else [value]
        print(f"{what}: {', '.join(f'{seconds:.1f}' for seconds in times)} s")
    if options.json:
        options.json.write_text(json.dumps({"whole": whole, "more": more, **cost}, indent=2))


if __name__ == "__main__":
    main()
