"""Where things are in the folder of a registered model, as `genre.registry.package` writes it."""

from __future__ import annotations

PACKED = "artifacts"  # MLflow's folder of what the model was given; the following are in it
MODEL = "model"  # the classifier, see `genre.models.ensemble`
REFERENCE = "reference"  # what drift compares new songs with
TRAINING_SONGS = "training_songs.json"
