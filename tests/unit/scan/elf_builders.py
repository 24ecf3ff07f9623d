"""Build shared objects of a few hundred bytes: a header, segments, a dynamic table with names."""

import struct
from dataclasses import dataclass

_LOAD, _DYNAMIC, _STACK, _RELRO = 1, 2, 0x6474E551, 0x6474E552


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Describe a 64-bit library.

    :param lookup: ``hash``, ``gnu`` or empty: which table says how many names there are.
    :param stack: flags of its stack segment, None for none.
    :param now: whether its imports are bound when it's loaded.
    """

    names: tuple[str, ...] = ("__stack_chk_fail", "JNI_OnLoad")
    kind: int = 3
    relro: bool = True
    now: bool = True
    stack: int | None = 6
    lookup: str = "gnu"
    symtab: bool = False
    content: bytes = b""

    def data(self) -> bytes:
        """Return its bytes; addresses are offsets."""
        segments = 2 + self.relro + (self.stack is not None)
        symbols_at = 64 + 56 * segments
        strings, symbols = b"\0", b"\0" * 24
        for name in self.names:
            symbols += struct.pack("<IBBHQQ", len(strings), 0x12, 0, 0, 0, 0)
            strings += name.encode() + b"\0"
        count = len(self.names) + 1
        strings_at = symbols_at + len(symbols)
        lookup_at = strings_at + len(strings)
        lookup = self._lookup(count)
        dynamic_at = lookup_at + len(lookup)
        tags = [(6, symbols_at), (5, strings_at), (10, len(strings))]
        tags += {"hash": [(4, lookup_at)], "gnu": [(0x6FFFFEF5, lookup_at)]}.get(self.lookup, [])
        tags += [(0x6FFFFFFB, 1)] if self.now else []
        dynamic = b"".join(struct.pack("<QQ", *tag) for tag in [*tags, (0, 0)])
        sections_at = dynamic_at + len(dynamic) + len(self.content) if self.symtab else 0
        whole = dynamic_at + len(dynamic) + len(self.content)
        table = [(_LOAD, 5, 0, whole), (_DYNAMIC, 6, dynamic_at, len(dynamic))]
        table += [(_RELRO, 4, dynamic_at, len(dynamic))] if self.relro else []
        table += [(_STACK, self.stack, 0, 0)] if self.stack is not None else []
        header = b"\x7fELF\2\1\1" + bytes(9)
        header += struct.pack("<HHIQQQ", self.kind, 183, 1, 0, 64, sections_at)
        header += struct.pack("<IHHHHHH", 0, 64, 56, segments, 64, int(self.symtab), 0)
        heads = b"".join(
            struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 8)
            for kind, flags, at, size in table
        )
        sections = struct.pack("<II", 0, 2) + bytes(56) if self.symtab else b""
        return header + heads + symbols + strings + lookup + dynamic + self.content + sections

    def _lookup(self, count: int) -> bytes:
        if self.lookup == "hash":
            return struct.pack("<II", 1, count) + bytes(4 + 4 * count)
        if self.lookup == "gnu":
            # One bucket whose chain begins at symbol 1; the last one's lowest bit ends it.
            chain = [0] * (count - 2) + [1]
            return struct.pack(f"<4IQI{count - 1}I", 1, 1, 1, 0, 0, 1, *chain)
        return b""
