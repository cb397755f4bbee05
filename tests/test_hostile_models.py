"""A registered model replaced by a hostile one is refused, and nothing of it is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_models import (
    ADDED,
    ATTACKS,
    FORMS,
    NOT_READ,
    Payload,
    change_weights,
    edit,
    negate,
    other_loader,
    pickled_model,
    place_of,
    replace_weights,
    with_mlflow,
)
from memory import bounded
from registry_project import GENRES, Project, make_project
from songs import tone, write

from genre import registry
from genre.app.model import opened
from genre.cli import main
from genre.core.errors import InputError
from genre.models import load_model
from genre.models.ensemble import Ensemble
from genre.registry import lookup
from genre.registry.lookup import FILES, PACKED
from genre.registry.resolve import found_classifier
from tasks import register

pytestmark = pytest.mark.slow

CHAMPION = "models:/music-genre@champion"
MEGABYTES = 200  # that a refusal may take, imports included


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a champion."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    project = make_project(tmp_path_factory.mktemp("hostile") / "project")
    register.run(project.params, project.root)
    return project


@pytest.fixture
def place(registered: Project) -> Any:
    """The folder of the champion's files, which are what they were afterwards."""
    folder = place_of(registered)
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder)
    kept.rename(folder)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_version_whose_files_were_changed_is_refused(
    registered: Project, place: Path, tmp_path: Path, attack: str
) -> None:
    act, named = ATTACKS[attack]
    outside = tmp_path / "outside"
    act(place, outside)
    there = outside.exists()

    with (
        bounded(MEGABYTES),
        pytest.raises(InputError, match="not those that were registered") as raised,
        lookup.find(CHAMPION, registered.params.tracking, registered.root),
    ):
        pytest.fail("it was handed out")
    message = str(raised.value)
    assert named in message
    assert "version 1 of music-genre" in message
    assert "nothing of it was loaded" in message
    assert outside.exists() == there


@pytest.mark.parametrize("addition", [*NOT_READ, *ADDED])
def test_what_this_project_does_not_read_is_ignored(
    registered: Project, place: Path, addition: str
) -> None:
    before = {path.relative_to(place) for path in (place / PACKED).rglob("*") if path.is_file()}
    {**NOT_READ, **ADDED}[addition](place)

    with lookup.find(CHAMPION, registered.params.tracking, registered.root) as found:
        copied = (path for path in found.copy.rglob("*") if path.is_file())
        assert {path.relative_to(found.copy) for path in copied} == before
    assert register.run(registered.params, registered.root).startswith("unchanged: ")


