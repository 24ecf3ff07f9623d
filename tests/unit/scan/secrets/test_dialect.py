"""Test the translation of Go's regular expressions."""

import re

import pytest

from watchword.scan.secrets.patterns import packaged, translate


@pytest.mark.parametrize(
    ("source", "held", "refused"),
    [
        ("p8e-(?i)[a-z]{2}", "p8e-Ab", "P8e-ab"),
        ("a(?i)b|c", "C", "Ab"),
        ("a(?i)b|c", "aB", "AB"),
        ("x(?:(?i)y)z", "xYz", "xYZ"),
        ("(?i)key(?-i:Exact)", "KEYExact", "keyexact"),
        (r"ab\z", "ab", "ab\n"),
        ("ab$", "ab", "ab\n"),
        ("[[^]b", "[b", "xb"),
        ("[^]]", "x", "]"),
        ("(?<name>a)", "a", "b"),
        (r"\(?:\|", "(:|", "(:"),
        (r"\w", "a", "é"),
    ],
)
def test_means_the_same_as_in_go(source: str, held: str, refused: str) -> None:
    """Flags in the middle, ends of text, brackets in classes and names of groups mean in Python what they mean in Go."""
    expression = re.compile(translate(source), re.ASCII)
    assert expression.fullmatch(held) or (expression.match(held) and held.endswith("\n"))
    assert not expression.fullmatch(refused)


def test_every_rule_of_the_set_compiles_without_a_warning() -> None:
    """All expressions of the packaged rules compile; warnings are errors in this suite."""
    patterns = packaged()
    assert len(patterns.patterns) > 200
    for pattern in patterns.patterns:
        assert pattern.finder().groups >= 0
        assert not any(allowed.holds("q", "q") for allowed in pattern.allowed if allowed.on_match)


def test_a_rule_of_our_own_replaces_one_of_the_same_name() -> None:
    """Each kind is there once, so that none is told twice."""
    kinds = [pattern.kind for pattern in packaged().patterns]
    assert len(kinds) == len(set(kinds))
