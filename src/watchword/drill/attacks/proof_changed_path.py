"""Send a proved request to another path than the proved one, or to the same one in another spelling."""

from collections.abc import Callable
from dataclasses import replace

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.mutated_proofs import of_another, sent, victim
from watchword.drill.requests import proved
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _other_record(path: str) -> str:
    """Return the path of the record beside, so to speak: its name is one longer."""
    return f"{path.rstrip('/')}1"


def _above(path: str) -> str:
    """Return the path of what lies above."""
    return path.rstrip("/").rpartition("/")[0] or "/above"


def _of_other_path(proof: Proof, other: Callable[[str], str]) -> Run:
    """Take a proof of another path, and send the sample."""
    return of_another(proof, lambda covered: replace(covered, path=other(covered.path)))


def _encoded(proof: Proof) -> Run:
    """Take the sample's proof, and send its path with the last character percent-encoded.

    :raises MissingError: for a sample of the root, which has nothing to encode.
    """

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = proved(context, sample.call(), credential, proof)
        path, mark, query = call.target.partition("?")
        if not path[-1].isascii() or not path[-1].isalnum():
            raise MissingError(Need.SAMPLE, "one whose path ends in a letter or a digit")
        target = f"{path[:-1]}%{ord(path[-1]):02X}{mark}{query}"
        return sent(context, sample, replace(call, target=target))

    return run


_EXPECTED = frozenset({Reason.PROOF_SIGNATURE})

ATTACK = Attack(
    id="proof-changed-path",
    title="Change the path of a proved request",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A sample request with a proof that was made for another record, for what lies above it, and in another spelling of "
    "its own path.",
    must="Each is refused: a proof counts for the path as it was written.",
    blind="It doesn't tell whether this user may see the record: the API has to check that. A front that rewrites "
    "paths before the gate sees them turns two spellings into one.",
    variants=(
        Variant("session-of-other-record", _of_other_path(Proof.SESSION, _other_record), _EXPECTED),
        Variant("session-of-above", _of_other_path(Proof.SESSION, _above), _EXPECTED),
        Variant("session-encoded", _encoded(Proof.SESSION), _EXPECTED),
        Variant("device-of-other-record", _of_other_path(Proof.DEVICE, _other_record), _EXPECTED),
        Variant("device-of-above", _of_other_path(Proof.DEVICE, _above), _EXPECTED),
        Variant("device-encoded", _encoded(Proof.DEVICE), _EXPECTED),
    ),
)
