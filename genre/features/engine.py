"""From samples to the 57 columns: one spectrum, shared by everything.

The kernels come in with the first signal, so that importing this module costs nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENT_SECONDS, SEGMENTS_PER_CLIP
from genre.errors import InputError
from genre.features.names import NAMES

LOUDEST = 1e12  # of a sample: the squares of a greater one's spectrum do not fit into float32
SHORTEST_N_FFT = 64  # samples

Row = dict[str, float]
Samples = npt.NDArray[np.float32]


def extract(y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512) -> Row:
    """Compute the 57 columns of one signal.

    `y`: float32, shape=(n,), n >= 1. `sr`: Hz. `n_fft` and `hop_length`: samples, as passed to
    every librosa function that takes them. Returns the columns in the order of `NAMES`, valued as
    librosa 0.11 gives them (`genre.features.reference` is the definition).

    Raises `InputError` where `y` is not a mono signal of finite samples, or where the numbers do
    not allow frames or a tempo.
    """
    return _row(_checked(y, sr, n_fft, hop_length), sr, n_fft, hop_length)


def extract_segments(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> list[Row]:
    """Compute the 57 columns of each of the ten 3 s segments of a clip.

    Segment `i` is `y[i * 3 * sr : (i + 1) * 3 * sr]`; the last may be shorter. Raises
    `InputError` as `extract`, and where `y` is too short to hold ten segments.
    """
    samples = _checked(y, sr, n_fft, hop_length)
    length = int(SEGMENT_SECONDS * sr)
    if len(samples) <= (SEGMENTS_PER_CLIP - 1) * length:
        raise InputError(
            f"the signal has {len(samples)} samples, expected {SEGMENTS_PER_CLIP * length} for "
            f"{SEGMENTS_PER_CLIP} segments of {SEGMENT_SECONDS} s at {sr:g} Hz"
        )
    starts = range(0, SEGMENTS_PER_CLIP * length, length)
    return [_row(samples[start : start + length], sr, n_fft, hop_length) for start in starts]


def extract_clip(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> tuple[Row, list[Row]]:
    """Compute the row of a whole clip, and the rows of its ten segments."""
    return (
        extract(y, sr, n_fft=n_fft, hop_length=hop_length),
        extract_segments(y, sr, n_fft=n_fft, hop_length=hop_length),
    )


def compile_kernels() -> None:
    """Compile all kernels now and keep the machine code on the disk: about ten seconds, once.

    Otherwise the first call of `extract` does it.
    """
    from genre.features import pitch, rhythm, shape, temporal, timbre, workspace  # noqa: F401


def _checked(y: npt.ArrayLike, sr: float, n_fft: int, hop_length: int) -> Samples:
    samples = np.ascontiguousarray(y, dtype=np.float32)
    if samples.ndim != 1 or len(samples) == 0:
        raise InputError(f"found samples of shape {samples.shape}, expected one channel, (n,)")
    peak = max(samples.max(), -samples.min())
    if not peak <= LOUDEST:
        raise InputError(
            f"the signal's peak is {peak:g}, expected finite samples with full scale 1"
        )
    if not (sr > 0 and hop_length >= 1 and n_fft >= SHORTEST_N_FFT):
        raise InputError(
            f"found sr={sr:g}, n_fft={n_fft}, hop_length={hop_length}, expected sr > 0, "
            f"n_fft >= {SHORTEST_N_FFT} and hop_length >= 1"
        )
    return samples


def _row(samples: Samples, sr: float, n_fft: int, hop_length: int) -> Row:
    from genre.features import harmonic, pitch, rhythm, shape, spectrum, temporal, timbre
    from genre.features.workspace import borrow

    frames = spectrum.Frames(len(samples), n_fft, hop_length)
    arrays = borrow(frames)
    padded = spectrum.pad(samples, frames, arrays.padded)
    columns = spectrum.columns(padded, frames, arrays.columns)
    complex_, magnitudes = spectrum.stft(columns, frames, arrays.spectra)

    tuning = pitch.tuning(*pitch.peaks(magnitudes, sr, frames))
    chroma = pitch.chroma(magnitudes, sr, tuning, frames)
    centroid, bandwidth, rolloff = shape.shape(magnitudes, sr, frames)
    crossings = temporal.zero_crossing_rate(padded, frames)
    parts = harmonic.moments(complex_, magnitudes, columns, frames, arrays.separation)
    mel = timbre.mel_decibels(magnitudes, sr, frames)
    onset_mel = mel if n_fft == rhythm.ONSET_N_FFT else _onset_mel(samples, sr, hop_length)
    envelope = rhythm.onset_strength(onset_mel, hop_length)

    values = [
        *_moments(chroma.reshape(1, -1)),
        *_moments(temporal.rms(padded, frames)[np.newaxis]),
        *_moments(np.stack([centroid, bandwidth, rolloff, crossings])),
        *parts[0],
        *parts[1],
        rhythm.tempo(envelope, sr, hop_length),
        *_moments(timbre.mfcc(mel)),
    ]
    return dict(zip(NAMES, values, strict=True))


def _onset_mel(samples: Samples, sr: float, hop_length: int) -> npt.NDArray[np.float32]:
    """Return the mel spectrum that librosa's beat tracker computes whatever `n_fft` is."""
    from genre.features import rhythm, spectrum, timbre

    frames = spectrum.Frames(len(samples), rhythm.ONSET_N_FFT, hop_length)
    columns = spectrum.columns(spectrum.pad(samples, frames), frames)
    return timbre.mel_decibels(spectrum.stft(columns, frames)[1], sr, frames)


def _moments(series: npt.NDArray[np.floating]) -> list[float]:
    """Return mean and variance of each row, in turns."""
    moments = np.stack([series.mean(axis=1), series.var(axis=1)], axis=1)
    return [float(moment) for moment in moments.flat]
