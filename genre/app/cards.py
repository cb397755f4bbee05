"""The texts of the page as HTML, a card each. All that comes from outside is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from genre.classifier.output import length
from genre.classifier.timeline import grouped, steps
from genre.core.messages import printable
from genre.models.ensemble import SYNTHETIC
from genre.registry.card import PROTOCOLS

if TYPE_CHECKING:
    from genre.app.model import Answering
    from genre.classifier import Answer

WAITING = """
<section class="card quiet"><p>The prediction will be shown here: the most likely genres, and how
they change through the song.</p></section>"""


def busy(name: str) -> str:
    """What is shown until the prediction is there."""
    return f"""
<section class="card" role="status"><p class="caption">{_shown(name)}</p>
<p class="busy">Analysing the whole song …</p></section>"""


def refusal(name: str, reason: str) -> str:
    """Why a song has no prediction; `reason` follows its name, as in "is empty"."""
    return f"""
<section class="card refusal" role="alert"><h2>No prediction for this one</h2>
<p>“{_shown(name)}” {escape(printable(reason))}.</p></section>"""


def predicted(name: str, answer: Answer, by: str, *, note: str, player: str = "") -> str:
    """What the model `by` predicted from; `note` is a sentence, `player` HTML."""
    tags = "".join(f"<li>{escape(tag.tag)}</li>" for tag in answer.tags or ())
    sound = f'<p class="caption">Sounds like</p><ul class="tags">{tags}</ul>' if tags else ""
    return f"""
<section class="card" role="status"><h2>{_shown(name)} <small>{length(answer.seconds)}</small></h2>
{player}{sound}<p class="caption">Calibrated probabilities of {escape(by)}. {escape(note)}</p>
</section>"""


def table(answer: Answer, most: int = 3) -> list[list[str]]:
    """The most likely genres of each part of the song; its timeline must be there."""
    when, shares = steps(answer)
    rows = []
    for place in range(len(when) - 1):
        now = {genre: share[place] for genre, share in grouped(shares).items() if share[place]}
        likely = sorted(now, key=lambda genre: -now[genre])[:most]
        text = ", ".join(f"{genre} {100 * now[genre]:.0f} %" for genre in likely) or "silent"
        rows.append([f"{length(when[place])}–{length(when[place + 1])}", text])
    return rows


def about(answering: Answering) -> str:
    """Which model predicts, and how accurate it is known to be."""
    ensemble = answering.classifier.ensemble
    facts = {"Model": answering.name, "Version": answering.version or "not registered"}
    if ensemble.protocol in PROTOCOLS:
        facts["Split protocol"] = f"{ensemble.protocol}: {PROTOCOLS[ensemble.protocol]}"
    facts["Accuracy"] = answering.accuracy or "not on record for this model"
    if ensemble.synthetic:
        facts["Trained on"] = SYNTHETIC
    facts["Genres"] = ", ".join(answering.classifier.classes)
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items()
    )
    return f"""
<section class="card" aria-labelledby="model"><h2 id="model">The model</h2><dl>{rows}</dl>
<p class="caption">It predicts one of these genres for anything, speech too. The page keeps the
model that it was started with; start it again for a newer one.</p></section>"""


def _shown(name: str) -> str:
    return escape(printable(name))
