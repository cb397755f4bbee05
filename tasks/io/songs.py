"""Work done song by song: reuse cached results, compute the rest, cache what comes back.

The steps ingest, trim, spectrograms and features differ only in what they make of a song.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre.core.cache import Store
from genre.core.compute import Failed, Song, Source, map_songs, open_workers
from genre.core.files import atomic_folder, link, sha256_of
from genre.core.params import ComputeParams
from genre.core.progress import progress
from tasks.io import outcomes
from tasks.io.tables import song_paths

LOOK_UP_TOGETHER = 256  # songs; bounds what the driver holds of the store


@dataclass
class Tally:
    """How many songs were computed and reused, and which were set aside and why."""

    computed: int = 0
    reused: int = 0
    reasons: dict[Path, str] = field(default_factory=dict)  # of the songs that were set aside

    @property
    def set_aside(self) -> int:
        """How many were set aside."""
        return len(self.reasons)

    @property
    def kept(self) -> int:
        """How many there are a result of."""
        return self.computed + self.reused

    def print_set_aside(self, root: Path) -> None:
        """Name each song that was set aside, with the reason.

        To be called after the last song: an exception that met most songs is shown once, not here.
        A clip is named with its song.
        """
        songs = song_paths(root) if self.reasons else {}
        for path, reason in self.reasons.items():
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            song = f" ({songs[path.stem]})" if path.stem in songs else ""
            outcomes.set_aside(f"{shown}{song} {reason}")

    def __str__(self) -> str:
        aside = f", {self.set_aside} set aside" if self.set_aside else ""
        return f"{self.computed} computed, {self.reused} reused{aside}"


class Known:
    """Looks songs up in the store, some together, as they come along."""

    def __init__(self, store: Store, songs: Sequence[Song]) -> None:
        self._store = store
        self._ahead = iter(
            songs[first : first + LOOK_UP_TOGETHER]
            for first in range(0, len(songs), LOOK_UP_TOGETHER)
        )
        self._left = 0
        self._found: dict[str, bytes] = {}

    def __call__(self, song: Song) -> bytes | None:
        """The result kept for `song`; songs must be asked for in the order given."""
        if self._left == 0:
            part = next(self._ahead)
            self._left = len(part)
            self._found = self._store.get(entry.content for entry in part)
        self._left -= 1
        return self._found.get(song.content)


def each_song(
    songs: Sequence[Song],
    work: Callable[[Source, str], bytes],
    *,
    cache_key: str,
    compute: ComputeParams,
    root: Path,
    what: str,
    tally: Tally,
    preload: Sequence[str] = (),
    keep: Callable[[bytes], bytes] = bytes,
    recall: Callable[[Song, bytes], bytes | None] = lambda _, kept: kept,
) -> Iterator[tuple[Song, bytes | Failed]]:
    """Yield every song with its result, or why there is none, in order, and count in `tally`.

    Only results are cached, so that a song that failed is tried again.

    `cache_key` hashes all that the result depends on besides the song's content. `keep` makes of
    a result what the store keeps; `recall` makes of that the result again, or None where it
    cannot, and the song is then computed. `work` must live in a module of `genre`; `preload` names
    more modules that it will import.
    """
    module = getattr(work, "func", work).__module__
    with (
        Store(root, cache_key) as store,
        open_workers(compute, preload=[module, *preload]) as workers,
    ):
        known = Known(store, songs)
        reused: set[str] = set()

        def look_up(song: Song) -> bytes | None:
            kept = known(song)
            result = None if kept is None else recall(song, kept)
            if result is not None:
                reused.add(song.name)
            return result

        results = map_songs(workers, work, songs, look_up)
        for song, result in progress(results, total=len(songs), what=what):
            if isinstance(result, Failed):
                tally.reasons[song.path] = result.reason
            elif song.name in reused:
                reused.remove(song.name)
                tally.reused += 1
            else:
                tally.computed += 1
                store.put(song.content, keep(result))
            yield song, result


def make_files(
    songs: Sequence[Song],
    work: Callable[[Source, str], bytes],
    *,
    folder: Path,
    suffix: str,
    cache_key: str,
    compute: ComputeParams,
    root: Path,
    and_then: Callable[[Path, bytes], None] | None = None,
) -> Tally:
    """Fill `folder` with a file a song, `<name><suffix>`, whose content is what `work` returns.

    What is in the folder already is reused where it is what this work makes of this song, as the
    very file, so that DVC need not read it again. The whole folder changes at once. `and_then` is
    called with the new folder's path of each file and its content. A song that fails is named and
    left out.
    """
    tally = Tally()
    same: set[str] = set()

    def recall(song: Song, kept: bytes) -> bytes | None:
        try:
            old = (folder / f"{song.name}{suffix}").read_bytes()
        except OSError:
            return None
        if sha256_of(old).encode() != kept:
            return None
        same.add(song.name)
        return old

    with atomic_folder(folder) as new:
        results = each_song(
            songs,
            work,
            cache_key=cache_key,
            compute=compute,
            root=root,
            what=folder.name,
            tally=tally,
            keep=lambda result: sha256_of(result).encode(),
            recall=recall,
        )
        for song, result in results:
            if isinstance(result, Failed):
                continue
            target = new / f"{song.name}{suffix}"
            if song.name in same:
                link(folder / target.name, target)
            else:
                target.write_bytes(result)
            if and_then:
                and_then(target, result)
    tally.print_set_aside(root)
    return tally
