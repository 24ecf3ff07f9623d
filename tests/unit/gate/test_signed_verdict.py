"""A verdict opens one request of one API for half a minute, and nothing else."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import AUDIENCE, ISSUER, NOW, SIGNER, SoftwareSigner, token

from watchword.encoding import base64url, strict_json
from watchword.gate.signed_verdict import (
    LEEWAY_SECONDS,
    VERDICT_LIFE_SECONDS,
    VERDICT_TYPE,
    SignedVerdict,
    sign,
    target_of,
    verify,
)
from watchword.ports import VerificationKey
from watchword.reasons import Reason, RefusedError
from watchword.tokens import jose
from watchword.vocabulary import Level

TARGET = target_of(b"/v1/patients/17", b"full=1")
VERDICT = SignedVerdict(
    ISSUER, AUDIENCE, "subject", Level.HARDWARE, "clinic-ios", "GET", TARGET, NOW
)
STRANGER = SoftwareSigner(SIGNER.kid, derive_private_key(29, SECP256R1()))


class GateKeys:
    """Know the one key of the API's gates."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return it by its id."""
        return SIGNER.published() if kid == SIGNER.kid else None


def check(
    untrusted: str, *, method: str = "GET", target: str = TARGET, now: float = NOW
) -> SignedVerdict:
    """Verify as the API does that received the request."""
    return verify(
        untrusted,
        issuer=ISSUER,
        audience=AUDIENCE,
        method=method,
        target=target,
        keys=GateKeys(),
        now=now,
    )


def reason_of(untrusted: str, **seen: object) -> Reason:
    """Return why a verdict is refused."""
    with pytest.raises(RefusedError) as caught:
        check(untrusted, **seen)  # type: ignore[arg-type]
    return caught.value.reason


def signed(members: object) -> str:
    """Return a verdict that says anything, signed by the gate's key."""
    return jose.assemble(strict_json.dumps(members), VERDICT_TYPE, SIGNER)


def test_a_verdict_says_who_is_there() -> None:
    """What the gate signed comes out on the other side."""
    assert check(sign(VERDICT, SIGNER)) == VERDICT


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"method": "POST"}, Reason.VERDICT_TARGET),
        ({"target": target_of(b"/v1/patients/18", b"full=1")}, Reason.VERDICT_TARGET),
        ({"target": target_of(b"/v1/patients/17", b"")}, Reason.VERDICT_TARGET),
        ({"now": NOW + VERDICT_LIFE_SECONDS + LEEWAY_SECONDS}, Reason.VERDICT_TIME),
        ({"now": NOW - LEEWAY_SECONDS - 1}, Reason.VERDICT_TIME),
    ],
)
def test_a_verdict_is_for_one_request_and_half_a_minute(
    seen: dict[str, object], reason: Reason
) -> None:
    """A copied one opens no other method, path or query, and nothing later."""
    assert reason_of(sign(VERDICT, SIGNER), **seen) is reason


def test_the_time_of_a_verdict_has_a_leeway() -> None:
    """Clocks beside each other may differ by a few seconds."""
    verdict = sign(VERDICT, SIGNER)
    for now in (NOW - LEEWAY_SECONDS, NOW + VERDICT_LIFE_SECONDS + LEEWAY_SECONDS - 1):
        assert check(verdict, now=now).subject == "subject"


@pytest.mark.parametrize("change", [{"audience": "https://other"}, {"issuer": "https://other"}])
def test_a_verdict_of_another_api_is_refused(change: dict[str, str]) -> None:
    """Gates of one API sign for no other."""
    assert reason_of(sign(replace(VERDICT, **change), SIGNER)) is Reason.VERDICT_AUDIENCE  # type: ignore[arg-type]


def test_only_the_gates_key_signs() -> None:
    """Neither a stranger's key under the right name nor an unknown name will do."""
    assert reason_of(sign(VERDICT, STRANGER)) is Reason.VERDICT_SIGNATURE
    assert reason_of(sign(VERDICT, SoftwareSigner("other"))) is Reason.VERDICT_SIGNATURE


def test_a_token_is_no_verdict() -> None:
    """Both are JWTs by the same kind of key; the type tells them apart."""
    assert reason_of(token()) is Reason.VERDICT_MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW + 3600},
        {"iat": True},
        {"iat": "now"},
        {"lvl": "absolute"},
        {"sub": 7},
        {"more": 1},
    ],
)
def test_a_verdict_has_one_form(change: dict[str, object]) -> None:
    """Also a signed one, since a gate of another version may have made it."""
    payload = sign(VERDICT, SIGNER).split(".")[1]
    members = strict_json.loads(base64url.decode(payload), 2048)
    assert reason_of(signed(members | change)) is Reason.VERDICT_MALFORMED


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=127))
def test_no_changed_verdict_passes(where: int, by: int) -> None:
    """Any other character anywhere is refused with a reason."""
    verdict = sign(VERDICT, SIGNER)
    at = where % len(verdict)
    changed = verdict[:at] + chr(ord(verdict[at]) ^ by) + verdict[at + 1 :]
    assert reason_of(changed) in {Reason.VERDICT_MALFORMED, Reason.VERDICT_SIGNATURE}
