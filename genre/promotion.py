"""The gate: whether a newly trained model takes the alias `champion`.

One pure function, `decide`, over facts that others gather; it reads no file and no registry.
Models are compared by the macro-F1 of whole songs, on the same validation songs for both, none of
which either was trained on (`genre.evaluation.compare`, the challenger first).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from genre.evaluation import Comparison

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
Alias = Literal["champion", "challenger"]
LEAKY_PROTOCOLS = frozenset({"segment"})  # pieces of one song on both sides flatter the figures


@dataclass(frozen=True)
class Champion:
    """The model that holds the alias today.

    `genres` is empty where it cannot answer at all; `comparison` is null where the two cannot be
    compared. `obstacle` then says why.
    """

    version: str
    genres: Collection[str]
    comparison: Comparison | None = None
    obstacle: str | None = None


@dataclass(frozen=True)
class Decision:
    """The alias that the new version is given, and why, in words for a person."""

    alias: Alias | None
    reason: str


def decide(
    *,
    protocol: str,
    genres: Collection[str],
    champion: Champion | None,
    experiment: str | None = None,
) -> Decision:
    """Decide which alias a new model gets.

    `protocol` is the split's, `genres` are today's, `champion` is null where there is none, and
    `experiment` names the DVC experiment that the model comes from, if any. Experiments get no
    alias and leaky protocols are never promoted, even where there is no champion. A champion that
    cannot answer one of today's genres gives way; otherwise it stays unless the challenger is
    better.
    """
    if experiment is not None:
        return Decision(None, f"experiment {experiment}: experiments are recorded, never promoted")
    if protocol in LEAKY_PROTOCOLS:
        return Decision(
            CHALLENGER,
            f"split.protocol is {protocol}: pieces of one song are on both sides, so its figures "
            "are too good to be true and it is never promoted",
        )
    if champion is None:
        return Decision(CHAMPION, "there was no champion")
    if not champion.genres:
        return Decision(CHAMPION, f"version {champion.version} cannot answer: {champion.obstacle}")
    missing = sorted(set(genres) - set(champion.genres))
    if missing:
        return Decision(
            CHAMPION,
            f"version {champion.version} cannot answer today's genres (it does not know "
            f"{', '.join(missing)})",
        )
    if champion.comparison is None:
        return Decision(
            CHALLENGER,
            f"it cannot be compared with version {champion.version}: {champion.obstacle}",
        )
    return _by_score(champion.version, champion.comparison)


def _by_score(version: str, found: Comparison) -> Decision:
    figures = (
        f"song-level macro-F1 {found.estimate:+.3f} against version {version} (95 % interval "
        f"{found.low:+.3f} to {found.high:+.3f}), on {found.songs} validation songs that neither "
        "was trained on"
    )
    if found.estimate > 0:
        return Decision(CHAMPION, f"better: {figures}")
    verdict = "no better" if found.estimate == 0 else "worse"
    return Decision(CHALLENGER, f"{verdict}: {figures}")
