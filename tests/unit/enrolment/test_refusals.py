"""Refusals that a phone may keep across a start: signed over its statement, and never at a stranger's expense of ours."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import (
    ISSUER,
    NOW,
    POLICY,
    CredulousVerifier,
    SeededEntropy,
    SimulatedPhone,
    gate_secret,
    public_spki,
    with_evidence,
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.sqlite import SqliteStore
from watchword.encoding import base64url, strict_json
from watchword.enrolment.interface import RenewalRequest, Statement
from watchword.enrolment.refusals import SIGNED_A_SECOND, RefusalSigner
from watchword.enrolment.service import Enrolment, EnrolmentKeys, at_once
from watchword.enrolment.statement import read_statement
from watchword.ports import Signer
from watchword.reasons import (
    MalformedError,
    Reason,
    Refusal,
    RefusedError,
    UnavailableError,
    lasting_first,
)
from watchword.tokens import jose
from watchword.tokens.interface import REFUSAL_TYPE, TOKEN_TYPE
from watchword.vocabulary import Level, Purpose


@dataclass
class CountingSigner:
    """Sign as the active token key does, and count."""

    inner: Signer = field(default_factory=lambda: new_key(0))
    signed: int = 0
    fails: bool = False

    @property
    def kid(self) -> str:
        """See the port."""
        return self.inner.kid

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        self.signed += 1
        if self.fails:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "no answer")
        return self.inner.sign(message)


STATEMENT: Statement = read_statement(SimulatedPhone().statement(Purpose.ENROL, bytes(57)))


def left(signer: CountingSigner | RefusalSigner, error: RefusedError, seconds: float = 0) -> Any:
    """Return what a refusal that leaves the block carries."""
    if isinstance(signer, CountingSigner):
        counting = signer
        signer = RefusalSigner(ISSUER, lambda: counting, at_once)
    refusals = signer

    async def refused() -> None:
        async with refusals.over(
            STATEMENT, NOW.fromtimestamp(NOW.timestamp() + seconds, NOW.tzinfo)
        ):
            raise error

    with pytest.raises(type(error)) as caught:
        asyncio.run(refused())
    assert caught.value is error
    return error.signed


@pytest.mark.parametrize("reason", list(Reason), ids=lambda each: each.code)
def test_only_final_classes_are_signed(reason: Reason) -> None:
    """Whatever a client may try again is left unsigned, and so is what isn't its own fault."""
    signer = CountingSigner()
    signed = left(signer, RefusedError.because(reason, "a detail"))
    final = reason.public.slug in {"evidence-refused", "instance-refused"}
    assert (signed is not None, signer.signed) == (final, int(final))


def test_malformed_evidence_stays_what_it_is() -> None:
    """A subclass leaves the block as itself."""
    assert left(CountingSigner(), MalformedError.because(Reason.EVIDENCE_MALFORMED)) is not None


def test_a_flood_gets_few_signatures() -> None:
    """Challenges cost nothing, so that what is signed for them is bounded; the next second brings room."""
    signer = CountingSigner()
    refusals = RefusalSigner(ISSUER, lambda: signer, at_once)
    for second in (0, 0.9, 1, -3600):
        before = signer.signed
        several = [
            left(refusals, RefusedError.because(Reason.EVIDENCE_SIGNATURE), second)
            for _ in range(3 * SIGNED_A_SECOND)
        ]
        room = 0 if second == 0.9 else SIGNED_A_SECOND
        assert signer.signed - before == room
        assert [each is not None for each in several] == [True] * room + [False] * (
            len(several) - room
        )


def test_requests_that_took_long_bring_no_room() -> None:
    """Each is judged by the instant at which it came: quick and slow ones take turns, in two seconds at once."""
    signer = CountingSigner()
    refusals = RefusalSigner(ISSUER, lambda: signer, at_once)
    for number in range(10 * SIGNED_A_SECOND):
        left(refusals, RefusedError.because(Reason.EVIDENCE_SIGNATURE), -(number % 2))
    assert signer.signed == SIGNED_A_SECOND


def test_who_can_not_sign_refuses_all_the_same() -> None:
    """A key that another server keeps may be out of reach; the refusal leaves without a signature."""
    signer = CountingSigner(fails=True)
    assert left(signer, RefusedError.because(Reason.EVIDENCE_SIGNATURE)) is None


def test_what_passes_decides_only_where_nothing_lasts() -> None:
    """A phone that is refused for good isn't told to come again, whichever rule stands first."""
    passing = Refusal(Reason.POLICY_DEVICE_VELOCITY)
    lasting = (Refusal(Reason.POLICY_BOOTLOADER_UNLOCKED), Refusal(Reason.POLICY_APP_ID))
    assert lasting_first((passing, *lasting)) == (*lasting, passing)
    assert lasting_first((lasting[0], passing, lasting[1])) == (*lasting, passing)
    assert lasting_first((passing,)) == (passing,)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    bench = service_bench(tmp_path)
    yield bench
    bench.store.close()


