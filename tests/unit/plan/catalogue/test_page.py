"""Hold docs/catalogue.md to the entries that the package ships."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from watchword.plan.catalogue import load_catalogue, merge
from watchword.plan.interface import CUT_THRESHOLD, Protection, Technique

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
CATALOGUE = load_catalogue()


def test_every_entry_has_its_anchor_and_every_link_leads_to_one() -> None:
    """Reports link to #pr-b01; each id is there once."""
    anchors = re.findall(r'<a id="([a-z0-9-]+)"></a>', TEXT)
    entries = [*CATALOGUE.techniques, *CATALOGUE.protections]
    assert sorted(anchors) == sorted(key.lower() for key in entries)
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= set(anchors)


def test_the_example_of_own_entries_is_good() -> None:
    """Who copies it gets what it says."""
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    merged, faults = merge(CATALOGUE, yaml.safe_load(block[1]))
    assert faults == []
    assert merged.protections["PR-B07"].effort == 3
    assert merged.protections["PR-X01"].cuts == {"MT-X01": 2}
    assert "MT-X01" in merged.techniques


@pytest.mark.parametrize(("part", "kind"), [("technique", Technique), ("protection", Protection)])
def test_the_page_tells_every_member_of_an_own_entry(part: str, kind: type) -> None:
    """Each member has its row and stands in the example, and what is marked is what a new entry can't lack."""
    (table,) = re.findall(rf"\| member of a {part} \|.*\n\|[- |]+\n((?:\|.*\n)+)", TEXT)
    rows = dict(re.findall(r"^\| `([a-z_]+)` \|( •)? \|", table, re.MULTILINE))
    assert rows.keys() == {each.name for each in fields(kind)} - {"id", "clamped"}
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    example = yaml.safe_load(block[1])
    (entry,) = [each for key, each in example[f"{part}s"].items() if "X" in key]
    assert list(rows) == list(entry)
    for member, mark in rows.items():
        less = {key: value for key, value in entry.items() if key != member}
        own = {**example, f"{part}s": {f"{'MT' if part == 'technique' else 'PR'}-X01": less}}
        lacks = [where for fault in merge(CATALOGUE, own)[1] if (where := fault.where)[2:] == ()]
        assert bool(lacks) == bool(mark), member


def test_the_notice_of_attack_stands_there() -> None:
    """MITRE's terms ask for its copyright line and its licence."""
    assert "reproduced and distributed with the permission of The MITRE" in TEXT
    assert "non-exclusive, royalty-free license to use ATT&CK" in TEXT


def test_the_decision_on_client_checks_lists_what_it_changes() -> None:
    """ADR 0016 names each cut that is lowered, and what else cuts the same technique."""
    decision = (ROOT / "docs" / "adr" / "0016-client-side-strength.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (PR-\w+) .*\| (MT-\w+) .*\| (.*) \|$", decision, re.MULTILINE)
    lowered = [
        (protection.id, technique)
        for protection in CATALOGUE.protections.values()
        for technique in protection.clamped
    ]
    assert [(protection, technique) for protection, technique, _ in rows] == lowered
    for protection, technique, others in rows:
        cutting = [
            key
            for key, each in CATALOGUE.protections.items()
            if each.cuts.get(technique, 0) >= CUT_THRESHOLD and key != protection
        ]
        assert re.findall(r"PR-\w+", others) == cutting
