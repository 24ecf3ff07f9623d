"""Test what speaks against publishing a pin set, and against a server showing another key."""

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

from watchword.pins.installed import DAY, MAX_LIFETIME
from watchword.pins.interface import AfterExpiry, Builtin, Pin, PinMode, PinRole, PinSet
from watchword.pins.publication import (
    MAX_WHY,
    Live,
    Objection,
    Permit,
    ProbeResult,
    list_objections,
    objections,
    permit,
    swap_objections,
)
from watchword.pins.roots import read_roots
from watchword.reasons import Reason

CHAIN = (spki("A"), spki("intermediate"), spki("root"))
OTHER = (spki("X"), *CHAIN[1:])
TRIED: dict[str, Any] = {"report_first": 7 * DAY, "since": {HOST: NOW - 7 * DAY}}
PREVIOUS = pin_set(1)
ROOTS = roots()


def shown(
    *leaves: str, not_after: float = NOW + 60 * DAY, fault: str | None = None
) -> Sequence[ProbeResult]:
    """Return what a host shows: one place for each leaf."""
    return [ProbeResult((spki(leaf), *CHAIN[1:]), not_after, fault) for leaf in leaves]


LIVE: Live = {HOST: shown("A")}


def found(
    draft: PinSet,
    previous: PinSet | None = PREVIOUS,
    live: Live = LIVE,
    fleet: Sequence[Builtin] = (),
    **changes: Any,
) -> list[tuple[str, bool, bool]]:
    """Return the objections as reason, whether forceable, whether blocking."""
    arguments = {"roots": ROOTS, "now": NOW, **TRIED, **changes}
    return [
        (each.reason.code.removeprefix("pins."), each.forceable, each.blocks)
        for each in objections(draft, previous, live, fleet, **arguments)
    ]


def only(
    reason: str, *, forceable: bool = True, blocks: bool = True
) -> list[tuple[str, bool, bool]]:
    """Return the one objection with this reason."""
    return [(reason, forceable, blocks)]


def test_nothing_speaks_against_a_set_that_fits() -> None:
    """Live key, backup, version, expiry, key, history and fleet are as they should be."""
    assert found(pin_set(2), fleet=[builtin(pin_set(1)), builtin()]) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 1}, "set_old"),
        ({"key": key("root1").kid}, "set_key"),
        ({"root_version": 2}, "roots_behind"),
        ({"issued_at": NOW - 9 * DAY, "soft_expiry": NOW}, "set_expired"),
        ({"issued_at": NOW + 2 * DAY}, "set_early"),
        ({"hard_expiry": NOW + MAX_LIFETIME + 1}, "set_lifetime"),
        ({"reports": f"https://{HOST}/reports"}, "publish_reports"),
        ({"app": "a b"}, "set_malformed"),
        ({"hosts": (entry(held=()),)}, "set_malformed"),
    ],
)
def test_what_no_app_would_take_cant_be_forced(changes: dict[str, Any], reason: str) -> None:
    """Each on its own, and the only objection."""
    draft = replace(pin_set(2), **changes)
    assert found(draft) == only(reason, forceable=False)
    against = objections(draft, PREVIOUS, LIVE, (), ROOTS, NOW, **TRIED)
    assert permit(against, "I know better") is None


def test_root_list_decides_what_may_be_published() -> None:
    """Expired, it authorises nothing; about to expire, that is told; its floor holds."""
    expired = read_roots(roots_data(expires=NOW), None)
    assert found(pin_set(2), roots=expired) == only("roots_expired", forceable=False)
    ending = read_roots(roots_data(expires=NOW + 30 * DAY), None)
    assert found(pin_set(2), roots=ending) == only("roots_expired", blocks=False)
    raised = read_roots(roots_data(floors={APP: 5}), None)
    assert found(pin_set(4), roots=raised) == only("set_old", forceable=False)


