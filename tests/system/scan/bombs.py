"""Make small packages that ask for much: entries that share bytes, tables of many rows, names of many symbols."""

import hashlib
import plistlib
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.unit.scan.android.builders import Tag, axml
from tests.unit.scan.archive.builders import built

MANIFEST = axml(Tag("manifest", {"package": "com.example.bomb"}, []))
INFO = plistlib.dumps({"CFBundleIdentifier": "com.example.bomb", "CFBundleExecutable": "bomb"})


def archive(entries: Iterable[tuple[bytes, Sequence[str]]]) -> bytes:
    """Return an archive in which each content stands once, and has all these names in the directory."""
    out, directory, count = bytearray(), bytearray(), 0
    for content, names in entries:
        deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = deflater.compress(content) + deflater.flush()
        sizes = (zlib.crc32(content), len(packed), len(content))
        offset, first = len(out), names[0].encode()
        out += struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, *sizes, len(first), 0)
        out += first + packed
        for name in names:
            raw = name.encode()
            directory += struct.pack(
                "<4s6H3I5H2I",
                b"PK\1\2",
                20,
                20,
                0,
                8,
                0,
                0,
                *sizes,
                len(raw),
                0,
                0,
                0,
                0,
                0,
                offset,
            )
            directory += raw
            count += 1
    end = (b"PK\5\6", 0, 0, count, count, len(directory), len(out), 0)
    return bytes(out + directory + struct.pack("<4s4H2IH", *end))


def dex(strings: int = 0, types: int = 0, text: bytes = b"ab", methods: int = 0) -> bytes:
    """Return a DEX file whose tables have these many rows, all strings one and the same.

    :param methods: of one class, without code.
    """
    head = 0x70
    strings_at = head
    types_at = strings_at + 4 * strings
    protos_at = types_at + 4 * types
    methods_at = protos_at + (12 if methods else 0)
    classes_at = methods_at + 8 * methods
    data_at = classes_at + (32 if methods else 0)
    item = bytes([len(text)]) + text + b"\0"
    members = b""
    if methods:
        members = bytes([0, 0]) + _uleb(methods) + b"\0" + b"\0\0\0" + b"\1\0\0" * (methods - 1)
    body = struct.pack("<I", data_at) * strings + bytes(4 * types)
    if methods:
        body += bytes(12) + struct.pack("<HHI", 0, 0, 0) * methods
        body += struct.pack("<8I", 0, 1, 0xFFFFFFFF, 0, 0, 0, data_at + len(item), 0)
    body += item + members
    tables = [strings, strings_at, types, types_at, bool(methods), protos_at, 0, 0]
    tables += [methods, methods_at, bool(methods), classes_at]
    size = head + len(body)
    rest = struct.pack("<20sIII4x4x4x12I", bytes(20), size, head, 0x12345678, *tables)
    rest += bytes(head - 12 - len(rest)) + body
    return b"dex\n035\0" + struct.pack("<I", zlib.adler32(rest)) + rest


def salted(content: bytes) -> bytes:
    """Return content with so many bytes without pattern behind it that it packs to a hundredth at best: no bomb by its ratio."""
    blocks = range(len(content) // 3200 + 1)
    return content + b"".join(hashlib.sha256(b"%d" % block).digest() for block in blocks)


def _uleb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def classes(count: int) -> list[str]:
    """Return the names of so many DEX files that the system loads."""
    return ["classes.dex", *(f"classes{number}.dex" for number in range(2, count + 1))]


def library(symbols: int, name: int = 1000) -> bytes:
    """Return a library of ELF whose symbols each begin one byte further in one long name."""
    text = bytes(0x21 + at % 90 for at in range(symbols + name)) + b"\0"
    table_at = 64 + 2 * 56 + 16 * 4
    names_at = table_at + 24 * symbols
    size = names_at + len(text)
    head = b"\x7fELF\2\1\1" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, size, size, 1)
    tags = [(5, names_at), (6, table_at), (10, len(text)), (0, 0)]
    dynamic = struct.pack("<IIQQQQQQ", 2, 4, 64 + 112, 64 + 112, 0, 64, 64, 1)
    body = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    rows = b"".join(struct.pack("<IBBHQQ", at, 18, 0, 1, 0, 0) for at in range(symbols))
    return head + load + dynamic + body + rows + text


def pool(count: int, size: int) -> bytes:
    """Return a resource table whose string pool has many strings that share their characters."""
    characters = b"\xff\x7f" if size > 127 else bytes([size])
    del characters
    text = bytes([0x80 | size >> 8, size & 0xFF]) * 2 + b"a" * size + b"\0"
    offsets = struct.pack("<I", 0) * count
    strings_at = 28 + len(offsets)
    chunk = struct.pack("<HHIIIIII", 1, 28, strings_at + len(text), count, 0, 0x100, strings_at, 0)
    whole = chunk + offsets + text
    return struct.pack("<HHII", 2, 12, 12 + len(whole), 1) + whole


