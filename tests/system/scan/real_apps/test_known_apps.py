"""Hold readers and rules to all that is known of real apps, where they lie beside the clone; nothing of them runs."""

import pytest
from tests.unit.scan.real_apps.documented import DEVIATIONS, KEYS, PAIRS, agrees
from tests.unit.scan.real_apps.known import (
    BY_FILE,
    INDEX,
    app_of,
    documented_facts,
    found,
    measured_facts,
    report_of,
    secrets,
)
from tests.unit.scan.real_apps.measured import CERTIFICATES, seen
from tests.unit.scan.real_apps.page import TARGET, page

from watchword.scan.interface import Verdict

pytestmark = pytest.mark.skipif(not INDEX, reason="the apps aren't beside the clone")


@pytest.mark.parametrize("file", BY_FILE)
def test_what_was_measured_comes_out_here_too(file: str) -> None:
    """Each fact of the index, but the deviations that are listed; a key that nobody here knows is an error."""
    facts = [fact for fact in measured_facts() if fact.file == file]
    others = {str(fact) for fact in facts if seen(fact) != fact.value}
    assert others == {str(fact) for fact in facts if (file, fact.key) in DEVIATIONS}
    assert len(facts) >= 8


@pytest.mark.parametrize("file", BY_FILE)
def test_what_is_documented_is_found(file: str) -> None:
    """By a rule's verdict, but the deviations that are listed; a key that nobody here knows is an error."""
    facts = [fact for fact in documented_facts() if fact.file == file]
    others = {str(fact) for fact in facts if not agrees(fact)}
    assert others == {str(fact) for fact in facts if (file, fact.key) in DEVIATIONS}
    assert facts


def test_each_deviation_is_of_a_fact() -> None:
    """A deviation from what nobody says any more is none."""
    facts = {(each.file, each.key) for each in (*measured_facts(), *documented_facts())}
    assert set(DEVIATIONS) <= facts


def test_certificates_are_those_that_the_systems_verifier_tells() -> None:
    """Digests of all signers that it verified, the newest first."""
    for file, digests in CERTIFICATES.items():
        signing = app_of(file).signing
        assert signing is not None
        assert [each.sha256 for each in signing.certificates] == digests.split()


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_are_told_apart_by_their_rule(pair: str) -> None:
    """The vulnerable one is exposed, the mended one is looked at and isn't."""
    rule = PAIRS[pair].rule
    vulnerable, mended = (f"ghera-{pair}-{which}.apk" for which in ("benign", "secure"))
    assert found(vulnerable, rule, Verdict.EXPOSED)
    assert not found(mended, rule, Verdict.EXPOSED)
    assert not found(mended, rule, Verdict.NOT_SEEN)


def test_two_mended_apps_are_one_file() -> None:
    """Of five pairs there are nine files."""
    assert app_of("ghera-constkey-secure.apk").digest == app_of("ghera-ecb-secure.apk").digest
    assert len({app_of(file).digest for file in BY_FILE if file.startswith("ghera-")}) == 9


@pytest.mark.parametrize(
    ("file", "rule", "kind"),
    [
        ("InsecureBankv2.apk", KEYS, "crypto-key"),
        ("InsecureBankv2-release.apk", KEYS, "crypto-key"),
        ("UnCrackable-Level1.apk", KEYS, "crypto-key"),
        ("dvba.apk", KEYS, "crypto-key"),
        ("dvba.apk", "public-key-by-design", "gcp-api-key"),
    ],
)
def test_documented_keys_are_found_with_their_class(file: str, rule: str, kind: str) -> None:
    """Each at a class, or at the resource that holds it, and never in the words about it."""
    told = [
        each
        for each in report_of(file).findings
        if each.rule == rule and each.secret is not None and each.secret.kind == kind
    ]
    assert told
    for each in told:
        assert each.secret is not None
        assert all(place.cls or place.file for place in each.locations)
        assert each.secret.value not in repr(each)
        assert each.secret.value not in each.title + each.subject


def test_no_app_but_those_is_said_to_hold_a_secret() -> None:
    """Tens of thousands of strings of libraries, pins and words are none."""
    assert {file for file in BY_FILE if secrets(file, "secret-in-app")} == set()
    keys = {file for file in BY_FILE if found(file, KEYS, Verdict.EXPOSED)}
    assert keys == {
        "InsecureBankv2.apk",
        "InsecureBankv2-release.apk",
        "UnCrackable-Level1.apk",
        "UnCrackable-Level3.apk",
        "dvba.apk",
        "ghera-constkey-benign.apk",
        "ghera-ecb-benign.apk",
        "pivaa.apk",
    }


@pytest.mark.parametrize("rule", ["root", "debugger", "hook", "emulator", "integrity"])
def test_checks_are_found_where_they_are_and_nowhere_else(rule: str) -> None:
    """Of all apps, only those whose own code checks."""
    checking = {
        "root": {
            *("UnCrackable-Level1.apk", "UnCrackable-Level3.apk", "dvba.apk"),
            *("AndroGoat.apk", "AndroGoat_without_nsc.apk"),
            *("InsecureBankv2.apk", "InsecureBankv2-release.apk"),
        },
        "debugger": {"UnCrackable-Level1.apk", "UnCrackable-Level3.apk", "dvba.apk"},
        "hook": {"UnCrackable-Level3.apk", "dvba.apk"},
        "emulator": {"AndroGoat.apk", "AndroGoat_without_nsc.apk", "dvba.apk"},
        "integrity": {"UnCrackable-Level3.apk"},
    }
    found_ = {file for file in BY_FILE if found(file, f"{rule}-checks", Verdict.PROTECTED)}
    assert found_ == checking[rule]


def test_the_page_is_what_the_scan_says() -> None:
    """Run ``python -m tests.unit.scan.real_apps.page`` after a change of a reader or a rule."""
    assert page() == TARGET.read_text("utf-8")


def test_the_page_shows_nothing_that_an_app_keeps_secret() -> None:
    """Neither a key that was found nor a string that was looked for."""
    text = TARGET.read_text("utf-8")
    hidden = {
        value
        for file in BY_FILE
        for value in secrets(file, KEYS, "secret-in-app", "public-key-by-design")
    }
    assert len(hidden) > 10
    assert not [value for value in hidden if value in text]
