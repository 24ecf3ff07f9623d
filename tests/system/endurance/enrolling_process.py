"""Enrol instances for ever, in a process that a test kills; say each one after its answer.

Called with a database and ``forever`` it prints ``<instance id> <request in base64>`` for each
acknowledged enrolment; with ``requests`` it sends those that arrive on stdin and prints outcomes.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from tests.unit.enrolment.simulators import (
    NOW,
    POLICY,
    CredulousVerifier,
    SimulatedPhone,
    gate_secret,
    public_jwk,
    public_spki,
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.system import SystemEntropy
from watchword.enrolment.interface import EnrolmentRequest
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.reasons import RefusedError
from watchword.vocabulary import Purpose


def say(line: str) -> None:
    """Write one line, out of the process's buffers."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def enrolment_on(store: SqliteStore) -> Enrolment:
    """Return an enrolment; all processes of a test share its challenge key."""
    key = new_key(0)
    return Enrolment(
        policy=POLICY,
        verifier=CredulousVerifier(),
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: key, gate_secret),
        entropy=SystemEntropy(),
    )


def packed(request: EnrolmentRequest) -> str:
    """Return a request as one word."""
    members = {"statement": request.statement.decode(), "evidence": dict(request.evidence)}
    return base64.b64encode(json.dumps(members).encode()).decode()


def unpacked(word: str) -> EnrolmentRequest:
    """Return the request behind a word."""
    members = json.loads(base64.b64decode(word))
    return EnrolmentRequest(members["statement"].encode(), members["evidence"])


async def enrol_for_ever(enrolment: Enrolment) -> None:
    """Enrol one phone after the other; keys that nobody checks are made once."""
    jwk, seal_key = public_jwk(), generate_private_key(SECP256R1())
    stem = public_spki()
    number = 0
    while True:
        number += 1
        unique = stem + SystemEntropy().token_bytes(16)
        phone = SimulatedPhone(proof_jwk=jwk, seal_key=seal_key, attested_key=unique)
        challenge, _ = enrolment.challenge(phone.app, Purpose.ENROL, NOW)
        request = phone.enrolment(challenge)
        enrolled = await enrolment.enrol(request, NOW)
        say(f"{enrolled.instance.id} {packed(request)}")


async def enrol_once(enrolment: Enrolment, request: EnrolmentRequest) -> str:
    """Return ``won``, or the reason of the refusal."""
    try:
        await enrolment.enrol(request, NOW)
    except RefusedError as error:
        return error.reason.code
    return "won"


def main() -> None:
    """Run as told by the arguments."""
    enrolment = enrolment_on(SqliteStore(Path(sys.argv[1])))
    if sys.argv[2] == "forever":
        asyncio.run(enrol_for_ever(enrolment))
    for line in sys.stdin:
        say(asyncio.run(enrol_once(enrolment, unpacked(line.strip()))))


if __name__ == "__main__":
    main()
