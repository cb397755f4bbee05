"""Register a finished pipeline: record it, make a version, let the gate decide, report.

The registry is asked each time: what it holds is not made again, what it has lost is.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genre.errors import RegistryError, UnusableStoreError
from genre.hints import command
from genre.promotion import CHAMPION, Decision, decide
from genre.registry import aliases, artifacts, card, facts, gate, lookup, package, runs, versions
from genre.registry.artifacts import FILES, MODEL_ID
from genre.registry.facts import Pipeline
from genre.registry.faults import named_errors, quiet
from genre.registry.locks import locked
from genre.registry.runs import EXPERIMENT, MODEL_HASH
from genre.registry.store import Store, moved, open_experiment, open_store
from genre.registry.versions import BLOCKED_BY, FEWER_THAN, METRICS_HASH
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.entities.model_registry import ModelVersion

DECISIONS = 5  # champions that may come and go, on a server, while one model is compared


def register(pipeline: Pipeline) -> tuple[dict[str, Any], bool]:
    """Record and register `pipeline`; return the receipt, and whether anything was new.

    The same model gives one version, however often it is registered, and one run for each set of
    figures that it was given. What is in the store is not made again, unless its files are no
    longer those that were registered. An experiment is recorded with its model and gets neither
    version nor alias. Raises `RegistryError` if the store fails, `InputError` if the pipeline has
    not finished.
    """
    tags = describe(pipeline)
    pipeline.must_be_whole()
    store = open_store(pipeline.params.tracking, pipeline.root)
    experiment = open_experiment(store, pipeline.params.tracking.experiment)
    name = pipeline.params.register_.name
    with named_errors(store.uri), locked(store.folder), quiet():
        runs.end_killed(store, experiment.experiment_id)
        before = aliases.promotions(store, name)
        version = None if pipeline.experiment else versions.find(store, name, tags[MODEL_HASH])
        tagged = artifacts.tags_of(store, version) if version else {}
        if version is not None and tagged.get(METRICS_HASH) == tags[METRICS_HASH]:
            recorded, new = (str(version.run_id), tagged[MODEL_ID]), False
        else:
            found = _recorded(store, experiment.experiment_id, tags)
            recorded = found or _record(store, experiment, pipeline, tags)
            new = found is None
        run_id, model_id = recorded
        receipt = _receipt(pipeline, tags, run_id, model_id)
        if pipeline.experiment:
            return receipt | {"reason": _decide(store, None, pipeline).reason}, new
        if version is None:
            where = f"#/experiments/{experiment.experiment_id}/runs/{run_id}/artifacts"
            version = versions.create(
                store,
                name,
                model_id=model_id,
                run_id=run_id,
                tags=tags,
                description=card.describe(pipeline, f"{where}/{package.MODEL_CARD}"),
            )
            new = True
        aliases.record_outside(store, name)
        if not versions.is_settled(store, version):
            _settle(store, version, pipeline)
            version = store.client.get_model_version(name, str(version.version))
            new = True
        receipt |= _standing(store, version)
        return receipt, new or aliases.promotions(store, name) != before


def _standing(store: Store, version: ModelVersion) -> dict[str, Any]:
    """What the receipt tells of a registered version: its aliases now, the decision, a warning."""
    name, number = version.name, str(version.version)
    held = aliases.held(store, name)
    promoted = [p.reason for p in aliases.promotions(store, name) if p.version == number]
    reason = version.tags.get(versions.REASON) or (promoted or ["not recorded"])[-1]
    return {
        "version": number,
        "aliases": sorted(alias for alias, holder in held.items() if holder == number),
        "champion": held.get(CHAMPION),
        "decision": version.tags.get(versions.DECISION) or (CHAMPION if promoted else "recorded"),
        "reason": reason,
        "comparison": versions.comparison(version),
        "warning": warning(store, version),
    }


def warning(store: Store, version: ModelVersion) -> str | None:
    """What a person has to know and decide about the champion; None if all is well.

    `version` is the version of today's model.
    """
    name, number = version.name, str(version.version)
    champion = versions.champion(store, name)
    if champion is None and artifacts.tags_of(store, version).get("protocol") in LEAKY:
        return None  # it is never promoted, and its reason tells so
    if champion is None:
        before = aliases.standing(store, name).previous
        back = f"{command('genre rollback')} makes version {before} champion again, "
        return (
            f"{name} has versions and no champion: {back if before else ''}"
            f"{command(f'genre promote {number}')} version {number} ({command('genre models')} "
            "lists all)"
        )
    other = str(champion.version)
    source = artifacts.source_of(store, champion)
    wrong = artifacts.damage(store, champion, lookup.READ)
    if not wrong and version.tags.get(BLOCKED_BY) == other:
        wrong = version.tags.get(versions.REASON, "it cannot be used")
    if wrong:
        foreign = wrong == artifacts.FOREIGN
        compared = (versions.comparison(version) or {}).get("against") == other
        kept = "" if compared else f"; version {number} was not compared with it"
        ways = lookup.ways_out(source, foreign=foreign, version=number)
        return f"version {other} of {name} is champion and cannot be used: {wrong}{kept}. {ways}"
    location = source.rpartition("/models/")[0]  # of the experiment that it belongs to
    if location and (problem := moved(store, location)):
        return problem
    if version.tags.get(FEWER_THAN) == other:
        return (
            f"version {number} of {name} has {version.tags.get(versions.REASON)}, which stays "
            f"champion; {command(f'genre promote {number}')} makes version {number} champion"
        )
    return None


def describe(pipeline: Pipeline) -> dict[str, str]:
    """The tags of a pipeline's run, logged model and version; they are what `models` shows."""
    report = pipeline.report
    subset, values = facts.headline(pipeline)
    low, high = values["ci95"]
    return {
        "model": pipeline.selected,
        MODEL_HASH: pipeline.model_sha256,
        METRICS_HASH: pipeline.metrics_sha256,
        "data_sha256": facts.data_sha256(pipeline.songs),
        "protocol": pipeline.protocol,
        "artist_leak": ", ".join(report["artist_leak"]) or "none",
        "genres": ", ".join(pipeline.genres),
        "families": ", ".join(pipeline.families),
        "subset": subset,
        "accuracy": json.dumps(values["accuracy"]),
        "accuracy_low": json.dumps(low),
        "accuracy_high": json.dumps(high),
        **({EXPERIMENT: pipeline.experiment} if pipeline.experiment else {}),
        **facts.git_state(pipeline.root),
    }


