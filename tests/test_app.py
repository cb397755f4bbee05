"""The page, in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_server import (
    MEGABYTES,
    MINUTES,
    Server,
    brightness,
    chromium,
    drop,
    give,
    opened,
    running,
    write_bad,
)
from playwright.sync_api import Browser, Page, expect
from registry_project import make_project

from genre.classifier import Classifier, Prediction
from genre.collection import demo
from tasks import register

DESKTOP, PHONE = (1280, 900), (390, 844)
READABLE = 4.5  # times brighter or darker than what is behind: WCAG 2.2, level AA
EXAMPLE = "Silver candle (reggae)"
GENRE = "#genres .output-class"
expect.set_options(timeout=30_000)  # ms; the machine may be busy


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion is a tiny network made by hand."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
            patch.delenv(variable, raising=False)
        made = make_project(tmp_path_factory.mktemp("app") / "project")
        register.run(made.params, made.root)
    return made.root


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(
    browser: Browser, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    del browser  # without one, nothing is served
    log = tmp_path_factory.mktemp("log") / "stderr"
    with running(project, tmp_path_factory.mktemp("scratch"), log) as started:
        yield started


@pytest.fixture
def page(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened at the size and in the scheme of the test's parameters."""
    size, scheme = getattr(request, "param", (DESKTOP, "light"))
    with opened(server, browser, size, scheme) as page:
        expect(page.get_by_role("button", name=EXAMPLE)).to_be_visible(timeout=60_000)
        yield page


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo song."""
    folder = tmp_path_factory.mktemp("songs")
    demo.write_songs(folder, seed=5, songs_per_genre=1, genres=["reggae"], workers=1)
    return next((folder / "reggae").iterdir())


@pytest.fixture(scope="module")
def prediction(project: Path, song: Path) -> Prediction:
    """What the champion predicts for it without the page."""
    return Classifier.from_folder(project / "classifier").classify(song, top=5, timeline=True)


@pytest.mark.slow
def test_a_song_gets_its_genres_a_timeline_and_the_model(
    page: Page, song: Path, prediction: Prediction
) -> None:
    give(page, song)

    expect(page.locator(GENRE)).to_have_text(prediction.genre)
    rows = [row.split("\n") for row in page.locator("#genres .confidence-set").all_inner_texts()]
    assert rows == [[one.genre, f"{100 * one.probability:.0f}%"] for one in prediction.top]
    assert song.name in page.locator("#prediction").inner_text()
    picture = page.locator("#timeline img")
    assert picture.evaluate("image => image.naturalWidth") > 1000
    assert prediction.timeline is not None
    page.get_by_text("As a table").click()
    first = page.locator("#table td:last-of-type").first
    moment = prediction.timeline[0]
    genre = max(moment.probabilities, key=moment.probabilities.__getitem__)
    expect(first).to_contain_text(f"{genre} {100 * moment.probabilities[genre]:.0f} %")
    model = page.locator("#about").inner_text()
    assert "music-genre" in model
    assert "Version\n1\n" in model
    assert "song: segments of a song" in model
    assert re.search(
        r"\d+\.\d\s% of the test songs \(95\s% interval \d+\.\d\u2060–\u2060\d+\.\d\s%\)", model
    )
    assert "music-genre version 1" in page.locator("#prediction").inner_text()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bad(tmp_path_factory.mktemp("bad"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("garbage.mp3", "is not audio in any known format."),
        ("notes.txt", "is not audio in any known format."),
        ("empty.wav", "is empty (0 bytes)."),
        ("silence.wav", "is silent from beginning to end."),
        ("long.flac", "is 4 min long, longer than the 2 min that are analysed at most"),
        ("<img src=x onerror=alert(1)>.mp3", "is not audio in any known format."),
    ],
)
def test_why_a_song_has_no_prediction_is_shown(
    page: Page, bad: Path, name: str, reason: str
) -> None:
    give(page, bad / name)

    message = page.get_by_role("alert").filter(has_text="No prediction")
    expect(message).to_contain_text(f"“{name}”")
    expect(message).to_contain_text(reason)
    assert message.locator("img").count() == 0


@pytest.mark.slow
def test_a_file_beyond_the_limit_is_refused_and_the_limits_are_named(
    server: Server, page: Page, tmp_path: Path
) -> None:
    expect(page.locator("#song")).to_contain_text(f"up to {MEGABYTES} MB and {MINUTES} minutes")
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(MEGABYTES * 2**20 + 1))

    give(page, large)

    error = page.locator(".toast-body")
    expect(error).to_contain_text('exceed the maximum allowed size of 4.0 Mb: "large.wav"')

    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    sent = urllib.request.Request(
        f"{server.url}/gradio_api/upload",
        data=body + large.read_bytes() + b"\r\n--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(sent)
    assert server.left() == []


@pytest.mark.slow
def test_a_song_may_be_dropped_and_a_large_one_is_refused(
    page: Page, song: Path, prediction: Prediction, tmp_path: Path
) -> None:
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(MEGABYTES * 2**20 + 1))

    drop(page, large)
    expect(page.locator(".toast-body")).to_contain_text("exceed the maximum allowed size of 4.0 Mb")
    page.locator("#file").get_by_label("Clear").click()
    drop(page, song)

    expect(page.locator(GENRE)).to_have_text(prediction.genre)


@pytest.mark.slow
def test_a_recording_gets_its_genres(page: Page) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop", exact=True).click()

    expect(page.locator("#prediction")).to_contain_text("Your recording")
    expect(page.locator(GENRE)).to_be_visible()


@pytest.mark.slow
def test_a_recording_ends_before_it_is_too_large(page: Page) -> None:
    expect(page.locator("#song")).to_contain_text("A recording ends by itself after 10 seconds.")

    page.get_by_role("button", name="Record", exact=True).click()

    expect(page.locator(GENRE)).to_be_visible(timeout=60_000)
    expect(page.locator("#prediction")).to_contain_text("Your recording")


@pytest.mark.slow
def test_an_example_is_chosen_by_keyboard_called_synthetic_and_played(page: Page) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == EXAMPLE:
            break
    page.keyboard.press("Enter")

    expect(page.locator(GENRE)).to_be_visible()
    expect(page.locator("#prediction")).to_contain_text("The song is synthetic.")
    expect(page.locator("#song")).to_contain_text("Synthetic: demo songs")
    page.locator(".card audio").evaluate("audio => audio.play()")
    page.wait_for_function("document.querySelector('.card audio').currentTime > 0")


@pytest.mark.slow
@pytest.mark.parametrize("page", [(PHONE, "light"), (PHONE, "dark")], indirect=True)
def test_a_phone_never_scrolls_sideways(page: Page, song: Path, tmp_path: Path) -> None:
    copy = shutil.copy(song, tmp_path / f"{'a-very-long-name-' * 9}{song.suffix}")

    give(page, Path(copy))

    expect(page.locator(GENRE)).to_be_visible()
    expect(page.locator(GENRE)).to_be_in_viewport()
    page.get_by_text("As a table").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    outside = "e => e.getBoundingClientRect().right > innerWidth"
    assert not page.evaluate(f"[...document.querySelectorAll('#columns *')].some({outside})")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [(DESKTOP, "light"), (DESKTOP, "dark")], indirect=True, ids=["light", "dark"]
)
def test_text_is_readable_in_light_and_dark(page: Page) -> None:
    page.get_by_role("button", name=EXAMPLE).click()
    expect(page.locator(GENRE)).to_be_visible()

    behind = {
        name: brightness(
            page.locator(where).first.evaluate("e => getComputedStyle(e).backgroundColor")
        )
        for name, where in {"page": "body", "card": ".card"}.items()
    }

    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert all((luminance < 0.1) == dark for luminance in behind.values())
    for where, on in {
        "h1": "page",
        "#introduction p": "page",
        "#song .caption": "page",
        GENRE: "card",
        "#genres .confidence": "card",
        ".card .caption": "card",
        ".card dt": "card",
    }.items():
        colour = page.locator(where).first.evaluate("e => getComputedStyle(e).color")
        low, high = sorted([brightness(colour), behind[on]])
        assert (high + 0.05) / (low + 0.05) >= READABLE, where


@pytest.mark.slow
def test_other_sites_and_names_are_refused(server: Server) -> None:
    with urllib.request.urlopen(server.url) as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy

    asked = urllib.request.Request(server.url, headers={"Host": "example.org"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(asked)


@pytest.mark.slow
def test_no_song_is_kept_and_nothing_at_all_once_the_server_ended(
    server: Server, page: Page, song: Path, bad: Path
) -> None:
    give(page, song)
    expect(page.locator(GENRE)).to_be_visible()
    give(page, bad / "garbage.mp3")
    expect(page.locator("#prediction .refusal")).to_be_visible()
    expect(page.get_by_test_id("upload-text")).to_be_visible()  # cleared: all was handed over

    assert server.left() == []

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 128 + signal.SIGTERM
    assert list(server.scratch.iterdir()) == []
