"""Describe the rows of an API's route table, and what instances may send on them."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from watchword.apps.settings.values import (
    AppLevel,
    AppVersions,
    Config,
    Duration,
    Method,
    Name,
    Pattern,
    Words,
    default,
    within,
)
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout, Route
from watchword.vocabulary import Mode, Proof


class RateConfig(Config):
    """Say how many requests one instance may send."""

    requests: int = Field(ge=1, le=1_000_000)
    per: Annotated[Duration, within("1s", "1h")] = default("1m")

    def build(self) -> Rate:
        """Return the rate."""
        return Rate(self.requests, self.per)


class CanaryConfig(Config):
    """Say for whom a route in mode ``canary`` enforces, and when it takes that back."""

    share: int = Field(ge=1, le=100, description="percent of the instances")
    from_versions: AppVersions = default({}, "by app: the lowest version that takes part")
    budget: float = default(2.0, "percent of instances refused before it narrows", gt=0, le=100)

    def build(self) -> Rollout:
        """Return the canary of a route."""
        return Rollout(self.share, dict(self.from_versions), self.budget)


class RouteConfig(Config):
    """Describe one route; the first that matches a request decides."""

    path: Pattern
    methods: list[Method] | None = default(None, "all methods if left out", min_length=1)
    level: AppLevel = default("hardware", "the least level an instance must have")
    proof: Annotated[Proof, Words(Proof)] = default("bearer", "what ties a request to the instance")
    mode: Annotated[Mode, Words(Mode)] = default(
        "enforce", "off: no check; monitor: count refusals, let pass; enforce: refuse"
    )
    canary: CanaryConfig | None = default(None, "for whom it enforces; with mode canary")
    dpop: bool = default(False, "proof device: take DPoP too, which covers neither query nor body")
    max_body: int = default(
        1024 * 1024, "most bytes that a proof covers", ge=1, le=64 * 1024 * 1024
    )
    minimum_versions: AppVersions = default({}, "by app: the lowest version that is let in")
    secret: Name | None = default(
        None, "key of secrets.keys that the gate adds; goes to that key's origin"
    )

    def build(self, api: str, index: int) -> Route:
        """Return the row of an API's route table."""
        return Route(
            name=f"{api}[{index}] {self.path}",
            pattern=self.path,
            methods=frozenset(self.methods or ()),
            level=self.level,
            proof=self.proof,
            mode=self.mode,
            dpop=self.dpop,
            max_body=self.max_body,
            minimum_versions=dict(self.minimum_versions),
            canary=None if self.canary is None else self.canary.build(),
            secret=self.secret,
        )


class LimitConfig(Config):
    """Say how many requests one instance may send on some routes, or with some versions of an app."""

    name: Name
    kind: Annotated[LimitKind, Words(LimitKind)] = default(
        "rate", "rate: refilled evenly; quota: so many in each window, from 0:00 UTC on"
    )
    requests: int = Field(ge=1, le=1_000_000_000)
    per: Annotated[Duration, within("1s", "31d")] = default("1m")
    routes: list[Pattern] | None = default(
        None, "paths of routes that count together; left out: all", min_length=1
    )
    below: AppVersions = default({}, "by app: holds below this version alone")
    mode: Literal["monitor", "enforce"] = default("enforce", "monitor: count and report, let pass")

    def build(self, routes: Iterable[Route]) -> Limit:
        """Return the limit; paths of routes become the routes that have them."""
        return Limit(
            name=self.name,
            kind=self.kind,
            requests=self.requests,
            seconds=self.per,
            routes=frozenset(each.name for each in routes if each.pattern in (self.routes or ())),
            below=dict(self.below),
            enforced=self.mode == "enforce",
        )
