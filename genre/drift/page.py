"""A finding as words for a person: one line, a summary, and a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from genre.drift.finding import Finding
from genre.drift.measures import Share
from genre.params import DriftParams

ROWS = 20  # columns and folders in a table


def verdict(finding: Finding) -> str:
    """Whether the songs have drifted, in one line."""
    if finding.drift:
        return f"drift: {'; '.join(sign.words for sign in finding.signs)}"
    if not finding.enough:
        return (
            f"{count(finding.songs, 'song')} compared, too few to speak of drift (drift.min_songs "
            f"is {finding.min_songs})"
        )
    return f"no drift in {count(finding.songs, 'song')}"


def markdown(
    finding: Finding,
    settings: DriftParams,
    model: str,
    *,
    further: Sequence[str] = (),
    picture: str | None = None,
) -> str:
    """The whole page; `further` are sentences about what follows, `picture` is a file beside it."""
    parts = [
        f"# Drift: new songs against the training songs of {model}",
        f"**{_cell(sentence(verdict(finding)))}**",
        f"Compared: {count(finding.songs, 'new song')} with {finding.training_songs} training "
        "songs, of each the 30 s that training looks at.",
        *further,
        *(
            [f"![Distances of the columns, and probabilities of answers]({picture})"]
            * bool(picture)
        ),
        *_columns(finding, settings),
        *_confidence(finding, settings),
        *_genres(finding),
        "How to read this page: `docs/drift.md`.",
    ]
    return "\n\n".join(parts) + "\n"


def _columns(finding: Finding, settings: DriftParams) -> Iterator[str]:
    yield "## Columns"
    if not finding.columns:
        yield (
            "None was compared: this version looks at pictures alone."
            if not finding.not_compared
            else "None was compared: no new song has values in them."
        )
        return
    drifted = len(finding.drifted)
    yield (
        f"{drifted} of {len(finding.columns)} have drifted: their Kolmogorov-Smirnov test has a "
        f"corrected p below {settings.significance:g}, and their population stability index is at "
        f"least {settings.psi:g} and above what chance alone gives {finding.songs} songs. From "
        f"{settings.columns:.0%} of the columns on it is called drift."
    )
    rows = [
        [
            f"**{one.name}**" if one.drifted else one.name,
            f"{one.median_training:.4g}",
            f"{one.median_new:.4g}",
            f"{one.psi:.2f}",
            f"{one.psi_by_chance:.2f}",
            f"{one.ks:.2f}",
            probability(one.p_corrected),
        ]
        for one in finding.columns[:ROWS]
    ]
    heading = "column", "median, training", "new", "PSI", "by chance below", "KS", "corrected p"
    yield table(heading, rows)
    if len(finding.columns) > ROWS:
        yield f"{len(finding.columns) - ROWS} nearer ones are in `drift.json` alone."
    if finding.not_compared:
        yield f"Not compared, as no new song has values in them: {len(finding.not_compared)}."


def _confidence(finding: Finding, settings: DriftParams) -> Iterator[str]:
    yield "## Unsure answers"
    if finding.unsure is None:
        yield "No new song was answered."
        return
    words = f"Below {settings.low_confidence:.0%}: {interval(finding.unsure)} of the new songs"
    if finding.own_unsure is None or finding.unsure_p is None:
        yield f"{words}; no song was held out of training to compare with."
        return
    yield (
        f"{words}, {interval(finding.own_unsure)} of songs held out of training. That many more by "
        f"chance: p = {probability(finding.unsure_p)} (Fisher's exact test, one-sided). Called "
        f"drift from {100 * settings.low_confidence_share:.0f} points more on, with p below "
        f"{settings.significance:g}."
    )


def _genres(finding: Finding) -> Iterator[str]:
    yield "## Genres"
    yield (
        "What the new songs were answered, against the training songs. Where the mixture is "
        "another one, columns differ for that reason alone."
    )
    names = sorted({*finding.answered, *finding.trained})
    yield table(
        ("genre", "training songs", "new songs, as answered"),
        [
            [
                _cell(name),
                *(f"{one.get(name, 0):.0%}" for one in (finding.trained, finding.answered)),
            ]
            for name in names
        ],
    )
    if not finding.unknown:
        return
    folders = ", ".join(
        f"{_cell(name)} ({number})" for name, number in list(finding.unknown.items())[:ROWS]
    )
    if len(finding.unknown) > ROWS:
        folders += f" and {len(finding.unknown) - ROWS} more"
    yield f"Folders that are no genre of this version (songs): {folders}."
    if not finding.known:
        yield "No folder is one of its genres, so they are not taken for genres."


def lines(finding: Finding, settings: DriftParams, shown: int) -> Iterator[str]:
    """What a terminal shows: the farthest columns, unsure answers, unknown genres."""
    if finding.columns:
        width = max(len(one.name) for one in finding.columns[:shown])
        yield f"{'column':{width}}   PSI  by chance    KS  corrected p"
        for one in finding.columns[:shown]:
            yield (
                f"{one.name:{width}} {one.psi:5.2f} {one.psi_by_chance:10.2f} {one.ks:5.2f}  "
                f"{probability(one.p_corrected):>11}{'  drifted' if one.drifted else ''}"
            )
    if finding.unsure:
        own = f", {interval(finding.own_unsure)} of held-out songs" if finding.own_unsure else ""
        yield (
            f"unsure answers (below {settings.low_confidence:.0%}): {interval(finding.unsure)}{own}"
        )
    if finding.unknown:
        names = ", ".join(f"{name} ({number})" for name, number in finding.unknown.items())
        yield f"folders that are no genre of the version: {names}"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all but the first column to the right."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def interval(share: Share) -> str:
    """A share with its interval, as in `12 % (3 to 21 %; 6 of 50)`."""
    return (
        f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %; "
        f"{share.count} of {share.songs})"
    )


def probability(p: float) -> str:
    """A p-value, with as many figures as are worth reading."""
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


def sentence(words: str) -> str:
    """`words` as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def count(number: int, what: str) -> str:
    """`1 song`, `2 songs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cell(text: str) -> str:
    """A name for a table: file names may hold anything."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