def verified(bench: ServiceBench, answer: httpx.Response, statement: bytes) -> dict[str, Any]:
    """Return what a signed refusal says, after a client's checks: a key of the JWKS, the type, and the statement's hash."""
    published = bench.run(lambda call: call.public.get("/.well-known/jwks.json")).json()["keys"]
    jws = jose.parse(answer.json()["signed"], REFUSAL_TYPE)
    (key,) = (each for each in published if each["kid"] == jws.kid)
    public = jose.public_key_from_jwk({name: key[name] for name in ("kty", "crv", "x", "y")})
    assert jose.is_signed_by(public, jws.signature, jws.signing_input)
    members = strict_json.loads(jws.payload, 2048)
    assert members.keys() == {"v", "iss", "app", "binding", "type", "now"}
    assert base64url.decode(members["binding"]) == read_statement(statement).binding
    return members


async def post(call: Caller, path: str, request: RenewalRequest) -> httpx.Response:
    """Send what an instance sends."""
    body = {
        "instance": request.instance_id,
        "statement": base64url.encode(request.statement),
        "evidence": dict(request.evidence),
    }
    return await call.public.post(path, json=body)


def test_evidence_that_is_refused(bench: ServiceBench) -> None:
    """The answer says its class once more, signed over the statement's bytes, the issuer, the app and the time."""
    phone = SimulatedPhone()
    sent: list[bytes] = []

    async def way(call: Caller) -> httpx.Response:
        challenge = await call.challenge(phone)
        sent.append(phone.statement(Purpose.ENROL, challenge))
        return await call.attest(phone, challenge, {"level": "software"})

    answer = bench.run(way)
    assert answer.status_code == 403
    assert verified(bench, answer, sent[0]) | {"binding": ""} == {
        "v": 1,
        "iss": ISSUER,
        "app": phone.app,
        "binding": "",
        "type": "evidence-refused",
        "now": int(bench.clock.timestamp()),
    }
    with pytest.raises(MalformedError):
        jose.parse(answer.json()["signed"], TOKEN_TYPE)


def test_an_instance_that_was_revoked(bench: ServiceBench) -> None:
    """It is told for good when it renews."""
    phone = SimulatedPhone()
    sent: list[RenewalRequest] = []

    async def way(call: Caller) -> httpx.Response:
        instance = (await call.enrol(phone))["instance"]
        done = await call.operator.post(
            f"/v1/instances/{instance}/revoke", json={"because": "lost"}
        )
        assert done.status_code == 200, done.text
        sent.append(phone.renewal(instance, await call.challenge(phone, Purpose.RENEW)))
        return await post(call, "/v1/tokens", sent[0])

    answer = bench.run(way)
    assert answer.json()["type"] == "urn:watchword:problem:instance-refused"
    assert verified(bench, answer, sent[0].statement)["type"] == "instance-refused"


@pytest.mark.parametrize(
    ("challenge", "changes", "slug"),
    [
        (bytes(57), {}, "challenge-refused"),
        (b"\1" + bytes(56), {}, "challenge-refused"),
        (b"\2" + bytes(56), {}, "challenge-refused"),
        (None, {"iss": "https://other.example"}, "evidence-refused"),
        (None, {"app": "nobody"}, "evidence-refused"),
        (None, {"aud": ["https://other.example"]}, "evidence-refused"),
        (None, {"extra": 1}, "request-malformed"),
    ],
)
def test_what_carries_no_challenge_of_ours_costs_no_signature(
    bench: ServiceBench, challenge: bytes | None, changes: dict[str, Any], slug: str
) -> None:
    """Nor does what is refused before the challenge is looked at."""
    phone = SimulatedPhone()

    async def way(call: Caller) -> httpx.Response:
        asked = await call.challenge(phone)
        return await call.attest(phone, challenge or asked, {"level": "software"}, None, **changes)

    answer = bench.run(way)
    assert answer.json()["type"] == f"urn:watchword:problem:{slug}"
    assert "signed" not in answer.json()


def test_a_flood_costs_no_signature(tmp_path: Path) -> None:
    """A hundred strangers with challenges that they made up cost none; a hundred with a genuine one cost a second's share."""
    store, signer = SqliteStore(tmp_path / "watchword.db"), CountingSigner()
    enrolment = Enrolment(
        policy=POLICY,
        verifier=CredulousVerifier(),
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: signer, gate_secret),
        entropy=SeededEntropy(),
        refusals=RefusalSigner(ISSUER, lambda: signer, at_once),
    )
    phone = SimulatedPhone()
    genuine, _ = enrolment.challenge(phone.app, Purpose.ENROL, NOW)

    async def flood(challenges: list[bytes]) -> None:
        for challenge in challenges:
            request = with_evidence(phone.enrolment(challenge), level="software")
            with pytest.raises(RefusedError):
                await enrolment.enrol(request, NOW)
            renewal = phone.renewal("A" * 22, challenge)
            with pytest.raises(RefusedError):
                await enrolment.renew(renewal, NOW)

    made_up = [version + bytes([number]) * 56 for number in range(50) for version in (b"\1", b"\2")]
    asyncio.run(flood(made_up))
    assert signer.signed == 0
    asyncio.run(flood([genuine] * 100))
    assert signer.signed == SIGNED_A_SECOND
    store.close()


