"""Enrol and renew over a real store, with simulated vendors."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    LEDGER,
    NOW,
    POLICY,
    CredulousVerifier,
    MovableClock,
    SeededEntropy,
    SimulatedPhone,
    gate_secret,
    public_jwk,
    public_spki,
    with_evidence,
)

from watchword.adapters.keyring.file import TokenKey, new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.encoding import base64url
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.enrolment.service import Enrolment, EnrolmentKeys, pairwise_subject
from watchword.lab.keys import open_sealed
from watchword.ports import AuditEntry, Instance, VerificationKey
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens import jose
from watchword.tokens.envelope import sealing_info
from watchword.tokens.interface import TOKEN_TYPE, TokenClaims, TokenExpectation
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import verify
from watchword.vocabulary import Environment, Level, Purpose

PAIRWISE = bytes(range(32))
_Result = TypeVar("_Result")


@dataclass
class Bench:
    """Hold an enrolment with everything around it."""

    enrolment: Enrolment
    store: SqliteStore
    verifier: CredulousVerifier
    clock: MovableClock
    key: TokenKey

    def find(self, kid: str) -> VerificationKey | None:
        """Implement VerificationKeys."""
        return self.key.verification_key() if kid == self.key.kid else None

    def challenge(self, phone: SimulatedPhone, purpose: Purpose = Purpose.ENROL) -> bytes:
        """Ask for a challenge."""
        return self.enrolment.challenge(phone.app, purpose, self.clock.now())[0]

    def enrolled(self, phone: SimulatedPhone) -> Instance:
        """Enrol a phone."""
        request = phone.enrolment(self.challenge(phone))
        return run(lambda: self.enrolment.enrol(request, self.clock.now())).instance

    def refused(self, call: Callable[[], Awaitable[object]]) -> Reason:
        """Return why a call is refused, and check that it left nothing behind."""
        before = self.rows()
        with pytest.raises(RefusedError) as caught:
            run(call)
        assert self.rows() == before
        return caught.value.reason

    def rows(self) -> tuple[Any, ...]:
        """Return all that the store says of instances and audit."""
        return (
            run(lambda: self.store.list_instances(100)),
            run(lambda: self.store.audit_entries(100)),
        )

    def claims(self, token: str, audience: str = CLINIC) -> TokenClaims:
        """Verify a token as a gate would."""
        expectation = TokenExpectation(ISSUER, audience, Environment.PROD)
        return verify(token, expectation, self, self.clock.timestamp())


def run(call: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run one coroutine in a fresh event loop."""

    async def awaited() -> _Result:
        return await call()

    return asyncio.run(awaited())


def bench_with(
    store: SqliteStore, policy: EnrolmentPolicy = POLICY, key: TokenKey | None = None
) -> Bench:
    """Return a bench on a store."""
    verifier, clock = CredulousVerifier(), MovableClock()
    key = key or new_key(0)
    signing = key
    enrolment = Enrolment(
        policy=policy,
        verifier=verifier,
        store=store,
        keys=EnrolmentKeys(bytes(32), PAIRWISE, lambda: signing, gate_secret),
        entropy=SeededEntropy(),
    )
    return Bench(enrolment, store, verifier, clock, key)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store = SqliteStore(tmp_path / "watchword.db")
    yield bench_with(store)
    store.close()


def test_genuine_iphone_is_enrolled(bench: Bench) -> None:
    """Statement and evidence give an instance, a token and an audit entry."""
    phone = SimulatedPhone()
    request = phone.enrolment(bench.challenge(phone), bnd="b")
    enrolled = run(lambda: bench.enrolment.enrol(request, NOW))
    instance = enrolled.instance
    assert len(instance.id) == 22
    assert (instance.level, instance.format) == (Level.HARDWARE, "app-attest")
    assert instance.proof_jwk == phone.proof_jwk
    assert not instance.test
    (token,) = enrolled.tokens
    assert (token.audience, token.lifetime) == (CLINIC, 300)
    claims = bench.claims(token.token)
    assert claims.subject == pairwise_subject(instance.id, CLINIC, PAIRWISE)
    assert instance.id not in token.token
    assert claims.key == phone.proof_jwk
    assert claims.expires_at - claims.issued_at == 300
    assert (claims.app_id, claims.level, claims.binding) == ("clinic-ios", Level.HARDWARE, "b")
    (audit,) = run(lambda: bench.store.audit_entries(10))
    assert (audit.action, audit.subject) == ("instance.enrolled", instance.id)