def test_key_that_a_server_shows_and_the_draft_lacks_is_a_lock_out() -> None:
    """At one of many places is enough; in report mode it is told and blocks nothing."""
    for live in (shown("X"), shown("A", "X")):
        assert found(pin_set(2), live={HOST: live}) == only("publish_lockout")
        reported = pin_set(2, entry(mode=PinMode.REPORT))
        before = pin_set(1, entry(mode=PinMode.REPORT))
        assert found(reported, before, {HOST: live}) == only("publish_lockout", blocks=False)
    text = objections(pin_set(2), None, {HOST: shown("X")}, (), ROOTS, NOW, **TRIED)
    assert any(
        str(each).startswith("pins.publish_lockout: api.example.com: the key") for each in text
    )


def test_name_below_a_host_that_includes_it_is_looked_at_too() -> None:
    """Its server may have another key."""
    drafts = [pin_set(version, entry(include_subdomains=True)) for version in (1, 2)]
    live = {**LIVE, f"x.{HOST}": shown("X"), "example.org": shown("X")}
    assert found(drafts[1], drafts[0], live) == only("publish_lockout")


@pytest.mark.parametrize("live", [{}, {HOST: ()}])
def test_host_that_nobody_saw_blocks(live: Live) -> None:
    """Nobody could tell whether the draft locks apps out."""
    assert found(pin_set(2), live=live) == only("publish_unseen")


@pytest.mark.parametrize(
    ("live", "blocks"),
    [
        (shown("A", fault="Hostname mismatch"), True),
        (shown("A", not_after=NOW), True),
        (shown("A", not_after=NOW + 14 * DAY - 1), False),
    ],
)
def test_certificate_that_apps_would_refuse_anyway_is_told(
    live: Sequence[ProbeResult], blocks: bool
) -> None:
    """Wrong name, expired; one that ends soon is a notice."""
    assert found(pin_set(2), live={HOST: live}) == only("publish_certificate", blocks=blocks)


@pytest.mark.parametrize(
    ("held", "fits"),
    [
        (pins("A", None), False),
        (pins("A", "B"), True),
        (pins("A", None, "N"), True),
        (pins("A", None, ca="root"), True),
        ((Pin(spki("root"), PinRole.CA),), False),
        ((Pin(spki("root"), PinRole.CA), Pin(spki("root2"), PinRole.CA)), True),
        ((Pin(spki("X"), PinRole.NEXT), Pin(spki("A"), PinRole.BACKUP)), True),
        ((Pin(spki("A"), PinRole.BACKUP),), False),
        ((Pin(spki("A"), PinRole.CURRENT), Pin(spki("Z"), PinRole.CURRENT)), False),
    ],
)
def test_host_needs_a_second_key_that_isnt_in_use(held: tuple[Pin, ...], fits: bool) -> None:
    """Or authorities: two, or one beside an own key."""
    assert found(pin_set(2, entry(held=held))) == ([] if fits else only("publish_backup"))


def test_backup_that_is_in_use_elsewhere_is_none() -> None:
    """Pinned as current for another host, or shown by another server: one break-in takes both."""
    second = entry("pay.example.com", held=pins("B", "C"))
    live = {**LIVE, "pay.example.com": shown("B")}
    before = pin_set(1, entry(), second)
    assert found(pin_set(2, entry(), second), before, live) == only("publish_backup")
    assert found(pin_set(2), live={**LIVE, "example.org": shown("B")}) == only("publish_backup")
    swapped = entry("pay.example.com", held=pins("B", "D", "C"))
    live = {**LIVE, "pay.example.com": shown("C")}
    before = pin_set(1, entry(), swapped)
    assert found(pin_set(2, entry(), swapped), before, live) == only("publish_backup")


