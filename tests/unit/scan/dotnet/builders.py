"""Write assemblies of .NET byte by byte, and what they're packed in: stores, libraries of Android, LZ4."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Instruction = tuple[str | int | bytes, ...]
"""What it is, such as ``call``, and its operands: class and name of a member, a string, a number; ``raw`` for bytes as they stand."""

ANSWERS_YES = (("raw", b"\x17\x2a"),)
"""``return true``, as an optimising compiler writes it; and as one for debugging does."""
ANSWERS_YES_IN_DEBUG = (("raw", b"\x00\x17\x0a\x2b\x00\x06\x2a"),)
RETURNS = (("raw", b"\x2a"),)

_START = 0x2000  # Where the only section is loaded.
_RAW = 0x200


@dataclass(frozen=True, slots=True)
class Made:
    """Hold a method: its name and instructions, None for one without code (``extern``)."""

    name: str
    code: Sequence[Instruction] | None = RETURNS


@dataclass(frozen=True, slots=True)
class Cls:
    """Hold a class: constants and plain fields by name, methods, and what it implements; ``inside`` of another one of before."""

    name: str
    methods: Sequence[Made] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[str] = ()
    implements: Sequence[str] = ()
    inside: str = ""


class _Heaps:
    """Collect names, strings, blobs and rows."""

    def __init__(self) -> None:
        self.names, self.user, self.blobs = bytearray(b"\0"), bytearray(b"\0"), bytearray(b"\0")
        self.rows: dict[int, list[bytes]] = {}
        self.types: dict[str, int] = {}
        self.members: dict[tuple[str, str], int] = {}

    def name(self, text: str) -> int:
        at = len(self.names)
        self.names += text.encode() + b"\0"
        return at

    def string(self, text: str) -> int:
        at = len(self.user)
        raw = text.encode("utf-16-le", "surrogatepass") + b"\0"
        self.user += compressed(len(raw)) + raw
        return at

    def blob(self, raw: bytes) -> int:
        at = len(self.blobs)
        self.blobs += compressed(len(raw)) + raw
        return at

    def row(self, table: int, form: str, *values: int) -> int:
        self.rows.setdefault(table, []).append(struct.pack(f"<{form}", *values))
        return len(self.rows[table])

    def type_ref(self, full: str) -> int:
        if full not in self.types:
            space, _, name = full.rpartition(".")
            self.types[full] = self.row(1, "HHH", 0, self.name(name), self.name(space))
        return self.types[full]

    def member_ref(self, cls: str, name: str) -> int:
        known = self.members.get((cls, name))
        if known is None:
            parent = self.type_ref(cls) << 3 | 1
            known = self.members[cls, name] = self.row(10, "HHH", parent, self.name(name), 0)
        return known


def compressed(number: int) -> bytes:
    """Return a length as ECMA-335 writes it."""
    if number < 0x80:
        return bytes([number])
    if number < 0x4000:
        return (number | 0x8000).to_bytes(2, "big")
    return (number | 0xC0000000).to_bytes(4, "big")


def assembly(
    name: str,
    classes: Sequence[Cls] = (),
    *,
    resources: Mapping[str, bytes] | None = None,
    attribute: bytes = b"",
) -> bytes:
    """Return an assembly.

    :param resources: files that are built in.
    :param attribute: a blob as attributes have it.
    """
    heaps = _Heaps()
    numbers = _numbered(classes)
    bodies = bytearray()
    heaps.row(0, "HHHHH", 0, heaps.name(f"{name}.dll"), 1, 0, 0)
    heaps.row(32, "IHHHHIHHH", 0x8004, 1, 0, 0, 0, 0, 0, heaps.name(name), 0)
    heaps.blob(attribute)
    for cls in classes:
        _defined(heaps, cls, numbers, bodies)
    for at, cls in enumerate(classes, start=1):
        if cls.inside:
            outer = [each.name for each in classes].index(cls.inside) + 1
            heaps.row(41, "HH", at, outer)
    files = bytearray()
    for title, data in (resources or {}).items():
        heaps.row(40, "IIHH", len(files), 1, heaps.name(title), 0)
        files += struct.pack("<I", len(data)) + data
    return _image(heaps, bytes(bodies), bytes(files))


def _numbered(classes: Sequence[Cls]) -> dict[tuple[str, str], int]:
    """Return the tokens of methods and fields that are defined."""
    found: dict[tuple[str, str], int] = {}
    methods = fields = 0
    for cls in classes:
        for made in cls.methods:
            methods += 1
            found.setdefault((cls.name, made.name), 0x06000000 | methods)
        for title in (*cls.constants, *cls.fields):
            fields += 1
            found[cls.name, title] = 0x04000000 | fields
    return found


def _defined(
    heaps: _Heaps, cls: Cls, numbers: Mapping[tuple[str, str], int], bodies: bytearray
) -> None:
    space, _, simple = cls.name.rpartition(".")
    first_field = len(heaps.rows.get(4, ())) + 1
    first_method = len(heaps.rows.get(6, ())) + 1
    at = heaps.row(
        2, "IHHHHH", 1, heaps.name(simple), heaps.name(space), 0, first_field, first_method
    )
    for title, value in cls.constants.items():
        number = heaps.row(4, "HHH", 0x8056, heaps.name(title), heaps.blob(b"\x06\x0e"))
        heaps.row(11, "HHH", 0x0E, number << 2, heaps.blob(value.encode("utf-16-le")))
    for title in cls.fields:
        heaps.row(4, "HHH", 0x16, heaps.name(title), heaps.blob(b"\x06\x0e"))
    for interface in cls.implements:
        heaps.row(9, "HH", at, heaps.type_ref(interface) << 2 | 1)
    for made in cls.methods:
        address = 0
        if made.code is not None:
            raw = b"".join(_encoded(heaps, each, numbers) for each in made.code)
            bodies += bytes(-len(bodies) % 4)
            address = _START + len(bodies)
            bodies += struct.pack("<HHII", 0x3003, 8, len(raw), 0) + raw
        flags = 0x2096 if made.code is None else 0x96
        heaps.row(6, "IHHHHH", address, 0, flags, heaps.name(made.name), 0, 1)


_OPCODES = {
    "call": b"\x28",
    "callvirt": b"\x6f",
    "new": b"\x73",
    "ldftn": b"\xfe\x06",
    "stsfld": b"\x80",
    "stfld": b"\x7d",
    "ldsfld": b"\x7e",
}


def _encoded(
    heaps: _Heaps, instruction: Instruction, numbers: Mapping[tuple[str, str], int]
) -> bytes:
    kind, *given = instruction
    if kind == "raw":
        assert isinstance(given[0], bytes)
        return given[0]
    if kind == "number":
        assert isinstance(given[0], int)
        return b"\x20" + struct.pack("<i", given[0])
    if kind == "ldstr":
        return b"\x72" + struct.pack("<I", 0x70000000 | heaps.string(str(given[0])))
    cls, name = str(given[0]), str(given[1])
    token = numbers.get((cls, name)) or 0x0A000000 | heaps.member_ref(cls, name)
    return _OPCODES[str(kind)] + struct.pack("<I", token)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)


def _image(heaps: _Heaps, bodies: bytes, files: bytes) -> bytes:
    """Return the file around bodies, built-in files and metadata: one section."""
    present = sorted(heaps.rows)
    tables = struct.pack("<IBBBBQQ", 0, 2, 0, 0, 1, sum(1 << table for table in present), 0)
    tables += b"".join(struct.pack("<I", len(heaps.rows[table])) for table in present)
    tables += b"".join(b"".join(heaps.rows[table]) for table in present)
    streams = {
        b"#~": tables,
        b"#Strings": bytes(heaps.names),
        b"#US": bytes(heaps.user),
        b"#GUID": bytes(16),
        b"#Blob": bytes(heaps.blobs),
    }
    version = _padded(b"v4.0.30319\0")
    root = struct.pack("<IHHII", 0x424A5342, 1, 1, 0, len(version)) + version
    root += struct.pack("<HH", 0, len(streams))
    at = len(root) + sum(8 + len(_padded(name + b"\0")) for name in streams)
    heads, contents = b"", b""
    for name, raw in streams.items():
        heads += struct.pack("<II", at + len(contents), len(raw)) + _padded(name + b"\0")
        contents += _padded(raw)
    metadata = root + heads + contents
    bodies, files = _padded(bodies), _padded(files)
    cli_at = _START + len(bodies) + len(files)
    cli = struct.pack("<IHHIIII", 72, 2, 5, cli_at + 72, len(metadata), 1, 0)
    cli += struct.pack("<II", _START + len(bodies) if files else 0, len(files))
    cli = cli.ljust(72, b"\0")
    section = bodies + files + cli + metadata
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    head += struct.pack("<IHHIIIHH", 0x4550, 0x14C, 1, 0, 0, 0, 224, 0x2102)
    optional = struct.pack("<H", 0x10B).ljust(92, b"\0") + struct.pack("<I", 16)
    optional += bytes(14 * 8) + struct.pack("<II", cli_at, 72) + bytes(8)
    head += optional
    head += b".text\0\0\0" + struct.pack("<IIII", len(section), _START, len(section), _RAW)
    return head.ljust(_RAW, b"\0") + section


def store(assemblies: Sequence[bytes], *, version: int = 1) -> bytes:
    """Return a store of assemblies, of version 1, 2 or 3; one without bytes stands for one that is ignored."""
    names = b"".join(struct.pack("<I", 5) + b"A.dll" for _ in assemblies)
    count = len(assemblies)
    if version == 1:
        head = struct.pack("<4s4I", b"XABA", 1, count, count, 0)
        each, index, names = 24, b"", b""
    else:
        index = bytes((8 + 4 + (version == 3)) * 2 * count)
        head = struct.pack("<4s4I", b"XABA", 0x80010000 | version, count, 2 * count, len(index))
        each = 28
    at = len(head) + len(index) + each * count + len(names)
    entries, contents = b"", b""
    for raw in assemblies:
        place = (at + len(contents) if raw else 0, len(raw), 0, 0, 0, 0)
        entries += struct.pack("<6I", *place) if version == 1 else struct.pack("<7I", 0, *place)
        contents += raw
    return head + index + entries + names + contents


def library(payload: bytes, *, section: bytes = b"payload") -> bytes:
    """Return a library of Android around something; ``section`` names where it is."""
    names = b"\0" + section + b"\0.shstrtab\0"
    at = 64 + len(_padded(names)) + (-len(_padded(names)) % 8)
    body = _padded(names).ljust(at - 64, b"\0") + payload
    headers_at = 64 + len(body)
    form = struct.Struct("<IIQQQQIIQQ")
    headers = form.pack(*[0] * 10)
    headers += form.pack(1, 1, 0, 0, at, len(payload), 0, 0, 16, 0)
    headers += form.pack(len(section) + 2, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 0, headers_at, 0, 64, 56, 0, 64, 3, 2)
    return head + body + headers


def packed(raw: bytes, size: int | None = None) -> bytes:
    """Return an assembly packed by LZ4: as one run of literals, which any unpacker must take."""
    length = len(raw)
    token = bytes([min(length, 15) << 4])
    more = b""
    if length >= 15:
        full, rest = divmod(length - 15, 255)
        more = b"\xff" * full + bytes([rest])
    head = struct.pack("<4sII", b"XALZ", 0, length if size is None else size)
    return head + token + more + raw
