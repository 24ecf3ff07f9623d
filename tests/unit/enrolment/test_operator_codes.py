"""Hold the check of an operator's code to each of its steps, over a real store."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    NOW,
    POLICY,
    CredulousVerifier,
    SeededEntropy,
    SimulatedPhone,
    gate_secret,
    public_jwk,
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.encoding import base64url
from watchword.enrolment.evidence import (
    CODE_PREFIX,
    Invitation,
    Invitations,
    make_code,
    read_code,
)
from watchword.enrolment.interface import Enrolled, EnrolmentRequest, OperatorCode, RenewalRequest
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.ports import AuditEntry, ChallengeUse, Instance
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Level, Purpose

LABEL = b"watchword/test/v1\x00"


@dataclass
class WatchedCodes:
    """Pass calls on to a store, count the look-ups, and do something after each.

    Implements OperatorCodeStore.
    """

    inner: SqliteStore
    looked_up: list[str] = field(default_factory=list)
    cancels: bool = False

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """See the port."""
        await self.inner.add_code(code, audit)

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """See the port."""
        self.looked_up.append(code_id)
        found = await self.inner.find_code(code_id)
        if self.cancels:
            await self.inner.cancel_code(code_id, AuditEntry(NOW, "x", "cancelled", code_id))
        return found

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """See the port."""
        return await self.inner.list_codes(limit)

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """See the port."""
        return await self.inner.cancel_code(code_id, audit)

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """See the port."""
        await self.inner.enrol_by_code(code_id, use, instance, audit)


@dataclass
class Bench:
    """Hold an enrolment that knows codes, and what a test looks at."""

    store: SqliteStore
    codes: WatchedCodes
    verifier: CredulousVerifier
    enrolment: Enrolment
    entropy: SeededEntropy = field(default_factory=lambda: SeededEntropy(b"codes"))

    def code(self, app: str = "clinic-ios") -> str:
        """Make a code."""
        wanted = Invitation(
            app, Level.HARDWARE, timedelta(minutes=15), timedelta(days=1), "test", "somebody"
        )
        invitations = Invitations(POLICY, self.codes, self.entropy)
        return asyncio.run(invitations.invite(wanted, NOW))[1]

    def challenge(self, app: str = "clinic-ios", purpose: Purpose = Purpose.ENROL) -> str:
        """Ask for a challenge."""
        return base64url.encode(self.enrolment.challenge(app, purpose, NOW)[0])

    def enrol(self, request: EnrolmentRequest) -> Enrolled:
        """Enrol."""
        return asyncio.run(self.enrolment.enrol(request, NOW))

    def refused(self, request: EnrolmentRequest) -> Reason:
        """Return why a request is refused, and check that it left nothing behind."""
        before = self.rows()
        with pytest.raises(RefusedError) as caught:
            self.enrol(request)
        assert self.rows() == before
        return caught.value.reason

    def rows(self) -> tuple[Any, ...]:
        """Return all that the store says of instances, codes and audit."""

        async def every() -> tuple[Any, ...]:
            return (
                await self.store.list_instances(9),
                await self.store.list_codes(9),
                await self.store.audit_entries(9),
            )

        return asyncio.run(every())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store = SqliteStore(tmp_path / "watchword.db")
    codes, verifier, key = WatchedCodes(store), CredulousVerifier(), new_key(0)
    enrolment = Enrolment(
        policy=POLICY,
        verifier=verifier,
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: key, gate_secret),
        entropy=SeededEntropy(),
        codes=codes,
    )
    yield Bench(store, codes, verifier, enrolment)
    store.close()


def key() -> EllipticCurvePrivateKey:
    """Return a fresh key."""
    return generate_private_key(SECP256R1())


def statement_of(
    proof: EllipticCurvePrivateKey, challenge: str, purpose: str = "enrol", **changes: Any
) -> bytes:
    """Return the statement of a holder of a key; a change to None leaves the member out."""
    members = {
        "v": 1,
        "purpose": purpose,
        "iss": ISSUER,
        "aud": [CLINIC],
        "app": "clinic-ios",
        "challenge": challenge,
        "proof_jwk": jwk_from_public_key(proof.public_key()),
        "seal_jwk": public_jwk(),
    } | changes
    return json.dumps({k: v for k, v in members.items() if v is not None}).encode()


def signature(proof: EllipticCurvePrivateKey, message: bytes) -> str:
    """Return ECDSA with SHA-256 in base64url."""
    return base64url.encode(proof.sign(message, ECDSA(SHA256())))


def request_of(
    bench: Bench, code: str, /, proof: EllipticCurvePrivateKey | None = None, **evidence: Any
) -> EnrolmentRequest:
    """Return an enrolment by a code; a change to None leaves a member of the evidence out."""
    proof = proof or key()
    statement = statement_of(proof, bench.challenge())
    members = {
        "format": "operator_code",
        "code": code,
        "key_signature": signature(proof, LABEL + sha256(statement).digest()),
    } | evidence
    return EnrolmentRequest(statement, {k: v for k, v in members.items() if v is not None})


def test_code_enrols_whoever_holds_the_key(bench: Bench) -> None:
    """The proof key is the instance's only key, and its level is the code's."""
    proof = key()
    instance = bench.enrol(request_of(bench, bench.code(), proof)).instance
    assert instance.proof_jwk == jwk_from_public_key(proof.public_key())
    assert (instance.level, instance.test) == (Level.HARDWARE, True)
    assert instance.expires_at == NOW + timedelta(days=1)
    assert asyncio.run(bench.store.find(instance.id)) == instance
    assert bench.verifier.calls == []


def test_code_is_not_spent_on_somebody_elses_key(bench: Bench) -> None:
    """Who lacks the private key of the statement can't bind the code to it, and nobody is asked."""
    mine, victims = key(), key()
    code = bench.code()
    statement = statement_of(victims, bench.challenge())
    digest = sha256(statement).digest()
    for message in (LABEL + digest, digest, LABEL + statement):
        evidence = {
            "format": "operator_code",
            "code": code,
            "key_signature": signature(mine, message),
        }
        assert bench.refused(EnrolmentRequest(statement, evidence)) is Reason.EVIDENCE_SIGNATURE
    assert bench.codes.looked_up == []


