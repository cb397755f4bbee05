"""The family `extended`: further columns, computed as those of `report`."""

from __future__ import annotations

from genre.features.extended import NAMES, extract
from genre.features.report.family import Report


class Extended(Report):
    """The columns `NAMES`, which `extract` computes from a signal of any length."""

    names = NAMES
    extract = staticmethod(extract)
