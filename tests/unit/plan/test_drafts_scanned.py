"""What a scan suggests as assets: only what a finding shows to lie open."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.plan.drafts.scanned import draft_from_scan, is_scan
from watchword.plan.interface import Trait


def scan(*findings: dict[str, Any], techniques: Any = ("MT-A02",)) -> dict[str, Any]:
    """Return a scan of one build with one rule."""
    rules = [{"id": "embedded-keys", "techniques": list(techniques)}]
    return {
        "tool": {"name": "watchword"},
        "scans": [
            {"package": {"file": "app.apk"}, "findings": list(findings), "api": [], "rules": rules}
        ],
    }


def finding(verdict: str = "exposed", **more: Any) -> dict[str, Any]:
    """Return a finding of that rule."""
    return {"rule": "embedded-keys", "verdict": verdict, "title": "A key for maps", **more}


def test_an_open_finding_suggests_an_asset_and_says_which() -> None:
    """The asset's note names the finding; the impact is left to the team."""
    draft, faults = draft_from_scan(scan(finding()))
    assert faults == []
    (asset,) = draft.assets
    assert asset.id == "keys-in-the-app"
    assert asset.traits == {Trait.THIRD_PARTY_KEY}
    assert asset.because.startswith("TODO")
    assert asset.notes == ("found: A key for maps",)


@pytest.mark.parametrize(
    "document",
    [
        scan(),
        scan(finding("protected")),
        scan(finding("absent")),
        scan(finding("not-seen")),
        scan(finding(suppressed={"reason": "known"})),
        scan(finding(), techniques=["MT-A01"]),
    ],
)
def test_what_shows_nothing_suggests_nothing(document: Any) -> None:
    """A protection, a gap and a suppressed finding are no assets."""
    draft, (fault,) = draft_from_scan(document)
    assert draft.assets == ()
    assert "template" in fault.expected


def test_another_document_is_refused() -> None:
    """The fault says how to make the right one."""
    _, (fault,) = draft_from_scan({"scans": []})
    assert "watchword scan --json" in fault.expected
    assert not is_scan({"tool": {}, "scans": {}})


VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["exposed", "embedded-keys", "MT-A02"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["rules", "findings", "verdict", "rule", "id", "techniques", "package"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=3))
def test_nothing_that_a_scan_holds_raises(scans: list[Any]) -> None:
    """Whatever stands where a build is expected gives a draft or a fault."""
    draft, faults = draft_from_scan({"tool": {}, "scans": scans})
    assert bool(draft.assets) != bool(faults)
