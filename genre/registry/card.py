"""The model card: what a person should know before trusting the model, as Markdown.

It is made of what the pipeline left and of nothing else, so the same run gives the same text. The
sections follow Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genre import evaluation
from genre.models.ensemble import SYNTHETIC, read_description
from genre.registry import facts
from genre.registry.facts import Pipeline
from genre.splits import LEAKY, TRAIN

FAMILIES = {
    "report": "57 librosa features of each 3 s segment",
    "extended": "further librosa features of each 3 s segment",
    "musicnn": "what MusiCNN, a network trained to tag music, hears in it",
}
PRETRAINING = (
    "The network was trained by its authors on commercial recordings with listeners' tags, genre "
    "words among them. Songs that this model is tested on may be among those recordings; how many "
    "is unknown, so its figures may be too good for songs that the network has never heard."
)
METRICS = {
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "top3_accuracy": "top-3 accuracy",
}
PROTOCOLS = {
    "song": "pieces of a song, its duplicates and, where a genre has at least three artists, all "
    "songs of an artist stay on one side",
    "artist": "all songs of an artist, with their duplicates, stay on one side",
    "predefined": "the sides were given by the collection's manifest",
    "segment": "pieces of one song stand on several sides, so the figures are too good to be true",
}


def write(pipeline: Pipeline) -> str:
    """The card of the selected model."""
    parts = [
        f"# {pipeline.params.register_.name}: {pipeline.selected}",
        *_summary(pipeline),
        *_looks(pipeline),
        *_data(pipeline),
        *_results(pipeline),
        *_genres(pipeline),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(pipeline)),
    ]
    return "\n\n".join(parts) + "\n"


def describe(pipeline: Pipeline, card: str) -> str:
    """The description of a version: the start of its card, with a link to all of it."""
    return "\n\n".join([*_summary(pipeline), f"[The whole model card]({card})"])


def describe_all(name: str) -> str:
    """The description of the registered model `name`, of all its versions."""
    return "\n\n".join(
        [
            "Predicts the genre of a song from its audio file. Each version was trained by the "
            "music genre pipeline; its own description says on what, how good it is and where its "
            "limits are.",
            f"The alias `champion` is the version to use: `models:/{name}@champion`. `challenger` "
            "did not pass the comparison with it, `previous` was champion before.",
            "Every version always predicts one of the genres that it was trained on, also for "
            "other music, speech or noise. Its figures hold for music like its collection's.",
        ]
    )


def _summary(pipeline: Pipeline) -> Iterable[str]:
    """What a person reads first: what it is, trained on what, how good, and the main limits."""
    yield (
        f"Predicts the genre of a song, one of {', '.join(pipeline.genres)}, as the mean of the "
        "probabilities of its 3 s segments."
    )
    songs = facts.summarise(pipeline.songs)
    train = pipeline.subsets.loc[pipeline.subsets["subset"] == TRAIN, "track_id"].nunique()
    length = "" if songs["hours"] < 1 else f", {songs['hours']:.0f} hours"
    artists = f", by {songs['artists']} named artists" if songs["artists"] else ""
    yield (
        f"**Trained on** {train} of {songs['songs']} songs{length}{artists}, with the model "
        f"`{pipeline.selected}`."
    )
    subset, values = facts.headline(pipeline)
    low, high = values["ci95"]
    yield (
        f"**Accuracy** {100 * values['accuracy']:.1f} % of {values['n']} {subset} songs (95 % "
        f"interval {100 * low:.1f} to {100 * high:.1f}), macro-F1 {values['f1_macro']:.3f}; split "
        f"protocol `{pipeline.protocol}`."
    )
    yield f"**Limits** {' '.join(_limits(pipeline)[:2])}"


def _looks(pipeline: Pipeline) -> Iterable[str]:
    """What the models look at, and who trained what listens for them."""
    front, families = read_description(pipeline.classifier).front, pipeline.families
    if not families:
        return
    yield "## What it looks at"
    words = [f"`{family}`: {FAMILIES[family]}" for family in families]
    yield f"Feature families: {'; '.join(words)}."
    if "musicnn" not in families:
        return
    from genre.musicnn.weights import ATTRIBUTION, LICENCE, SOURCE

    yield (
        f"MusiCNN's weights ({', '.join(front['musicnn']['weights'])}) are from {SOURCE}, licence "
        f"{LICENCE}. {ATTRIBUTION}"
    )
    yield PRETRAINING


def _data(pipeline: Pipeline) -> Iterable[str]:
    summary = facts.summarise(pipeline.songs)
    yield "## What it was trained on"
    yield (
        f"{summary['songs']} songs, {summary['hours']:.1f} hours, by {summary['artists']} named "
        f"artists; files set aside: {summary['set_aside']}. The collection's fingerprint "
        f"(data_sha256) is `{summary['data_sha256']}`."
    )
    songs = pipeline.songs[["track_id", "genre"]]
    joined = pipeline.subsets[["track_id", "subset"]].drop_duplicates().merge(songs, on="track_id")
    counts = joined.groupby(["genre", "subset"])["track_id"].nunique().unstack(fill_value=0)
    subsets = [name for name in ("train", "validation", "test", "excluded") if name in counts]
    yield _table(
        ["genre", *(f"{name} songs" for name in subsets)],
        [[genre, *(str(counts.at[genre, name]) for name in subsets)] for genre in counts.index],
    )
    yield "### Licences and sources"
    yield _table(["licence", "songs"], _count_rows(summary["licences"]))
    yield _table(["source", "songs"], _count_rows(summary["sources"]))
    yield (
        "Cite each source as it asks to be cited; `catalogue.json` of the run and the catalogue "
        "itself name the source and licence of every song."
    )


def _results(pipeline: Pipeline) -> Iterable[str]:
    yield "## How good it is"
    protocol = pipeline.protocol
    yield f"Split protocol `{protocol}`: {PROTOCOLS.get(protocol, 'see the split of the run')}."
    leak = pipeline.report["artist_leak"]
    if leak:
        yield (
            f"In {', '.join(leak)} songs of one artist may stand on several sides (too few "
            "artists to keep them apart): figures there flatter."
        )
    rows = []
    for subset, levels in pipeline.report["models"][pipeline.selected].items():
        for level, values in levels.items():
            cells = [_figure(values, metric) for metric in METRICS]
            rows.append([subset, level, str(values["n"]), *cells])
    yield _table(["subset", "level", "n", *METRICS.values()], rows)
    yield (
        "In brackets: 95 % interval by bootstrap over groups of songs that belong together (if all "
        "groups score the same, Wilson's interval for that many groups). The "
        "model was chosen by songs of train and validation, each answered by models that had not "
        "heard it; validation songs also stop the training of some models; test songs decided "
        "nothing."
    )


def _genres(pipeline: Pipeline) -> Iterable[str]:
    subset, _ = facts.headline(pipeline)
    songs = evaluation.by_song(pipeline.answers[pipeline.answers["subset"] == subset])
    table = evaluation.per_genre(songs).sort_values(["f1", "genre"])
    table = table.fillna({"mistaken_for": "nothing else"})
    yield f"## Weak and strong genres ({subset} songs, weakest first)"
    rows = [
        [
            str(row["genre"]),
            str(row["n"]),
            *(f"{row[score]:.2f}" for score in ("precision", "recall", "f1")),
            str(row["mistaken_for"]),
        ]
        for row in table.to_dict("records")
    ]
    yield _table(["genre", "songs", "precision", "recall", "F1", "most often taken for"], rows)


def _limits(pipeline: Pipeline) -> list[str]:
    """The limits, the most important first."""
    limits = [
        "It always predicts one of its genres, also for music of other genres, for speech and for "
        "noise.",
        "Genres are labels that people gave to this collection; other people draw other lines.",
        "Figures hold for music like the collection's; recordings of other times, regions and "
        "qualities may fare worse.",
        "Probabilities were calibrated on this collection's songs; on music unlike them they are "
        "likely to be too sure.",
    ]
    if read_description(pipeline.classifier).synthetic:
        limits.insert(0, f"It was trained on {SYNTHETIC}.")
    if pipeline.protocol in LEAKY:
        limits.insert(0, "Its split leaks, so it is never promoted to champion.")
    return limits


def _figure(values: Mapping[str, Any], metric: str) -> str:
    text = f"{values[metric]:.3f}"
    bounds = values.get("ci95" if metric == "accuracy" else f"{metric}_ci95")
    return f"{text} [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else text


def _count_rows(counts: Mapping[str, int]) -> list[list[str]]:
    return [[_cell(key), str(count)] for key, count in counts.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
