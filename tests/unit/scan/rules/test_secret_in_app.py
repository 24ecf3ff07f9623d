"""Test the rule on secrets."""

from dataclasses import replace

import pytest
from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import KINDS, URLSAFE
from tests.unit.scan.simulated import PACKAGE, Class, running, simulated, without

from watchword.scan.app import Container, Entry, Part
from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.rules.secret_in_app import RULE
from watchword.vocabulary import Platform

TOKEN = KINDS["github-pat"](Dice("rule"))
GOOGLE = "AIza" + Dice("google").text(URLSAFE, 35)


def test_a_verified_secret_is_certain_and_shown_nowhere() -> None:
    """The finding has the value for who may see it, and no text of it holds it."""
    (finding,) = RULE.run(simulated(Class(f"{PACKAGE}.Keys", fields={"GIT_TOKEN": TOKEN})))
    assert (finding.verdict, finding.severity) == (Verdict.EXPOSED, Severity.CRITICAL)
    assert finding.confidence is Confidence.CERTAIN
    assert finding.secret is not None
    assert finding.secret.value == TOKEN
    assert "GIT_TOKEN" in finding.title
    assert TOKEN not in repr(finding)
    assert TOKEN[8:20] not in f"{finding.subject}{finding.title}{finding.seen}"


def test_the_subject_stays_when_the_secret_moves() -> None:
    """The same secret in another class of the next build has the same fingerprint, another one has another."""
    first, second, other = (
        next(iter(RULE.run(simulated(Class(f"{PACKAGE}.{cls}", fields={"T": value})))))
        for cls, value in (("A", TOKEN), ("B", TOKEN), ("A", KINDS["github-pat"](Dice("other"))))
    )
    assert first.subject == second.subject
    assert first.subject != other.subject


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        ("sk_test_" + Dice("test").text(URLSAFE[:62], 24), Severity.LOW),
        (KINDS["stripe-access-token"](Dice("s")), Severity.CRITICAL),
        (KINDS["sendgrid-api-token"](Dice("s")), Severity.HIGH),
        (KINDS["jwt"](Dice("s")), Severity.MEDIUM),
    ],
)
def test_severity_is_what_it_opens(value: str, severity: Severity) -> None:
    """A key for tests opens less than one for payments."""
    (finding,) = RULE.run(running(strings=(value,)))
    assert finding.severity is severity


def test_without_any_secret_the_package_is_protected_or_not_seen() -> None:
    """No secret in all of the app is a proof; no secret in what could be read is none."""
    (clean,) = RULE.run(simulated())
    assert clean.verdict is Verdict.PROTECTED
    for part in (Part.DEX, Part.RESOURCES, Part.NATIVE, Part.ASSETS, Part.BUNDLE, Part.ARCHIVE):
        (unseen,) = RULE.run(without(simulated(), part))
        assert unseen.verdict is Verdict.NOT_SEEN
    (none,) = RULE.run(simulated(code=None))
    assert none.verdict is Verdict.NOT_SEEN


def test_a_key_that_is_made_to_be_in_apps_is_no_secret() -> None:
    """Another rule tells of it; this one stays clean."""
    (finding,) = RULE.run(running(strings=(GOOGLE,)))
    assert finding.verdict is Verdict.PROTECTED


def test_a_key_store_is_told_of() -> None:
    """A file that holds keys is a fact beside the verdict."""
    app = simulated(entries=(Entry("assets/client.p12", 2000), Entry("META-INF/CERT.bks", 10)))
    told, clean = RULE.run(app)
    assert (told.verdict, str(told.locations[0])) == (Verdict.INFO, "assets/client.p12")
    assert clean.verdict is Verdict.PROTECTED


def test_an_ipa_is_looked_at_too() -> None:
    """An IPA has no code of this kind, and that isn't a gap."""
    app = replace(
        simulated(code=None, manifest=None), container=Container.IPA, platform=Platform.IOS
    )
    (finding,) = RULE.run(app)
    assert finding.verdict is Verdict.PROTECTED
