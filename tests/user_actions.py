"""Actions of users and programs on a project and its registry."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from params_file import change_params
from trained_project import TrainedProject

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME, CHAMPION, PREVIOUS = "music-genre", "champion", "previous"
Undo = Callable[[], None]
LOOK_UP = """
import sys
import mlflow, pandas as pd
mlflow.set_tracking_uri("sqlite:///mlruns/mlflow.db")
uri = "models:/music-genre@champion"
model = mlflow.pyfunc.load_model(uri)
assert list(model.predict(pd.DataFrame({"path": [sys.argv[1]]}))["genre"])
mlflow.artifacts.download_artifacts(uri)
assert mlflow.pyfunc.get_model_dependencies(uri)
"""


@dataclass(frozen=True)
class Registry:
    """The versions that MLflow holds, and which of them has which alias."""

    versions: tuple[str, ...]
    aliases: dict[str, str]

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    def aliases_of(self, version: str) -> set[str]:
        """The aliases of a version."""
        return {alias for alias, holder in self.aliases.items() if holder == version}


class Use:
    """A project, and which of its versions are usable, known without the project's own code."""

    def __init__(self, project: TrainedProject, random: random.Random) -> None:
        self.project, self.random = project, random
        self.root = project.root
        self.unusable: set[str] = set()  # versions that are damaged, or not of this pipeline
        self._client: MlflowClient | None = None
        self._clients = 0

    @property
    def database(self) -> Path:
        return self.root / "mlruns/mlflow.db"

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the project's registry."""
        if self._client is None:
            from mlflow import MlflowClient

            # MLflow keeps connections by address; a new spelling of it opens the file anew.
            way = "./" * self._clients
            address = f"sqlite:///{self.root}/mlruns/{way}mlflow.db"
            self._client = MlflowClient(address, address)
            self._clients += 1
        return self._client

    def forget_client(self) -> None:
        """Open the database anew for the next call: the file may be another one now."""
        self._client = None

    def registry(self) -> Registry:
        """The versions and aliases in MLflow."""
        if not self.database.exists():
            return Registry((), {})
        models = self.client.search_registered_models(f"name = '{NAME}'")
        found = self.client.search_model_versions(f"name = '{NAME}'")
        aliases = {
            alias: str(version) for model in models for alias, version in model.aliases.items()
        }
        return Registry(tuple(sorted(str(one.version) for one in found)), aliases)

    def is_usable(self, version: str | None) -> bool:
        """Whether a version is there, of this pipeline, and undamaged."""
        return version is not None and version not in self.unusable

    def champion(self) -> str:
        found = self.registry().champion
        assert found is not None
        return found

    def another(self) -> str:
        """A usable version that is not champion; a copy of it if there is no other."""
        now = self.registry()
        others = [v for v in now.versions if v != now.champion and self.is_usable(v)]
        if others:
            return self.random.choice(others)
        copied = self.client.copy_model_version(f"models:/{NAME}/{now.champion}", NAME)
        return str(copied.version)

    def folder(self, version: str) -> Path:
        """The folder of a version."""
        return Path(urlsplit(self.client.get_model_version_download_uri(NAME, version)).path)


def dvc_repro(use: Use) -> None:
    use.project.shell(".venv/bin/dvc repro")


def retraining(use: Use) -> None:
    use.project.shell(".venv/bin/python -m flows.retrain")


def look_up_in_mlflow(use: Use) -> None:
    song = use.project.song
    use.project.shell(f".venv/bin/python - {song} <<'PROGRAM'\n{LOOK_UP}\nPROGRAM")


def champion_moved(use: Use) -> Undo:
    before, other = use.champion(), use.another()
    use.client.set_registered_model_alias(NAME, CHAMPION, other)

    def go_back() -> None:
        use.project.shell(f".venv/bin/genre promote {before}")
        assert use.champion() == before

    return go_back


def champion_alias_deleted(use: Use) -> None:
    use.client.delete_registered_model_alias(NAME, CHAMPION)


def champion_version_deleted(use: Use) -> None:
    use.another()
    use.client.delete_model_version(NAME, use.champion())


def previous_alias_deleted(use: Use) -> None:
    use.client.delete_registered_model_alias(NAME, PREVIOUS)


