"""What a late step would refuse, told before the first one starts."""

from __future__ import annotations

from pathlib import Path

from genre.core.params import AUTO, Params
from genre.features import families
from tasks.io import paths


def check(params: Params, root: Path) -> None:
    """Raise `InputError` for an unknown feature family, or for unusable new songs.

    The collection's genre folders are those that the classifier will know. The folder that the
    project brings is not asked for where it is absent.
    """
    if params.features.families != AUTO:
        families.check(params.features.families)
    folder = root / params.evaluate.new_songs
    if not folder.exists() and folder == root / paths.NEW_SONGS:
        return
    from genre.new_songs import find

    genres = sorted(path.name for path in (root / paths.RAW).glob("*") if path.is_dir())
    find(folder, genres)