def test_supported_version_that_cant_take_the_set_blocks() -> None:
    """Its floor is above, it shipped with a later set, or with a root list that isn't one of ours."""
    ours = read_roots(roots_data(2), ROOTS)
    theirs = read_roots(roots_data(pin_keys=("pin3",)), None)
    for build, fits in (
        (builtin(floor=3), False),
        (builtin(pin_set(2)), False),
        (builtin(pin_set(1)), True),
        (builtin(roots=ours), False),
        (builtin(roots=theirs), False),
        (replace(builtin(floor=3), app="other"), True),
    ):
        assert found(pin_set(2), fleet=[build]) == ([] if fits else only("publish_fleet"))
    assert found(pin_set(2), fleet=[builtin(), builtin(roots=ours)], roots=ours) == []


def test_supported_version_that_refuses_a_live_key_blocks() -> None:
    """What it shipped with has the key no more: each fresh installation is locked out until it fetches."""
    shipped = builtin(pin_set(1, entry(held=pins("O", "A"))))
    draft = pin_set(2, entry(held=pins("X", "A")))
    live = {HOST: shown("X")}
    assert found(draft, live=live, fleet=[shipped]) == only("publish_fleet")
    reporting = builtin(pin_set(1, entry(mode=PinMode.REPORT, held=pins("O", "P"))))
    assert found(draft, live=live, fleet=[reporting]) == []
    gone = builtin(pin_set(1, soft_expiry=NOW, hard_expiry=NOW, issued_at=NOW - DAY))
    assert found(draft, live=live, fleet=[gone]) == []


def test_built_in_authorities_that_a_server_left_block() -> None:
    """After expiry the app would refuse it, with the shipped set or with this one."""
    for first in (pin_set(1), None):
        stale = builtin(first, authorities={HOST: frozenset({spki("old root")})})
        assert found(pin_set(2), fleet=[stale]) == only("publish_fleet")
        fits = builtin(first, authorities={HOST: frozenset({spki("root")})})
        assert found(pin_set(2), fleet=[fits]) == []


def test_build_without_a_key_in_common_blocks() -> None:
    """No server could please both, whatever it shows; told also while the host shows what the build has."""
    shipped = builtin(pin_set(1, entry(held=pins("A", "B"))))
    draft = pin_set(2, entry(held=pins("C", "D")))
    assert found(draft, fleet=[shipped]) == [*only("publish_lockout"), *only("publish_fleet")]


def test_enforcing_before_reporting_blocks() -> None:
    """New hosts, those that were reported on for too short, and names below that nobody reported on."""
    report = pin_set(1, entry(mode=PinMode.REPORT))
    assert found(pin_set(2), None) == only("publish_untried")
    assert found(pin_set(2), report) == []
    soon = {HOST: NOW - 7 * DAY + 1}
    assert found(pin_set(2), report, since=soon) == only("publish_untried")
    assert found(pin_set(2), report, since={}) == only("publish_untried")
    assert found(pin_set(2), since={}) == []
    assert found(pin_set(2, entry(mode=PinMode.REPORT)), None) == []
    wider = pin_set(2, entry(include_subdomains=True))
    assert found(wider) == only("publish_untried")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (entry(), entry("example.org")),
        (entry(), entry(mode=PinMode.REPORT)),
        (entry(after_expiry=AfterExpiry.CLOSED), entry()),
        (entry(include_subdomains=True), entry()),
    ],
)
def test_weaker_set_is_told_and_blocks_nothing(before: Any, after: Any) -> None:
    """A host that is gone, only reported, open, or narrower."""
    live = {**LIVE, "example.org": shown("A")}
    told = found(pin_set(2, after), pin_set(1, before), live, report_first=0, since={})
    assert told == only("publish_weaker", blocks=False)


def test_final_objections_come_first_and_notices_last() -> None:
    """Whoever reads one line reads the worst."""
    draft = pin_set(1, entry(held=pins("X", None)))
    told = found(draft, pin_set(1, entry(), entry("b.example.com")))
    assert told[0] == ("set_old", False, True)
    assert told[-1] == ("publish_weaker", True, False)
    assert len(told) == 4