def test_a_bad_policy_that_was_mended(tmp_path: Path) -> None:
    """The service holds nothing against a phone: the same key enrols once the policy lets it."""
    phone = SimulatedPhone()
    answers = []
    for minimum in (Level.HARDWARE, Level.SOFTWARE):
        bench = service_bench(tmp_path, policy=replace(POLICY, minimum_level=minimum))

        async def way(call: Caller) -> httpx.Response:
            return await call.attest(phone, await call.challenge(phone), {"level": "software"})

        answers.append(bench.run(way))
        bench.store.close()
    assert [answer.status_code for answer in answers] == [403, 201]
    assert "signed" in answers[0].json()


def test_assertions_that_overtook_each_other(bench: ServiceBench) -> None:
    """The later one renews; the earlier one is told to ask anew, which helps, and nothing of it is final."""
    phone = SimulatedPhone()

    async def way(call: Caller) -> list[httpx.Response]:
        instance = (await call.enrol(phone))["instance"]
        first, second = [
            phone.renewal(instance, await call.challenge(phone, Purpose.RENEW)) for _ in range(2)
        ]
        answers = [await post(call, "/v1/tokens", each) for each in (second, first)]
        return [*answers, await call.renew(phone, instance)]

    later, earlier, again = bench.run(way)
    assert (later.status_code, earlier.status_code, again.status_code) == (200, 409, 200)
    assert earlier.json()["type"] == "urn:watchword:problem:challenge-refused"
    assert "signed" not in earlier.json()
    counted = bench.log.counts()
    assert counted[Reason.INSTANCE_COUNTER, "POST /v1/tokens"] == 1


def test_assertions_that_were_swapped(bench: ServiceBench) -> None:
    """One statement with the other's assertion is refused for good: no two of a phone's own calls do that."""
    phone = SimulatedPhone()

    async def way(call: Caller) -> httpx.Response:
        instance = (await call.enrol(phone))["instance"]
        one, other = [
            phone.renewal(instance, await call.challenge(phone, Purpose.RENEW)) for _ in range(2)
        ]
        return await post(call, "/v1/tokens", replace(one, evidence=other.evidence))

    answer = bench.run(way)
    assert answer.json()["type"] == "urn:watchword:problem:evidence-refused"
    assert "signed" in answer.json()


@dataclass(frozen=True)
class Refusing(CredulousVerifier):
    """Refuse all evidence for the same causes."""

    causes: tuple[Reason, ...] = ()

    async def appraise(self, *_arguments: object) -> Any:
        """See the port."""
        raise RefusedError(lasting_first(Refusal(each) for each in self.causes))


@pytest.mark.parametrize(
    ("causes", "status", "retry_after"),
    [
        ((Reason.POLICY_DEVICE_VELOCITY,), 503, "3600"),
        ((Reason.POLICY_SERIAL_FAN_OUT,), 503, "3600"),
        ((Reason.POLICY_REVOCATION_UNKNOWN,), 503, "60"),
        ((Reason.POLICY_DEVICE_VELOCITY, Reason.POLICY_KEY_ORIGIN), 403, None),
    ],
)
def test_what_passes_by_itself_says_when(
    tmp_path: Path, causes: tuple[Reason, ...], status: int, retry_after: str | None
) -> None:
    """A phone that enrolled too often isn't locked out for good, and learns when to come again."""
    bench = service_bench(tmp_path, verifier=Refusing(causes=causes))
    phone = SimulatedPhone()

    async def way(call: Caller) -> httpx.Response:
        return await call.attest(phone, await call.challenge(phone))

    answer = bench.run(way)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
    assert ("signed" in answer.json()) is (status == 403)
    bench.store.close()


def test_another_phone_can_not_use_it(bench: ServiceBench) -> None:
    """Two phones that are refused get refusals of their own statements alone."""
    phones = [SimulatedPhone(), SimulatedPhone(attested_key=public_spki())]

    async def way(call: Caller) -> list[str]:
        answers = [
            await call.attest(each, await call.challenge(each), {"level": "software"})
            for each in phones
        ]
        payloads = [jose.parse(each.json()["signed"], REFUSAL_TYPE).payload for each in answers]
        return [json.loads(each)["binding"] for each in payloads]

    assert len(set(bench.run(way))) == 2
