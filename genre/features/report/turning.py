"""Rows become columns: the transpose of a square of `LANES` rows, for compiled code.

Dealing the rows of the lower half between those of the upper half, like a pack of cards, moves
each element's place one bit further round; after four times rows and columns have changed places.
"""

from __future__ import annotations

from genre.features.report.compiled import inline
from genre.features.report.lanes import load, store, zipped


@inline
def _deal(x):  # type: ignore[no-untyped-def]
    return (
        zipped(x[0], x[8])
        + zipped(x[1], x[9])
        + zipped(x[2], x[10])
        + zipped(x[3], x[11])
        + zipped(x[4], x[12])
        + zipped(x[5], x[13])
        + zipped(x[6], x[14])
        + zipped(x[7], x[15])
    )


@inline
def _four(x, first, stride):  # type: ignore[no-untyped-def]
    return (
        load(x, first),
        load(x, first + stride),
        load(x, first + 2 * stride),
        load(x, first + 3 * stride),
    )


@inline
def _put_four(x, first, stride, a, b, c, d):  # type: ignore[no-untyped-def]
    store(x, first, a)
    store(x, first + stride, b)
    store(x, first + 2 * stride, c)
    store(x, first + 3 * stride, d)


@inline
def turn(x, first, stride, y, start, pitch):  # type: ignore[no-untyped-def]
    """Write sixteen rows of `x` to `y` as columns.

    The rows start at `first` and lie `stride` elements apart; those of `y` start at `start` and
    lie `pitch` apart. Both arrays are flat.
    """
    rows = (
        _four(x, first, stride)
        + _four(x, first + 4 * stride, stride)
        + _four(x, first + 8 * stride, stride)
        + _four(x, first + 12 * stride, stride)
    )
    rows = _deal(_deal(_deal(_deal(rows))))
    _put_four(y, start, pitch, rows[0], rows[1], rows[2], rows[3])
    _put_four(y, start + 4 * pitch, pitch, rows[4], rows[5], rows[6], rows[7])
    _put_four(y, start + 8 * pitch, pitch, rows[8], rows[9], rows[10], rows[11])
    _put_four(y, start + 12 * pitch, pitch, rows[12], rows[13], rows[14], rows[15])
