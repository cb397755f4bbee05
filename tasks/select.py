"""select: trained models → `classifier/`, the one that answers, and `reports/selection.json`.

Chosen by song-level macro-F1 on held-out predictions (`models/<name>/held_out.parquet`): songs of
train and validation, each answered by a model that had not heard it. The classifier's temperature
is fitted to the same songs. Test songs are not looked at. The baseline is described beside the
candidates, for evaluate, and is none of them: it is never selected and has no vote.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre import evaluation
from genre.core.files import write_json, write_parquet
from genre.core.params import BASELINE, Params
from genre.features.families import FAMILIES
from genre.models import load_model
from genre.models.ensemble import Ensemble, families_of
from tasks.io import paths
from tasks.io.families import is_trained, read_families
from tasks.io.step import step
from tasks.io.tables import is_demo, read_held_out, read_protocol

if TYPE_CHECKING:
    from genre.evaluation import Candidate
    from genre.models.base import Input

FRONTS: dict[Input, tuple[str, ...]] = {  # the sections of params.yaml behind each input
    "features_3s": ("features",),
    "features_30s": ("features",),
    "spectrogram": ("spectrograms",),
    "log_mel": ("log_mel",),
}

NOT_HEARD = {"csv"}  # what of these sections changes no value


def run(params: Params, root: Path) -> str:
    """Choose, write the classifier, and say which it is.

    Raises `InputError` where a model is missing or models do not belong together; what was there
    is then as it was.
    """
    settings = params.evaluate
    families = read_families(params, root)
    held_out = {
        str(name): read_held_out(root, name)
        for name in params.train.names
        if is_trained(name, params, root)
    }
    beside = {str(name): held_out.pop(name) for name in [BASELINE] if name in held_out}
    samples, seed = settings.bootstrap_samples, settings.seed
    found = evaluation.candidates(held_out, vote=params.select.vote, samples=samples, seed=seed)
    described = [*found]
    if beside:
        described += evaluation.candidates(beside, vote=False, samples=samples, seed=seed)
    chosen = evaluation.select(found)
    members = [load_model(root / paths.MODELS / name) for name in chosen.members]
    classifier = Ensemble(
        chosen.name,
        members,
        chosen.mixture,
        temperature=chosen.temperature,
        protocol=read_protocol(root),
        front=(front := fronts(params, families, {member.input for member in members})),
        pretrained=root / paths.PRETRAINED if needs_weights(front) else None,
        synthetic=is_demo(root),
    )
    classifier.save(root / paths.CLASSIFIER)
    write_parquet(root / paths.HELD_OUT, chosen.held_out)
    write_json(
        root / paths.SELECTION,
        {"selected": chosen.name, "models": {one.name: describe(one) for one in described}},
    )
    scores = chosen.scores
    return (
        f"{chosen.name} selected of {', '.join(one.name for one in found)}: out-of-fold macro-F1 "
        f"{scores['f1_macro']:.3f} ({scores['n']} songs), temperature {chosen.temperature:.2f}"
    )


def describe(one: Candidate) -> dict[str, Any]:
    """What `reports/selection.json` says of a candidate."""
    mixture = one.mixture
    parts = zip(one.members, mixture.weights, mixture.temperatures, strict=True)
    return {
        "members": [{"name": n, "weight": w, "temperature": t} for n, w, t in parts],
        "temperature": one.temperature,
        "held_out": one.scores,
    }


def fronts(
    params: Params, families: Sequence[str], inputs: set[Input]
) -> dict[str, dict[str, Any]]:
    """The settings of what made the inputs, by their section of `params.yaml`."""
    sections = {section for name in inputs for section in FRONTS[name]}
    if "features" in sections:
        sections |= {FAMILIES[name].section for name in families}
    found: dict[str, dict[str, Any]] = {
        section: getattr(params, section).model_dump(mode="json", exclude=NOT_HEARD)
        for section in sorted(sections)
    }
    if "features" in found:
        found["features"]["families"] = list(families)
    return found


def needs_weights(front: dict[str, dict[str, Any]]) -> bool:
    """Whether a family of the classifier's inputs needs pretrained weights."""
    return any(FAMILIES[name].pretrained for name in families_of(front))


def main() -> None:
    """Run the step as `python -m tasks.select`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
