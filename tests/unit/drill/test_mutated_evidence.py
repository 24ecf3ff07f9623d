"""Hold what attacks on enrolment mutate to what they promise: one thing is wrong with it, and all else is right."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drill.answers import SAMPLE, api, refusal

from watchword.drill.enrolment import ENROL, Enrolment
from watchword.drill.interface import AttackContext, Facts, MissingError, Need, Phone
from watchword.drill.mutated_evidence import (
    attestation_of,
    chain_of,
    environment_of,
    granted,
    last_bit_flipped,
    minted_challenge,
    reissued,
    sent_at_once,
    with_attestation,
    with_chain,
)
from watchword.drill.tokens import assembled, claims_of, new_attacker
from watchword.drill.wire import Answer, Call, Part
from watchword.encoding import base64url, strict_json
from watchword.enrolment.statement import check_challenge
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import AppAttestEnvironment, Environment, Platform, Purpose

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ISSUER = "https://attest.example"


@dataclass(frozen=True)
class FixedClock:
    """Tell one time for ever."""

    def now(self) -> datetime:
        """Return the time."""
        return NOW

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return NOW.timestamp()


class Answers:
    """Be a wire over which every request to a part gets the answers that were laid down, in order."""

    def __init__(self, service: list[Answer], gate: Answer) -> None:
        """Keep the answers."""
        self.service = iter(service)
        self.gate = gate
        self.sent: list[Call] = []

    def send(self, call: Call) -> Answer:
        """Return the next answer of its part."""
        self.sent.append(call)
        return self.gate if call.part is Part.GATE else next(self.service)

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Return the next answers."""
        return [self.send(call) for call in calls]

    def authority(self, part: Part) -> str:
        """Return a host."""
        return f"{part.value}.example"

    def scheme(self, part: Part) -> str:
        """Return the scheme of all parts."""
        return "https"


def context(wire: Answers | None = None) -> AttackContext:
    """Return an attack context in which nothing is random and no time passes."""
    numbers = itertools.count(1)
    facts = Facts(
        api="clinic",
        issuer=ISSUER,
        audience="https://api.example",
        audiences={"android": frozenset({"https://api.example"})},
        environment=Environment.LAB,
        token_lifetime=300,
    )
    return AttackContext(
        facts=facts,
        samples=(SAMPLE,),
        wire=wire or Answers([], api(200)),
        now=NOW.timestamp,
        random=lambda count: next(numbers).to_bytes(count, "big"),
        wait=lambda _: None,
    )


def phone(kind: str) -> Phone:
    """Return a phone of the lab, with the app that the others have."""
    model = PHONES[kind]
    setup = PhoneSetup(LabAuthorities.from_seed(bytes(range(32))), FixedClock(), "phone")
    ios = InstalledIosApp("ABCDE12345", "com.example.clinic", "7")
    android = InstalledAndroidApp("com.example.clinic", (bytes(32),), 120)
    app = ios if model.platform is Platform.IOS else android
    return Phone(kind, model.platform.value, model.platform, model.build(app, setup))


def certificates(chain: list[bytes]) -> list[x509.Certificate]:
    """Return a chain that was read."""
    return [x509.load_der_x509_certificate(each) for each in chain]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_reissued_chain_says_what_it_said_and_breaks_above_what_was_reissued(count: int) -> None:
    """All is copied but keys and signatures; below the break each is signed by the one above it."""
    genuine = chain_of(phone("genuine-android").device.attest(bytes(32)))
    forged = reissued(context(), genuine, count)
    assert forged[count:] == genuine[count:]
    old, new = certificates(genuine), certificates(forged)
    assert new[0].public_key() == old[0].public_key()
    for index in range(count):
        assert new[index].subject == old[index].subject
        assert new[index].issuer == old[index].issuer
        assert new[index].serial_number == old[index].serial_number
        assert new[index].not_valid_after_utc == old[index].not_valid_after_utc
        assert list(new[index].extensions) == list(old[index].extensions)
        assert new[index].signature != old[index].signature
        if index:
            assert new[index].public_key() != old[index].public_key()
            new[index - 1].verify_directly_issued_by(new[index])
    if count < len(genuine):
        with pytest.raises(InvalidSignature):
            new[count - 1].verify_directly_issued_by(new[count])
    else:
        new[-1].verify_directly_issued_by(new[-1])


@given(st.binary(min_size=1), st.binary(min_size=1, max_size=1), st.integers(0, 4))
def test_one_bit_is_flipped(head: bytes, last: bytes, zeros: int) -> None:
    """Length and all other bits stay; zeros that end a receipt aren't touched."""
    data = head + (b"\x01" if last == b"\x00" else last) + bytes(zeros)
    mutated = last_bit_flipped(data)
    assert len(mutated) == len(data)
    differing = int.from_bytes(mutated, "big") ^ int.from_bytes(data, "big")
    assert differing.bit_count() == 1
    assert mutated[len(mutated) - zeros :] == bytes(zeros)


