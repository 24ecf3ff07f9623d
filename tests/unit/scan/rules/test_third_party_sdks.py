"""Tests of the rule on libraries in the build."""

from tests.unit.scan.simulated import Class, simulated, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.libraries import SDKS
from watchword.scan.rules.third_party_sdks import RULE


def test_each_library_is_told() -> None:
    """Every library of the list is told by its package, with how many classes there are."""
    for prefix in SDKS:
        app = simulated(Class(f"{prefix}A"), Class(f"{prefix}b.C"))
        found = {each.subject: each for each in RULE.run(app)}
        assert found[prefix.rstrip(".")].verdict is Verdict.INFO
        assert "2 classes" in found[prefix.rstrip(".")].title


def test_none() -> None:
    """A package that only begins alike isn't the library."""
    assert verdicts(RULE, simulated(Class("okhttp3x.A"))) == {"sdks": Verdict.INFO}