def test_forcing_needs_a_sentence_and_is_written_down() -> None:
    """Without objections nothing is forced; notices need no force."""
    draft = pin_set(2, entry(held=pins("A", None)))
    against = objections(draft, PREVIOUS, LIVE, (), ROOTS, NOW, **TRIED)
    notice = Objection(Reason.PINS_PUBLISH_WEAKER, HOST, "less", blocks=False)
    for why in (None, "", "  \n", "x" * (MAX_WHY + 1), "two\nlines"):
        assert permit(against, why) is None
    assert permit(against, "x" * MAX_WHY) == Permit(against, "x" * MAX_WHY)
    given = permit([*against, notice], " backup key was burnt ")
    assert given == Permit(against, "backup key was burnt")
    assert permit([notice], "for nothing") == Permit()


def test_reasons_of_this_module_are_all_of_them() -> None:
    """Each reason to object has its own name."""
    named = {each for each in Reason if each.code.startswith("pins.publish_")}
    assert named == {
        Reason.PINS_PUBLISH_LOCKOUT,
        Reason.PINS_PUBLISH_FLEET,
        Reason.PINS_PUBLISH_BACKUP,
        Reason.PINS_PUBLISH_UNSEEN,
        Reason.PINS_PUBLISH_CERTIFICATE,
        Reason.PINS_PUBLISH_UNTRIED,
        Reason.PINS_PUBLISH_WEAKER,
        Reason.PINS_PUBLISH_REPORTS,
    }


def test_swap_asks_every_set_that_apps_may_hold() -> None:
    """The newest, older ones until they expire, and what shipped."""
    old = pin_set(1, entry(held=pins("A", "B")))
    new = pin_set(2, entry(held=pins("A", "C", "N")))

    def told(leaf: str, *fleet: Builtin, now: float = NOW) -> list[tuple[Reason, bool]]:
        chain = (spki(leaf), spki("root"))
        against = swap_objections(HOST, chain, [old, new], fleet, now)
        return [(each.reason, each.blocks) for each in against]

    lockout, fleet = Reason.PINS_PUBLISH_LOCKOUT, Reason.PINS_PUBLISH_FLEET
    assert told("A", builtin(old)) == []
    assert told("N") == [(fleet, True)]
    assert told("B") == [(lockout, True)]
    assert told("X", builtin(old)) == [(fleet, True), (lockout, True), (fleet, True)]
    assert told("X", builtin(old), now=NOW + 91 * DAY) == []
    assert swap_objections("example.org", (spki("X"),), [old, new], [builtin(old)], NOW) == ()
    reporting = [pin_set(3, entry(mode=PinMode.REPORT))]
    (notice,) = swap_objections(HOST, (spki("X"),), reporting, (), NOW)
    assert not notice.blocks


def test_swap_asks_the_authorities_of_the_builds() -> None:
    """A build falls back on them one day, whatever it holds now."""
    for first in (None, PREVIOUS):
        build = builtin(first, authorities={HOST: frozenset({spki("root")})})
        assert swap_objections(HOST, CHAIN, [PREVIOUS], [build], NOW) == ()
        (told,) = swap_objections(HOST, (CHAIN[0], spki("other root")), [], [build], NOW)
        assert told.reason is Reason.PINS_PUBLISH_FLEET
        assert told.blocks


def test_root_list_that_takes_a_pin_key_out_raises_the_floors() -> None:
    """Or an older set by another key would count again; a list that only adds keys needs none."""
    published = {APP: 5, "other": 2}

    def told(*, pin_keys: tuple[str, ...], **floors: int) -> int:
        data = roots_data(2, pin_keys=pin_keys, floors={APP: floors.get("app", 1), **floors})
        return len(list_objections(read_roots(data, ROOTS), ROOTS, published))

    assert told(pin_keys=("pin1", "pin2", "pin3")) == 0
    assert told(pin_keys=("pin2",)) == 2
    assert told(pin_keys=("pin2",), app=5) == 1
    assert told(pin_keys=("pin2",), app=4, other=2) == 1
    assert told(pin_keys=("pin2",), app=5, other=2) == 0
