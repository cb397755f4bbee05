"""resampy 0.2's `kaiser_best`, which the published activations of MusiCNN were computed with.

Written from its description, to remake the published input: a sinc of 64 zeros to either side under
a Kaiser window, read from a table with 512 places between zeros, at times that are a running sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ZEROS, PRECISION, ROLLOFF, BETA = 64, 512, 0.9475937167399596, 14.769656459379492
SIZE = ZEROS * PRECISION
TOGETHER = 8192  # outputs at once, which bounds memory

Samples = npt.NDArray[np.float32]


def resampy(y: Samples, rate: int, target: int) -> Samples:
    """`y` at the lower rate `target`, with as many samples as librosa 0.7 gives."""
    scale = target / rate
    step = int(scale * PRECISION)
    table = scale * ROLLOFF * np.sinc(ROLLOFF * np.linspace(0, ZEROS, SIZE + 1))
    table = np.pad(table * np.kaiser(2 * SIZE + 1, BETA)[SIZE:], (0, 2 * step))
    slope = np.diff(table, append=0)
    taps = np.arange(SIZE // step + 1)
    padded = np.pad(y.astype(np.float64), len(taps) + 1)
    times = np.append(0.0, np.cumsum(np.full(int(len(y) * scale) - 1, 1 / scale)))
    out = np.zeros(-(-len(y) * target // rate), np.float32)
    for first in range(0, len(times), TOGETHER):
        time = times[first : first + TOGETHER]
        before = time.astype(np.int64)
        away = scale * (time - before)
        for distance, nearest, side in ((away, before, -1), (scale - away, before + 1, 1)):
            place = distance[:, None] * PRECISION + taps * step
            whole = place.astype(np.int64)
            weights = table[whole] + (place - whole) * slope[whole]
            inputs = padded[len(taps) + 1 + nearest[:, None] + side * taps]
            out[first : first + len(time)] += (weights * inputs).sum(axis=1)
    return out
