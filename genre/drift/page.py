"""A drift report as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genre.core.markdown import cell, table
from genre.core.params import DriftParams
from genre.drift.measures import Share
from genre.drift.report import Report, counted

ROWS = 20  # columns and folders on the page


def markdown(
    report: Report,
    settings: DriftParams,
    model: str,
    *,
    notes: Sequence[str] = (),
    picture: str | None = None,
) -> str:
    """The whole page; `notes` are sentences below the summary, `picture` is a file beside it."""
    if report.missing:
        notes = [*notes, f"Not compared: {counted(report.missing)} whose features were not kept."]
    parts = [
        f"# Drift: new songs against the training songs of {model}",
        f"**{cell(sentence(report.verdict))}**",
        f"Compared: {counted(report.songs)} with {report.training_songs} training songs, of each "
        "the 30 s that training uses.",
        *notes,
        *_columns(report, settings, picture),
        *_confidence(report, settings),
        *_genres(report),
        "How to read this page: `docs/drift.md`.",
    ]
    return "\n\n".join(parts) + "\n"


def _columns(report: Report, settings: DriftParams, picture: str | None) -> Iterator[str]:
    if picture:
        yield f"![Distances of the columns, and confidence of the predictions]({picture})"
    yield "## Columns"
    if not report.columns:
        no_values = "no new song has values in them"
        pictures = "this version has no other inputs than spectrograms"
        yield f"None was compared: {no_values if report.not_compared else pictures}."
        return
    yield (
        f"{len(report.drifted)} of {len(report.columns)} have drifted: their Kolmogorov-Smirnov "
        f"test has a corrected p below {settings.significance:g}, and their population stability "
        f"index is at least {settings.psi:g} and above what chance alone gives {report.songs} "
        f"songs. From {settings.columns:.0%} of the columns on there is an alert."
    )
    heading = ["column", "median, training", "new", "PSI", "by chance below", "KS", "corrected p"]
    rows = [
        [
            f"**{one.name}**" if one.drifted else one.name,
            f"{one.median_training:.4g}",
            f"{one.median_new:.4g}",
            f"{one.psi:.2f}",
            f"{one.psi_by_chance:.2f}",
            f"{one.ks:.2f}",
            _p(one.p_corrected),
        ]
        for one in report.columns[:ROWS]
    ]
    yield table(heading, rows)
    if len(report.columns) > ROWS:
        yield f"{len(report.columns) - ROWS} columns with smaller distances are not shown."
    if report.not_compared:
        yield f"Not compared, as no new song has values in them: {len(report.not_compared)}."


def _confidence(report: Report, settings: DriftParams) -> Iterator[str]:
    yield "## Low-confidence predictions"
    if report.low_confidence is None:
        yield "No new song was classified."
        return
    new = f"Below {settings.low_confidence:.0%}: {_interval(report.low_confidence)} of new songs"
    if report.held_out is None or report.p is None:
        yield f"{new}; no song was held out of training to compare with."
        return
    yield (
        f"{new}, {_interval(report.held_out)} of songs held out of training. That many more by "
        f"chance: p = {_p(report.p)} (Fisher's exact test, one-sided). The alert is given from "
        f"{100 * settings.low_confidence_share:.0f} points more on, with p below "
        f"{settings.significance:g}."
    )


def _genres(report: Report) -> Iterator[str]:
    yield "## Genres"
    yield (
        "The genres predicted for the new songs, against the training songs. If the shares "
        "differ, columns differ for that reason."
    )
    rows = [
        [name, f"{report.training.get(name, 0):.0%}", f"{report.predicted.get(name, 0):.0%}"]
        for name in sorted({*report.training, *report.predicted})
    ]
    yield table(["genre", "training songs", "new songs, as predicted"], rows)
    if report.unknown:
        folders = [f"{cell(name)} ({count})" for name, count in report.unknown.items()]
        more = f" and {len(folders) - ROWS} more" if len(folders) > ROWS else ""
        yield (
            "Folders that are not a genre of this version (songs): "
            f"{', '.join(folders[:ROWS])}{more}."
        )
        if not report.known:
            yield "No folder is one of its genres, so folders are not counted as genres."


def _interval(share: Share) -> str:
    """A share with its interval, as in `12 % (3 to 21 %; 6 of 50)`."""
    return (
        f"{100 * share.share:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %; "
        f"{share.count} of {share.songs})"
    )


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."
