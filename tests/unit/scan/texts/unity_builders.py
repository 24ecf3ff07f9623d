"""Write metadata of Unity's IL2CPP that holds nothing but strings and names."""

import struct
from collections.abc import Sequence

from watchword.scan.texts.reader import MAGIC


def metadata(
    literals: Sequence[str],
    names: Sequence[str] = (),
    *,
    version: int = 29,
    lengths: bool = True,
    behind: bytes = b"",
) -> bytes:
    """Return a file with these string literals and names.

    :param lengths: whether the table holds lengths beside offsets, as it does in earlier versions.
    :param behind: what lies behind the names, such as constants.
    """
    table, texts = b"", b""
    for text in literals:
        raw = text.encode()
        table += struct.pack("<II", len(raw), len(texts)) if lengths else b""
        table += b"" if lengths else struct.pack("<I", len(texts))
        texts += raw
    title = b"".join(name.encode() + b"\0" for name in names)
    places, at = [], 256
    for part in (table, texts, title):
        places += [at, len(part)]
        at += len(part)
    head = MAGIC + struct.pack("<I6I", version, *places)
    return head.ljust(256, b"\0") + table + texts + title + behind
