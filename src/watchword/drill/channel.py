"""Make attempts that are about the channel: requests over weak connections, and interceptions of an app that pins.

The app in between is the reference client's judgement, by the root lists and the set that the service under attack hands out at
this moment; where it takes the connection, the request goes on to the API, as an interceptor passes it on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from watchword.drill.around import armed
from watchword.drill.interface import (
    AbsentError,
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Run,
)
from watchword.drill.requests import genuine_call
from watchword.drill.wire import Answer, Call, Part, Weakness
from watchword.pins.installed import accept_roots, accept_set, fresh, judge
from watchword.pins.interface import PIN_BYTES, Builtin, Installed
from watchword.pins.roots import read_roots
from watchword.reasons import RefusedError

MAX_WALK: Final = 64
"""Most root lists that are walked through."""

_OK: Final = 200
_CLOSED: Final = Answer(0)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Hold what the service hands out for an app, and what an installation makes of it.

    :param installed: what a new installation trusts after its first fetch.
    :param signed: the set as it came; None where none came.
    """

    app: str
    installed: Installed
    signed: bytes | None


def weakly(weakness: Weakness) -> Run:
    """Return a variant: a sample of each route over a connection that is weak in one way.

    It raises :class:`MissingError` when there is no TLS to be weakened, here or there.
    """

    def run(context: AttackContext) -> Attempts:
        if context.channel is None:
            raise MissingError(Need.TLS)
        attempts = []
        for sample in armed(context):
            # What the genuine app sends: whoever is on the way would have read it.
            call = (
                genuine_call(context, sample, context.genuine())
                if context.shared
                else sample.call()
            )
            attempts.append(Attempt(sample, context.channel.send_weakly(call, weakness)))
        return attempts

    return run


def delivered(context: AttackContext) -> Sequence[Delivered]:
    """Return what the service hands out for each app that has pins.

    A set that a new installation refuses pins nothing: it goes unpinned then.

    :raises AbsentError: when there are no pins for any app of the API.
    """
    found = [each for app in sorted(context.facts.audiences) if (each := _of_app(context, app))]
    if not found:
        raise AbsentError(Need.PINS)
    return found


def hosts_of(context: AttackContext, installed: Installed) -> Sequence[str]:
    """Return the hosts that are intercepted: the API's own, or all that are pinned where it's reached on this machine."""
    name = context.wire.authority(Part.GATE).rpartition(":")[0] or context.wire.authority(Part.GATE)
    own = name != "localhost" and not name.startswith("[") and not name.rpartition(".")[2].isdigit()
    pinned = () if installed.set is None else tuple(each.host for each in installed.set.hosts)
    return (name,) if own or not pinned else pinned


def intercepted(context: AttackContext, installed: Installed, after: float = 0) -> Attempts:
    """Sit between an installation and each host, with a certificate that its platform trusts.

    :param after: seconds from now, through which nothing newer reaches the installation.
    """
    sample = context.sample()
    attempts = []
    for host in hosts_of(context, installed):
        chain = [context.random(PIN_BYTES) for _ in range(3)]
        judgement = judge(installed, host, chain, context.now() + after)
        answer = _CLOSED
        if judgement.passes:
            answer = context.wire.send(genuine_call(context, sample, context.genuine()))
        attempts.append(Attempt(sample, answer))
    return attempts


def handed(
    context: AttackContext, to: Installed, lists: Sequence[bytes], signed: bytes | None
) -> Attempts:
    """Hand an installation forged root lists and a forged set, then sit in between."""
    now = context.now()
    try:
        for data in lists:
            to = accept_roots(to, data, now)
        if signed is not None:
            to = accept_set(to, signed, now)
    except RefusedError:
        return intercepted(
            context, to
        )  # As good as it was: what was accepted before the refusal is kept.
    return [
        *intercepted(context, to),
        Attempt(context.sample(), _CLOSED, leaked="taken by the app"),
    ]


def _of_app(context: AttackContext, app: str) -> Delivered | None:
    data = _fetched(context, f"/v1/pins/{app}/roots/1")
    if data is None:
        return None
    now = context.now()
    installed = fresh(Builtin(app, "", read_roots(data, None)))
    for _ in range(MAX_WALK):
        data = _fetched(context, f"/v1/pins/{app}/roots/{installed.roots.version + 1}")
        if data is None:
            break
        installed = accept_roots(installed, data, now)
    signed = _fetched(context, f"/v1/pins/{app}")
    if signed is not None:
        try:
            installed = accept_set(installed, signed, now)
        except RefusedError:
            signed = None
    return Delivered(app, installed, signed)


def _fetched(context: AttackContext, target: str) -> bytes | None:
    answer = context.wire.send(Call(Part.SERVICE, "GET", target))
    return answer.body if answer.status == _OK else None