@pytest.mark.parametrize(
    "prefix", [b"", b"watchword/renew/v1\x00", b"watchword/test/v1"], ids=["none", "renew", "bare"]
)
def test_signature_for_another_purpose_is_none(bench: Bench, prefix: bytes) -> None:
    """What the key signed for something else doesn't bind a code to it."""
    proof = key()
    request = request_of(bench, bench.code(), proof)
    wrong = signature(proof, prefix + sha256(request.statement).digest())
    changed = replace(request, evidence={**request.evidence, "key_signature": wrong})
    assert bench.refused(changed) is Reason.EVIDENCE_SIGNATURE


def test_signature_over_another_statement_is_none(bench: Bench) -> None:
    """A signature that was seen once binds nothing else: the challenge in its statement is another."""
    proof, code = key(), bench.code()
    seen = request_of(bench, code, proof)
    other = replace(request_of(bench, code, proof), evidence=seen.evidence)
    assert bench.refused(other) is Reason.EVIDENCE_SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"code": None},
        {"code": 7},
        {"code": ""},
        {"code": "wwt_" + "A" * 43},
        {"code": "wwt_" + "A" * 45},
        {"code": "xyz_" + "A" * 44},
        {"code": "wwt_" + "A" * 43 + "="},
        {"code": "wwt_" + "A" * 43 + "é"},
        {"code": "x" * 5000},
        {"key_signature": None},
        {"key_signature": 7},
        {"key_signature": "!"},
        {"more": "x"},
    ],
    ids=[str(number) for number in range(13)],
)
def test_malformed_evidence_is_refused_without_a_look_up(
    bench: Bench, changes: dict[str, Any]
) -> None:
    """What has no form of a code costs no I/O, and keeps its challenge."""
    request = request_of(bench, bench.code(), **changes)
    assert bench.refused(request) is Reason.EVIDENCE_MALFORMED
    assert bench.codes.looked_up == []


def test_bad_signature_is_refused_without_a_look_up(bench: Bench) -> None:
    """Bytes that are no signature either."""
    request = request_of(bench, bench.code(), key_signature=base64url.encode(b"\x30\x00"))
    assert bench.refused(request) is Reason.EVIDENCE_SIGNATURE
    assert bench.codes.looked_up == []


