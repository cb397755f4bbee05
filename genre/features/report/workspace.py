"""The large arrays of an extraction, kept from one signal to the next of the same length.

Pages that were just handed out by the system cost more than the calculations that fill them: for
30 s it is 20 MB, and a third of the time. Each thread has its own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.features.report import harmonic, spectrum
from genre.features.report.spectrum import Frames, Spectra

MOST_SHAPES = 2  # that are kept: clips and segments
MOST_BYTES = 64 * 2**20  # of what is kept for one shape

_kept = threading.local()


@dataclass(frozen=True)
class Workspace:
    """Arrays for the signals of one shape, with what they hold left over from the last."""

    padded: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    spectra: Spectra
    separation: harmonic.Scratch

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = [self.padded, self.columns, *self.spectra, *vars(self.separation).values()]
        return sum(array.nbytes for array in arrays)


def borrow(frames: Frames) -> Workspace:
    """Return this thread's arrays for `frames`; they are written over by whoever is next."""
    shapes: dict[Frames, Workspace] = _kept.__dict__.setdefault("shapes", {})
    workspace = shapes.pop(frames, None) or _make(frames)
    if workspace.nbytes <= MOST_BYTES:
        shapes[frames] = workspace
        if len(shapes) > MOST_SHAPES:
            del shapes[next(iter(shapes))]
    return workspace


def _make(frames: Frames) -> Workspace:
    shape = (frames.hop_length, frames.n_columns)
    return Workspace(
        padded=np.zeros(frames.hop_length * frames.n_columns, np.float32),
        columns=np.empty(shape, np.float32),
        spectra=spectrum.spectra(frames),
        separation=harmonic.Scratch.of(frames),
    )
