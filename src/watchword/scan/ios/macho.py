"""Read the few fields of Mach-O files that a scan asks for, within bounds.

Source: Apple's ``mach-o/loader.h``, ``mach-o/fat.h`` and ``mach-o/nlist.h``.  Only little-endian images are read: every
device that runs iOS is one.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from watchword.reasons import WatchwordError

MOST_SLICES: Final = 16
MOST_COMMANDS: Final = 4096
MOST_SYMBOLS: Final = 200_000
_MOST_NAME: Final = 1024
_MOST_NAMES: Final = 24 * 1024 * 1024
"""Characters of all names of one file: each may begin a byte further in one and the same text."""

_FAT: Final = {0xCAFEBABE: (">5I", 2, 3), 0xCAFEBABF: (">IIQQII", 2, 3)}
_THIN: Final = {0xFEEDFACE: 28, 0xFEEDFACF: 32}
_ARCHITECTURES: Final = {
    (7): "i386",
    (7 | 1 << 24): "x86_64",
    (12): "arm",
    (12 | 1 << 24): "arm64",
    (12 | 1 << 25): "arm64_32",
}
_EXECUTE, _PIE = 2, 0x200000
_SYMTAB, _SIGNATURE = 0x2, 0x1D
_ENCRYPTION: Final = frozenset({0x21, 0x2C})
_ALLOW_STACK_EXECUTION: Final = 0x20000


class MachOError(WatchwordError):
    """Report that a file is no Mach-O image, or one that is damaged."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Hold one architecture's image in a file; offsets are into the file.

    :param encrypted: the range of bytes that the store encrypted, empty for none; None where nothing is said about it.
    :param signature: the range of the code signature, None for none.
    :param table: offset and count of symbols, offset and size of their names, None for none.
    """

    architecture: str
    wide: bool
    start: int
    end: int
    executable: bool
    flags: int
    encrypted: range | None
    signature: range | None
    table: tuple[int, int, int, int] | None = field(repr=False)

    @property
    def pie(self) -> bool | None:
        """Tell whether it's loaded anywhere; None for a library, which always is."""
        return bool(self.flags & _PIE) if self.executable else None

    @property
    def executable_stack(self) -> bool:
        """Tell whether the stack may be executed."""
        return bool(self.flags & _ALLOW_STACK_EXECUTION)


@dataclass(frozen=True, slots=True)
class Symbols:
    """Hold the names of a slice.

    :param local: how many names of its own functions are left in it.
    :param cut: whether there were more than were read.
    """

    names: frozenset[str]
    local: int
    cut: bool


def is_macho(head: bytes) -> bool:
    """Tell by its first eight bytes whether a file is Mach-O.

    Java classes begin as fat files do; what follows is their version there, which is above any count of architectures.
    """
    if len(head) < 8:
        return False
    (big, count), (little,) = struct.unpack_from(">II", head), struct.unpack_from("<I", head)
    return little in _THIN or (big in _FAT and 0 < count <= MOST_SLICES)


def slices(data: bytes) -> tuple[Slice, ...]:
    """Return the images of a file, in its order.

    :raises MachOError: if it has none, or if one of them is damaged.
    """
    try:
        return tuple(_image(data, start, end) for start, end in _ranges(data))
    except struct.error as error:
        raise MachOError("a Mach-O file that ends too early") from error


def _ranges(data: bytes) -> list[tuple[int, int]]:
    if not is_macho(data[:8]):
        raise MachOError("not a Mach-O file")
    magic, count = struct.unpack_from(">II", data)
    if magic not in _FAT:
        return [(0, len(data))]
    form, at, length = _FAT[magic]
    found = []
    for index in range(count):
        entry = struct.unpack_from(form, data, 8 + index * struct.calcsize(form))
        found.append((entry[at], entry[at] + entry[length]))
    # Images that share bytes would have them read once for each: a small file that takes for ever.
    end = 0
    for one, after in sorted(found):
        if one < end or after > len(data):
            raise MachOError("a Mach-O file whose architectures overlap or lie beyond its end")
        end = after
    return found


def _image(data: bytes, start: int, end: int) -> Slice:
    magic, cpu, _, kind, count, size, flags = struct.unpack_from("<7I", data, start)
    if magic not in _THIN:
        raise MachOError("an architecture that is no Mach-O image in little-endian order")
    at = start + _THIN[magic]
    last = at + size
    if count > MOST_COMMANDS or last > end:
        raise MachOError("a Mach-O image whose load commands don't fit into it")
    encrypted: range | None = None
    signature: range | None = None
    table: tuple[int, int, int, int] | None = None
    for _ in range(count):
        if at + 8 > last:
            raise MachOError("a Mach-O image with fewer load commands than it says")
        command, length = struct.unpack_from("<II", data, at)
        if length < 8 or at + length > last:
            raise MachOError("a Mach-O image with a load command of an impossible size")
        if command == _SYMTAB:
            symbols, number, names, extent = struct.unpack_from("<4I", data, at + 8)
            table = (start + symbols, number, start + names, extent)
        elif command == _SIGNATURE:
            offset, extent = struct.unpack_from("<II", data, at + 8)
            signature = range(start + offset, min(start + offset + extent, end))
        elif command in _ENCRYPTION:
            offset, extent, system = struct.unpack_from("<III", data, at + 8)
            first = start + offset
            encrypted = range(first, min(first + extent, end)) if system else range(0)
        at += length
    return Slice(
        architecture=_ARCHITECTURES.get(cpu, f"cpu-{cpu}"),
        wide=magic == 0xFEEDFACF,
        start=start,
        end=end,
        executable=kind == _EXECUTE,
        flags=flags,
        encrypted=encrypted,
        signature=signature,
        table=table,
    )


def symbols(data: bytes, image: Slice) -> Symbols:
    """Return the names that an image imports, exports and holds; at most :data:`MOST_SYMBOLS` are read.

    :raises MachOError: if its table lies outside of it.
    """
    if image.table is None:
        return Symbols(frozenset(), 0, cut=False)
    at, count, names_at, extent = image.table
    form = struct.Struct("<IBBHQ" if image.wide else "<IBBHI")
    if at + count * form.size > image.end or names_at + extent > image.end:
        raise MachOError("a Mach-O image whose symbols lie beyond its end")
    read = min(count, MOST_SYMBOLS)
    table = data[names_at : names_at + extent]
    found: set[str] = set()
    local = 0
    left = _MOST_NAMES
    for name, kind, _, _, _ in form.iter_unpack(data[at : at + read * form.size]):
        if kind & 0xE0:  # What a debugger is told: paths of sources, not names of functions.
            continue
        end = table.find(b"\0", name, name + _MOST_NAME)
        text = table[name : end if end >= 0 else name + _MOST_NAME].decode("ascii", "replace")
        left -= len(text)
        if left < 0:
            break
        if not text:
            continue
        found.add(text)
        # Bit 0: external.  Type 0xe: defined in a section.  The linker leaves one such name of its own ("radr://").
        local += not kind & 1 and kind & 0xE == 0xE and not text.startswith("radr://")
    return Symbols(frozenset(found), local, cut=read < count or left < 0)