def test_right_name_with_another_secret_is_refused(bench: Bench) -> None:
    """The name of a code, which listings and logs have, is worth nothing."""
    code = bench.code()
    for wrong in (
        code[:16] + "A" * 32,
        code[:-1] + ("A" if code[-1] != "A" else "B"),
        code[:16] + ("A" if code[16] != "A" else "B") + code[17:],
    ):
        assert bench.refused(request_of(bench, wrong)) is Reason.EVIDENCE_OPERATOR_CODE
    assert bench.codes.looked_up == [code[4:16]] * 3
    bench.enrol(request_of(bench, code))


def test_proof_key_is_asked_for(bench: Bench) -> None:
    """A statement without a proof key is refused, on iOS and Android alike."""
    for app in ("clinic-ios", "clinic-android"):
        proof, code = key(), bench.code(app)
        statement = statement_of(proof, bench.challenge(app), app=app, proof_jwk=None)
        evidence = {
            "format": "operator_code",
            "code": code,
            "key_signature": signature(proof, LABEL + sha256(statement).digest()),
        }
        assert bench.refused(EnrolmentRequest(statement, evidence)) is Reason.STATEMENT_KEY


def test_android_apps_are_invited_too(bench: Bench) -> None:
    """The statement brings the key there as well; the same key renews."""
    proof = key()
    statement = statement_of(proof, bench.challenge("clinic-android"), app="clinic-android")
    evidence = {
        "format": "operator_code",
        "code": bench.code("clinic-android"),
        "key_signature": signature(proof, LABEL + sha256(statement).digest()),
    }
    enrolled = bench.enrol(EnrolmentRequest(statement, evidence))
    assert enrolled.instance.platform == "android"
    # Its app is of a platform, and no evidence says that the device is.
    payload = jose.parse(enrolled.tokens[0].token, TOKEN_TYPE).payload
    assert "os" not in json.loads(payload)


def test_code_cancelled_after_it_was_verified(bench: Bench) -> None:
    """The transaction looks again: of a cancellation and a use at once, the first to commit holds."""
    request = request_of(bench, bench.code())
    bench.codes.cancels = True
    with pytest.raises(RefusedError) as caught:
        bench.enrol(request)
    assert caught.value.reason is Reason.EVIDENCE_OPERATOR_CODE
    assert asyncio.run(bench.store.list_instances(9)) == []


def test_used_challenge_keeps_the_code(bench: Bench) -> None:
    """A challenge that was used refuses the enrolment as a whole: the code is good afterwards."""
    request = request_of(bench, bench.code())
    bench.enrol(request)
    other = bench.code()
    again = replace(request, evidence={**request.evidence, "code": other})
    assert bench.refused(again) is Reason.CHALLENGE_USED
    bench.enrol(request_of(bench, other))


def test_enrolled_key_keeps_the_code(bench: Bench) -> None:
    """A key that is enrolled already uses up neither code nor challenge."""
    proof = key()
    bench.enrol(request_of(bench, bench.code(), proof))
    other = bench.code()
    assert bench.refused(request_of(bench, other, proof)) is Reason.INSTANCE_EXISTS
    bench.enrol(request_of(bench, other))


def test_without_codes_nobody_is_let_in(tmp_path: Path) -> None:
    """An enrolment that was given no store of codes leaves such evidence to the formats."""
    store, signing = SqliteStore(tmp_path / "watchword.db"), new_key(0)
    verifier = CredulousVerifier()
    enrolment = Enrolment(
        policy=POLICY,
        verifier=verifier,
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: signing, gate_secret),
        entropy=SeededEntropy(),
    )
    bench = Bench(store, WatchedCodes(store), verifier, enrolment)
    with pytest.raises(KeyError):  # The simulated verifier knows no other form.
        bench.enrol(request_of(bench, bench.code()))
    assert verifier.calls == ["appraise"]
    store.close()


def renewal_of(
    bench: Bench, enrolled: Instance, proof: EllipticCurvePrivateKey, **evidence: Any
) -> RenewalRequest:
    """Return a renewal; changes are made to its evidence."""
    statement = statement_of(
        proof,
        bench.challenge(purpose=Purpose.RENEW),
        "renew",
        proof_jwk=dict(enrolled.proof_jwk),
        seal_jwk=dict(enrolled.seal_jwk),
    )
    members = {
        "format": "operator_code",
        "signature": signature(proof, b"watchword/renew/v1\x00" + statement),
    } | evidence
    return RenewalRequest(
        enrolled.id, statement, {k: v for k, v in members.items() if v is not None}
    )


