"""Describe the ``plan`` of ``watchword.yaml`` as it is written: assets, observers and scenarios."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from watchword.apps.settings.written_types import (
    TECHNIQUE,
    Digest,
    Duration,
    FilePath,
    Name,
    Pattern,
    Written,
    within,
)

MAX_ASSETS = 20_000
"""Most assets of a plan."""

MAX_SCENARIOS = 20_000
"""Most paths that are added, pinned or struck, each."""

MAX_STEPS = 20
"""Most steps of one path."""

MAX_BUDGET = 10_000
"""Most units of effort: more than the whole catalogue takes."""

MAX_COUNT = 10**12
"""Most users or records that stand behind an impact."""


def _reason(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("expected", "{expected}", {"expected": "a reason in words"})
    return text


def _countable(assets: Any) -> Any:
    # Before each of them is looked at, and would have faults of its own.
    if isinstance(assets, dict) and len(assets) > MAX_ASSETS:
        expected = {"expected": f"at most {MAX_ASSETS} assets"}
        raise PydanticCustomError("expected", "{expected}", expected)
    return assets


_Reason: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_reason)]
_Technique: TypeAlias = Annotated[str, Field(pattern=TECHNIQUE)]
_Steps: TypeAlias = Annotated[list[_Technique], Field(min_length=1, max_length=MAX_STEPS)]
_Component: TypeAlias = Literal["app", "channel", "backend"]
_Kind: TypeAlias = Literal["data", "service", "use-case"]
_Trait: TypeAlias = Literal[
    "records",
    "live-data",
    "account",
    "stored-value",
    "payment",
    "inventory",
    "third-party-key",
    "availability",
    "app-logic",
    "internal-network",
    "fraud-rule",
]
_Intelligence: TypeAlias = Literal[
    "api_key",
    "protocol",
    "endpoints",
    "session_token",
    "credentials",
    "device_control",
    "app_logic",
    "scale",
    "client_certificate",
]
_Actor: TypeAlias = Literal["user", "partner"]
_Count: TypeAlias = Annotated[int | None, Field(ge=0, le=MAX_COUNT)]


class WrittenObserver(Written):
    """Name one who may prove that a protection works."""

    key: Annotated[FilePath, Field(description="its public key, a JWK on P-256")]


class WrittenAssetRoute(Written):
    """Say where in an API an asset is served."""

    api: Annotated[Name, Field(description="its name under apis")]
    path: Pattern


class WrittenQuantities(Written):
    """Say what stands behind an impact, for people; nothing is computed from it."""

    users: _Count = None
    records: _Count = None
    money: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9]{1,15}(\.[0-9]{1,2})? [A-Z]{3}$",
            description="amount and currency, such as 900000 AUD",
        ),
    ] = None
    downtime: Annotated[Duration | None, Field(description="such as 4h")] = None


class WrittenAsset(Written):
    """Describe one thing whose loss would hurt."""

    kind: _Kind
    impact: Annotated[
        int, Field(ge=1, le=5, description="on the business, whatever the odds; 5 is the worst")
    ]
    because: Annotated[_Reason, Field(description="why that much")]
    lives_in: Annotated[
        list[_Component],
        Field(description="where it can be taken; backend is implied by routes"),
    ] = []
    traits: Annotated[
        list[_Trait] | None,
        Field(min_length=1, description="what an attacker is after; left out: by kind"),
    ] = None
    actors: Annotated[
        list[_Actor],
        Field(
            min_length=1,
            description="who calls it: user, with the app; partner, another organisation's server by mutual TLS",
        ),
    ] = ["user"]
    routes: Annotated[
        list[WrittenAssetRoute], Field(max_length=1000, description="where the APIs serve it")
    ] = []
    quantities: WrittenQuantities = WrittenQuantities()


class WrittenPath(Written):
    """Describe one path that an attacker takes."""

    asset: Name
    steps: Annotated[_Steps, Field(description="techniques in order, the last one does the harm")]
    assumes: Annotated[
        list[_Intelligence], Field(description="what the attacker is taken to have already")
    ] = []
    because: Annotated[_Reason, Field(description="why this path is worth a look")]


class WrittenStrike(Written):
    """Say which derived paths are taken out; what is left out doesn't narrow."""

    asset: Name | None = None
    technique: Annotated[_Technique | None, Field(description="every path with this step")] = None
    steps: Annotated[_Steps | None, Field(description="exactly these, in this order")] = None
    because: Annotated[_Reason, Field(description="why such a path can't be taken")]

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if self.asset is None and self.technique is None and self.steps is None:
            # It would take out every path, and the plan would be empty and look finished.
            expected = "at least one of asset, technique and steps"
            raise PydanticCustomError("expected", "{expected}", {"expected": expected})
        return self


class WrittenScenarios(Written):
    """Say which paths are planned for."""

    derive: Annotated[bool, Field(description="build paths from what techniques need and give")] = (
        True
    )
    strike: Annotated[list[WrittenStrike], Field(max_length=MAX_SCENARIOS)] = []
    add: Annotated[list[WrittenPath], Field(max_length=MAX_SCENARIOS)] = []
    pin: Annotated[
        list[WrittenPath],
        Field(
            max_length=MAX_SCENARIOS, description="paths that stay whatever is derived or struck"
        ),
    ] = []


class WrittenPlan(Written):
    """Describe what the plan protects, and whose proofs count."""

    catalogue: Annotated[
        FilePath | None, Field(description="techniques and protections of your own")
    ] = None
    observations: Annotated[
        FilePath | None,
        Field(description="left out: observations.jsonl in the service's state directory"),
    ] = None
    max_age: Annotated[
        Duration, within("1h", "365d"), Field(description="how old a proof still counts")
    ] = "30d"
    observers: Annotated[
        dict[Name, WrittenObserver], Field(description="who may prove something, by name")
    ] = {}
    builds: Annotated[
        dict[Name, Digest], Field(description="by app: SHA-256 of its current build")
    ] = {}
    budget: Annotated[
        int | None,
        Field(ge=1, le=MAX_BUDGET, description="units of effort, each about a week of one person"),
    ] = None
    assets: Annotated[
        dict[Name, WrittenAsset],
        BeforeValidator(_countable),
        Field(min_length=1, max_length=MAX_ASSETS, description="what would hurt to lose"),
    ]
    scenarios: WrittenScenarios = WrittenScenarios()
