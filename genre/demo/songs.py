"""One demo song from its number: who plays it, what it is called, what it borrows, its file."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from genre.demo import COLUMNS, LICENCE, Order, source_of
from genre.demo.amplified import AMPLIFIED
from genre.demo.band import Song
from genre.demo.roots import ROOTS
from genre.demo.studio import Artist, Format, amplified, decibels, encoded, level, mix
from genre.demo.styles import NEIGHBOURS, Style

BANDS: dict[str, Style] = ROOTS | AMPLIFIED

# Invented people; the genre of each is in its line.
ARTISTS = {
    "blues": ("Delmar Crook", "Odessa Pell", "The Quillon Street Four", "Hattie Vornay"),
    "classical": ("Ansel Thorvik", "Camerata Ilvane", "Liora Sandhelm", "The Ebbing Quartet"),
    "country": ("Wren Haddock", "The Cottonmill Pair", "Josey Tamblin", "Red Alder Union"),
    "disco": ("Velvet Meridian", "Saffi Lumen", "The Orbit Club", "Nova Castellane"),
    "hiphop": ("MC Parallax", "Low Tide Crew", "Yonna Brixt", "DJ Fennel"),
    "jazz": ("The Lindqvane Trio", "Mirela Duskova", "Blue Hour Assembly", "Teddy Marl-Quist"),
    "metal": ("Grauvolt", "Ashen Parliament", "Kettle of Thorns", "Ironwick"),
    "pop": ("Pia Solane", "Neon Orchard", "The Paper Satellites", "Juno Vail"),
    "reggae": ("Winstan Grove", "Harbour Lion Band", "Sister Amaryl", "The Deep Yard"),
    "rock": ("The Rust Cathedrals", "Marlow Vane", "Sixth Gear Society", "Static Prairie"),
}  # fmt: skip
FIRST_WORDS = (
    "Amber Borrowed Broken Cold Copper Distant Easy Empty Faded Golden Hollow Last Little Long",
    "Lost Midnight Morning Northern Open Paper Quiet Restless Second Silver Slow Summer Velvet",
)
SECOND_WORDS = (
    "Avenue Bridge Candle Compass Corner Country Door Engine Garden Harbour Hour Lantern Letter",
    "Mile Mirror Mountain Orchard Parade Promise Rain River Road Room Season Signal Station Train",
)
FORMATS = (
    Format("wav", "WAV", "PCM_16", 22_050, 1),
    Format("mp3", "MP3", "MPEG_LAYER_III", 22_050, 1),
    Format("flac", "FLAC", "PCM_16", 44_100, 2),
    Format("ogg", "OGG", "VORBIS", 22_050, 2),
    Format("wav", "WAV", "PCM_16", 22_050, 2),
    Format("flac", "FLAC", "PCM_16", 22_050, 1),
    Format("opus", "OGG", "OPUS", 24_000, 1),
    Format("wav", "WAV", "PCM_16", 22_050, 1),
    Format("flac", "FLAC", "PCM_16", 48_000, 1),
    Format("aiff", "AIFF", "PCM_16", 22_050, 1),
    Format("ogg", "OGG", "VORBIS", 44_100, 1),
    Format("flac", "FLAC", "PCM_16", 22_050, 2),
)
BORROWING = 0.2  # share of the songs that borrow from a neighbouring genre
MOST_LOANS = 2  # that a song takes
SECONDS = (30.5, 36.5)  # the shortest song and the longest


def _rng(*key: object) -> np.random.Generator:
    """A generator of its own for each key, the same on every run."""
    return np.random.default_rng([zlib.crc32(repr(part).encode()) for part in key])


def artist_of(genre: str, number: int, seed: int) -> Artist:
    """The artist who plays song `number` of `genre`."""
    index = number % len(ARTISTS[genre])
    rng = _rng("artist", seed, genre, index)
    order = _rng("order", seed, genre).permutation(len(ARTISTS[genre]))
    return Artist(
        name=ARTISTS[genre][index],
        tempo=(order[index] + 0.5) / len(order),
        tuning=float(rng.uniform(-35, 35)),
        tilt=float(rng.normal(0, 0.4)),
        cutoff=float(rng.uniform(8000, 11000)),
        room=float(rng.uniform(0.6, 1.6)),
        wet=float(rng.uniform(0.4, 1.8)),
        hiss=float(rng.uniform(-3, 3)),
        loudness=float(rng.normal(0, 1.5)),
        press=float(rng.uniform(0.7, 1.5)),
        drive=float(rng.uniform(0.5, 1.6)),
        width=float(rng.uniform(0.2, 1.0)),
        choice=int(rng.integers(1000)),
    )


def style_of(genre: str, rng: np.random.Generator) -> Style:
    """The habits of `genre` for one song, perhaps with something borrowed from a neighbour."""
    style = BANDS[genre]
    if rng.random() >= BORROWING:
        return style
    lender = BANDS[str(rng.choice(NEIGHBOURS[genre]))]
    slower = max(style.tempo[0], min(lender.tempo[0], style.tempo[1]))
    loans: dict[str, dict[str, Any]] = {
        "groove": {
            "drums": lender.drums,
            "drum_gain": lender.drum_gain,
            "swing": lender.swing,
            "swung": lender.swung,
            "metres": lender.metres,
            "tempo": (slower, max(slower, min(style.tempo[1], lender.tempo[1]))),
        },
        "harmony": {"progressions": lender.progressions, "scales": lender.scales},
        "bass": {"bass": lender.bass},
        "chords": {"chords": lender.chords},
        "lead": {"lead": lender.lead, "lead_rhythms": lender.lead_rhythms},
        "kit": {"kits": lender.kits, "pad": lender.pad},
    }
    names = rng.choice(list(loans), int(rng.integers(1, MOST_LOANS + 1)), replace=False)
    for name in names:
        style = replace(style, **loans[str(name)])
    return style


def title_of(genre: str, number: int, seed: int) -> str:
    """The title of a song; no two songs of a genre share one."""
    pairs = [
        f"{a} {b}" for a in " ".join(FIRST_WORDS).split() for b in " ".join(SECOND_WORDS).split()
    ]
    order = _rng("titles", seed, genre).permutation(len(pairs))
    again = f" {number // len(pairs) + 1}" if number >= len(pairs) else ""
    return pairs[int(order[number % len(pairs)])] + again


def _tempo(style: Style, artist: Artist, rng: np.random.Generator) -> float:
    place = min(max(artist.tempo + rng.uniform(-0.2, 0.2), 0.0), 1.0)
    return style.tempo[0] + place * (style.tempo[1] - style.tempo[0])


def _chosen(instruments: tuple[str, ...], artist: Artist, rng: np.random.Generator) -> str:
    """The artist's own instrument, half of the time or more."""
    own = artist.choice if rng.random() < 0.5 else int(rng.integers(1000))
    return instruments[own % len(instruments)]