def tags_edited(use: Use) -> None:
    version = use.champion()
    use.client.update_registered_model(NAME, "Songs of the house")
    use.client.set_registered_model_tag(NAME, "owner", "somebody")
    use.client.update_model_version(NAME, version, "sounds good")
    use.client.set_model_version_tag(NAME, version, "mood", "calm")
    tags = use.client.get_model_version(NAME, version).tags
    for tag in ("decision", "promoted_at", "promoted_by", "reason", "model_sha256"):
        if tag in tags:
            use.client.delete_model_version_tag(NAME, version, tag)
    use.client.set_model_version_tag(NAME, version, "reason", "because")


def version_copied(use: Use) -> None:
    use.client.copy_model_version(f"models:/{NAME}/{use.champion()}", NAME)


def foreign_champion(use: Use) -> None:
    """Make a foreign model champion under the same name."""
    program = f"""
import mlflow
mlflow.set_tracking_uri("sqlite:///mlruns/mlflow.db")
mlflow.set_experiment("somebody else's")
class Always(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return ["polka" for _ in model_input]
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="polka",
        python_model=Always(),
        pip_requirements=["mlflow"],
        registered_model_name={NAME!r},
    )
"""
    before = set(use.registry().versions)
    use.project.shell(f".venv/bin/python - <<'PROGRAM'\n{program}\nPROGRAM")
    (version,) = set(use.registry().versions) - before
    use.unusable.add(version)
    use.client.set_registered_model_alias(NAME, CHAMPION, version)


def file_damaged(use: Use) -> Undo:
    version = use.champion()
    weights = use.random.choice(sorted(use.folder(version).glob("artifacts/**/*.safetensors")))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    same_files = {v for v in use.registry().versions if use.folder(v) == use.folder(version)}
    use.unusable |= same_files

    def restore() -> None:
        weights.write_bytes(content)
        use.unusable -= same_files

    return restore


def stray_files(use: Use) -> None:
    folder = use.folder(use.champion())
    (folder / "notes.txt").write_text("Do not forget.\n")
    (folder / "artifacts/.DS_Store").write_bytes(bytes(8))
    shutil.copytree(folder / "artifacts", folder / "artifacts (copy)", dirs_exist_ok=True)


def receipt_deleted(use: Use) -> None:
    (use.root / "mlruns/registered.json").unlink()


def receipt_edited(use: Use) -> None:
    path = use.root / "mlruns/registered.json"
    text = path.read_text().replace('"version": "', '"version": "9')
    path.write_text(text.replace('"champion"', '"polka"'))


def database_moved_away(use: Use) -> Undo:
    kept = use.root / "mlflow.db.kept"
    use.database.rename(kept)
    use.forget_client()
    unusable, use.unusable = use.unusable, set()

    def restore() -> None:
        kept.replace(use.database)
        use.forget_client()
        use.unusable = unusable

    return restore


def model_renamed(use: Use) -> Undo:
    use.client.rename_registered_model(NAME, "other")
    unusable, use.unusable = use.unusable, set()

    def restore() -> None:
        if use.client.search_registered_models(f"name = '{NAME}'"):
            use.client.delete_registered_model(NAME)
        use.client.rename_registered_model("other", NAME)
        use.unusable = unusable

    return restore


def parameter_changed(use: Use) -> None:
    """Another number for training, from which a new version comes."""
    change_params(use.root, {"train.lda.shrinkage": round(use.random.uniform(0.2, 0.8), 3)})


def genre_renamed(use: Use) -> None:
    (use.root / "data/raw/rock").rename(use.root / "data/raw/rock and roll")


def experiment_deleted(use: Use) -> Undo:
    experiment = use.client.get_experiment_by_name(NAME)
    assert experiment is not None
    use.client.delete_experiment(experiment.experiment_id)
    return lambda: use.client.restore_experiment(experiment.experiment_id)


def run_deleted(use: Use) -> Undo:
    run = use.client.get_model_version(NAME, use.champion()).run_id
    use.client.delete_run(run)
    return lambda: use.client.restore_run(run)


WAYS = (dvc_repro, retraining, look_up_in_mlflow)
CHANGES = (
    champion_moved,
    champion_alias_deleted,
    champion_version_deleted,
    previous_alias_deleted,
    tags_edited,
    version_copied,
    foreign_champion,
    file_damaged,
    stray_files,
    receipt_deleted,
    receipt_edited,
    database_moved_away,
    model_renamed,
    parameter_changed,
    genre_renamed,
    experiment_deleted,
    run_deleted,
)
Step = Callable[[Use], Undo | None]
