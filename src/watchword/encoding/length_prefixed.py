"""Join byte strings so that no two lists of them give the same bytes."""


def join(*parts: bytes) -> bytes:
    """Return the parts one after the other, each behind its length (4 bytes, big endian).

    A MAC over plain concatenation would hold for ``("ab", "c")`` and for ``("a", "bc")``.
    """
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
