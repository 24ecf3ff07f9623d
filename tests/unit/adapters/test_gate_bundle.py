"""Show that a gate follows what the service publishes, and never goes back or goes blind."""

import itertools
import os
import resource
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.gate.simulators import NOW, SIGNER, SoftwareSigner, policy

from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.gate.bundle import MAX_BUNDLE_BYTES, GateBundle, signer_to_json, to_jws
from watchword.reasons import Reason, UnavailableError, WatchwordError
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs.interface import GateSecret

SERVICE = SigningKey.from_wide_secret(b"service" * 10)
THIEF = SigningKey.from_wide_secret(b"thief" * 13)
KEY = SERVICE.verification_key()

BUNDLE = GateBundle(
    generation=10,
    made_at=NOW,
    policy=policy(),
    keys=(SIGNER.published(), SoftwareSigner("key-0").published(verify_until=NOW + 0.5)),
    secrets=(GateSecret(1, b"s" * 32), GateSecret(2, b"t" * 32, NOW + 300.0)),
    revoked=frozenset({"revoked-1", "revoked-2"}),
    reference_key=bytes(range(32)),
    verdict_key=SigningKey.from_wide_secret(b"verdict" * 10),
)


def publish(path: Path, bundle: GateBundle, signer: SigningKey = SERVICE) -> None:
    """Publish as the service does."""
    publish_bundle(path, to_jws(bundle, signer))


@dataclass
class Ticks:
    """Tell a monotonic time that a test moves."""

    at: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def later(state: GateBundleFile, ticks: Ticks) -> int:
    """Let half a second pass, then ask for the generation."""
    ticks.at += 0.5
    return state.generation


def read_aside(state: GateBundleFile, ticks: Ticks) -> None:
    """Have a large file read, and wait for the thread that reads it: until it ends, nobody looks again."""
    before = set(threading.enumerate())
    later(state, ticks)
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_a_published_state_is_known(tmp_path: Path) -> None:
    """Keys, revoked instances and the reference key arrive as they were published."""
    publish(tmp_path / "gate.jws", BUNDLE)
    state = GateBundleFile(tmp_path / "gate.jws", KEY)
    assert state.generation == 10
    assert [state.find(key.kid) for key in BUNDLE.keys] == list(BUNDLE.keys)
    assert state.find("key-9") is None
    assert (state.is_revoked("revoked-1"), state.is_revoked("other")) == (True, False)
    assert state.reference_key == BUNDLE.reference_key
    assert state.fault is None


def test_the_file_is_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Mode 0600, and no temporary file beside it."""
    path = tmp_path / "gate.jws"
    publish(path, BUNDLE)
    publish(path, replace(BUNDLE, generation=11))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["gate.jws"]


def test_before_the_first_state_everything_is_unavailable(tmp_path: Path) -> None:
    """A gate without a state has no answer; it has one as soon as the service published."""
    ticks = Ticks()
    state = GateBundleFile(tmp_path / "gate.jws", KEY, ticks)
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
    publish(tmp_path / "gate.jws", BUNDLE)
    assert later(state, ticks) == 10


def test_a_change_is_seen_after_half_a_second(tmp_path: Path) -> None:
    """The file is looked at twice a second, not at each request."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    publish(path, replace(BUNDLE, generation=11, revoked=frozenset({"new"})))
    ticks.at += 0.49
    assert (state.generation, state.is_revoked("new")) == (10, False)
    ticks.at += 0.01
    assert (state.generation, state.is_revoked("new")) == (11, True)
    assert not state.is_revoked("revoked-1")


def test_the_last_good_state_is_kept(tmp_path: Path) -> None:
    """Broken, cut short, doubled, open to others, too large or gone: the old one stays."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    new = to_jws(replace(BUNDLE, generation=11), SERVICE)
    for broken in (b"", b"{}", new[:-20], new + new):
        path.write_bytes(broken)
        assert later(state, ticks) == 10
        assert state.fault is not None
    path.write_bytes(b" " * (MAX_BUNDLE_BYTES + 1))
    read_aside(state, ticks)
    assert state.generation == 10
    path.write_bytes(new)
    path.chmod(0o644)
    assert later(state, ticks) == 10
    path.unlink()
    assert later(state, ticks) == 10
    assert state.is_revoked("revoked-1")
    publish(path, replace(BUNDLE, generation=11))
    assert later(state, ticks) == 11
    assert state.fault is None


def test_a_shortage_of_descriptors_is_got_over(tmp_path: Path) -> None:
    """A revocation that couldn't be read when it was published is read at the next look."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    publish(path, replace(BUNDLE, generation=11, revoked=frozenset({"new"})))
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
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    path.unlink()
    path.mkdir()
    assert (later(state, ticks), state.fault is None) == (10, False)
    path.rmdir()
    publish(tmp_path / "other.json", replace(BUNDLE, generation=11))
    path.symlink_to(tmp_path / "other.json")
    assert (later(state, ticks), state.fault is None) == (10, False)