def make_song(order: Order) -> dict[str, str]:
    """Play, mix and write one song; its row of the manifest."""
    genre, number, seed = order.genre, order.number, order.seed
    rng = _rng("song", seed, genre, number)
    artist = artist_of(genre, number, seed)
    title = title_of(genre, number, seed)
    style = style_of(genre, rng)
    form = FORMATS[(number + 5 * sorted(BANDS).index(genre)) % len(FORMATS)]

    song = Song(
        style,
        rng,
        seconds=float(rng.uniform(*SECONDS)),
        tempo=_tempo(style, artist, rng),
        tuning=artist.tuning,
    )
    tracks = {"drums": song.drums()}
    loud = level(tracks["drums"])
    if loud:
        tracks["drums"] *= np.float32(decibels(style.drum_gain) / loud)
    instrument = _chosen(style.bass.instruments, artist, rng)
    tracks["bass"] = amplified(song.bass(style.bass, instrument), style.bass, artist.drive)
    for name, part in (("chords", style.chords), ("pad", style.pad)):
        if part is not None:
            instrument = _chosen(part.instruments, artist, rng)
            tracks[name] = amplified(song.chords(part, instrument), part, artist.drive)
    instrument = _chosen(style.lead.instruments, artist, rng)
    tracks["lead"] = amplified(song.lead(style.lead, instrument), style.lead, artist.drive)
    mixed = mix(tracks, style.sound, artist, rng, channels=form.channels, swell=style.swell)

    path = f"{genre}/{title.lower().replace(' ', '-')}.{form.suffix}"
    (order.folder / path).write_bytes(encoded(mixed, form, title=title, artist=artist.name))
    row = (path, genre, artist.name, title, LICENCE, source_of(seed))
    return dict(zip(COLUMNS, row, strict=True))
