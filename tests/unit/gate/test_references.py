"""Show that a reference tells the operator everything and a stranger nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import base64url
from watchword.gate.references import NONCE_BYTES, SealedRefusal, open_reference, seal
from watchword.reasons import Reason, Refusal, RefusedError

KEY = b"k" * 32
NONCE = bytes(range(NONCE_BYTES))
REFUSALS = (Refusal(Reason.TOKEN_EXPIRED, "secret detail"), Refusal(Reason.GATE_LEVEL))
REFERENCE = seal(REFUSALS, "patients", 1_795_500_000.7, KEY, NONCE)


def test_the_operator_reads_it() -> None:
    """Reasons, route and time come back."""
    assert open_reference(REFERENCE, KEY) == SealedRefusal(
        (Reason.TOKEN_EXPIRED, Reason.GATE_LEVEL), "patients", 1_795_500_000
    )


def test_its_length_tells_nothing() -> None:
    """Every single reason gives a reference of the same length."""
    assert len({len(seal([Refusal(reason)], "r", 1e9, KEY, NONCE)) for reason in Reason}) == 1


def test_another_nonce_gives_another_reference() -> None:
    """Two references of one refusal have nothing in common, whichever half of the nonce differs."""
    for nonce in (NONCE[:-1] + b"\xff", b"\xff" + NONCE[1:]):
        other = seal(REFUSALS, "patients", 1_795_500_000.7, KEY, nonce)
        assert base64url.decode(other)[NONCE_BYTES:] != base64url.decode(REFERENCE)[NONCE_BYTES:]


def test_another_deployment_can_not_read_it() -> None:
    """Under another key it is refused."""
    with pytest.raises(RefusedError) as refused:
        open_reference(REFERENCE, b"x" * 32)
    assert refused.value.reason is Reason.REQUEST_MALFORMED


@given(st.integers(0, len(REFERENCE) - 1), st.characters(codec="ascii"))
def test_no_change_goes_unseen(position: int, character: str) -> None:
    """A reference with another character is refused."""
    changed = REFERENCE[:position] + character + REFERENCE[position + 1 :]
    if changed != REFERENCE:
        with pytest.raises(RefusedError):
            open_reference(changed, KEY)


@given(st.text() | st.binary().map(base64url.encode))
def test_any_text(text: str) -> None:
    """Nothing but a refusal comes out of opening what isn't a reference."""
    with pytest.raises(RefusedError):
        open_reference(text, KEY)
