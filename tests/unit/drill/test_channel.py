"""Hold attacks on the channel to what they take for served: deployments with good pins, with poor ones and with none."""

from collections.abc import Callable

import pytest
from tests.unit.drill.channel_rig import Deployment, context, publishing, verdicts
from tests.unit.pins.builders import NOW, entry, pin_set, roots_data

from watchword.drill.attacks import (
    cleartext_served,
    pin_roots_forged,
    pins_forged,
    pins_frozen,
    pins_intercepted,
    tls_old_version,
    tls_weak_suite,
)
from watchword.drill.interface import Attack, MissingError, Need
from watchword.drill.judgements import Verdict
from watchword.drill.wire import Weakness
from watchword.pins.installed import DAY
from watchword.pins.interface import AfterExpiry, PinMode

PINS = (pins_intercepted.ATTACK, pins_frozen.ATTACK, pins_forged.ATTACK, pin_roots_forged.ATTACK)
TLS = (cleartext_served.ATTACK, tls_old_version.ATTACK, tls_weak_suite.ATTACK)


@pytest.mark.parametrize("attack", PINS, ids=lambda each: each.id)
def test_good_pins_stop_every_attack(attack: Attack) -> None:
    """A set that enforces and lives for months: the interceptor gets nothing, whatever he hands out."""
    deployment = Deployment(publishing(pin_set()))
    assert set(verdicts(attack, deployment).values()) == {Verdict.STOPPED}
    assert deployment.relayed == []


def test_root_lists_are_walked_to_the_last() -> None:
    """A set under the second list is taken as an app takes it."""
    lists = (roots_data(), roots_data(version=2))
    deployment = Deployment(publishing(pin_set(root_version=2), roots=lists))
    assert verdicts(pins_intercepted.ATTACK, deployment) == {"own-authority": Verdict.STOPPED}


Change = Callable[[], dict[str, bytes]]


@pytest.mark.parametrize(
    "published",
    [
        lambda: publishing(pin_set(1, entry(mode=PinMode.REPORT))),
        lambda: publishing(pin_set(1, entry("another.example.com"))),
        publishing,
        lambda: publishing(pin_set(soft_expiry=NOW - 1, hard_expiry=NOW, issued_at=NOW - DAY)),
        lambda: publishing(pin_set(), roots=(roots_data(expires=NOW),)),
        lambda: publishing(pin_set(app="another-app")),
    ],
    ids=["report-only", "another-host", "no-set", "expired", "roots-expired", "another-app"],
)
def test_pins_that_do_not_enforce_are_open(published: Change) -> None:
    """Whatever the reason for which a new installation goes unpinned, the genuine app's request was read."""
    deployment = Deployment(published())
    assert verdicts(pins_intercepted.ATTACK, deployment) == {"own-authority": Verdict.OPEN}
    (relayed,) = deployment.relayed
    assert relayed.header("watchword-token") == "genuine-token"


def test_pins_that_are_about_to_expire_are_open_to_who_waits() -> None:
    """A set with three days to go stands a freeze of a day, and none of a week."""
    deployment = Deployment(publishing(pin_set(soft_expiry=NOW + DAY, hard_expiry=NOW + 3 * DAY)))
    assert verdicts(pins_frozen.ATTACK, deployment) == {
        "a-day": Verdict.STOPPED,
        "a-week": Verdict.OPEN,
    }


def test_a_host_that_is_closed_after_expiry_stands_any_freeze() -> None:
    """Whoever chose ``closed`` gives up users, not requests."""
    closed = entry(after_expiry=AfterExpiry.CLOSED)
    deployment = Deployment(
        publishing(pin_set(1, closed, soft_expiry=NOW + DAY, hard_expiry=NOW + 3 * DAY))
    )
    assert set(verdicts(pins_frozen.ATTACK, deployment).values()) == {Verdict.STOPPED}


@pytest.mark.parametrize("authority", ["127.0.0.1:8443", "localhost:8443", "[::1]:8443"])
def test_on_this_machine_every_pinned_host_is_tried(authority: str) -> None:
    """An address has no pins; the hosts of the set stand for the API there, and one that doesn't enforce is enough."""
    good, poor = entry(), entry("files.example.com", PinMode.REPORT)
    for hosts, wanted in (((good,), Verdict.STOPPED), ((good, poor), Verdict.OPEN)):
        deployment = Deployment(publishing(pin_set(1, *hosts)), authority_of_gate=authority)
        assert verdicts(pins_intercepted.ATTACK, deployment) == {"own-authority": wanted}


@pytest.mark.parametrize("attack", PINS, ids=lambda each: each.id)
def test_without_pins_nothing_is_said(attack: Attack) -> None:
    """A service that publishes none isn't measured by them."""
    for variant in attack.variants:
        with pytest.raises(MissingError) as caught:
            variant.run(context(Deployment()))
        assert caught.value.need is Need.PINS


@pytest.mark.parametrize("attack", TLS, ids=lambda each: each.id)
def test_weak_connections_are_told_from_refused_ones(attack: Attack) -> None:
    """A server that makes none stops all; one that makes every kind is open to each variant."""
    assert set(verdicts(attack, Deployment()).values()) == {Verdict.STOPPED}
    weak = Deployment(weak=frozenset(Weakness))
    assert set(verdicts(attack, weak).values()) == {Verdict.OPEN}
    assert {call.header("watchword-token") for call in weak.relayed} == {"genuine-token"}


def test_each_weakness_has_a_variant_of_its_own() -> None:
    """One thing is wrong with each connection."""
    for weakness in Weakness:
        deployment = Deployment(weak=frozenset({weakness}))
        found = [verdicts(attack, deployment) for attack in TLS]
        opened = [each for one in found for each in one.values() if each is Verdict.OPEN]
        assert len(opened) == 1, weakness
