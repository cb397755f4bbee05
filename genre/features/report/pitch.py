"""Tuning and chroma: the distribution of energy over the twelve semitones.

Conventions: magnitudes as in `spectrum`; their squares are the power that librosa works on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report import filters
from genre.features.report.compiled import FINITE, kernel
from genre.features.report.filters import A4, N_CHROMA
from genre.features.report.lanes import LANES, any_less, load, spread, store, where_less
from genre.features.report.spectrum import Frames, Magnitudes

LOWEST, HIGHEST = 150.0, 4000.0  # Hz: the range in which librosa's `piptrack` finds peaks
THRESHOLD = np.float32(0.1)  # of the frame's greatest power
EDGES = np.linspace(-0.5, 0.5, 101)  # semitones: the histogram of the tuning
SILENT = float(np.finfo(np.float32).tiny)

Peaks = npt.NDArray[np.float32]


def peaks(magnitudes: Magnitudes, sr: float, frames: Frames) -> tuple[Peaks, Peaks]:
    """Return frequency in Hz and height of every spectral peak, as `librosa.piptrack` finds them.

    A peak is a bin between 150 and 4000 Hz that is greater than the one below it and not less
    than the one above it; its place is refined by a parabola through the three. All of it in the
    precision that librosa uses, step by step, because a rounding can move a peak across the edge
    of a bin of the tuning's histogram.
    """
    n_fft = 2 * (frames.n_bins - 1)  # librosa's guess from the number of bins
    hz = filters.frequencies(sr, n_fft)
    low, high = np.searchsorted(hz, [LOWEST, min(HIGHEST, float(sr) / 2)])
    most = frames.n_frames * (1 + max(0, high - low) // 2)
    pitch, height = np.empty(most, np.float32), np.empty(most, np.float32)
    flat = magnitudes.reshape(frames.n_blocks, -1)
    found = _peaks(flat, frames.n_frames, low, high, float(sr), n_fft, pitch, height)
    return pitch[:found], height[:found]


def tuning(pitch: Peaks, height: Peaks) -> float:
    """Return the deviation from A440 in semitones, as `librosa.estimate_tuning`."""
    pitch = pitch[height >= np.median(height)] if len(pitch) else pitch
    if not len(pitch):
        return 0.0
    semitones = N_CHROMA * np.log2(pitch / (A4 / 16))
    residual = np.mod(semitones, np.float32(1.0))
    residual[residual >= 0.5] -= 1.0
    bins = np.searchsorted(EDGES, residual.astype(np.float64), side="right") - 1
    return float(EDGES[np.argmax(np.bincount(bins))])


def chroma(
    magnitudes: Magnitudes, sr: float, tuning: float, frames: Frames
) -> npt.NDArray[np.float32]:
    """Chroma of each frame, its greatest value 1, as `librosa.feature.chroma_stft`.

    Returns float32, shape=(N_CHROMA, n_frames).
    """
    bank = filters.chroma(sr, frames.n_fft, tuning)
    raw = np.empty((N_CHROMA, frames.n_blocks * LANES), np.float32)
    _chroma(magnitudes.reshape(frames.n_blocks, -1), bank, raw)
    raw = raw[:, : frames.n_frames]
    greatest = raw.max(axis=0).astype(np.float64)
    greatest[greatest < SILENT] = 1.0
    normalised: npt.NDArray[np.float32] = (raw / greatest).astype(np.float32)
    return normalised


@kernel("i8(f4[:, ::1], i8, i8, i8, f8, i8, f4[::1], f4[::1])")
def _peaks(magnitudes, n_frames, low, high, sr, n_fft, pitch, height):  # type: ignore[no-untyped-def]
    n_blocks, size = magnitudes.shape
    last = size // LANES - 1
    thresholds = np.empty(LANES, np.float32)
    found = 0
    for block in range(n_blocks):
        magnitude = magnitudes[block]
        greatest = spread(np.float32(0.0))
        for k in range(last + 1):
            value = load(magnitude, k * LANES)
            greatest = where_less(greatest, value, value, greatest)
        threshold = THRESHOLD * (greatest * greatest)
        store(thresholds, 0, threshold)
        for k in range(max(low, 1), high):
            value = load(magnitude, k * LANES)
            if not any_less(threshold, value * value):
                continue
            for j in range(k * LANES, k * LANES + min(LANES, n_frames - block * LANES)):
                here = magnitude[j] * magnitude[j]
                below = magnitude[j - LANES] * magnitude[j - LANES]
                if not (here > thresholds[j - k * LANES] and here > below):
                    continue
                shift = rise = np.float32(0.0)
                if k < last:
                    above = magnitude[j + LANES] * magnitude[j + LANES]
                    if here < above:
                        continue
                    curve = np.float64(above + below) - 2.0 * np.float64(here)
                    slope = np.float64(above - below) / 2.0
                    if abs(slope) < abs(curve):
                        shift = np.float32(-slope / curve)
                    rise = np.float32(0.5) * ((above - below) / np.float32(2.0))
                pitch[found] = (np.float64(k) + np.float64(shift)) * sr / n_fft
                height[found] = here + rise * shift
                found += 1
    return found


@kernel("void(f4[:, ::1], f4[:, ::1], f4[:, ::1])", rounding=FINITE)
def _chroma(magnitudes, bank, raw):  # type: ignore[no-untyped-def]
    n_chroma, n_bins = bank.shape
    for block in range(len(magnitudes)):
        for first in range(0, n_chroma, 4):
            a = b = c = d = spread(np.float32(0.0))
            for k in range(n_bins):
                value = load(magnitudes[block], k * LANES)
                power = value * value
                a += bank[first, k] * power
                b += bank[first + 1, k] * power
                c += bank[first + 2, k] * power
                d += bank[first + 3, k] * power
            for number, total in enumerate((a, b, c, d)):
                store(raw[first + number], block * LANES, total)
