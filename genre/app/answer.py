"""What the page says of a song, as HTML. All that comes from outside is escaped."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from genre.app.picture import timeline
from genre.classify.output import length
from genre.classify.timeline import palette, steps
from genre.cli import printable
from genre.models.ensemble import SYNTHETIC
from genre.registry.card import PROTOCOLS

if TYPE_CHECKING:
    from genre.app.model import Answering
    from genre.classifier import Answer

TOP = 5

WAITING = """
<section class="card quiet"><p>The answer will stand here: the likeliest genres, and how the song
moves between them.</p></section>"""


def listening(name: str) -> str:
    """What is shown until the answer is there."""
    return f"""
<section class="card" role="status"><p class="eyebrow">{_shown(name)}</p>
<p class="busy"><i></i><i></i><i></i><i></i> Listening to the whole song …</p></section>"""


def refusal(name: str, reason: str) -> str:
    """Why a song was not answered; `reason` goes on after its name, as "is empty"."""
    return f"""
<section class="card refusal" role="alert"><h2>No answer for this one</h2>
<p>“{_shown(name)}” {escape(printable(reason))}.</p></section>"""


def failed(name: str, error: str) -> str:
    """What is shown if an error of the program, or of the machine, was met; `error` is a line."""
    return f"""
<section class="card refusal" role="alert"><h2>No answer for this one</h2>
<p>“{_shown(name)}” met an error: {escape(printable(error))}.</p></section>"""


def answered(
    name: str, answer: Answer, song: Path, by: str, *, note: str = "", player: str = ""
) -> str:
    """What `by` says of `song`, with its timeline; `note` is a sentence, `player` HTML."""
    heard = f"{length(answer.seconds)} listened to"
    return f"""
<section class="card" role="status"><p class="eyebrow">{_shown(name)} · {heard}</p>
<h2 class="verdict">{escape(answer.genre)} <small>{_percent(answer.probability)}</small></h2>
{player}<ol class="bars">{_bars(answer)}</ol>{_tags(answer)}
<p class="caption">How likely each genre is, as {escape(by)} estimates it (calibrated).
{escape(note)}</p>
</section>{timeline(answer, song)}"""


def about(answering: Answering) -> str:
    """Which model answers, and how good it is known to be."""
    known = answering.accuracy
    facts = {"Model": answering.name, "Version": answering.version or "not registered"}
    protocol = answering.protocol
    if said := PROTOCOLS.get(protocol):
        facts["Split protocol"] = f"{protocol}: {said}"
    if known:
        facts["Songs named right"] = (
            f"{_percent(known.value)} of the {known.subset} songs (95\u00a0% interval "
            f"{100 * known.low:.1f}\u2060–\u2060{_percent(known.high)})"
        )
    else:
        facts["Songs named right"] = "not on record for this model"
    if answering.classifier.ensemble.synthetic:
        facts["Trained on"] = SYNTHETIC
    facts["Genres it knows"] = ", ".join(answering.classifier.classes)
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items()
    )
    return f"""
<section class="card about" aria-labelledby="who"><h2 id="who">Who answers</h2><dl>{rows}</dl>
<p class="caption">It can only name the genres it knows: anything else, speech too, is called by the
nearest of them. The page keeps the model that it was started with; to ask a newer one, start it
again.</p></section>"""


def _bars(answer: Answer) -> str:
    colours = palette(steps(answer)[1])
    return "".join(
        f'<li><span class="genre">{escape(choice.genre)}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{100 * choice.probability:.1f}%;'
        f'background:{colours[choice.genre]}"></i></span>'
        f'<span class="percent">{_percent(choice.probability)}</span></li>'
        for choice in answer.top
    )


def _tags(answer: Answer) -> str:
    """What the song sounds like, where the model hears that."""
    if not answer.tags:
        return ""
    words = "".join(f"<li>{escape(tag.tag)}</li>" for tag in answer.tags)
    return f'<p class="caption">Sounds like</p><ul class="tags">{words}</ul>'


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f}\u00a0%"


def _shown(name: str) -> str:
    return escape(printable(name))
