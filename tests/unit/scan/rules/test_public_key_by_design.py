"""Test the rule on identifiers that are made to be in apps."""

from tests.unit.scan.secrets.dice import Dice
from tests.unit.scan.secrets.planted import KINDS, URLSAFE
from tests.unit.scan.simulated import running, simulated

from watchword.scan.app import Resource
from watchword.scan.interface import Severity, Verdict
from watchword.scan.rules.public_key_by_design import RULE

GOOGLE = "AIza" + Dice("google").text(URLSAFE, 35)


def test_a_client_key_is_told_not_exposed() -> None:
    """A Google key in the resources is a fact with advice, and its value is in no text."""
    (finding,) = RULE.run(simulated(resources=(Resource("google_api_key", GOOGLE),)))
    assert (finding.verdict, finding.severity) == (Verdict.INFO, Severity.LOW)
    assert finding.secret is not None
    assert finding.secret.kind == "gcp-api-key"
    assert str(finding.locations[0]) == "string/google_api_key"
    assert GOOGLE[4:] not in repr(finding)


def test_what_costs_nobody_anything_is_information() -> None:
    """A database's address opens nothing by itself."""
    (finding,) = RULE.run(running(strings=("https://shop-42.firebaseio.com",)))
    assert finding.severity is Severity.INFO


def test_a_secret_is_not_called_public() -> None:
    """A token of GitHub is another rule's."""
    assert not list(RULE.run(running(strings=(KINDS["github-pat"](Dice("p")),))))
