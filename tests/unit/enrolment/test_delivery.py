"""Hand secrets to instances over a real store, with simulated vendors."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.unit.enrolment.simulators import (
    CLINIC,
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
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.broker.envelope import SecretContext, secret_info
from watchword.broker.interface import DeliveryRule, SecretValue, SecretVersion
from watchword.encoding import base64url
from watchword.encoding.phrases import moment
from watchword.enrolment.delivery import Delivered, LeaseCount, SecretDelivery
from watchword.enrolment.interface import EnrolmentPolicy, RenewalRequest
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.enrolment.statement import read_statement
from watchword.lab.keys import open_sealed
from watchword.ports import AuditEntry, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Environment, Level, Purpose

KEY = bytes(32)
LEASE = 3600
VALUE = "wwk-push-0123456789"
RULE = DeliveryRule("push", frozenset({"clinic-ios", "clinic-android"}), Level.HARDWARE, LEASE)
_Result = TypeVar("_Result")


def run(call: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run one coroutine in a fresh event loop."""

    async def awaited() -> _Result:
        return await call()

    return asyncio.run(awaited())


@dataclass
class SimulatedSecrets:
    """Know one version of each secret, and do as told when asked.

    :ivar asked: how often it was.
    :ivar when_asked: is called with that number before each answer.
    """

    versions: dict[str, SecretVersion]
    asked: int = 0
    when_asked: Callable[[int], None] = lambda _: None

    def deliverable(self, name: str, now: float) -> SecretVersion:
        """See the port."""
        self.asked += 1
        self.when_asked(self.asked)
        version = self.versions[name]
        if not version.counts(now):
            raise RefusedError.because(Reason.SECRET_REVOKED, "no version counts")
        return version


@dataclass
class Bench:
    """Hold deliveries with everything around them."""

    store: SqliteStore
    policy: EnrolmentPolicy = field(default_factory=lambda: POLICY)
    verifier: CredulousVerifier = field(default_factory=CredulousVerifier)
    clock: MovableClock = field(default_factory=MovableClock)
    entropy: SeededEntropy = field(default_factory=SeededEntropy)
    rule: DeliveryRule = RULE

    def __post_init__(self) -> None:
        """Build what stands on these."""
        self.secrets = SimulatedSecrets({"push": SecretVersion(3, SecretValue(VALUE), 0)})
        key = new_key(0)
        self.enrolment = Enrolment(
            policy=self.policy,
            verifier=self.verifier,
            store=self.store,
            keys=EnrolmentKeys(KEY, KEY, lambda: key, gate_secret),
            entropy=self.entropy,
        )

    @property
    def delivery(self) -> SecretDelivery:
        """Return the calls that hand out secrets, by the present rule."""
        return SecretDelivery(
            policy=self.policy,
            rules={self.rule.secret: self.rule},
            verifier=self.verifier,
            store=self.store,
            secrets=self.secrets,
            challenge_key=KEY,
            entropy=self.entropy,
        )

    def challenge(self, phone: SimulatedPhone, purpose: Purpose = Purpose.SECRET) -> bytes:
        """Ask for a challenge."""
        return self.enrolment.challenge(phone.app, purpose, self.clock.now())[0]

    def enrolled(self, phone: SimulatedPhone, **evidence: Any) -> Instance:
        """Enrol a phone; ``evidence`` is added to what it says."""
        request = phone.enrolment(self.challenge(phone, Purpose.ENROL))
        request = replace(request, evidence={**request.evidence, **evidence})
        return run(lambda: self.enrolment.enrol(request, self.clock.now())).instance

    def asking(
        self, phone: SimulatedPhone, instance: Instance, secret: str = "push", **changes: Any
    ) -> RenewalRequest:
        """Return a request for a secret with a fresh challenge."""
        return phone.asking(instance.id, self.challenge(phone), secret, **changes)

    def deliver(self, request: RenewalRequest) -> Delivered:
        """Hand over what is asked for."""
        return run(lambda: self.delivery.deliver(request, self.clock.now()))

    def reason(self, request: RenewalRequest) -> Reason:
        """Return why nothing is handed out, and check that this left nothing behind."""
        before = self.rows()
        with pytest.raises((RefusedError, UnavailableError)) as caught:
            self.deliver(request)
        assert self.rows() == before
        assert isinstance(caught.value, RefusedError | UnavailableError)
        return caught.value.reason

    def rows(self) -> tuple[Any, ...]:
        """Return all that the store says of instances, leases and audit."""
        return (
            run(lambda: self.store.list_instances(100)),
            run(lambda: self.store.audit_entries(100)),
            self.leases(),
        )

    def leases(self, secret: str | None = None) -> list[LeaseCount]:
        """Return who holds secrets now."""
        return list(run(lambda: self.store.leases(self.clock.now(), secret)))


