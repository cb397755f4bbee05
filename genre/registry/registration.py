"""Register a finished pipeline: record it, create a version, run the gate, write a receipt.

The registry is read each time: what it has is not created again, what it lost is. Run and logged
model are written first, then the version, its alias, and last its tag `decision`. So if a run is
killed, every version has its files, and the next run continues with a version without a decision.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genre.core.errors import UnusableStoreError
from genre.core.messages import command
from genre.registry import aliases, card, gate, lookup, package, record, runs
from genre.registry.aliases import DECISION, PROMOTED_BY, REASON
from genre.registry.client import Store, moved_store_remedy, open_experiment, open_store
from genre.registry.errors import or_exists
from genre.registry.facts import Pipeline
from genre.registry.lookup import FILES
from genre.registry.promotion import CHALLENGER, CHAMPION, Decision, decide
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

COMPARISON = "mlflow.genre.comparison"  # the figures behind the decision, as JSON
MODEL_VERSIONS = "mlflow.modelVersions"  # links from a logged model to its versions


def register(pipeline: Pipeline) -> tuple[dict[str, Any], bool]:
    """Record and register `pipeline`; return the receipt, and whether anything was new.

    The same model gives one version, however often it is registered, and one run for each set of
    figures. An experiment is recorded with its model and gets neither version nor alias. Raises
    `RegistryError` if the store fails, `InputError` if the pipeline has not finished.
    """
    tags, name = record.describe(pipeline), pipeline.params.register_.name
    store = open_store(pipeline.params.tracking, pipeline.root)
    experiment = open_experiment(store, pipeline.params.tracking.experiment)
    with store.writing():
        runs.end_killed(store, experiment.experiment_id)
        version = None if pipeline.experiment else _find(store, name, tags[runs.MODEL_HASH])
        found = record.find(store, experiment.experiment_id, tags, verified=version is None)
        if not found and (problem := moved_store_remedy(store, experiment.artifact_location)):
            raise UnusableStoreError(problem)
        run_id, logged = found or record.create(store, experiment.experiment_id, pipeline, tags)
        receipt: dict[str, Any] = {
            "name": name,
            "experiment": pipeline.experiment,
            "model": pipeline.selected,
            runs.MODEL_HASH: tags[runs.MODEL_HASH],
            record.METRICS_HASH: tags[record.METRICS_HASH],
            "run_id": run_id,
            "model_id": logged.model_id,
            "tracking_uri": pipeline.params.tracking.uri,
            "warning": None,
        }
        if pipeline.experiment:
            receipt |= {"version": None, "aliases": [], "champion": None, "comparison": None}
            reason = _run_gate(store, None, pipeline).reason
            return receipt | {"decision": "recorded", "reason": reason}, found is None
        if version is None:
            page = f"#/experiments/{experiment.experiment_id}/runs/{run_id}/artifacts"
            text = card.describe(pipeline, f"{page}/{package.MODEL_CARD}")
            version = _create(store, name, run_id, logged, tags, text)
        before = _status(store, version)
        if DECISION not in version.tags:
            _decide(store, version, pipeline)
            version = store.client.get_model_version(version.name, str(version.version))
        after = _status(store, version)
        receipt["warning"] = _warning(store, version) or moved_store_remedy(
            store, experiment.artifact_location
        )
        return receipt | after, found is None or before != after


def _warning(store: Store, version: ModelVersion) -> str | None:
    """A warning if the champion needs a manual decision, given today's `version`; else None."""
    name, number = version.name, str(version.version)
    champion = aliases.champion(store, name)
    promote = command(f"genre promote {number}")
    if champion is None:
        if version.tags.get("protocol") in LEAKY:
            return None  # a leaky protocol is never promoted
        return (
            f"{name} has versions and no champion: {promote} makes version {number} champion "
            f"({command('genre models')} lists all)"
        )
    other = str(champion.version)
    if other == number:
        return None
    problem = lookup.verify(store, champion)
    if not problem and DECISION not in version.tags:
        problem = version.tags.get(REASON)
    if problem:
        remedy = lookup.remedies(store, champion, problem, other=number)
        return f"version {other} of {name} is champion and cannot be used: {problem}. {remedy}"
    ours, theirs = (each.tags.get("families") or "" for each in (version, champion))
    if ours and len(ours.split(", ")) < len(theirs.split(", ")):
        return (
            f"version {number} of {name} has fewer feature families ({ours}) than version {other} "
            f"({theirs}), which stays champion; {promote} makes version {number} champion"
        )
    return None


