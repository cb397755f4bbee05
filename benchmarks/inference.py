"""Inference speed: cold start, warm, a folder, an hour-long mix, over HTTP.

    python -m benchmarks.inference [--model URI] [--serve | --url URL] [--json FILE]

Songs are synthetic plucked tones, as stereo MP3 at 44.1 kHz. The default model is the champion of
the project in this folder. A cold start is a new process with files in the page cache; the median
of `TIMES` is reported. Memory is the peak resident set size in MB (10^6 bytes), sampled a hundred
times per second. `--serve` starts `mlflow models serve` with the champion; `--url` uses a running
server.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt
import psutil

from genre.classifier import Classifier
from genre.core.workers import core_count
from genre.registry.resolve import found_classifier

RATE = 44_100
CLIP_SECONDS, SONGS, MIX_MINUTES = 30, 100, 60
TIMES = 5
POLL_SECONDS = 0.01  # between samples of memory
START_SECONDS = 120  # for a server

Figures = dict[str, float]


def tone(seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """A few plucked partials over faint noise [shape=(n, 2)]."""
    random = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE)) / RATE
    envelope = np.exp(-4 * (time_s % 0.5) / 0.5)
    pitches = random.uniform(110, 1200, size=4)
    y = sum(np.sin(2 * np.pi * pitch * time_s) for pitch in pitches) * envelope / 8
    y = y + 0.01 * random.standard_normal(len(time_s))
    return np.stack([y, np.roll(y, 7)], axis=1).astype(np.float32)


def write(path: Path, seconds: float, *, seeds: range) -> Path:
    """Write one tone after another to an MP3 file."""
    import soundfile

    with soundfile.SoundFile(path, "w", RATE, 2, format="MP3") as file:
        for seed in seeds:
            file.write(tone(seconds, seed))
    return path


def process(*command: str | Path) -> tuple[float, float]:
    """Run a program; return its seconds and its peak memory in MB."""
    peak = 0
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        while child.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, child.memory_info().rss)
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - start
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed: {said.read().decode()}")
    return seconds, peak / 1e6


def repeated(work: Callable[[], float]) -> float:
    """Return the median of `TIMES` results, after a warm-up."""
    work()
    return statistics.median(work() for _ in range(TIMES))


def measure(model: str | None, folder: Path, songs: int, minutes: int) -> Figures:
    """Measure all but the server, with files in the empty folder `folder`."""
    genre = (sys.executable, "-m", "genre.cli")
    classify = (*genre, "classify", "--json", *(("--model", model) if model else ()))
    song = write(folder / "song.mp3", CLIP_SECONDS, seeds=range(1))
    figures = {
        "help_s": repeated(lambda: process(*genre, "--help")[0]),
        "cold_s": repeated(lambda: process(*classify, song)[0]),
    }
    with found_classifier(Path(), model) as found:
        classifier = Classifier.from_folder(found.folder)
    figures["warm_s"] = repeated(lambda: _timed(lambda: classifier.classify(song)))
    many = folder / "songs"
    many.mkdir()
    for number in range(songs):
        write(many / f"{number:03}.mp3", CLIP_SECONDS, seeds=range(number, number + 1))
    figures["folder_s"], _ = process(*classify, many)
    figures["folder_songs_per_s"] = songs / figures["folder_s"]
    mix = write(folder / "mix.mp3", 60, seeds=range(minutes))
    figures["mix_s"], figures["mix_mb"] = process(*classify, mix)
    return figures


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def request(url: str, song: Path) -> float:
    """Return the seconds of one request with the content of `song`."""
    rows = [{"audio": base64.b64encode(song.read_bytes()).decode()}]
    content = json.dumps({"dataframe_records": rows}).encode()
    headers = {"Content-Type": "application/json"}
    question = Request(f"{url.rstrip('/')}/invocations", data=content, headers=headers)

    def ask() -> None:
        with urlopen(question, timeout=60) as response:
            (answer,) = json.load(response)["predictions"]
            assert answer["genre"]

    return repeated(lambda: _timed(ask))


@contextlib.contextmanager
def served(model: str | None = None, root: Path = Path()) -> Iterator[str]:
    """Yield the address of an MLflow server with `model`; end it afterwards."""
    from genre.core.params import PARAMS_FILE, load_params
    from genre.registry.client import resolve_uri

    params = load_params(root / PARAMS_FILE)
    uri = model or f"models:/{params.register_.name}@champion"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri]
    command += ["--host", "127.0.0.1", "--port", port, "--env-manager", "local"]
    command += ["--timeout", "300"]  # the first request compiles
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # for its uvicorn
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": resolve_uri(params.tracking.uri, root),
        "PATH": programs,
    }
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not _responds(f"http://127.0.0.1:{port}/ping", server):
                log.seek(0)
                raise SystemExit(f"no server came up: {log.read().decode()[-2000:]}")
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


def _responds(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server responds; return False if it ended or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def main() -> None:
    """Measure, print a table, and write the results as JSON if requested."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="as of genre classify; the champion where not given")
    parser.add_argument("--songs", type=int, default=SONGS, help="in the folder")
    parser.add_argument("--minutes", type=int, default=MIX_MINUTES, help="of the mix")
    parser.add_argument("--serve", action="store_true", help="start a server of the champion's")
    parser.add_argument("--url", help="of a server that runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genre-inference-") as name:
        folder = Path(name)
        figures = measure(options.model, folder, options.songs, options.minutes)
        if options.url:
            figures["request_s"] = request(options.url, folder / "song.mp3")
        elif options.serve:
            with served(options.model) as url:
                figures["request_s"] = request(url, folder / "song.mp3")
    figures |= {"songs": options.songs, "minutes": options.minutes, "cores": core_count()}
    figures["load"] = os.getloadavg()[0]
    for key, value in figures.items():
        print(f"{key:20} {value:.2f}" if isinstance(value, float) else f"{key:20} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
