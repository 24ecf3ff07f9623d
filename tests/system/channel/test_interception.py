"""Show by a real interception what pins are worth: unpinned clients hand their key over, pinned ones send nothing."""

import ssl
import uuid

import pytest
from tests.system.channel.clients import CERTIFICATE, PINNED, UNPINNED, Client, Errand
from tests.system.channel.laboratory import Channel, Keeping, authority_pin, own_pin, pin_set

from watchword.client.pinning import mismatch_of, refusal_of
from watchword.pins.interface import Basis, PinMode, PinRole, PinSet

OK = 200
BACKUP = PinRole.BACKUP

SETS = {
    "own-keys": pin_set(own_pin("A"), own_pin("B", BACKUP)),
    "authority": pin_set(authority_pin()),
}
WAYS = ("proxy", "in-place")


def errand(channel: Channel, way: str, pins: PinSet | None) -> Errand:
    """Return an errand with a key that nobody else has, to ``a1`` or by a way through the interceptor."""
    server = channel.servers["a1"]
    interceptor = channel.interceptor
    return Errand(
        url=interceptor.in_place if way == "in-place" else server.url,
        key=f"key-{uuid.uuid4()}",
        trust=channel.trust,
        judges=Keeping(pins).keeper,
        proxy=interceptor.proxy if way == "proxy" else None,
        certificate=channel.certificate("a1"),
    )


def outcome(client: Client, sent: Errand) -> int | BaseException:
    """Return the status, or what the library raised."""
    try:
        return client(sent)
    except Exception as error:  # noqa: BLE001 - each library has its own.
        return error


def all_read(channel: Channel) -> list[str]:
    """Return what the interceptor read up to now: an unpinned client goes last, whose key it must read."""
    last = errand(channel, "proxy", None)
    assert UNPINNED["httpx"](last) == OK
    assert channel.interceptor.waits_for(last.key)
    return channel.interceptor.captured


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", UNPINNED)
def test_the_key_of_an_unpinned_client_is_read(channel: Channel, name: str, way: str) -> None:
    """Whoever doesn't pin hands its key over, and whoever looks at the answer finds out too late."""
    sent = errand(channel, way, None)
    got = outcome(UNPINNED[name], sent)
    assert channel.interceptor.waits_for(sent.key)
    if name == "httpx-looks-at-the-response":
        assert isinstance(got, ssl.SSLError)
    else:
        assert got == OK


@pytest.mark.parametrize("name", PINNED)
def test_a_pinned_client_sends_nothing(channel: Channel, name: str) -> None:
    """No byte of the request leaves, and the app can find the mismatch in what its library raises."""
    before = channel.servers["a1"].size
    sent = [errand(channel, way, pins) for way in WAYS for pins in SETS.values()]
    for each in sent:
        got = outcome(PINNED[name], each)
        assert isinstance(got, BaseException)
        mismatch = mismatch_of(got)
        assert mismatch is not None
        assert mismatch.host == "localhost"
        assert each.key not in str(got) + str(mismatch)
    assert channel.servers["a1"].size == before
    assert not {each.key for each in sent} & set(all_read(channel))


@pytest.mark.parametrize("name", CERTIFICATE)
@pytest.mark.parametrize("way", WAYS)
def test_a_pin_of_the_certificate_stops_it_too(channel: Channel, name: str, way: str) -> None:
    """It isn't for want of strength that certificates aren't pinned."""
    sent = errand(channel, way, None)
    assert isinstance(outcome(CERTIFICATE[name], sent), BaseException)
    assert sent.key not in all_read(channel)


@pytest.mark.parametrize("server", ["a1", "a2", "b1", "c1"])
@pytest.mark.parametrize("name", [*PINNED, *CERTIFICATE])
def test_own_keys_survive_a_renewal_and_the_planned_swap(
    channel: Channel, name: str, server: str
) -> None:
    """Pins of current and backup key let renewal and backup pass and refuse what wasn't planned; pins of a certificate break at its renewal."""
    direct = errand(channel, "direct", SETS["own-keys"])
    sent = Errand(
        channel.servers[server].url,
        direct.key,
        direct.trust,
        direct.judges,
        certificate=direct.certificate,
    )
    got = outcome((PINNED | CERTIFICATE)[name], sent)
    served = server in ({"a1"} if name in CERTIFICATE else {"a1", "a2", "b1"})
    assert (got == OK) is served
    assert (sent.key in channel.servers[server].api_keys()) is served
    if name in PINNED and not served:
        assert isinstance(got, BaseException)
        assert mismatch_of(got) is not None


@pytest.mark.parametrize(
    ("server", "pins", "served"),
    [
        ("c1", "authority", True),
        ("other-authority", "authority", False),
        ("other-authority", "own-keys", False),
    ],
)
@pytest.mark.parametrize("name", PINNED)
def test_an_authority_stands_for_all_its_keys(
    channel: Channel, name: str, server: str, pins: str, served: bool
) -> None:
    """A pinned authority lets any key of its pass, and none that another trusted authority signed."""
    base = errand(channel, "direct", SETS[pins])
    sent = Errand(channel.servers[server].url, base.key, base.trust, base.judges)
    got = outcome(PINNED[name], sent)
    assert (got == OK) is served
    assert (sent.key in channel.servers[server].api_keys()) is served


@pytest.mark.parametrize("server", ["stranger", "expired", "wrong-host"])
@pytest.mark.parametrize("name", PINNED)
def test_the_platforms_checks_stay_in_force(channel: Channel, name: str, server: str) -> None:
    """The pinned key under a certificate that doesn't hold is refused, and not called a mismatch."""
    base = errand(channel, "direct", SETS["own-keys"])
    sent = Errand(channel.servers[server].url, base.key, base.trust, base.judges)
    got = outcome(PINNED[name], sent)
    assert isinstance(got, BaseException)
    assert refusal_of(got) is None
    assert channel.servers[server].size == 0


@pytest.mark.parametrize("name", PINNED)
def test_report_mode_serves_and_tells(channel: Channel, name: str) -> None:
    """Before pins are enforced, a mismatch is served and told: the key is read, as it was without pins."""
    keeping = Keeping(pin_set(own_pin("A"), own_pin("B", BACKUP), mode=PinMode.REPORT))
    base = errand(channel, "proxy", None)
    sent = Errand(base.url, base.key, base.trust, keeping.keeper, base.proxy)
    assert outcome(PINNED[name], sent) == OK
    assert channel.interceptor.waits_for(sent.key)
    assert [(each.host, each.judgement.mismatch) for each in keeping.seen] == [("localhost", True)]


@pytest.mark.parametrize("name", PINNED)
def test_expired_pins_serve_by_the_platform_and_withhold(channel: Channel, name: str) -> None:
    """Past its hard expiry a set locks nobody out, and the app is told to send no secrets."""
    keeping = Keeping(SETS["own-keys"], now=SETS["own-keys"].hard_expiry)
    base = errand(channel, "direct", None)
    sent = Errand(channel.servers["c1"].url, base.key, base.trust, keeping.keeper)
    assert keeping.keeper.withholds("localhost")
    assert outcome(PINNED[name], sent) == OK
    last = keeping.keeper.last("localhost")
    assert last is not None
    assert (last.basis, last.withhold, last.report) == (Basis.PLATFORM, True, True)
