"""Bands that live by amplifiers and machines; the notation is in `genre.demo.styles`."""

from __future__ import annotations

from genre.demo.styles import Part, Sound, Style

_BACKBEAT = {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "x.o.x.o.x.o.x.o."}

AMPLIFIED: dict[str, Style] = {
    "disco": Style(
        tempo=(108, 130),
        loose=0.003,
        kits=("machine", "studio"),
        drums=(
            {
                "kick": "X...X...X...X...",
                "open": "..x...x...x...x.",
                "clap": "....x.......x...",
                "hat": "x..xx..xx..xx..x",
            },
            {"kick": "X...X...X...X...", "snare": "....X.......X...", "open": "..X...X...X...X."},
        ),
        bass=Part(
            ("electric bass", "synth bass"), ("1.8.1.8.1.8.1.8.", "1..81.8.1..85.8."), 29, -6
        ),
        chords=Part(
            ("muted guitar", "electric piano", "strings"),
            ("..x.x.xx..x.x.xx", "x..x..x.x..x..x.", "....x==.....x==."),
            57,
            -10,
        ),
        pad=Part(("strings",), ("x===============",), 64, -14),
        lead=Part(("singer", "brass", "strings", "synth lead"), (), 65, -8),
        progressions=("Am7 | Dm7 | G7 | Cmaj7", "Dm7 | G7 | Dm7 | G7", "Am | F | Dm | E7"),
        scales=("dorian", "minor"),
        sound=Sound(loudness=-16, press=1.8, room=1.0, wet=0.14, hiss=-70, tilt=0.4),
    ),
    "hiphop": Style(
        tempo=(78, 104),
        swing=0.58,
        swung=1,
        loose=0.006,
        kits=("boom", "machine"),
        drums=(
            {"kick": "X..x..x...X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.....x.x.x.....", "snare": "....X.......X..o", "hat": "xxx.x.xxx.x.xxxx"},
            {"kick": "X.........X..x..", "clap": "....X.......X...", "hat": "x.x.xxx.x.x.x.xx"},
        ),
        bass=Part(("sub bass", "synth bass"), ("1==1..1...1=....", "1=====..1=1=...."), 26, -4),
        chords=Part(
            ("electric piano", "piano", "strings", "bell"),
            ("x=====..x===....", "x==x==......x===", "0=1=2=..0=1=3=.."),
            57,
            -14,
        ),
        lead=Part(("rapper",), (), 48, -6),
        lead_share=0.9,
        lead_rhythms=("x.xxx.x.xxx.x.x.", "x.x.xxx.x.xxx...", "..xxx.xxx.x.x.x."),
        progressions=("Am | Am | Dm | Am", "Am7 | F", "Cm | Ab | Cm | G"),
        scales=("minor pentatonic",),
        sound=Sound(loudness=-15, press=2.0, room=0.4, wet=0.06, hiss=-54, tilt=-0.5, crackle=6),
    ),
    "metal": Style(
        tempo=(112, 184),
        loose=0.004,
        drum_gain=-8,
        kits=("metal", "arena"),
        drums=(
            {"kick": "x.xxx.xxx.xxx.xx", "snare": "....X.......X...", "crash": "x...x...x...x..."},
            {"kick": "xxxxxxxxxxxxxxxx", "snare": "........X.......", "ride": "x...x...x...x..."},
            {"kick": "X.x...x.X.x...x.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        bass=Part(
            ("picked bass",),
            ("1.111.111.111.11", "1111111111111111", "1===..1.1===3=1="),
            28,
            -9,
            drive=3.0,
        ),
        chords=Part(
            ("palm mute", "saw guitar"),
            ("x.xxx.xxX=====xx", "X===xxxxX===xxxx", "xxxxxxxxxxxxX==="),
            40,
            -4,
            drive=12.0,
        ),
        pad=Part(("saw guitar",), ("x===============", "x=======x======="), 40, -12, drive=7.0),
        lead=Part(("saw guitar", "rapper"), (), 64, -9, drive=4.0),
        lead_share=0.5,
        lead_rhythms=(
            "x=x=x=x=x=x=x=x=",
            "xxxxxxxxxxxxxxxx",
            "x=======x=======",
            "x===x=x=x===x===",
        ),
        progressions=(
            "C5 | C5 | Db5 | C5",
            "C5 | Ab5 | Bb5 | C5",
            "C5 Eb5 | C5 F#5 | C5 Eb5 | Db5",
        ),
        scales=("phrygian", "minor"),
        sound=Sound(loudness=-12, press=2.8, room=0.5, wet=0.07, hiss=-58, tilt=0.8),
    ),
    "pop": Style(
        tempo=(92, 128),
        loose=0.004,
        kits=("studio", "machine"),
        drums=(
            {**_BACKBEAT, "tambourine": "....o.......o..."},
            {"kick": "X...X...X...X...", "clap": "....X.......X...", "hat": "..x...x...x...x."},
            {"kick": "X..x..X...x.....", "snare": "....X.......X...", "shaker": "xxxxxxxxxxxxxxxx"},
        ),
        bass=Part(
            ("synth bass", "electric bass"),
            ("1.1.1.1.1.1.1.1.", "1==1==1.1==1==5.", "1=======1===5==="),
            29,
            -7,
        ),
        chords=Part(
            ("piano", "acoustic guitar", "synth lead", "electric piano"),
            ("x===x===x===x===", "x==x==x=x==x==x=", "0=1=2=1=0=1=2=1="),
            57,
            -11,
        ),
        pad=Part(("synth pad",), ("x===============",), 57, -15),
        lead=Part(("singer", "singer", "synth lead", "square lead"), (), 62, -5, echo=0.2),
        lead_share=0.85,
        progressions=("C | G | Am | F", "Am | F | C | G", "C | Am | F | G", "F | G | Em | Am"),
        scales=("major", "major pentatonic"),
        sound=Sound(loudness=-15, press=1.9, room=0.9, wet=0.13, hiss=-72, tilt=0.3),
    ),
    "rock": Style(
        tempo=(102, 152),
        loose=0.007,
        drum_gain=-4,
        kits=("arena", "studio"),
        drums=(
            _BACKBEAT,
            {"kick": "X.x.....X.x.....", "snare": "....X.......X...", "crash": "x...x...x...x..."},
            {"kick": "X.....x.X.x.....", "snare": "....X.......X.o.", "ride": "x.x.x.x.x.x.x.x."},
        ),
        bass=Part(
            ("picked bass", "electric bass"),
            ("1.1.1.1.1.1.1.1.", "1===1.1.5===1.w.", "1=..1=1=..1=1=1="),
            28,
            -8,
            drive=0.6,
        ),
        chords=Part(
            ("electric guitar", "saw guitar"),
            ("x=x=x=x=x=x=x=x=", "x===x.x.x===x.x.", "X=====x=..x=x==="),
            45,
            -8,
            drive=1.6,
        ),
        pad=Part(("organ", "acoustic guitar"), ("x===============", "x===x===x===x==="), 57, -17),
        lead=Part(("singer", "saw guitar", "electric guitar"), (), 62, -7, drive=2.0),
        lead_share=0.7,
        progressions=(
            "C5 | Bb5 | F5 | C5",
            "C | G | F | F",
            "Am | F | C | G",
            "C5 | Eb5 | F5 | C5",
        ),
        scales=("minor pentatonic", "mixolydian", "major pentatonic"),
        sound=Sound(loudness=-16, press=1.5, room=0.8, wet=0.12, hiss=-62, tilt=0.0),
    ),
}
