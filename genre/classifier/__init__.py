"""Ask the trained classifier about a song: a file or its bytes in, genres with probabilities out.

A song is listened to whole, 30 s at a time, in the 3 s segments that the models were trained on,
and brought before them by the training's own code (`genre.audio`, `genre.features.report`,
`genre.features.log_mel`, `genre.features.spectrogram`); its answer is the calibrated mean of the
segments' probabilities, as in evaluation, and segments of nothing but digital silence are left out
as they are there. Times are in seconds, probabilities sum to 1. MLflow's face of this package is
`genre/registry/pyfunc_model.py`.
"""

from genre.classifier.classifier import TAGS, TOP, Classifier
from genre.classifier.predictions import Answer, Choice, Clip, ClipWanted, Moment, Tag
from genre.classifier.windows import LONGEST_SECONDS, NotAudioError, Stretch, stretches

__all__ = [
    "LONGEST_SECONDS",
    "TAGS",
    "TOP",
    "Answer",
    "Choice",
    "Classifier",
    "Clip",
    "ClipWanted",
    "Moment",
    "NotAudioError",
    "Stretch",
    "Tag",
    "stretches",
]
