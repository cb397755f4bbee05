"""A band plays one song: from a `Style` and a random generator to one track a player.

A track is float32, shape=(n,), mono at `SAMPLE_RATE`, its level normalised to 1 (root mean
square). Each different note is rendered once and copied wherever it is played.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genre.audio import SAMPLE_RATE
from genre.demo.drums import hit
from genre.demo.instruments import INSTRUMENTS, Samples
from genre.demo.styles import SCALES, Part, Style

CONCERT_A = 440.0  # Hz, MIDI note 69
STEPS_A_BEAT = 4
SECTION_BARS = 4
LEAD_RANGE = 17  # semitones
ROOTS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "9": (0, 4, 10, 14),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "5": (0, 7, 12),
}
MINOR = ("m", "m7", "5")
VELOCITIES = {"X": 1.0, "x": 0.75, "o": 0.35}


@dataclass(frozen=True)
class Chord:
    """A chord: `root` is a pitch class, `intervals` semitones above it."""

    root: int
    intervals: tuple[int, ...]

    def voiced(self, low: int) -> list[int]:
        """The chord's MIDI notes, each as near above `low` as can be."""
        if self.intervals == QUALITIES["5"]:
            first = low + (self.root - low) % 12
            return [first + interval for interval in self.intervals]
        return sorted(low + (self.root + interval - low) % 12 for interval in self.intervals)


def parse_progression(text: str, key: int) -> list[list[Chord]]:
    """The chords of each bar of `text`, moved up by `key` semitones."""
    bars = []
    for bar in text.split("|"):
        chords = []
        for name in bar.split():
            match = re.fullmatch(r"([A-G])([b#]?)(.*)", name)
            if match is None or match[3] not in QUALITIES:
                raise ValueError(f"the demo band does not know the chord {name!r}")
            root = ROOTS[match[1]] + {"": 0, "b": -1, "#": 1}[match[2]]
            chords.append(Chord((root + key) % 12, QUALITIES[match[3]]))
        bars.append(chords)
    return bars


def _notes(pattern: str, steps: int) -> list[tuple[int, int, str]]:
    """Each note of one bar as (step, length in steps, symbol); the pattern fills the bar."""
    bar = [pattern[step % len(pattern)] for step in range(steps)]
    found = []
    for step, symbol in enumerate(bar):
        if symbol in ".=":
            continue
        length = 1
        while step + length < steps and bar[step + length] == "=":
            length += 1
        found.append((step, length, symbol))
    return found


