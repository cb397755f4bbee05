"""The texts of the page as HTML cards. All external text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from genre.classifier.output import length
from genre.classifier.timeline import grouped, steps
from genre.core.messages import printable
from genre.models.ensemble import SYNTHETIC
from genre.registry.card import PROTOCOLS

if TYPE_CHECKING:
    from genre.app.model import LoadedModel
    from genre.classifier import Prediction

WAITING = """
<section class="card quiet"><p>The prediction will be shown here: the most likely genres, and how
they change through the song.</p></section>"""


def busy(name: str) -> str:
    """The card that is shown until the prediction is ready."""
    return f"""
<section class="card" role="status"><p class="caption">{_shown(name)}</p>
<p class="busy">Analysing the whole song …</p></section>"""


def refusal(name: str, reason: str) -> str:
    """The card with the reason why a song has no prediction, for example "is empty"."""
    return f"""
<section class="card refusal" role="alert"><h2>No prediction for this one</h2>
<p>“{_shown(name)}” {escape(printable(reason))}.</p></section>"""


def predicted(name: str, prediction: Prediction, by: str, *, note: str, player: str = "") -> str:
    """The card of a prediction by the model `by`; `note` is a sentence, `player` HTML."""
    tags = "".join(f"<li>{escape(tag.tag)}</li>" for tag in prediction.tags or ())
    sound = f'<p class="caption">Sounds like</p><ul class="tags">{tags}</ul>' if tags else ""
    seconds = length(prediction.seconds)
    return f"""
<section class="card" role="status"><h2>{_shown(name)} <small>{seconds}</small></h2>
{player}{sound}<p class="caption">Calibrated probabilities of {escape(by)}. {escape(note)}</p>
</section>"""


def table(prediction: Prediction, most: int = 3) -> list[list[str]]:
    """The most likely genres of each part of the song; the prediction must have a timeline."""
    when, shares = steps(prediction)
    rows = []
    for step in range(len(when) - 1):
        current = {genre: share[step] for genre, share in grouped(shares).items() if share[step]}
        likely = sorted(current, key=lambda genre: -current[genre])[:most]
        text = ", ".join(f"{genre} {100 * current[genre]:.0f} %" for genre in likely) or "silent"
        rows.append([f"{length(when[step])}–{length(when[step + 1])}", text])
    return rows


def about(loaded: LoadedModel) -> str:
    """The card about the model: version, split protocol, accuracy, genres."""
    ensemble = loaded.classifier.ensemble
    facts = {"Model": loaded.name, "Version": loaded.version or "not registered"}
    if ensemble.protocol in PROTOCOLS:
        facts["Split protocol"] = f"{ensemble.protocol}: {PROTOCOLS[ensemble.protocol]}"
    facts["Accuracy"] = loaded.accuracy or "not recorded for this model"
    if ensemble.synthetic:
        facts["Trained on"] = SYNTHETIC
    facts["Genres"] = ", ".join(loaded.classifier.classes)
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items()
    )
    return f"""
<section class="card" aria-labelledby="model"><h2 id="model">The model</h2><dl>{rows}</dl>
<p class="caption">It predicts one of these genres for any input, also speech. The page keeps the
model that it was started with; restart it to use a newer one.</p></section>"""


def _shown(name: str) -> str:
    return escape(printable(name))
