"""One demo song: who plays it, what is borrowed, the notes, the mix, the file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genre.audio import SAMPLE_RATE
from genre.collection.demo import LICENCE, source_of
from genre.collection.demo.sounds import Samples, filtered, hit, note
from genre.collection.demo.styles import STYLES, Part, Sound, Style
from genre.collection.manifest import COLUMNS

SECONDS = (30.5, 36.5)  # length of a song
BAR = 16  # sixteenth notes
MELODY_RANGE = 17  # semitones
LEAD_PLAYS = 0.75  # share of the patterns; the others are rests
VARIANTS = 4  # of each sound of a drum
LOOSE = 0.006  # s, standard deviation of the timing
BORROWING = 0.2  # share of the songs that borrow something
LOANS = ("drums", "bass", "chords", "lead", "harmony")
ARTISTS_DIFFER = Sound(1.5, 2.0, 0.2, 3.5, 2.0, 1.2)  # standard deviations
PANS = {"chords": -0.7, "lead": 0.3}  # -1 left, 1 right
CEILING = 0.97  # highest sample
PITCHES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
CHORDS = {"": (0, 4, 7), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "5": (0, 7, 12)}
CHORDS |= {"m": (0, 3, 7), "m7": (0, 3, 7, 10)}
FORMATS = (  # suffix, FFmpeg's codec, sample rate in Hz, channels
    ("wav", "pcm_s16le", 22_050, "mono"),
    ("mp3", "libmp3lame", 22_050, "mono"),
    ("flac", "flac", 44_100, "stereo"),
    ("ogg", "libopus", 24_000, "stereo"),
    ("wav", "pcm_s16le", 22_050, "stereo"),
    ("flac", "flac", 48_000, "mono"),
    ("opus", "libopus", 24_000, "mono"),
    ("aiff", "pcm_s16be", 22_050, "mono"),
    ("flac", "flac", 22_050, "mono"),
)
SIDES = {"mono": (0,), "stereo": (-1, 1)}
FASTEST = {"libmp3lame": "7", "libopus": "0"}  # compression level
FIRST = ("Borrowed", "Broken", "Distant", "Empty", "Golden", "Last", "Midnight", "Paper", "Silver")
SECOND = ("Avenue", "Bridge", "Candle", "Garden", "Lantern", "Letter", "Mirror", "Rain", "Train")


def _random(*key: object) -> np.random.Generator:
    """A generator that depends on `key` alone."""
    return np.random.default_rng([zlib.crc32(repr(part).encode()) for part in key])


def title_of(genre: str, number: int, seed: int) -> str:
    """The title of song `number` of `genre`; no two songs of a genre share one."""
    titles = [f"{first} {second}" for first in FIRST for second in SECOND]
    again, place = divmod(number, len(titles))
    title = titles[_random("titles", seed, genre).permutation(len(titles))[place]]
    return f"{title} {again + 1}" if again else title


def make_song(folder: Path, genre: str, number: int, seed: int) -> dict[str, str]:
    """Write song `number` of `genre`, counted from 0, to `folder`; return its manifest row."""
    random = _random("song", seed, genre, number)
    style, title = STYLES[genre], title_of(genre, number, seed)
    artist = style.artists[number % len(style.artists)]
    if random.random() < BORROWING:
        lender, loan = STYLES[str(random.choice(style.neighbours))], str(random.choice(LOANS))
        style = style._replace(**{loan: getattr(lender, loan)})
    band = Band(style, _random("artist", seed, artist), random)
    form = FORMATS[(number + 5 * list(STYLES).index(genre)) % len(FORMATS)]
    song = mix(dict(band.tracks()), band.sound, random, layout=form[-1])
    path = f"{genre}/{title.lower().replace(' ', '-')}.{form[0]}"
    write(folder / path, song, form, {"title": title, "artist": artist})
    row = (path, genre, artist, title, LICENCE, source_of(seed))
    return dict(zip(COLUMNS, row, strict=True))


class Band:
    """Plays one song."""

    def __init__(self, style: Style, own: np.random.Generator, random: np.random.Generator) -> None:
        """`own` gives what all songs of the artist have in common, `random` the rest."""
        self.style, self.random = style, random
        self.cents, self.favourite = own.uniform(-35, 35), own.integers(12)
        self.drum_pitch = own.uniform(0.85, 1.15)
        self.sound = Sound(*(style.sound + own.normal(0, ARTISTS_DIFFER)))
        pace = np.clip(own.uniform() + random.uniform(-0.2, 0.2), 0, 1)
        self.step = 15 / (style.tempo[0] + pace * (style.tempo[1] - style.tempo[0]))  # s
        seconds = random.uniform(*SECONDS)
        self.n = int(seconds * SAMPLE_RATE)
        self.bars = int(seconds / (BAR * self.step)) + 1
        self.key = int(random.integers(12))
        scale, progressions = style.harmony
        self.scale = {(self.key + PITCHES.index(name)) % 12 for name in scale.split()}
        self.chords = [parse_chord(name) for name in str(random.choice(progressions)).split()]

    def tracks(self) -> Iterator[tuple[str, Samples]]:
        """Yield each player and its track, float32, shape (n,)."""
        drums = self.style.drums
        words = str(self.random.choice(drums.patterns)).split()
        track = np.zeros(self.n, dtype=np.float32)
        for name, pattern in zip(words[::2], words[1::2], strict=True):
            self._play(track, pattern, partial(self._hit, name))
        yield "drums", _at(track, drums.gain)
        for player in ("bass", "chords", "lead"):
            part: Part = getattr(self.style, player)
            track = np.zeros(self.n, dtype=np.float32)
            pattern = str(self.random.choice(part.patterns))
            self._play(track, pattern, self._notes(part), LEAD_PLAYS if player == "lead" else 1)
            if part.drive:
                track = filtered(np.tanh(np.float32(part.drive) * _at(track, 0)), "lowpass", 4800)
            yield player, _at(track, part.gain)

    def _hit(self, name: str, *_: object) -> list[Samples]:
        drums, variant = self.style.drums, int(self.random.integers(VARIANTS))
        return [hit(name, drums.pitch * self.drum_pitch, drums.ring, variant)]

    def _notes(self, part: Part) -> Callable[[str, int, float], list[Samples]]:
        """A function of a pattern's symbol, the bar and a length in s: the sounds of `part`."""
        choice = self.favourite if self.random.random() < 0.5 else self.random.integers(12)
        instrument = part.instruments[choice % len(part.instruments)]
        melody = [m for m in range(part.low, part.low + MELODY_RANGE) if m % 12 in self.scale]
        at = len(melody) // 2

        def sounds(symbol: str, bar: int, seconds: float) -> list[Samples]:
            nonlocal at
            root, intervals = self.chords[bar % len(self.chords)]
            chord = [part.low + (self.key + root - part.low) % 12 + i for i in intervals]
            if symbol == "m":
                at = min(max(at + int(self.random.integers(-2, 3)), 0), len(melody) - 1)
                chord = [melody[at]]
            elif symbol != "x":
                octave, place = divmod(int(symbol) - 1, len(chord))
                chord = [chord[place] + 12 * octave]
            hertz = [440 * 2 ** ((midi - 69 + self.cents / 100) / 12) for midi in chord]
            return [note(instrument, h, seconds) for h in hertz]

        return sounds

    def _play(
        self,
        track: Samples,
        pattern: str,
        sounds: Callable[[str, int, float], list[Samples]],
        plays: float = 1.0,
    ) -> None:
        """Add a pattern to `track`, over and over, or in a share of 1 - `plays` a rest."""
        swing = self.style.drums.swing
        for bar in range(0, self.bars, len(pattern) // BAR):
            if self.random.random() >= plays:
                continue
            for found in re.finditer(r"[^.=]=*", pattern):
                symbol, length = found[0][0], len(found[0])
                beat, within = divmod(bar * BAR + found.start(), 4)
                swung = 2 * within * swing if within < 2 else 4 - 2 * (4 - within) * (1 - swing)
                for sound in sounds(symbol, bar + found.start() // BAR, length * self.step):
                    seconds = (4 * beat + swung) * self.step + self.random.normal(0, LOOSE)
                    start = max(int(seconds * SAMPLE_RATE), 0)
                    level = {"X": 1.0, "o": 0.35}.get(symbol, 0.75) * self.random.uniform(0.8, 1.1)
                    sound = sound[: max(self.n - start, 0)]
                    track[start : start + len(sound)] += np.float32(level) * sound


def parse_chord(name: str) -> tuple[int, tuple[int, ...]]:
    """The root of a chord as semitones above C, and its notes as semitones above the root."""
    root = name[: 2 if name[1:2] == "b" else 1]
    return PITCHES.index(root), CHORDS[name.removeprefix(root)]


def mix(
    tracks: dict[str, Samples], sound: Sound, random: np.random.Generator, *, layout: str
) -> Samples:
    """Mix the finished song: float32, shape (channels, n)."""
    song = np.zeros((len(SIDES[layout]), len(tracks["lead"])), dtype=np.float32)
    for player, track in tracks.items():
        for channel, side in zip(song, SIDES[layout], strict=True):
            channel += np.float32(1 + side * PANS.get(player, 0)) * track
    echoes = filtered(song, "lowpass", 3500)
    for delay in (0.0297, 0.0371, 0.0611, 0.1313, 0.2713):  # s; they fall by 60 dB in `room`
        n = int(delay * SAMPLE_RATE)
        echoes[:, n:] += _factor(-60 * delay / max(sound.room, 0.2)) * echoes[:, :-n]
    song += _factor(sound.wet) * echoes
    tilt = _factor(sound.tilt)
    song = tilt * song + (1 - tilt) * filtered(song, "lowpass", 1000)
    song = _at(np.tanh(_at(song, sound.press - 12)), sound.loudness)
    song += _factor(sound.hiss) * random.standard_normal(song.shape, dtype=np.float32)
    song *= np.float32(min(1, CEILING / np.abs(song).max()))
    song[:, -SAMPLE_RATE:] *= np.linspace(1, 0.02, SAMPLE_RATE, dtype=np.float32)  # fade out
    return song


def _at(samples: Samples, decibels: float) -> Samples:
    """`samples` at a level (root mean square) of `decibels`; silence stays silent."""
    level = np.float32(np.sqrt(np.mean(np.square(samples))) or 1)
    return samples * (_factor(decibels) / level)


def _factor(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def write(path: Path, song: Samples, form: tuple[str, str, int, str], tags: dict[str, str]) -> None:
    """Encode `song` in a form of `FORMATS`."""
    import av

    _, codec, sample_rate, layout = form
    # Bit-exact: the number of an Ogg stream is random otherwise.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as file:
        options = {"compression_level": FASTEST[codec]} if codec in FASTEST else {}
        stream = file.add_stream(codec, rate=sample_rate, layout=layout, options=options)
        assert isinstance(stream, av.AudioStream)
        file.metadata.update(tags)
        stream.metadata.update(tags)
        frame = av.AudioFrame.from_ndarray(song, format="fltp", layout=layout)
        frame.sample_rate = SAMPLE_RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
