"""Bad input of each kind ends in a fault or a gap within bounds: what was found by fuzzing and by attacking, and stays mended."""

import os
import struct
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.elf_builders import Library
from tests.unit.scan.ios_builders import EXECUTABLE, Image, archive_of, in_der, ipa, read, zipped
from tests.unit.scan.texts.hermes_builders import bytecode

from watchword.adapters.app_package.mapped_file import PackageError, mapped
from watchword.adapters.app_package.native import ElfError, read_elf, read_natives
from watchword.adapters.app_package.package import open_app
from watchword.scan.app import Part
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Verdict
from watchword.scan.ios.macho import slices
from watchword.scan.ios.reader import MOST_DEPTH, EntitlementsError, entitlements, read_entitlements
from watchword.scan.notes import MOST_GAPS, Notes
from watchword.scan.rules.ios_debuggable import RULE as DEBUGGABLE
from watchword.scan.secrets.corpus import LONGEST_WORD, WINDOW, Joined, candidates
from watchword.scan.secrets.patterns import packaged
from watchword.scan.texts import runs
from watchword.scan.texts.hermes import VERSIONS, HermesError, strings
from watchword.scan.texts.reader import Bounds, read_texts
from watchword.scan.texts.runs import Budget, ascii_runs, wide_runs

GRANTED = {"get-task-allow": True, "groups": ["one", "two"], "level": 3, "more": {"deep": False}}


def _plenty(over: Callable[[], bool] = lambda: False) -> Budget:
    return Budget(strings=10_000, characters=100_000_000, over=over)


def _after(calls: int) -> Callable[[], bool]:
    """Return a clock that is over after so many looks at it."""
    looks = count()
    return lambda: next(looks) >= calls


def test_offsets_beyond_any_number_are_damage() -> None:
    """An ELF file of 64 bits may state an offset that no index holds."""
    data = bytearray(Library().data())
    (table,) = struct.unpack_from("<Q", data, 32)
    length, number = struct.unpack_from("<HH", data, 54)
    for at in range(table, table + length * number, length):
        struct.pack_into("<Q", data, at + 8, 2**64 - 1)
    with pytest.raises(ElfError):
        read_elf(bytes(data))


@pytest.mark.parametrize("listed", [None, GRANTED], ids=["der alone", "both"])
def test_entitlements_in_der_are_read(listed: Mapping[str, object] | None) -> None:
    """A signature may hold them in DER alone, which says the same as the property list would."""
    data = Image(entitlements=listed, der=in_der(GRANTED)).data()
    assert entitlements(data, slices(data)[0]) == GRANTED


def test_a_debuggable_build_is_seen_in_der() -> None:
    """What only DER grants is granted, and the rule says so."""
    (found,) = DEBUGGABLE.run(read(ipa(image=Image(der=in_der({"get-task-allow": True})))))
    assert found.verdict is Verdict.EXPOSED


@pytest.mark.parametrize(
    "image",
    [
        Image(der=in_der(GRANTED)[:-1]),
        Image(der=b"\x04\x01x"),
        Image(der=in_der({"a": 1}).replace(b"\x02\x01\x01", b"\x02\x01\x02", 1)),
        Image(entitlements={"get-task-allow": False}, der=in_der({"get-task-allow": True})),
    ],
    ids=["cut off", "no dictionary", "version", "another than the list"],
)
def test_entitlements_in_der_that_cannot_be_trusted_are_a_gap(image: Image) -> None:
    """Damaged, unknown, or of two minds: then nothing is known of them, and no rule says protected."""
    app = read(ipa(image=image))
    assert (Part.ENTITLEMENTS, EXECUTABLE) in {(gap.part, gap.where) for gap in app.coverage.gaps}
    assert [each.verdict for each in DEBUGGABLE.run(app)] == [Verdict.NOT_SEEN]


def test_nested_entitlements_are_bounded() -> None:
    """Lists in lists end in an error, not in the stack."""
    value: object = "x"
    for _ in range(MOST_DEPTH + 1):
        value = [value]
    with pytest.raises(EntitlementsError):
        read_entitlements(in_der({"a": value}))


@given(st.binary(max_size=60), st.integers(0, 90))
def test_any_entitlements_are_read_or_refused(part: bytes, at: int) -> None:
    """Whatever replaces a part of them, a dictionary or an error of ours comes out."""
    whole = in_der(GRANTED)
    with suppress(EntitlementsError):
        assert isinstance(read_entitlements(whole[:at] + part + whole[at + len(part) :]), dict)


@pytest.mark.parametrize("version", [VERSIONS.start - 1, VERSIONS.stop, 2**32 - 1])
def test_hermes_of_an_unknown_version_is_a_gap(version: int) -> None:
    """Its table may lie elsewhere: no string of it is made up, and runs of characters are read instead."""
    data = bytecode(["https://a.example"], version=version)
    with pytest.raises(HermesError, match=str(version)):
        next(strings(data))
    notes = Notes()
    (part,) = read_texts(archive_of({"assets/index.android.bundle": data}, notes), notes)
    assert part.lines == ("https://a.example",)
    assert [gap.part for gap in notes.coverage().gaps] == [Part.BUNDLE]


@pytest.mark.parametrize("version", [VERSIONS.start, VERSIONS.stop - 1])
def test_hermes_of_known_versions_is_read(version: int) -> None:
    """The first and the last of them are."""
    assert list(strings(bytecode(["a", "b"], version=version))) == ["a", "b"]


