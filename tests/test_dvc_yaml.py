"""`dvc.yaml` lists each step's code, parameters and files correctly."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from genre.core.params import load_params

# What every step imports and no result depends on: messages, paths, locks.
PLUMBING = {
    "genre",
    "genre.core",
    "genre.core.urls",
    "genre.core.compute",
    "genre.core.errors",
    "genre.core.files",
    "genre.core.messages",
    "genre.core.locks",
    "genre.core.params",
    "genre.core.progress",
    "genre.core.cache",
    "genre.core.unexpected",
    "genre.core.workers",
    "tasks",
    "tasks.io",
    "tasks.io.step",
    "tasks.io.outcomes",
    "tasks.io.paths",
}
STAGES = [
    "ingest",
    "trim",
    "spectrograms",
    "features",
    "split",
    "train",
    "train_pictures",
    "select",
    "evaluate",
    "review",
    "register",
]
CACHED = [stage for stage in STAGES if stage != "register"]  # that one runs each time


@pytest.fixture(scope="module")
def stages(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    graph = grimp.build_graph("genre", "tasks")
    # The record of a training in MLflow changes none of its files.
    graph.remove_import(importer="tasks.train", imported="genre.registry.training")
    return graph


def step_of(stage: str) -> str:
    """The module of a stage."""
    return "tasks.train" if stage == "train_pictures" else f"tasks.{stage}"


def file_of(project: Path, module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (project / path).is_dir() else path.with_suffix(".py")


def test_the_stages_are_the_steps_of_the_pipeline_in_order(stages: dict[str, Any]) -> None:
    assert list(stages) == STAGES


@pytest.mark.parametrize("stage", CACHED)
def test_a_stage_depends_on_all_the_code_that_it_runs(
    project: Path, stages: dict[str, Any], imports: grimp.ImportGraph, stage: str
) -> None:
    module = step_of(stage)
    code = {
        name
        for name in (module, *imports.find_upstream_modules(module))
        if name not in PLUMBING and not name.startswith("genre.core.params.")
    }
    declared = [Path(dep) for dep in stages[stage]["deps"]]

    missing = {
        str(path)
        for path in (file_of(project, name) for name in code)
        if not any(path == dep or dep in path.parents for dep in declared)
    }

    assert missing == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(
    project: Path, stages: dict[str, Any], imports: grimp.ImportGraph, stage: str
) -> None:
    module = step_of(stage)
    code = {file_of(project, name) for name in {module, *imports.find_upstream_modules(module)}}
    declared = [Path(dep) for dep in stages[stage]["deps"] if dep.startswith(("genre", "tasks"))]

    for dep in declared:
        assert (project / dep).exists()
        assert any(path == dep or dep in path.parents for path in code), f"{dep} is not run"


@pytest.mark.parametrize("stage", CACHED)
def test_a_stage_depends_on_the_parameters_that_its_code_reads(
    project: Path, stages: dict[str, Any], stage: str
) -> None:
    tree = ast.parse((project / file_of(project, step_of(stage))).read_text())
    read = {
        node.attr.rstrip("_")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
    }
    sections = {field.alias or name for name, field in type(load_params()).model_fields.items()}
    declared = {key.split(".")[0] for key in stages[stage].get("params", [])}

    # The number of processes changes no result.
    assert read & sections - {"compute"} <= declared
