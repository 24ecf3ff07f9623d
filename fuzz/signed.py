"""Fuzz what the service and gates sign: gate bundles, and verdicts for APIs; and what gates keep of them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.unit.gate.simulators import AUDIENCE, ISSUER, NOW, SIGNER
from tests.unit.gate.test_bundle import BUNDLE, KEY, SERVICE
from tests.unit.gate.test_signed_verdict import TARGET as VERDICT_TARGET
from tests.unit.gate.test_signed_verdict import VERDICT, GateKeys

from watchword.adapters.gate_bundle.heads import heads_from_json
from watchword.adapters.pace_file import read_states, write_states
from watchword.encoding import base64url
from watchword.enrolment.pace import LineState, PaceState, Place, PlaceSeal
from watchword.gate import signed_verdict
from watchword.gate.bundle import BUNDLE_TYPE, MAX_BUNDLE_BYTES, GateBundleError, from_jws, to_jws
from watchword.reasons import RefusedError
from watchword.tokens import jose


def read_bundle(data: bytes) -> None:
    """Read a bundle as it came, and as what the service has signed."""
    signed = jose.assemble(data, BUNDLE_TYPE, SERVICE).encode()
    for untrusted in (data, signed):
        with suppress(GateBundleError):
            from_jws(untrusted, KEY)


def read_heads(data: bytes) -> None:
    """Read what another machine's gate keeps of the audit trail."""
    with suppress(GateBundleError):
        heads_from_json(Path("gate.heads"), data)


def read_pace(data: bytes) -> None:
    """Read what is kept of a line, and a place: what was sealed here opens as it was, and nothing else does."""
    with suppress(ValueError):
        states = read_states(data)
        assert read_states(write_states(states)) == states
    seal = PlaceSeal(ISSUER, bytes(32))
    place = seal.open(data.decode("latin-1"), AUDIENCE)
    assert place is None or seal.seal(place, AUDIENCE) == data.decode("ascii")


def read_verdict(data: bytes) -> None:
    """Verify a verdict as it came, and as what a gate has signed."""
    signed = jose.assemble(data, signed_verdict.VERDICT_TYPE, SIGNER)
    for untrusted in (data.decode("latin-1"), signed):
        with suppress(RefusedError):
            signed_verdict.verify(
                untrusted,
                issuer=ISSUER,
                audience=AUDIENCE,
                method="GET",
                target=VERDICT_TARGET,
                keys=GateKeys(),
                now=NOW,
            )


def bundles() -> Iterator[bytes]:
    """Yield what a small bundle says, and the bundle."""
    small = replace(BUNDLE, revoked=frozenset({"a", "b"}))
    whole = to_jws(small, SERVICE)
    yield base64url.decode(whole.split(b".")[1].decode(), MAX_BUNDLE_BYTES)
    yield whole


def heads() -> Iterator[bytes]:
    """Yield a file with a head, and one without."""
    text = base64url.encode(bytes(32))
    yield b'{"v":1,"heads":[]}'
    yield f'{{"v":1,"heads":[{{"generation":2,"made_at":3,"size":0,"head":"{text}"}}]}}'.encode()


def paces() -> Iterator[bytes]:
    """Yield a kept line, and a place."""
    lines = (LineState(7, 5.0), LineState(1, 0.0))
    yield write_states({"clinic-ios": PaceState(bytes(8), 2.5, lines)})
    yield PlaceSeal(ISSUER, bytes(32)).seal(Place(bytes(8), 1, 7, 9, bytes(8)), AUDIENCE).encode()


def verdicts() -> Iterator[bytes]:
    """Yield what a verdict says, and the verdict."""
    whole = signed_verdict.sign(VERDICT, SIGNER)
    yield base64url.decode(whole.split(".")[1])
    yield whole.encode()
