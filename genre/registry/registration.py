"""Register a finished pipeline: record it, create a version, let the gate decide, report.

The registry is asked each time: what it holds is not made again, what it has lost is. Run and
logged model are written first, then the version, then its alias, and last its tag `decision`: if a
run is killed, every version has its files, and the next run goes on with a version that has no
decision yet.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genre.hints import command
from genre.promotion import CHALLENGER, CHAMPION, Decision, decide
from genre.registry import aliases, card, gate, lookup, package, record, runs
from genre.registry.aliases import DECISION, REASON
from genre.registry.facts import Pipeline
from genre.registry.lookup import FILES, FOREIGN
from genre.registry.record import METRICS_HASH, MODEL_ID
from genre.registry.runs import MODEL_HASH
from genre.registry.store import Store, moved, open_experiment, open_store
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

COMPARISON = "mlflow.genre.comparison"  # the figures behind the decision, as JSON
MODEL_VERSIONS = "mlflow.modelVersions"  # names its versions to MLflow's page of a logged model


def register(pipeline: Pipeline) -> tuple[dict[str, Any], bool]:
    """Record and register `pipeline`; return the receipt, and whether anything was new.

    The same model gives one version, however often it is registered, and one run for each set of
    figures. An experiment is recorded with its model and gets neither version nor alias. Raises
    `RegistryError` if the store fails, `InputError` if the pipeline has not finished.
    """
    tags = record.describe(pipeline)
    pipeline.must_be_complete()
    store = open_store(pipeline.params.tracking, pipeline.root)
    experiment = open_experiment(store, pipeline.params.tracking.experiment)
    with store.writing():
        runs.end_killed(store, experiment.experiment_id)
        version = None if pipeline.experiment else _find(store, pipeline)
        found = _recorded(version, tags) or record.find(store, experiment.experiment_id, tags)
        run_id, model_id = found or record.create(store, experiment, pipeline, tags)
        receipt = _receipt(pipeline, tags, run_id, model_id)
        if pipeline.experiment:
            return receipt | {"reason": _ask_gate(store, None, pipeline).reason}, found is None
        if version is None:
            where = f"#/experiments/{experiment.experiment_id}/runs/{run_id}/artifacts"
            description = card.describe(pipeline, f"{where}/{package.MODEL_CARD}")
            version = _create(store, pipeline, run_id, model_id, tags, description)
        before = _standing(store, version)
        if DECISION not in version.tags:
            _decide(store, version, pipeline)
            version = store.client.get_model_version(version.name, str(version.version))
        after = _standing(store, version)
        receipt |= after | {"warning": warning(store, version)}
        return receipt, found is None or before != after


def warning(store: Store, version: ModelVersion) -> str | None:
    """What a person has to decide about the champion, beside today's `version`; None if nothing."""
    name, number = version.name, str(version.version)
    champion = aliases.champion(store, name)
    promote = command(f"genre promote {number}")
    if champion is None:
        if version.tags.get("protocol") in LEAKY:
            return None  # it is never promoted, as its reason says
        return (
            f"{name} has versions and no champion: {promote} makes version {number} champion "
            f"({command('genre models')} lists all)"
        )
    other, source = str(champion.version), lookup.source_of(store, champion)
    wrong = None
    if other != number:
        wrong = lookup.verify(store, champion)
        if not wrong and DECISION not in version.tags:
            wrong = version.tags.get(REASON)
    if wrong:
        ways = lookup.ways_out(source, foreign=wrong == FOREIGN, version=number)
        return f"version {other} of {name} is champion and cannot be used: {wrong}. {ways}"
    location = source.rpartition("/models/")[0]  # of the experiment that it belongs to
    if location and (problem := moved(store, location)):
        return problem
    ours, theirs = (_families(each) for each in (version, champion))
    if 0 < len(ours) < len(theirs):
        return (
            f"version {number} of {name} has fewer feature families ({', '.join(ours)}) than "
            f"version {other} ({', '.join(theirs)}), which stays champion; {promote} makes version "
            f"{number} champion"
        )
    return None


def _find(store: Store, pipeline: Pipeline) -> ModelVersion | None:
    """The version of this model whose files are as registered.

    Of several (a version may be copied in MLflow), the champion, else the newest.
    """
    name = pipeline.params.register_.name
    champion = aliases.held(store, name).get(CHAMPION)
    found = [
        version
        for version in aliases.all_versions(store, name)
        if version.tags.get(MODEL_HASH) == pipeline.model_sha256
    ]
    found.sort(key=lambda version: str(version.version) != champion)
    return next((version for version in found if not lookup.verify(store, version)), None)


