"""Hold secrets in memory for as long as their leases: one fetch for all who ask, and nothing left behind."""

import asyncio
import base64
import hashlib
import json
import logging
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.unit.client.simulators import ISSUER, IssuingService, Surroundings, problem

from watchword.broker.envelope import SecretContext, seal_secret
from watchword.broker.interface import SecretValue
from watchword.client import (
    ClientError,
    DeliveredSecrets,
    InstanceRefusedError,
    SecretRefusedError,
    SecretsClosedError,
    SecretUnopenedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
    WatchwordClient,
)
from watchword.encoding import base64url

LEASE = 1000
VALUE = "wwk-push-0123456789"


@dataclass
class LendingService(IssuingService):
    """Hand out secrets, sealed, beside tokens.

    :ivar fails: the answers that come instead, one after the other.
    :ivar fetched: the statements that asked for a secret.
    :ivar gate: is waited for before each answer.
    :ivar value: what is handed out.
    :ivar change: changes an answer before it is sent.
    """

    fails: list[httpx.Response | Exception] = field(default_factory=list)
    fetched: list[dict[str, Any]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    value: str = VALUE
    change: Callable[[dict[str, Any]], None] = lambda _answer: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.path != "/v1/secrets":
            return super().__call__(request)
        body = json.loads(request.content)
        raw = base64.urlsafe_b64decode(body["statement"] + "===")
        statement = json.loads(raw)
        self.fetched.append({**statement, "instance": body["instance"]})
        assert self.gate.wait(10)
        if self.fails:
            failure = self.fails.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        count = len(self.fetched)
        end = int(self.clock()) + LEASE
        context = SecretContext(
            binding=hashlib.sha256(raw).digest(),
            app=statement["app"],
            name=statement["secret"],
            version=count,
            lease="lease-1",
            expires_at=end,
        )
        sealed = seal_secret(SecretValue(self.value), statement["seal_jwk"], context)
        answer = {
            "name": statement["secret"],
            "version": count,
            "lease": "lease-1",
            "expires_in": LEASE,
            "expires_at": end,
            "sealed": base64url.encode(sealed),
        }
        self.change(answer)
        return httpx.Response(200, json=answer)


@dataclass
class Timers:
    """Run what was scheduled when told to.

    :ivar waiting: by number, seconds and work that weren't called off.
    """

    waiting: dict[int, tuple[float, Callable[[], None]]] = field(default_factory=dict)
    made: int = 0

    def __call__(self, seconds: float, work: Callable[[], None]) -> Callable[[], None]:
        """Schedule a call."""
        self.made += 1
        number = self.made
        self.waiting[number] = (seconds, work)
        return lambda: void(self.waiting.pop(number, None))

    def run(self) -> None:
        """Run everything."""
        for _seconds, work in list(self.waiting.values()):
            work()


def void(_result: object) -> None:
    """Drop a result."""


@dataclass
class Phone:
    """Hold a phone with a service, and the secrets on it."""

    around: Surroundings = field(default_factory=Surroundings)
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        """Build what stands on these."""
        self.service = LendingService(lambda: self.around.time)
        self.service.gate.set()
        self.around.service = self.service
        self.client = self.around.client()
        self.secrets = DeliveredSecrets(self.client, schedule=self.timers)

    def advance(self, seconds: float) -> None:
        """Let time pass, without the timers noticing."""
        self.around.time += seconds

    def held(self) -> bytearray:
        """Return the buffer in which the secret is."""
        return self.secrets._held["push"].delivery.value


@pytest.fixture
def phone() -> Phone:
    """Return a phone that isn't enrolled."""
    return Phone()


def test_secret_is_fetched_once_and_held(phone: Phone) -> None:
    """The first call enrols and fetches, with a statement of its own; later ones ask nobody."""
    assert phone.secrets.value("push") == VALUE
    assert phone.secrets.value("push") == VALUE
    (statement,) = phone.service.fetched
    assert (statement["purpose"], statement["secret"]) == ("secret", "push")
    assert (statement["iss"], statement["instance"]) == (ISSUER, "i")
    assert "bnd" not in statement
    assert phone.service.issued == 1
    assert phone.timers.waiting[1][0] == LEASE


def test_secret_is_fetched_again_before_the_lease_ends(phone: Phone) -> None:
    """Between 60 and 80 % of it (here 70), while what is held still works."""
    phone.secrets.value("push")
    first = phone.held()
    phone.advance(LEASE * 0.7 - 1)
    assert phone.secrets.value("push") == VALUE
    assert len(phone.service.fetched) == 1
    phone.advance(1)
    phone.service.value = "next"
    assert phone.secrets.value("push") == "next"
    assert len(phone.service.fetched) == 2
    assert not any(first)
    assert len(phone.timers.waiting) == 1


def test_early_fetch_that_fails_is_put_off(phone: Phone) -> None:
    """The service is asked once and not at each call; what is held works to the end of its lease."""
    phone.secrets.value("push")
    phone.advance(LEASE * 0.7)
    phone.service.fails = [httpx.ConnectError("away")]
    assert phone.secrets.value("push") == VALUE
    assert phone.secrets.value("push") == VALUE
    assert len(phone.service.fetched) == 2
    phone.advance(LEASE * 0.3 * 0.2)
    assert phone.secrets.value("push") == VALUE
    assert len(phone.service.fetched) == 3


def test_nothing_is_returned_after_the_lease(phone: Phone) -> None:
    """Also where timers sleep with the phone: its time alone decides; and the buffer is empty then."""
    phone.secrets.value("push")
    first = phone.held()
    phone.advance(LEASE)
    phone.service.fails = [httpx.ConnectError("away")] * 4
    with pytest.raises(ServiceUnavailableError):
        phone.secrets.value("push")
    assert not any(first)
    assert len(first) == len(VALUE)
    assert phone.secrets.value("push") == VALUE


def test_secret_is_overwritten_at_the_end_of_its_lease(phone: Phone) -> None:
    """Also if nobody asks any more."""
    phone.secrets.value("push")
    first = phone.held()
    phone.timers.run()
    assert not any(first)
    assert repr(phone.secrets) == "DeliveredSecrets(held=[])"


def test_late_timer_leaves_the_next_secret_alone(phone: Phone) -> None:
    """A timer that was called off too late overwrites nothing that came after."""
    phone.secrets.value("push")
    late = phone.timers.waiting[1][1]
    phone.advance(LEASE * 0.7)
    phone.secrets.value("push")
    late()
    assert phone.held() == VALUE.encode()


def test_refused_secret_is_overwritten(phone: Phone) -> None:
    """A revocation reaches the phone at the next fetch; afterwards each call asks anew."""
    phone.secrets.value("push")
    first = phone.held()
    phone.advance(LEASE * 0.7)
    phone.service.fails = [problem("secret-refused", 403)] * 2
    for _ in range(2):
        with pytest.raises(SecretRefusedError) as caught:
            phone.secrets.value("push")
        assert caught.value.problem.slug == "secret-refused"
    assert not any(first)
    assert phone.secrets.value("push") == VALUE


def test_tokens_work_on_after_a_refused_secret(phone: Phone) -> None:
    """One secret that isn't handed out says nothing of the instance; a revoked instance is final."""
    phone.service.fails = [problem("secret-refused", 403), problem("instance-refused", 403)]
    with pytest.raises(SecretRefusedError):
        phone.secrets.value("push")
    phone.client.renew()
    with pytest.raises(InstanceRefusedError):
        phone.secrets.value("push")
    asked = len(phone.service.fetched)
    with pytest.raises(InstanceRefusedError):
        phone.secrets.value("push")
    assert len(phone.service.fetched) == asked


def test_refused_challenge_is_replaced_once(phone: Phone) -> None:
    """It may have expired while the phone slept."""
    phone.service.fails = [problem("challenge-refused", 409)]
    assert phone.secrets.value("push") == VALUE
    assert len(phone.service.fetched) == 2


def test_unknown_instance_enrols_again_once(phone: Phone) -> None:
    """A service that was set up anew knows nobody."""
    phone.service.fails = [problem("instance-unknown", 403)]
    assert phone.secrets.value("push") == VALUE
    assert phone.service.issued == 2
    phone.secrets.forget("push")
    phone.service.fails = [problem("instance-unknown", 403)] * 2
    with pytest.raises(ClientError):
        phone.secrets.value("push")


def test_callers_share_one_fetch(phone: Phone) -> None:
    """Of many at once one asks; all get its answer."""
    phone.client.enrol()
    phone.service.gate.clear()
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(phone.secrets.value, "push") for _ in range(16)]
        wait_for(lambda: len(phone.service.fetched) == 1)
        fetch = phone.secrets._fetches["push"]
        wait_for(lambda: waiting_for(fetch) == 15)
        phone.service.gate.set()
        assert {each.result(10) for each in waiting} == {VALUE}
    assert len(phone.service.fetched) == 1


