"""Exclude songs that were seen in training, and other songs by the same artists.

*Training* means train and validation of the split: validation is used for early stopping, selection
and calibration. Test songs and excluded songs were not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genre import duplicates as fingerprints
from genre.splits import TRAIN, VALIDATION
from genre.splits.groups import artist_key, components, grouping_table, with_copies

if TYPE_CHECKING:
    import pandas as pd

SET_ASIDE = "set_aside"  # broken, too short, silent, or the same as another new song
FILE, AUDIO, RECORDING, ARTIST = "same_file", "same_audio", "same_recording", "same_artist"


@dataclass(frozen=True)
class Copies:
    """Recordings that are the same by their acoustic fingerprints.

    `in_training` names, by a new song's `track_id`, the `track_id` of a training song and the
    share of bits in which they agree; `among_new` is a table as `genre.duplicates.group` makes.
    """

    in_training: dict[str, tuple[str, float]]
    among_new: pd.DataFrame


def training_songs(catalogue: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """The rows of the catalogue with songs, or segments of songs, in train or validation."""
    seen = split.loc[split["subset"].isin([TRAIN, VALIDATION]), "track_id"]
    return catalogue[catalogue["track_id"].isin(seen)]


def compare(
    new: Mapping[str, fingerprints.Fingerprint],
    training: Mapping[str, fingerprints.Fingerprint],
    *,
    min_length: int,
    max_bit_error: float,
) -> Copies:
    """Find the same recordings; both map a `track_id` to a fingerprint.

    `min_length` and `max_bit_error` are those of `genre.duplicates.matches`.
    """
    names, others = list(new), list(training)
    every = fingerprints.matches(
        [*new.values(), *training.values()], min_length=min_length, max_bit_error=max_bit_error
    )
    across: dict[str, tuple[str, float]] = {}
    among = []
    for match in every:  # a match's first song comes before its second
        if match.second < len(names):
            among.append(match)
        elif match.first < len(names):
            name, other = names[match.first], others[match.second - len(names)]
            if match.similarity > across.get(name, ("", 0.0))[1]:
                across[name] = (other, match.similarity)
    return Copies(across, fingerprints.group(names, among))


def seen_in_training(new: pd.DataFrame, training: pd.DataFrame, copies: Copies) -> pd.DataFrame:
    """The rows of `new` that were seen in training, with the first `kind` and `reason` that apply.

    Both tables are rows of a catalogue.
    """
    paths = training["path"]
    tracks = _first(training["track_id"], paths)
    checks = (
        (FILE, new["sha256"], _first(training["sha256"], paths), "is"),
        (
            AUDIO,
            new["audio_sha256"],
            _first(training["audio_sha256"], paths),
            "has the same audio as",
        ),
        (
            RECORDING,
            new["track_id"],
            {track: tracks[other] for track, (other, _) in copies.in_training.items()},
            "is the same recording as",
        ),
        (
            ARTIST,
            new["artist"].map(artist_key),
            _first(training["artist"].map(artist_key), paths),
            "is by the same artist as",
        ),
    )
    found = new.assign(kind=None, reason=None)
    for kind, keys, path_of, relation in checks:
        other = keys.map(path_of)
        rows = other.notna() & found["kind"].isna()
        found.loc[rows, "kind"] = kind
        found.loc[rows, "reason"] = [f"{relation} the training song {path}" for path in other[rows]]
    return found[found["kind"].notna()]


def excluded_songs(*tables: pd.DataFrame) -> pd.DataFrame:
    """All excluded songs, with `kind` and `reason`, in one table sorted by path."""
    import pandas as pd

    return pd.concat(tables).sort_values("path", ignore_index=True)


def groups(new: pd.DataFrame, copies: Copies) -> list[str]:
    """The group of each row of `new`: songs of one artist or one recording are in one group.

    A group has the name of its first `track_id`.
    """
    songs = grouping_table(with_copies(new, copies.among_new))
    songs["label"] = components(songs)
    first = songs.groupby("label")["track_id"].transform("min")
    by_track = dict(zip(songs["track_id"], first, strict=True))
    return [str(by_track[track]) for track in new["track_id"]]


def _first(keys: pd.Series[Any], paths: pd.Series[Any]) -> dict[str, str]:
    """The path of the first song with each key; songs without one are left out."""
    found: dict[str, str] = {}
    for key, path in zip(keys, paths, strict=True):
        if isinstance(key, str):
            found.setdefault(key, str(path))
    return found