def shared_plist(objects: int, size: int) -> bytes:
    """Return a binary property list in which many objects are one and the same long array."""
    width = 3
    refs = (objects + 1).to_bytes(width, "big") * size
    array = b"\xaf\x12" + struct.pack(">I", size) + refs
    end = b"\x50"
    root_refs = b"".join(at.to_bytes(width, "big") for at in range(1, objects + 1))
    root = b"\xaf\x12" + struct.pack(">I", objects) + root_refs
    head = b"bplist00"
    array_at = len(head) + len(root)
    end_at = array_at + len(array)
    offsets = [len(head), *[array_at] * objects, end_at]
    table = b"".join(at.to_bytes(4, "big") for at in offsets)
    body = head + root + array + end
    trailer = struct.pack(">5xBBBQQQ", 0, 4, width, objects + 2, 0, len(body))
    return body + table + trailer


def apk(entries: Mapping[str, bytes]) -> bytes:
    """Return a package of these entries and a manifest."""
    return built({"AndroidManifest.xml": MANIFEST, **entries})


def aliases(content: bytes, names: Sequence[str]) -> bytes:
    """Return a package in which all these names are one entry."""
    return archive([(MANIFEST, ["AndroidManifest.xml"]), (content, names)])


def distinct(content: bytes, names: Sequence[str]) -> bytes:
    """Return a package in which each of these names has its own copy of an entry."""
    each = [(content, [name]) for name in names]
    return archive([(MANIFEST, ["AndroidManifest.xml"]), *each])


def overlapping(content: bytes, names: Sequence[str]) -> bytes:
    """Return a package whose entries end together and begin one after the other: each holds the later ones' headers."""
    tail = b"\1" + struct.pack("<HH", len(content), len(content) ^ 0xFFFF) + content
    at, pieces, rows = 0, [tail], []
    whole = tail
    unpacked = content
    for name in reversed(names):
        raw = name.encode()
        header = struct.pack(
            "<4s5H3I2H",
            b"PK\3\4",
            20,
            0,
            8,
            0,
            0,
            zlib.crc32(unpacked),
            len(whole),
            len(unpacked),
            len(raw),
            0,
        )
        rows.append((raw, zlib.crc32(unpacked), len(whole), len(unpacked), len(whole)))
        quoted = header + raw
        pieces.append(quoted)
        quote = b"\0" + struct.pack("<HH", len(quoted), len(quoted) ^ 0xFFFF)
        unpacked = quoted + unpacked
        whole = quote + quoted + whole
    body = whole[5:]
    directory = bytearray()
    for raw, crc, packed, size, behind in reversed(rows):
        at = len(body) - behind - 30 - len(raw)
        directory += struct.pack(
            "<4s6H3I5H2I",
            b"PK\1\2",
            20,
            20,
            0,
            8,
            0,
            0,
            crc,
            packed,
            size,
            len(raw),
            0,
            0,
            0,
            0,
            0,
            at,
        )
        directory += raw
    end = (b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(body), 0)
    return body + bytes(directory) + struct.pack("<4s4H2IH", *end)


_MIB = 1024 * 1024

BOMBS: Mapping[str, Callable[[], bytes]] = {
    "dex-99": lambda: aliases(dex(strings=180_000, types=65_536), classes(99)),
    "dex-200": lambda: aliases(dex(strings=90_000, types=65_536), classes(200)),
    "dex-distinct": lambda: distinct(dex(strings=180_000, types=65_536), classes(99)),
    "dex-methods": lambda: distinct(dex(strings=1, types=1, methods=65_536), classes(160)),
    "overlapping": lambda: overlapping(
        bytes(60_000), ["AndroidManifest.xml", *(f"assets/{n}.txt" for n in range(2_000))]
    ),
    "symbols": lambda: distinct(library(200_000), [f"lib/arm64-v8a/lib{n}.so" for n in range(24)]),
    "tables": lambda: distinct(
        salted(pool(12 * _MIB, 100)),
        ["resources.arsc", *(f"x{n}/resources.arsc" for n in range(6))],
    ),
    "texts": lambda: distinct(
        salted(("\U0001f600" + "abcdefg\n" * (3 * _MIB)).encode()),
        [f"assets/www/{n}.js" for n in range(12)],
    ),
    "scripts": lambda: distinct(
        salted(("\U0001f600" + "abcdefghi\n" * (9 * _MIB)).encode()),
        ["assets/index.android.bundle"],
    ),
    "strings": lambda: distinct(
        salted(b"".join(b"abcd%07d\0" % at for at in range(6 * _MIB))),
        [f"lib/arm64-v8a/lib{n}.so" for n in range(2)],
    ),
    "plist": lambda: archive(
        [
            (INFO, ["Payload/Bomb.app/Info.plist"]),
            (shared_plist(200_000, 800_000), ["Payload/Bomb.app/PrivacyInfo.xcprivacy"]),
        ]
    ),
    "names": lambda: archive(
        [(MANIFEST, ["AndroidManifest.xml"])]
        + [(b"", [f"{number:08d}" * 8_000]) for number in range(3_000)]
    ),
}
