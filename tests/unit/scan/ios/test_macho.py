"""Mach-O images and their signatures: fields, bounds, damage."""

import plistlib
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.ios_builders import ARM, ARM64, Image, fat, superblob

from watchword.scan.ios.macho import MachOError, is_macho, slices, symbols
from watchword.scan.ios.plists import PlistError
from watchword.scan.ios.reader import EntitlementsError, entitlements


@pytest.mark.parametrize("cpu", [ARM, ARM64], ids=["arm", "arm64"])
def test_fields_of_an_image(cpu: int) -> None:
    """Architecture, PIE, names and signature are read of 32 and 64 bits."""
    granted = {"get-task-allow": True}
    image = Image(cpu=cpu, entitlements=granted, locals=("_secret",), debugging=("/src/a.c",))
    data = image.data()
    (found,) = slices(data)
    assert found.architecture == {ARM: "arm", ARM64: "arm64"}[cpu]
    assert found.pie is True
    assert found.encrypted == range(0)
    names = symbols(data, found)
    assert names.names == {"___stack_chk_fail", "_secret"}
    assert names.local == 1
    assert entitlements(data, found) == {"get-task-allow": True}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"pie": False}, False), ({"kind": 6}, None), ({}, True)],
    ids=["fixed", "library", "pie"],
)
def test_pie(changes: dict[str, Any], expected: bool | None) -> None:
    """An executable is loaded anywhere or not; of a library that isn't asked."""
    (found,) = slices(Image(**changes).data())
    assert found.pie is expected


def test_encrypted_range() -> None:
    """The range that the store encrypted is the text, counted from the file's start, in each architecture."""
    one, other = Image(encryption=1, text=b"x" * 40).data(), Image(cpu=ARM, text=b"y" * 8).data()
    first, second = slices(fat(one, other))
    start = 8 + 2 * 20 + one.index(b"x" * 40)
    assert first.encrypted == range(start, start + 40)
    assert second.encrypted == range(0)
    assert (first.architecture, second.architecture) == ("arm64", "arm")


def test_nothing_stated_about_encryption() -> None:
    """Without the load command nothing is said, as in a build that never was meant for the store."""
    (found,) = slices(Image(encryption=None).data())
    assert found.encrypted is None


def test_unsigned_and_nothing_granted() -> None:
    """No signature and a signature that grants nothing are told apart."""
    unsigned, bare = Image(signed=False).data(), Image(entitlements=None).data()
    assert entitlements(unsigned, slices(unsigned)[0]) is None
    assert entitlements(bare, slices(bare)[0]) == {}


def test_a_java_class_is_none() -> None:
    """A Java class begins with the magic of fat files; its version says that it is none."""
    assert not is_macho(bytes.fromhex("cafebabe00000034"))
    assert is_macho(fat(Image().data())[:8])


def test_architectures_that_overlap_are_refused() -> None:
    """Two architectures over the same bytes would have a file read as often as it says."""
    data = bytearray(fat(Image().data(), Image().data()))
    struct.pack_into(">I", data, 8 + 20 + 8, 48)
    with pytest.raises(MachOError):
        slices(bytes(data))


def test_load_commands_without_end_are_refused() -> None:
    """A load command of no size would be read for ever."""
    data = bytearray(Image().data())
    struct.pack_into("<I", data, 32 + 4, 0)
    with pytest.raises(MachOError):
        slices(bytes(data))


@pytest.mark.parametrize(
    "blob",
    [
        struct.pack(">III", 0xFADE0CC1, 12, 0),
        struct.pack(">III", 0xFADE0CC0, 12, 1_000_000),
        superblob(plistlib.dumps({}), magic=0xFADE7172),
        superblob(b"no list"),
        superblob(b"")[:20],
    ],
    ids=["magic", "count", "slot", "content", "cut"],
)
def test_damaged_signatures(blob: bytes) -> None:
    """What is no signature, or holds no property list where it says so, is refused."""
    data = Image(signed=True).data()
    (found,) = slices(data)
    assert found.signature is not None
    mutated = data[: found.signature.start] + blob
    head = bytearray(mutated)
    at = head.index(struct.pack("<II", 0x1D, 16))
    struct.pack_into("<I", head, at + 12, len(blob))
    with pytest.raises((MachOError, PlistError)):
        entitlements(bytes(head), slices(bytes(head))[0])


SOUND = [
    Image(entitlements={"a": True}, locals=("_x",)).data(),
    fat(Image(cpu=ARM, encryption=1, text=b"abcdefgh").data(), Image(entitlements={}).data()),
]


@given(st.sampled_from(SOUND), st.data())
def test_mutated_bytes_raise_nothing_foreign(sound: bytes, data: st.DataObject) -> None:
    """Whatever bytes are changed or cut, fields or an error of ours come out."""
    mutated = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 5))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(
            st.sampled_from([0, 1, 127, 255])
        )
    cut = bytes(mutated[: data.draw(st.integers(0, len(mutated)))])
    try:
        for image in slices(cut):
            assert symbols(cut, image).local >= 0
            assert isinstance(entitlements(cut, image), Mapping | None)
    except (MachOError, PlistError, EntitlementsError):
        pass