def _find(store: Store, name: str, model_sha256: str) -> ModelVersion | None:
    """The version of this model whose files are as registered.

    Of several (a version may be copied in MLflow), the champion, else the newest.
    """
    champion = aliases.read_aliases(store, name).get(CHAMPION)
    found = [
        version
        for version in aliases.all_versions(store, name)
        if version.tags.get(runs.MODEL_HASH) == model_sha256
    ]
    found.sort(key=lambda version: str(version.version) != champion)
    return next((version for version in found if not lookup.verify(store, version)), None)


def _create(
    store: Store, name: str, run_id: str, logged: LoggedModel, tags: dict[str, str], text: str
) -> ModelVersion:
    """Create a version of the logged model, with the checksums of its files, described by `text`.

    The registered model is described if it has no description yet.
    """
    with or_exists():
        store.client.create_registered_model(name)
    if not store.client.get_registered_model(name).description:
        store.client.update_registered_model(name, card.ALL_VERSIONS.format(name=name))
    number = str(logged.model_id)
    version = store.client.create_model_version(
        name,
        logged.artifact_location,
        run_id=run_id,
        tags=tags | {FILES: logged.tags[FILES]},
        description=text,
        model_id=number,
    )
    if MODEL_VERSIONS not in store.client.get_logged_model(number).tags:  # a server has set it
        link = json.dumps([{"name": name, "version": int(version.version)}])
        store.client.set_logged_model_tags(number, {MODEL_VERSIONS: link})
    return version


def _decide(store: Store, version: ModelVersion, pipeline: Pipeline) -> None:
    """Run the gate and set the alias of the version.

    While the champion cannot be used, the version has no decision and the next run decides again.
    """
    name, number = version.name, str(version.version)
    champion = aliases.champion(store, name)
    if champion and str(champion.version) == number:
        if by := version.tags.get(PROMOTED_BY):  # the process was killed before the tags were set
            reason = version.tags.get(REASON, "not recorded")
            aliases.make_champion(store, version, by=by, reason=reason)
        else:  # the alias was set in MLflow
            aliases.tag(store, version, {DECISION: CHAMPION})
        return
    decision = _run_gate(store, champion, pipeline)
    figures = decision.comparison and {"against": decision.against, **asdict(decision.comparison)}
    comparison = json.dumps(figures, sort_keys=True)
    aliases.tag(store, version, {REASON: decision.reason, COMPARISON: comparison})
    if aliases.read_aliases(store, name).get(CHAMPION) != (champion and str(champion.version)):
        _decide(store, version, pipeline)  # another machine changed the champion meanwhile
    elif decision.alias == CHAMPION:
        aliases.make_champion(store, version, by="gate", reason=decision.reason)
    else:
        aliases.set_alias(store, name, CHALLENGER, number)
        if not decision.blocked:
            aliases.tag(store, version, {DECISION: CHALLENGER})


def _run_gate(store: Store, champion: ModelVersion | None, pipeline: Pipeline) -> Decision:
    settings = pipeline.params.register_
    return decide(
        protocol=pipeline.protocol,
        genres=pipeline.described.classes,
        champion=gate.evaluate_champion(store, champion, pipeline) if champion else None,
        policy=settings.policy,
        margin=settings.margin,
        families=pipeline.described.families,
        experiment=pipeline.experiment,
    )


def _status(store: Store, version: ModelVersion) -> dict[str, Any]:
    """The part of the receipt about a version: its aliases now, and the decision."""
    found = aliases.read_aliases(store, version.name)
    try:
        comparison = json.loads(version.tags.get(COMPARISON, "null"))
    except ValueError:  # edited in MLflow's pages
        comparison = None
    return {
        "version": str(version.version),
        "aliases": aliases.aliases_of(version, found),
        "champion": found.get(CHAMPION),
        "decision": version.tags.get(DECISION, CHALLENGER),
        "reason": version.tags.get(REASON, "not recorded"),
        "comparison": comparison,
    }
