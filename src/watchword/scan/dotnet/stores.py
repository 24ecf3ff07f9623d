"""Take assemblies of .NET out of what they're packed in: stores, libraries of Android, and LZ4.

Source: https://github.com/dotnet/android, read on 2026-11-29: ``tools/assembly-store-reader/AssemblyStoreReader.cs`` (stores of version 1,
at a4b923a), ``tools/assembly-store-reader-mk2/AssemblyStore`` (versions 2 and 3, and libraries around them: ``StoreReader_V2.cs`` at
0907f4d and ``Utils.cs`` at 2091094; the order of the parts and what is ignored: ``AssemblyStoreGenerator.cs`` at 0212ef0; packed assemblies: ``AssemblyCompression.cs`` at 70da5d7).
"""

import struct
from collections.abc import Iterator
from typing import Final

from watchword.scan.dotnet.metadata import DotnetError

MOST_ASSEMBLIES: Final = 2_000
"""Assemblies of one store; large apps have some hundred."""

MOST_UNPACKED: Final = 64 * 1024 * 1024
"""Bytes of one assembly, unpacked."""

_STORE: Final = b"XABA"
_LZ4: Final = b"XALZ"
_ZSTANDARD: Final = b"XAZS"
_MOST_RATIO: Final = 255
"""LZ4 can't unpack a byte to more: one byte of a length stands for at most 255."""

_HEADER: Final = struct.Struct("<4s4I")
_ENTRY_1: Final = struct.Struct("<6I")
_ENTRY_2: Final = struct.Struct("<7I")
_PAYLOAD: Final = b"payload"
_MOST_SECTIONS: Final = 4096


def is_library(head: bytes) -> bool:
    """Tell by its first bytes whether an entry is a library around assemblies."""
    return head.startswith(b"\x7fELF")


def assemblies_of(data: bytes) -> Iterator[memoryview]:
    """Yield the assemblies of an entry, packed ones as they are: a loose one, those of a store, or of a library around either.

    :raises DotnetError: where it holds none that can be found.
    """
    view = memoryview(data)
    payload = _payload(data) if is_library(data[:4]) else view
    if bytes(payload[:4]) == _STORE:
        yield from _stored(payload)
    else:
        yield payload


def unpacked(data: memoryview) -> bytes:
    """Return an assembly, unpacked if it's packed.

    :raises DotnetError: if it can't be unpacked: damaged, too large, or by a way that nothing is installed for.
    """
    head = bytes(data[:4])
    if head == _ZSTANDARD:
        raise DotnetError("an assembly of .NET packed by Zstandard, which isn't read here")
    if head != _LZ4:
        return bytes(data)
    if len(data) < 12:
        raise DotnetError("a packed assembly of .NET that ends too early")
    (size,) = struct.unpack_from("<I", data, 8)
    if size > min(MOST_UNPACKED, _MOST_RATIO * (len(data) - 12)):
        raise DotnetError(f"a packed assembly of .NET that says to hold {size:,} bytes")
    try:
        # All but this is read without it.
        from lz4.block import (  # type: ignore[import-untyped] # noqa: PLC0415
            LZ4BlockError,
            decompress,
        )
    except ImportError:
        raise DotnetError(
            "an assembly of .NET packed by LZ4; install `watchword[scan]`, which brings what unpacks it"
        ) from None
    try:
        found = bytes(decompress(data[12:], uncompressed_size=size))
    except LZ4BlockError as error:
        raise DotnetError("a packed assembly of .NET that is damaged") from error
    if len(found) != size:
        raise DotnetError("a packed assembly of .NET that is damaged")
    return found


def _stored(store: memoryview) -> Iterator[memoryview]:
    """Yield what a store holds, as it is."""
    try:
        _, version, count, index, size = _HEADER.unpack_from(store)
        if count > MOST_ASSEMBLIES:
            raise DotnetError(f"a store of .NET with more than {MOST_ASSEMBLIES} assemblies")
        if version == 1:
            # What would be the size of the index is the number of the store.
            entries = [_ENTRY_1.unpack_from(store, 20 + 24 * at)[:2] for at in range(count)]
        elif version & 0xFF in {2, 3}:
            # The index of names' hashes is skipped: an assembly says its own name.
            start = 20 + size
            if index > 4 * MOST_ASSEMBLIES or start > len(store):
                raise DotnetError("a store of .NET whose index lies beyond its end")
            found = [_ENTRY_2.unpack_from(store, start + 28 * at)[1:3] for at in range(count)]
            # One that the runtime shall ignore has a place in the table and no bytes.
            entries = [each for each in found if each != (0, 0)]
        else:
            raise DotnetError(f"a store of .NET of version {version & 0xFFFF}, which isn't known")
    except struct.error as error:
        raise DotnetError("a store of .NET that ends too early") from error
    for offset, length in entries:
        if not length or offset + length > len(store):
            raise DotnetError("a store of .NET with an assembly that lies beyond its end")
        yield store[offset : offset + length]


def _payload(data: bytes) -> memoryview:
    """Return what a library of Android is wrapped around: its section ``payload``, or a store anywhere in it.

    Only sections tell where it is; in later versions only a symbol does, and the store is searched for by its head.
    """
    found = _section(data, _PAYLOAD)
    view = memoryview(data)
    if found is None:
        at = data.find(_STORE)
        while at >= 0 and at % 8:
            at = data.find(_STORE, at + 1)
        if at < 0:
            raise DotnetError("a library that should hold assemblies of .NET and doesn't")
        return view[at:]
    if found.stop > len(data) or not len(found):
        raise DotnetError("a library whose assemblies of .NET lie beyond its end")
    return view[found.start : found.stop]


def _section(data: bytes, name: bytes) -> range | None:
    """Return where a section of an ELF file lies, by its name; None where there is none (System V ABI, chapter 4)."""
    wide = data[4:5] == b"\2"
    try:
        (at,) = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
        extent, count, names = struct.unpack_from("<3H", data, 58 if wide else 46)
        form = struct.Struct("<II8x8xQQ" if wide else "<II4x4xII")
        if not at or count > _MOST_SECTIONS or names >= count:
            return None
        tables = [form.unpack_from(data, at + number * extent) for number in range(count)]
    except (struct.error, OverflowError):
        return None
    start = tables[names][2]
    for title, _, offset, size in tables:
        if data[start + title : start + title + len(name) + 1] == name + b"\0":
            return range(offset, offset + size)
    return None
