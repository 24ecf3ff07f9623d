"""Hand the app a pin set that isn't the operator's, or isn't of today."""

from collections.abc import Callable
from dataclasses import replace

from watchword.drill.channel import Delivered, delivered, handed
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.tokens import new_key
from watchword.encoding import base64url
from watchword.pins.interface import PinMode, PinSet
from watchword.pins.sets import payload_of, sign_set

_SEGMENTS = 3


def _handed(forged: Callable[[AttackContext, Delivered, PinSet], bytes]) -> Run:
    def run(context: AttackContext) -> Attempts:
        attempts: list[Attempt] = []
        for each in delivered(context):
            if each.installed.set is not None:
                data = forged(context, each, each.installed.set)
                attempts += handed(context, each.installed, (), data)
        if not attempts:
            raise MissingError(Need.PINS, "one that a new installation takes")
        return attempts

    return run


def _emptied(held: PinSet) -> PinSet:
    """Return the next set, which pins nothing."""
    return replace(held, version=held.version + 1, hosts=())


def _signed_by_a_stranger(context: AttackContext, _: Delivered, held: PinSet) -> bytes:
    return sign_set(_emptied(held), new_key(context))


def _under_the_id(context: AttackContext, each: Delivered, held: PinSet) -> bytes:
    """Keep the genuine header, which names the genuine key."""
    header = (each.signed or b"").split(b".")[0]
    _, payload, signature = _signed_by_a_stranger(context, each, held).split(b".")
    return b".".join((header, payload, signature))


def _with_payload(each: Delivered, payload: bytes) -> bytes:
    """Keep the genuine header and signature."""
    segments = (each.signed or b"..").split(b".")
    return b".".join((segments[0], base64url.encode(payload).encode(), segments[_SEGMENTS - 1]))


def _report_only(_: AttackContext, each: Delivered, held: PinSet) -> bytes:
    hosts = tuple(replace(host, mode=PinMode.REPORT) for host in held.hosts)
    return _with_payload(each, payload_of(replace(held, version=held.version + 1, hosts=hosts)))


def _prolonged(_: AttackContext, each: Delivered, held: PinSet) -> bytes:
    return _with_payload(each, payload_of(_emptied(held)))


def _unsigned(_: AttackContext, __: Delivered, held: PinSet) -> bytes:
    header = base64url.encode(b'{"alg":"none","typ":"watchword-pins+jwt"}')
    return f"{header}.{base64url.encode(payload_of(_emptied(held)))}.".encode()


def _rolled_back(context: AttackContext) -> Attempts:
    """Hand today's set to an installation that has seen tomorrow's."""
    attempts: list[Attempt] = []
    for each in delivered(context):
        held = each.installed.set
        if held is not None:
            later = replace(held, version=held.version + 1)
            ahead = replace(each.installed, set=later, seen=later.version)
            attempts += handed(context, ahead, (), each.signed)
    if not attempts:
        raise MissingError(Need.PINS, "one that a new installation takes")
    return attempts


ATTACK = Attack(
    id="pins-forged",
    title="Hand the app pins that are forged, or of yesterday",
    techniques=("MT-C01", "MT-C03", "MT-C04"),
    protections={"PR-C03": "live:pins.expiry_days"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="To an installation that holds what the service hands out: sets by another key, under the genuine key's "
    "name, with changed mode or hosts, unsigned, or older than one that was seen. Then what pins-intercepted sends.",
    must="Each is refused, and the genuine set continues to enforce.",
    blind="It shows what the reference client accepts under the deployment's own root list; the published vectors test "
    "other clients. A stolen pin key isn't tried: a new root list withdraws it.",
    variants=(
        Variant("by-a-strangers-key", _handed(_signed_by_a_stranger)),
        Variant("under-the-genuine-keys-name", _handed(_under_the_id)),
        Variant("mode-changed", _handed(_report_only)),
        Variant("hosts-taken-out", _handed(_prolonged)),
        Variant("unsigned", _handed(_unsigned)),
        Variant("rolled-back", _rolled_back),
    ),
    exploits=False,  # Whoever reads on the way learns.
)