def opened(phone: SimulatedPhone, request: RenewalRequest, delivered: Delivered) -> bytes:
    """Open what was handed out as the phone does, by what the answer says."""
    lease = delivered.lease
    context = SecretContext(
        binding=read_statement(request.statement).binding,
        app=phone.app,
        name=lease.secret,
        version=lease.version,
        lease=lease.id,
        expires_at=int(lease.expires_at.timestamp()),
    )
    return open_sealed(phone.seal_key, secret_info(context), delivered.sealed)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store = SqliteStore(tmp_path / "watchword.db")
    yield Bench(store)
    store.close()


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_instance_is_handed_a_secret_that_it_alone_can_open(bench: Bench, app: str) -> None:
    """The lease is kept, the audit trail tells of it without the value, another phone opens nothing."""
    phone = SimulatedPhone(app)
    instance = bench.enrolled(phone, version="42")
    request = bench.asking(phone, instance)
    delivered = bench.deliver(request)
    lease = delivered.lease
    assert opened(phone, request, delivered) == VALUE.encode()
    with pytest.raises(ValueError, match="wasn't sealed"):
        opened(SimulatedPhone(app), request, delivered)
    assert (lease.version, lease.deliveries, delivered.expires_in) == (3, 1, LEASE)
    assert lease.expires_at == NOW + timedelta(seconds=LEASE)
    assert bench.leases() == [LeaseCount("push", 3, app, "42", 1, 0, lease.expires_at, NOW)]
    entry = run(lambda: bench.store.audit_entries(1))[0]
    assert entry == AuditEntry(
        NOW,
        "instance",
        "secret.delivered",
        instance.id,
        {
            "secret": "push",
            "version": 3,
            "lease": lease.id,
            "delivery": 1,
            "expires_at": moment(lease.expires_at),
            "app": app,
            "app_version": "42",
            "level": "hardware",
        },
    )
    for shown in (repr(delivered), repr(lease), repr(bench.delivery), repr(entry)):
        assert VALUE not in shown
        assert str(delivered.sealed) not in shown


def test_counter_rises_with_deliveries_as_with_renewals(bench: Bench) -> None:
    """One count over both: what the key signed before is refused afterwards."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    early = bench.asking(phone, instance)
    bench.deliver(bench.asking(phone, instance))
    found = run(lambda: bench.store.find(instance.id))
    assert found is not None
    assert (found.counter, found.renewed_at) == (2, instance.renewed_at)
    assert bench.reason(early) is Reason.INSTANCE_COUNTER


def test_request_is_good_once(bench: Bench) -> None:
    """What was caught on the way opens nothing new when it is sent again."""
    phone = SimulatedPhone("clinic-android")
    instance = bench.enrolled(phone)
    request = bench.asking(phone, instance)
    bench.deliver(request)
    assert bench.reason(request) is Reason.CHALLENGE_USED


def test_lost_answer_continues_the_lease(bench: Bench) -> None:
    """Who asks again gets the same lease with a new end: none is doubled."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    first = bench.deliver(bench.asking(phone, instance)).lease
    bench.clock.advance(600)
    bench.secrets.versions["push"] = SecretVersion(4, SecretValue("next"), 0)
    second = bench.deliver(bench.asking(phone, instance)).lease
    assert (second.id, second.issued_at) == (first.id, first.issued_at)
    assert (second.version, second.deliveries) == (4, 2)
    assert second.expires_at == first.expires_at + timedelta(seconds=600)
    assert [each.version for each in bench.leases()] == [4]


