"""Assemble tiny DEX files, sharing no code with the reader."""

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

OBJECT = "Ljava/lang/Object;"
HEADER = 0x70
Ref = tuple[str, str, str]
"""A method or a field: class and name, and its descriptor or type."""


def uleb(value: int) -> bytes:
    """Encode a number of variable length."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def mutf8(text: str) -> bytes:
    """Encode a string as DEX does: surrogates one by one, NUL as two bytes."""
    raw = text.encode("utf-16-le", "surrogatepass")
    units = struct.unpack(f"<{len(raw) // 2}H", raw)
    return b"".join(
        b"\xc0\x80" if unit == 0 else chr(unit).encode("utf-8", "surrogatepass") for unit in units
    )


@dataclass
class MethodCode:
    """Hold a method: its code in units of 16 bits, references as tuples; methods with the very same list share it.

    :param handlers: of one try over all of the code: their places in units.
    """

    name: str
    descriptor: str
    code: list[object] | None = None
    handlers: tuple[int, ...] = ()


@dataclass
class ClassCode:
    """Hold a class; static fields with their initial value: a string, a number, or None for none."""

    descriptor: str
    methods: list[MethodCode] = field(default_factory=list)
    statics: list[tuple[str, str, str | int | None]] = field(default_factory=list)
    superclass: str = OBJECT
    interfaces: tuple[str, ...] = ()


def types_of(descriptor: str) -> tuple[str, list[str]]:
    """Return result and parameters of a method's descriptor."""
    inner, _, result = descriptor[1:].partition(")")
    found: list[str] = []
    at = 0
    while at < len(inner):
        end = at
        while inner[end] == "[":
            end += 1
        end = inner.index(";", end) + 1 if inner[end] == "L" else end + 1
        found.append(inner[at:end])
        at = end
    return result, found


class Pools:
    """Collect what is referred to; indices are final once :meth:`close` was called."""

    def __init__(self) -> None:
        """Start empty."""
        self.strings: list[str] = []
        self.types: list[str] = []
        self.protos: list[str] = []
        self.fields: list[Ref] = []
        self.methods: list[Ref] = []

    def add(self, *things: str) -> None:
        """Add strings."""
        self.strings += things

    def add_type(self, *names: str) -> None:
        """Add types."""
        self.add(*names)
        self.types += names

    def add_method(self, ref: Ref) -> None:
        """Add a method with all that it names."""
        result, parameters = types_of(ref[2])
        self.add_type(ref[0], result, *parameters)
        self.add(ref[1], "V")
        self.protos.append(ref[2])
        self.methods.append(ref)

    def add_field(self, ref: Ref) -> None:
        """Add a field with all that it names."""
        self.add_type(ref[0], ref[2])
        self.add(ref[1])
        self.fields.append(ref)

    def close(self) -> None:
        """Sort everything."""
        self.strings = sorted(set(self.strings))
        self.types = sorted(set(self.types))
        self.protos = sorted(set(self.protos))
        self.fields = sorted(set(self.fields))
        self.methods = sorted(set(self.methods))


def string_of(text: str) -> tuple[str, str]:
    """Refer to a string in code (16 bits)."""
    return ("string", text)


def type_of(name: str) -> tuple[str, str]:
    """Refer to a type in code."""
    return ("type", name)


def field_of(cls: str, name: str, kind: str) -> tuple[str, Ref]:
    """Refer to a field in code."""
    return ("field", (cls, name, kind))


def method_of(cls: str, name: str, descriptor: str) -> tuple[str, Ref]:
    """Refer to a method in code."""
    return ("method", (cls, name, descriptor))


def call(kind: int, cls: str, name: str, descriptor: str, *registers: int) -> list[object]:
    """Write ``invoke-KIND {registers}``: 0x6E virtual, 0x70 direct, 0x71 static."""
    four = [*registers, 0, 0, 0, 0, 0]
    packed = four[0] | four[1] << 4 | four[2] << 8 | four[3] << 12
    fifth = four[4] if len(registers) == 5 else 0
    first = kind | fifth << 8 | len(registers) << 12
    return [first, method_of(cls, name, descriptor), packed]


def const_string(register: int, text: str) -> list[object]:
    """Write ``const-string``."""
    return [0x1A | register << 8, string_of(text)]


def assemble(
    *classes: ClassCode, version: bytes = b"035", base: int = 0, strings: tuple[str, ...] = ()
) -> bytes:
    """Return a DEX file of these classes.

    :param base: where it will lie in a container; offsets count from the container's begin.
    :param strings: that nothing refers to.
    """
    pools = Pools()
    pools.add(*strings)
    for cls in classes:
        _collect(cls, pools)
    pools.close()
    return _write(classes, pools, version, base)


def _collect(cls: ClassCode, pools: Pools) -> None:
    pools.add_type(cls.descriptor, cls.superclass, *cls.interfaces)
    for name, kind, value in cls.statics:
        pools.add_field((cls.descriptor, name, kind))
        if isinstance(value, str):
            pools.add(value)
    for method in cls.methods:
        pools.add_method((cls.descriptor, method.name, method.descriptor))
        for item in method.code or ():
            if isinstance(item, tuple):
                kind, what = item
                _refer(pools, kind, what)


def _refer(pools: Pools, kind: str, what: Any) -> None:
    if kind == "string":
        pools.add(what)
    elif kind == "type":
        pools.add_type(what)
    elif kind == "field":
        pools.add_field(what)
    else:
        pools.add_method(what)


