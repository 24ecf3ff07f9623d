"""Hold the numbers of a token together."""

import pytest

from watchword.tokens.interface import LEEWAY_SECONDS, MAX_LEEWAY_SECONDS, TokenExpectation
from watchword.vocabulary import Environment


def expectation(leeway: int) -> TokenExpectation:
    """Return what a gate with this leeway demands."""
    return TokenExpectation("https://i.example", "https://a.example", Environment.PROD, leeway)


@pytest.mark.parametrize("leeway", [0, LEEWAY_SECONDS, MAX_LEEWAY_SECONDS])
def test_leeway_within_its_bounds(leeway: int) -> None:
    """A gate may be stricter or more patient than usual."""
    assert expectation(leeway).leeway == leeway


@pytest.mark.parametrize("leeway", [-1, MAX_LEEWAY_SECONDS + 1])
def test_leeway_out_of_bounds(leeway: int) -> None:
    """A wider leeway would accept tokens whose revocation is no longer published."""
    with pytest.raises(ValueError, match="leeway"):
        expectation(leeway)
