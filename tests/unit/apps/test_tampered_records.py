"""Tamper with records of verifications: change, drop, double, reorder, cut, splice, and see what a replay says.

Records aren't signed (docs/verifying.md): whoever makes up a whole one isn't found out, nor is one who takes a line away.
What is promised is that a part which no longer fits the rest is told, and that nothing ends the replay.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps import recording_lab as lab

from watchword.apps.evidence.records import find_records, record_from_line
from watchword.apps.evidence.replay import Conditions, replay
from watchword.reasons import WatchwordError

CONDITIONS = Conditions(tuple(lab.AUTHORITIES.anchors()))
KINDS = ("genuine-iphone", "unlocked-android", "revoked-android", "play-phone")
Place = tuple[str | int, ...]

HARMLESS = (
    # Who was enrolled, by which Watchword, and how much was left out: nothing of it can be worked out again.
    ("instance",), ("watchword",), ("left_out",), ("app", "id"), ("at",),
    # Words for people: reasons are compared, not how they are put, nor names of what is known by its key.
    ("detail",), ("because",), ("policy", "name"), ("reason",), ("name",), ("kind",), ("decoded_by",),
    # What no rule asked about, since it was judged without: other vendors' anchors, a list without the certificates.
    ("anchors",), ("status",), ("enrolled_today",), ("fan_out_today",),
    # The app as registered, where nothing is stated that it would be compared with.
    ("app", "version"), ("app", "signing_digests"), ("app", "package"), ("app", "minimum_version"),
)  # fmt: skip
"""Members, by the end or the beginning of their place, that may change without a word where the rest doesn't need them."""


def members(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every member of a document, with its place."""
    if place:
        yield place, value
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, each in inner:
        yield from members(each, (*place, name))


def instead(value: Any) -> list[Any]:
    """Return what an attacker puts in the place of a value."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, str(value)]
    if isinstance(value, str):
        return [f"{value}x", value[:-1], 7]
    if isinstance(value, list):
        return [["x"], value[1:]]
    return ["x", None] if value is not None else ["x", 1, {}]


def changed(document: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """Return a document with one member changed."""
    found = copy.deepcopy(document)
    inner: Any = found
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return found


def line_of(kind: str) -> bytes:
    """Return the record of a phone."""
    return lab.appraised_line(lab.evidence_of(kind), lab.app_of(kind))


def is_told(line: bytes) -> bool:
    """Tell whether a replay says that something is wrong with a record."""
    try:
        return not replay(record_from_line(line), CONDITIONS).is_same
    except WatchwordError:
        return True


def is_harmless(place: Place, kind: str) -> bool:
    """Tell whether the verdict rests on something else than a member."""
    if kind == "revoked-android" and place[0] == "policy":
        # It was refused before any policy was asked.
        return True
    names = tuple(each for each in place if isinstance(each, str))
    return any(names[: len(each)] == each or names[-len(each) :] == each for each in HARMLESS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_member_that_bears_on_the_verdict_is_held_to_the_rest(kind: str) -> None:
    """Every member in turn, by several values each: told, or on the list of those that the verdict doesn't rest on."""
    document = json.loads(line_of(kind))
    tried, untold = 0, set()
    for place, value in members(document):
        for other in instead(value):
            if other == value:
                continue
            tried += 1
            line = json.dumps(changed(document, place, other)).encode()
            if not is_told(line) and not is_harmless(place, kind):
                untold.add((place, str(other)[:40]))
    assert not untold
    assert tried > 150


def test_a_record_is_of_one_piece() -> None:
    """Two genuine records, each part of one in the other's place: verdict, claims, evidence, binding, policy."""
    one, other = (json.loads(line_of(kind)) for kind in ("genuine-iphone", "unlocked-android"))
    for name in ("verdict", "claims", "evidence", "binding", "format", "app"):
        if one[name] != other[name]:
            assert is_told(json.dumps(one | {name: other[name]}).encode()), name
            assert is_told(json.dumps(other | {name: one[name]}).encode()), name


def counts(path: Path) -> tuple[int, int, int]:
    """Return how many lines of a file are the same, differ, and are none."""
    same = different = unreadable = 0
    for found in find_records(str(path)):
        if found.record is None:
            unreadable += 1
        elif replay(found.record, CONDITIONS).is_same:
            same += 1
        else:
            different += 1
    return same, different, unreadable


def test_a_file_that_is_cut_doubled_or_spliced_costs_no_other_line(tmp_path: Path) -> None:
    """Half a line is told, wherever it is; each whole one is judged for itself, in whatever order."""
    lines = [line_of(kind).rstrip(b"\n") + b"\n" for kind in KINDS]
    whole, path = b"".join(lines), tmp_path / "2026-11-24.jsonl"
    half = lines[0][: len(lines[0]) // 2]
    for content, expected in (
        (whole, (4, 0, 0)),
        (whole + whole, (8, 0, 0)),
        (b"".join(reversed(lines)), (4, 0, 0)),
        (whole[:-40], (3, 0, 1)),
        (half + b"\n" + whole, (4, 0, 1)),
        # Glued to another one: neither is a record any more.
        (half + whole, (3, 0, 1)),
        (whole.replace(b"\n", b"\r\n"), (4, 0, 0)),
        (b"\n\n" + whole + b"\n\n", (4, 0, 0)),
        (whole + b"\x00" * 5000 + b"\n" + whole, (8, 0, 1)),
        (b"{}\n[]\nnull\n" + whole, (4, 0, 3)),
        # Somebody takes a line away: nothing tells, and the page says so.
        (b"".join(lines[1:]), (3, 0, 0)),
    ):
        path.write_bytes(content)
        assert counts(path) == expected
