"""Classify songs: an audio file or its bytes in, genres with probabilities out.

A song is read in windows of 30 s, which are cut into the 3 s segments that the models were trained
on. Inputs are computed by the code that training uses (`genre.audio`, `genre.features`). The
prediction is the mean of the segments' probabilities, calibrated as in evaluation; segments of
digital silence are left out. Times are in seconds, probabilities sum to 1.
`genre/registry/pyfunc_model.py` wraps this package for MLflow.
"""

from genre.classifier.classifier import TAGS, TOP, Classifier
from genre.classifier.predictions import (
    ClipRequest,
    ClipSummary,
    GenreProbability,
    Prediction,
    Tag,
    TimelineSegment,
)
from genre.classifier.windows import LONGEST_SECONDS, NotAudioError, Window, read_windows

__all__ = [
    "LONGEST_SECONDS",
    "TAGS",
    "TOP",
    "Classifier",
    "ClipRequest",
    "ClipSummary",
    "GenreProbability",
    "NotAudioError",
    "Prediction",
    "Tag",
    "TimelineSegment",
    "Window",
    "read_windows",
]
