"""Hold the shipped entries to what a catalogue must say, and to the source that they come from."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from watchword.plan.catalogue import load_catalogue, names_used, shipped
from watchword.plan.interface import (
    CLIENT_STRENGTH,
    CUT_THRESHOLD,
    Actor,
    Asset,
    AssetKind,
    Component,
    Effort,
    EnforcedAt,
    Protection,
    Stage,
    Technique,
    Trait,
)
from watchword.plan.threat_model import Derivation

CATALOGUE = load_catalogue()
TECHNIQUES = CATALOGUE.techniques
PROTECTIONS = CATALOGUE.protections
SOURCE = Path(__file__).parents[5] / "shared" / "catalogue" / "catalogue.json"
PREFIXES = {Component.APP: "A", Component.CHANNEL: "C", Component.BACKEND: "B"}

DEPARTURES: Mapping[tuple[str, str], tuple[set[str], set[str]]] = {
    # Opening an account gives one's own session, and no victim's: docs/adr/0019-own-session.md.
    ("MT-B07", "gives"): ({"session_token"}, set()),
}
"""Where we depart from the source, by technique and member: what we took out, and what we put in."""

ADDED_TECHNIQUES = {
    *(f"MT-A{number}" for number in range(24, 28)),
    *(f"MT-B{number}" for number in range(21, 35)),
}
ADDED_PROTECTIONS = {"PR-A14", *(f"PR-B{number}" for number in range(26, 37))}
"""What the source doesn't know: payments, what protects them, and partners.  Each file names where that was read."""

ADDED_EVIDENCE: Mapping[str, list[str]] = {"PR-B06": ["live:broker.lent"]}
"""By protection, evidence that the source doesn't know: it has none that a running server gives of what it enforces."""


def test_there_are_enough_of_both() -> None:
    """At least 50 techniques and 43 protections, over all three parts."""
    assert len(TECHNIQUES) >= 50
    assert len(PROTECTIONS) >= 43
    for entries in (TECHNIQUES, PROTECTIONS):
        assert {entry.component for entry in entries.values()} == set(Component)
        assert list(entries) == sorted(entries)
        assert all(key == entry.id for key, entry in entries.items())


def test_each_technique_stands_under_the_letter_of_its_part() -> None:
    """MT-A is the app, MT-C the channel, MT-B the backend."""
    for technique in TECHNIQUES.values():
        assert technique.id[3] == PREFIXES[technique.component], technique.id


@pytest.mark.parametrize("key", TECHNIQUES)
def test_each_technique_is_answered(key: str) -> None:
    """Some protection acts on it, be it that it only slows it."""
    assert any(key in protection.cuts for protection in PROTECTIONS.values())


@pytest.mark.parametrize("key", TECHNIQUES)
def test_each_technique_is_cut_by_something_or_a_risk_that_is_named(key: str) -> None:
    """Never neither, which would keep assets open without a word, and never both."""
    cut = any(each.cuts.get(key, 0) >= CUT_THRESHOLD for each in PROTECTIONS.values())
    assert cut != bool(TECHNIQUES[key].accepted)


def test_three_risks_alone_are_accepted_by_name() -> None:
    """What was read is read; a customer who means to pay pays; a partner's house isn't ours."""
    accepted = {key for key, each in TECHNIQUES.items() if each.accepted}
    assert accepted == {"MT-A01", "MT-B27", "MT-B30"}


PAYMENT = {
    "a stolen session": "MT-B28",
    "another payee": "MT-B21",
    "a false account number": "MT-B26",
    "overlay": "MT-A14",
    "accessibility malware that reads": "MT-A15",
    "accessibility malware that acts": "MT-A24",
    "substitution on the phone": "MT-A25",
    "substitution on the wire": "MT-C04",
    "a request sent again": "MT-C05",
    "relay of attestation": "MT-B25",
    "relay of a contactless card": "MT-A26",
    "remote access": "MT-A27",
    "a customer who is talked into it": "MT-B27",
    "a swapped SIM": "MT-B22",
    "a stranger's phone that is enrolled": "MT-B23",
    "a stranger's wallet": "MT-B24",
    "card numbers that are tried": "MT-B12",
}


