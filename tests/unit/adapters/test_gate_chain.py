"""Show that a gate which follows a chain takes nothing amiss: files that are replaced, spoiled, of another kind, or too large."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.adapters.test_gate_bundle import (
    BUNDLE,
    KEY,
    SERVICE,
    Ticks,
    later,
    publish,
    read_aside,
)

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_bundle.chain_file import (
    ChainTail,
    append_lines,
    chain_path,
    write_chain,
)
from watchword.adapters.gate_bundle.floor import (
    Floor,
    SpoiledFloorError,
    floor_path,
    raise_floor,
    read_floor,
)
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    remove_leftovers,
    stamp_of,
    write_private,
)
from watchword.gate.bundle import GateBundle, GateBundleError
from watchword.gate.chain import (
    MAX_CHAIN_BYTES,
    MOST_LINES,
    VERSION,
    delta_to_line,
    joined,
    lines_of,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.revocations import digest_of, pack
from watchword.reasons import UnavailableError

FIRST = replace(BUNDLE, revoked=frozenset())


def chain(generation: int, *subjects: str, key: bytes = b"d" * 12) -> list[bytes]:
    """Return a chain that begins at a generation: a snapshot with nobody, and a delta for each subject."""
    state = replace(FIRST, generation=generation)
    lines = [snapshot_to_line(state, key, pack(()), SERVICE)]
    for subject in subjects:
        lines.append(following(state, lines, subject, key))
        state = replace(state, generation=state.generation + 1)
    return lines


def following(state: GateBundle, lines: Sequence[bytes], subject: str, key: bytes) -> bytes:
    """Return the delta that revokes one more."""
    after = replace(state, generation=state.generation + 1)
    return delta_to_line(state, after, tip_of(lines[-1]), [digest_of(key, subject)], SERVICE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the bundle stands; its chain is there already, and revoked "one"."""
    path = tmp_path / "gate.jws"
    write_chain(chain_path(path), chain(100, "one"))
    return path


@pytest.fixture
def ticks() -> Ticks:
    """Return a clock."""
    return Ticks()


def overwrite(path: Path, data: bytes) -> None:
    """Write into the same file, as a copy by hand does, or a file system that gives the number of one to the next."""
    with path.open("r+b") as file:
        file.truncate()
        file.write(data)


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"]])
def test_another_chain_in_the_same_file(path: Path, ticks: Ticks, names: list[str]) -> None:
    """A longer one is read from its beginning, too, though the file bears the number of the one that was read."""
    state = GateBundleFile(path, KEY, ticks)
    # Before the place up to which it was read no line ends.
    overwrite(chain_path(path), joined(chain(200, "aa", *names, "latest", key=b"e" * 12)))
    later(state, ticks)
    assert later(state, ticks) == 202 + len(names)
    assert state.is_revoked("latest")
    assert state.fault is None


def test_a_line_that_does_not_follow_is_told_at_the_next_look(path: Path, ticks: Ticks) -> None:
    """Nothing of before changes, and the line that does follow is taken as soon as it is there."""
    state = GateBundleFile(path, KEY, ticks)
    good = chain(100, "one", "two")
    with chain_path(path).open("ab") as file:
        file.write(joined([b"rubbish"]))
    later(state, ticks)
    assert later(state, ticks) == 101
    assert "can't be used" in (state.fault or "")
    write_chain(chain_path(path), good)
    assert later(state, ticks) == 102
    assert state.fault is None


def _nothing(path: Path) -> None:
    path.unlink()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".aside"))
    path.symlink_to(path.with_suffix(".aside"))


def _dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def _shared(path: Path) -> None:
    path.chmod(0o644)


def _huge(path: Path) -> None:
    # All of it is a hole: nothing is written.
    os.truncate(path, MAX_CHAIN_BYTES + 1)


def _huge_line(path: Path) -> None:
    overwrite(path, b"x" * 8_000_000)


def _empty(path: Path) -> None:
    overwrite(path, b"")


def _cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 20)


@pytest.mark.parametrize(
    "spoil",
    [
        _nothing,
        _pipe,
        _link,
        _dead_link,
        _loop,
        _directory,
        _shared,
        _huge,
        _huge_line,
        _empty,
        _cut_short,
    ],
)
def test_what_is_no_chain(path: Path, ticks: Ticks, spoil: Callable[[Path], None]) -> None:
    """A gate that runs keeps what it has, one that starts lets nobody in, and both go on with the next chain."""
    running = GateBundleFile(path, KEY, ticks)
    spoil(chain_path(path))
    for _ in range(2):
        read_aside(running, ticks)
    assert running.generation == 101
    assert running.is_revoked("one")
    starting = GateBundleFile(path, KEY, ticks)
    with pytest.raises(UnavailableError):
        later(starting, ticks)
    if spoil is _directory:
        chain_path(path).rmdir()
    write_chain(chain_path(path), chain(100, "one", "two"))
    for state in (running, starting):
        read_aside(state, ticks)
        assert later(state, ticks) == 102
        assert state.is_revoked("two")
        assert state.fault is None


