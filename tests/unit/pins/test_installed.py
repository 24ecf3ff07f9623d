"""Test what an installed app takes, and which connections it uses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.pins.builders import (
    APP,
    HOST,
    NOW,
    builtin,
    entry,
    key,
    pin_set,
    pins,
    roots,
    roots_data,
    spki,
)

from watchword.pins.installed import (
    DAY,
    MAX_LIFETIME,
    MAX_SKEW,
    accept_roots,
    accept_set,
    fresh,
    is_fresh,
    judge,
    reason_of,
    restored,
)
from watchword.pins.interface import (
    AfterExpiry,
    Basis,
    HostPins,
    Installed,
    Judgement,
    Pin,
    PinMode,
    PinRole,
    PinSet,
)
from watchword.pins.roots import read_roots
from watchword.pins.sets import sign_set
from watchword.reasons import Reason, RefusedError

LATE = NOW + 91 * DAY
MIM = (spki("mim"), spki("mim root"))
GENUINE = (spki("A"), spki("intermediate"), spki("root"))


def published(version: int = 1, *hosts: HostPins, by: str = "pin1", **changes: Any) -> bytes:
    """Return a signed set."""
    return sign_set(pin_set(version, *hosts, **changes), key(by))


def having(*hosts: HostPins, **changes: Any) -> Installed:
    """Return an app that took version 5 of a set."""
    return accept_set(fresh(builtin()), published(5, *hosts, **changes), NOW)


def refused(installed: Installed, data: bytes, now: float = NOW) -> Reason:
    """Return why a set is refused."""
    with pytest.raises(RefusedError) as caught:
        accept_set(installed, data, now)
    return caught.value.reason


def withdrawn(installed: Installed, **changes: Any) -> Installed:
    """Return the app once it read a list without the first pin key."""
    return accept_roots(installed, roots_data(2, pin_keys=("pin2",), **changes), NOW)


def test_nothing_is_pinned_before_the_first_set() -> None:
    """Unless one ships with the app."""
    assert judge(fresh(builtin()), HOST, MIM, NOW) == Judgement(passes=True, basis=Basis.UNPINNED)
    shipped = fresh(builtin(pin_set()))
    assert shipped.seen == 1
    assert not judge(shipped, HOST, MIM, NOW).passes


def test_newer_set_takes_the_place_of_the_kept_one() -> None:
    """From then on its words count."""
    app = having()
    assert (app.seen, app.set and app.set.version) == (5, 5)
    app = accept_set(app, published(9, entry(held=pins("mim"))), NOW)
    assert app.seen == 9
    assert judge(app, HOST, MIM, NOW).passes


def test_older_set_is_refused_as_a_rollback() -> None:
    """However genuine and unexpired it is."""
    assert refused(having(), published(4)) is Reason.PINS_SET_OLD


def test_rollback_is_refused_after_the_kept_set_expired() -> None:
    """An expired set still says which versions are too old."""
    older = published(4, hard_expiry=NOW + 300 * DAY)
    assert refused(having(), older, NOW + 200 * DAY) is Reason.PINS_SET_OLD


def test_same_set_again_changes_nothing() -> None:
    """The service serves it at every start."""
    app = having()
    assert accept_set(app, published(5), NOW) == app


def test_same_content_under_another_pin_key_is_the_same_set() -> None:
    """That is how a pin key is exchanged without a new version."""
    app = accept_set(having(), published(5, by="pin2"), NOW)
    assert app.set is not None
    assert app.set.key == key("pin2").kid


def test_same_version_with_other_content_is_refused() -> None:
    """Two truths with one number: one of them is a forgery or a slip."""
    for other in (published(5, entry(mode=PinMode.REPORT)), published(5, hard_expiry=NOW + 9**8)):
        assert refused(having(), other) is Reason.PINS_SET_DIFFERS


def test_floors_of_the_build_and_of_the_root_list_hold() -> None:
    """A build takes no set below its floor, though it has seen none."""
    assert refused(fresh(builtin(floor=7)), published(6)) is Reason.PINS_SET_OLD
    app = accept_roots(fresh(builtin(floor=7)), roots_data(2, floors={APP: 8, "other": 99}), NOW)
    assert refused(app, published(7)) is Reason.PINS_SET_OLD
    assert accept_set(app, published(8), NOW).seen == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"app": "other"}, Reason.PINS_SET_APP),
        ({"root_version": 2}, Reason.PINS_ROOTS_BEHIND),
        ({"issued_at": NOW - 300 * DAY, "hard_expiry": NOW}, Reason.PINS_SET_EXPIRED),
        ({"issued_at": NOW + MAX_SKEW + 1}, Reason.PINS_SET_EARLY),
        ({"hard_expiry": NOW + MAX_LIFETIME + 1}, Reason.PINS_SET_LIFETIME),
    ],
)
def test_each_condition_refuses_on_its_own(changes: dict[str, Any], reason: Reason) -> None:
    """Another app's set, one ahead of the root list, expired, from the future, too long-lived."""
    soft = changes.get("issued_at", NOW)
    assert refused(having(), published(6, soft_expiry=soft, **changes)) is reason


