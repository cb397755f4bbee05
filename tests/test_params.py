"""`params.yaml` and its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genre.core.errors import ParameterError
from genre.core.params import load_params


@pytest.fixture
def content(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "params.yaml").read_text())


def load(tmp_path: Path, content: object) -> object:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_params(path)


def test_the_projects_own_parameters_are_valid(project: Path) -> None:
    assert load_params(project / "params.yaml").train.mlp.hidden == [512, 256, 128, 64]


def test_an_unknown_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["train"]["mlp"]["learning_rat"] = 0.1

    with pytest.raises(
        ParameterError, match=r"train\.mlp\.learning_rat.*did you mean learning_rate"
    ):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("ingest", "min_seconds", "three", "ingest.min_seconds is 'three'"),
        ("ingest", "min_seconds", -1.0, "greater than 0"),
        ("trim", "position", "midle", "did you mean middle"),
        ("trim", "export_segments", "yes", "boolean"),
        ("features", "n_fft", 2048.5, "features.n_fft is 2048.5"),
        ("features", "families", "musicnn", "features.families is 'musicnn': expected auto, or a"),
        ("features", "families", [], "features.families is []: list should have at least 1"),
        ("train", "models", ["report_mlp"], "expected another model beside the baseline"),
        ("log_mel", "hop_length", 4096, "log_mel: hop_length is 4096, expected at most n_fft"),
        ("split", "protocol", "artsit", "split.protocol is 'artsit': "),
        ("split", "protocol", "artsit", "did you mean artist?"),
        ("split", "protocol", "Segment", "did you mean segment?"),
        ("split", "column", "", "split.column is ''"),
        ("split", "train", 0.9, "train + validation + test is 1.2, expected 1"),
        ("spectrograms", "noverlap", 1024, "expected less than nperseg"),
        ("services", "prefect_port", 70000, "services.prefect_port is 70000"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    tmp_path: Path, content: dict[str, Any], section: str, key: str, value: object, message: str
) -> None:
    content[section][key] = value

    with pytest.raises(ParameterError) as caught:
        load(tmp_path, content)

    assert message in str(caught.value)


def test_every_problem_is_named_at_once(tmp_path: Path, content: dict[str, Any]) -> None:
    del content["ingest"]["min_seconds"]
    content["seed"] = 1

    with pytest.raises(ParameterError) as caught:
        load(tmp_path, content)

    assert "ingest.min_seconds is missing" in str(caught.value)
    assert "unknown key seed" in str(caught.value)


def test_what_is_not_a_table_of_sections_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("train: [")

    with pytest.raises(ParameterError, match="expected named sections"):
        load(tmp_path, [1, 2])
    with pytest.raises(ParameterError, match="not valid YAML"):
        load_params(broken)
    with pytest.raises(ParameterError, match="run from the project's folder"):
        load_params(tmp_path / "absent.yaml")
