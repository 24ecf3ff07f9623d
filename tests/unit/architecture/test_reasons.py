"""Hold every reason to its documentation, its class and its use."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from watchword.apps.problems import text_of
from watchword.public_classes import Category, PublicClass
from watchword.reasons import Reason

ROOT = Path(__file__).parents[3]
HEADING = re.compile(r"^### `([a-z0-9_.]+)`$", re.MULTILINE)


def test_every_reason_has_its_doc_entry_and_none_is_left_over() -> None:
    """Each reason has a heading in docs/reasons.md, each heading a reason."""
    documented = HEADING.findall((ROOT / "docs" / "reasons.md").read_text(encoding="utf-8"))
    assert sorted(documented) == sorted(reason.code for reason in Reason)


def test_every_reason_says_what_to_do() -> None:
    """Each text is a sentence or more; an unknown code of a newer service has none."""
    for reason in Reason:
        assert text_of(reason.code).endswith("."), reason
    assert text_of("nothing.like_it") == ""


def test_codes_are_dotted_and_unique() -> None:
    """A code is area.cause and names one reason alone."""
    codes = [reason.code for reason in Reason]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", code) for code in codes)
    assert all(Reason.from_code(reason.code) is reason for reason in Reason)


@cache
def pairs(directory: str, without: str) -> frozenset[str]:
    """Return all pairs of words with a dot between them below a directory, but for files of one name."""
    found: set[str] = set()
    for path in (ROOT / directory).rglob("*.py"):
        if path.name != without:
            for chain in set(re.findall(r"\w+(?:\.\w+)+", path.read_text(encoding="utf-8"))):
                words = chain.split(".")
                found.update(f"{one}.{other}" for one, other in pairwise(words))
    return frozenset(found)


@pytest.mark.parametrize("reason", Reason, ids=lambda r: r.code)
def test_every_reason_is_made_by_the_code_and_hit_by_a_test(reason: Reason) -> None:
    """A reason that nothing raises, or that no test sees, doesn't exist."""
    mentions = {f"Reason.{reason.name}", reason.code}
    assert mentions & pairs("src", "reasons.py")
    assert mentions & pairs("tests", Path(__file__).name)


def test_only_unavailable_reasons_blame_our_side() -> None:
    """A 5xx says that it isn't the caller's fault, and nothing else does."""
    ours = {reason for reason in Reason if reason.public.status >= 500}
    assert ours == {reason for reason in Reason if reason.category is Category.UNAVAILABLE}


def test_no_two_public_classes_share_a_slug() -> None:
    """A client can tell the classes apart."""
    slugs = [public.slug for public in PublicClass]
    assert len(set(slugs)) == len(slugs)
