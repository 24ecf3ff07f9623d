"""Test what the reference client says when its own service is reached over a connection that pins refuse."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from tests.unit.client.pinning.simulators import Phone, Publishing, pin_set, signed
from tests.unit.client.simulators import AUDIENCE, ISSUER, KeyedPhone, Surroundings

from watchword.client import WatchwordClient
from watchword.client.pinning import PinMismatchError
from watchword.client.pinning.installation import INTERVAL


@dataclass
class Between:
    """Be a transport that somebody may sit on.

    :ivar there: whether somebody does.
    :ivar pins: what stands in answers as the version of pins; an ellipsis for nothing.
    """

    around: Surroundings
    there: bool = True
    pins: object = ...
    asked: int = 0
    phone: KeyedPhone = field(default_factory=KeyedPhone)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail as httpx does after a refused handshake."""
        self.asked += 1
        if self.there:
            raise httpx.ConnectError("handshake") from PinMismatchError("attest.example")
        answer = self.around.service(request)
        if self.pins is ... or answer.status_code not in {200, 201}:
            return answer
        members = answer.json() | {"pins": self.pins}
        return httpx.Response(answer.status_code, json=members)

    def client(self, hear: Callable[[int], None] = lambda _: None) -> WatchwordClient:
        """Return a client that talks this way."""
        return WatchwordClient(
            ISSUER,
            "clinic",
            self.phone,
            [AUDIENCE],
            clock=lambda: self.around.time,
            boot=lambda: self.around.time,
            jitter=lambda: 0.5,
            sleep=lambda _: None,
            transport=httpx.MockTransport(self),
            hear_pins=hear,
        )


def test_a_mismatch_is_told_and_not_tried_again() -> None:
    """An app learns that somebody sits in between, rather than that its service is away."""
    between = Between(Surroundings())
    with pytest.raises(PinMismatchError):
        between.client().token(AUDIENCE)
    assert between.asked == 1


def test_a_token_that_is_valid_is_used_on() -> None:
    """An early renewal that is intercepted is put off; the token works meanwhile."""
    around = Surroundings()
    between = Between(around, there=False)
    client = between.client()
    first = client.token(AUDIENCE)
    between.there = True
    around.time += 280
    assert client.token(AUDIENCE) == first
    around.time += 30
    with pytest.raises(PinMismatchError):
        client.token(AUDIENCE)


def test_a_newer_version_beside_a_token_makes_an_update_due() -> None:
    """An app learns of new pins when it renews its token, not hours later; the one that it has makes nothing due."""
    phone = Phone(Publishing(newest_set=signed(pin_set(2))))
    updater = phone.started()
    updater.update()
    between = Between(Surroundings(), there=False, pins=2)
    between.client(updater.hear).token(AUDIENCE)
    assert not updater.is_due()
    between.pins = 3
    between.client(updater.hear).token(AUDIENCE)
    assert updater.is_due()
    updater.update()
    assert not updater.is_due()
    phone.now += INTERVAL - 1
    assert not updater.is_due()


@pytest.mark.parametrize("pins", [..., None, "3", 3.5, True, 0, -1, 2**53, [3], {"version": 3}])
def test_a_version_that_is_none_is_passed_over(pins: object) -> None:
    """Tokens work all the same, and nothing is heard."""
    heard: list[int] = []
    client = Between(Surroundings(), there=False, pins=pins).client(heard.append)
    assert client.token(AUDIENCE)
    assert heard == []