class Song:
    """One song while it is played: its clock, its chords and its tracks."""

    def __init__(
        self, style: Style, rng: np.random.Generator, *, seconds: float, tempo: float, tuning: float
    ) -> None:
        """`tempo` in quarter notes a minute, `tuning` in cents."""
        self.style, self.rng, self.tuning = style, rng, tuning
        self.n = int(seconds * SAMPLE_RATE)
        self.steps = STEPS_A_BEAT * int(rng.choice(style.metres))
        self.step_seconds = 60 / tempo / STEPS_A_BEAT
        self.bars = int(np.ceil(seconds / (self.steps * self.step_seconds)))
        self.key = int(rng.integers(12))
        text = str(rng.choice(style.progressions))
        self.progression = parse_progression(text, self.key)
        minor = self.progression[0][0].intervals in [QUALITIES[name] for name in MINOR]
        fitting = [name for name in style.scales if (3 in SCALES[name]) == minor]
        scale = SCALES[str(rng.choice(fitting or list(style.scales)))]
        self.scale = {(self.progression[0][0].root + degree) % 12 for degree in scale}
        self._rendered: dict[tuple[str, int, int, int], Samples] = {}

    def chord(self, bar: int, step: int) -> Chord:
        """The chord that sounds at `step` of `bar`."""
        chords = self.progression[bar % len(self.progression)]
        return chords[min(step * len(chords) // self.steps, len(chords) - 1)]

    def start(self, bar: int, step: int) -> int:
        """The sample at which `step` of `bar` falls, swung and a little loose."""
        pair = 2 * self.style.swung
        base, within = divmod(step, pair)
        half = pair / 2
        if within <= half:
            place = within * 2 * self.style.swing
        else:
            place = pair * (self.style.swing + (within - half) / half * (1 - self.style.swing))
        time = (bar * self.steps + base * pair + place) * self.step_seconds
        return max(int((time + self.rng.normal(0, self.style.loose)) * SAMPLE_RATE), 0)

    def note(self, instrument: str, midi: int, length: int, variant: int) -> Samples:
        """A note of `length` steps, rendered once."""
        key = (instrument, midi, length, variant)
        if key not in self._rendered:
            frequency = CONCERT_A * 2 ** ((midi - 69 + self.tuning / 100) / 12)
            seconds = length * self.step_seconds * 0.96
            self._rendered[key] = INSTRUMENTS[instrument](frequency, seconds, variant)
        return self._rendered[key]

    def place(self, track: Samples, sound: Samples, start: int, velocity: float) -> None:
        """Add `sound` to `track` at sample `start`; what does not fit is cut."""
        stop = min(start + len(sound), self.n)
        if start < stop:
            track[start:stop] += np.float32(velocity) * sound[: stop - start]

    def touch(self, symbol: str) -> float:
        """How hard a note is played."""
        return VELOCITIES.get(symbol, 0.75) * float(self.rng.uniform(0.8, 1.1))

    def drums(self) -> Samples:
        """The drummer's track: one pattern a song, with a fill or a crash between sections."""
        track = np.zeros(self.n, dtype=np.float32)
        kit = str(self.rng.choice(self.style.kits))
        pattern = self.style.drums[self.rng.integers(len(self.style.drums))]
        fill = "o.o.x.xx" if {"snare", "kick"} & set(pattern) else ""
        for bar in range(self.bars):
            last = bar % SECTION_BARS == SECTION_BARS - 1
            for drum, text in pattern.items():
                for step, _, symbol in _notes(text, self.steps):
                    sound = hit(kit, drum, int(self.rng.integers(4)))
                    self.place(track, sound, self.start(bar, step), self.touch(symbol))
            if last and fill and self.rng.random() < 0.6:
                for step, _, symbol in _notes(fill, self.steps // 2):
                    sound = hit(kit, "tom" if self.rng.random() < 0.5 else "snare", step % 4)
                    beat = self.steps - self.steps // 2 + step
                    self.place(track, sound, self.start(bar, beat), 0.8 * self.touch(symbol))
        return track

    def bass(self, part: Part, instrument: str) -> Samples:
        """The bass player's track."""
        pattern = str(self.rng.choice(part.patterns))

        def pitches(symbol: str, chord: Chord, bar: int) -> list[int]:
            root = part.low + (chord.root - part.low) % 12
            upper = chord.intervals
            following = self.chord(bar + 1, 0).root
            above = {
                "3": upper[1],
                "5": 7,
                "7": upper[-1],
                "8": 12,
                "w": (following - root + 6) % 12 - 6 + 1,
            }
            return [root + above.get(symbol, 0)]

        return self._accompany(instrument, pattern, pitches)

    def chords(self, part: Part, instrument: str) -> Samples:
        """The track of a player of chords."""
        pattern = str(self.rng.choice(part.patterns))

        def pitches(symbol: str, chord: Chord, _: int) -> list[int]:
            voices = chord.voiced(part.low)
            if symbol.isdigit():
                octave, voice = divmod(int(symbol), len(voices))
                return [voices[voice] + 12 * octave]
            return voices

        return self._accompany(instrument, pattern, pitches)

    def _accompany(
        self, instrument: str, pattern: str, pitches: Callable[[str, Chord, int], list[int]]
    ) -> Samples:
        track = np.zeros(self.n, dtype=np.float32)
        for bar in range(self.bars):
            for step, length, symbol in _notes(pattern, self.steps):
                velocity = self.touch(symbol)
                for midi in pitches(symbol, self.chord(bar, step), bar):
                    sound = self.note(instrument, midi, length, (bar + step) % 2)
                    self.place(track, sound, self.start(bar, step), velocity)
        return track

    def lead(self, part: Part, instrument: str) -> Samples:
        """The melody: a motif of two bars a section, chord tones on the beats."""
        track = np.zeros(self.n, dtype=np.float32)
        allowed = [m for m in range(part.low, part.low + LEAD_RANGE) if m % 12 in self.scale]
        at = len(allowed) // 2
        motif: list[tuple[list[tuple[int, int, str]], list[int]]] = []
        plays = True
        for bar in range(self.bars):
            if bar % SECTION_BARS == 0:
                plays = bool(self.rng.random() < self.style.lead_share)
                motif = []
                for rhythm in self.rng.choice(self.style.lead_rhythms, 2):
                    notes = _notes(str(rhythm), self.steps)
                    motif.append((notes, self.rng.integers(-2, 3, len(notes)).tolist()))
            if not plays:
                continue
            notes, moves = motif[bar % 2]
            for (step, length, symbol), move in zip(notes, moves, strict=True):
                at = min(max(at + move, 0), len(allowed) - 1)
                midi = allowed[at]
                if step % STEPS_A_BEAT == 0:
                    chord = self.chord(bar, step)
                    tones = {(chord.root + interval) % 12 for interval in chord.intervals}
                    midi = min(
                        (m for m in range(midi - 6, midi + 7) if m % 12 in tones),
                        key=lambda m: (abs(m - midi), m),
                    )
                variant = int(self.rng.integers(4))
                sound = self.note(instrument, midi, length, variant)
                self.place(track, sound, self.start(bar, step), self.touch(symbol))
        return track
