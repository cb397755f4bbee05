"""What each genre's demo band plays: the tables of `bands`, and who borrows from whom.

A pattern is one bar in steps of a sixteenth note. Drums: `X` accent, `x` hit, `o` soft, `.` rest.
Melody instruments: `x` a note (or the whole chord), `X` an accent, `=` the note goes on, `.` rest,
and a digit plays one voice: in the bass `1` root, `3` third, `5` fifth, `7` last chord tone,
`8` octave, `w` a step towards the next root; in the chords `0` to `3`, the chord tones from below.
Progressions are chord names, bars between `|`, written in C and moved to each song's own key.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}


@dataclass(frozen=True)
class Part:
    """One player: `low` is the lowest MIDI note, `gain` in dB, `drive` that of the amplifier."""

    instruments: tuple[str, ...]
    patterns: tuple[str, ...]
    low: int
    gain: float
    drive: float = 0.0
    echo: float = 0.0  # level of the repeats, 0 to 1


@dataclass(frozen=True)
class Sound:
    """How the genre is mixed."""

    loudness: float  # dBFS, root mean square
    press: float  # how hard the mix is driven into a soft limiter
    room: float  # s, reverberation time
    wet: float  # share of reverberation
    hiss: float  # dBFS of the noise floor
    tilt: float  # dB an octave, around 1 kHz
    crackle: float = 0.0  # clicks a second, as of a worn record


@dataclass(frozen=True)
class Style:
    """The habits of one genre."""

    tempo: tuple[float, float]  # quarter notes a minute
    kits: tuple[str, ...]
    drums: tuple[dict[str, str], ...]
    bass: Part
    chords: Part
    lead: Part
    progressions: tuple[str, ...]
    scales: tuple[str, ...]
    sound: Sound
    pad: Part | None = None
    drum_gain: float = -6.0  # dB
    metres: tuple[int, ...] = (4,)  # quarter notes in a bar; a pattern is cut or repeated to fit
    swing: float = 0.5  # where the off-beat falls: 0.5 straight, 0.67 a triplet
    swung: int = 2  # sixteenths that swing: 2 eighths, 1 sixteenths
    loose: float = 0.006  # s, standard deviation of the timing
    swell: float = 1.0  # dB, depth of slow changes of level
    lead_share: float = 0.7  # share of the sections with the lead
    lead_rhythms: tuple[str, ...] = (
        "x===x=x=x===x===",
        "x==x==x=x=======",
        "x=x=x=x=x===....",
        "....x=x=x=x=x===",
    )


# Whom a band of a genre may borrow a groove, a harmony or an instrument from.
NEIGHBOURS = {
    "blues": ("jazz", "rock", "country"),
    "classical": ("jazz", "pop"),
    "country": ("rock", "blues", "pop"),
    "disco": ("pop", "hiphop", "rock"),
    "hiphop": ("reggae", "disco", "pop"),
    "jazz": ("blues", "classical", "reggae"),
    "metal": ("rock",),
    "pop": ("disco", "rock", "hiphop"),
    "reggae": ("hiphop", "jazz", "pop"),
    "rock": ("metal", "blues", "country", "pop"),
}
