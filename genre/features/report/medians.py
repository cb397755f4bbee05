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

from genre.features.report.compiled import FINITE, inline, kernel, shared
from genre.features.report.lanes import LANES, load, store, where_less
from genre.features.report.turning import turn

WIDTH = 31  # frames or bins: librosa's default for the harmonic/percussive separation
REACH = WIDTH // 2
GROUP = 16  # windows that share a core of WIDTH - GROUP + 1 values
SPAN = WIDTH + GROUP - 1  # values that the windows of a group reach into

Magnitudes = npt.NDArray[np.float32]


def over_frequency(magnitudes: Magnitudes, out: Magnitudes | None = None) -> Magnitudes:
    """Return the running medians over the bins of each frame, in `out` if given."""
    out = np.empty_like(magnitudes) if out is None else out
    _over_frequency(_flat(magnitudes), _mirror(magnitudes.shape[1]), _flat(out))
    return out


def over_time(magnitudes: Magnitudes, n_frames: int, out: Magnitudes | None = None) -> Magnitudes:
    """Return the running medians over the first `n_frames` frames of each bin, in `out` if given.

    What stands in the lanes after them is undefined.
    """
    out = np.empty_like(magnitudes) if out is None else out
    _over_time(_flat(magnitudes), _mirror(n_frames), n_frames, _flat(out))
    return out


def _flat(magnitudes: Magnitudes) -> Magnitudes:
    return magnitudes.reshape(len(magnitudes), -1)


def _mirror(n: int) -> npt.NDArray[np.int64]:
    """Return which of `n` values stands at each place of the mirrored signal, in whole groups."""
    places = np.arange(-REACH, -(-n // GROUP) * GROUP + REACH) % (2 * n)
    return np.minimum(places, 2 * n - 1 - places)


@inline
def _sort2(a, b):  # type: ignore[no-untyped-def]
    return where_less(a, b, a, b), where_less(a, b, b, a)


@inline
def _low(a, b):  # type: ignore[no-untyped-def]
    return where_less(a, b, a, b)


@inline
def _high(a, b):  # type: ignore[no-untyped-def]
    return where_less(a, b, b, a)


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
def _at(rows, row):  # type: ignore[no-untyped-def]
    return load(rows, row * LANES)


@inline
def _sorted2(rows, row):  # type: ignore[no-untyped-def]
    return _sort2(_at(rows, row), _at(rows, row + 1))


@inline
def _sorted4(rows, row):  # type: ignore[no-untyped-def]
    return _merge2(_sorted2(rows, row), _sorted2(rows, row + 2))


@inline
def _sorted8(rows, row):  # type: ignore[no-untyped-def]
    return _merge4(_sorted4(rows, row), _sorted4(rows, row + 4))


@inline
def _two(rows, first, shared):  # type: ignore[no-untyped-def]
    """Write the medians of the two windows from `first` on; `shared` is what both still hold."""
    one = _middle1(shared, _at(rows, first))
    two = _middle1(shared, _at(rows, first + WIDTH))
    store(rows, first * LANES, one)
    store(rows, (first + 1) * LANES, two)


@inline
def _four(rows, first, shared):  # type: ignore[no-untyped-def]
    _two(rows, first, _middle2(shared, _sorted2(rows, first + 1)))
    _two(rows, first + 2, _middle2(shared, _sorted2(rows, first + WIDTH)))


@inline
def _eight(rows, first, shared):  # type: ignore[no-untyped-def]
    _four(rows, first, _middle4(shared, _sorted4(rows, first + 3)))
    _four(rows, first + 4, _middle4(shared, _sorted4(rows, first + WIDTH)))


@shared
def _in_place(rows, n_groups):  # type: ignore[no-untyped-def]
    """Put the median of each 31 rows in the place of their first; `rows` is flat, row by row."""
    for group in range(n_groups):
        first = group * GROUP
        core = _merge8(_sorted8(rows, first + 15), _sorted8(rows, first + 23))
        low = _middle8(core, _sorted8(rows, first + 7))
        high = _middle8(core, _sorted8(rows, first + WIDTH))
        _eight(rows, first, low)
        _eight(rows, first + 8, high)


@inline
def _reflect(rows, mirror, n):  # type: ignore[no-untyped-def]
    """Fill the places around the `n` rows that start at `REACH`."""
    for place in range(len(mirror)):
        if not REACH <= place < REACH + n:
            store(rows, place * LANES, _at(rows, REACH + mirror[place]))


@kernel("void(f4[:, ::1], i8[::1], f4[:, ::1])", rounding=FINITE)
def _over_frequency(magnitudes, mirror, medians):  # type: ignore[no-untyped-def]
    n_blocks, size = magnitudes.shape
    rows = np.empty(len(mirror) * LANES, np.float32)
    for block in range(n_blocks):
        for i in range(size):
            rows[REACH * LANES + i] = magnitudes[block, i]
        _reflect(rows, mirror, size // LANES)
        _in_place(rows, (len(mirror) - 2 * REACH) // GROUP)
        for i in range(size):
            medians[block, i] = rows[i]


@kernel("void(f4[:, ::1], i8[::1], i8, f4[:, ::1])", rounding=FINITE)
def _over_time(magnitudes, mirror, n_frames, medians):  # type: ignore[no-untyped-def]
    n_blocks, size = magnitudes.shape
    square = LANES * LANES
    rows = np.zeros(len(mirror) * LANES, np.float32)
    for place in range(0, size, square):
        first = min(place, size - square)
        for block in range(n_blocks):
            turn(magnitudes[block], first, LANES, rows, REACH * LANES + block * square, LANES)
        _reflect(rows, mirror, n_frames)
        _in_place(rows, n_blocks)
        for block in range(n_blocks):
            turn(rows, block * square, LANES, medians[block], first, LANES)