def test_renewal_is_by_the_proof_key(bench: Bench) -> None:
    """Another key, another form and the code once more are refused; the key renews."""
    proof = key()
    code = bench.code()
    enrolled = bench.enrol(request_of(bench, code, proof)).instance

    def reason(request: RenewalRequest) -> Reason:
        with pytest.raises(RefusedError) as caught:
            asyncio.run(bench.enrolment.renew(request, NOW))
        return caught.value.reason

    assert reason(renewal_of(bench, enrolled, key())) is Reason.EVIDENCE_SIGNATURE
    assert reason(renewal_of(bench, enrolled, proof, code=code)) is Reason.EVIDENCE_MALFORMED
    assert reason(renewal_of(bench, enrolled, proof, signature=None)) is Reason.EVIDENCE_MALFORMED
    done = asyncio.run(bench.enrolment.renew(renewal_of(bench, enrolled, proof), NOW))
    assert done.instance == enrolled
    assert done.tokens


def test_phone_does_not_renew_as_a_test_instance(bench: Bench) -> None:
    """An instance that a vendor vouched for doesn't get around the renewal of its format."""
    phone = SimulatedPhone(seal_key=key())
    challenge = base64url.decode(bench.challenge())
    instance = bench.enrol(phone.enrolment(challenge)).instance
    proof = key()
    forged = renewal_of(bench, instance, proof)
    with pytest.raises(RefusedError) as caught:
        asyncio.run(bench.enrolment.renew(forged, NOW))
    assert caught.value.reason is Reason.EVIDENCE_PLATFORM
    assert bench.verifier.calls == ["appraise"]


def test_ended_instance_costs_no_signature(bench: Bench) -> None:
    """The end is known from the store; it is final, whoever signs."""
    proof = key()
    enrolled = bench.enrol(request_of(bench, bench.code(), proof)).instance
    assert enrolled.expires_at is not None
    for late in (timedelta(0), timedelta(microseconds=1), timedelta(days=400)):
        now = enrolled.expires_at + late
        challenge = bench.enrolment.challenge("clinic-ios", Purpose.RENEW, now)[0]
        request = renewal_of(bench, enrolled, key())
        statement = json.loads(request.statement) | {"challenge": base64url.encode(challenge)}
        raw = json.dumps(statement).encode()
        with pytest.raises(RefusedError) as caught:
            asyncio.run(bench.enrolment.renew(replace(request, statement=raw), now))
        assert caught.value.reason is Reason.INSTANCE_EXPIRED


def test_store_that_fails_uses_nothing_up(bench: Bench, tmp_path: Path) -> None:
    """Without a durable row there is no token, and the code is good when the store is back."""
    code = bench.code()
    bench.store.close()
    with pytest.raises(UnavailableError):
        bench.enrol(request_of(bench, code))
    again = SqliteStore(tmp_path / "watchword.db")
    (kept,) = asyncio.run(again.list_codes(9))
    assert kept.held_against(NOW) == ""
    again.close()


def test_codes_are_long_and_never_the_same() -> None:
    """Each has 192 bits that nobody can guess behind its name, and is read as it was made."""
    entropy = SeededEntropy()
    made = [make_code(entropy) for _ in range(50)]
    assert len({text for text, _ in made}) == 50
    for text, kept in made:
        assert text.startswith(CODE_PREFIX)
        assert len(base64url.decode(text[4:])) == 33
        assert read_code(text) == kept
        assert text not in repr(kept)
        assert kept.digest != sha256(text.encode()).digest()


@given(st.one_of(st.text(), st.text(alphabet="wt_A-9", min_size=40, max_size=56), st.integers()))
def test_reader_refuses_in_one_way(value: object) -> None:
    """Whatever is sent is a code's form or malformed; nothing else is ever raised."""
    try:
        read = read_code(value)
    except MalformedError:
        return
    assert value == CODE_PREFIX + read.id + str(value)[16:]