def test_attested_key_is_the_proof_key_on_android(bench: Bench) -> None:
    """On Android the token's key is the one in the attested leaf."""
    phone = SimulatedPhone("clinic-android")
    enrolled = run(lambda: bench.enrolment.enrol(phone.enrolment(bench.challenge(phone)), NOW))
    spki = phone.attested_key
    key = bench.claims(enrolled.tokens[0].token).key
    # The last 64 bytes of a P-256 SPKI are the point's coordinates (RFC 5480 section 2.2).
    assert base64url.decode(key["x"]) + base64url.decode(key["y"]) == spki[-64:]


def test_each_audience_has_its_own_token_and_subject(bench: Bench) -> None:
    """Two APIs get two tokens with nothing in common by which they'd know the same instance."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))
    enrolled = run(lambda: bench.enrolment.enrol(phone.enrolment(bench.challenge(phone)), NOW))
    first, second = enrolled.tokens
    one, two = bench.claims(first.token), bench.claims(second.token, LEDGER)
    assert one.subject != two.subject
    assert one.token_id != two.token_id
    assert one.session_id != two.session_id


def test_tokens_live_as_long_as_their_audience_says(tmp_path: Path) -> None:
    """And the challenge for the next renewal as long as the one that lives longest."""
    store = SqliteStore(tmp_path / "watchword.db")
    bench = bench_with(store, replace(POLICY, lifetimes={LEDGER: 3600}))
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))
    enrolled = run(lambda: bench.enrolment.enrol(phone.enrolment(bench.challenge(phone)), NOW))
    first, second = enrolled.tokens
    assert (first.lifetime, second.lifetime, enrolled.next.lifetime) == (300, 3600, 3600)
    one, two = bench.claims(first.token), bench.claims(second.token, LEDGER)
    assert one.expires_at - one.issued_at == 300
    assert two.expires_at - two.issued_at == 3600
    store.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"purpose": "renew"}, Reason.STATEMENT_PURPOSE),
        ({"iss": "https://other.example"}, Reason.STATEMENT_ISSUER),
        ({"app": "other"}, Reason.STATEMENT_APP_UNKNOWN),
        ({"app": "clinic-android", "proof_jwk": None}, Reason.CHALLENGE_UNKNOWN),
        ({"app": "clinic-android"}, Reason.STATEMENT_KEY),
        ({"aud": ["https://other.example"]}, Reason.STATEMENT_AUDIENCE),
        ({"aud": [CLINIC, "https://other.example"]}, Reason.STATEMENT_AUDIENCE),
        ({"proof_jwk": None}, Reason.STATEMENT_KEY),
        ({"challenge": base64url.encode(b"\x01" + bytes(56))}, Reason.CHALLENGE_UNKNOWN),
    ],
)
def test_wrong_statement_is_refused_before_evidence(
    bench: Bench, changes: dict[str, Any], reason: Reason
) -> None:
    """A statement that isn't for us costs no signature and leaves nothing."""
    phone = SimulatedPhone()
    request = phone.enrolment(bench.challenge(phone), **changes)
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is reason
    assert bench.verifier.calls == []


def test_challenge_for_renewal_does_not_enrol(bench: Bench) -> None:
    """The purpose of a challenge is the purpose of its statement."""
    phone = SimulatedPhone()
    request = phone.enrolment(bench.challenge(phone, Purpose.RENEW))
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is Reason.CHALLENGE_UNKNOWN


def test_expired_challenge_is_refused(bench: Bench) -> None:
    """A challenge that waited too long is refused."""
    phone = SimulatedPhone()
    request = phone.enrolment(bench.challenge(phone))
    bench.clock.advance(301)
    call = lambda: bench.enrolment.enrol(request, bench.clock.now())  # noqa: E731
    assert bench.refused(call) is Reason.CHALLENGE_EXPIRED


def test_challenge_is_good_for_one_enrolment(bench: Bench) -> None:
    """A second phone can't use the challenge of the first."""
    phone, other = SimulatedPhone(), SimulatedPhone()
    challenge = bench.challenge(phone)
    run(lambda: bench.enrolment.enrol(phone.enrolment(challenge), NOW))
    request = other.enrolment(challenge)
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is Reason.CHALLENGE_USED


def test_refused_evidence_leaves_the_challenge_usable(bench: Bench) -> None:
    """A stranger who spoils an answer doesn't burn somebody's challenge."""
    phone = SimulatedPhone()
    challenge = bench.challenge(phone)
    bad = with_evidence(phone.enrolment(challenge), binding="AAAA")
    assert bench.refused(lambda: bench.enrolment.enrol(bad, NOW)) is Reason.ATTESTATION_BINDING
    run(lambda: bench.enrolment.enrol(phone.enrolment(challenge), NOW))


