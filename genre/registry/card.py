"""The model card, as Markdown.

It depends on the files of the pipeline only, so the same run has the same card. The sections follow
Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from genre import evaluation
from genre.core.markdown import table as _table
from genre.features.families import FAMILIES
from genre.models.ensemble import SYNTHETIC
from genre.registry.facts import Pipeline, summarise
from genre.splits import LEAKY, SUBSETS, TRAIN

METRICS = {
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "top3_accuracy": "top-3 accuracy",
}
PROTOCOLS = {
    "song": "segments of a song, its duplicates and, if a genre has at least three artists, all "
    "songs of an artist stay in one subset",
    "artist": "all songs of an artist, with their duplicates, stay in one subset",
    "predefined": "the subsets were given by the collection's manifest",
    "segment": "segments of one song are in several subsets, so the scores are too good",
}
ALL_VERSIONS = """\
Predicts the genre of a song from its audio file. Each version was trained by the music genre \
pipeline; its description has the training data, the accuracy and the limits.

The alias `champion` is the version to use: `models:/{name}@champion`. `challenger` did not pass \
the comparison with it, `previous` was champion before.

Every version always predicts one of the genres that it was trained on, also for other music, \
speech or noise. Its figures hold for music like its collection's."""
DATA = (
    "{songs} songs, {hours:.1f} hours, by {artists} named artists; files set aside: {set_aside}. "
    "The hash of the collection (data_sha256) is `{data_sha256}`."
)
CITE = "Cite each source as it requests; the catalogue has source and licence of every song."
INTERVALS = (
    "In brackets: 95 % interval by bootstrap over groups of songs that belong together (if all "
    "groups score the same, Wilson's interval for that many groups). The model was selected on "
    "out-of-fold predictions for songs of train and validation; validation songs also stop the "
    "training of some models; test songs decided nothing."
)
LIMITS = (
    "It always predicts one of its genres, also for music of other genres, for speech and for "
    "noise.",
    "Genres are labels that people gave to this collection; other people label differently.",
    "Figures hold for music like the collection's; recordings of other times, regions and "
    "qualities may fare worse.",
    "Probabilities were calibrated on this collection's songs; on music unlike them they are "
    "likely to be too high.",
)


def write(pipeline: Pipeline) -> str:
    """The card of the selected model."""
    paragraphs = [
        f"# {pipeline.params.register_.name}: {pipeline.selected}",
        *_summary(pipeline),
        *_inputs(pipeline),
        *_data(pipeline),
        *_results(pipeline),
        *_genres(pipeline),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(pipeline)),
    ]
    return "\n\n".join(paragraphs) + "\n"


def describe(pipeline: Pipeline, card: str) -> str:
    """The description of a version: the summary of its card, with a link to the card."""
    return "\n\n".join([*_summary(pipeline), f"[The whole model card]({card})"])


def _summary(pipeline: Pipeline) -> Iterable[str]:
    """The summary: what the model is, its training data, accuracy, and main limits."""
    songs = summarise(pipeline.songs)
    train = pipeline.subsets.loc[pipeline.subsets["subset"] == TRAIN, "track_id"].nunique()
    length = "" if songs["hours"] < 1 else f", {songs['hours']:.0f} hours"
    artists = f", by {songs['artists']} named artists" if songs["artists"] else ""
    subset, values = pipeline.headline()
    low, high = values["ci95"]
    yield (
        f"Predicts the genre of a song, one of {', '.join(pipeline.described.classes)}, as the "
        "mean of the probabilities of its 3 s segments."
    )
    yield (
        f"**Trained on** {train} of {songs['songs']} songs{length}{artists}, with the model "
        f"`{pipeline.selected}`."
    )
    yield (
        f"**Accuracy** {100 * values['accuracy']:.1f} % of {values['n']} {subset} songs (95 % "
        f"interval {100 * low:.1f} to {100 * high:.1f}), macro-F1 {values['f1_macro']:.3f}; split "
        f"protocol `{pipeline.protocol}`."
    )
    yield f"**Limits** {' '.join(_limits(pipeline)[:2])}"


def _inputs(pipeline: Pipeline) -> Iterable[str]:
    """The feature families, and the credits of pretrained networks."""
    if not pipeline.described.families:
        return
    families = [FAMILIES[name] for name in pipeline.described.families]
    described = "; ".join(f"`{family.name}`: {family.description}" for family in families)
    yield f"## Inputs\n\nFeature families: {described}."
    for family in families:
        settings = pipeline.described.preprocessing[family.section]
        yield from family.extractor_class.credits(settings)


def _data(pipeline: Pipeline) -> Iterable[str]:
    summary = summarise(pipeline.songs)
    placed = pipeline.subsets[["track_id", "subset"]].drop_duplicates()
    songs = placed.merge(pipeline.songs[["track_id", "genre"]], on="track_id")
    counts = songs.groupby(["genre", "subset"]).size().unstack(fill_value=0)
    subsets = [name for name in (*SUBSETS, "excluded") if name in counts]
    yield "## What it was trained on"
    yield DATA.format(**summary)
    yield _table(
        ["genre", *(f"{name} songs" for name in subsets)],
        ([genre, *row] for genre, row in zip(counts.index, counts[subsets].values, strict=True)),
    )
    yield "### Licences and sources"
    yield _table(["licence", "songs"], summary["licences"].items())
    yield _table(["source", "songs"], summary["sources"].items())
    yield CITE


def _results(pipeline: Pipeline) -> Iterable[str]:
    protocol, leak = pipeline.protocol, pipeline.report["artist_leak"]
    yield "## How good it is"
    yield f"Split protocol `{protocol}`: {PROTOCOLS.get(protocol, 'see the split of the run')}."
    if leak:
        yield (
            f"In {', '.join(leak)} songs of one artist may be in several subsets (too few artists "
            "to keep them apart): the scores there are too good."
        )
    yield _table(
        ["subset", "level", "n", *METRICS.values()],
        (
            [subset, level, values["n"], *(_figure(values, metric) for metric in METRICS)]
            for subset, levels in pipeline.report["models"][pipeline.selected].items()
            for level, values in levels.items()
        ),
    )
    yield INTERVALS


def _genres(pipeline: Pipeline) -> Iterable[str]:
    subset, _ = pipeline.headline()
    songs = evaluation.by_song(pipeline.predicted[pipeline.predicted["subset"] == subset])
    table = evaluation.per_genre(songs).sort_values(["f1", "genre"])
    table = table.fillna({"mistaken_for": "nothing else"})
    scores = ["precision", "recall", "f1"]
    table[scores] = table[scores].map("{:.2f}".format)
    yield f"## Weak and strong genres ({subset} songs, weakest first)"
    yield _table(
        ["genre", "songs", "precision", "recall", "F1", "most often taken for"],
        table[["genre", "n", *scores, "mistaken_for"]].itertuples(index=False),
    )


def _limits(pipeline: Pipeline) -> list[str]:
    """The limits, the most important first."""
    leaky = pipeline.protocol in LEAKY
    return [
        *(["Its split leaks, so it is never promoted to champion."] if leaky else []),
        *([f"It was trained on {SYNTHETIC}."] if pipeline.described.synthetic else []),
        *LIMITS,
    ]


def _figure(values: Mapping[str, Any], metric: str) -> str:
    text = f"{values[metric]:.3f}"
    bounds = values.get("ci95" if metric == "accuracy" else f"{metric}_ci95")
    return f"{text} [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else text
