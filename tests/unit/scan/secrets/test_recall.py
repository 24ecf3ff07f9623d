"""Measure what share of planted secrets is found, and what share of what is found was planted."""

import sys
from collections import Counter

import pytest
from tests.unit.scan.secrets.planted import DECOYS, KINDS, planted

from watchword.scan.secrets.detection import detect


@pytest.mark.parametrize("seed", ["one", "two", "three"])
def test_planted_secrets_are_found_and_decoys_are_not(
    seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At least 0.95 of 72 secrets of 18 kinds are found, as what they are; at least 0.95 of what is found among 276 decoys is one."""
    app, things = planted(seed)
    hits = {hit.secret: hit for hit in detect(app)}
    total, found, exact, false = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for thing in things:
        hit = hits.pop(thing.value, None)
        if thing.secret:
            total[thing.kind] += 1
            found[thing.kind] += hit is not None
            exact[thing.kind] += hit is not None and hit.kind == thing.kind
        else:
            false[thing.kind] += hit is not None
    report = [
        f"  {kind:28} found {found[kind]} of {total[kind]}, {exact[kind]} as this kind"
        for kind in KINDS
    ]
    report.append(f"  decoys taken for secrets: {dict(+false)}, found besides: {len(hits)}\n")
    with capsys.disabled():
        sys.stdout.write("\n".join([f"\nsecrets of seed {seed}", *report]))
    decoys = len(things) - total.total()
    assert len(KINDS) >= 12
    assert decoys >= 200
    assert decoys == 12 * len(DECOYS)
    assert found.total() / total.total() >= 0.95
    assert exact.total() / total.total() >= 0.95
    right = found.total()
    assert right / (right + false.total() + len(hits)) >= 0.95
