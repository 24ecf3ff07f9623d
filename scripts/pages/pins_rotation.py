"""Write docs/pins-rotation.md: every scenario that `watchword pins rehearse` plays, and how it ends for installed apps."""

import hashlib
from pathlib import Path
from typing import Final

from watchword.pins.installed import DAY
from watchword.pins.interface import (
    AfterExpiry,
    Builtin,
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
)
from watchword.pins.rehearsal import (
    OFFLINE,
    SCENARIOS,
    Ending,
    Outcome,
    Rehearsal,
    Situation,
    rehearse,
)
from watchword.tokens.jose import SigningKey

TARGET = Path(__file__).parents[2] / "docs" / "pins-rotation.md"
HOST: Final = "api.example.com"
START: Final = 1_795_000_000
INTRODUCTION = """\
# Rotations and accidents

The tables show what each rotation and each accident does to installed apps, step by step. `watchword pins rehearse` plays the same with
your own set, servers and app versions; [pins-emergency.md](pins-emergency.md) has the commands. There are two example deployments:

- **Own key**: the host is pinned by its operator's keys: current A, next N, backup B. App 1.0 shipped with an older set (A, backup B), app
  2.0 with the published one. Open after expiry.
- **CDN**: the host is pinned by two authorities, because the CDN chooses its keys. Closed after expiry. One app version, shipped with the set.

| word | meaning |
| --- | --- |
| fetches | the phone takes what is published |
| never fetched | the phone has been offline since the installation, or its way to the service is blocked |
| served | a pin matched. If somebody intercepts, that is what the attacker wants |
| refused | nothing is sent |
| unpinned | the platform's trust decides; the connection is reported, and gets no secrets |
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for title, situation in (("Own key", own_key()), ("CDN", cdn())):
        rehearsals = [rehearse(each, situation) for each in SCENARIOS]
        parts.append(f"## {title}\n\n{_table(rehearsals)}")
    return "\n".join(parts)


def own_key() -> Situation:
    """Return the deployment that holds its keys itself."""
    first = _set(1, _host({"A": PinRole.CURRENT, "B": PinRole.BACKUP}))
    held = {"A": PinRole.CURRENT, "N": PinRole.NEXT, "B": PinRole.BACKUP}
    published = _set(5, _host(held))
    fleet = (_build("1.0", first), _build("2.0", published))
    return Situation(HOST, published, _roots(), _chain("A"), START + DAY, fleet)


def cdn() -> Situation:
    """Return the deployment behind a CDN."""
    held = {"root": PinRole.CA, "other root": PinRole.CA}
    published = _set(5, _host(held, AfterExpiry.CLOSED))
    fleet = (_build("1.0", published),)
    return Situation(HOST, published, _roots(), _chain("the CDN's"), START + DAY, fleet)


def _table(rehearsals: list[Rehearsal]) -> str:
    lines: list[str] = []
    for rehearsal in rehearsals:
        for at, played in enumerate(rehearsal.played or ()):
            if not lines:
                names = [_heading(name) for name in played.endings]
                lines = [_row(["scenario", "step", *names]), _row(["---"] * (len(names) + 2))]
            name = f"**{rehearsal.scenario.title}** (`{rehearsal.scenario.name}`)" if not at else ""
            step = played.step.title
            if played.step.intercepts is not None:
                step = f"*intercepted:* {step}"
            lines.append(_row([name, step, *map(_words, played.endings.values())]))
    return "\n".join(lines) + "\n"


def _heading(name: str) -> str:
    return name if name.endswith(OFFLINE) else f"{name}, fetches"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _words(ending: Ending) -> str:
    if ending.outcome is Outcome.UNPINNED and not ending.withheld:
        return "unpinned, secrets flow"
    return ending.outcome.value


def _spki(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _chain(leaf: str) -> tuple[bytes, ...]:
    return (_spki(leaf), _spki("intermediate"), _spki("root"))


def _key(name: str) -> SigningKey:
    return SigningKey.from_wide_secret(hashlib.sha512(name.encode()).digest())


def _roots() -> RootList:
    keys = [_key(f"root key {at}").verification_key() for at in range(3)]
    pin_key = _key("pin key").verification_key()
    return RootList(
        version=1,
        expires=START + 730 * DAY,
        keys={each.kid: each for each in keys},
        threshold=2,
        pin_keys={pin_key.kid: pin_key},
    )


def _build(version: str, first: PinSet) -> Builtin:
    return Builtin("clinic-android", version, _roots(), 1, first)


def _host(held: dict[str, PinRole], after: AfterExpiry = AfterExpiry.OPEN) -> HostPins:
    pins = tuple(Pin(_spki(name), role) for name, role in held.items())
    return HostPins(HOST, PinMode.ENFORCE, pins, after_expiry=after)


def _set(version: int, host: HostPins) -> PinSet:
    return PinSet(
        app="clinic-android",
        version=version,
        issued_at=START,
        soft_expiry=START + 14 * DAY,
        hard_expiry=START + 90 * DAY,
        root_version=1,
        hosts=(host,),
        key=_key("pin key").kid,
    )
