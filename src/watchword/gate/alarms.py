"""Tell who used a canary key: what an operator needs to find the leak and the thief, and never the key.

A canary key is planted where only thieves look, so that each use of one is an alarm, whoever sends it and
whatever becomes of the request.  What is told of the sender comes from the sender, except for the address and
the verified claims: it is cut, and control characters are taken out of it before anybody prints it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, Protocol

from watchword.broker.honeytokens import spot
from watchword.broker.interface import HoneytokenWatch
from watchword.gate.interface import Decision, GateState, RequestFacts

MAX_TEXT: Final = 256
"""Most characters of a text that the sender chose."""

MAX_NAME: Final = 64
MAX_NAMES: Final = 64
"""Most characters of a header's name, and most names, that are kept."""

_KEY_INSIDE: Final = b"(a canary key)"

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class HoneytokenAlarm(NamedTuple):
    """Hold the traits of one request that carried a canary key.

    :param at: seconds since 1970.
    :param canary: its name.
    :param route: the route's name; ``path`` as it was sent, without the query.
    :param address: of who is connected to the gate: a terminator's, where one stands in front.
    :param forwarded: ``X-Forwarded-For`` as it came; anybody can write it where no terminator does.
    :param header_names: in their order, which tells programs apart.
    :param app: of the verified token, as ``version`` and ``subject``; None where there was none.
    :param refused: whether the request was refused, for whatever reason.
    """

    at: float
    canary: str
    api: str
    route: str
    method: str
    path: str
    address: str
    forwarded: str
    user_agent: str
    header_names: tuple[str, ...]
    app: str | None
    version: str | None
    subject: str | None
    refused: bool


class Sighting(NamedTuple):
    """Hold a request that carried a canary key, as it came: it is worked up when it was answered.

    :param at: seconds since 1970.
    :param address: of the sender, as the engine saw it.
    """

    at: float
    facts: RequestFacts
    decision: Decision
    state: GateState
    address: str


class HoneytokenAlarms(Protocol):
    """Hear of each use of a canary key."""

    def raised(self, sighting: Sighting) -> None:
        """Keep it for :func:`alarm_of`, which isn't done here; never waits, and never raises.

        Whoever uses a canary key must not see by the time of the answer that it is one.
        """


def alarm_of(sighting: Sighting) -> HoneytokenAlarm | None:
    """Return what is told of a request that carried a canary key, None for one that carried none.

    :raises UnavailableError: while the state knows nothing; no canary is found then either.
    """
    at, facts, decision, state, address = sighting
    if decision.canary is None:
        return None
    hidden = partial(_without_keys, state.canaries)
    claims = decision.claims
    return HoneytokenAlarm(
        at=at,
        canary=decision.canary,
        api=state.policy.api,
        route=decision.route,
        method=facts.method,
        path=printable(hidden(facts.raw_path)),
        address=_CONTROLS.sub("", address)[:MAX_NAME],
        forwarded=printable(hidden(_first(facts.headers, b"x-forwarded-for"))),
        user_agent=printable(hidden(_first(facts.headers, b"user-agent"))),
        header_names=tuple(
            printable(hidden(name), MAX_NAME) for name, _ in facts.headers[:MAX_NAMES]
        ),
        app=None if claims is None else claims.app_id,
        version=None if claims is None else claims.app_version,
        subject=None if claims is None else claims.subject,
        refused=not decision.allow and decision.pending is None,
    )


def printable(text: bytes, most: int = MAX_TEXT) -> str:
    """Return bytes of a stranger as text without control characters, cut to so many characters."""
    return _CONTROLS.sub("", text.decode("latin-1"))[:most]


def _without_keys(watch: HoneytokenWatch | None, text: bytes) -> bytes:
    """Return a trait, or a mark in its place where a canary key stands in it too: keys are shown to nobody."""
    if watch is None:
        return text
    anywhere = replace(watch, headers=("trait",), parameters=())
    return text if spot(anywhere, [(b"trait", text)], b"") is None else _KEY_INSIDE


def _first(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Return the first value of a header, empty where there is none."""
    return next((value for name, value in headers if name.lower() == wanted), b"")
