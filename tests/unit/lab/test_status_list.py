"""Keep the simulated Google's list: serials in hex, whatever they look like."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.lab import LabAuthorities
from watchword.lab.status_list import MAX_ENTRIES, LabStatusList, Status, normal_serial

SERIALS = st.integers(min_value=0, max_value=2**159).map(lambda number: format(number, "x"))


def test_a_lab_begins_with_a_revoked_and_a_suspended_batch(authorities: LabAuthorities) -> None:
    """Their serials look decimal and are hex: whoever reads them as decimal lets both pass."""
    first = LabStatusList.first_of(authorities)
    assert sorted(first.entries.values()) == [Status.REVOKED, Status.SUSPENDED]
    assert all(serial.isdecimal() for serial in first.entries)
    assert first.document() == {
        "entries": {
            serial: {
                "status": status.value,
                "reason": "KEY_COMPROMISE" if status is Status.REVOKED else "SOFTWARE_FLAW",
            }
            for serial, status in first.entries.items()
        }
    }


@given(st.dictionaries(SERIALS, st.sampled_from(Status), max_size=20))
def test_documents_read_back(entries: dict[str, Status]) -> None:
    """What was written is what is read, through JSON."""
    status_list = LabStatusList()
    for serial, status in entries.items():
        status_list = status_list.with_status(serial, status)
    assert LabStatusList.of_document(json.loads(json.dumps(status_list.document()))) == status_list
    assert dict(status_list.entries) == entries


@given(SERIALS, st.integers(min_value=0, max_value=1))
def test_a_serial_is_one_however_it_is_written(serial: str, zeros: int) -> None:
    """Leading zeros and capitals make no other serial; restoring takes it off."""
    written = "0" * min(zeros, 40 - len(serial)) + serial.upper()
    revoked = LabStatusList().with_status(written, Status.REVOKED)
    assert dict(revoked.entries) == {serial: Status.REVOKED}
    assert dict(revoked.with_status(serial, None).entries) == {}


def test_a_list_never_changes_under_its_holder() -> None:
    """A change gives a new list; the entries can't be written to."""
    empty = LabStatusList()
    assert dict(empty.with_status("c0", Status.REVOKED).entries) == {"c0": Status.REVOKED}
    assert dict(empty.entries) == {}
    with pytest.raises(TypeError):
        empty.entries["c0"] = Status.REVOKED  # type: ignore[index]


@pytest.mark.parametrize("serial", ["", "xyz", "-1", "0x1", "1 ", "f" * 41, "\u0661"])
def test_what_is_no_serial_is_refused(serial: str) -> None:
    """Hex digits and nothing else."""
    with pytest.raises(ValueError, match="hex digits"):
        normal_serial(serial)


def test_a_list_has_an_end() -> None:
    """A lab's list stays a file that can be read at once."""
    full = LabStatusList({format(number, "x"): Status.REVOKED for number in range(MAX_ENTRIES)})
    assert len(full.with_status("0", Status.SUSPENDED).entries) == MAX_ENTRIES
    with pytest.raises(ValueError, match="more than"):
        full.with_status(format(MAX_ENTRIES, "x"), Status.REVOKED)
