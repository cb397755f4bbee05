"""The report's new-song protocol: ten random 3 s samples of songs that training never heard.

The songs lie in genre folders, with an optional `manifest.csv`. What the classifier learned from
or was chosen by (the split's train and validation), and whatever else is by the artists of it, is
excluded and counted. Samples come from the whole song, seeded by its content, so that a song's are
the same whichever songs lie beside it. Tables of predictions are those of `genre.evaluation`; a
song's answer is the calibrated mean of its samples.
"""

from genre.new_songs.exclusions import (
    SET_ASIDE,
    Copies,
    compare,
    groups,
    in_one,
    in_training,
    of_training,
)
from genre.new_songs.folder import find, read_manifest
from genre.new_songs.results import SUBSET, Answers, describe, heading, predictions, top_genres
from genre.new_songs.sampling import CODE, LIBRARIES, SAMPLES, read_samples, sample_song

__all__ = [
    "CODE",
    "LIBRARIES",
    "SAMPLES",
    "SET_ASIDE",
    "SUBSET",
    "Answers",
    "Copies",
    "compare",
    "describe",
    "find",
    "groups",
    "heading",
    "in_one",
    "in_training",
    "of_training",
    "predictions",
    "read_manifest",
    "read_samples",
    "sample_song",
    "top_genres",
]
