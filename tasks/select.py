"""select: trained models → `classifier/`, the selected one, and `reports/selection.json`.

The candidate with the best song-level macro-F1 on out-of-fold predictions is selected
(`models/<name>/held_out.parquet`: songs of train and validation). The classifier's temperature is
fitted to the same songs. Test songs are not used. The baseline is described too, for the step
evaluate, but is never selected and has no vote.
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
from tasks.io.tables import is_demo, read_out_of_fold, read_protocol

if TYPE_CHECKING:
    from genre.evaluation import Candidate
    from genre.models.base import Input

SECTIONS: dict[Input, tuple[str, ...]] = {  # the sections of params.yaml for each input
    "features_3s": ("features",),
    "features_30s": ("features",),
    "spectrogram": ("spectrograms",),
    "log_mel": ("log_mel",),
}

NO_EFFECT = {"csv"}  # settings in these sections that do not change values


def run(params: Params, root: Path) -> str:
    """Select and write the classifier; return a summary.

    Raises `InputError` if a model is missing or models do not fit together; then nothing is
    changed.
    """
    settings = params.evaluate
    families = read_families(params, root)
    out_of_fold = {
        str(name): read_out_of_fold(root, name)
        for name in params.train.names
        if is_trained(name, params, root)
    }
    beside = {str(name): out_of_fold.pop(name) for name in [BASELINE] if name in out_of_fold}
    samples, seed = settings.bootstrap_samples, settings.seed
    found = evaluation.candidates(out_of_fold, vote=params.select.vote, samples=samples, seed=seed)
    described = [*found]
    if beside:
        described += evaluation.candidates(beside, vote=False, samples=samples, seed=seed)
    chosen = evaluation.select(found)
    members = [load_model(root / paths.MODELS / name) for name in chosen.members]
    preprocessing = preprocessing_of(params, families, {member.input for member in members})
    classifier = Ensemble(
        chosen.name,
        members,
        chosen.voting,
        temperature=chosen.temperature,
        protocol=read_protocol(root),
        preprocessing=preprocessing,
        pretrained=root / paths.PRETRAINED if needs_weights(preprocessing) else None,
        synthetic=is_demo(root),
    )
    classifier.save(root / paths.CLASSIFIER)
    write_parquet(root / paths.HELD_OUT, chosen.out_of_fold)
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
    """The entry of a candidate in `reports/selection.json`."""
    voting = one.voting
    parts = zip(one.members, voting.weights, voting.temperatures, strict=True)
    return {
        "members": [{"name": n, "weight": w, "temperature": t} for n, w, t in parts],
        "temperature": one.temperature,
        "held_out": one.scores,
    }


def preprocessing_of(
    params: Params, families: Sequence[str], inputs: set[Input]
) -> dict[str, dict[str, Any]]:
    """The settings that the inputs depend on, by section of `params.yaml`."""
    sections = {section for name in inputs for section in SECTIONS[name]}
    if "features" in sections:
        sections |= {FAMILIES[name].section for name in families}
    found: dict[str, dict[str, Any]] = {
        section: getattr(params, section).model_dump(mode="json", exclude=NO_EFFECT)
        for section in sorted(sections)
    }
    if "features" in found:
        found["features"]["families"] = list(families)
    return found


def needs_weights(preprocessing: dict[str, dict[str, Any]]) -> bool:
    """Whether a family of the classifier's inputs needs pretrained weights."""
    return any(FAMILIES[name].pretrained for name in families_of(preprocessing))


def main() -> None:
    """Run the step as `python -m tasks.select`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
