"""Running medians over 31 frames or 31 bins, by a network of comparisons.

Sixteen neighbouring windows of 31 share the sixteen values in their middle. These are sorted
once; halving the group of windows again and again (8, 4, 2, 1), each half shares as many more
values, already sorted, on one side. Merging them in keeps only the values that can still be the
median, so that one median costs 22 minima and maxima and not a single branch. Every comparison
is done for `LANES` signals at once. The result is equal to `scipy.ndimage.median_filter` to the
bit.

Conventions: magnitudes as in `spectrum`, shape=(n_blocks, n_bins, LANES), float32; at the ends
the signal is mirrored, its last value twice (SciPy's `mode="reflect"`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.compiled import FINITE, LANES, inline, kernel, shared

WIDTH = 31  # frames or bins: librosa's default for the harmonic/percussive separation
REACH = WIDTH // 2
GROUP = 16  # windows that share a core of WIDTH - GROUP + 1 values
SPAN = WIDTH + GROUP - 1  # values that the windows of a group reach into

Magnitudes = npt.NDArray[np.float32]


def over_frequency(magnitudes: Magnitudes) -> Magnitudes:
    """Return the running medians over the bins of each frame."""
    medians = np.empty_like(magnitudes)
    _over_frequency(_flat(magnitudes), _mirror(magnitudes.shape[1]), _flat(medians))
    return medians


def over_time(magnitudes: Magnitudes, n_frames: int) -> Magnitudes:
    """Return the running medians over the first `n_frames` frames of each bin.

    What stands in the lanes after them is undefined.
    """
    medians = np.empty_like(magnitudes)
    _over_time(_flat(magnitudes), _mirror(n_frames), n_frames, _flat(medians))
    return medians


def _flat(magnitudes: Magnitudes) -> Magnitudes:
    return magnitudes.reshape(len(magnitudes), -1)


def _mirror(n: int) -> npt.NDArray[np.int64]:
    """Return which of `n` values stands at each place of the mirrored signal, in whole groups."""
    places = np.arange(-REACH, -(-n // GROUP) * GROUP + REACH) % (2 * n)
    return np.minimum(places, 2 * n - 1 - places)


@inline
def _sort2(a, b):  # type: ignore[no-untyped-def]
    return (a, b) if a < b else (b, a)


@inline
def _low(a, b):  # type: ignore[no-untyped-def]
    return a if a < b else b


@inline
def _high(a, b):  # type: ignore[no-untyped-def]
    return b if a < b else a


@inline
def _unfold4(a, b, c, d):  # type: ignore[no-untyped-def]
    """Sort four values that first rise and then fall, or the reverse (a bitonic sequence)."""
    a, c = _sort2(a, c)
    b, d = _sort2(b, d)
    return _sort2(a, b) + _sort2(c, d)


@inline
def _unfold8(a, b, c, d, e, f, g, h):  # type: ignore[no-untyped-def]
    a, e = _sort2(a, e)
    b, f = _sort2(b, f)
    c, g = _sort2(c, g)
    d, h = _sort2(d, h)
    return _unfold4(a, b, c, d) + _unfold4(e, f, g, h)


@inline
def _merge2(x, y):  # type: ignore[no-untyped-def]
    return _unfold4(x[0], x[1], y[1], y[0])


@inline
def _merge4(x, y):  # type: ignore[no-untyped-def]
    return _unfold8(x[0], x[1], x[2], x[3], y[3], y[2], y[1], y[0])


@inline
def _merge8(x, y):  # type: ignore[no-untyped-def]
    a, p = _sort2(x[0], y[7])
    b, o = _sort2(x[1], y[6])
    c, n = _sort2(x[2], y[5])
    d, m = _sort2(x[3], y[4])
    e, k = _sort2(x[4], y[3])
    f, j = _sort2(x[5], y[2])
    g, i = _sort2(x[6], y[1])
    h, q = _sort2(x[7], y[0])
    return _unfold8(a, b, c, d, e, f, g, h) + _unfold8(q, i, j, k, m, n, o, p)


@inline
def _middle8(x, y):  # type: ignore[no-untyped-def]
    """Return the middle 8 of 16 sorted and 8 sorted values, sorted."""
    return _unfold8(
        _high(x[0], _low(x[8], y[7])),
        _high(x[1], _low(x[9], y[6])),
        _high(x[2], _low(x[10], y[5])),
        _high(x[3], _low(x[11], y[4])),
        _high(x[4], _low(x[12], y[3])),
        _high(x[5], _low(x[13], y[2])),
        _high(x[6], _low(x[14], y[1])),
        _high(x[7], _low(x[15], y[0])),
    )


@inline
def _middle4(x, y):  # type: ignore[no-untyped-def]
    """Return the middle 4 of 8 sorted and 4 sorted values, sorted."""
    return _unfold4(
        _high(x[0], _low(x[4], y[3])),
        _high(x[1], _low(x[5], y[2])),
        _high(x[2], _low(x[6], y[1])),
        _high(x[3], _low(x[7], y[0])),
    )


@inline
def _middle2(x, y):  # type: ignore[no-untyped-def]
    return _sort2(_high(x[0], _low(x[2], y[1])), _high(x[1], _low(x[3], y[0])))


@inline
def _middle1(x, y):  # type: ignore[no-untyped-def]
    return _high(x[0], _low(x[1], y))


@inline
def _at(rows, row, lane):  # type: ignore[no-untyped-def]
    return rows[row * LANES + lane]


@inline
def _sorted2(rows, row, lane):  # type: ignore[no-untyped-def]
    return _sort2(_at(rows, row, lane), _at(rows, row + 1, lane))


@inline
def _sorted4(rows, row, lane):  # type: ignore[no-untyped-def]
    return _merge2(_sorted2(rows, row, lane), _sorted2(rows, row + 2, lane))


@inline
def _sorted8(rows, row, lane):  # type: ignore[no-untyped-def]
    return _merge4(_sorted4(rows, row, lane), _sorted4(rows, row + 4, lane))


@inline
def _two(rows, first, shared, lane):  # type: ignore[no-untyped-def]
    """Write the medians of the two windows from `first` on; `shared` is what both still hold."""
    rows[first * LANES + lane] = _middle1(shared, _at(rows, first, lane))
    rows[(first + 1) * LANES + lane] = _middle1(shared, _at(rows, first + WIDTH, lane))


@inline
def _four(rows, first, shared, lane):  # type: ignore[no-untyped-def]
    _two(rows, first, _middle2(shared, _sorted2(rows, first + 1, lane)), lane)
    _two(rows, first + 2, _middle2(shared, _sorted2(rows, first + WIDTH, lane)), lane)


@inline
def _eight(rows, first, shared, lane):  # type: ignore[no-untyped-def]
    _four(rows, first, _middle4(shared, _sorted4(rows, first + 3, lane)), lane)
    _four(rows, first + 4, _middle4(shared, _sorted4(rows, first + WIDTH, lane)), lane)


@shared
def _in_place(rows):  # type: ignore[no-untyped-def]
    """Put the median of each 31 rows in the place of their first; `rows` is flat, row by row."""
    for start in range(0, len(rows) - (SPAN - 1) * LANES, GROUP * LANES):
        group = rows[start : start + SPAN * LANES]
        for lane in range(LANES):
            core = _merge8(_sorted8(group, 15, lane), _sorted8(group, 23, lane))
            _eight(group, 0, _middle8(core, _sorted8(group, 7, lane)), lane)
            _eight(group, 8, _middle8(core, _sorted8(group, WIDTH, lane)), lane)


@inline
def _reflect(rows, mirror, n):  # type: ignore[no-untyped-def]
    """Fill the places around the `n` rows that start at `REACH`."""
    for place in range(len(mirror)):
        if not REACH <= place < REACH + n:
            source = (REACH + mirror[place]) * LANES
            for lane in range(LANES):
                rows[place * LANES + lane] = rows[source + lane]


@inline
def _interleave4(x, y):  # type: ignore[no-untyped-def]
    quarter = LANES * LANES // 4
    for i in range(quarter):
        y[4 * i] = x[i]
        y[4 * i + 1] = x[i + quarter]
        y[4 * i + 2] = x[i + 2 * quarter]
        y[4 * i + 3] = x[i + 3 * quarter]


@inline
def _turn(x, between, y):  # type: ignore[no-untyped-def]
    """Transpose a square of LANES by LANES: each interleaving turns a place's bits by two."""
    _interleave4(x, between)
    _interleave4(between, y)


