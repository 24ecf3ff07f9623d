"""Show that a gate follows what the service publishes, and never goes back or goes blind."""

import itertools
import json
import resource
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gate.simulators import NOW, SIGNER, SoftwareSigner

from watchword.adapters.gate_state import GateStateDocument, GateStateFile, publish_gate_state
from watchword.adapters.gate_state.document import (
    MAX_DOCUMENT_BYTES,
    GateStateError,
    from_bytes,
    to_bytes,
)
from watchword.reasons import Reason, UnavailableError, WatchwordError

DOCUMENT = GateStateDocument(
    generation=10,
    issuer="https://watchword.example",
    keys=(SIGNER.published(), SoftwareSigner("key-0").published(verify_until=NOW + 0.5)),
    revoked=frozenset({"revoked-1", "revoked-2"}),
    reference_key=bytes(range(32)),
)


@dataclass
class Ticks:
    """Tell a monotonic time that a test moves."""

    at: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def later(state: GateStateFile, ticks: Ticks) -> int:
    """Let half a second pass, then ask for the generation."""
    ticks.at += 0.5
    return state.generation


def test_a_published_state_is_known(tmp_path: Path) -> None:
    """Keys, revoked instances and the reference key arrive as they were published."""
    publish_gate_state(tmp_path / "gate.json", DOCUMENT)
    state = GateStateFile(tmp_path / "gate.json")
    assert state.generation == 10
    assert [state.find(key.kid) for key in DOCUMENT.keys] == list(DOCUMENT.keys)
    assert state.find("key-9") is None
    assert (state.is_revoked("revoked-1"), state.is_revoked("other")) == (True, False)
    assert state.reference_key == DOCUMENT.reference_key
    assert state.fault is None


def test_the_file_is_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Mode 0600, and no temporary file beside it."""
    path = tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    publish_gate_state(path, replace(DOCUMENT, generation=11))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["gate.json"]


def test_before_the_first_state_everything_is_unavailable(tmp_path: Path) -> None:
    """A gate without a state has no answer; it has one as soon as the service published."""
    ticks = Ticks()
    state = GateStateFile(tmp_path / "gate.json", ticks)
    questions: list[Callable[[], object]] = [
        lambda: state.generation,
        lambda: state.find(SIGNER.kid),
        lambda: state.is_revoked("revoked-1"),
        lambda: state.reference_key,
    ]
    for question in questions:
        with pytest.raises(UnavailableError) as unavailable:
            question()
        assert unavailable.value.reason is Reason.GATE_STATE_UNAVAILABLE
    publish_gate_state(tmp_path / "gate.json", DOCUMENT)
    assert later(state, ticks) == 10


def test_a_change_is_seen_after_half_a_second(tmp_path: Path) -> None:
    """The file is looked at twice a second, not at each request."""
    ticks, path = Ticks(), tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    state = GateStateFile(path, ticks)
    publish_gate_state(path, replace(DOCUMENT, generation=11, revoked=frozenset({"new"})))
    ticks.at += 0.49
    assert (state.generation, state.is_revoked("new")) == (10, False)
    ticks.at += 0.01
    assert (state.generation, state.is_revoked("new")) == (11, True)
    assert not state.is_revoked("revoked-1")


def test_the_last_good_state_is_kept(tmp_path: Path) -> None:
    """Broken, cut short, doubled, open to others, too large or gone: the old one stays."""
    ticks, path = Ticks(), tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    state = GateStateFile(path, ticks)
    new = to_bytes(replace(DOCUMENT, generation=11))
    for broken in (b"", b"{}", new[:-20], new + new, b" " * (MAX_DOCUMENT_BYTES + 1)):
        path.write_bytes(broken)
        assert later(state, ticks) == 10
        assert state.fault is not None
    path.write_bytes(new)
    path.chmod(0o644)
    assert later(state, ticks) == 10
    path.unlink()
    assert later(state, ticks) == 10
    assert state.is_revoked("revoked-1")
    publish_gate_state(path, replace(DOCUMENT, generation=11))
    assert later(state, ticks) == 11
    assert state.fault is None


def test_a_shortage_of_descriptors_is_got_over(tmp_path: Path) -> None:
    """A revocation that couldn't be read when it was published is read at the next look."""
    ticks, path = Ticks(), tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    state = GateStateFile(path, ticks)
    publish_gate_state(path, replace(DOCUMENT, generation=11, revoked=frozenset({"new"})))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert later(state, ticks) == 10
        assert "open files" in (state.fault or "")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert later(state, ticks) == 11
    assert (state.is_revoked("new"), state.fault) == (True, None)


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    """A directory or a link where the file was: the old state stays."""
    ticks, path = Ticks(), tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    state = GateStateFile(path, ticks)
    path.unlink()
    path.mkdir()
    assert (later(state, ticks), state.fault is None) == (10, False)
    path.rmdir()
    publish_gate_state(tmp_path / "other.json", replace(DOCUMENT, generation=11))
    path.symlink_to(tmp_path / "other.json")
    assert (later(state, ticks), state.fault is None) == (10, False)


