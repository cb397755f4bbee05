"""Bands that mostly play by hand; the notation is explained in `genre.demo.styles`."""

from __future__ import annotations

from genre.demo.styles import Part, Sound, Style

_BLUES_12 = "C7 | F7 | C7 | C7 | F7 | F7 | C7 | C7 | G7 | F7 | C7 | G7"
_WALK = ("1===3===5===w===", "1===5===7===w===", "1===3===5===7===")

ROOTS: dict[str, Style] = {
    "blues": Style(
        tempo=(66, 118),
        swing=0.66,
        loose=0.012,
        drum_gain=-7,
        kits=("studio",),
        drums=(
            {"kick": "X.......x.......", "snare": "....X.......X...", "hat": "x...x.x.x...x.x."},
            {"kick": "X.....x.x.......", "snare": "....X.......X.o.", "ride": "x...x.x.x...x.x."},
        ),
        bass=Part(("electric bass", "double bass"), ("1===1=3=5===5=3=", *_WALK), 28, -7),
        chords=Part(
            ("electric guitar", "acoustic guitar", "piano"),
            ("x=..x=x=x=..x=x=", "..x=....x=x=....", "x==.x==.x==.x==."),
            50,
            -10,
            drive=0.8,
        ),
        pad=Part(("organ",), ("x===============",), 55, -22),
        lead=Part(("harmonica", "electric guitar", "singer"), (), 60, -7, drive=1.2),
        lead_share=0.75,
        lead_rhythms=("..x=x=x===x=....", "x=====x=x=x=....", "....x=x=x=x====="),
        progressions=(_BLUES_12, _BLUES_12.replace("C7 | F7 | C7 | C7", "C7 | C7 | C7 | C7", 1)),
        scales=("blues",),
        sound=Sound(loudness=-19, press=1.2, room=0.8, wet=0.14, hiss=-60, tilt=-0.1),
    ),
    "classical": Style(
        tempo=(60, 132),
        loose=0.014,
        swell=6.0,
        drum_gain=-22,
        metres=(4, 3),
        kits=("brushes",),
        drums=({}, {}, {"tom": "o...............", "crash": "................"}),
        bass=Part(("cello", "double bass"), ("1===============", "1=======5======="), 36, -9),
        chords=Part(
            ("strings", "piano", "harpsichord", "nylon guitar"),
            ("0=2=1=2=0=2=1=2=", "x=======x=======", "0=1=2=3=2=1=2=1="),
            55,
            -9,
        ),
        pad=Part(("strings",), ("x===============",), 50, -15),
        lead=Part(("violin", "flute", "clarinet", "piano"), (), 67, -7),
        lead_share=0.85,
        progressions=(
            "C | G | Am | F | C | F | G | C",
            "Am | Dm | E | Am | F | C | E | Am",
            "C | Dm | G7 | C | Am | Dm | G7 | C",
        ),
        scales=("major", "minor"),
        sound=Sound(loudness=-24, press=0.7, room=2.2, wet=0.34, hiss=-68, tilt=-1.0),
    ),
    "country": Style(
        tempo=(92, 148),
        swing=0.54,
        loose=0.009,
        drum_gain=-9,
        metres=(4, 4, 4, 3),
        kits=("studio", "brushes"),
        drums=(
            {"kick": "X.......X.......", "snare": "o.o.X.o.o.o.X.oo"},
            {"kick": "X.......X.......", "rim": "....X.......X...", "shaker": "x.xxx.xxx.xxx.xx"},
            {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "x.o.x.o.x.o.x.o."},
        ),
        bass=Part(
            ("electric bass", "double bass"), ("1===....5===....", "1===..1=5===..w="), 28, -8
        ),
        chords=Part(
            ("acoustic guitar", "banjo", "acoustic guitar"),
            ("....x=......x=..", "0=..x=x=0=..x=x=", "0=2=1=2=3=2=1=2="),
            52,
            -8,
        ),
        pad=Part(("steel guitar",), ("....x=======....", "x======="), 60, -15),
        lead=Part(("singer", "violin", "steel guitar", "banjo"), (), 62, -7),
        progressions=("C | C | F | C | C | C | G | C", "C | F | C | G | C | F | G | C"),
        scales=("major pentatonic", "major"),
        sound=Sound(loudness=-18, press=1.3, room=0.7, wet=0.12, hiss=-62, tilt=0.2),
    ),
    "jazz": Style(
        tempo=(112, 208),
        swing=0.64,
        loose=0.010,
        swell=2.0,
        drum_gain=-11,
        metres=(4, 4, 4, 3),
        kits=("jazz", "brushes"),
        drums=(
            {"ride": "x...x.x.x...x.x.", "hat": "....x.......x...", "snare": "......o.......o."},
            {"brush": "x...x.o.x...x.o.", "hat": "....x.......x...", "kick": "o......."},
            {"ride": "x...x.x.x...x.x.", "kick": "x.....o...o.....", "snare": "....o...o.....o."},
        ),
        bass=Part(("double bass", "double bass", "electric bass"), _WALK, 28, -7),
        chords=Part(
            ("piano", "nylon guitar", "electric piano"),
            ("..x=......x=....", "x=....x===......", "x.......x..x=..."),
            53,
            -11,
        ),
        lead=Part(("saxophone", "clarinet", "brass", "piano"), (), 60, -7),
        lead_share=0.85,
        lead_rhythms=(
            "x=x=x=x=x===..x=",
            "..x=x=x=x=====..",
            "x=x=x=x=x=x=x=x=",
            "x===..x=x=x=x===",
        ),
        progressions=(
            "Dm7 | G7 | Cmaj7 | A7 | Dm7 | G7 | Em7 | A7",
            "Cmaj7 Am7 | Dm7 G7 | Em7 A7 | Dm7 G7",
            "Fm7 | Bb7 | Ebmaj7 | Ab7 | Dm7 | G7 | Cmaj7 | C9",
        ),
        scales=("dorian", "major", "blues"),
        sound=Sound(loudness=-21, press=0.9, room=0.9, wet=0.16, hiss=-60, tilt=-1.1),
    ),
    "reggae": Style(
        tempo=(66, 96),
        swing=0.57,
        swung=1,
        loose=0.007,
        kits=("dub", "studio"),
        drums=(
            {"kick": "........X.......", "rim": "........X.......", "hat": "x.o.x.o.x.o.x.oo"},
            {"kick": "X.......X.......", "rim": "....x.......x..x", "hat": "o.x.o.x.o.x.o.x."},
            {"kick": "x...x...X...x...", "snare": "........X.......", "hat": "x.x.x.xxx.x.x.x."},
        ),
        bass=Part(
            ("electric bass", "sub bass"),
            ("..1=1=..3=5=..1=", "1===..1=5==.3=1.", "....1=3=5===...."),
            26,
            -3,
        ),
        chords=Part(
            ("muted guitar", "piano", "electric guitar"),
            ("....x.......x...", "....x.x.....x.x.", "..x...x...x...x."),
            57,
            -8,
        ),
        pad=Part(("warm organ", "organ"), ("..x.x.x...x.x.x.", "....x=..x...x=.."), 57, -13),
        lead=Part(("singer", "saxophone", "electric guitar", "warm organ"), (), 60, -9, echo=0.45),
        lead_share=0.65,
        lead_rhythms=("..x=x===..x=....", "x===x=x=........", "....x=x=x=====.."),
        progressions=("Am | Dm | Am | G", "C | F | C | G", "Dm7 | C | Dm7 | Am7"),
        scales=("minor pentatonic", "major pentatonic"),
        sound=Sound(loudness=-18, press=1.3, room=1.1, wet=0.16, hiss=-60, tilt=-0.9),
    ),
}