def _recorded(store: Store, experiment: str, tags: dict[str, str]) -> tuple[str, str] | None:
    """Run and logged model of an earlier registration of the same that got no version."""
    wanted = {key: tags.get(key, "") for key in (MODEL_HASH, METRICS_HASH, EXPERIMENT)}
    text = f"tags.{MODEL_HASH} = '{tags[MODEL_HASH]}' AND attributes.status = 'FINISHED'"
    for run in store.client.search_runs([experiment], text):
        found = run.data.tags
        if MODEL_ID not in found or any(found.get(key, "") != wanted[key] for key in wanted):
            continue
        logged = store.client.get_logged_model(found[MODEL_ID])
        files = artifacts.checksums(logged.tags)
        if not artifacts.damage_at(store, logged.artifact_location, files):
            return run.info.run_id, found[MODEL_ID]
    return None


def _record(
    store: Store, where: Experiment, pipeline: Pipeline, tags: dict[str, str]
) -> tuple[str, str]:
    """Log the run, its models and the selected one's pyfunc; return the ids of run and model."""
    if problem := moved(store, where.artifact_location):
        raise UnusableStoreError(problem)
    experiment = str(where.experiment_id)
    model_card = card.write(pipeline)
    run = runs.start(store, experiment, pipeline, tags | {runs.ROLE: runs.PIPELINE_ROLE})
    run_id = run.info.run_id
    try:
        store.client.log_text(run_id, model_card, package.MODEL_CARD)
        runs.log_trained(store, experiment, pipeline, run_id)
        model_id = _log_model(store, experiment, pipeline, run_id, tags, model_card)
        runs.log_results(store, run_id, pipeline, model_id)
        store.client.set_tag(run_id, MODEL_ID, model_id)
    except BaseException:
        store.client.set_terminated(run_id, "FAILED")
        raise
    store.client.set_terminated(run_id, "FINISHED")
    return run_id, model_id


def _log_model(
    store: Store,
    experiment: str,
    pipeline: Pipeline,
    run_id: str,
    tags: dict[str, str],
    model_card: str,
) -> str:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    name = pipeline.params.register_.name
    logged = store.client.create_logged_model(
        experiment, name=name.replace(".", "-"), source_run_id=run_id, tags=tags
    )
    model_id = str(logged.model_id)
    described = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=model_id)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pyfunc"
        package.save(pipeline, folder, described, model_card)
        checksums = artifacts.as_tag(artifacts.of_folder(folder))
        store.client.set_logged_model_tags(model_id, {FILES: checksums})
        store.client.log_model_artifacts(model_id, str(folder))
    store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    store.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return model_id


def _settle(store: Store, version: ModelVersion, pipeline: Pipeline) -> None:
    """Let the gate decide, and act on it if the champion is still the one it was compared with.

    Under the lock of a SQLite store it always is; on a server another machine may have moved it.
    """
    name = version.name
    for _ in range(DECISIONS):
        champion = versions.champion(store, name)
        decision = _decide(store, champion, pipeline)
        before = None if champion is None else str(champion.version)
        if aliases.held(store, name).get(CHAMPION) == before:
            versions.settle(store, version, decision)
            return
    raise RegistryError(
        f"tracking.uri {store.uri}: {name} got another champion {DECISIONS} times while version "
        f"{version.version} was compared with it; run the step again"
    )


def _decide(store: Store, champion: ModelVersion | None, pipeline: Pipeline) -> Decision:
    settings = pipeline.params.register_
    return decide(
        protocol=pipeline.protocol,
        genres=pipeline.genres,
        champion=None if champion is None else gate.question(store, champion, pipeline),
        policy=settings.policy,
        margin=settings.margin,
        families=pipeline.families,
        experiment=pipeline.experiment,
    )


def _receipt(
    pipeline: Pipeline, tags: dict[str, str], run_id: str, model_id: str
) -> dict[str, Any]:
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
