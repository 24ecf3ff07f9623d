"""Keep a lab on disk."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.lab_store import LabStoreError, StoredPhone, load_or_create, occupied_slot
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


def test_repr_hides_the_session() -> None:
    """A kept session holds tokens."""
    assert "secret" not in repr(PHONE)