def test_many_readers_and_a_writer(tmp_path: Path) -> None:
    """Threads that read while states are published see each as a whole, and never go back."""
    path = tmp_path / "gate.jws"
    publish(path, replace(BUNDLE, revoked=frozenset({"subject-10"})))
    ticks = itertools.count(0, 10)
    state = GateBundleFile(path, KEY, lambda: float(next(ticks)))
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
            publish(path, replace(BUNDLE, generation=number, revoked=subjects))
        done.set()
        for reader in readers:
            assert reader.result() == sorted(reader.result())
    assert state.generation == 60


def test_no_way_back(tmp_path: Path) -> None:
    """An older generation, and another state under the same number, are refused."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    for old in (replace(BUNDLE, generation=9), replace(BUNDLE, revoked=frozenset())):
        publish(path, old)
        assert later(state, ticks) == 10
        assert state.is_revoked("revoked-1")
        assert "generation" in (state.fault or "")
    publish(path, BUNDLE)
    assert later(state, ticks) == 10
    assert state.fault is None


def test_an_unwritable_directory(tmp_path: Path) -> None:
    """A disk that refuses is an error of ours that names the file."""
    with pytest.raises(WatchwordError, match=r"gate\.jws"):
        publish(tmp_path / "missing" / "gate.jws", BUNDLE)


def test_a_bundle_of_somebody_else_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed by another key, or for another API: the last good one stays, and the log says why."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    table = state.policy
    newer = replace(BUNDLE, generation=11, revoked=frozenset())
    publish(path, newer, THIEF)
    assert (later(state, ticks), state.is_revoked("revoked-1")) == (10, True)
    assert state.fault is not None
    assert state.fault in caplog.text
    publish(path, replace(newer, policy=replace(policy(), api="other")))
    assert later(state, ticks) == 10
    publish(path, newer)
    assert later(state, ticks) == 11
    assert not state.fault
    assert state.policy is table
    secret = state.secret(1)
    assert secret is not None
    assert (secret.secret, state.secret(3)) == (b"s" * 32, None)


def test_the_signer_is_pinned_once(tmp_path: Path) -> None:
    """The key's file may come after the gate; a change of it is never followed."""
    ticks, path, signer = Ticks(), tmp_path / "gate.jws", tmp_path / "signer.jwk"
    publish(path, BUNDLE)
    state = GateBundleFile(path, signer, ticks)
    with pytest.raises(UnavailableError):
        later(state, ticks)
    publish_bundle(signer, signer_to_json(KEY))
    assert later(state, ticks) == 10
    publish_bundle(signer, signer_to_json(THIEF.verification_key()))
    publish(path, replace(BUNDLE, generation=11), THIEF)
    assert later(state, ticks) == 10


def test_a_large_bundle_is_read_beside_the_requests(tmp_path: Path) -> None:
    """Requests go on with what the gate has until the new one is read."""
    ticks, path = Ticks(), tmp_path / "gate.jws"
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    subjects = frozenset(f"subject-{number:035}" for number in range(100_000))
    publish(path, replace(BUNDLE, generation=11, revoked=subjects))
    assert later(state, ticks) == 10
    deadline = threading.Event()
    for _ in range(200):
        if state.generation == 11:
            break
        deadline.wait(0.02)
    assert state.is_revoked(f"subject-{7:035}")


def test_a_gate_that_starts_believes_no_other_apis_bundle(tmp_path: Path) -> None:
    """The service signs all with one key: in another's place one would let in who may go there."""
    path, ticks = tmp_path / "clinic.jws", Ticks()
    publish(path, replace(BUNDLE, policy=replace(BUNDLE.policy, api="ledger")))
    state = GateBundleFile(path, KEY, ticks, api=BUNDLE.policy.api)
    with pytest.raises(UnavailableError):
        later(state, ticks)
    assert "expected that of clinic" in (state.fault or "")
    publish(path, BUNDLE)
    assert later(state, ticks) == BUNDLE.generation
    assert state.fault is None


def test_what_is_no_file_of_ours_is_not_followed(tmp_path: Path) -> None:
    """A link, a pipe and a directory in the file's place change nothing, and block nobody."""
    ticks, path, elsewhere = Ticks(), tmp_path / "gate.jws", tmp_path / "elsewhere.jws"
    publish(path, BUNDLE)
    publish(elsewhere, replace(BUNDLE, generation=11))
    state = GateBundleFile(path, KEY, ticks)
    puts: tuple[Callable[[], None], ...] = (
        lambda: path.symlink_to(elsewhere),
        lambda: os.mkfifo(path, 0o600),
        path.mkdir,
    )
    for put in puts:
        path.unlink()
        put()
        assert later(state, ticks) == 10
        assert state.fault is not None
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
    publish(path, replace(BUNDLE, generation=12))
    assert later(state, ticks) == 12
    assert state.fault is None
