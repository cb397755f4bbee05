"""The page: the input of a song, examples, the prediction, and the model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from genre.app import cards
from genre.app.model import LoadedModel
from genre.classifier import TAGS
from genre.classifier.timeline import figure
from genre.core.errors import AudioError
from genre.core.unexpected import as_error

CSS, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
TITLE = "Which genre is it?"
INTRODUCTION = f"""<h1>{TITLE}</h1>
<p>Drop a song or record one. It is analysed on this computer, from end to end, and nothing of it is
kept.</p>"""
TOP = 5  # genres
FIGURE_INCHES, FIGURE_DPI = (7.0, 4.6), 160
DELETE_SECONDS = (60, 900)  # how often old uploads are removed, and at which age
QUEUE = 32  # songs that may wait
FORMATS = "WAV, MP3, FLAC, Ogg, M4A and others; up to {}\u00a0MB and {}\u00a0minutes."
SYNTHETIC = "Synthetic: demo songs of this project, made by arithmetic."
REMOVED, MADE = "The song was removed after the prediction.", "The song is synthetic."
RECORDING = "Your recording"
RECORDED = 2 * 2 * 96_000  # bytes a second, at most: 16-bit stereo, at the highest usual rate
# Gradio's own scroll_to_output needs a progress display.
SCROLL = """(...inputs) => {
  const result = document.querySelector("#result");
  if (result.getBoundingClientRect().top > innerHeight / 2) result.scrollIntoView();
  return inputs;
}"""
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")


@dataclass(frozen=True)
class Limits:
    """The greatest size and length of a song."""

    megabytes: int
    minutes: int


def theme() -> gr.Theme:
    """Gradio's base theme with system fonts."""
    plain = gr.themes.Base(
        primary_hue="sky", neutral_hue="slate", font=FONTS, font_mono=FONTS, radius_size="lg"
    )
    return plain.set(
        block_radius="14px",
        stat_background_fill="#0b6bab",
        stat_background_fill_dark="#6cc0f5",
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
    loaded: LoadedModel, examples: Sequence[Path], limits: Limits, uploads: Path
) -> gr.Blocks:
    """Build the page; uploaded songs are in the folder `uploads` and are removed from it."""
    Shown = tuple[Any, ...]  # the values of `outputs`, below

    def predict(upload: Mapping[str, Any] | None, name: str | None = None) -> Iterator[Shown]:
        """Predict the genre of an uploaded or recorded song, and remove it."""
        if upload is None:
            return
        song = Path(upload["path"])  # Gradio checks that it is below uploads
        name = name or upload.get("orig_name") or song.name
        try:
            yield gr.skip(), *only(cards.busy(name))
            yield None, *shown(loaded, song, limits, name)
        finally:
            discard(song, uploads)

    def predict_example(song: Path) -> Iterator[Shown]:
        yield only(cards.busy(_title(song)))
        yield shown(loaded, song, limits, _title(song), example=True)

    page: gr.Blocks
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=False, delete_cache=DELETE_SECONDS
    ) as page:
        gr.HTML(INTRODUCTION, elem_id="introduction")
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="song", min_width=280):
                file = gr.File(label="A song", height=170, elem_id="file")
                gr.HTML(_caption(FORMATS.format(limits.megabytes, limits.minutes)))
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
                gr.HTML(_caption(SYNTHETIC))
            with gr.Column(elem_id="result", min_width=280):
                card = gr.HTML(cards.WAITING, elem_id="prediction")
                with gr.Column(visible=False) as result:
                    genres = gr.Label(num_top_classes=TOP, show_label=False, elem_id="genres")
                    plot = gr.Plot(show_label=False, elem_id="timeline")
                    with gr.Accordion("As a table", open=False):
                        table = gr.Dataframe(
                            headers=["time", "genres"],
                            column_widths=["30%", "70%"],
                            buttons=[],
                            elem_id="table",
                        )
            with gr.Column(elem_id="about", min_width=280):
                gr.HTML(cards.about(loaded))
        outputs = [card, result, genres, plot, table]
        event: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_id": "songs",
            "js": SCROLL,
        }
        # preprocess=False: Gradio would write more files, and lose the name of the song.
        file.upload(predict, file, [file, *outputs], preprocess=False, **event)
        record.stop_recording(
            partial(predict, name=RECORDING), record, [record, *outputs], preprocess=False, **event
        )
        for button, example in zip(buttons, examples, strict=True):
            button.click(partial(predict_example, example), None, outputs, **event)
    page.queue(max_size=QUEUE, default_concurrency_limit=1)
    return page


def only(card: str) -> tuple[Any, ...]:
    """The outputs of the page without a prediction: only a card."""
    return card, gr.Column(visible=False), None, None, None


def shown(
    loaded: LoadedModel, song: Path, limits: Limits, name: str, *, example: bool = False
) -> tuple[Any, ...]:
    """The outputs of the page: the prediction for a song, or why there is none."""
    classifier = loaded.classifier
    try:
        prediction = classifier.classify(
            song,
            top=TOP,
            timeline=True,
            tags=TAGS if classifier.predicts_tags else 0,
            max_seconds=60.0 * limits.minutes,
        )
        drawn = figure(prediction, song, FIGURE_INCHES, FIGURE_DPI)
    except AudioError as error:
        return only(cards.refusal(name, str(error)))
    except Exception as error:
        return only(cards.refusal(name, f"met an error: {as_error(error)}"))
    note, player = REMOVED, ""
    if example:
        source = f"/gradio_api/file={quote(str(song))}"
        player = f'<audio controls preload="metadata" src="{source}" aria-label="The song"></audio>'
        note = MADE
    card = cards.predicted(name, prediction, loaded.title, note=note, player=player)
    top = {choice.genre: choice.probability for choice in prediction.top}
    return card, gr.Column(visible=True), top, drawn, cards.table(prediction)


def _title(song: Path) -> str:
    return f"{song.stem.replace('-', ' ').capitalize()} ({song.parent.name})"


def _caption(text: str) -> str:
    return f'<p class="caption">{text}</p>'


def _recording(limits: Limits) -> str:
    """The greatest length of a recording within the limits, at which `SCRIPT` stops it."""
    seconds = min(60 * limits.minutes, limits.megabytes * 2**20 // RECORDED)
    length = f"{seconds // 60}\u00a0minutes" if seconds >= 120 else f"{seconds}\u00a0seconds"
    return (
        f'<p id="recording" class="caption" data-seconds="{seconds}">A recording ends by itself '
        f"after {length}.</p>"
    )


def discard(song: Path, uploads: Path) -> None:
    """Remove an uploaded song and its folder."""
    if uploads not in song.parents:
        return
    song.unlink(missing_ok=True)
    if song.parent != uploads:
        shutil.rmtree(song.parent, ignore_errors=True)
