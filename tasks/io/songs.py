"""Process songs one by one: reuse cached results, compute the others in parallel, cache them.

Used by the steps ingest, trim, spectrograms, features, review and the evaluation on new songs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre.core.cache import Cache
from genre.core.compute import Failed, Song, Source, map_songs, open_workers
from genre.core.files import atomic_folder, link, sha256_of
from genre.core.params import ComputeParams
from genre.core.progress import progress
from tasks.io import outcomes
from tasks.io.tables import song_paths

LOOKUP_BATCH = 256  # songs per cache query; bounds memory


@dataclass
class SongCounts:
    """How many songs were computed, reused from the cache, and set aside with which reasons."""

    computed: int = 0
    reused: int = 0
    reasons: dict[Path, str] = field(default_factory=dict)  # of songs that were set aside

    @property
    def set_aside(self) -> int:
        """The number of songs that were set aside."""
        return len(self.reasons)

    @property
    def kept(self) -> int:
        """The number of songs with a result."""
        return self.computed + self.reused

    def print_set_aside(self, root: Path) -> None:
        """Print each song that was set aside, with the reason; a clip with its song.

        Call this after the last song: an exception of most songs is raised before, as one error.
        """
        songs = song_paths(root) if self.reasons else {}
        for path, reason in self.reasons.items():
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            song = f" ({songs[path.stem]})" if path.stem in songs else ""
            outcomes.set_aside(f"{shown}{song} {reason}")

    def __str__(self) -> str:
        aside = f", {self.set_aside} set aside" if self.set_aside else ""
        return f"{self.computed} computed, {self.reused} reused{aside}"


class CacheLookup:
    """Looks up songs in the cache, in batches."""

    def __init__(self, cache: Cache, songs: Sequence[Song]) -> None:
        self._store = cache
        self._ahead = iter(
            songs[first : first + LOOKUP_BATCH] for first in range(0, len(songs), LOOKUP_BATCH)
        )
        self._left = 0
        self._found: dict[str, bytes] = {}

    def __call__(self, song: Song) -> bytes | None:
        """Return the cached result of `song`, or None; call it for all songs, in order."""
        if self._left == 0:
            part = next(self._ahead)
            self._left = len(part)
            self._found = self._store.get(entry.content for entry in part)
        self._left -= 1
        return self._found.get(song.content)


def process_songs(
    songs: Sequence[Song],
    work: Callable[[Source, str], bytes],
    *,
    cache_key: str,
    compute: ComputeParams,
    root: Path,
    what: str,
    counts: SongCounts,
    preload: Sequence[str] = (),
    to_cache: Callable[[bytes], bytes] = bytes,
    from_cache: Callable[[Song, bytes], bytes | None] = lambda _, entry: entry,
) -> Iterator[tuple[Song, bytes | Failed]]:
    """Yield each song, in order, with its result or `Failed`; count them in `counts`.

    Failures are not cached, so that the song is tried again by the next run. `cache_key` hashes all
    that a result depends on besides the song's content. `to_cache` converts a result to its cache
    entry, and `from_cache` an entry to the result, or to None if the song must be computed again.
    `work` must be defined in a module of `genre`; `preload` names further modules that it imports.
    """
    module = getattr(work, "func", work).__module__
    with (
        Cache(root, cache_key) as cache,
        open_workers(compute, preload=[module, *preload]) as workers,
    ):
        lookup = CacheLookup(cache, songs)
        reused: set[str] = set()

        def cached(song: Song) -> bytes | None:
            entry = lookup(song)
            result = None if entry is None else from_cache(song, entry)
            if result is not None:
                reused.add(song.name)
            return result

        results = map_songs(workers, work, songs, cached)
        for song, result in progress(results, total=len(songs), what=what):
            if isinstance(result, Failed):
                counts.reasons[song.path] = result.reason
            elif song.name in reused:
                reused.remove(song.name)
                counts.reused += 1
            else:
                counts.computed += 1
                cache.put(song.content, to_cache(result))
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
) -> SongCounts:
    """Write the result of `work` for each song to `<name><suffix>` in `folder`.

    The folder is replaced as a whole. Existing files with the right content are hard-linked, so
    that DVC need not read them again (the cache holds only their sha256). `and_then` is called with
    the path and content of each file. A song that fails is reported and left out.
    """
    counts = SongCounts()
    unchanged: set[str] = set()

    def from_cache(song: Song, entry: bytes) -> bytes | None:
        try:
            old = (folder / f"{song.name}{suffix}").read_bytes()
        except OSError:
            return None
        if sha256_of(old).encode() != entry:
            return None
        unchanged.add(song.name)
        return old

    with atomic_folder(folder) as new:
        results = process_songs(
            songs,
            work,
            cache_key=cache_key,
            compute=compute,
            root=root,
            what=folder.name,
            counts=counts,
            to_cache=lambda result: sha256_of(result).encode(),
            from_cache=from_cache,
        )
        for song, result in results:
            if isinstance(result, Failed):
                continue
            target = new / f"{song.name}{suffix}"
            if song.name in unchanged:
                link(folder / target.name, target)
            else:
                target.write_bytes(result)
            if and_then:
                and_then(target, result)
    counts.print_set_aside(root)
    return counts