def test_callers_share_a_failure_and_the_next_tries_anew(phone: Phone) -> None:
    """Nobody repeats for himself what just failed, and nothing of it stays."""
    phone.client.enrol()
    phone.service.gate.clear()
    phone.service.fails = [problem("secret-refused", 403)]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(phone.secrets.value, "push")
        wait_for(lambda: len(phone.service.fetched) == 1)
        fetch = phone.secrets._fetches["push"]
        others = [pool.submit(phone.secrets.value, "push") for _ in range(7)]
        wait_for(lambda: waiting_for(fetch) == 7)
        phone.service.gate.set()
        for each in (first, *others):
            assert isinstance(each.exception(10), SecretRefusedError)
    assert len(phone.service.fetched) == 1
    assert phone.secrets.value("push") == VALUE


def waiting_for(fetch: Any) -> int:
    """Return how many threads wait for the end of a fetch."""
    return len(fetch._condition._waiters)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so, 10 seconds at most."""
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never was")


def test_held_secret_is_used_while_one_caller_fetches(phone: Phone) -> None:
    """From the second 60 to 80 % on nobody but the one who fetches waits."""
    phone.secrets.value("push")
    phone.advance(LEASE * 0.7)
    phone.service.gate.clear()
    phone.service.value = "next"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(phone.secrets.value, "push")
        wait_for(lambda: len(phone.service.fetched) == 2)
        assert phone.secrets.value("push") == VALUE
        phone.service.gate.set()
        assert first.result(10) == "next"
    assert phone.secrets.value("push") == "next"


def test_asyncio_shares_the_fetch_and_cancels_for_nobody_else(phone: Phone) -> None:
    """A task that gives up, even the one that began, leaves the others their answer."""
    phone.client.enrol()
    phone.service.gate.clear()

    async def scenario() -> list[str]:
        first = asyncio.create_task(phone.secrets.value_async("push"))
        others = [asyncio.create_task(phone.secrets.value_async("push")) for _ in range(5)]
        await asyncio.to_thread(wait_for, lambda: len(phone.service.fetched) == 1)
        first.cancel()
        others.pop().cancel()
        await asyncio.sleep(0)
        phone.service.gate.set()
        return await asyncio.gather(*others)

    assert asyncio.run(scenario()) == [VALUE] * 4
    assert len(phone.service.fetched) == 1
    assert asyncio.run(phone.secrets.value_async("push")) == VALUE


def test_asyncio_gets_errors_too(phone: Phone) -> None:
    """As the other callers do."""
    phone.service.fails = [problem("secret-refused", 403)]
    with pytest.raises(SecretRefusedError):
        asyncio.run(phone.secrets.value_async("push"))


def test_closed_secrets_are_gone(phone: Phone) -> None:
    """All buffers are overwritten, no call gets anything, and no timer stays behind."""
    phone.secrets.value("push")
    phone.secrets.value("maps")
    buffers = [held.delivery.value for held in phone.secrets._held.values()]
    with phone.secrets:
        pass
    assert not any(map(any, buffers))
    assert phone.timers.waiting == {}
    with pytest.raises(SecretsClosedError):
        phone.secrets.value("push")
    with pytest.raises(SecretsClosedError):
        asyncio.run(phone.secrets.value_async("push"))


def test_fetch_that_comes_after_the_close_is_dropped(phone: Phone) -> None:
    """Nothing appears in what was let go of."""
    phone.client.enrol()
    phone.service.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(phone.secrets.value, "push")
        wait_for(lambda: len(phone.service.fetched) == 1)
        phone.secrets.close()
        phone.service.gate.set()
        assert isinstance(first.exception(10), SecretsClosedError)
    assert phone.secrets._held == {}
    assert phone.secrets._fetches == {}


def test_lease_is_counted_from_before_the_request(phone: Phone) -> None:
    """An answer that took its time, or was held up on purpose, lives no longer for it."""
    phone.client.enrol()
    began = phone.around.time
    phone.service.change = lambda _answer: phone.advance(300)
    delivery = phone.client.fetch_secret("push")
    assert (delivery.expires_at, delivery.refetch_at) == (began + LEASE, began + LEASE * 0.7)


CHANGES: list[Callable[[dict[str, Any]], None]] = [
    lambda answer: answer.update(version=answer["version"] + 1),
    lambda answer: answer.update(lease="lease-2"),
    lambda answer: answer.update(expires_at=answer["expires_at"] + 1),
    lambda answer: answer.update(sealed=answer["sealed"][:-4] + "AAAA"),
    lambda answer: answer.update(sealed="AAAA"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_answer_that_was_changed_does_not_open(
    phone: Phone, change: Callable[[dict[str, Any]], None]
) -> None:
    """Whoever ends the TLS connection can't say another version, lease or end."""
    phone.service.change = change
    with pytest.raises(SecretUnopenedError) as caught:
        phone.secrets.value("push")
    assert VALUE not in str(caught.value)


