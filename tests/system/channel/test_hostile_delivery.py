"""Show that who controls the delivery of pins still reads nothing: rolled-back, swapped and frozen sets, by a real interception."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.system.channel.clients import PINNED, UNPINNED, Errand, httpx_with
from tests.system.channel.laboratory import AUTHORITIES, Channel, own_pin
from tests.system.channel.servers import HOST
from tests.unit.client.pinning.simulators import Phone, Publishing, signed
from tests.unit.pins.builders import NOW, entry, pin_set, roots_data

from watchword.client.pinning import (
    PinnedContext,
    PinsExpiredError,
    PinUpdater,
    SecretsWithheldError,
    mismatch_of,
    refusal_of,
)
from watchword.pins.installed import DAY
from watchword.pins.interface import AfterExpiry, Pin, PinMode, PinRole, PinSet, pin_of_spki

OK = 200
OWN = (own_pin("A"), own_pin("B", PinRole.BACKUP))
INTERCEPTOR = (Pin(pin_of_spki(AUTHORITIES.interceptor.spki), PinRole.CA),)


def of_localhost(
    version: int,
    pins: tuple[Pin, ...] = OWN,
    mode: PinMode = PinMode.ENFORCE,
    after: AfterExpiry = AfterExpiry.OPEN,
) -> PinSet:
    """Return a set of the one host."""
    return pin_set(version, entry(HOST, mode, pins, after_expiry=after))


def errand(channel: Channel, updater: PinUpdater) -> Errand:
    """Return an errand through the interceptor, with a key that nobody else has."""
    server, interceptor = channel.servers["a1"], channel.interceptor
    key = f"key-{uuid.uuid4()}"
    return Errand(server.url, key, channel.trust, updater.keeper, interceptor.proxy)


def was_read(channel: Channel, sent: Errand) -> bool:
    """Tell whether the interceptor read an errand's key; an unpinned client goes last, whose key it must read."""
    last = replace(sent, key=f"key-{uuid.uuid4()}")
    assert UNPINNED["httpx"](last) == OK
    assert channel.interceptor.waits_for(last.key)
    return sent.key in channel.interceptor.captured


FORGED: dict[str, Callable[[], bytes]] = {
    # The set of yesterday, which wasn't enforced, though it was genuine.
    "rolled-back": lambda: signed(of_localhost(1, mode=PinMode.REPORT)),
    "rolled-back-to-the-interceptor": lambda: signed(of_localhost(1, INTERCEPTOR)),
    "swapped-for-another-app": lambda: signed(replace(of_localhost(9, INTERCEPTOR), app="other")),
    "swapped-by-a-stranger": lambda: signed(of_localhost(9, INTERCEPTOR), "stranger"),
    "past-its-expiry": lambda: signed(
        replace(of_localhost(9, INTERCEPTOR), soft_expiry=NOW + 1, hard_expiry=NOW + 1)
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_set_that_is_refused_opens_nothing(channel: Channel, name: str) -> None:
    """The genuine second set goes on to refuse the interceptor, whose certificate the phone trusts."""
    service = Publishing(newest_set=signed(of_localhost(2)))
    phone = Phone(service, first=None)
    updater = phone.started()
    updater.update()
    phone.now = NOW + 2
    service.newest_set = FORGED[name]()
    update = updater.update()
    assert update is not None
    assert not update.changed
    sent = errand(channel, updater)
    with pytest.raises(Exception) as caught:
        PINNED["httpx"](sent)
    assert mismatch_of(caught.value) is not None
    assert not was_read(channel, sent)


def frozen(channel: Channel, after: AfterExpiry) -> tuple[PinUpdater, Phone, Errand]:
    """Return an app that gets nothing new any more."""
    service = Publishing(newest_set=signed(of_localhost(2, after=after)))
    phone = Phone(service, first=None)
    updater = phone.started()
    updater.update()
    service.down = True
    return updater, phone, errand(channel, updater)


def test_a_freeze_opens_nothing_before_the_hard_expiry(channel: Channel) -> None:
    """To the last second the set enforces, though every fetch fails."""
    updater, phone, sent = frozen(channel, AfterExpiry.OPEN)
    phone.now = NOW + 90 * DAY - 1
    updater.update()
    with pytest.raises(Exception) as caught:
        PINNED["httpx"](sent)
    assert mismatch_of(caught.value) is not None
    assert not was_read(channel, sent)


def test_a_freeze_beyond_it_gets_no_secret(channel: Channel) -> None:
    """From then on the app works by the platform's trust, which is reported; a context for secrets sends nothing."""
    updater, phone, sent = frozen(channel, AfterExpiry.OPEN)
    phone.now = NOW + 90 * DAY
    assert updater.keeper.withholds(HOST)
    assert PINNED["httpx"](sent) == OK
    secret = errand(channel, updater)
    context = PinnedContext(updater.keeper, cafile=str(channel.trust), secrets=True)
    with pytest.raises(Exception) as caught:
        httpx_with(secret, context)
    assert isinstance(refusal_of(caught.value), SecretsWithheldError)
    assert was_read(channel, sent)
    assert secret.key not in channel.interceptor.captured


def test_a_closed_host_stays_closed(channel: Channel) -> None:
    """Where the operator chose it, expired pins end in no connection at all, until newer ones come."""
    _, phone, sent = frozen(channel, AfterExpiry.CLOSED)
    phone.now = NOW + 90 * DAY
    with pytest.raises(Exception) as caught:
        PINNED["httpx"](sent)
    assert isinstance(refusal_of(caught.value), PinsExpiredError)
    assert not was_read(channel, sent)


def test_a_stolen_pin_key_ends_with_the_next_root_list(channel: Channel) -> None:
    """A thief's set lets him in until a list without his key comes; then his words count for nothing, and secrets stay."""
    service = Publishing(newest_set=signed(of_localhost(2**40, INTERCEPTOR)))
    phone = Phone(service, first=None)
    updater = phone.started()
    updater.update()
    sent = errand(channel, updater)
    assert PINNED["httpx"](sent) == OK
    service.lists[2] = roots_data(version=2, pin_keys=("pin2",))
    service.newest_set = None
    updater.update()
    assert updater.keeper.withholds(HOST)
    service.newest_set = signed(of_localhost(3), "pin2")
    updater.update()
    again = errand(channel, updater)
    with pytest.raises(Exception) as caught:
        PINNED["httpx"](again)
    assert mismatch_of(caught.value) is not None
    assert not was_read(channel, again)