def test_a_flipped_bit_in_a_leaf_breaks_its_signature_and_nothing_else() -> None:
    """It can still be read, and what it says is unchanged."""
    leaf, issuer, *_ = chain_of(phone("genuine-android").device.attest(bytes(32)))
    mutated, genuine = certificates([last_bit_flipped(leaf), leaf])
    assert mutated.tbs_certificate_bytes == genuine.tbs_certificate_bytes
    with pytest.raises(InvalidSignature):
        mutated.verify_directly_issued_by(x509.load_der_x509_certificate(issuer))


def test_evidence_that_nobody_mutates_stays_the_same() -> None:
    """To read and write it changes no byte, so that a refusal is one for what was mutated."""
    apple = phone("genuine-iphone").device.attest(bytes(32))
    assert with_attestation(apple) == apple
    google = phone("genuine-android").device.attest(bytes(32))
    assert with_chain(google, chain_of(google)) == google


def test_only_what_is_named_of_an_attestation_is_changed() -> None:
    """A mutated receipt leaves certificates and data alone; a key id stands beside the object."""
    genuine = phone("genuine-iphone").device.attest(bytes(32))
    mutated = with_attestation(genuine, key_id=b"other", receipt=b"bent")
    before, after = attestation_of(genuine), attestation_of(mutated)
    assert after["attStmt"]["receipt"] == b"bent"
    assert after["attStmt"]["x5c"] == before["attStmt"]["x5c"]
    assert after["authData"] == before["authData"]
    assert mutated["key_id"] == base64url.encode(b"other")


def test_the_environment_is_read_where_apple_writes_it() -> None:
    """A development build is told from the one in the store."""
    for kind, environment in (
        ("genuine-iphone", AppAttestEnvironment.PRODUCTION),
        ("development-iphone", AppAttestEnvironment.DEVELOPMENT),
    ):
        assert environment_of(phone(kind).device.attest(bytes(32))) == environment.value


def checked(made: str, purpose: Purpose = Purpose.ENROL, app: str = "android") -> None:
    """Have the service check a challenge."""
    raw = base64url.decode(made)
    check_challenge(raw, app=app, purpose=purpose, issuer=ISSUER, key=bytes(32), now=NOW)


def test_a_challenge_by_the_services_own_key_is_good_for_what_it_was_made_for() -> None:
    """Otherwise a challenge that was made for something else would be refused for its layout."""
    checked(minted_challenge(context(), bytes(32), "android", Purpose.ENROL))
    for purpose, app in ((Purpose.RENEW, "android"), (Purpose.ENROL, "ios")):
        with pytest.raises(RefusedError) as caught:
            checked(minted_challenge(context(), bytes(32), app, purpose))
        assert caught.value.reason is Reason.CHALLENGE_UNKNOWN
    with pytest.raises(RefusedError) as caught:
        checked(minted_challenge(context(), bytes(32), "android", Purpose.ENROL, lifetime=-1))
    assert caught.value.reason is Reason.CHALLENGE_EXPIRED


def granted_answer(context: AttackContext) -> Answer:
    """Return what the service answers to an enrolment that it grants."""
    claims = claims_of(context, new_attacker(context))
    token = {"aud": context.facts.audience, "token": assembled({}, claims), "expires_in": 300}
    body = {"instance": "one", "level": "hardware", "tokens": [token]}
    return Answer(201, (("content-type", "application/json"),), strict_json.dumps(body))


def test_of_several_at_once_one_is_the_genuine_apps() -> None:
    """What is granted beside it is used at the API; what is refused goes there without a token."""
    wire = Answers([], api(200))
    fought = context(wire)
    good = granted_answer(fought)
    wire.service = iter([refusal(Reason.CHALLENGE_USED), good, good])
    body = {"statement": base64url.encode(b"{}"), "evidence": {}}
    attempts = sent_at_once(fought, ENROL, [body] * 3, phone("genuine-android"))
    assert [each.path for each in wire.sent] == [ENROL] * 3 + ["/v1/patients/7"] * 2
    used, refused = attempts
    assert not used.stops
    assert wire.sent[3].header("Watchword-Token")
    assert refused.stops[0].reasons == (Reason.CHALLENGE_USED,)
    assert wire.sent[4].header("Watchword-Token") is None


def test_an_attack_that_can_not_begin_is_not_run() -> None:
    """A service that refuses the genuine phone shows nothing of what it does with another one."""
    refused = Enrolment(refusal(Reason.POLICY_PROVISIONING), b"{}", {})
    with pytest.raises(MissingError) as caught:
        granted(refused)
    assert caught.value.need is Need.PHONES
