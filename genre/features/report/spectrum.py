"""From samples to the spectrum and back, `LANES` frames at a time.

Conventions: frame `t` is centred on sample `t * hop_length`, the signal is padded with zeros
(librosa's `center=True`, `pad_mode="constant"`). A spectrum has shape=(n_blocks, n_bins, LANES):
frame `t` is lane `t % LANES` of block `t // LANES`, and lanes after the last frame are zero. The
signal is also held as columns, shape=(hop_length, n_columns): sample `n` of the padded signal is
in row `n % hop_length` and column `n // hop_length`, so that one sample of `LANES` neighbouring
frames is `LANES` neighbouring numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.features.report import filters, fourier
from genre.features.report.compiled import ANY_ORDER, FINITE, kernel
from genre.features.report.lanes import LANES, load, store, wide
from genre.features.report.turning import turn

Spectrum = npt.NDArray[np.complex64]
Magnitudes = npt.NDArray[np.float32]
Spectra = tuple[Spectrum, Magnitudes]


@dataclass(frozen=True)
class Frames:
    """How a signal of `n_samples` is cut into frames."""

    n_samples: int
    n_fft: int
    hop_length: int

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return 1 + (self.n_samples + 2 * self.padding - self.n_fft) // self.hop_length

    @property
    def n_blocks(self) -> int:
        """Number of groups of `LANES` frames; the last may be part empty."""
        return -(-self.n_frames // LANES)

    @property
    def n_bins(self) -> int:
        """Number of frequencies."""
        return 1 + self.n_fft // 2

    @property
    def padding(self) -> int:
        """Number of zeros before the signal."""
        return self.n_fft // 2

    @property
    def n_columns(self) -> int:
        """Number of columns that the frames of all blocks reach into, in whole lanes."""
        reach = -(-self.n_fft // self.hop_length)
        covered = -(-(self.n_samples + 2 * self.padding) // self.hop_length)
        return -(-max(self.n_blocks * LANES + reach, covered) // LANES) * LANES


def pad(
    y: npt.NDArray[np.float32], frames: Frames, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Return the padded signal, shape=(n_columns * hop_length,).

    `out`: where to write it, zero outside the signal.
    """
    padded = np.zeros(frames.n_columns * frames.hop_length, np.float32) if out is None else out
    padded[frames.padding : frames.padding + len(y)] = y
    return padded


def columns(
    padded: npt.NDArray[np.float32], frames: Frames, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Return the columns of a padded signal, in `out` if given."""
    if out is None:
        out = np.empty((frames.hop_length, frames.n_columns), np.float32)
    _transpose(padded.reshape(frames.n_columns, frames.hop_length), out)
    return out


def stft(samples: npt.NDArray[np.float32], frames: Frames, out: Spectra | None = None) -> Spectra:
    """Return the spectrum of a signal given as columns, and its magnitudes.

    As `librosa.stft` with its defaults: computed in float64, kept as complex64. `out`: where to
    write them.
    """
    spectrum, magnitudes = out = out or spectra(frames)
    plan, window = fourier.plan(frames.n_fft), filters.hann(frames.n_fft)
    x = np.empty(frames.n_fft * LANES)
    for block in range(frames.n_blocks):
        _load(samples, window, block * LANES, x)
        n_lanes = frames.n_frames - block * LANES
        if n_lanes < LANES:
            x.reshape(-1, LANES)[:, n_lanes:] = 0.0
        fourier.forward(x, spectrum[block], plan)
        np.abs(spectrum[block], out=magnitudes[block])
    return out


def spectra(frames: Frames) -> Spectra:
    """Return the arrays for a spectrum and its magnitudes, not filled in."""
    shape = (frames.n_blocks, frames.n_bins, LANES)
    return np.empty(shape, np.complex64), np.empty(shape, np.float32)


def overlap_add(
    x: npt.NDArray[np.float32], block: int, sums: npt.NDArray[np.float32], frames: Frames
) -> None:
    """Window the signals of a block of frames and add them to `sums`, which is columns.

    `x`: shape=(n_fft * LANES,), sample by sample.
    """
    _add(x, filters.hann(frames.n_fft).astype(np.float32), block * LANES, sums)


def window_power(frames: Frames) -> npt.NDArray[np.float32]:
    """Return the sum of the squared windows over each sample, as columns.

    What overlap-add multiplies a signal with; as `librosa.filters.window_sumsquare`.
    """
    sums = np.zeros((frames.hop_length, frames.n_columns), np.float32)
    _add_power(filters.hann(frames.n_fft).astype(np.float32), frames.n_frames, sums)
    return sums


@kernel("void(f4[:, ::1], f4[:, ::1])")
def _transpose(rows, turned):  # type: ignore[no-untyped-def]
    n_rows, width = rows.shape
    x, y = rows.reshape(-1), turned.reshape(-1)
    for r in range(0, n_rows, LANES):
        for c in range(0, width - LANES + 1, LANES):
            turn(x, r * width + c, width, y, c * n_rows + r, n_rows)
        for c in range(width - width % LANES, width):
            for row in range(r, r + LANES):
                turned[c, row] = rows[row, c]


@kernel("void(f4[:, ::1], f8[::1], i8, f8[::1])", rounding=FINITE)
def _load(samples, window, first, x):  # type: ignore[no-untyped-def]
    hop_length = len(samples)
    for n in range(len(window)):
        row = samples[n % hop_length]
        store(x, n * LANES, window[n] * wide(load(row, first + n // hop_length)))


@kernel("void(f4[::1], f4[::1], i8, f4[:, ::1])", rounding=FINITE)
def _add(x, window, first, sums):  # type: ignore[no-untyped-def]
    hop_length = len(sums)
    for n in range(len(window)):
        row, column = sums[n % hop_length], first + n // hop_length
        store(row, column, load(row, column) + window[n] * load(x, n * LANES))


@kernel("void(f4[::1], i8, f4[:, ::1])", rounding=ANY_ORDER)
def _add_power(window, n_frames, sums):  # type: ignore[no-untyped-def]
    hop_length = len(sums)
    for n in range(len(window)):
        power = window[n] * window[n]
        target = sums[n % hop_length, n // hop_length :]
        for column in range(n_frames):
            target[column] += power