def test_many_readers_and_a_writer(tmp_path: Path) -> None:
    """Threads that read while states are published see each as a whole, and never go back."""
    path = tmp_path / "gate.json"
    publish_gate_state(path, replace(DOCUMENT, revoked=frozenset({"subject-10"})))
    ticks = itertools.count(0, 10)
    state = GateStateFile(path, lambda: float(next(ticks)))
    done = threading.Event()

    def read() -> list[int]:
        seen = []
        while not done.is_set():
            generation = state.generation
            assert state.find(SIGNER.kid) is not None
            # A newer state may have come meanwhile, an older one may not.
            newest = next(n for n in range(generation, 1000) if state.is_revoked(f"subject-{n}"))
            assert newest >= generation
            seen.append(generation)
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(11, 61):
            subjects = frozenset({f"subject-{number}"})
            publish_gate_state(path, replace(DOCUMENT, generation=number, revoked=subjects))
        done.set()
        for reader in readers:
            assert reader.result() == sorted(reader.result())
    assert state.generation == 60


def test_no_way_back(tmp_path: Path) -> None:
    """An older generation, and another state under the same number, are refused."""
    ticks, path = Ticks(), tmp_path / "gate.json"
    publish_gate_state(path, DOCUMENT)
    state = GateStateFile(path, ticks)
    for old in (replace(DOCUMENT, generation=9), replace(DOCUMENT, revoked=frozenset())):
        publish_gate_state(path, old)
        assert later(state, ticks) == 10
        assert state.is_revoked("revoked-1")
        assert "generation" in (state.fault or "")
    publish_gate_state(path, DOCUMENT)
    assert later(state, ticks) == 10
    assert state.fault is None


def test_an_unwritable_directory(tmp_path: Path) -> None:
    """A disk that refuses is an error of ours that names the file."""
    with pytest.raises(WatchwordError, match=r"gate\.json"):
        publish_gate_state(tmp_path / "missing" / "gate.json", DOCUMENT)


def test_nothing_secret_in_its_text() -> None:
    """The reference key isn't shown where a document is printed."""
    assert "reference_key" not in repr(DOCUMENT)


MEMBERS = json.loads(to_bytes(DOCUMENT))
KEY = MEMBERS["keys"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"new": 1},
        {"generation": True},
        {"generation": 0},
        {"generation": "11"},
        {"generation": 2**53},
        {"issuer": None},
        {"keys": []},
        {"keys": {}},
        {"keys": 7},
        {"keys": [7]},
        {"keys": ["kid"]},
        {"keys": [KEY, KEY]},
        {"keys": [KEY | {"d": "x"}]},
        {"keys": [KEY | {"jwk": None}]},
        {"keys": [KEY | {"jwk": KEY["jwk"] | {"x": KEY["jwk"]["y"]}}]},
        {"keys": [KEY | {"verify_until": True}]},
        {"keys": [KEY | {"verify_until": "1"}]},
        {"keys": [KEY | {"kid": ""}]},
        {"revoked": "all"},
        {"revoked": [1]},
        {"reference_key": "AAAA"},
        {"reference_key": None},
    ],
    ids=str,
)
def test_crooked_documents(change: dict[str, Any]) -> None:
    """Whoever writes the file decides who gets in: it is read strictly."""
    with pytest.raises(GateStateError):
        from_bytes(json.dumps(MEMBERS | change).encode())


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Nothing but GateStateError comes out of reading what isn't a document."""
    with pytest.raises(GateStateError):
        from_bytes(data)
