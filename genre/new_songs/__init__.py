"""The report's new-song protocol: ten random 3 s samples each of unseen songs by other artists.

The songs are in genre folders, with an optional `manifest.csv`. Songs that the classifier was
trained or selected on (train and validation of the split), and other songs by their artists, are
excluded and counted. Samples are drawn from the whole song, seeded by its content, so they do not
depend on other songs. Tables of predictions are those of `genre.evaluation`; the prediction for a
song is the calibrated mean over its samples.
"""

from genre.new_songs.exclusions import (
    SET_ASIDE,
    Copies,
    compare,
    excluded_songs,
    groups,
    seen_in_training,
    training_songs,
)
from genre.new_songs.folder import find, read_manifest
from genre.new_songs.results import SUBSET, SampleProba, describe, heading, predictions, top_genres
from genre.new_songs.sampling import CODE, LIBRARIES, SAMPLES, read_samples, sample_song

__all__ = [
    "CODE",
    "LIBRARIES",
    "SAMPLES",
    "SET_ASIDE",
    "SUBSET",
    "Copies",
    "SampleProba",
    "compare",
    "describe",
    "excluded_songs",
    "find",
    "groups",
    "heading",
    "predictions",
    "read_manifest",
    "read_samples",
    "sample_song",
    "seen_in_training",
    "top_genres",
    "training_songs",
]