@pytest.mark.parametrize("shift", [-300, -8, -3, 0, 1])
def test_runs_are_whole_where_windows_meet(shift: int) -> None:
    """A run that lies over the end of a window is found once and whole, in ASCII and in UTF-16."""
    at = runs.WINDOW + shift
    data = bytearray(2 * runs.WINDOW)
    data[at : at + 16] = b"https://a.exampl"
    assert list(ascii_runs(bytes(data), _plenty())) == ["https://a.exampl"]
    data[at : at + 32] = "https://a.exampl".encode("utf-16-le")
    assert "https://a.exampl" in set(wide_runs(bytes(data), _plenty()))


def test_a_run_of_many_windows_is_cut_with_nothing_lost() -> None:
    """Megabytes without an end are read in pieces, and a key on the border of two windows is whole in one."""
    key = b"AKIA" + b"Q" * 196
    data = b"x" * (runs.WINDOW - 100) + key + b"x" * runs.WINDOW
    found = list(ascii_runs(data, _plenty()))
    assert any(key.decode() in one for one in found)
    assert max(map(len, found)) <= runs.LONGEST_LINE


def test_the_end_of_the_time_ends_the_search_of_one_large_entry() -> None:
    """A deadline between entries isn't enough: one of 200 MB takes half a minute."""
    data = (b"abcdefgh\0" * (runs.WINDOW // 9 + 1)) * 4
    budget = _plenty(_after(1))
    assert 0 < sum(1 for _ in ascii_runs(data, budget)) < runs.WINDOW // 8
    assert budget.spent


@pytest.mark.parametrize(
    ("name", "part"),
    [("assets/a.json", Part.ASSETS), ("lib/x86/a.so", Part.NATIVE)],
)
def test_what_the_time_was_not_enough_for_is_a_gap(name: str, part: Part) -> None:
    """Files that were read by half aren't told as read."""
    notes = Notes()
    archive = archive_of({name: b"\0\xff" + b"abcdefgh\0" * 2}, notes)
    if part is Part.ASSETS:
        read_texts(archive, notes, lambda: True)
    else:
        read_natives(archive, notes, lambda: True)
    assert any("time was over" in gap.why for gap in notes.coverage().gaps if gap.part is part)


def test_a_large_binary_asset_is_cut() -> None:
    """What is no text is searched for as many bytes as a script, and the rest is a gap."""
    notes = Notes()
    archive = archive_of({"assets/a.json": b"\0first run\0second run"}, notes)
    (part,) = read_texts(archive, notes, bounds=Bounds(bundle=11))
    assert part.lines == ("first run",)
    assert [gap.where for gap in notes.coverage().gaps] == ["assets/a.json"]


def test_entries_beyond_the_listed_gaps_are_known_as_missed() -> None:
    """A hundred thousand refused entries are each noted once, though few are listed."""
    notes = Notes()
    for at in range(MOST_GAPS + 50):
        notes.gap(Part.ASSETS, f"a{at}", "damaged")
    assert notes.missed(f"a{MOST_GAPS + 49}")
    assert not notes.missed("b")


@pytest.mark.parametrize("shift", [-LONGEST_WORD, -3, -1, 0, 1])
def test_keywords_are_found_where_windows_meet(shift: int) -> None:
    """A keyword on the border of two windows is found once, at its place."""
    at = WINDOW + shift
    joined = Joined(["." * at + "hvs." + "." * 100])
    places = [place for pattern, place in candidates(joined, generic=False)]
    assert places == [at]


def test_keywords_fit_into_the_overlap_of_windows() -> None:
    """No keyword of the rule set is longer than what windows share."""
    assert max(len(word) for each in packaged().patterns for word in each.keywords) < LONGEST_WORD


def test_a_mapped_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    """Its pages are gone: looking at them would end the process, so that the size is looked at before."""
    path = tmp_path / "a.apk"
    path.write_bytes(b"x" * 100_000)
    with ExitStack() as stack:
        file = stack.enter_context(mapped(path, 10**6, copied=0))
        os.truncate(path, 10)
        with pytest.raises(PackageError, match="changed"):
            file.check()
        with pytest.raises(PackageError, match="changed"):
            stack.close()


def test_a_copied_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    """What is small stays whole in memory; that it changed is told at the end."""
    path = tmp_path / "a.apk"
    path.write_bytes(b"x" * 100_000)
    with ExitStack() as stack:
        file = stack.enter_context(mapped(path, 10**6))
        os.truncate(path, 10)
        file.check()
        assert bytes(file.data) == b"x" * 100_000
        with pytest.raises(PackageError, match="changed"):
            stack.close()


def test_reading_asks_for_the_size_again_and_again(tmp_path: Path) -> None:
    """A package that is cut off while it is read is a fault at the next look, before its pages are."""
    path = tmp_path / "a.ipa"
    path.write_bytes(zipped(ipa()))
    looks = count()

    def left() -> float:
        if next(looks) == 3:
            os.truncate(path, 10)
        return 60.0

    with pytest.raises(PackageError, match="changed"):
        open_app(path, Limits(), left, copied=0)
    assert next(looks) == 4


def test_a_name_of_several_lines_is_told_on_one(tmp_path: Path) -> None:
    """A file's name can't write a line of its own into a log."""
    path = tmp_path / "a\nerror: b\x1b[31m.apk"
    path.write_bytes(b"")
    with pytest.raises(PackageError) as raised, mapped(path, 10):
        pass
    assert str(raised.value).isprintable()
