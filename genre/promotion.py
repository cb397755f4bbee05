"""The gate: whether a newly trained model takes the alias `champion`.

One pure function, `decide`, over facts that others gather; it reads no file and no registry.
Models are compared by the macro-F1 of whole songs, on the same validation songs for both, none of
which either was trained on (`genre.evaluation.compare`, the challenger first). What a challenger
has to show is `register.policy`:

- `not_worse`: the estimate is at least 0, and the lower end of its 95 % interval lies above
  `-register.margin`. A model that learned from more songs may take over where it does no harm.
- `superior`: the whole interval lies above 0.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from genre.evaluation import Comparison
from genre.splits import LEAKY

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
Alias = Literal["champion", "challenger"]
Policy = Literal["not_worse", "superior"]
ROUNDING = 1e-9  # equal scores, summed in another order, differ by less
FEWEST_GROUPS = 2  # one group drawn again and again is always the same: no interval


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
    """The alias that the new version is given, and why, in words for a person.

    `comparison` holds the figures behind it, the new version first and the champion `against`
    second, where the two were compared.
    """

    alias: Alias | None
    reason: str
    against: str | None = None
    comparison: Comparison | None = None


def decide(
    *,
    protocol: str,
    genres: Collection[str],
    champion: Champion | None,
    policy: Policy,
    margin: float,
    experiment: str | None = None,
) -> Decision:
    """Decide which alias a new model gets.

    `protocol` is the split's, `genres` are today's, `champion` is null where there is none,
    `policy` and `margin` (of macro-F1) are those of `register`, and `experiment` names the DVC
    experiment that the model comes from, if any. Experiments get no alias and leaky protocols are
    never promoted, even where there is no champion. A champion that cannot answer one of today's
    genres gives way; otherwise it stays unless the challenger meets the policy.
    """
    if experiment is not None:
        return Decision(None, f"experiment {experiment}: experiments are recorded, never promoted")
    if protocol in LEAKY:
        return Decision(CHALLENGER, leak(protocol))
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
    return _by_score(champion.version, champion.comparison, policy, margin)


def leak(protocol: str) -> str:
    """Why a model of a leaky protocol is never promoted."""
    return (
        f"split.protocol is {protocol}: pieces of one song are on both sides, so its figures "
        "are too good to be true and it is never promoted"
    )


def _by_score(version: str, found: Comparison, policy: Policy, margin: float) -> Decision:
    figures = (
        f"song-level macro-F1 {found.estimate:+.3f} against version {version} (95 % interval "
        f"{found.low:+.3f} to {found.high:+.3f}), on {found.songs} validation songs that neither "
        "was trained on"
    )

    def decision(alias: Alias, reason: str) -> Decision:
        return Decision(alias, reason, version, found)

    if found.groups < FEWEST_GROUPS:
        return decision(CHALLENGER, f"too few songs to tell: {figures}")
    if found.estimate < -ROUNDING:
        return decision(CHALLENGER, f"worse: {figures}")
    better = found.estimate > ROUNDING
    floor = 0.0 if policy == "superior" else -margin
    if found.low > floor + ROUNDING:
        return decision(CHAMPION, f"{'better' if better else 'as good'}: {figures}")
    verdict = "better, but not surely so" if better else "as good, but not surely so"
    if policy == "superior" and not better:
        verdict = "no better"
    return decision(
        CHALLENGER,
        f"{verdict}: {figures}; register.policy {policy} asks for a lower end above {floor:g}",
    )