@pytest.mark.parametrize("what", PAYMENT)
def test_payments_are_harmed_by_each_way_that_banks_lose_money(what: str) -> None:
    """And attestation at the API alone closes none of them but the trying of card numbers."""
    key = PAYMENT[what]
    assert Trait.PAYMENT in TECHNIQUES[key].harms
    assert (PROTECTIONS["PR-B01"].cuts.get(key, 0) >= CUT_THRESHOLD) == (key == "MT-B12")


@pytest.mark.parametrize("trait", Trait)
@pytest.mark.parametrize("lives_in", [set(Component), {Component.BACKEND}], ids=["all", "backend"])
def test_no_kind_of_asset_is_closed_by_attestation_alone(
    trait: Trait, lives_in: set[Component]
) -> None:
    """Wherever it lives: some way in needs no script in place of the app, or a genuine app attests for the script."""
    asset = Asset("a", AssetKind.DATA, 5, "x", frozenset(lives_in), frozenset({trait}))
    paths = Derivation(CATALOGUE).paths(asset)[0]
    attested = PROTECTIONS["PR-B01"].cuts
    exploits = [
        [step for step in path if TECHNIQUES[step].stage is Stage.EXPLOIT] for path in paths
    ]
    open_still = [
        steps for steps in exploits if all(attested.get(step, 0) < CUT_THRESHOLD for step in steps)
    ]
    assert bool(open_still) == bool(paths)


def test_nothing_of_an_app_or_a_device_protects_what_partners_call() -> None:
    """They have neither; what acts on a technique of theirs is enforced at a server, and asks for no attestation."""
    theirs = {key for key, each in TECHNIQUES.items() if each.actors == {Actor.PARTNER}}
    assert theirs == {f"MT-B{number}" for number in range(30, 35)}
    acting = {key for key, each in PROTECTIONS.items() if not theirs.isdisjoint(each.cuts)}
    assert acting >= {"PR-B34", "PR-B35", "PR-B36"}
    of_phones = {"PR-B01", "PR-B02", "PR-B03", "PR-B15", "PR-B27", "PR-C03", "PR-C04"}
    assert acting.isdisjoint(of_phones)
    both = {key for key, each in TECHNIQUES.items() if each.actors == set(Actor)}
    for key in acting | {k for k, each in PROTECTIONS.items() if not both.isdisjoint(each.cuts)}:
        assert PROTECTIONS[key].enforced_at is EnforcedAt.SERVER
        assert key not in of_phones


@pytest.mark.parametrize("key", PROTECTIONS)
def test_each_protection_says_what_it_does_not_stop_and_what_proves_it(key: str) -> None:
    """One to three whole sentences, and at least one key; it cuts something."""
    protection = PROTECTIONS[key]
    assert 1 <= len(protection.does_not) <= 3
    assert all(re.fullmatch(r"[A-Z].{20,}\.", text) for text in protection.does_not)
    assert protection.evidence
    assert protection.cuts


def test_every_text_is_ours_alone() -> None:
    """Names and descriptions are whole, and no two entries say the same."""
    entries: list[Technique | Protection] = [*TECHNIQUES.values(), *PROTECTIONS.values()]
    assert all(entry.about.endswith(".") for entry in entries)
    assert len({entry.name for entry in entries}) == len(entries)
    assert len({entry.about for entry in entries}) == len(entries)


def test_every_trait_and_every_need_is_served() -> None:
    """Each kind of asset can be harmed, and whatever a technique needs some technique gives."""
    harmed = {trait for technique in TECHNIQUES.values() for trait in technique.harms}
    assert harmed == set(Trait)
    given = {what for technique in TECHNIQUES.values() for what in technique.gives}
    assert all(technique.needs <= given for technique in TECHNIQUES.values())
    for technique in TECHNIQUES.values():
        assert bool(technique.harms) == (technique.stage is Stage.EXPLOIT)


def test_what_no_machine_sees_can_be_reviewed() -> None:
    """Authorisation by design, caps and practice count by a person's review too."""
    reviewable = {key for key, protection in PROTECTIONS.items() if protection.reviewable}
    by_design = {"PR-B07", "PR-B08", "PR-B19", "PR-B22", "PR-B24", "PR-B25"}
    # No scan and no drill of ours sees how a bank asks its customers, nor what it agreed with a partner.
    assert reviewable == by_design | ADDED_PROTECTIONS


