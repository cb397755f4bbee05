"""The collection `data/raw/<genre>/…` with its `manifest.csv`: add, remove and relabel songs.

`add` merges songs from a folder, an archive, a URL or the demo songs. Each change is atomic; files
of the source are only read, unless `move` is set.
"""

from __future__ import annotations

from genre.collection.add_result import AddResult
from genre.collection.add_songs import add
from genre.collection.archives import Limits
from genre.collection.demo_songs import add_demo, is_demo
from genre.collection.edit_songs import Relabelled, relabel, remove
from genre.collection.snapshot import RAW

__all__ = [
    "RAW",
    "AddResult",
    "Limits",
    "Relabelled",
    "add",
    "add_demo",
    "is_demo",
    "relabel",
    "remove",
]