def test_lease_that_ended_is_followed_by_another(bench: Bench) -> None:
    """To the very second: at its end it lives no more."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    first = bench.deliver(bench.asking(phone, instance)).lease
    bench.clock.at = first.expires_at
    assert bench.leases() == []
    second = bench.deliver(bench.asking(phone, instance)).lease
    assert second.id != first.id
    assert (second.deliveries, second.issued_at) == (1, first.expires_at)


def test_lease_outlives_neither_version_nor_test_instance(bench: Bench) -> None:
    """The nearest end is the lease's, with at least a second left."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    bench.clock.advance(0.75)
    until = int(NOW.timestamp()) + 1
    bench.secrets.versions["push"] = SecretVersion(3, SecretValue(VALUE), 0, until)
    delivered = bench.deliver(bench.asking(phone, instance))
    assert delivered.lease.expires_at == datetime.fromtimestamp(until, NOW.tzinfo)
    assert delivered.expires_in == 1
    bench.clock.at = NOW + timedelta(seconds=2)
    assert bench.reason(bench.asking(phone, instance)) is Reason.SECRET_REVOKED


def test_lease_ends_with_a_whole_second(bench: Bench) -> None:
    """As the answer tells it: nobody has to round."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    bench.clock.advance(0.75)
    delivered = bench.deliver(bench.asking(phone, instance))
    assert delivered.lease.expires_at == NOW + timedelta(seconds=LEASE)
    assert delivered.expires_in == LEASE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rule: replace(rule, secret="other"), Reason.SECRET_NOT_DELIVERED),
        (lambda rule: replace(rule, apps=frozenset({"clinic-android"})), Reason.SECRET_APP),
    ],
)
def test_rule_decides_before_anything_costs(
    bench: Bench, change: Callable[[DeliveryRule], DeliveryRule], reason: Reason
) -> None:
    """Neither evidence nor secrets are looked at; strangers can't tell the two apart."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    bench.verifier.calls.clear()
    bench.rule = change(bench.rule)
    assert bench.reason(bench.asking(phone, instance)) is reason
    assert bench.verifier.calls == []
    assert bench.secrets.asked == 0
    assert reason.public is Reason.SECRET_NOT_DELIVERED.public is Reason.SECRET_REVOKED.public


@pytest.mark.parametrize(
    ("attested", "needed", "minimum", "reason"),
    [
        ("hardware", Level.HARDWARE, Level.SOFTWARE, None),
        ("verified", Level.HARDWARE, Level.SOFTWARE, Reason.SECRET_LEVEL),
        ("verified", Level.VERIFIED, Level.SOFTWARE, None),
        ("software", Level.VERIFIED, Level.SOFTWARE, Reason.SECRET_LEVEL),
        ("software", Level.SOFTWARE, Level.VERIFIED, Reason.SECRET_LEVEL),
    ],
)
def test_level_must_reach_the_secrets_and_the_deployments(
    bench: Bench, attested: str, needed: Level, minimum: Level, reason: Reason | None
) -> None:
    """A minimum that was raised since the enrolment holds too."""
    bench.policy = replace(POLICY, minimum_level=Level.SOFTWARE)
    bench.__post_init__()
    phone = SimulatedPhone()
    instance = bench.enrolled(phone, level=attested)
    bench.policy = replace(POLICY, minimum_level=minimum)
    bench.rule = replace(bench.rule, level=needed)
    request = bench.asking(phone, instance)
    if reason is None:
        assert opened(phone, request, bench.deliver(request)) == VALUE.encode()
    else:
        assert bench.reason(request) is reason
        assert "renewal" not in bench.verifier.calls
        assert reason.public is Reason.SECRET_NOT_DELIVERED.public


@pytest.mark.parametrize("purpose", [Purpose.ENROL, Purpose.RENEW])
def test_each_purpose_has_challenges_of_its_own(bench: Bench, purpose: Purpose) -> None:
    """Nothing that was made to renew or enrol gets a secret, nor the other way round."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    other = bench.challenge(phone, purpose)
    assert bench.reason(phone.asking(instance.id, other)) is Reason.CHALLENGE_UNKNOWN
    renewal = phone.renewal(instance.id, bench.challenge(phone, Purpose.RENEW))
    assert bench.reason(renewal) is Reason.STATEMENT_PURPOSE
    asking = bench.asking(phone, instance)
    with pytest.raises(RefusedError) as caught:
        run(lambda: bench.enrolment.renew(asking, NOW))
    assert caught.value.reason is Reason.STATEMENT_PURPOSE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.example"}, Reason.STATEMENT_ISSUER),
        ({"app": "unknown"}, Reason.STATEMENT_APP_UNKNOWN),
        ({"aud": ["https://other.example"]}, Reason.STATEMENT_AUDIENCE),
        ({"aud": [CLINIC, LEDGER]}, Reason.STATEMENT_AUDIENCE),
        ({"proof_jwk": public_jwk()}, Reason.STATEMENT_KEY),
        ({"seal_jwk": public_jwk()}, Reason.STATEMENT_KEY),
        ({"secret": None}, Reason.STATEMENT_MALFORMED),
        ({"secret": "other"}, Reason.SECRET_NOT_DELIVERED),
    ],
)
def test_statement_must_be_the_instances(
    bench: Bench, changes: dict[str, Any], reason: Reason
) -> None:
    """With one's own keys, for this issuer, of this app; above all to one's own seal key."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    assert bench.reason(bench.asking(phone, instance, **changes)) is reason