UNREADABLE: list[Callable[[dict[str, Any]], object]] = [
    lambda answer: answer.update(name="maps"),
    lambda answer: answer.update(name=7),
    lambda answer: answer.pop("lease"),
    lambda answer: answer.update(lease="lease 1"),
    lambda answer: answer.update(lease="é"),
    lambda answer: answer.update(version=True),
    lambda answer: answer.update(version=0),
    lambda answer: answer.update(version="1"),
    lambda answer: answer.update(expires_in=0),
    lambda answer: answer.update(expires_in=-1),
    lambda answer: answer.update(expires_in=32 * 86400),
    lambda answer: answer.update(expires_in=10**400),
    lambda answer: answer.update(expires_at=2**60),
    lambda answer: answer.update(sealed=""),
    lambda answer: answer.update(sealed="A" * 9000),
    lambda answer: answer.update(sealed="=="),
    lambda answer: answer.update(sealed=None),
]


@pytest.mark.parametrize("change", UNREADABLE)
def test_unreadable_answer_is_an_error(
    phone: Phone, change: Callable[[dict[str, Any]], None]
) -> None:
    """Nothing is concluded from it, and the next call tries anew."""
    phone.service.change = change
    with pytest.raises(UnreadableAnswerError):
        phone.secrets.value("push")
    phone.service.change = lambda _answer: None
    assert phone.secrets.value("push") == VALUE