def test_limits_of_time_are_as_said() -> None:
    """The last second before the hard expiry, a clock that is a day behind, 400 days."""
    app = having()
    assert accept_set(app, published(6), NOW + 90 * DAY - 1).seen == 6
    assert accept_set(app, published(6), NOW - MAX_SKEW).seen == 6
    assert accept_set(app, published(6, hard_expiry=NOW + MAX_LIFETIME), NOW).seen == 6


def test_expired_root_list_authorises_no_set() -> None:
    """And the kept set goes on until its own expiry."""
    app = fresh(builtin(roots=read_roots(roots_data(expires=NOW + DAY), None)))
    app = accept_set(app, published(1), NOW)
    assert refused(app, published(2), NOW + DAY) is Reason.PINS_ROOTS_EXPIRED
    assert not judge(app, HOST, MIM, NOW + 2 * DAY).passes


def test_app_that_was_away_walks_through_expired_root_lists() -> None:
    """Each list follows the one before it; only the last has to live (TUF 5.3.10)."""
    app = fresh(builtin(roots=read_roots(roots_data(expires=NOW - 9), None)))
    app = accept_roots(app, roots_data(2, expires=NOW - 5), NOW)
    assert refused(app, published(1)) is Reason.PINS_ROOTS_EXPIRED
    app = accept_roots(app, roots_data(3), NOW)
    assert accept_set(app, published(1, root_version=3), NOW).seen == 1
    with pytest.raises(RefusedError) as caught:
        accept_roots(app, roots_data(5), NOW)
    assert caught.value.reason is Reason.PINS_ROOTS_VERSION


def test_highest_version_is_forgotten_with_the_key_that_signed_it() -> None:
    """A thief who signed the last version there is doesn't keep genuine sets out for ever."""
    app = accept_set(having(), published(2**53 - 1, entry(held=pins("mim"))), NOW)
    assert refused(app, published(6, by="pin2")) is Reason.PINS_SET_OLD
    app = withdrawn(app, floors={APP: 6})
    assert app.seen == 0
    assert refused(app, published(5, by="pin2")) is Reason.PINS_SET_OLD
    assert refused(app, published(7, by="pin1")) is Reason.PINS_SET_KEY
    assert accept_set(app, published(6, by="pin2"), NOW).seen == 6


def test_raised_floor_withdraws_what_is_below_it() -> None:
    """The root list says that those sets don't count any more; that of another app is none of its business."""
    app = accept_roots(having(), roots_data(2, floors={APP: 6}), NOW)
    assert judge(app, HOST, MIM, NOW).withhold
    app = accept_roots(having(), roots_data(2, floors={APP: 5, "other": 9}), NOW)
    assert judge(app, HOST, MIM, NOW) == judge(having(), HOST, MIM, NOW)


@pytest.mark.parametrize(
    ("chain", "passes"),
    [
        (GENUINE, True),
        ((spki("B"), spki("any")), True),
        ((spki("A"),), True),
        (MIM, False),
        ((spki("mim"), spki("A")), False),
        ((), False),
    ],
)
def test_own_keys_are_matched_at_the_leaf(chain: Sequence[bytes], passes: bool) -> None:
    """A pinned key higher up in the chain says nothing about who holds the leaf's."""
    found = judge(having(), HOST, chain, NOW)
    assert found == Judgement(
        passes=passes,
        basis=Basis.PINS,
        report=not passes,
        withhold=not passes,
        mismatch=not passes,
        version=5,
    )
    assert reason_of(found) is (None if passes else Reason.PINS_MISMATCH)