def _recorded(version: ModelVersion | None, tags: dict[str, str]) -> tuple[str, str] | None:
    """The ids of the version's run and logged model, if they hold today's figures."""
    if version is None or version.tags.get(METRICS_HASH) != tags[METRICS_HASH]:
        return None
    model_id = version.tags.get(MODEL_ID)
    return (str(version.run_id), model_id) if model_id else None


def _create(
    store: Store,
    pipeline: Pipeline,
    run_id: str,
    model_id: str,
    tags: dict[str, str],
    description: str,
) -> ModelVersion:
    """Create a version of the logged model, with the checksums of its files.

    The registered model is described if it has no description yet.
    """
    from mlflow.exceptions import MlflowException

    name = pipeline.params.register_.name
    try:
        model = store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        model = store.client.get_registered_model(name)
    if not model.description:
        store.client.update_registered_model(name, card.describe_all(name))
    logged = store.client.get_logged_model(model_id)
    version = store.client.create_model_version(
        name,
        logged.artifact_location,
        run_id=run_id,
        tags=tags | {MODEL_ID: model_id, FILES: logged.tags[FILES]},
        description=description,
        model_id=model_id,
    )
    if MODEL_VERSIONS not in store.client.get_logged_model(model_id).tags:  # a server has set it
        link = json.dumps([{"name": name, "version": int(version.version)}])
        store.client.set_logged_model_tags(model_id, {MODEL_VERSIONS: link})
    return version


def _decide(store: Store, version: ModelVersion, pipeline: Pipeline) -> None:
    """Let the gate decide which alias the version gets.

    While the champion cannot be used, the version stays undecided: the next run asks again.
    """
    name, number = version.name, str(version.version)
    champion = aliases.champion(store, name)
    if champion and str(champion.version) == number:  # a kill came between the alias and its tags
        reason = version.tags.get(REASON, "not recorded")
        aliases.make_champion(store, version, by="gate", reason=reason)
        return
    decision = _ask_gate(store, champion, pipeline)
    tags = {REASON: decision.reason}
    if decision.comparison:
        figures = {"against": decision.against, **asdict(decision.comparison)}
        tags[COMPARISON] = json.dumps(figures, sort_keys=True)
    aliases.tag(store, version, tags)
    if aliases.held(store, name).get(CHAMPION) != (champion and str(champion.version)):
        _decide(store, version, pipeline)  # another machine changed the champion meanwhile
    elif decision.alias == CHAMPION:
        aliases.make_champion(store, version, by="gate", reason=decision.reason)
    else:
        store.client.set_registered_model_alias(name, CHALLENGER, number)
        if not decision.blocked:
            aliases.tag(store, version, {DECISION: CHALLENGER})


def _ask_gate(store: Store, champion: ModelVersion | None, pipeline: Pipeline) -> Decision:
    settings = pipeline.params.register_
    return decide(
        protocol=pipeline.protocol,
        genres=pipeline.genres,
        champion=gate.evaluate_champion(store, champion, pipeline) if champion else None,
        policy=settings.policy,
        margin=settings.margin,
        families=pipeline.families,
        experiment=pipeline.experiment,
    )


def _receipt(
    pipeline: Pipeline, tags: dict[str, str], run_id: str, model_id: str
) -> dict[str, Any]:
    """What the receipt says of any run; `_standing` has the rest for a registered version."""
    return {
        "name": pipeline.params.register_.name,
        "version": None,
        "aliases": [],
        "champion": None,
        "decision": "recorded",
        "reason": "",
        "warning": None,
        "comparison": None,
        "experiment": pipeline.experiment,
        "model": pipeline.selected,
        MODEL_HASH: tags[MODEL_HASH],
        METRICS_HASH: tags[METRICS_HASH],
        "run_id": run_id,
        "model_id": model_id,
        "tracking_uri": pipeline.params.tracking.uri,
    }


def _standing(store: Store, version: ModelVersion) -> dict[str, Any]:
    """What the receipt says of a version: its aliases now, and the decision."""
    number, held = str(version.version), aliases.held(store, version.name)
    try:
        comparison = json.loads(version.tags.get(COMPARISON, "null"))
    except ValueError:  # edited in MLflow's pages
        comparison = None
    return {
        "version": number,
        "aliases": sorted(alias for alias, holder in held.items() if holder == number),
        "champion": held.get(CHAMPION),
        "decision": version.tags.get(DECISION, CHALLENGER),
        "reason": version.tags.get(REASON, "not recorded"),
        "comparison": comparison,
    }


def _families(version: ModelVersion) -> list[str]:
    return [family for family in version.tags.get("families", "").split(", ") if family]
