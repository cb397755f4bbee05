"""MusiCNN as a feature family: the tags and embeddings that a pretrained network predicts.

Audio is float32 mono at `SAMPLE_RATE`, resampled once from the original song. The weights were
trained by their authors on commercial recordings with listeners' tags, genre words among them;
which recordings is not known here, so songs that a model is tested on may be among them.
"""

from genre.features.musicnn.columns import TAGS
from genre.features.musicnn.embedder import Embedder
from genre.features.musicnn.patches import HOP_FRAMES, PATCH_FRAMES, SAMPLE_RATE

__all__ = ["HOP_FRAMES", "PATCH_FRAMES", "SAMPLE_RATE", "TAGS", "Embedder"]
