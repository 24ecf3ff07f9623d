"""Keep a lab on disk."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchword.adapters.lab_store import (
    LabStoreError,
    StoredPhone,
    change_status,
    kept_phones,
    load_or_create,
    load_status_list,
    occupied_slot,
    status_list_file,
)
from watchword.adapters.revocation import load_status_lists
from watchword.adapters.system import SystemEntropy
from watchword.lab.status_list import Status
from watchword.ports import RevocationEntry
from watchword.reasons import WatchwordError

PHONE = StoredPhone("phone", generation=2, counter=7, session={"v": 1, "instance": "secret"})


class CountingEntropy:
    """Give other bytes each time, and count how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def token_bytes(self, count: int) -> bytes:
        """Return the call's number, repeated."""
        self.count += 1
        return bytes([self.count]) * count


def test_the_first_use_makes_a_lab_and_the_next_find_it(tmp_path: Path) -> None:
    """The seed is made once, private, in a directory of ours."""
    entropy = CountingEntropy()
    state = tmp_path / "state"
    first, second = (load_or_create(state, entropy) for _ in range(2))
    assert first.anchors() == second.anchors()
    assert entropy.count == 1
    assert (state / "lab" / "seed").read_bytes() == bytes([1]) * 32
    assert (state / "lab" / "seed").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_two_deployments_have_two_labs(tmp_path: Path) -> None:
    """One lab's phones mean nothing to another."""
    entropy = SystemEntropy()
    one, two = (load_or_create(tmp_path / name, entropy).anchors() for name in "ab")
    assert {anchor.spki for anchor in one}.isdisjoint(anchor.spki for anchor in two)


def test_several_first_uses_at_once_make_one_lab(tmp_path: Path) -> None:
    """A service and a command that start together agree on the seed."""
    entropy = CountingEntropy()
    start = threading.Barrier(8)

    def use(_number: int) -> bytes:
        start.wait()
        return load_or_create(tmp_path, entropy).seed

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(8)))) == 1
    assert entropy.count == 1


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_damaged_seed_is_said_aloud(tmp_path: Path, size: int) -> None:
    """A truncated seed would make a lab that someone can guess."""
    load_or_create(tmp_path, SystemEntropy())
    (tmp_path / "lab" / "seed").write_bytes(bytes(size))
    with pytest.raises(LabStoreError, match="expected 32"):
        load_or_create(tmp_path, SystemEntropy())


def test_a_seed_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever reads it can play every phone of this lab."""
    load_or_create(tmp_path, SystemEntropy())
    (tmp_path / "lab" / "seed").chmod(0o644)
    with pytest.raises(WatchwordError, match="0600"):
        load_or_create(tmp_path, SystemEntropy())


def test_a_phone_is_kept_as_it_was(tmp_path: Path) -> None:
    """Name, generation, counter and session come back; the file is private."""
    with occupied_slot(tmp_path, "genuine-iphone.clinic.api") as slot:
        assert slot.load() is None
        slot.save(PHONE)
    with occupied_slot(tmp_path, "genuine-iphone.clinic.api") as slot:
        assert slot.load() == PHONE
    with occupied_slot(tmp_path, "other") as slot:
        assert slot.load() is None
    path = tmp_path / "lab" / "phones" / "genuine-iphone.clinic.api" / "phone.json"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"name":"a","generation":"x"}', b"\xff"])
def test_a_damaged_phone_is_said_aloud(tmp_path: Path, content: bytes) -> None:
    """The message says what to do."""
    with occupied_slot(tmp_path, "phone") as slot:
        slot.save(PHONE)
        (tmp_path / "lab" / "phones" / "phone" / "phone.json").write_bytes(content)
        with pytest.raises(LabStoreError, match="remove it"):
            slot.load()


@pytest.mark.parametrize("name", ["", "..", "../seed", "a/b", "/etc", "a\0b", "-rf", "x" * 300])
def test_a_slot_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    """Names come from a command line and a configuration."""
    with pytest.raises(ValueError, match="slot"), occupied_slot(tmp_path, name):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_phone_serves_one_process_at_a_time(tmp_path: Path) -> None:
    """A second user waits, and finds the counter that the first one left."""
    seen: list[int] = []

    def use() -> None:
        with occupied_slot(tmp_path, "phone") as slot:
            stored = slot.load()
            seen.append(stored.counter if stored else 0)

    with occupied_slot(tmp_path, "phone") as slot:
        waiting = threading.Thread(target=use)
        waiting.start()
        waiting.join(timeout=0.1)
        assert seen == []
        slot.save(PHONE)
    waiting.join(timeout=10)
    assert seen == [7]


def test_phones_of_a_kind_are_found_whatever_app_they_have(tmp_path: Path) -> None:
    """A kind's name is whole: another one that begins with it is another kind."""
    for slot in ("rkp-android.clinic.api", "rkp-android.other.api", "rkp-android-2.clinic.api"):
        with occupied_slot(tmp_path, slot) as occupied:
            occupied.save(StoredPhone(slot, generation=0, counter=0))
    with occupied_slot(tmp_path, "rkp-android.third.api"):
        pass
    assert [phone.name for phone in kept_phones(tmp_path, "rkp-android")] == [
        "rkp-android.clinic.api",
        "rkp-android.other.api",
    ]
    assert kept_phones(tmp_path, "emulator") == ()


