"""Describe the section ``plan``: what is protected, whose proofs count, and which paths are planned for."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from watchword.apps.settings.document import Inconsistency, Path_
from watchword.apps.settings.sections import (
    Because,
    Config,
    Digest,
    Duration,
    FileName,
    FilePath,
    Name,
    Pattern,
    Spell,
    Technique,
    Words,
    default,
    expected,
    within,
)
from watchword.plan.catalogue import LIKELIHOOD_WORDS
from watchword.plan.interface import (
    Actor,
    AssetKind,
    AttackPath,
    Component,
    Intelligence,
    PathOrigin,
    Quantities,
    Scenarios,
    Strike,
    Trait,
)

MAX_ASSETS: Final = 20_000
"""Most assets of a plan."""

MAX_SCENARIOS: Final = 20_000
"""Most paths that are added, pinned or struck, each."""

MAX_STEPS: Final = 20
"""Most steps of one path."""

MAX_BUDGET: Final = 10_000
"""Most units of effort: more than the whole catalogue takes."""

MAX_COUNT: Final = 10**12
"""Most users or records that stand behind an impact."""


NO_LIKELIHOOD: Final = (
    "no such field: the plan ranks by impact alone (a coat is stolen more often than a car, and "
    "the car is protected first); say under impact what a loss would do"
)


def likelihoods(data: Any, path: Path_) -> Iterator[Inconsistency]:
    """Yield each key that would state a likelihood, at any depth: a plan ranks by impact alone.

    :param data: plain values of a document, no deeper than it allows.
    :param path: where they stand in it.
    """
    if isinstance(data, dict):
        for key, value in data.items():
            here = (*path, key)
            if key.lower() in LIKELIHOOD_WORDS:
                yield here, f"the key {key}", NO_LIKELIHOOD
            yield from likelihoods(value, here)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from likelihoods(value, (*path, index))


def _day(value: Any) -> Any:
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise expected("a day such as 2027-06-30")


def _countable(assets: Any) -> Any:
    # Before each of them is looked at, and would have faults of its own.
    if isinstance(assets, dict) and len(assets) > MAX_ASSETS:
        raise expected(f"at most {MAX_ASSETS} assets")
    return assets


_Steps: TypeAlias = Annotated[list[Technique], Field(min_length=1, max_length=MAX_STEPS)]
_Count: TypeAlias = Annotated[int | None, Field(ge=0, le=MAX_COUNT)]


class ObserverConfig(Config):
    """Name one who may prove that a protection works."""

    key: FileName = Field(description="its public key, a JWK on P-256")


class AssetRouteConfig(Config):
    """Say where in an API an asset is served."""

    api: Name = Field(description="its name under apis")
    path: Pattern


class QuantitiesConfig(Config):
    """Say what stands behind an impact, for people; nothing is computed from it."""

    users: _Count = None
    records: _Count = None
    money: str | None = default(
        None,
        "amount and currency, such as 900000 AUD",
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,2})? [A-Z]{3}$",
    )
    downtime: Spell | None = default(None, "such as 4h")

    def build(self) -> Quantities:
        """Return them as the plan shows them."""
        return Quantities(self.users, self.records, self.money, self.downtime)


class AssetConfig(Config):
    """Describe one thing whose loss would hurt."""

    kind: Annotated[AssetKind, Words(AssetKind)]
    impact: int = Field(
        ge=1, le=5, description="on the business, whatever the odds; 5 is the worst"
    )
    because: Because = Field(description="why that much")
    lives_in: list[Annotated[Component, Words(Component)]] = default(
        [], "where it can be taken; backend is implied by routes"
    )
    traits: list[Annotated[Trait, Words(Trait)]] | None = default(
        None, "what an attacker is after; left out: by kind", min_length=1
    )
    actors: list[Annotated[Actor, Words(Actor)]] = default(
        [Actor.USER],
        "who calls it: user, with the app; partner, another organisation's server by mutual TLS",
        min_length=1,
    )
    routes: list[AssetRouteConfig] = default([], "where the APIs serve it", max_length=1000)
    quantities: QuantitiesConfig = QuantitiesConfig()


class PathConfig(Config):
    """Describe one path that an attacker takes."""

    asset: Name
    steps: _Steps = Field(description="techniques in order, the last one does the harm")
    assumes: list[Annotated[Intelligence, Words(Intelligence)]] = default(
        [], "what the attacker is taken to have already"
    )
    because: Because = Field(description="why this path is worth a look")

    def build(self, origin: PathOrigin) -> AttackPath:
        """Return the path as it is planned for."""
        steps, assumes = tuple(self.steps), frozenset(self.assumes)
        return AttackPath(self.asset, steps, origin, assumes, self.because)


class StrikeConfig(Config):
    """Say which derived paths are taken out; what is left out doesn't narrow."""

    asset: Name | None = None
    technique: Technique | None = default(None, "every path with this step")
    steps: _Steps | None = default(None, "exactly these, in this order")
    because: Because = Field(description="why such a path can't be taken, or why it is accepted")
    owner: Annotated[str, Field(min_length=1, max_length=80)] | None = default(
        None, "who accepted the risk; with until"
    )
    until: Annotated[date, BeforeValidator(_day)] | None = default(
        None, "the last day on which the acceptance counts, in UTC, such as 2027-06-30; with owner"
    )

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if self.asset is None and self.technique is None and self.steps is None:
            # It would take out every path, and the plan would be empty and look finished.
            raise expected("at least one of asset, technique and steps")
        if (self.owner is None) != (self.until is None):
            # An acceptance without an owner is nobody's, and one without an end is forgotten.
            raise expected("owner and until, or neither of them")
        return self

    def build(self) -> Strike:
        """Return the strike."""
        steps = None if self.steps is None else tuple(self.steps)
        return Strike(self.because, self.asset, self.technique, steps, self.owner or "", self.until)


class ScenariosConfig(Config):
    """Say which paths are planned for."""

    derive: bool = default(True, "build paths from what techniques need and give")
    strike: list[StrikeConfig] = default([], max_length=MAX_SCENARIOS)
    add: list[PathConfig] = default([], max_length=MAX_SCENARIOS)
    pin: list[PathConfig] = default(
        [], "paths that stay whatever is derived or struck", max_length=MAX_SCENARIOS
    )

    def build(self) -> Scenarios:
        """Return the scenarios."""
        return Scenarios(
            derive=self.derive,
            strike=tuple(each.build() for each in self.strike),
            add=tuple(each.build(PathOrigin.ADDED) for each in self.add),
            pin=tuple(each.build(PathOrigin.PINNED) for each in self.pin),
        )


class PlanConfig(Config):
    """Describe what the plan protects, and whose proofs count."""

    catalogue: FileName | None = default(None, "techniques and protections of your own")
    observations: FilePath | None = default(
        None, "left out: observations.jsonl in the service's state directory"
    )
    max_age: Annotated[Duration, within("1h", "365d")] = default(
        "30d", "how old a proof still counts"
    )
    observers: dict[Name, ObserverConfig] = default({}, "who may prove something, by name")
    builds: dict[Name, Digest] = default({}, "by app: SHA-256 of its current build")
    budget: int | None = default(
        None, "units of effort, each about a week of one person", ge=1, le=MAX_BUDGET
    )
    assets: Annotated[
        dict[Name, AssetConfig],
        BeforeValidator(_countable),
        Field(min_length=1, max_length=MAX_ASSETS, description="what would hurt to lose"),
    ]
    scenarios: ScenariosConfig = ScenariosConfig()
