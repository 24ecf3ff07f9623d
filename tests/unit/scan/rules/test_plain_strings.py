"""Tests of the rule on strings that can be read."""

from time import perf_counter

from tests.unit.scan.simulated import Body, Class, running, simulated, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.plain_strings import RULE

READABLE = tuple(f"Could not reach the shop, code {number}" for number in range(6))
SCRAMBLED = tuple(f"q8Zx{number}Kd02LmPo9vTQ==" for number in range(6))


def test_readable() -> None:
    """Texts, addresses and paths that stand as they are, are readable."""
    assert verdicts(RULE, running(strings=READABLE)) == {"strings": Verdict.ABSENT}
    paths = tuple(f"/api/v1/item{number}" for number in range(6))
    assert verdicts(RULE, running(strings=paths)) == {"strings": Verdict.ABSENT}


def test_scrambled() -> None:
    """Where nearly all look scrambled, they're encrypted by all looks."""
    assert verdicts(RULE, running(strings=SCRAMBLED)) == {"strings": Verdict.PROTECTED}
    mixed = running(strings=(*SCRAMBLED, *READABLE))
    assert verdicts(RULE, mixed) == {"strings": Verdict.ABSENT}


def test_few_and_libraries() -> None:
    """Few strings say nothing, and a library's aren't the app's."""
    assert verdicts(RULE, running(strings=READABLE[:2])) == {"strings": Verdict.INFO}
    library = Class("androidx.core.A", (Body("run", strings=READABLE),))
    assert verdicts(RULE, simulated(library)) == {"strings": Verdict.INFO}


def test_long_strings_take_no_time() -> None:
    """Strings that were made to take long don't."""
    hostile = tuple(f"{number}{'aA1/' * 60_000}" for number in range(20))
    start = perf_counter()
    assert verdicts(RULE, running(strings=hostile))
    assert perf_counter() - start < 20