def test_instance_must_be_known_and_alive(bench: Bench) -> None:
    """A stranger's id, and an instance that was revoked, get nothing; its leases are marked."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    stranger = replace(instance, id="nobody")
    assert bench.reason(bench.asking(phone, stranger)) is Reason.INSTANCE_UNKNOWN
    lease = bench.deliver(bench.asking(phone, instance)).lease
    entry = AuditEntry(NOW, "operator", "instance.revoked", instance.id)
    run(lambda: bench.store.revoke(instance.id, NOW, "lost", entry))
    assert bench.reason(bench.asking(phone, instance)) is Reason.INSTANCE_REVOKED
    assert bench.leases("push") == [
        LeaseCount("push", 3, "clinic-ios", None, 0, 1, lease.expires_at, NOW)
    ]


def test_revocation_in_the_last_moment_is_seen_by_the_transaction(
    bench: Bench, tmp_path: Path
) -> None:
    """Of a revocation and a delivery at the same time one comes first."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    request = bench.asking(phone, instance)
    entry = AuditEntry(NOW, "operator", "instance.revoked", instance.id)

    def revoke(_count: int) -> None:
        other = SqliteStore(tmp_path / "watchword.db")
        run_elsewhere(lambda: other.revoke(instance.id, NOW, "lost", entry))
        other.close()

    bench.secrets.when_asked = revoke
    with pytest.raises(RefusedError) as caught:
        bench.deliver(request)
    assert caught.value.reason is Reason.INSTANCE_REVOKED
    assert bench.leases() == []


def run_elsewhere(call: Callable[[], Awaitable[object]]) -> None:
    """Run one coroutine to its end in another thread, as another process would."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run, call).result()


@pytest.mark.parametrize("lab_first", [True, False])
def test_lab_instances_get_nothing_in_production(bench: Bench, *, lab_first: bool) -> None:
    """Anybody with the lab's files has their keys."""
    bench.policy = replace(POLICY, environment=Environment.LAB)
    bench.__post_init__()
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    if lab_first:
        assert bench.deliver(bench.asking(phone, instance)).lease.version == 3
    bench.policy = POLICY
    assert bench.reason(bench.asking(phone, instance)) is Reason.INSTANCE_TEST


def test_evidence_decides_as_at_a_renewal(bench: Bench) -> None:
    """Another key's evidence and evidence for another statement are refused before the secret is asked for."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    request = bench.asking(phone, instance)
    foreign = {**request.evidence, "key": base64url.encode(public_spki())}
    assert bench.reason(replace(request, evidence=foreign)) is Reason.APP_ATTEST_SIGNATURE
    other = bench.asking(phone, instance)
    swapped = replace(request, evidence=other.evidence)
    assert bench.reason(swapped) is Reason.ATTESTATION_BINDING
    assert bench.secrets.asked == 0


def test_what_evidence_states_anew_is_kept(bench: Bench) -> None:
    """The app's version at the delivery is the lease's, and from then on the instance's."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone, version="42")
    bench.clock.advance(10)
    request = bench.asking(phone, instance)
    newer = {**request.evidence, "version": "43", "vouched_anew": True}
    lease = bench.deliver(replace(request, evidence=newer)).lease
    found = run(lambda: bench.store.find(instance.id))
    assert found is not None
    assert (lease.app_version, found.app_version) == ("43", "43")
    assert found.attested_at == bench.clock.now()


