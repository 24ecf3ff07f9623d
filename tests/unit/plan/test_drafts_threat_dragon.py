"""Models as Threat Dragon 2 keeps them: what becomes an asset, and what is refused with a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.plan.drafts.otm import draft_from_otm
from watchword.plan.drafts.threat_dragon import draft_from_threat_dragon, is_threat_dragon
from watchword.plan.interface import AssetKind, Component

THREAT = {
    "id": "t1",
    "title": "Credential stuffing",
    "type": "Spoofing",
    "description": "leaked passwords",
}


def cell(key: str, kind: str, **data: Any) -> dict[str, Any]:
    """Return a part of a diagram."""
    return {"id": key, "shape": kind, "data": {"type": f"tm.{kind}", **data}}


def model(*cells: Any, version: Any = "2.2.0") -> dict[str, Any]:
    """Return a model with one diagram."""
    return {
        "version": version,
        "summary": {"title": "Clinic"},
        "detail": {"diagrams": [{"title": "Main", "cells": list(cells)}]},
    }


WHOLE = model(
    cell("a", "Actor", name="Mobile app"),
    cell("p", "Process", name="Booking API", threats=[THREAT]),
    cell("s", "Store", name="Patient database"),
    {**cell("f", "Flow", name="books"), "source": {"cell": "a"}, "target": {"cell": "p"}},
    cell("b", "BoundaryBox", name="Data centre"),
)


def test_stores_and_services_become_assets() -> None:
    """A store is data, a process that serves is a service; what flows to an app can be taken on its way."""
    draft, faults = draft_from_threat_dragon(WHOLE)
    assert faults == []
    assert draft.title == "Clinic"
    found = {each.id: each for each in draft.assets}
    assert found["patient-database"].kind is AssetKind.DATA
    assert Component.BACKEND in found["patient-database"].lives_in
    assert found["booking-api"].kind is AssetKind.SERVICE
    assert Component.CHANNEL in found["booking-api"].lives_in
    assert "credential" in " ".join(each.name for each in draft.threats).lower()


@pytest.mark.parametrize(
    ("document", "got"),
    [
        ([], "another document"),
        ({"summary": {}}, "another document"),
        (model(version="1.6"), "'1.6'"),
        (model(version=None), "no version"),
        (model(), "nothing to protect"),
        (model(cell("b", "BoundaryBox")), "nothing to protect"),
    ],
)
def test_what_is_no_such_model_is_refused(document: Any, got: str) -> None:
    """The fault says what was got, and what to do."""
    draft, (fault,) = draft_from_threat_dragon(document)
    assert draft.assets == ()
    assert got in fault.got


def test_an_otm_export_is_no_model_of_its_own() -> None:
    """What Threat Dragon exports is read as what it is."""
    assert not is_threat_dragon({"otmVersion": "0.2.0"})
    _, (fault,) = draft_from_otm(WHOLE)
    assert "Threat Dragon's own format" in fault.got


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "threats", "type", "name", "id", "source", "cell", "cells"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4), VALUES, VALUES)
def test_nothing_that_a_model_holds_raises(cells: list[Any], summary: Any, detail: Any) -> None:
    """Whatever stands where a cell is expected gives a draft or a fault."""
    for document in (model(*cells), {"version": "2", "summary": summary, "detail": detail}):
        draft, faults = draft_from_threat_dragon(document)
        assert bool(draft.assets) != bool(faults)
