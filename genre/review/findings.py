"""The findings as one table: what was found in a song, a suggestion, and the part to play."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genre.audio import CLIP_SECONDS, SEGMENT_SECONDS

if TYPE_CHECKING:
    import pandas as pd

    from genre.review.defects import Defect

LABEL, TWO_GENRES, DUPLICATE = "label", "two genres", "duplicate"
DEFECT, SET_ASIDE = "noise", "set aside"
KINDS = (LABEL, TWO_GENRES, DEFECT, DUPLICATE, SET_ASIDE)
COLUMNS = ("kind", "path", "genre", "what", "suggestion", "score", "start_s", "end_s")
RELABEL = "relabel to "
DECIMALS = 4

Row = dict[Hashable, Any]


def label_findings(suspects: pd.DataFrame, songs: pd.DataFrame, *, position: str) -> list[Row]:
    """The suspected labels as findings; `score` is the normalised margin, 0 to 1.

    `suspects` is what `suspected_labels` returned; `songs` are the usable rows of the catalogue;
    `position` is `trim.position`, the position of the clip in the song.
    """
    by_track_id = _by_track_id(songs)
    found = []
    for suspect in _rows(suspects):
        song = by_track_id[suspect["track_id"]]
        what = (
            f"predicted {suspect['suggested']} ({suspect['p_suggested']:.2f}) "
            f"rather than {suspect['genre']} ({suspect['p_genre']:.2f})"
        )
        margin = suspect["p_suggested"] - suspect["p_genre"]
        times = _times(song, suspect["segment"], suspect["segment"], position)
        suggestion = RELABEL + suspect["suggested"]
        found.append(_row(LABEL, song, what, suggestion, margin, times))
    return found


def defect_findings(
    defects: Mapping[str, Defect], songs: pd.DataFrame, *, position: str
) -> list[Row]:
    """The defective clips, by `track_id`, as findings, the worst first.

    `score` is the share of the clip that is defective.
    """
    by_track_id = _by_track_id(songs)
    found = [
        _row(
            DEFECT,
            by_track_id[track_id],
            defect.what,
            "remove",
            defect.share,
            _times(by_track_id[track_id], defect.first, defect.last, position),
        )
        for track_id, defect in defects.items()
    ]
    return sorted(found, key=lambda row: (-row["score"], row["path"]))


def duplicate_findings(
    duplicates: pd.DataFrame, catalogue: pd.DataFrame, *, position: str
) -> list[Row]:
    """Near-duplicates as findings: all but the longest song of a group; `score` is similarity.

    `duplicates` has the columns `track_id, duplicate_group, other, similarity, offset_s`. Songs of
    one group in several genres, and files set aside as exact duplicates of a song of another genre,
    may be wrong labels and are of the kind `two genres`. Each pair is listed once.
    """
    by_track_id = _by_track_id(catalogue[catalogue["status"] == "ok"])
    found = []
    for _, group in duplicates.groupby("duplicate_group", sort=True):
        members = [(by_track_id[row["track_id"]], row) for row in _rows(group)]
        members.sort(key=lambda member: (-member[0]["seconds"], member[0]["path"]))
        keep = members[0][0]
        genres = {song["genre"] for song, _ in members}
        kind = DUPLICATE if len(genres) == 1 else TWO_GENRES
        for number, (song, row) in enumerate(members[1:], start=1):
            elsewhere = [s for s, _ in members[:number] if s["genre"] != song["genre"]]
            what = f"nearly the same recording as {keep['path']}"
            if elsewhere:
                what = _filed_elsewhere(elsewhere)
            times = _clip_times(song, position)
            found.append(_row(kind, song, what, _keep(keep), row["similarity"], times))
    return found + _exact_under_two_genres(catalogue, by_track_id)


def set_aside_findings(catalogue: pd.DataFrame) -> list[Row]:
    """The files that ingest set aside, with the reason; without a part to play."""
    aside = catalogue[catalogue["status"] != "ok"].sort_values("path")
    return [
        _row(SET_ASIDE, song, song["reason"], "remove", None, (None, None)) for song in _rows(aside)
    ]


def collect(*findings: Sequence[Row]) -> pd.DataFrame:
    """All findings in one table, sorted by kind in the order of `KINDS`.

    A file of the kind `two genres` is not listed again as set aside.
    """
    import pandas as pd

    rows = [row for part in findings for row in part]
    two_genres = {row["path"] for row in rows if row["kind"] == TWO_GENRES}
    rows = [row for row in rows if row["kind"] != SET_ASIDE or row["path"] not in two_genres]
    rows.sort(key=lambda row: KINDS.index(row["kind"]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    decimals = {"score": DECIMALS, "start_s": 2, "end_s": 2}
    types = dict.fromkeys(COLUMNS, "str") | dict.fromkeys(decimals, "float64")
    return table.astype(types).round(decimals)


def _exact_under_two_genres(catalogue: pd.DataFrame, by_track_id: Mapping[str, Row]) -> list[Row]:
    """Exact duplicates of a usable song of another genre."""
    found = []
    for copy in _rows(catalogue[catalogue["duplicate_of"].notna()]):
        song = by_track_id[copy["duplicate_of"]]
        if song["genre"] != copy["genre"]:
            what = _filed_elsewhere([song])
            found.append(_row(TWO_GENRES, copy, what, _keep(song), 1.0, (None, None)))
    return found


def _by_track_id(songs: pd.DataFrame) -> dict[str, Row]:
    return {song["track_id"]: song for song in _rows(songs)}


def _rows(table: pd.DataFrame) -> list[Row]:
    return table.to_dict("records")


def _row(
    kind: str,
    song: Row,
    what: str,
    suggestion: str,
    score: float | None,
    times: tuple[float | None, float | None],
) -> Row:
    values = (kind, song["path"], song["genre"], what, suggestion, score, *times)
    return dict(zip(COLUMNS, values, strict=True))


def _times(song: Row, first: int, last: int, position: str) -> tuple[float, float]:
    """Start and end of segments `first` to `last` of the clip, in seconds of the song."""
    start = _clip_start(song, position)
    end = start + (last + 1) * SEGMENT_SECONDS
    return start + first * SEGMENT_SECONDS, min(end, song["seconds"])


def _clip_times(song: Row, position: str) -> tuple[float, float]:
    start = _clip_start(song, position)
    return start, min(start + CLIP_SECONDS, song["seconds"])


def _clip_start(song: Row, position: str) -> float:
    return max(0.0, (song["seconds"] - CLIP_SECONDS) / 2) if position == "middle" else 0.0


def _keep(song: Row) -> str:
    return f"keep {song['path']}, remove this"


def _filed_elsewhere(songs: Sequence[Row]) -> str:
    genres, paths = ({song[name] for song in songs} for name in ("genre", "path"))
    return f"the recording is also filed under {_and(genres)}, as {_and(paths)}"


def _and(names: set[str]) -> str:
    return " and ".join(sorted(names))