def test_level_below_the_minimum_is_refused(bench: Bench) -> None:
    """Software keys are not enrolled where hardware is asked for."""
    phone = SimulatedPhone()
    request = with_evidence(phone.enrolment(bench.challenge(phone)), level="software")
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is Reason.POLICY_LEVEL


def test_attested_key_enrols_once(bench: Bench) -> None:
    """The same key with a fresh challenge is no second instance."""
    phone = SimulatedPhone()
    bench.enrolled(phone)
    request = phone.enrolment(bench.challenge(phone))
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is Reason.INSTANCE_EXISTS


def test_signals_are_audited_and_counted(bench: Bench) -> None:
    """What refuses nobody is told with the enrolment and each day's first renewal, and counted by reason every time."""
    phone = SimulatedPhone()
    bench.verifier.signals.append(Refusal(Reason.POLICY_RISK_METRIC, "got 30"))
    instance = bench.enrolled(phone)
    for seconds, told in ((60, 1), (86_400, 2), (60, 2)):
        bench.clock.advance(seconds)
        request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
        run(lambda request=request: bench.enrolment.renew(request, bench.clock.now()))  # type: ignore[misc]
        entries = run(lambda: bench.store.audit_entries(10))
        signals = [entry.detail["signals"] for entry in entries]
        assert signals == told * [["policy.risk_metric: got 30"]]
    assert bench.enrolment.signals == {Reason.POLICY_RISK_METRIC: 4}


def test_renewal_gives_fresh_tokens(bench: Bench) -> None:
    """A renewal answers with new tokens of the same subject and raises the counter."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    bench.clock.advance(200)
    request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
    renewed = run(lambda: bench.enrolment.renew(request, bench.clock.now()))
    claims = bench.claims(renewed.tokens[0].token)
    assert claims.subject == pairwise_subject(instance.id, CLINIC, PAIRWISE)
    assert claims.issued_at == int(bench.clock.timestamp())
    assert renewed.instance.counter == 1
    assert renewed.instance.renewed_at == bench.clock.now()
    assert renewed.instance.enrolled_at == NOW


def test_android_renews_without_a_counter(bench: Bench) -> None:
    """A format without a counter renews as often as it has challenges."""
    phone = SimulatedPhone("clinic-android")
    instance = bench.enrolled(phone)
    for _ in range(2):
        request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
        renewed = run(lambda request=request: bench.enrolment.renew(request, NOW))  # type: ignore[misc]
        assert renewed.instance.id == instance.id


def test_renewal_states_the_version_in_the_token(bench: Bench) -> None:
    """A version that the renewal's evidence states stands in the token."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
    request = replace(request, evidence={**request.evidence, "version": "42"})
    renewed = run(lambda: bench.enrolment.renew(request, NOW))
    assert bench.claims(renewed.tokens[0].token).app_version == "42"
    kept = run(lambda: bench.store.find(instance.id))
    assert (kept, renewed.instance.app_version) == (renewed.instance, "42")


@pytest.mark.parametrize(
    ("stated", "anew", "said"),
    [
        ("android-16", None, ("android-16", "android-16")),
        ("android-15", "android-16", ("android-15", "android-16")),
        ("android", "android-9", ("android", "android-9")),
        ("ios-27", None, ("ios-27", "ios-27")),
        ("macos-27", None, (None, None)),
        ("unknown", None, (None, None)),
        ("android-1600", None, (None, None)),
        (None, None, ("android", "android")),
    ],
)
def test_tokens_name_the_system_and_nothing_finer(
    bench: Bench, stated: str | None, anew: str | None, said: tuple[str | None, str | None]
) -> None:
    """A renewal goes on saying what the evidence stated last: most renewals state nothing of it."""
    phone = SimulatedPhone("clinic-android")
    request = with_evidence(phone.enrolment(bench.challenge(phone)), platform=stated)
    enrolled = run(lambda: bench.enrolment.enrol(request, NOW))
    answers = [enrolled]
    for platform in (anew, None):
        renewal = phone.renewal(enrolled.instance.id, answers[-1].next.challenge)
        renewal = replace(renewal, evidence={**renewal.evidence, "platform": platform})
        answers.append(run(lambda renewal=renewal: bench.enrolment.renew(renewal, NOW)))  # type: ignore[misc]
    # As written: a gate that reads it takes anything else for absent.
    payloads = [jose.parse(answer.tokens[0].token, TOKEN_TYPE).payload for answer in answers]
    found = [json.loads(payload).get("os") for payload in payloads]
    assert found == [said[0], said[1], said[1]]
    kept = run(lambda: bench.store.find(enrolled.instance.id))
    assert kept == answers[-1].instance


