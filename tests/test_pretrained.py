"""The choice of feature families, and MusiCNN's weights, with pip and offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from musicnn_weights import published_wheel
from params_file import change_params

from genre.collection import demo
from genre.core.errors import GenreError, InputError
from genre.core.files import write_bytes, write_json, write_parquet, write_text
from genre.core.params import Params, load_params
from genre.features.musicnn import weights, wheel
from tasks.features import choose_families
from tasks.io.families import read_families, try_weights_again
from tasks.io.tables import is_synthetic

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def the_wheel() -> bytes:
    return published_wheel()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No index but an empty folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def write_catalogue(root: Path, source: str | None) -> None:
    """A catalogue of one song from `source`."""
    write_parquet(root / "data/catalogue.parquet", pd.DataFrame({"source": [source]}))


def project(root: Path, families: list[str] | str, names: list[str]) -> Params:
    """Parameters of the project at `root` with other families."""
    changes = {"features.families": families, "musicnn.weights": names}
    change_params(root, changes, start=CHECKOUT)
    return load_params(root / "params.yaml")


def step(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the step as DVC does."""
    return subprocess.run(
        [sys.executable, "-m", "tasks.features"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("offline")
def test_without_musicnn_nothing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "data/pretrained").mkdir(parents=True)
    (tmp_path / "data/pretrained/old").write_text("")
    params = project(tmp_path, ["report"], ["msd"])
    assert choose_families(params, tmp_path) == (["report"], 0)
    assert list((tmp_path / "data/pretrained").iterdir()) == []


@pytest.mark.slow
def test_the_published_wheel_gives_the_weights_to_the_byte(
    tmp_path: Path, offline: Path, the_wheel: bytes
) -> None:
    """From a local folder of wheels; a second run fetches nothing."""
    write_bytes(offline / wheel.WHEEL, the_wheel)
    params = project(tmp_path, ["report", "musicnn"], ["msd", "mtt"])
    assert choose_families(params, tmp_path) == (["report", "musicnn"], 2)
    folder = tmp_path / "data/pretrained"
    assert sorted(path.name for path in folder.iterdir()) == ["msd.safetensors", "mtt.safetensors"]
    assert all(weights.read_right(folder, name) for name in weights.SHA256)

    (offline / wheel.WHEEL).unlink()
    assert choose_families(params, tmp_path) == (["report", "musicnn"], 0)
    params = project(tmp_path, ["musicnn"], ["mtt"])
    assert choose_families(params, tmp_path) == (["musicnn"], 0)
    assert [path.name for path in folder.iterdir()] == ["mtt.safetensors"]


@pytest.mark.usefixtures("offline")
def test_auto_gives_demo_songs_the_reports_columns_and_fetches_nothing(tmp_path: Path) -> None:
    params = project(tmp_path, "auto", ["msd"])
    write_catalogue(tmp_path, demo.source_of(seed=0))

    assert choose_families(params, tmp_path) == (["report"], 0)


def test_auto_uses_musicnn_for_real_songs_as_soon_as_its_weights_are_available(
    tmp_path: Path, offline: Path, the_wheel: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    params = project(tmp_path, "auto", ["msd"])
    write_catalogue(tmp_path, None)

    families, fetched = choose_families(params, tmp_path)

    assert (families, fetched) == (["extended"], 0)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: MusiCNN's weights could not be fetched")
    assert "PIP_FIND_LINKS" in warning
    assert "make run" in warning

    write_json(tmp_path / "data/families.json", {"families": families})
    try_weights_again(params, tmp_path)

    assert not (tmp_path / "data/families.json").exists()  # DVC runs the step again

    write_bytes(offline / wheel.WHEEL, the_wheel)

    families, fetched = choose_families(params, tmp_path)
    assert (families, fetched) == (["extended", "musicnn"], 1)
    write_json(tmp_path / "data/families.json", {"families": families})
    assert capsys.readouterr().err == ""

    (offline / wheel.WHEEL).unlink()
    try_weights_again(params, tmp_path)

    assert read_families(params, tmp_path) == ["extended", "musicnn"]


def test_a_list_without_musicnn_is_final(tmp_path: Path) -> None:
    params = project(tmp_path, ["extended"], ["msd"])
    write_json(tmp_path / "data/families.json", {"families": ["extended"]})

    try_weights_again(params, tmp_path)

    assert (tmp_path / "data/families.json").exists()


def test_without_a_choice_of_families_the_step_to_run_is_named(tmp_path: Path) -> None:
    params = project(tmp_path, "auto", ["msd"])
    with pytest.raises(InputError, match="run the step features first"):
        read_families(params, tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", '{"families": ["report", "reprot"]}'])
def test_a_damaged_choice_of_families_is_refused_and_made_again(
    tmp_path: Path, content: str
) -> None:
    params = project(tmp_path, "auto", ["msd"])
    write_text(tmp_path / "data/families.json", content)

    try_weights_again(params, tmp_path)

    with pytest.raises(InputError, match=r"families\.json: damaged; run the step features again"):
        read_families(params, tmp_path)


def test_a_demo_song_is_known_by_its_source() -> None:
    assert is_synthetic([None, demo.source_of(seed=7)])
    assert not is_synthetic([None, "my shelf", "synthesizer records"])


@pytest.mark.slow
def test_a_replaced_file_is_fetched_again(tmp_path: Path, offline: Path, the_wheel: bytes) -> None:
    write_bytes(offline / wheel.WHEEL, the_wheel)
    write_bytes(tmp_path / "data/pretrained/msd.safetensors", b"another")
    params = project(tmp_path, ["musicnn"], ["msd"])
    assert choose_families(params, tmp_path) == (["musicnn"], 1)
    assert weights.read_right(tmp_path / "data/pretrained", "msd")


def test_the_weights_file_names_its_origin(the_wheel: bytes) -> None:
    content = wheel.convert(the_wheel, ["msd"])["msd"]
    about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert about["licence"] == "ISC"
    assert "Universitat Pompeu Fabra" in about["attribution"]
    assert "Permission to use, copy, modify" in about["licence_text"]


def test_the_file_is_one_that_the_library_reads(the_wheel: bytes) -> None:
    from safetensors.torch import load

    from genre.features.musicnn.network import MusiCNN

    arrays = load(wheel.convert(the_wheel, ["mtt"])["mtt"])
    expected = {k: v for k, v in MusiCNN().state_dict().items() if "num_batches" not in k}
    assert {k: v.shape for k, v in arrays.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_offline_the_step_fails_with_a_temporary_error(tmp_path: Path) -> None:
    project(tmp_path, ["report", "musicnn"], ["msd"])
    result = step(tmp_path)
    assert result.returncode == 1
    assert "tried pip download musicnn==0.1.0" in result.stderr
    assert "list families without musicnn in features.families" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_an_index_with_another_wheel_of_that_name_is_refused(tmp_path: Path, offline: Path) -> None:
    with zipfile.ZipFile(offline / wheel.WHEEL, "w") as archive:
        archive.writestr("musicnn/__init__.py", "raise SystemExit")
        about = "Metadata-Version: 2.1\nName: musicnn\nVersion: 0.1.0\n"
        archive.writestr("musicnn-0.1.0.dist-info/METADATA", about)
        archive.writestr("musicnn-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("musicnn-0.1.0.dist-info/RECORD", "")
    project(tmp_path, ["musicnn"], ["msd"])
    result = step(tmp_path)
    assert result.returncode == 2
    assert wheel.SHA256 in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_truncated_wheel_is_refused(offline: Path, the_wheel: bytes) -> None:
    write_bytes(offline / wheel.WHEEL, the_wheel[:-1000])
    with pytest.raises(InputError, match=wheel.SHA256):
        wheel.fetch()


def test_nothing_of_another_wheel_is_opened(the_wheel: bytes) -> None:
    for content in (b"", b"not a zip", the_wheel[: len(the_wheel) // 2], the_wheel + b"\0"):
        with pytest.raises(InputError, match=r"^musicnn-.*\.whl: found \d+ bytes of sha256"):
            wheel.convert(content, ["msd"])


def test_without_pip_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        output = f"{sys.executable}: No module named pip\n"
        return subprocess.CompletedProcess(command, 1, "", output)

    monkeypatch.setattr(wheel.subprocess, "run", no_pip)
    with pytest.raises(GenreError, match="No module named pip"):
        wheel.fetch()