def test_version_that_is_revoked_meanwhile_is_not_handed_out(bench: Bench) -> None:
    """After the lease was written it is asked once more whether the version counts."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)

    def revoke(asked: int) -> None:
        if asked == 2:
            bench.secrets.versions["push"] = SecretVersion(3, None, 0, None, 1)

    bench.secrets.when_asked = revoke
    with pytest.raises(RefusedError) as caught:
        bench.deliver(bench.asking(phone, instance))
    assert caught.value.reason is Reason.SECRET_REVOKED
    # It may be out for all that is known, and is told as if it were.
    assert [each.leases for each in bench.leases()] == [1]


def test_version_that_is_replaced_meanwhile_is_asked_for_again(bench: Bench) -> None:
    """An answer never says one version and holds another."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)

    def rotate(asked: int) -> None:
        if asked == 2:
            bench.secrets.versions["push"] = SecretVersion(4, SecretValue("next"), 0)

    bench.secrets.when_asked = rotate
    with pytest.raises(UnavailableError) as caught:
        bench.deliver(bench.asking(phone, instance))
    assert caught.value.reason is Reason.SECRET_UNAVAILABLE
    request = bench.asking(phone, instance)
    assert opened(phone, request, bench.deliver(request)) == b"next"


def test_secrets_that_cannot_answer_leave_the_challenge_unused(bench: Bench) -> None:
    """The same request succeeds when they can."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    request = bench.asking(phone, instance)

    def fail(_asked: int) -> None:
        raise UnavailableError(Reason.SECRET_UNAVAILABLE, "not read yet")

    bench.secrets.when_asked = fail
    assert bench.reason(request) is Reason.SECRET_UNAVAILABLE
    bench.secrets.when_asked = lambda _asked: None
    assert opened(phone, request, bench.deliver(request)) == VALUE.encode()


def test_nothing_is_handed_out_that_the_store_cannot_keep(tmp_path: Path) -> None:
    """Each secret that left has its lease and its audit entry; on a full disk none leaves."""
    path = tmp_path / "watchword.db"
    roomy = Bench(SqliteStore(path))
    phones = [SimulatedPhone("clinic-android") for _ in range(40)]
    instances = [roomy.enrolled(phone) for phone in phones]
    roomy.store.close()
    bench = Bench(SqliteStore(path, max_pages=1), entropy=SeededEntropy(b"full"))
    answered = []
    with pytest.raises(UnavailableError) as caught:  # noqa: PT012 - one of them finds no room.
        for phone, instance in zip(phones * 20, instances * 20, strict=True):
            answered.append(bench.deliver(bench.asking(phone, instance)).lease)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    bench.store.close()
    well = Bench(SqliteStore(path))
    assert sum(each.leases for each in well.leases()) == len({lease.id for lease in answered})
    entries = run(lambda: well.store.audit_entries(1000))
    delivered = [each for each in entries if each.action == "secret.delivered"]
    assert len(delivered) == len(answered)
    well.store.close()


def test_of_several_at_once_each_has_its_answer_under_one_lease(bench: Bench) -> None:
    """Callers that race, as after lost answers, all continue one lease."""
    phone = SimulatedPhone("clinic-android")
    instance = bench.enrolled(phone)
    requests = [bench.asking(phone, instance) for _ in range(20)]

    async def all_at_once() -> list[Delivered]:
        return list(await asyncio.gather(*(bench.delivery.deliver(r, NOW) for r in requests)))

    answers = run(all_at_once)
    assert len({each.lease.id for each in answers}) == 1
    assert sorted(each.lease.deliveries for each in answers) == list(range(1, 21))
    for request, answer in zip(requests, answers, strict=True):
        assert opened(phone, request, answer) == VALUE.encode()


def test_nothing_is_delivered_where_nothing_is_configured(bench: Bench) -> None:
    """Without rules every name is unknown, also without a store of secrets."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    nothing = SecretDelivery(
        policy=POLICY,
        rules={},
        verifier=bench.verifier,
        store=bench.store,
        secrets=None,
        challenge_key=KEY,
        entropy=bench.entropy,
    )
    with pytest.raises(RefusedError) as caught:
        run(lambda: nothing.deliver(bench.asking(phone, instance), NOW))
    assert caught.value.reason is Reason.SECRET_NOT_DELIVERED


def test_detail_of_an_unknown_name_does_not_repeat_it(bench: Bench) -> None:
    """It is the sender's text: nothing of it goes into a log."""
    phone = SimulatedPhone()
    instance = bench.enrolled(phone)
    with pytest.raises(RefusedError) as caught:
        bench.deliver(bench.asking(phone, instance, "what-a-stranger-wrote"))
    assert "stranger" not in str(caught.value)
