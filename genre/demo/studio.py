"""Mixing: from the band's tracks to a finished recording, and the file it is kept in.

Mixed audio is float32, shape=(n, channels), at `SAMPLE_RATE`. Files are 16-bit where their format
has a width, and the same song gives the same bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from genre.audio import SAMPLE_RATE
from genre.demo.instruments import Samples, filtered
from genre.demo.styles import Part, Sound

CEILING = 0.97  # highest sample of a finished song
FADE_SECONDS = 1.0  # at the end of a song
REFERENCE = 1000.0  # Hz, where a tilted spectrum keeps its level


@dataclass(frozen=True)
class Format:
    """A kind of file: libsndfile's names, sample rate in Hz, channels."""

    suffix: str
    container: str
    subtype: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Artist:
    """What makes one artist's recordings sound alike and unlike another's."""

    name: str
    tempo: float  # place within the genre's range, 0 to 1
    tuning: float  # cents
    tilt: float  # dB an octave, added to the genre's
    cutoff: float  # Hz above which the recording is dull
    room: float  # factor of the reverberation time
    wet: float  # factor of the share of reverberation
    hiss: float  # dB, added to the genre's noise floor
    loudness: float  # dB, added to the genre's
    press: float  # factor
    drive: float  # factor of every amplifier
    width: float  # of the stereo picture, 0 to 1
    choice: int  # which of the genre's instruments are the artist's own


def level(samples: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float32), dtype=np.float64)))


def decibels(value: float) -> float:
    """The amplitude factor of `value` dB."""
    return float(10.0 ** (value / 20))


def amplified(track: Samples, part: Part, drive: float) -> Samples:
    """A track at its part's level, through its amplifier (driven `drive` times harder) and echo."""
    loud = level(track)
    if loud == 0:
        return track
    track = track / np.float32(loud)
    if part.drive:
        track = np.tanh(np.float32(part.drive * drive) * filtered(track, "highpass", 80.0))
        track = filtered(track, "lowpass", 4800.0)  # the loudspeaker of the amplifier
        track /= np.float32(level(track))
    if part.echo:
        delay = int(0.33 * SAMPLE_RATE)
        repeats = track.copy()
        for number in (1, 2, 3):
            repeats[number * delay :] += part.echo**number * track[: -number * delay]
        track = repeats
    return track * np.float32(decibels(part.gain))


def mix(
    tracks: dict[str, Samples],
    sound: Sound,
    artist: Artist,
    rng: np.random.Generator,
    *,
    channels: int,
    swell: float,
) -> Samples:
    """The finished song, shape=(n, channels); `swell` is the depth of slow changes, in dB."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = len(next(iter(tracks.values())))
    sides = {"chords": -0.7, "pad": 0.7, "lead": 0.15}
    dry = np.zeros((channels, n), dtype=np.float32)
    for name, track in tracks.items():
        angle = np.pi / 4 * (1 + artist.width * sides.get(name, 0.0))
        gains = (np.cos(angle), np.sin(angle)) if channels == 2 else (np.sqrt(0.5),)
        for side, gain in enumerate(gains):
            dry[side] += np.float32(gain) * track
    dry *= _swelling(n, swell, rng)

    seconds = sound.room * artist.room
    size = next_fast_len(n + int(seconds * SAMPLE_RATE), real=True)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(frequencies, 30.0) / REFERENCE)
    colour = 10 ** ((sound.tilt + artist.tilt) * octaves / 20)
    colour /= np.sqrt(1 + (frequencies / artist.cutoff) ** 6)
    colour[frequencies < 25] = 0
    wet = sound.wet * artist.wet
    send = rfft(dry.mean(axis=0), size)
    result = np.empty((n, channels), dtype=np.float32)
    for side in range(channels):
        echo = send * rfft(_room(seconds, rng), size)
        spectrum = (rfft(dry[side], size) + wet * echo) * colour.astype(np.float32)
        result[:, side] = irfft(spectrum, size)[:n]
    return _finished(result, sound, artist, rng)


def _finished(song: Samples, sound: Sound, artist: Artist, rng: np.random.Generator) -> Samples:
    """The song at its loudness, with its limiter, noise floor, crackle and fade."""
    n, channels = song.shape
    press = np.float32(sound.press * artist.press)
    song = np.tanh(song * (press / np.float32(4 * level(song))))
    song *= np.float32(decibels(sound.loudness + artist.loudness) / level(song))
    floor = np.float32(decibels(sound.hiss + artist.hiss))
    song += floor * rng.standard_normal((n, channels), dtype=np.float32)
    clicks = rng.integers(0, n, int(sound.crackle * n / SAMPLE_RATE))
    song[clicks] += rng.normal(0, 12 * floor, (len(clicks), 1)).astype(np.float32)
    peak = float(np.abs(song).max())
    if peak > CEILING:
        song *= np.float32(CEILING / peak)
    fade = int(FADE_SECONDS * SAMPLE_RATE)
    song[-fade:] *= np.linspace(1, 0.02, fade, dtype=np.float32)[:, None]
    return song


def _swelling(n: int, depth: float, rng: np.random.Generator) -> Samples:
    """A slowly changing gain, shape=(n,), within about plus or minus `depth` dB."""
    knots = rng.normal(0, depth / 2, 12)
    curve = np.interp(np.linspace(0, len(knots) - 1, n), np.arange(len(knots)), knots)
    return (10 ** (curve / 20)).astype(np.float32)


def _room(seconds: float, rng: np.random.Generator) -> Samples:
    """The impulse response of a room with a reverberation time of `seconds`, energy 1."""
    t = np.arange(max(int(seconds * SAMPLE_RATE), 2), dtype=np.float32) / SAMPLE_RATE
    noise = rng.standard_normal(len(t), dtype=np.float32) * np.exp(-6.9 / seconds * t)
    noise = filtered(noise.astype(np.float32), "lowpass", 4500.0, 1)
    return noise / np.float32(np.linalg.norm(noise))


def encoded(song: Samples, form: Format, *, title: str, artist: str) -> bytes:
    """The file that holds `song` (mono or stereo at `SAMPLE_RATE`), with its title and artist."""
    import soundfile
    import soxr

    if form.sample_rate != SAMPLE_RATE:
        song = soxr.resample(song, SAMPLE_RATE, form.sample_rate, quality="MQ")
    pcm = (np.clip(song, -1, 1) * 32767).astype(np.int16)
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", form.sample_rate, form.channels, form.subtype, format=form.container
    ) as file:
        file.title, file.artist = title, artist
        file.write(pcm)
    content = buffer.getvalue()
    return _with_fixed_serial(content) if form.container == "OGG" else content


def _with_fixed_serial(content: bytes) -> bytes:
    """An Ogg file whose stream number is 0: libsndfile draws it from the clock."""
    import av

    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(content), "r") as source,
        av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as target,
    ):
        recorded = source.streams.audio[0]
        stream = target.add_stream_from_template(recorded)
        stream.metadata.update(recorded.metadata)
        for packet in source.demux(recorded):
            if packet.dts is not None:  # the last one of a demuxer is empty
                packet.stream = stream
                target.mux(packet)
    return buffer.getvalue()