def renewal_of(bench: Bench, phone: SimulatedPhone, instance: Instance, **changes: Any) -> Reason:
    """Return why a renewal with a changed statement is refused."""
    challenge = bench.challenge(phone, Purpose.RENEW)
    request = phone.renewal(instance.id, challenge, **changes)
    return bench.refused(lambda: bench.enrolment.renew(request, NOW))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"purpose": "enrol"}, Reason.STATEMENT_PURPOSE),
        ({"aud": [LEDGER]}, Reason.STATEMENT_AUDIENCE),
        ({"proof_jwk": public_jwk()}, Reason.STATEMENT_KEY),
        ({"proof_jwk": None}, Reason.STATEMENT_KEY),
        ({"seal_jwk": public_jwk()}, Reason.STATEMENT_KEY),
    ],
)
def test_renewal_for_something_else_is_refused(
    bench: Bench, changes: dict[str, Any], reason: Reason
) -> None:
    """A renewal can't widen what was enrolled, nor change the keys."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    assert renewal_of(bench, phone, instance, **changes) is reason


def test_renewal_of_another_app_is_refused(bench: Bench) -> None:
    """An instance renews for the app that it is of."""
    instance = bench.enrolled(SimulatedPhone())
    android = SimulatedPhone("clinic-android")
    assert renewal_of(bench, android, instance) is Reason.INSTANCE_APP


def test_renewal_by_another_key_is_refused(bench: Bench) -> None:
    """Who knows an instance's id still lacks its key."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    phone.attested_key = public_spki()
    assert renewal_of(bench, phone, instance) is Reason.APP_ATTEST_SIGNATURE


def test_unknown_instance_is_refused(bench: Bench) -> None:
    """An id that nobody has renews nothing."""
    phone = SimulatedPhone()
    request = phone.renewal("A" * 22, bench.challenge(phone, Purpose.RENEW))
    assert bench.refused(lambda: bench.enrolment.renew(request, NOW)) is Reason.INSTANCE_UNKNOWN


def test_counter_must_rise(bench: Bench) -> None:
    """An assertion that was seen, or one from a clone that lags behind, renews nothing."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
    run(lambda: bench.enrolment.renew(request, NOW))
    phone.counter = 0
    assert renewal_of(bench, phone, instance) is Reason.INSTANCE_COUNTER


def test_renewal_challenge_is_used_once(bench: Bench) -> None:
    """A recorded renewal can't be sent again, even with a format that has no counter."""
    phone = SimulatedPhone("clinic-android")
    instance = bench.enrolled(phone)
    request = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
    run(lambda: bench.enrolment.renew(request, NOW))
    assert bench.refused(lambda: bench.enrolment.renew(request, NOW)) is Reason.CHALLENGE_USED


