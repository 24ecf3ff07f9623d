"""Write binary XML, resource tables, bundles' XML and signing blocks as Android's tools do, from small descriptions."""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from watchword.scan.android.binary import ANDROID

NONE = 0xFFFFFFFF
UTF8 = 0x100

NULL, REFERENCE, STRING, INTEGER, BOOLEAN = 0x00, 0x01, 0x03, 0x10, 0x12


@dataclass(frozen=True)
class Ref:
    """Refer to a resource by its id, or by a name in bundles."""

    number: int
    name: str = ""


@dataclass(frozen=True)
class File:
    """Stand for a file's path as a bundle's table holds it."""

    path: str


Given = str | int | bool | Ref | File | None


@dataclass(frozen=True)
class Tag:
    """Describe an element: attributes by resource id or by name."""

    name: str
    attributes: Mapping[int | str, Given] = field(default_factory=dict)
    children: Sequence["Tag"] = ()
    text: str = ""


def chunk(kind: int, header: bytes, body: bytes) -> bytes:
    """Return a chunk: its header without the first eight bytes, and its body."""
    return struct.pack("<HHI", kind, 8 + len(header), 8 + len(header) + len(body)) + header + body


def pool(strings: Sequence[str], *, utf8: bool = True) -> bytes:
    """Return a string pool."""
    offsets, data = [], b""
    for text in strings:
        offsets.append(len(data))
        if utf8:
            raw = text.encode()
            data += _short(len(text)) + _short(len(raw)) + raw + b"\0"
        else:
            raw = text.encode("utf-16-le")
            data += struct.pack("<H", len(raw) // 2) + raw + b"\0\0"
    data += b"\0" * (-len(data) % 4)
    start = 28 + 4 * len(strings)
    header = struct.pack("<IIIII", len(strings), 0, UTF8 if utf8 else 0, start, 0)
    return chunk(0x0001, header, struct.pack(f"<{len(offsets)}I", *offsets) + data)


def _short(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([0x80 | number >> 8, number & 0xFF])


class Strings:
    """Collect strings and give their indexes."""

    def __init__(self, first: Iterable[str] = ()) -> None:
        self.all = list(first)

    def __call__(self, text: str) -> int:
        """Return a string's index; those of attributes with ids stand first and may be alike."""
        if text not in self.all:
            self.all.append(text)
        return self.all.index(text)


def value(given: Given, strings: Strings) -> bytes:
    """Return a ``Res_value``."""
    kind, data = NULL, 0
    match given:
        case bool():
            kind, data = BOOLEAN, NONE if given else 0
        case int():
            kind, data = INTEGER, given & NONE
        case str():
            kind, data = STRING, strings(given)
        case File():
            kind, data = STRING, strings(given.path)
        case Ref():
            kind, data = REFERENCE, given.number
    return struct.pack("<HBBI", 8, 0, kind, data)


def axml(
    root: Tag, *, utf8: bool = False, names: Mapping[int, str] | None = None, between: bytes = b""
) -> bytes:
    """Return a document of binary XML.

    :param names: what attributes with ids are called; nothing by default, as tools that obfuscate write it.
    :param between: what stands between the resource map and the first node.
    """
    ids = sorted({key for each in _all(root) for key in each.attributes if isinstance(key, int)})
    # Each id's name has an index of its own, even where the names are alike.
    strings = Strings((names or {}).get(each, f"\0{number}") for number, each in enumerate(ids))
    nodes = b"".join(_nodes(root, ids, strings))
    resources = chunk(0x0180, b"", struct.pack(f"<{len(ids)}I", *ids))
    return chunk(0x0003, b"", pool(strings.all, utf8=utf8) + resources + between + nodes)


def _all(tag: Tag) -> Iterable[Tag]:
    yield tag
    for each in tag.children:
        yield from _all(each)


def _nodes(tag: Tag, ids: Sequence[int], strings: Strings) -> Iterable[bytes]:
    attributes = b""
    for key, given in tag.attributes.items():
        space = NONE
        if isinstance(key, int):
            space, index = strings(ANDROID), ids.index(key)
        else:
            index = strings(key)
        raw = strings(given) if isinstance(given, str) else NONE
        attributes += struct.pack("<III", space, index, raw) + value(given, strings)
    head = struct.pack("<II", 1, NONE)
    count = len(tag.attributes)
    element = struct.pack("<IIHHHHHH", NONE, strings(tag.name), 20, 20, count, 0, 0, 0)
    yield chunk(0x0102, head, element + attributes)
    if tag.text:
        yield chunk(0x0104, head, struct.pack("<I", strings(tag.text)) + value(None, strings))
    for each in tag.children:
        yield from _nodes(each, ids, strings)
    yield chunk(0x0103, head, struct.pack("<II", NONE, strings(tag.name)))


@dataclass(frozen=True)
class Type:
    """Describe the values of one type of resources in one configuration, by their names; None leaves one out.

    :param form: ``wide``, ``short``, ``sparse`` or ``compact``.
    """

    name: str
    values: Mapping[str, Given | Sequence[Given]]
    version: int = 0
    locale: bytes = b"\0\0\0\0"
    form: str = "wide"


def table(types: Sequence[Type], *, package: int = 0x7F, utf8: bool = True) -> bytes:
    """Return a resource table; a type's id is its place among the names, from 1."""
    strings, keys = Strings(), Strings()
    names = list(dict.fromkeys(each.name for each in types))
    body = b"".join(_type(each, names.index(each.name) + 1, strings, keys) for each in types)
    name_pool, key_pool = pool(names), pool(keys.all)
    at = 8 + 4 + 256 + 20
    header = struct.pack("<I", package) + bytes(256)
    header += struct.pack("<IIIII", at, len(names), at + len(name_pool), len(keys.all), 0)
    whole = chunk(0x0200, header, name_pool + key_pool + body)
    return chunk(0x0002, struct.pack("<I", 1), pool(strings.all, utf8=utf8) + whole)


def _type(described: Type, number: int, strings: Strings, keys: Strings) -> bytes:
    entries = b""
    places: list[int | None] = []
    for name, given in described.values.items():
        if given is None:
            places.append(None)
            continue
        places.append(len(entries))
        entries += _entry(keys(name), given, strings, compact=described.form == "compact")
    flags = {"sparse": 1, "short": 2}.get(described.form, 0)
    if described.form == "sparse":
        kept = [(index, at // 4) for index, at in enumerate(places) if at is not None]
        offsets = b"".join(struct.pack("<HH", *each) for each in kept)
        count = len(kept)
    else:
        count = len(places)
        form, none, unit = ("H", 0xFFFF, 4) if described.form == "short" else ("I", NONE, 1)
        numbers = [none if at is None else at // unit for at in places]
        offsets = struct.pack(f"<{count}{form}", *numbers)
        offsets += bytes(-len(offsets) % 4)
    config = struct.pack("<I", 64) + bytes(4) + described.locale + bytes(12)
    config += struct.pack("<HH", described.version, 0) + bytes(36)
    start = 8 + 12 + len(config) + len(offsets)
    header = struct.pack("<BBHII", number, flags, 0, count, start) + config
    return chunk(0x0201, header, offsets + entries)


def _entry(key: int, given: Given | Sequence[Given], strings: Strings, *, compact: bool) -> bytes:
    if isinstance(given, list | tuple):
        items = b"".join(struct.pack("<I", 0) + value(each, strings) for each in given)
        return struct.pack("<HHIII", 16, 1, key, 0, len(given)) + items
    assert not isinstance(given, Sequence) or isinstance(given, str)
    raw = value(given, strings)
    if compact:
        return struct.pack("<HH", key, 0x08 | raw[3] << 8) + raw[4:]
    return struct.pack("<HHI", 8, 0, key) + raw


def varint(number: int) -> bytes:
    """Return a number as protocol buffers write it."""
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field_of(number: int, content: int | str | bytes) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content & 0xFFFFFFFFFFFFFFFF)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def item(given: Given) -> bytes:
    """Return an ``Item``."""
    match given:
        case bool():
            return field_of(7, field_of(8, int(given)))
        case int():
            return field_of(7, field_of(6, given))
        case str():
            return field_of(2, field_of(1, given))
        case File():
            return field_of(5, field_of(1, given.path))
        case Ref():
            return field_of(1, field_of(2, given.number) + field_of(3, given.name))
        case None:
            return field_of(7, field_of(1, b""))


def bundle_xml(tag: Tag) -> bytes:
    """Return an ``XmlNode``."""
    content = field_of(3, tag.name)
    for key, given in tag.attributes.items():
        attribute = b""
        if isinstance(key, int):
            attribute += field_of(1, ANDROID) + field_of(2, "a") + field_of(5, key)
        else:
            attribute += field_of(2, key)
        if isinstance(given, str):
            attribute += field_of(3, given)
        else:
            attribute += field_of(6, item(given))
        content += field_of(4, attribute)
    if tag.text:
        content += field_of(5, field_of(2, tag.text))
    for each in tag.children:
        content += field_of(5, bundle_xml(each))
    return field_of(1, content)


def bundle_table(types: Sequence[Type], *, package: int = 0x7F) -> bytes:
    """Return a ``ResourceTable``; types of one name are configurations of one type."""
    content = field_of(1, field_of(1, package))
    names = list(dict.fromkeys(each.name for each in types))
    for number, name in enumerate(names, 1):
        of_name = [each for each in types if each.name == name]
        body = field_of(1, field_of(1, number)) + field_of(2, name)
        for index, key in enumerate(of_name[0].values):
            entry = field_of(1, field_of(1, index)) + field_of(2, key)
            for each in of_name:
                given = each.values.get(key)
                if given is not None:
                    entry += field_of(6, field_of(1, _config(each)) + field_of(2, _value(given)))
            body += field_of(3, entry)
        content += field_of(3, body)
    return field_of(2, content)


def _config(described: Type) -> bytes:
    found = field_of(24, described.version) if described.version else b""
    return found + (field_of(3, described.locale) if any(described.locale) else b"")


def _value(given: Given | Sequence[Given]) -> bytes:
    if isinstance(given, list | tuple):
        return field_of(5, field_of(4, b"".join(field_of(1, field_of(3, item(x))) for x in given)))
    assert not isinstance(given, Sequence) or isinstance(given, str)
    return field_of(4, item(given))


def prefixed(*parts: bytes) -> bytes:
    """Return bytes behind their length, as signing blocks have them."""
    whole = b"".join(parts)
    return struct.pack("<I", len(whole)) + whole


def signers(*certificates: Sequence[bytes], digests: Mapping[int, bytes] | None = None) -> bytes:
    """Return the value of a scheme: a signer for each chain of certificates, with digests by algorithm of signature."""
    stated = [
        prefixed(struct.pack("<I", kind) + prefixed(digest))
        for kind, digest in (digests or {}).items()
    ]
    each = [
        prefixed(
            prefixed(prefixed(*stated), prefixed(*map(prefixed, chain)), prefixed()),
            prefixed(),
            prefixed(b"key"),
        )
        for chain in certificates
    ]
    return prefixed(*each)


def with_signing_block(package: bytes, pairs: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a package with a signing block in front of its central directory."""
    end = package.index(b"PK\x05\x06")
    (directory,) = struct.unpack_from("<I", package, end + 16)
    body = b"".join(struct.pack("<QI", 4 + len(raw), identity) + raw for identity, raw in pairs)
    size = len(body) + 24
    block = struct.pack("<Q", size) + body + struct.pack("<Q", size) + b"APK Sig Block 42"
    moved = bytearray(package[:directory] + block + package[directory:])
    struct.pack_into("<I", moved, end + len(block) + 16, directory + len(block))
    return bytes(moved)


def content_digest(package: bytes, name: str) -> bytes:
    """Return the digest of a package without a block, as the scheme's page describes it."""
    end = package.rindex(b"PK\x05\x06")
    (directory,) = struct.unpack_from("<I", package, end + 16)
    sections = (package[:directory], package[directory:end], package[end:])
    chunks = [part[at : at + 2**20] for part in sections for at in range(0, len(part), 2**20)]
    each = [
        hashlib.new(name, b"\xa5" + len(one).to_bytes(4, "little") + one).digest() for one in chunks
    ]
    return hashlib.new(name, b"\x5a" + len(each).to_bytes(4, "little") + b"".join(each)).digest()
