"""Show that what was applied survives kills, and that whatever was changed by hand is noticed."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.applied_files import (
    MOST_KEPT,
    AppliedFile,
    AppliedFileError,
    AppliedFiles,
)
from watchword.adapters.keyring.private_file import OtherFormatError, PrivateFileError
from watchword.reasons import Reason, RefusedError

NOTE = AppliedFile(0, "", 1_800_000_000, "alice", "because", widened=False)


def files_in(directory: Path) -> AppliedFiles:
    """Return what a process that starts now keeps."""
    return AppliedFiles(directory / "configuration", directory / "configuration-number")


def filled(directory: Path, *texts: bytes) -> AppliedFiles:
    """Return files of which each was applied after the other."""
    files = files_in(directory)
    for base, text in enumerate(texts):
        files.add(text, NOTE, base)
    return files


def test_each_is_kept_with_what_is_known_of_it(tmp_path: Path) -> None:
    """By another process too, in private files."""
    filled(tmp_path, b"one", b"two")
    files = files_in(tmp_path)
    kept = files.all()
    assert [each.number for each in kept] == [1, 2]
    assert [files.text(each) for each in kept] == [b"one", b"two"]
    assert kept[1] == replace(NOTE, number=2, sha256=kept[1].sha256)
    for path in (tmp_path / "configuration").iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_what_is_kept_elsewhere_from_now_on_is_put_aside(tmp_path: Path) -> None:
    """Twice, too; the numbers begin anew, and nothing is missed."""
    files_in(tmp_path).retire()
    for text in (b"one", b"two"):
        filled(tmp_path, text, b"next").retire()
        assert list(files_in(tmp_path).all()) == []
        assert (tmp_path / "configuration.moved" / "1.yaml").read_bytes() == text


def test_nothing_is_there_before_the_first(tmp_path: Path) -> None:
    """And looking makes nothing."""
    assert list(files_in(tmp_path).all()) == []
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_one_comes_first(tmp_path: Path) -> None:
    """The other one is refused: it was compared with what isn't in force any more."""
    filled(tmp_path, b"one")
    told: list[str] = []
    gate = threading.Barrier(8)

    def apply(text: bytes) -> None:
        gate.wait()
        try:
            files_in(tmp_path).add(text, NOTE, 1)
            told.append("in force")
        except RefusedError as error:
            told.append(error.refusals[0].reason.code)

    threads = [threading.Thread(target=apply, args=(b"%d" % n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(told) == [*[Reason.CONFIGURATION_CONFLICT.code] * 7, "in force"]
    assert [each.number for each in files_in(tmp_path).all()] == [1, 2]


def text_alone(directory: Path) -> None:
    """Leave what a process leaves that is killed before the index names its text."""
    (directory / "configuration" / "2.yaml").write_bytes(b"tw")
    (directory / "configuration" / "2.yaml").chmod(0o600)
    (directory / "configuration" / ".applied.json.77.new").write_bytes(b'{"v":1,')


def half_a_text(directory: Path) -> None:
    """Leave what a process leaves that is killed while it writes its text."""
    (directory / "configuration" / ".2.yaml.77.new").write_bytes(b"t")


@pytest.mark.parametrize("leave", [half_a_text, text_alone])
def test_a_kill_before_the_index_changes_nothing(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    """What is left over is written over by the next one, and is never in force."""
    files = filled(tmp_path, b"one")
    leave(tmp_path)
    assert files.text(files.all()[-1]) == b"one"
    assert files.add(b"three", NOTE, 1).number == 2
    assert files.text(files.all()[-1]) == b"three"


def test_a_kill_behind_the_index_has_changed_it(tmp_path: Path) -> None:
    """The mark beside it is behind then, which is no sign of anything."""
    files = filled(tmp_path, b"one", b"two")
    (tmp_path / "configuration-number").write_bytes(b"1\n")
    assert files.text(files.all()[-1]) == b"two"
    assert files.add(b"three", NOTE, 2).number == 3


def test_an_earlier_state_that_was_put_back_is_noticed(tmp_path: Path) -> None:
    """It would put an earlier file in force, without a word; another apply goes on above all numbers."""
    filled(tmp_path, b"one")
    index = tmp_path / "configuration" / "applied.json"
    earlier = index.read_bytes()
    files = files_in(tmp_path)
    files.add(b"two", NOTE, 1)
    index.write_bytes(earlier)
    with pytest.raises(AppliedFileError, match="number 2"):
        files.all()
    made = files.add(b"three", NOTE, 2)
    assert made.number == 3
    assert [each.number for each in files.all()] == [3]


def test_a_whole_directory_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """A start must not take the file as it stands because somebody removed what was applied."""
    files = filled(tmp_path, b"one")
    for path in (tmp_path / "configuration").iterdir():
        path.unlink()
    with pytest.raises(AppliedFileError, match="expected number 1"):
        files.all()


def spoil_text(directory: Path) -> None:
    """Write other bytes into the file in force."""
    (directory / "2.yaml").write_bytes(b"evil")


def remove_text(directory: Path) -> None:
    """Remove the file in force."""
    (directory / "2.yaml").unlink()


def swap_texts(directory: Path) -> None:
    """Put an earlier file in the place of the one in force."""
    (directory / "2.yaml").write_bytes((directory / "1.yaml").read_bytes())


@pytest.mark.parametrize("spoil", [spoil_text, remove_text, swap_texts])
def test_another_text_is_noticed(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """By its hash, which the index has."""
    files = filled(tmp_path, b"one", b"two")
    spoil(tmp_path / "configuration")
    with pytest.raises(AppliedFileError, match=r"2\.yaml"):
        files.text(files.all()[-1])


def test_half_an_index_is_noticed(tmp_path: Path) -> None:
    """At each byte at which it can end."""
    files = filled(tmp_path, b"one", b"two")
    index = tmp_path / "configuration" / "applied.json"
    data = index.read_bytes()
    for length in range(len(data) - 1):
        index.write_bytes(data[:length])
        with pytest.raises(AppliedFileError):
            files.all()


@given(
    data=st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: json.dumps({"v": 1, "files": [text]}).encode())
)
def test_any_other_index_is_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever stands there, only our errors come out."""
    directory = tmp_path_factory.mktemp("any")
    files = filled(directory, b"one")
    (directory / "configuration" / "applied.json").write_bytes(data)
    with pytest.raises(PrivateFileError):
        files.all()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("number", -1),
        ("number", True),
        ("at", 10**14),
        ("sha256", 1),
        ("widened", 1),
        ("parent", "1"),
        ("at", None),
        ("because", None),
    ],
)
def test_a_member_of_another_kind_is_refused(tmp_path: Path, member: str, value: object) -> None:
    """Each by itself."""
    files = filled(tmp_path, b"one")
    index = tmp_path / "configuration" / "applied.json"
    members = json.loads(index.read_bytes())
    members["files"][0][member] = value
    index.write_text(json.dumps(members), encoding="utf-8")
    with pytest.raises(AppliedFileError):
        files.all()


def test_what_a_newer_version_wrote_stays(tmp_path: Path) -> None:
    """Neither read nor written over."""
    files = filled(tmp_path, b"one")
    index = tmp_path / "configuration" / "applied.json"
    index.write_bytes(index.read_bytes().replace(b'"v":1', b'"v":2'))
    written = index.read_bytes()
    for attempt in (files.all, lambda: files.add(b"two", NOTE, 1)):
        with pytest.raises(OtherFormatError):
            attempt()
    assert index.read_bytes() == written


def test_files_that_others_can_read_are_refused(tmp_path: Path) -> None:
    """Whoever can write them says what is let in."""
    files = filled(tmp_path, b"one")
    (tmp_path / "configuration" / "applied.json").chmod(0o644)
    with pytest.raises(PrivateFileError, match="0600"):
        files.all()


def test_so_many_are_kept(tmp_path: Path) -> None:
    """The oldest go, with their texts."""
    files = filled(tmp_path, *(b"%d" % each for each in range(MOST_KEPT + 3)))
    numbers = [each.number for each in files.all()]
    assert numbers == list(range(4, MOST_KEPT + 4))
    texts = sorted(int(path.stem) for path in (tmp_path / "configuration").glob("*.yaml"))
    assert texts == numbers
