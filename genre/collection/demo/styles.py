"""The ten styles of the demo songs, as data.

A pattern is one or more bars of sixteenth notes: `.` is a rest, `=` holds the note before it. In
the patterns of drums, `X` is accented and `o` soft. In those of other parts, a digit is a note of
the chord, counted from its root, `x` the whole chord, and `m` the next note of a melody that
wanders through the scale. Progressions have one chord a bar, written in C major or A minor.
"""

from __future__ import annotations

from typing import NamedTuple


class Drums(NamedTuple):
    """A drum kit and what is played on it: of each drum its name and its pattern."""

    patterns: tuple[str, ...]
    gain: float  # dB
    pitch: float  # factor of the frequencies
    ring: float  # factor of the lengths
    swing: float = 0.5  # where in a beat its second half begins


class Part(NamedTuple):
    """A player's notes, and the instruments to choose from."""

    instruments: tuple[str, ...]
    patterns: tuple[str, ...]
    low: int  # lowest MIDI note
    gain: float  # dB
    drive: float = 0.0  # of the amplifier; 0: clean


class Sound(NamedTuple):
    """How a song is mixed. What is particular to an artist is added to what the genre has."""

    loudness: float  # dBFS, root mean square
    press: float  # dB, how hard the mix is driven into a soft limiter
    room: float  # s, reverberation time
    wet: float  # dB, level of the reverberation
    hiss: float  # dBFS, noise floor
    tilt: float  # dB above 1 kHz, relative to those below


class Style(NamedTuple):
    """The habits of a genre."""

    artists: tuple[str, ...]
    neighbours: tuple[str, ...]  # genres to borrow from
    tempo: tuple[float, float]  # quarter notes a minute
    drums: Drums
    bass: Part
    chords: Part
    lead: Part
    harmony: tuple[str, tuple[str, ...]]  # the scale, in C; chord progressions
    sound: Sound


ROCK = "kick X.......X.x..... snare ....X.......X... hat x.o.x.o.x.o.x.o."
ARENA = "kick X.x.....X.x..... snare ....X.......X... crash x...x...x...x..."
SHUFFLE = "kick X.....x.x....... snare ....X.......X... ride x...x.x.x...x.x."
TRAIN = "kick X.......X....... snare o.o.X.o.o.o.X.oo"
FOUR = "kick X...X...X...X... snare ....X.......X... hat ..X...X...X...X."
CLUB = f"{FOUR} clap ....x.......x... shaker x..xx..xx..xx..x"
BOOM = "kick X..x..x...X..... snare ....X.......X... hat x.x.x.x.x.x.x.x."
TRAP = "kick X.....x.x.x..... snare ....X.......X..o hat xxx.x.xxx.x.xxxx"
SWING = "ride x...x.x.x...x.x. hat ....x.......x... snare ......o.......o."
BOP = "ride x...x.x.x...x.x. kick x.....o...o....."
GALLOP = "kick x.xxx.xxx.xxx.xx snare ....X.......X... crash x...x...x...x..."
BLAST = "kick xxxxxxxxxxxxxxxx snare ........X....... ride x...x...x...x..."
ONE_DROP = "kick ........X....... rim ........X....... hat x.o.x.o.x.o.x.oo"
STEPPERS = "kick x...x...X...x... snare ........X....... hat x.x.x.xxx.x.x.x."
WALK = ("1===2===3===2===", "1===3===4===2===")
SUNG = ("m===m=m=m===m===m==m==m=m=======", "m==m==m=m=======....m=m=m=m=m===")
FAST = ("m=m=m=m=m===..m=..m=m=m=m=====..", "m=m=m=m=m=m=m=m=m===m===m=m=m===")
RAPPED = ("m.mmm.m.mmm.m.m.m.m.mmm.m.mmm...", "..mmm.mmm.m.m.m.")

