"""Prove requests to the real Envoy: as an instance of the gate's tests does, at the time of now."""

from typing import Any

from tests.unit.engines.envoy.rig import SECRET, token
from tests.unit.gate.proofs import Prover, session_key

from watchword.adapters.system import SystemClock

SESSION = "session-of-the-test"


def prover(**changes: Any) -> Prover:
    """Return an instance with a token of now; ``changes`` of its claims."""
    key = session_key(SESSION, SECRET.secret)
    return Prover(token=token(**changes).decode(), session_id=SESSION, key=key)


def proved(kind: str, instance: Prover, **how: Any) -> tuple[bytes, ...]:
    """Return the field lines of a proved request, but for Host and the body's length."""
    moment = "iat" if kind == "dpop" else "created"
    fields = getattr(instance, kind)(**{moment: int(SystemClock().timestamp()), **how})
    return tuple(
        name + b": " + value for name, value in fields if name not in (b"host", b"content-length")
    )