class _Data:
    """Append items to the data section, each at a multiple of four."""

    def __init__(self, at: int) -> None:
        self.begin = at
        self.raw = bytearray()
        self.codes: dict[int, int] = {}

    def put(self, item: bytes) -> int:
        while (self.begin + len(self.raw)) % 4:
            self.raw.append(0)
        at = self.begin + len(self.raw)
        self.raw += item
        return at


def _write(classes: tuple[ClassCode, ...], pools: Pools, version: bytes, base: int) -> bytes:
    header = 0x78 if version == b"041" else HEADER
    counts = [
        (len(pools.strings), 4),
        (len(pools.types), 4),
        (len(pools.protos), 12),
        (len(pools.fields), 8),
        (len(pools.methods), 8),
        (len(classes), 32),
    ]
    places, at = [], base + header
    for count, size in counts:
        places.append(at)
        at += count * size
    data = _Data(at)
    string, kind = pools.strings.index, pools.types.index
    table = bytearray()
    for text in pools.strings:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        table += struct.pack("<I", data.put(uleb(units) + mutf8(text) + b"\0"))
    for name in pools.types:
        table += struct.pack("<I", string(name))
    for descriptor in pools.protos:
        result, parameters = types_of(descriptor)
        table += struct.pack("<III", string("V"), kind(result), _list(parameters, pools, data))
    for owner, name, what in pools.fields:
        table += struct.pack("<HHI", kind(owner), kind(what), string(name))
    for owner, name, what in pools.methods:
        table += struct.pack("<HHI", kind(owner), pools.protos.index(what), string(name))
    for cls in classes:
        table += _definition(cls, pools, data)
    raw = bytes(table) + bytes(data.raw)
    size = header + len(raw)
    fields = [0, 0, 0]
    for (count, _), place in zip(counts, places, strict=True):
        fields += [count, place if count else 0]
    fields += [len(data.raw), data.begin]
    head = struct.pack("<III", size, header, 0x12345678) + struct.pack("<17I", *fields)
    if header == 0x78:
        head += struct.pack("<II", size, base)
    return seal(b"dex\n" + version + b"\0" + bytes(24) + head + raw)


def _list(types: list[str] | tuple[str, ...], pools: Pools, data: _Data) -> int:
    if not types:
        return 0
    rows = [pools.types.index(name) for name in types]
    return data.put(struct.pack(f"<I{len(rows)}H", len(rows), *rows))


def _definition(cls: ClassCode, pools: Pools, data: _Data) -> bytes:
    body = bytearray()
    statics = sorted(cls.statics, key=lambda f: pools.fields.index((cls.descriptor, f[0], f[1])))
    methods = sorted(
        cls.methods, key=lambda m: pools.methods.index((cls.descriptor, m.name, m.descriptor))
    )
    body += uleb(len(statics)) + uleb(0) + uleb(len(methods)) + uleb(0)
    last = 0
    for name, kind, _ in statics:
        index = pools.fields.index((cls.descriptor, name, kind))
        body += uleb(index - last) + uleb(8)
        last = index
    last = 0
    for method in methods:
        index = pools.methods.index((cls.descriptor, method.name, method.descriptor))
        body += uleb(index - last) + uleb(9) + uleb(_code(method, pools, data))
        last = index
    values = bytearray(uleb(len(statics)))
    for _, _, value in statics:
        if isinstance(value, str):
            values += b"\x77" + struct.pack("<I", pools.strings.index(value))
        elif value is None:
            values += b"\x1e"
        else:
            values += b"\x64" + struct.pack("<i", value)
    return struct.pack(
        "<8I",
        pools.types.index(cls.descriptor),
        1,
        pools.types.index(cls.superclass),
        _list(cls.interfaces, pools, data),
        0xFFFFFFFF,
        0,
        data.put(bytes(body)),
        data.put(bytes(values)) if statics else 0,
    )


def _code(method: MethodCode, pools: Pools, data: _Data) -> int:
    if method.code is None:
        return 0
    if id(method.code) in data.codes:
        return data.codes[id(method.code)]
    units = []
    for item in method.code:
        if isinstance(item, tuple):
            kind, what = item
            pool: list[object] = getattr(pools, f"{kind}s")
            units.append(pool.index(what))
        else:
            assert isinstance(item, int)
            units.append(item & 0xFFFF)
    tries = b""
    if method.handlers:
        tries = b"" if len(units) % 2 == 0 else b"\0\0"
        tries += struct.pack("<IHH", 0, len(units), 1)
        caught = b"".join(uleb(0) + uleb(place) for place in method.handlers)
        assert len(method.handlers) < 64
        tries += uleb(1) + uleb(len(method.handlers)) + caught
    raw = struct.pack(f"<{len(units)}H", *units)
    head = struct.pack("<HHHHII", 16, 1, 5, 1 if method.handlers else 0, 0, len(units))
    data.codes[id(method.code)] = data.put(head + raw + tries)
    return data.codes[id(method.code)]


def seal(raw: bytes) -> bytes:
    """Return a DEX file with its signature and checksum made right."""
    signed = raw[:12] + hashlib.sha1(raw[32:]).digest() + raw[32:]
    return signed[:8] + struct.pack("<I", zlib.adler32(signed[12:])) + signed[12:]


def container(*parts: tuple[ClassCode, ...]) -> bytes:
    """Return a container (format 041) of several DEX files."""
    found: list[bytes] = []
    for classes in parts:
        found.append(assemble(*classes, version=b"041", base=sum(map(len, found))))
    total = struct.pack("<I", sum(map(len, found)))
    return b"".join(seal(part[:0x70] + total + part[0x74:]) for part in found)
