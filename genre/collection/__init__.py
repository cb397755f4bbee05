"""The collection: `data/raw/<genre>/…` and its `manifest.csv`, and the only ways to change it.

`add` merges songs from a folder, an archive, a URL or the project's demo songs; `remove` takes
songs out, `relabel` moves them to another genre. Each change happens in one step or not at all,
and a person's own files are only ever read.
"""

from __future__ import annotations

from genre.collection.adding import add
from genre.collection.archives import Limits
from genre.collection.changing import Relabelled, relabel, remove
from genre.collection.contents import RAW
from genre.collection.demonstration import add_demo, is_demo
from genre.collection.report import Added

__all__ = [
    "RAW",
    "Added",
    "Limits",
    "Relabelled",
    "add",
    "add_demo",
    "is_demo",
    "relabel",
    "remove",
]
