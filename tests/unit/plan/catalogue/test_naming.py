"""Show which id is taken for meant where somebody wrote another one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.plan.catalogue import load_catalogue, nearest_id, same_id
from watchword.plan.interface import AssetKind, Component

CATALOGUE = load_catalogue()
IDS = [*CATALOGUE.techniques, *CATALOGUE.protections]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("MT-B3", "MT-B03"),
        ("mt-b3", "MT-B03"),
        ("MTB03", "MT-B03"),
        ("MT-B003", "MT-B03"),
        ("MT_B13", "MT-B13"),
        ("PR-A5", "PR-A05"),
        ("B36", "PR-B36"),
        ("PR-B011", "PR-B01"),
        ("PR-B99", "PR-B09"),
        ("watchtower", None),
        ("", None),
    ],
)
def test_the_nearest_id_is_the_one_of_the_same_number(word: str, expected: str | None) -> None:
    """Case, hyphen and zeros are set right first; of several that look as like, the first; none at random."""
    assert nearest_id(word, IDS) == expected


@pytest.mark.parametrize("word", ["MT-B3", "B03", "MT-B003", "", "MT-B99"])
def test_only_the_case_is_forgiven(word: str) -> None:
    """What was meant is a hint and never taken for said."""
    assert same_id(word, IDS) is None


@given(st.sampled_from(IDS))
def test_an_id_is_itself_in_any_case(key: str) -> None:
    """Also as what is nearest."""
    for word in (key, key.lower(), f" {key.title()} "):
        assert same_id(word, IDS) == nearest_id(word, IDS) == key


@given(st.text(max_size=80))
def test_any_text_gets_an_answer(word: str) -> None:
    """An id that there is, or none; the order of the known ones doesn't matter."""
    found = nearest_id(word, IDS)
    assert found is None or found in IDS
    assert nearest_id(word, IDS[::-1]) == found
    assert nearest_id(word, []) is None


def test_names_that_are_no_ids_get_hints_too() -> None:
    """Words of an enum and names of assets are lower-case."""
    assert nearest_id("chanel", [each.value for each in Component]) == "channel"
    assert nearest_id("use_case", [each.value for each in AssetKind]) == "use-case"