def test_phone_that_cannot_open_says_so(phone: Phone) -> None:
    """It isn't an answer that is wrong, and not a refusal."""
    phone.around.phone.opens = False
    with pytest.raises(SecretUnopenedError, match="'push'"):
        phone.secrets.value("push")


def test_device_that_breaks_blocks_nobody(phone: Phone) -> None:
    """What the platform raises goes through, and the next call tries anew."""
    phone.client.enrol()
    phone.service.fails = [KeyError("what a broken transport raises")]
    with pytest.raises(KeyError):
        phone.secrets.value("push")
    assert phone.secrets.value("push") == VALUE


def test_secret_shows_nowhere(phone: Phone, caplog: pytest.LogCaptureFixture) -> None:
    """In no repr, no log and no exported session."""
    with caplog.at_level(logging.DEBUG):
        phone.secrets.value("push")
    held = phone.secrets._held["push"]
    shown = [repr(phone.secrets), repr(held), repr(phone.client), caplog.text]
    shown += [repr(phone.client.export_session()), str(phone.secrets)]
    for each in shown:
        assert VALUE not in each
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(phone.secrets)


def test_timers_of_its_own_end_with_the_lease() -> None:
    """Without another schedule a thread overwrites it, which doesn't keep the process alive."""
    around = Surroundings()
    service = LendingService(lambda: around.time)
    service.gate.set()
    service.change = lambda answer: answer.update(expires_in=0.05)
    around.service = service
    secrets = DeliveredSecrets(around.client())
    assert secrets.value("push") == VALUE
    wait_for(lambda: secrets._held == {})


def test_client_alone_keeps_nothing(phone: Phone) -> None:
    """Each fetch of the client itself is a new one; what it returns is the caller's."""
    client: WatchwordClient = phone.client
    first, second = client.fetch_secret("push"), client.fetch_secret("push")
    assert first.value == second.value == VALUE.encode()
    assert (first.version, second.version) == (1, 2)
    assert VALUE not in repr(first)