@pytest.mark.parametrize(
    ("chain", "passes"),
    [
        ((spki("x"), spki("ca")), True),
        ((spki("x"), spki("y"), spki("ca"), spki("z")), True),
        ((spki("ca"), spki("y")), False),
        ((spki("x"), *[spki("y")] * 10, spki("ca")), True),
        ((spki("x"), *[spki("y")] * 11, spki("ca")), False),
        ((spki("x"), *[spki("y")] * 99, spki("ca")), False),
    ],
)
def test_authorities_are_matched_above_the_leaf(chain: Sequence[bytes], passes: bool) -> None:
    """Root or intermediate, within the twelve certificates that are looked at."""
    app = having(entry(held=(Pin(spki("ca"), PinRole.CA),)))
    assert judge(app, HOST, chain, NOW).passes is passes


def test_report_mode_changes_nothing_but_what_is_told() -> None:
    """Neither a connection nor a secret is lost to it, before expiry and after, open or closed."""
    for after in AfterExpiry:
        app = having(entry(mode=PinMode.REPORT, after_expiry=after))
        found = judge(app, HOST, MIM, NOW)
        assert (found.passes, found.withhold) == (True, False)
        assert (found.report, found.mismatch) == (True, True)
        found = judge(app, HOST, MIM, LATE)
        assert (found.passes, found.withhold, found.report) == (True, False, True)
        assert found.basis is Basis.PLATFORM


def test_host_without_an_entry_passes() -> None:
    """And isn't reported; names below an entry need its word."""
    for host in ("example.org", "x.api.example.com", "192.0.2.1", "::1"):
        assert judge(having(), host, MIM, NOW) == Judgement(
            passes=True, basis=Basis.UNPINNED, version=5
        )
    app = having(entry(include_subdomains=True))
    assert not judge(app, "X.API.example.com.", MIM, NOW).passes


def test_open_host_falls_back_after_expiry_and_gets_no_secrets() -> None:
    """On the platform; pins that match don't help: somebody may be keeping the set back that takes them away."""
    for chain in (MIM, GENUINE):
        assert judge(having(), HOST, chain, LATE) == Judgement(
            passes=True, basis=Basis.PLATFORM, report=True, withhold=True, version=5
        )
    assert judge(having(), HOST, MIM, NOW + 90 * DAY - 1).basis is Basis.PINS
    assert judge(having(), HOST, MIM, NOW + 90 * DAY).basis is Basis.PLATFORM


def test_closed_host_has_no_connection_after_expiry() -> None:
    """Whatever the chain is."""
    app = having(entry(after_expiry=AfterExpiry.CLOSED))
    found = judge(app, HOST, GENUINE, LATE)
    assert (found.passes, found.report, found.withhold) == (False, True, True)
    assert reason_of(found) is Reason.PINS_CLOSED


def test_authorities_of_the_build_stand_in_after_expiry() -> None:
    """A chain to one of them passes, another is refused; an empty list of them is none."""
    build = builtin(authorities={HOST: frozenset({spki("root")}), "example.net": frozenset()})
    hosts = (entry(include_subdomains=True), entry("example.net"))
    app = accept_set(fresh(build), published(5, *hosts), NOW)
    for host in (HOST, "API.example.com", "x.api.example.com"):
        found = judge(app, host, GENUINE, LATE)
        assert (found.passes, found.basis) == (True, Basis.BUILTIN_AUTHORITIES)
        assert (found.report, found.withhold, found.mismatch) == (True, True, False)
        found = judge(app, host, MIM, LATE)
        assert (found.passes, found.mismatch, found.report) == (False, True, True)
        assert not judge(app, host, (spki("root"),), LATE).passes
    assert judge(app, "example.net", MIM, LATE).basis is Basis.PLATFORM
    assert judge(app, HOST, GENUINE, NOW).basis is Basis.PINS


def test_withdrawn_set_enforces_nothing_and_unpins_nothing() -> None:
    """Between the root list and the next set the app is careful: as after expiry."""
    app = withdrawn(having())
    for chain in (MIM, GENUINE):
        assert judge(app, HOST, chain, NOW) == Judgement(
            passes=True, basis=Basis.PLATFORM, report=True, withhold=True, version=5
        )
    assert judge(app, "example.org", MIM, NOW).basis is Basis.UNPINNED
    app = accept_set(app, published(6, by="pin2"), NOW)
    assert not judge(app, HOST, MIM, NOW).passes


