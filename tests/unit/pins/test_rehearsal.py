"""Test how rotations and accidents end for installed apps, as the documentation says."""

from dataclasses import replace
from pathlib import Path

import pytest
from scripts.pages.pins_rotation import HOST, cdn, own_key

from watchword.pins.interface import AfterExpiry, HostPins, PinMode
from watchword.pins.rehearsal import SCENARIOS, Outcome, Situation, rehearse
from watchword.reasons import Reason

ROOT = Path(__file__).parents[3]
LETTERS = {Outcome.SERVED: "s", Outcome.REFUSED: "r", Outcome.UNPINNED: "u"}

# Phones of the own-key deployment: 1.0 that fetches, 1.0 that never did, 2.0 likewise; one word for each step.
OWN = {
    "renewal": "ssss",
    "swap-next": "ssss srss srss",
    "swap-backup": "ssss ssss",
    "swap-early": "ssss rrrr srsr",
    "ca-change-own-key": "ssss",
    "lost-key": "ssss ssss ssss rsrs",
    "lost-keys": "rrrr srsr susu",
    "lost-pin-key": "ssss ssss ssss",
    "stolen-pin-key": "rsrs srsr usus ssss rrrr",
    "lost-root-key": "ssss",
    "lost-root-keys": "ssss uuuu",
    "expired": "ssss uuuu uuuu",
    "rollback": "ssss rrrr",
    "freeze": "ssss ssss uuuu",
    "clock": "ssss rrrr uuuu ssss",
}
CDN = {
    "renewal": "ss",
    "ca-change-planned": "ss sr",
    "ca-change-sudden": "rr sr",
    "intermediate": "ss",
    "lost-pin-key": "ss ss ss",
    "lost-root-key": "ss",
    "lost-root-keys": "ss rr",
    "expired-closed": "ss rr rr",
    "rollback": "ss rr",
    "clock": "ss rr rr ss",
}


def decided(situation: Situation) -> dict[str, str]:
    """Return by scenario how each step ended for each phone; without those that can't happen."""
    found = {}
    for scenario in SCENARIOS:
        rehearsal = rehearse(scenario, situation)
        if rehearsal.played is not None:
            words = [
                "".join(LETTERS[ending.outcome] for ending in played.endings.values())
                for played in rehearsal.played
            ]
            found[scenario.name] = " ".join(words)
    return found


@pytest.mark.parametrize(("situation", "wanted"), [(own_key(), OWN), (cdn(), CDN)])
def test_every_scenario_ends_as_it_must(situation: Situation, wanted: dict[str, str]) -> None:
    """Written down by hand from what each rotation is, not from what the code says."""
    assert decided(situation) == wanted


def test_each_scenario_is_played_in_one_of_the_two_deployments() -> None:
    """None is listed that no table shows; names are unique."""
    names = [each.name for each in SCENARIOS]
    assert sorted(names) == sorted(OWN.keys() | CDN.keys())


def test_whoever_is_unpinned_sends_no_secrets() -> None:
    """In every step of every scenario of both deployments."""
    for situation in (own_key(), cdn()):
        for scenario in SCENARIOS:
            for played in rehearse(scenario, situation).played or ():
                for ending in played.endings.values():
                    assert ending.withheld is (ending.outcome is Outcome.UNPINNED)


def test_lock_outs_are_summed_up_without_interceptors() -> None:
    """An interceptor who is refused locks nobody out."""
    by_name = {each.name: each for each in SCENARIOS}
    assert rehearse(by_name["swap-next"], own_key()).locked_out == ("1.0, never fetched",)
    assert rehearse(by_name["rollback"], own_key()).locked_out == ()
    assert len(rehearse(by_name["lost-keys"], own_key()).locked_out) == 4


def test_attackers_sets_are_refused_for_their_own_reason() -> None:
    """A rollback as old, a withdrawn key as unknown, a short root list by its threshold."""
    by_name = {each.name: each for each in SCENARIOS}
    for name, step, reason in (
        ("rollback", 0, Reason.PINS_SET_OLD),
        ("stolen-pin-key", 2, Reason.PINS_SET_KEY),
        ("lost-root-keys", 0, Reason.PINS_ROOTS_THRESHOLD),
        ("freeze", 2, Reason.PINS_SET_EXPIRED),
        ("clock", 0, Reason.PINS_SET_EARLY),
    ):
        played = rehearse(by_name[name], own_key()).played
        assert played is not None
        assert played[step].endings["2.0"].refused is reason


def test_nothing_is_rehearsed_where_nothing_is_enforced() -> None:
    """A host in report mode, or without pins, survives everything."""
    at = own_key()
    reported = replace(at.published.hosts[0], mode=PinMode.REPORT)
    for hosts in ((reported,), ()):
        situation = replace(at, published=replace(at.published, hosts=hosts))
        assert decided(situation) == {}


def test_fleet_that_nobody_named_is_one_build_with_the_set() -> None:
    """So that a first set can be rehearsed before the app is built."""
    rehearsal = rehearse(SCENARIOS[0], replace(own_key(), fleet=()))
    assert rehearsal.played is not None
    assert list(rehearsal.played[0].endings) == ["any", "any, never fetched"]


def test_any_set_can_be_rehearsed() -> None:
    """Whatever is pinned, every scenario is played or left out, and none breaks off."""
    entry = own_key().published.hosts[0]
    for pins in ((entry.pins[0],), entry.pins[:2], entry.pins[2:], cdn().published.hosts[0].pins):
        for after in AfterExpiry:
            host = HostPins(HOST, PinMode.ENFORCE, pins, after_expiry=after)
            published = replace(own_key().published, hosts=(host,))
            for chain in (own_key().chain, own_key().chain[:1], cdn().chain):
                assert "clock" in decided(replace(own_key(), published=published, chain=chain))
            assert decided(replace(own_key(), published=published, chain=())) == {}
