"""The columns of MusiCNN's tables, and the rows of segments and songs.

A column is named for the weights, the layer and the unit: `msd_tags_female_vocalists`,
`msd_penultimate_17`, `msd_mean_pool_0`, `msd_max_pool_0`. A segment's row is the mean of the
patches that have their middle in it; a song's is the mean and the deviation of all its patches
(`…_mean`, `…_std`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from genre.core.params import Layer

Rows = npt.NDArray[np.float32]

LAYERS: dict[Layer, int] = {"tags": 50, "penultimate": 200, "mean_pool": 753, "max_pool": 753}
# The tags in the order of the outputs, as published with the weights: `msd` was trained on the
# Million Song Dataset with tags of Last.fm's listeners, `mtt` on MagnaTagATune with those of
# players of a game.
TAGS: dict[str, tuple[str, ...]] = {
    "msd": (
        *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"),
        *("alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"),
        *("classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s"),
        *("chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"),
        *("experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
        *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal"),
        *("Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy"),
    ),
    "mtt": (
        *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock"),
        *("fast", "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian"),
        *("opera", "male", "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet"),
        *("flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man"),
        *("classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats"),
        *("harp", "cello", "no voice", "weird", "country", "metal", "female voice", "choral"),
    ),
}


def names(weights: Iterable[str], layers: Iterable[Layer] = tuple(LAYERS)) -> tuple[str, ...]:
    """The columns of a patch or a segment."""
    chosen = [layer for layer in LAYERS if layer in layers]
    return tuple(name for one in weights for layer in chosen for name in _units(one, layer))


def song_names(weights: Iterable[str]) -> tuple[str, ...]:
    """The columns of a song: first every mean, then every deviation."""
    each = names(weights)
    return (*(f"{name}_mean" for name in each), *(f"{name}_std" for name in each))


def tag_columns(weights: str) -> dict[str, str]:
    """Each tag of these weights with the name of its column."""
    return dict(zip(TAGS[weights], _units(weights, "tags"), strict=True))


def of_segments(
    patches: Rows, middles: npt.NDArray[np.float64], starts: Sequence[float], seconds: float
) -> Rows:
    """A row a segment, `seconds` long, which starts at one of `starts` [shape=(n, columns)].

    `middles` are those of the patches [shape=(patches,)]. A segment without the middle of a patch
    in it gets the patch whose middle is nearest to its own.
    """
    rows = []
    for start in starts:
        inside = (middles >= start) & (middles < start + seconds)
        if not inside.any():
            inside[np.abs(middles - (start + seconds / 2)).argmin()] = True
        rows.append(patches[inside].mean(axis=0, dtype=np.float64))
    return np.array(rows, dtype=np.float32)


def of_song(patches: Rows) -> Rows:
    """The row of a song: mean and (population) deviation of its patches [shape=(2 * columns,)]."""
    wide = patches.astype(np.float64)
    return np.concatenate([wide.mean(axis=0), wide.std(axis=0)]).astype(np.float32)


def _units(weights: str, layer: Layer) -> list[str]:
    if layer == "tags":
        return [f"{weights}_{layer}_{re.sub('[^a-z0-9]+', '_', t.lower())}" for t in TAGS[weights]]
    return [f"{weights}_{layer}_{unit}" for unit in range(LAYERS[layer])]
