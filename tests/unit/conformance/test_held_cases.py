"""Hold the cases that were there on 2026-11-29, and what each enforcement point declared about them.

``held_cases.json`` was made once, from the corpus of 758 cases: a digest of each (without its note), and the differences
declared about them.  It is never made anew: a case that was right stays, a new one gets an id of its own, and of what is
declared about the old ones something may only go.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from scripts.conformance_corpus import FOLDER

from watchword.engines.interface import Divergence
from watchword_conformance.corpus import (
    Capabilities,
    Case,
    Difference,
    load_capabilities,
    load_corpus,
)

HELD = json.loads(Path(__file__).with_name("held_cases.json").read_text(encoding="utf-8"))
CORPUS = load_corpus()
ENGINES = sorted(load_capabilities())


ASKS_FOR_A_LENGTH = {
    "body/bearer-chunked",
    "body/session-too-large-chunked",
    "body/bound-missed-chunked",
}
"""What HAProxy declares beside: it can't take trailers off a body in chunks, and so asks for a length (411) instead.

Clients send such a body again with one.
"""


def digest(case: dict[str, Any]) -> str:
    """Return what stands for a case, its note apart."""
    rest = {name: value for name, value in case.items() if name != "note"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def held() -> list[Case]:
    """Return the cases of then that are still there."""
    return [case for case in CORPUS.cases if case.id in HELD["cases"]]


def loosened(now: Capabilities, before: Capabilities) -> list[str]:
    """Return what is declared about the cases of then, and wasn't."""
    found = []
    for case in held():
        one, other = now.declared(case, ()), before.declared(case, ())
        if one is not None and (other is None or one.kind is not other.kind):
            was = "nothing" if other is None else other.kind.value
            found.append(f"{case.id}: {one.name} is {one.kind.value}, was {was}")
    return found


def declared_then(engine: str) -> Capabilities:
    """Return what an engine declared when the cases were held."""
    differs = [{"name": "then", "why": "then", **row} for row in HELD["declared"][engine]]
    document = {"engine": engine, "title": engine, "native": [], "differs": differs}
    return Capabilities.model_validate_json(json.dumps(document))


def test_cases_keep_their_ids_and_expectations() -> None:
    """None is gone, none asks for something else."""
    written = json.loads((FOLDER / "corpus.json").read_text(encoding="utf-8"))["cases"]
    now = {case["id"]: digest(case) for case in written}
    assert len(HELD["cases"]) == 758
    gone = sorted(HELD["cases"].keys() - now.keys())
    changed = sorted(name for name, value in HELD["cases"].items() if now.get(name, value) != value)
    assert (gone, changed) == ([], []), "give a new case an id of its own, and leave the old ones"


@pytest.mark.parametrize("engine", sorted(HELD["declared"]))
def test_declared_differences_only_shrink(engine: str) -> None:
    """On the cases of then an enforcement point declares no more than then, and nothing of another kind."""
    found = loosened(load_capabilities()[engine], declared_then(engine))
    if engine == "haproxy":
        assert {each.partition(":")[0] for each in found} == ASKS_FOR_A_LENGTH
    else:
        assert found == []


@pytest.mark.parametrize("engine", ENGINES)
def test_no_case_is_declared_looser(engine: str) -> None:
    """What the Python gate stops, old or new, no enforcement point may let pass by declaring it."""
    declares = load_capabilities()[engine]
    found = {case.id: declares.declared(case, ()) for case in CORPUS.cases}
    assert [name for name, d in found.items() if d and d.kind is Divergence.LOOSER] == []


def test_the_comparison_can_fail() -> None:
    """One case more, or another kind, is told by its id."""
    then = declared_then("nginx")
    more = Difference(name="more", why="a test", cases=["token/good", "level/canary-hardware"])
    now = then.model_copy(update={"differs": [*then.differs, more]})
    assert loosened(now, then) == ["token/good: more is stricter, was nothing"]
    cleaned = more.model_copy(update={"kind": Divergence.CLEANED, "cases": more.cases[1:]})
    now = then.model_copy(update={"differs": [cleaned]})
    assert loosened(now, then) == ["level/canary-hardware: more is cleaned, was stricter"]
    assert (
        digest({"id": "a", "note": "b"}) == digest({"id": "a", "note": "c"}) != digest({"id": "b"})
    )