def test_the_first_status_list_has_the_two_withdrawn_batches(tmp_path: Path) -> None:
    """It is made once, in Google's form, private, where a service finds it."""
    authorities = load_or_create(tmp_path, SystemEntropy())
    first = load_status_list(tmp_path, authorities)
    assert sorted(first.entries.values()) == [Status.REVOKED, Status.SUSPENDED]
    path = status_list_file(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(load_status_lists([path])) == 2
    before = path.stat().st_mtime_ns
    assert load_status_list(tmp_path, authorities) == first
    assert path.stat().st_mtime_ns == before


def test_changes_are_kept_and_read_as_google_writes_them(tmp_path: Path) -> None:
    """Revoked, suspended, restored: each change is a whole new file."""
    authorities = load_or_create(tmp_path, SystemEntropy())
    path = status_list_file(tmp_path)
    for status, expected in (
        (Status.SUSPENDED, RevocationEntry("SUSPENDED", "SOFTWARE_FLAW")),
        (Status.REVOKED, RevocationEntry("REVOKED", "KEY_COMPROMISE")),
        (None, None),
    ):
        inode = path.stat().st_ino if path.exists() else None
        change_status(tmp_path, authorities, "00C0FFEE", status)
        assert load_status_lists([path]).find("c0ffee") == expected
        assert path.stat().st_ino != inode
    assert len(load_status_list(tmp_path, authorities).entries) == 2


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    """Two commands that run together don't undo each other."""
    authorities = load_or_create(tmp_path, SystemEntropy())
    with ThreadPoolExecutor(8) as pool:
        serials = [format(number, "x") for number in range(1, 25)]
        list(
            pool.map(
                lambda serial: change_status(tmp_path, authorities, serial, Status.REVOKED), serials
            )
        )
    assert set(load_status_list(tmp_path, authorities).entries) >= set(serials)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"entries":[]}',
        b'{"entries":{"xyz":{"status":"REVOKED"}}}',
        b'{"entries":{"c0":{"status":"revoked"}}}',
        b'{"entries":{"c0":"REVOKED"}}',
    ],
)
def test_a_damaged_status_list_is_said_aloud(tmp_path: Path, content: bytes) -> None:
    """Half a list would let a revoked phone in."""
    authorities = load_or_create(tmp_path, SystemEntropy())
    load_status_list(tmp_path, authorities)
    status_list_file(tmp_path).write_bytes(content)
    with pytest.raises(LabStoreError, match="remove it"):
        change_status(tmp_path, authorities, "c0ffee", Status.REVOKED)
    assert status_list_file(tmp_path).read_bytes() == content


def test_repr_hides_the_session() -> None:
    """A kept session holds tokens."""
    assert "secret" not in repr(PHONE)
