"""Show that whatever a file holds, merging it answers with a catalogue or with faults."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.plan.catalogue import load_catalogue, merge
from watchword.plan.interface import Catalogue, Component, EnforcedAt, ProtectionKind, Stage, Trait

BASE = load_catalogue()
IDS = ["MT-B03", "PR-B01", "PR-A08", "PR-B15", "MT-X01", "PR-X01", "MT-B99"]
MEMBERS = [
    *("name", "about", "component", "stage", "needs", "gives", "harms", "names", "enforced_at"),
    *("kind", "effort", "depends_on", "cuts", "does_not", "evidence", "reviewable", "likelihood"),
]
WORDS = [
    *(
        word.value
        for words in (Component, Stage, Trait, EnforcedAt, ProtectionKind)
        for word in words
    ),
    *IDS,
    *("S", "XL", "live:x", "maswe", "T1234"),
]
KEYS = st.one_of(
    st.sampled_from(["techniques", "protections", *IDS, *MEMBERS, "maswe", "d3fend"]),
    st.text(max_size=8),
    st.integers(),
    st.none(),
    st.booleans(),
)
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(min_value=-2, max_value=200),
    st.integers(),
    st.just(10**4000),
    st.floats(),
    st.text(st.characters(codec=None, categories=None), max_size=12),
    st.binary(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5), st.tuples(inner)
    ),
    max_leaves=12,
)
ENTRIES = st.dictionaries(
    st.sampled_from(IDS), st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=6), max_size=4
)
FILES = st.fixed_dictionaries({}, optional={"techniques": ENTRIES, "protections": ENTRIES})


def consistent(catalogue: Catalogue) -> bool:
    """Tell whether every id that is named is there."""
    return all(
        protection.cuts.keys() <= catalogue.techniques.keys()
        and set(protection.depends_on) <= catalogue.protections.keys()
        for protection in catalogue.protections.values()
    )


@settings(max_examples=300, deadline=None)
@given(written=st.one_of(FILES, VALUES))
def test_nothing_is_raised_whatever_is_written(written: Any) -> None:
    """There are faults and the catalogue is untouched, or there are none and it holds together."""
    catalogue, faults = merge(BASE, written)
    assert consistent(catalogue)
    if faults:
        assert catalogue is BASE
    for fault in faults:
        assert all(type(part) in {str, int} for part in fault.where)
        assert fault.got
        assert fault.expected
        assert len(fault.got) < 1000


@settings(max_examples=100, deadline=None)
@given(written=FILES)
def test_the_same_file_gives_the_same_answer(written: Any) -> None:
    """Neither the answer nor the order of its faults hangs on anything else."""
    assert merge(BASE, written) == merge(BASE, written)


@settings(max_examples=100, deadline=None)
@given(
    efforts=st.dictionaries(
        st.sampled_from(sorted(BASE.protections)),
        st.integers(min_value=1, max_value=100),
        max_size=9,
    ),
    data=st.data(),
)
def test_changes_touch_what_they_name_in_whatever_order(
    efforts: dict[str, int], data: st.DataObject
) -> None:
    """Efforts change where they're written, nothing else does, and the order of the file is nothing."""
    written = {key: {"effort": effort} for key, effort in efforts.items()}
    merged, faults = merge(BASE, {"protections": written})
    assert faults == []
    shuffled = dict(data.draw(st.permutations(list(written.items()))))
    assert merge(BASE, {"protections": shuffled}) == (merged, [])
    for key, protection in merged.protections.items():
        before = BASE.protections[key]
        assert protection.effort == efforts.get(key, before.effort)
        assert (protection.cuts, protection.clamped) == (before.cuts, before.clamped)


@pytest.mark.parametrize("written", [None, [], "text", 3])
def test_a_file_that_is_no_mapping_is_one_fault(written: Any) -> None:
    """It is told at the top of the file."""
    assert [fault.where for fault in merge(BASE, written)[1]] == [()]