@kernel("void(f4[:, ::1], i8[::1], f4[:, ::1])", rounding=FINITE)
def _over_frequency(magnitudes, mirror, medians):  # type: ignore[no-untyped-def]
    n_blocks, size = magnitudes.shape
    rows = np.empty(len(mirror) * LANES, np.float32)
    for block in range(n_blocks):
        for i in range(size):
            rows[REACH * LANES + i] = magnitudes[block, i]
        _reflect(rows, mirror, size // LANES)
        _in_place(rows)
        for i in range(size):
            medians[block, i] = rows[i]


@kernel("void(f4[:, ::1], i8[::1], i8, f4[:, ::1])", rounding=FINITE)
def _over_time(magnitudes, mirror, n_frames, medians):  # type: ignore[no-untyped-def]
    n_blocks, size = magnitudes.shape
    square = LANES * LANES
    rows = np.zeros(max(len(mirror), REACH + n_blocks * LANES) * LANES, np.float32)
    part, between = np.zeros(square, np.float32), np.empty(square, np.float32)
    for first in range(0, size, square):
        n = min(square, size - first)
        for block in range(n_blocks):
            start = (REACH + block * LANES) * LANES
            for i in range(n):
                part[i] = magnitudes[block, first + i]
            _turn(part, between, rows[start : start + square])
        _reflect(rows, mirror, n_frames)
        _in_place(rows[: len(mirror) * LANES])
        for block in range(n_blocks):
            start = block * square
            _turn(rows[start : start + square], between, part)
            for i in range(n):
                medians[block, first + i] = part[i]
