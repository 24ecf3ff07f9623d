"""Show that a revocation of one is written as little, however many are revoked, and that no file is taken away too early."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from watchword.apps.engines.follower import write_files
from watchword.engines.interface import BULK_PREFIX, EngineFile, EngineFileKind, bulk_file
from watchword.gate.revocations import MOST_APART, DigestParts, Digests, pack, unpack

KEY = b"k" * 12
STEP = 2**40


def spread(start: int, count: int) -> list[int]:
    """Return digests that nobody else has."""
    return [start + number * STEP for number in range(count)]


def listed(parts: DigestParts) -> list[int]:
    """Return all that both parts list."""
    return sorted([*unpack(parts.base), *parts.added])


@given(st.sets(st.integers(0, 2**64 - 1), max_size=50), st.sets(st.integers(0, 2**64 - 1)))
def test_few_digests_need_no_file(base: set[int], more: set[int]) -> None:
    """All stand apart, in order."""
    digests = Digests(KEY, unpack(pack(base)))
    digests.add(sorted(more))
    assert digests.parts() == DigestParts(KEY, b"", "", tuple(sorted(base | more)))
    assert bulk_file(digests.parts()) is None


def test_the_base_changes_seldom() -> None:
    """One more revocation leaves it as it is; so many on top of a snapshot do not."""
    base = spread(5, MOST_APART + 1)
    digests = Digests(KEY, unpack(pack(base)))
    first = digests.parts()
    assert (first.added, list(unpack(first.base))) == ((), base)
    more = spread(7, MOST_APART)
    digests.add([more[-1]])
    one = digests.parts()
    assert (one.name, one.base) == (first.name, first.base)
    assert one.added == (more[-1],)
    digests.add(more[:-1])
    whole = digests.parts()
    assert (whole.added, whole.name == first.name) == ((), False)
    assert list(unpack(whole.base)) == sorted(base + more)
    digests.add([11])
    assert digests.parts().name == whole.name
    assert listed(digests.parts()) == sorted([*base, *more, 11])


def test_parts_show_neither_key_nor_digests() -> None:
    """Whoever logs them tells nothing."""
    shown = repr(Digests(KEY, unpack(pack(spread(0, MOST_APART + 1)))).parts())
    assert "kkkk" not in shown
    assert len(shown) < 200


def written(directory: Path) -> dict[str, int]:
    """Return the files of digests, with their inode."""
    return {path.name: path.stat().st_ino for path in directory.glob(f"{BULK_PREFIX}*")}


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    """A file that others could read, or that was cut off, is."""
    file = EngineFile(f"{BULK_PREFIX}a", EngineFileKind.BULK, packed=pack(spread(0, 100)))
    write_files(tmp_path, [file])
    first = written(tmp_path)
    write_files(tmp_path, [file])
    assert written(tmp_path) == first
    path = tmp_path / file.name
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    write_files(tmp_path, [file])
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(file.packed[:-8])
    write_files(tmp_path, [file])
    assert path.read_bytes() == file.packed


def test_the_digests_of_before_stay_for_those_who_are_about_to_read_them(tmp_path: Path) -> None:
    """The last ones that nothing names any more; older ones go, and none goes with a configuration alone."""
    files = [EngineFile(f"{BULK_PREFIX}{name}", EngineFileKind.BULK, packed=b"") for name in "abc"]
    for file in files:
        write_files(tmp_path, [file])
    assert sorted(written(tmp_path)) == [f"{BULK_PREFIX}b", f"{BULK_PREFIX}c"]
    write_files(tmp_path, [EngineFile("x", EngineFileKind.PART, "x")])
    assert len(written(tmp_path)) == 2
    write_files(tmp_path, [EngineFile("state", EngineFileKind.PRIVATE, "x")])
    assert sorted(written(tmp_path)) == [f"{BULK_PREFIX}c"]
