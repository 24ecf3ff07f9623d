"""Tests of the rule on renamed code."""

import pytest
from tests.unit.scan.simulated import PACKAGE, Class, simulated, verdicts, without

from watchword.scan.app import App, Part
from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.obfuscation import RULE


def _app(renamed: int, plain: int) -> App:
    short = [Class(f"a.p{number}.b") for number in range(renamed)]
    # Anonymous classes have short names in every build.
    long = [Class(f"{PACKAGE}.Screen{number}$1") for number in range(plain)]
    return simulated(*short, *long)


@pytest.mark.parametrize(
    ("renamed", "plain", "expected"),
    [
        (190, 50, Verdict.PROTECTED),
        (30, 210, Verdict.ABSENT),
        (100, 140, Verdict.INFO),
        (0, 3, Verdict.ABSENT),
    ],
)
def test_share(renamed: int, plain: int, expected: Verdict) -> None:
    """The share of short names decides; between the measured bounds it's told."""
    assert verdicts(RULE, _app(renamed, plain)) == {"names": expected}


def test_few_classes_say_little() -> None:
    """Of a small app the share is less sure."""
    (small,) = RULE.run(_app(9, 1))
    (large,) = RULE.run(_app(290, 10))
    assert (small.confidence, large.confidence) == (Confidence.POSSIBLE, Confidence.LIKELY)


def test_names_within_a_renamed_class() -> None:
    """A renamed class within a renamed class is renamed."""
    app = simulated(*(Class(f"a.b{number}$c") for number in range(9)))
    assert verdicts(RULE, app) == {"names": Verdict.PROTECTED}


def test_gap_between_the_bounds() -> None:
    """What was missed may decide between the bounds."""
    assert verdicts(RULE, without(_app(100, 140), Part.DEX)) == {"names": Verdict.NOT_SEEN}