def test_thief_of_a_pin_key_neither_closes_nor_opens_a_host_once_the_key_is_withdrawn() -> None:
    """His set can't keep the app shut, and can't keep secrets flowing; what shipped is believed."""
    closing = entry(held=pins("mim"), after_expiry=AfterExpiry.CLOSED)
    assert judge(withdrawn(having(closing)), HOST, GENUINE, NOW).passes
    opening = entry(mode=PinMode.REPORT)
    assert judge(withdrawn(having(opening)), HOST, MIM, NOW).withhold
    for shipped, passes in ((AfterExpiry.CLOSED, False), (AfterExpiry.OPEN, True)):
        build = builtin(pin_set(1, entry(after_expiry=shipped)))
        for thief in (published(5, entry("a.example.org")), published(5, opening)):
            app = withdrawn(accept_set(fresh(build), thief, NOW))
            found = judge(app, HOST, GENUINE, NOW)
            assert (found.passes, found.withhold) == (passes, True)
    build = builtin(
        pin_set(1, entry(mode=PinMode.REPORT)), authorities={HOST: frozenset({spki("root")})}
    )
    app = withdrawn(accept_set(fresh(build), published(5, opening), NOW))
    assert judge(app, HOST, MIM, NOW).passes
    app = withdrawn(accept_set(fresh(build), published(5), NOW))
    assert not judge(app, HOST, MIM, NOW).passes


def test_app_knows_when_to_look_for_a_newer_set() -> None:
    """Past the soft expiry, without a set, and with a withdrawn one."""
    assert is_fresh(having(), NOW + 14 * DAY - 1)
    assert not is_fresh(having(), NOW + 14 * DAY)
    assert not is_fresh(fresh(builtin()), NOW)
    assert not is_fresh(withdrawn(having()), NOW)


def test_restart_restores_what_was_trusted() -> None:
    """Also an expired set, and one that was withdrawn."""
    second = roots_data(2, floors={APP: 2})
    app = accept_set(accept_roots(fresh(builtin()), second, NOW), published(5), NOW)
    assert restored(builtin(), [second], published(5)) == app
    assert judge(restored(builtin(), [second], published(5)), HOST, MIM, LATE).withhold
    without = roots_data(2, pin_keys=("pin2",))
    assert restored(builtin(), [without], published(5)) == withdrawn(having())
    assert restored(builtin(), [], None) == fresh(builtin())
    first = builtin(pin_set(3))
    assert restored(first, [without], None) == withdrawn(fresh(first))


def test_updated_app_takes_the_newer_of_what_it_kept_and_what_it_brought() -> None:
    """Lists that the package is past are passed over; a thief's set that the package withdraws is forgotten."""
    second, third = roots_data(2), roots_data(3, pin_keys=("pin2",))
    assert restored(builtin(pin_set(7)), [], published(5)).seen == 7
    assert restored(builtin(pin_set(3)), [], published(5)).seen == 5
    newer = builtin(
        pin_set(7, key=key("pin2").kid), roots=read_roots(third, read_roots(second, roots()))
    )
    app = restored(newer, [second, third], published(2**53 - 1))
    assert app == fresh(newer)
    app = restored(newer, [second, third, roots_data(4)], published(9, by="pin2"))
    assert (app.roots.version, app.seen) == (4, 9)


def test_shipped_set_that_was_withdrawn_is_no_newer_than_a_genuine_one() -> None:
    """Its version may be higher; its key is gone, and the kept set came after."""
    lists = [roots_data(2, pin_keys=("pin2",))]
    app = restored(builtin(pin_set(7)), lists, published(3, by="pin2"))
    assert (app.seen, app.set and app.set.version) == (3, 3)


def test_store_that_was_tampered_with_is_refused() -> None:
    """A broken set, another app's, and a list that doesn't follow."""
    good = published(5)
    for lists, signed in (
        ([], b"x"),
        ([], published(5, app="other")),
        # A signature may end in AA by itself.
        ([], good[:-2] + (b"BA" if good.endswith(b"AA") else b"AA")),
        ([roots_data(3)], None),
        ([b"{}"], None),
    ):
        with pytest.raises(RefusedError):
            restored(builtin(), lists, signed)
    assert restored(builtin(), [], published(5, by="stranger")) == fresh(builtin())


@pytest.mark.parametrize("data", [b"", b"x" * 500_000, published(4), published(6, app="other")])
def test_what_is_refused_changes_nothing(data: bytes) -> None:
    """The app goes on with what it had."""
    app = having()
    before = replace(app)
    with pytest.raises(RefusedError):
        accept_set(app, data, NOW)
    with pytest.raises(RefusedError):
        accept_roots(app, data, NOW)
    assert app == before
    assert isinstance(app.set, PinSet)