def test_a_chain_that_was_cut_short_between_its_lines(path: Path, ticks: Ticks) -> None:
    """Who was revoked stays so, it is told, and what is appended behind the right line counts again."""
    write_chain(chain_path(path), chain(100, "one", "two"))
    state = GateBundleFile(path, KEY, ticks)
    os.truncate(chain_path(path), len(joined(chain(100, "one"))))
    later(state, ticks)
    assert later(state, ticks) == 102
    assert state.is_revoked("two")
    assert "generation 101" in (state.fault or "")
    write_chain(chain_path(path), chain(100, "one", "two", "three"))
    assert later(state, ticks) == 103
    assert state.fault is None


def test_another_chain_under_the_number_of_the_one_before(path: Path, ticks: Ticks) -> None:
    """A directory that was removed and made again may give it out anew: one as long is read from its beginning."""
    write_chain(chain_path(path), chain(100, "one"))
    state = GateBundleFile(path, KEY, ticks)
    assert state.generation == 101
    other = joined(chain(200, "two"))
    assert len(other) == chain_path(path).stat().st_size
    chain_path(path).write_bytes(other)
    assert later(state, ticks) == 201
    assert state.fault is None


def test_lines_are_appended_to_the_file_that_they_follow(path: Path) -> None:
    """Whoever put another chain in its place finds nothing of ours behind it."""
    known = stamp_of(chain_path(path))
    assert known is not None
    other = chain(200, key=b"e" * 12)
    write_chain(chain_path(path), other)
    with pytest.raises(PrivateFileError, match="somebody changed it"):
        append_lines(chain_path(path), chain(100, "one", "two")[-1:], known)
    assert ChainTail(chain_path(path)).read() == other


def test_a_writer_knows_what_it_wrote(path: Path) -> None:
    """The stamp is that of the file in place, after a whole chain and after a line."""
    lines = chain(100, "one")
    stamp = write_chain(chain_path(path), lines[:1])
    assert stamp == stamp_of(chain_path(path))
    later_stamp = append_lines(chain_path(path), lines[1:], stamp)
    assert later_stamp == stamp_of(chain_path(path)) != stamp


def test_lines_without_end_take_no_memory_without_end() -> None:
    """Beyond a number of lines the rest is one."""
    lines = lines_of(b"\n" * (MOST_LINES + 1000))
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == b"\n" * 1000
    assert lines_of(b"a\nb") == [b"a", b"b"]


@pytest.mark.parametrize("data", [b"", b"{}", b"rubbish", b"\x00" * 200, b"x" * 10_000])
def test_a_floor_that_was_spoiled(path: Path, ticks: Ticks, data: bytes) -> None:
    """A gate that starts lets nobody in by it; whoever has the newest chain writes it anew, and the gate goes on."""
    raise_floor(path, Floor(VERSION, 101))
    write_private(floor_path(path), data)
    with pytest.raises(SpoiledFloorError):
        read_floor(path)
    starting = GateBundleFile(path, KEY, ticks)
    with pytest.raises(UnavailableError, match="how far this gate was"):
        later(starting, ticks)
    raise_floor(path, Floor(VERSION, 101))
    assert later(starting, ticks) == 101
    assert read_floor(path) == Floor(VERSION, 101)


def test_a_running_gate_mends_the_floor(path: Path, ticks: Ticks) -> None:
    """It knows how far it is, and an older chain isn't taken after a restart."""
    state = GateBundleFile(path, KEY, ticks)
    assert read_floor(path) == Floor(VERSION, 101)
    floor_path(path).write_bytes(b"rubbish")
    ticks.at += 60
    write_chain(chain_path(path), chain(100, "one", "two"))
    assert later(state, ticks) == 102
    assert read_floor(path) == Floor(VERSION, 102)
    write_chain(chain_path(path), chain(100, "one"))
    with pytest.raises(UnavailableError):
        later(GateBundleFile(path, KEY, ticks), ticks)


def test_a_floor_of_a_newer_watchword_stays(path: Path) -> None:
    """Nobody knows what it says beside the generation."""
    write_private(floor_path(path), b'{"v":2,"version":3,"generation":7}')
    with pytest.raises(GateBundleError, match="newer"):
        raise_floor(path, Floor(VERSION, 101))
    assert b'"v":2' in floor_path(path).read_bytes()


def test_no_first_version_after_a_chain_that_was_taken_away(path: Path, ticks: Ticks) -> None:
    """Neither where the gate goes on, nor where it starts anew."""
    state = GateBundleFile(path, KEY, ticks)
    chain_path(path).unlink()
    publish(path, replace(BUNDLE, generation=500))
    assert later(state, ticks) == 101
    with pytest.raises(UnavailableError):
        later(GateBundleFile(path, KEY, ticks), ticks)


def test_what_killed_processes_left(path: Path) -> None:
    """Their halves of a chain are removed; nothing else is."""
    left = path.with_name(f".{chain_path(path).name}.4711.new")
    other = path.with_name(f".{floor_path(path).name}.4711.new")
    for each in (left, other):
        each.write_bytes(b"half")
    remove_leftovers(chain_path(path))
    assert not left.exists()
    assert other.exists()
    assert chain_path(path).exists()
