"""The promotion gate: whether a newly trained model gets the alias `champion`.

`decide` is a pure function; it reads no file and no registry. Models are compared by the macro-F1
of songs, on the same validation songs, which neither was trained on (`genre.evaluation.compare`,
the challenger first). `register.policy` is the condition for a promotion:

- `not_worse`: the estimate is at least 0, and the lower end of its 95 % interval is above
  `-register.margin`. This promotes a model with more training songs if it is not worse.
- `superior`: the whole interval is above 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from genre.evaluation import Comparison
from genre.splits import LEAKY

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
Alias = Literal["champion", "challenger"]
Policy = Literal["not_worse", "superior"]
ROUNDING = 1e-9  # equal scores, summed in another order, differ by less
MIN_GROUPS = 2  # a bootstrap of one group has no interval


@dataclass(frozen=True)
class Champion:
    """The model that has the alias now.

    `comparison` is None if the two models cannot be compared; `obstacle` then says why. `usable` is
    False if the champion cannot predict at all: its files are damaged or it was registered by
    something else. `renamed` maps its genres to their names of today. `families` are the feature
    families of its inputs, empty if its models use none.
    """

    version: str
    genres: Collection[str]
    comparison: Comparison | None = None
    obstacle: str | None = None
    usable: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)
    families: Collection[str] = ()


@dataclass(frozen=True)
class Decision:
    """The alias that the new version gets, and the reason, as a message.

    `comparison` has the scores, the new version first and the champion `against` second, if the two
    were compared. `blocked` is true if the champion cannot be used, so that nothing can be compared
    until it is restored or replaced.
    """

    alias: Alias | None
    reason: str
    against: str | None = None
    comparison: Comparison | None = None
    blocked: bool = False


def decide(
    *,
    protocol: str,
    genres: Collection[str],
    champion: Champion | None,
    policy: Policy,
    margin: float,
    families: Collection[str] = (),
    experiment: str | None = None,
) -> Decision:
    """Decide which alias a new model gets.

    `protocol` is the split's, `genres` are today's, `champion` is None if there is none, `policy`
    and `margin` (of macro-F1) are those of `register`, and `experiment` names the DVC experiment
    that the model comes from, if any. Experiments get no alias and leaky protocols are never
    promoted, even if there is no champion. A champion whose inputs are of more feature families
    than `families`, the new model's, is only replaced manually. One that was not trained on all of
    today's genres is replaced without a comparison. Any other stays unless the challenger meets the
    policy, also if it cannot be used or compared.
    """
    if experiment is not None:
        return Decision(None, f"experiment {experiment}: experiments are recorded, never promoted")
    if protocol in LEAKY:
        return Decision(CHALLENGER, leak(protocol))
    if champion is None:
        return Decision(CHAMPION, "there was no champion")
    obstacle = f"it cannot be compared with version {champion.version}: {champion.obstacle}"
    if not champion.usable:
        return Decision(CHALLENGER, obstacle, blocked=True)
    if 0 < len(families) < len(champion.families):
        return Decision(
            CHALLENGER,
            f"fewer feature families ({', '.join(families)}) than version {champion.version} "
            f"({', '.join(champion.families)})",
            champion.version if champion.comparison else None,
            champion.comparison,
        )
    known = {champion.renamed.get(genre, genre) for genre in champion.genres}
    if missing := sorted(set(genres) - known):
        return Decision(
            CHAMPION,
            f"version {champion.version} was not trained on today's genres {', '.join(missing)}",
        )
    if champion.comparison is None:
        return Decision(CHALLENGER, obstacle)
    decision = _by_score(champion.version, champion.comparison, policy, margin)
    if not champion.renamed:
        return decision
    names = ", ".join(f"{old} is now called {new}" for old, new in champion.renamed.items())
    return replace(decision, reason=f"{decision.reason}; {names}")


def leak(protocol: str) -> str:
    """Why a model of a leaky protocol is never promoted."""
    return (
        f"split.protocol is {protocol}: segments of one song are in several subsets, so its "
        "figures are too good to be true and it is never promoted"
    )


def _by_score(version: str, found: Comparison, policy: Policy, margin: float) -> Decision:
    figures = (
        f"song-level macro-F1 {found.estimate:+.3f} against version {version} (95 % interval "
        f"{found.low:+.3f} to {found.high:+.3f}), on {found.songs} validation songs that neither "
        "was trained on"
    )

    def decision(alias: Alias, reason: str) -> Decision:
        return Decision(alias, reason, version, found)

    if found.groups < MIN_GROUPS:
        return decision(CHALLENGER, f"too few songs to tell: {figures}")
    if found.estimate < -ROUNDING:
        return decision(CHALLENGER, f"worse: {figures}")
    better = found.estimate > ROUNDING
    floor = 0.0 if policy == "superior" else -margin
    if found.low > floor + ROUNDING:
        return decision(CHAMPION, f"{'better' if better else 'as good'}: {figures}")
    verdict = "better, but not significantly" if better else "as good, but not significantly"
    if policy == "superior" and not better:
        verdict = "no better"
    return decision(
        CHALLENGER,
        f"{verdict}: {figures}; register.policy {policy} requires a lower end above {floor:g}",
    )
