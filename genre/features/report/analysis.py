"""One signal, analysed once: what every feature starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.features.report import rhythm, spectrum, timbre
from genre.features.report.signals import Samples
from genre.features.report.spectrum import Frames, Magnitudes, Spectrum
from genre.features.report.timbre import Mel
from genre.features.report.workspace import Workspace, borrow


@dataclass(frozen=True)
class Analysis:
    """A signal's spectrum and the arrays behind it, valid until the next signal is analysed.

    `padded` and `columns` hold the signal, as in `spectrum`.
    """

    samples: Samples
    sr: float
    frames: Frames
    workspace: Workspace
    padded: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    spectrum: Spectrum
    magnitudes: Magnitudes

    def mel(self) -> Mel:
        """Return the mel spectrum in decibels."""
        return timbre.mel_decibels(self.magnitudes, self.sr, self.frames)

    def onset_mel(self, mel: Mel) -> Mel:
        """Return the mel spectrum that librosa's onset strength uses, whatever `n_fft` is.

        `mel`: the signal's own, which is the same if `n_fft` is librosa's default.
        """
        if self.frames.n_fft == rhythm.ONSET_N_FFT:
            return mel
        frames = Frames(len(self.samples), rhythm.ONSET_N_FFT, self.frames.hop_length)
        columns = spectrum.columns(spectrum.pad(self.samples, frames), frames)
        return timbre.mel_decibels(spectrum.stft(columns, frames)[1], self.sr, frames)


def analyse(samples: Samples, sr: float, n_fft: int, hop_length: int) -> Analysis:
    """Compute the spectrum of a signal that was `checked`, in this thread's arrays."""
    frames = Frames(len(samples), n_fft, hop_length)
    arrays = borrow(frames)
    padded = spectrum.pad(samples, frames, arrays.padded)
    columns = spectrum.columns(padded, frames, arrays.columns)
    found, magnitudes = spectrum.stft(columns, frames, arrays.spectra)
    return Analysis(samples, sr, frames, arrays, padded, columns, found, magnitudes)


def moments(series: npt.NDArray[np.floating]) -> list[float]:
    """Return mean and variance of each row, in turns."""
    pairs = np.stack([series.mean(axis=1), series.var(axis=1)], axis=1)
    return [float(moment) for moment in pairs.flat]
