"""Split sets: the base is told by its manifest, all packages are shown as one, and depth is 1."""

import zipfile
from collections.abc import Mapping

import pytest
from tests.unit.scan.archive.builders import built, opened, tampered

from watchword.scan.app import Part
from watchword.scan.archive.interface import (
    Limits,
    MissingEntryError,
    Pace,
    UnreadableEntryError,
    inner_name,
)
from watchword.scan.archive.package import Budget
from watchword.scan.archive.splits import MANIFEST, MergedArchive, Split, find_splits
from watchword.scan.notes import Notes

OF_A_SPLIT = "split".encode("utf-16-le")
MARKED = b"\x05\x00" + OF_A_SPLIT + b"\0\0"
BASE = {MANIFEST: b"base", "classes.dex": b"dex\n1", "lib/x86/a.so": b"base"}
ABI = {MANIFEST: MARKED, "lib/x86/a.so": b"split" * 9}


def _splits(
    packages: Mapping[str, bytes], method: int = zipfile.ZIP_STORED
) -> tuple[list[Split], Notes]:
    """Return what is found in a set of these packages."""
    outer, _ = opened(built(packages, method=method))
    notes = Notes()
    return find_splits(outer, Budget(Limits()), Pace(lambda: 60.0), notes), notes


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_base_comes_first_and_entries_of_splits_are_prefixed(method: int) -> None:
    """Shows that the base is told by its manifest, though its name and its place say nothing, packed or not."""
    splits, notes = _splits({"a.apk": built(ABI), "z.bin": built(BASE), "icon.png": b"png"}, method)
    merged = MergedArchive(splits)
    assert splits[0].name == "z.bin"
    assert merged.names == (*BASE, *(f"a.apk!/{name}" for name in ABI))
    assert [entry.name for entry in merged.entries] == list(merged.names)
    assert merged.read(MANIFEST) == b"base"
    assert merged.read("a.apk!/lib/x86/a.so") == ABI["lib/x86/a.so"]
    assert merged.peek("classes.dex", 4) == b"dex\n"
    assert bytes(merged.package) == built(BASE)
    assert notes.coverage().gaps == ()


def test_the_mark_of_a_split_is_known_in_both_encodings() -> None:
    """Shows that a manifest with UTF-8 strings is told too."""
    splits, _ = _splits({"a.apk": built({MANIFEST: b"\x05\x05split\0"}), "b.apk": built(BASE)})
    assert [split.is_base for split in splits] == [True, False]


def test_a_feature_with_more_code_than_the_base_isnt_the_base() -> None:
    """Shows that neither code nor size nor a name makes a base of what its manifest calls a split."""
    feature = built({MANIFEST: MARKED, "classes.dex": bytes(range(256)) * 9})
    base = built({MANIFEST: b"base"})
    splits, _ = _splits({"base.apk": feature, "other.apk": base})
    assert [split.name for split in splits] == ["other.apk", "base.apk"]


def test_names_within_splits() -> None:
    """Shows what stands behind the name of a split, and a name that isn't in one."""
    assert inner_name("config.x86.apk!/lib/x86/a.so") == "lib/x86/a.so"
    assert inner_name("lib/x86/a.so") == "lib/x86/a.so"


def test_whole_packages_for_old_devices_are_left_out_beside_slices() -> None:
    """Shows that the same code isn't read twice, and that this is counted."""
    packages = {"splits/base-master.apk": built(BASE), "standalones/s.apk": built(BASE)}
    splits, notes = _splits(packages)
    assert [split.name for split in splits] == ["splits/base-master.apk"]
    (seen,) = notes.coverage().seen
    assert (seen.part, seen.read, seen.defined) == (Part.ARCHIVE, 1, 2)


def test_archives_without_an_app_are_no_splits() -> None:
    """Shows that a zip of zips isn't a set, and that a set within a set isn't opened."""
    assert _splits({"a.zip": built({"x": b"y"}), "b.txt": b"PK\x03\x04"})[0] == []
    assert _splits({"set.apks": built({"base.apk": built(BASE)})})[0] == []


def test_damage_within_a_split_is_told_with_its_name() -> None:
    """Shows that gaps and disagreements name the split they are of."""
    torn = tampered(built(ABI), "lib/x86/a.so", local={"size": 3})
    splits, _ = _splits({"base.apk": built(BASE), "a.apk": torn})
    merged = MergedArchive(splits)
    assert {found.entry for found in merged.disagreements} == {"a.apk!/lib/x86/a.so"}
    cut = built(ABI)
    splits, notes = _splits({"base.apk": built(BASE), "a.apk": cut[: cut.index(b"PK\x01\x02")]})
    assert [gap.where for gap in notes.coverage().gaps] == ["a.apk!/"]


def test_errors_name_entries_as_they_were_asked_for() -> None:
    """Shows that a reader finds the name that it asked for in the error and among the refused."""
    lying = tampered(built(ABI), "lib/x86/a.so", central={"size": 3})
    merged = MergedArchive(_splits({"base.apk": built(BASE), "a.apk": lying})[0])
    with pytest.raises(UnreadableEntryError) as unreadable:
        merged.read("a.apk!/lib/x86/a.so")
    assert unreadable.value.entry == "a.apk!/lib/x86/a.so"
    assert merged.refused.keys() == {"a.apk!/lib/x86/a.so"}
    with pytest.raises(MissingEntryError) as missing:
        merged.read("b.apk!/x")
    assert missing.value.entry == "b.apk!/x"
