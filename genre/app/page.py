"""The page: where a song goes in, examples to try, the answer, and who gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from genre.app import answer as html
from genre.app.model import Answering
from genre.app.serving import discard
from genre.classifier import TAGS
from genre.errors import AudioError
from genre.unforeseen import as_error

CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
TITLE = "Which genre is it?"
QUEUE = 32  # songs that may wait for their turn
SYNTHETIC = "Synthetic: demo songs of this project, made by arithmetic."
REMOVED, MADE = "The song was removed after the answer.", "The song is synthetic."
RECORDING = "Your recording"
RECORDED = 2 * 2 * 96_000  # bytes a second, at most: 16-bit stereo, at the highest usual rate
# Brings the answer into sight where it lies below the screen, as on a phone.
SCROLL = """(...inputs) => {
  const answer = document.querySelector("#answers");
  if (answer.getBoundingClientRect().top > 0.6 * innerHeight)
    answer.scrollIntoView({ behavior: "smooth", block: "start" });
  return inputs;
}"""
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")


@dataclass(frozen=True)
class Limits:
    """What a song may be at most."""

    megabytes: int
    minutes: int


def theme() -> gr.Theme:
    """Gradio's plain theme in the fonts of the reader's own computer."""
    plain = gr.themes.Base(
        primary_hue="sky", neutral_hue="slate", font=FONTS, font_mono=MONO, radius_size="lg"
    )
    return plain.set(
        body_background_fill="#f4f6f9",
        body_background_fill_dark="#0d131c",
        block_background_fill="#ffffff",
        block_background_fill_dark="#17202d",
        body_text_color_subdued="#526072",
        body_text_color_subdued_dark="#a8b5c6",
        border_color_primary="#d8dfe8",
        border_color_primary_dark="#2d3a4c",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#202c3c",
        button_secondary_background_fill_hover="#e6f1fa",
        button_secondary_background_fill_hover_dark="#2a3a4f",
        button_secondary_border_color="#c3cedb",
        button_secondary_border_color_dark="#3d4d63",
    )


def build(
    answering: Answering, examples: Sequence[Path], limits: Limits, uploads: Path
) -> gr.Blocks:
    """Lay out the page; songs that are dropped arrive below `uploads` and are removed there."""

    def hear(upload: Mapping[str, Any] | None, name: str | None = None) -> Iterator[Any]:
        """Answer an uploaded or recorded song, and remove it."""
        if upload is None:
            return
        song = Path(upload["path"])  # Gradio has seen to it that it lies below uploads
        name = name or upload.get("orig_name") or song.name
        try:
            yield gr.skip(), html.listening(name)
            yield None, _said(answering, song, limits, name)
        finally:
            discard(song, uploads)

    def hear_example(song: Path) -> Iterator[str]:
        yield html.listening(_title(song))
        yield _said(answering, song, limits, _title(song), example=True)

    page: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=False) as page:
        gr.HTML(_introduction(), elem_id="introduction")
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="ask", min_width=280):
                file = gr.File(label="A song", height=170, elem_id="file")
                gr.HTML(_limits(limits))
                record = gr.Audio(
                    sources=["microphone"],
                    label="Or a recording",
                    editable=False,
                    buttons=[],
                    elem_id="record",
                )
                gr.HTML(_recording(limits))
                gr.HTML("<h2>Or one of these</h2>")
                with gr.Row(elem_id="examples"):
                    buttons = [gr.Button(_title(one), size="sm", min_width=10) for one in examples]
                gr.HTML(f'<p class="caption">{SYNTHETIC}</p>')
            with gr.Column(elem_id="answers", min_width=280):
                said = gr.HTML(html.WAITING, elem_id="answer")
            with gr.Column(elem_id="about", min_width=280):
                gr.HTML(html.about(answering))
        ask: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_id": "ear",
            "js": SCROLL,
        }
        # Not preprocessed: Gradio would write more files, and name the song by another name.
        file.upload(hear, file, [file, said], preprocess=False, **ask)
        record.stop_recording(
            partial(hear, name=RECORDING), record, [record, said], preprocess=False, **ask
        )
        for button, example in zip(buttons, examples, strict=True):
            button.click(partial(hear_example, example), None, said, **ask)
    page.queue(max_size=QUEUE, default_concurrency_limit=1)
    return page


def _said(
    answering: Answering, song: Path, limits: Limits, name: str, *, example: bool = False
) -> str:
    """The prediction for a song, or why there is none."""
    classifier = answering.classifier
    try:
        answer = classifier.classify(
            song,
            top=html.TOP,
            timeline=True,
            tags=TAGS if classifier.knows_tags else 0,
            max_seconds=60.0 * limits.minutes,
        )
        if not example:
            return html.answered(name, answer, song, answering.title, note=REMOVED)
        source = f"/gradio_api/file={quote(str(song))}"
        player = f'<audio controls preload="metadata" src="{source}" aria-label="The song"></audio>'
        return html.answered(name, answer, song, answering.title, note=MADE, player=player)
    except AudioError as error:
        return html.refusal(name, str(error))
    except Exception as error:
        return html.failed(name, str(as_error(error)))


def _title(song: Path) -> str:
    return f"{song.stem.replace('-', ' ').capitalize()} ({song.parent.name})"


def _introduction() -> str:
    return (
        f"<h1>{TITLE}</h1><p>Drop a song or record one. It is listened to on this computer, from "
        "end to end, and nothing of it is kept.</p>"
    )


def _recording(limits: Limits) -> str:
    """How long a recording may be, so that it is within the limits: `SCRIPT` ends it then."""
    seconds = min(60 * limits.minutes, limits.megabytes * 2**20 // RECORDED)
    told = f"{seconds // 60}\u00a0minutes" if seconds >= 120 else f"{seconds}\u00a0seconds"
    return (
        f'<p id="recording" class="caption" data-seconds="{seconds}">A recording ends by itself '
        f"after {told}.</p>"
    )


def _limits(limits: Limits) -> str:
    return (
        '<p class="caption">WAV, MP3, FLAC, Ogg, M4A and others; '
        f"up to {limits.megabytes}\u00a0MB and {limits.minutes}\u00a0minutes.</p>"
        '<section id="too-large" class="card refusal" role="alert" '
        f'data-megabytes="{limits.megabytes}" hidden><h2>Too large</h2><p></p></section>'
    )