def test_every_way_in_refuses_it(
    registered: Project, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = write(tmp_path / "song.wav", tone(4))
    sentinel = tmp_path / "sentinel"
    replace_weights(place, pickle.dumps(Payload(sentinel)))

    for words in (["classify", song], ["drift", tmp_path], ["check"]):
        with pytest.raises(SystemExit) as ended:
            main(["--root", str(registered.root), *map(str, words)])
        assert ended.value.code == 2
        assert "not those that were registered" in capsys.readouterr().err
    with pytest.raises(InputError, match="not those that were"), opened(registered.root, None):
        pytest.fail("the page got it")
    with pytest.raises(InputError, match="cannot become champion: its files are not those"):
        registry.promote(registered.params, registered.root, "1")
    assert not sentinel.exists()


def test_the_flow_that_answers_refuses_it(
    registered: Project, place: Path, tmp_path: Path, project: Path
) -> None:
    write(tmp_path / "songs/song.wav", tone(4))
    sentinel = tmp_path / "sentinel"
    replace_weights(place, pickle.dumps(Payload(sentinel)))
    code = (
        "import sys; from pathlib import Path; from flows.classify import classify_batch\n"
        "from runner.classify_folder import find_pending\n"
        "songs = Path(sys.argv[1]); table = songs.with_name('classified.parquet')\n"
        "state = classify_batch.fn(find_pending(songs, table, '1')[0], songs, table, None)\n"
        "print(state.type, state.message); sys.exit(table.exists())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "songs"],
        cwd=registered.root,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "FAILED" in done.stdout
    assert "not those that were registered" in done.stdout
    assert not sentinel.exists()


def test_what_is_loaded_is_what_was_checked(registered: Project, place: Path) -> None:
    with found_classifier(registered.root, CHAMPION) as found:
        change_weights(place, negate)
        edit(place / "artifacts/reference/reference.json", position="start")

        assert place not in found.folder.parents
        changed = load_model(place / "artifacts/model/mlp").arrays()["layer1.weight"]
        loaded = load_model(found.folder / "mlp").arrays()["layer1.weight"]
        assert np.array_equal(loaded, -changed)
        assert found.reference is not None
        assert "middle" in (found.reference / "reference.json").read_text()
    assert not found.folder.exists()


@pytest.mark.parametrize("text", ["rubbish", "[]", '{"artifacts/model/mlp/model.json": 3}'])
def test_checksums_that_were_edited_are_no_checksums(registered: Project, text: str) -> None:
    client = registered.store.client
    files = client.get_model_version("music-genre", "1").tags[FILES]
    client.set_model_version_tag("music-genre", "1", FILES, text)
    try:
        with (
            pytest.raises(InputError, match=r"was not registered by this pipeline"),
            found_classifier(registered.root, CHAMPION),
        ):
            pytest.fail("it was handed out")
    finally:
        client.set_model_version_tag("music-genre", "1", FILES, files)


def test_checksums_of_paths_that_lead_outside_are_ignored(registered: Project, place: Path) -> None:
    client = registered.store.client
    files = client.get_model_version("music-genre", "1").tags[FILES]
    (place.parent / "outside").write_text("x")
    outside = json.loads(files) | {"artifacts/../../outside": [1, "0" * 64]}
    client.set_model_version_tag("music-genre", "1", FILES, json.dumps(outside))
    try:
        with found_classifier(registered.root, CHAMPION) as found:
            assert found.version == "1"
    finally:
        client.set_model_version_tag("music-genre", "1", FILES, files)


def test_registering_again_makes_a_sound_version_beside_a_damaged_champion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "project")
    register.run(project.params, project.root)
    change_weights(place_of(project), negate)

    summary = register.run(project.params, project.root)

    assert summary.startswith("music-genre version 2: challenger (it cannot be compared")
    warning = capsys.readouterr().err
    assert "version 1 of music-genre is champion and cannot be used" in warning
    for way in ("Restore its files in ", "genre rollback", "genre promote 2"):
        assert way in warning
    assert register.run(project.params, project.root).startswith("unchanged: ")
    assert warning in capsys.readouterr().err
    registry.promote(project.params, project.root, "2")
    with found_classifier(project.root, CHAMPION) as found:
        assert found.version == "2"
    assert register.run(project.params, project.root).startswith("unchanged: ")
    assert capsys.readouterr().err == ""


def test_mlflow_alone_refuses_pickles_but_runs_code(place: Path, tmp_path: Path) -> None:
    attacks: dict[str, Callable[[Path, Path], None]] = {
        "weights": lambda f, out: replace_weights(f, pickle.dumps(Payload(out))),
        "pickle": pickled_model,
        "loader": other_loader,
    }
    for name, attack in attacks.items():
        shutil.copytree(place, tmp_path / name)
        attack(tmp_path / name, tmp_path / f"{name}-sentinel")

    genuine, *refused = with_mlflow(place, *(tmp_path / name for name in attacks))

    assert genuine == ", ".join(GENRES)
    assert "not a safetensors file" in refused[0]
    assert not (tmp_path / "weights-sentinel").exists()
    assert "MLFLOW_ALLOW_PICKLE_DESERIALIZATION" in refused[1]
    assert not (tmp_path / "pickle-sentinel").exists()
    assert (tmp_path / "loader-sentinel").exists()  # before any code of ours


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_cannot_be_a_model_is_refused_by_its_form(place: Path, form: str) -> None:
    act, named = FORMS[form]
    act(place)

    with bounded(MEGABYTES), pytest.raises(InputError, match=named):
        Ensemble.load(place / "artifacts/model")


def test_a_network_that_promises_more_than_its_file_holds_takes_no_memory(
    tmp_path: Path, project: Path
) -> None:
    from genre.core.params import load_params
    from genre.models.images import Resnet

    settings = load_params(project / "params.yaml").train.resnet
    model = Resnet(settings.model_copy(update={"width": 4, "blocks": 1}))
    model.classes, model.features, model.seed = ("a", "b"), (), 0
    model.network = model.new_network().eval()
    model.save(tmp_path / "resnet")
    changed = model.settings.model_dump(mode="json") | {"width": 256, "blocks": 8}
    edit(tmp_path / "resnet/model.json", settings=changed)

    with bounded(MEGABYTES), pytest.raises(InputError, match="expected float32"):
        load_model(tmp_path / "resnet")