def test_names_elsewhere_hold_no_number_of_maswe() -> None:
    """MASWE is named by alias: its numbers have changed."""
    aliases = names_used(CATALOGUE)["maswe"]
    assert len(aliases) > 30
    assert not any(re.search(r"[0-9]{4}", alias) for alias in aliases)


def test_six_client_checks_are_lowered_and_nothing_else() -> None:
    """ADR 0016 lists them; the files state 3, and what is loaded says 2."""
    lowered = {key: p.clamped for key, p in PROTECTIONS.items() if p.clamped}
    assert lowered == {
        "PR-A08": ("MT-A10",),
        "PR-A09": ("MT-A13",),
        "PR-A10": ("MT-A16",),
        "PR-A11": ("MT-A19",),
        "PR-C02": ("MT-C03",),
        "PR-C03": ("MT-C03",),
    }
    written = shipped()["protections"]
    for key, protection in PROTECTIONS.items():
        for technique, stated in written[key]["cuts"].items():
            is_client = protection.enforced_at is EnforcedAt.CLIENT
            expected = min(stated, CLIENT_STRENGTH) if is_client else stated
            assert protection.cuts[technique] == expected


def test_loading_takes_forty_milliseconds_at_most() -> None:
    """The plan of the shipped example has 300 ms in all; this is the part of the catalogue."""
    times = []
    for _ in range(5):
        start = time.process_time()
        load_catalogue.__wrapped__()
        times.append(time.process_time() - start)
    assert min(times) <= 0.040


def test_other_users_objects_hurt_accounts_and_what_is_stored_in_them_too() -> None:
    """The classic attack on a bank: another account's id; not a payment, which needs nobody else's object."""
    for key in ("MT-B08", "MT-B09", "MT-B10"):
        assert TECHNIQUES[key].harms == {Trait.RECORDS, Trait.ACCOUNT, Trait.STORED_VALUE}


def test_a_fresh_account_leads_to_no_victims_session() -> None:
    """ADR 0019: no path goes from accounts in bulk to a session's use or to somebody's money."""
    derivation = Derivation(CATALOGUE)
    for trait in Trait:
        everywhere = frozenset(Component)
        asset = Asset("a", AssetKind.DATA, 3, "x", everywhere, frozenset({trait}))
        for steps in derivation.paths(asset)[0]:
            assert "MT-B07" not in steps[:-1]


@pytest.mark.skipif(not SOURCE.exists(), reason="the source of the estimates isn't here")
def test_estimates_are_those_of_the_source() -> None:
    """Replays hang on strengths, efforts, stages, needs and gives; what departs is in the table, and departs."""
    departed = set()
    source: dict[str, list[dict[str, Any]]] = json.loads(SOURCE.read_text(encoding="utf-8"))
    assert {entry["id"] for entry in source["techniques"]} == set(TECHNIQUES) - ADDED_TECHNIQUES
    assert {entry["id"] for entry in source["protections"]} == set(PROTECTIONS) - ADDED_PROTECTIONS
    for entry in source["techniques"]:
        technique = TECHNIQUES[entry["id"]]
        assert (technique.component, technique.stage) == (entry["component"], entry["stage"])
        for member in ("needs", "gives"):
            ours, theirs = getattr(technique, member), set(entry[member])
            departure = DEPARTURES.get((technique.id, member))
            if departure is not None:
                departed.add((technique.id, member))
                assert (theirs - ours, ours - theirs) == departure
            else:
                assert ours == theirs, (technique.id, member)
    assert departed == DEPARTURES.keys()
    for entry in source["protections"]:
        protection = PROTECTIONS[entry["id"]]
        stated = {**protection.cuts, **dict.fromkeys(protection.clamped, 3)}
        stated = {key: each for key, each in stated.items() if key not in ADDED_TECHNIQUES}
        assert stated == {cut["technique"]: cut["strength"] for cut in entry["cuts"]}
        assert protection.effort == Effort[entry["effort"]]
        assert list(protection.depends_on) == entry["depends_on"]
        added = ADDED_EVIDENCE.get(protection.id, [])
        assert list(protection.evidence) == [*entry["evidence"], *added]
        members = ("component", "enforced_at", "kind")
        assert all(getattr(protection, member) == entry[member] for member in members)
