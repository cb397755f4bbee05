"""Onsets of notes and their strength.

Conventions: a mel spectrum is in decibels, shape=(n_frames, N_MELS), as in
`genre.features.report.timbre`; an envelope is float32, shape=(n_frames,), in dB, and late by half a
window, so that it lies over the samples. A rise in decibels is the same at every level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report.compiled import kernel
from genre.features.report.rhythm import LAG, ONSET_N_FFT

# The windows around a peak in librosa's `onset_detect`, in seconds, and its threshold.
PEAK_SECONDS, AVERAGE_SECONDS = 0.03, 0.1
THRESHOLD = np.float32(0.07)  # above the average around, in parts of the greatest
TINY = np.float32(np.finfo(np.float32).tiny)
ENOUGH_INTERVALS = 2  # between onsets; with fewer, the signal is one interval

Envelope = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


def strength(mel: npt.NDArray[np.float32], hop_length: int) -> Envelope:
    """How much louder the mel bands of each frame became on average, shape=(n_frames,).

    As `librosa.onset.onset_strength` (spectral flux of Böck and Widmer, "Maximum filter vibrato
    suppression for onset detection", 2013, without the filter). The beat tracker of the report's
    `tempo` uses the median instead.
    """
    n_frames = len(mel)
    delay = LAG + ONSET_N_FFT // (2 * hop_length)
    envelope = np.zeros(n_frames, np.float32)
    rises = np.maximum(0, mel[LAG:] - mel[:-LAG])[: max(0, n_frames - delay)]
    envelope[delay:] = rises.mean(axis=1)
    return envelope


def onsets(envelope: Envelope, sr: float, hop_length: int) -> Places:
    """The frames with an onset, as `librosa.onset.onset_detect`."""
    normal = envelope - envelope.min()
    normal /= normal.max() + TINY
    if not normal.any():
        return np.empty(0, np.int64)
    before = int(np.ceil(PEAK_SECONDS * sr // hop_length))
    around = int(np.ceil(AVERAGE_SECONDS * sr // hop_length))
    found = np.empty(len(normal), np.int64)
    return found[: _peaks(normal, before, around, found)]


@kernel("i8(f4[::1], i8, i8, i8[::1])")
def _peaks(x, before, around, found):  # type: ignore[no-untyped-def]
    """Find local maxima that are well above the average around them."""
    n = len(x)
    count = frame = 0
    while frame < n:
        here = x[frame]
        highest = True
        for i in range(max(0, frame - before), frame):
            if x[i] > here:
                highest = False
        if highest:
            total, low, high = 0.0, max(0, frame - around), min(n, frame + around + 1)
            for i in range(low, high):
                total += x[i]
            if here >= np.float32(total / (high - low)) + THRESHOLD:
                found[count] = frame
                count += 1
                frame += before
        frame += 1
    return count