def test_revoked_instance_does_not_renew(bench: Bench) -> None:
    """A revocation ends renewals."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    audit = AuditEntry(NOW, "operator", "instance.revoked", instance.id)
    run(lambda: bench.store.revoke(instance.id, NOW, "stolen", audit))
    assert renewal_of(bench, phone, instance) is Reason.INSTANCE_REVOKED
    # Neither does it cost a signature: it is refused on what the store says alone.
    assert "renewal" not in bench.verifier.calls


def test_raised_minimum_level_holds_for_renewals(tmp_path: Path) -> None:
    """An instance below a minimum that was raised afterwards gets no tokens any more."""
    store = SqliteStore(tmp_path / "watchword.db")
    lenient = bench_with(store, replace(POLICY, minimum_level=Level.SOFTWARE))
    phone = SimulatedPhone()
    request = with_evidence(phone.enrolment(lenient.challenge(phone)), level="software")
    instance = run(lambda: lenient.enrolment.enrol(request, NOW)).instance
    assert renewal_of(bench_with(store), phone, instance) is Reason.POLICY_LEVEL
    store.close()


def test_instances_of_the_lab_are_marked(tmp_path: Path) -> None:
    """What the lab enrols is a test instance, and its token says so."""
    store = SqliteStore(tmp_path / "watchword.db")
    bench = bench_with(store, replace(POLICY, environment=Environment.LAB))
    phone = SimulatedPhone()
    enrolled = run(lambda: bench.enrolment.enrol(phone.enrolment(bench.challenge(phone)), NOW))
    assert enrolled.instance.test
    with pytest.raises(RefusedError) as caught:
        bench.claims(enrolled.tokens[0].token)
    assert caught.value.reason is Reason.TOKEN_ENVIRONMENT
    store.close()


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_instances_of_the_lab_are_worth_nothing_in_production(tmp_path: Path, app: str) -> None:
    """A row that a lab left in the store renews in the lab, and nowhere else."""
    store = SqliteStore(tmp_path / "watchword.db")
    lab = bench_with(store, replace(POLICY, environment=Environment.LAB))
    phone = SimulatedPhone(app)
    instance = lab.enrolled(phone)
    production = bench_with(store)
    assert renewal_of(production, phone, instance) is Reason.INSTANCE_TEST
    # It is refused on what the store says, before anything that the phone could choose.
    assert production.verifier.calls == []
    request = phone.renewal(instance.id, lab.challenge(phone, Purpose.RENEW))
    assert run(lambda: lab.enrolment.renew(request, NOW)).tokens
    store.close()


def test_nothing_is_answered_when_the_store_cannot_write(tmp_path: Path) -> None:
    """Without a durable row there is no token, and the same request succeeds later."""
    path = tmp_path / "watchword.db"
    SqliteStore(path).close()
    full = SqliteStore(path, max_pages=1)
    bench = bench_with(full)
    answered: list[Instance] = []
    request = SimulatedPhone().enrolment(bytes(57))

    async def enrol_until_full() -> None:
        nonlocal request
        while len(answered) < 500:
            phone = SimulatedPhone()
            request = phone.enrolment(bench.challenge(phone))
            answered.append((await bench.enrolment.enrol(request, NOW)).instance)

    with pytest.raises(UnavailableError) as caught:
        run(enrol_until_full)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    full.close()
    well = SqliteStore(path)
    assert {each.id for each in run(lambda: well.list_instances(1000))} == {
        each.id for each in answered
    }
    late = run(lambda: bench_with(well).enrolment.enrol(request, NOW)).instance
    assert late.id not in {each.id for each in answered}
    well.close()


@dataclass(frozen=True)
class FailingSigner:
    """Fail to sign, as a key store that is away would."""

    kid: str = "away"

    def sign(self, message: bytes) -> bytes:
        """Raise."""
        raise UnavailableError(Reason.SERVICE_INTERNAL, "the key store is away")


def test_failing_signer_burns_no_challenge(bench: Bench, tmp_path: Path) -> None:
    """When signing fails nothing was stored, so that the client can try again."""
    failing = Enrolment(
        policy=POLICY,
        verifier=bench.verifier,
        store=bench.store,
        keys=EnrolmentKeys(bytes(32), PAIRWISE, FailingSigner, gate_secret),
        entropy=SeededEntropy(b"other"),
    )
    phone = SimulatedPhone()
    request = phone.enrolment(bench.challenge(phone))
    with pytest.raises(UnavailableError):
        run(lambda: failing.enrol(request, NOW))
    enrolled = run(lambda: bench.enrolment.enrol(request, NOW))
    assert bench.rows()[0] == [enrolled.instance]


def test_each_token_comes_with_its_session_key_sealed_to_the_phone(bench: Bench) -> None:
    """The phone opens what its statement asked for; the key is the one that a gate derives."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))
    enrolment = phone.enrolment(bench.challenge(phone))
    first = run(lambda: bench.enrolment.enrol(enrolment, NOW))
    renewal = phone.renewal(first.instance.id, bench.challenge(phone, Purpose.RENEW))
    second = run(lambda: bench.enrolment.renew(renewal, NOW))
    keys = []
    for statement, tokens in (
        (enrolment.statement, first.tokens),
        (renewal.statement, second.tokens),
    ):
        for token in tokens:
            claims = bench.claims(token.token, token.audience)
            secret = gate_secret(token.audience)
            assert claims.epoch == secret.epoch
            info = sealing_info(sha256(statement).digest(), claims.session_id)
            keys.append(open_sealed(phone.seal_key, info, token.sealed_key))
            assert keys[-1] == proof_keys(claims, secret).session_key
            assert str(keys[-1])[2:20] not in repr(token)
    assert len(set(keys)) == 4


def test_a_seal_key_of_low_order_is_refused(bench: Bench) -> None:
    """Whoever states such a key wants everybody to know the session key: nothing is stored."""
    phone = SimulatedPhone()
    low = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes(32))}
    request = phone.enrolment(bench.challenge(phone), seal_jwk=low)
    assert bench.refused(lambda: bench.enrolment.enrol(request, NOW)) is Reason.STATEMENT_KEY


def test_keys_do_not_show() -> None:
    """The secrets of enrolment don't appear in a log line."""
    keys = EnrolmentKeys(b"challenge-secret", b"pairwise-secret", FailingSigner, gate_secret)
    assert "secret" not in repr(keys)
