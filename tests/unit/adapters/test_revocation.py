"""Status lists: serials are hex, whatever they look like, and half a list is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.revocation import (
    StatusList,
    StatusListError,
    load_status_lists,
    read_status_list,
)
from watchword.ports import RevocationEntry

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation" / "android"
REVOKED = {"status": "REVOKED", "reason": "KEY_COMPROMISE"}


def write(folder: Path, document: Any, name: str = "status.json") -> Path:
    """Write a snapshot."""
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def load(folder: Path, entries: Any) -> StatusList:
    """Return the list of these entries."""
    return load_status_lists([write(folder, {"entries": entries})])


def test_serials_match_as_hex_in_any_spelling(tmp_path: Path) -> None:
    """Leading zeros and capitals don't matter; digits are never read as decimal."""
    found = load(tmp_path, {"00C35747A0": REVOKED, "13928929639211242692": REVOKED, "0": REVOKED})
    entry = RevocationEntry("REVOKED", "KEY_COMPROMISE")
    assert found.find("c35747a0") == entry
    assert found.find("0C35747A0") == entry
    assert found.find("13928929639211242692") == entry
    assert found.find(format(13928929639211242692, "x")) is None
    assert found.find(str(0x13928929639211242692)) is None
    assert found.find("0") == entry
    assert len(found) == 3


def test_no_part_of_a_serial_matches(tmp_path: Path) -> None:
    """Equal is equal: neither a prefix nor a longer serial is withdrawn."""
    found = load(tmp_path, {"c35747a0": REVOKED})
    assert found.find("c35747a") is None
    assert found.find("c35747a01") is None
    assert found.find("1c35747a0") is None


def test_several_snapshots_add_up(tmp_path: Path) -> None:
    """Of two entries for one serial the later file's holds."""
    first = write(tmp_path, {"entries": {"a1": REVOKED, "b2": REVOKED}}, "1.json")
    suspended = {"status": "SUSPENDED", "reason": "SOFTWARE_FLAW", "comment": "kept out"}
    second = write(tmp_path, {"entries": {"0A1": suspended}}, "2.json")
    found = load_status_lists([first, second])
    assert found.find("a1") == RevocationEntry("SUSPENDED", "SOFTWARE_FLAW")
    assert found.find("b2") is not None
    assert len(found) == 2
    assert len(load_status_lists([])) == 0


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"entries": []},
        {"entries": {"xyz": REVOKED}},
        {"entries": {"": REVOKED}},
        {"entries": {"0x12": REVOKED}},
        {"entries": {"f" * 65: REVOKED}},
        {"entries": {"a1": "REVOKED"}},
        {"entries": {"a1": {}}},
        {"entries": {"a1": {"status": 1}}},
    ],
)
def test_files_that_are_no_status_list(tmp_path: Path, document: Any) -> None:
    """A list that is wrong anywhere isn't loaded in part."""
    with pytest.raises(StatusListError):
        load_status_lists([write(tmp_path, document)])


def test_broken_json(tmp_path: Path) -> None:
    """A download that was cut off is refused."""
    path = tmp_path / "status.json"
    path.write_text('{"entries": {"a1": {"status": "REVOKED"}')
    with pytest.raises(StatusListError):
        load_status_lists([path])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
SERIALS = st.text("0123456789abcdefABCDEF", max_size=66) | st.text(max_size=4)
ROWS = JSON | st.fixed_dictionaries({"status": JSON}, optional={"reason": JSON})


@given(JSON | st.fixed_dictionaries({"entries": st.dictionaries(SERIALS, ROWS, max_size=4)}))
def test_any_document_is_a_whole_list_or_none(document: Any) -> None:
    """Whatever JSON arrives, every serial in it is known afterwards, or the list is refused."""
    try:
        entries = read_status_list(json.dumps(document).encode(), "name")
    except StatusListError:
        return
    known = StatusList(entries)
    assert all(known.find(serial) is not None for serial in document["entries"])
    assert all(isinstance(entry.status, str) for entry in entries.values())


@given(st.data())
def test_broken_bytes_raise_nothing_foreign(data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere end in a list or in our own error."""
    content = bytearray(json.dumps({"entries": {"a1": REVOKED, "0b2": REVOKED}}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        entries = read_status_list(bytes(content), "name")
    except StatusListError:
        return
    assert all(serial == serial.lower() for serial in entries)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")
def test_recorded_snapshots_load_whole() -> None:
    """Every entry of the recorded snapshots is there."""
    for path in sorted(VECTORS.glob("status-*.json")):
        entries = json.loads(path.read_text())["entries"]
        found = load_status_lists([path])
        assert len(found) == len(entries)
        assert all(found.find(serial) is not None for serial in entries)