STYLES = {
    "blues": Style(
        ("Delmar Crook", "Odessa Pell", "The Quillon Street Four", "Hattie Vornay"),
        ("jazz", "rock", "country"), (66, 118), Drums((ROCK, SHUFFLE), -7, 1.0, 0.9, 0.66),
        Part(("bass", "double bass"), ("1===1=2=3===3=2=", *WALK), 28, -7),
        Part(("electric guitar", "piano"), ("x=..x=x=x=..x=x=", "x==.x==.x==.x==."), 50, -10, 0.8),
        Part(("harmonica", "electric guitar", "singer"), ("..m=m=m===m=....", *SUNG), 60, -7, 1.2),
        ("C Eb F Gb G Bb", ("C7 F7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7", "C7 C7 F7 C7")),
        Sound(-19, 1.5, 0.8, -16, -60, 0.0),
    ),
    "classical": Style(
        ("Ansel Thorvik", "Camerata Ilvane", "Liora Sandhelm", "The Ebbing Quartet"),
        ("jazz", "pop"), (60, 132), Drums(("", "tom o..............."), -22, 1.0, 1.0),
        Part(("strings", "double bass"), ("1===============", "1=======3======="), 36, -9),
        Part(("strings", "piano", "guitar"), ("1=3=2=3=1=3=2=3=", "x=======x======="), 55, -9),
        Part(("violin", "flute", "piano"), SUNG, 67, -7),
        ("C D E F G A B", ("C G Am F C F G C", "Am Dm E Am", "C Dm G7 C")),
        Sound(-24, -3, 2.2, -8, -68, -3.0),
    ),
    "country": Style(
        ("Wren Haddock", "The Cottonmill Pair", "Josey Tamblin", "Red Alder Union"),
        ("rock", "blues", "pop"), (92, 148), Drums((ROCK, TRAIN), -9, 1.0, 0.8, 0.54),
        Part(("bass", "double bass"), ("1===....3===....", "1===..1=3===..2="), 28, -8),
        Part(("guitar", "banjo"), ("....x=......x=..", "1=..x=x=1=..x=x="), 52, -8),
        Part(("singer", "violin", "harmonica"), SUNG, 62, -7),
        ("C D E G A", ("C C F C C C G C", "C F C G")),
        Sound(-18, 2, 0.7, -17, -62, 0.5),
    ),
    "disco": Style(
        ("Velvet Meridian", "Saffi Lumen", "The Orbit Club", "Nova Castellane"),
        ("pop", "hiphop", "rock"), (108, 130), Drums((FOUR, CLUB), -6, 0.9, 0.6),
        Part(("bass", "synth bass"), ("1.4.1.4.1.4.1.4.", "1..41.4.1..43.4."), 29, -6),
        Part(("muted guitar", "strings"), ("..x.x.xx..x.x.xx", "....x==.....x==."), 57, -10),
        Part(("singer", "brass", "strings"), SUNG, 65, -8),
        ("C D E F G A B", ("Am7 Dm7 G7 Cmaj7", "Dm7 G7", "Am F Dm E7")),
        Sound(-16, 5, 1.0, -16, -70, 1.5),
    ),
    "hiphop": Style(
        ("MC Parallax", "Low Tide Crew", "Yonna Brixt", "DJ Fennel"),
        ("reggae", "disco", "pop"), (78, 104), Drums((BOOM, TRAP), -6, 0.8, 0.8, 0.54),
        Part(("sub bass", "synth bass"), ("1==1..1...1=....", "1=====..1=1=...."), 26, -4),
        Part(("piano", "strings", "guitar"), ("x=====..x===....", "1=2=3=..1=2=4=.."), 57, -14),
        Part(("rapper",), RAPPED, 48, -6),
        ("C D E G A", ("Am Am Dm Am", "Am7 F")),
        Sound(-15, 6, 0.4, -23, -54, -1.5),
    ),
    "jazz": Style(
        ("The Lindqvane Trio", "Mirela Duskova", "Blue Hour Assembly", "Teddy Marl-Quist"),
        ("blues", "classical", "reggae"), (112, 208), Drums((SWING, BOP), -11, 1.1, 1.2, 0.64),
        Part(("double bass", "bass"), WALK, 28, -7),
        Part(("piano", "guitar"), ("..x=......x=....", "x=....x===......"), 53, -11),
        Part(("saxophone", "flute", "brass", "piano"), FAST, 60, -7),
        ("C D E F G A B", ("Dm7 G7 Cmaj7 A7", "Cmaj7 Am7 Dm7 G7", "Fm7 Bb7 Dm7 G7")),
        Sound(-21, -1, 0.9, -15, -60, -3.0),
    ),
    "metal": Style(
        ("Grauvolt", "Ashen Parliament", "Kettle of Thorns", "Ironwick"),
        ("rock",), (112, 184), Drums((GALLOP, BLAST), -8, 1.2, 1.1),
        Part(("bass",), ("1.111.111.111.11", "1111111111111111"), 28, -9, 3.0),
        Part(("muted guitar", "saw guitar"), ("x.xxx.xxx=====xx", "x===xxxxx===xxxx"), 40, -4, 12),
        Part(("saw guitar", "rapper"), (*FAST, "m=======m======="), 64, -9, 4.0),
        ("C Db Eb F G Ab Bb", ("C5 C5 Db5 C5", "C5 Ab5 Bb5 C5", "C5 Eb5 Db5 Gb5")),
        Sound(-12, 9, 0.5, -22, -58, 2.5),
    ),
    "pop": Style(
        ("Pia Solane", "Neon Orchard", "The Paper Satellites", "Juno Vail"),
        ("disco", "rock", "hiphop"), (92, 128), Drums((ROCK, FOUR, CLUB), -6, 0.9, 0.7),
        Part(("synth bass", "bass"), ("1.1.1.1.1.1.1.1.", "1==1==1.1==1==3."), 29, -7),
        Part(("piano", "guitar", "synth"), ("x===x===x===x===", "1=2=3=2=1=2=3=2="), 57, -11),
        Part(("singer", "synth"), SUNG, 62, -5),
        ("C D E F G A B", ("C G Am F", "Am F C G", "C Am F G")),
        Sound(-15, 5.5, 0.9, -16, -72, 1.0),
    ),
    "reggae": Style(
        ("Winstan Grove", "Harbour Lion Band", "Sister Amaryl", "The Deep Yard"),
        ("hiphop", "jazz", "pop"), (66, 96), Drums((ONE_DROP, STEPPERS), -6, 1.0, 0.8, 0.55),
        Part(("bass", "sub bass"), ("..1=1=..2=3=..1=", "....1=2=3===...."), 26, -3),
        Part(("muted guitar", "piano", "organ"), ("....x.......x...", "..x...x...x...x."), 57, -8),
        Part(("singer", "saxophone", "organ"), ("..m=m===..m=....m===m=m=........",), 60, -9),
        ("C D E G A", ("Am Dm Am G", "C F C G", "Dm7 C Dm7 Am7")),
        Sound(-18, 2.5, 1.1, -15, -60, -2.0),
    ),
    "rock": Style(
        ("The Rust Cathedrals", "Marlow Vane", "Sixth Gear Society", "Static Prairie"),
        ("metal", "blues", "country", "pop"), (102, 152), Drums((ROCK, ARENA), -4, 1.1, 1.3),
        Part(("bass", "synth bass"), ("1.1.1.1.1.1.1.1.", "1===1.1.3===1.2."), 28, -8, 0.6),
        Part(("saw guitar", "muted guitar"), ("x=x=x=x=x=x=x=x=", "x===x.x.x===x.x."), 45, -8, 1.6),
        Part(("singer", "saw guitar"), SUNG, 62, -7, 2.0),
        ("C D E G A", ("C5 Bb5 F5 C5", "C G F F", "Am F C G")),
        Sound(-16, 3.5, 0.8, -17, -62, 0.0),
    ),
}  # fmt: skip
