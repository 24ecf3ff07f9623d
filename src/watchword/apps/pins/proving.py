"""Tell what a check proves: that pins are there, hold, and won't lock anybody out soon."""

from datetime import datetime
from ipaddress import ip_address
from typing import Final

from watchword import __version__
from watchword.apps.pins.checking import Check, Weight
from watchword.apps.pins.words import DAY, in_words
from watchword.observations import Observation, State
from watchword.pins.interface import PinMode
from watchword.vocabulary import Environment

PROTECTION: Final = "PR-C03"
KEY: Final = "live:pins.expiry_days"

NEAR: Final = 14 * DAY
"""Seconds before an expiry from which on it is near, where nobody says otherwise."""

_LOG: Final = frozenset({"log", "draft", "differs", "uncovered", "rotation", "set-soft"})
"""Findings that don't take away from what the published sets do."""


def observation_of(
    found: Check,
    *,
    api: str,
    at: datetime,
    environment: Environment,
    generation: str | None,
    within: int | None,
) -> Observation | None:
    """Return what a check says of the protection at an API; None where a host couldn't be looked at, and nothing is bad.

    Proven: every app of it has a set that is enforced and not near its expiry, with a backup, and each host showed a key
    in it by a chain that holds.  Broken: it is there and doesn't do that.  Absent: nothing is published.
    """
    published = [each for each in found.published.values() if each is not None]
    state, detail = _judged(found, at.timestamp(), NEAR if within is None else within)
    if state is None:
        return None
    places = [sight.place for look in found.looks.values() for sight in look.sights]
    days = min((each.hard_expiry - at.timestamp() for each in published), default=0.0) // DAY
    return Observation(
        protection=PROTECTION,
        key=KEY,
        state=state,
        at=at,
        target=f"api:{api}",
        source=f"watchword pins check {__version__}",
        environment=environment,
        loopback=bool(places) and all(map(_is_loopback, places)),
        generation=generation,
        detail=f"{days:.0f} days until the first set expires; {detail}" if published else detail,
    )


def _judged(found: Check, now: float, near: int) -> tuple[State | None, str]:
    published = list(found.published.values())
    if not published or not any(published):
        return State.ABSENT, "no pin set is published"
    if not all(published):
        return State.BROKEN, "not every app of it has a published set"
    bad = [each for each in found.of(Weight.BAD) if each.code not in {*_LOG, "unreachable"}]
    if bad:
        return State.BROKEN, f"{bad[0].subject}: {bad[0].text}"
    for each in published:
        assert each is not None
        if each.hard_expiry - now < near:
            return State.BROKEN, f"{each.app}: expires in {in_words(each.hard_expiry - now)}"
        reporting = [host.host for host in each.hosts if host.mode is PinMode.REPORT]
        if reporting:
            return State.BROKEN, f"{each.app}: {', '.join(reporting)} only reports"
    if any(look.troubles or not look.sights for look in found.looks.values()):
        return None, "a host couldn't be reached"
    places = sum(len(look.sights) for look in found.looks.values())
    return (
        State.PROVEN,
        f"{len(found.looks)} hosts at {places} places show a pinned key, backups are pinned",
    )


def _is_loopback(place: str) -> bool:
    return ip_address(place.rpartition(":")[0].strip("[]")).is_loopback
