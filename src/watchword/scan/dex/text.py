"""Read the strings of a DEX file (Dalvik executable format, "MUTF-8 (Modified UTF-8) Encoding")."""

from collections.abc import Sequence

from watchword.scan.archive.pace import TEXT
from watchword.scan.dex.bounds import Budget, Damaged, Trouble
from watchword.scan.dex.leb128 import unsigned


def read_strings(
    data: bytes, offsets: Sequence[int], budget: Budget, trouble: Trouble
) -> list[str]:
    """Return the strings at these offsets, an empty one for each that couldn't be read."""
    found: list[str] = []
    if not budget.keep(TEXT * len(offsets)):
        trouble("more strings than a scan has memory for")
        return found
    left = start_with = min(budget.left, budget.room)
    for at in offsets:
        try:
            # Strings of less than 128 units have one byte of length, and that's nearly all of them.
            start = at + 1 if data[at] < 0x80 else unsigned(data, at)[1]
        except (IndexError, Damaged):
            trouble("strings lie outside the file")
            found.append("")
            continue
        end = data.find(b"\0", start, start + left)
        taken = (end if end >= 0 else min(len(data), start + left)) - start
        if taken > left:
            trouble("strings have no end or overlap")
            found.extend([""] * (len(offsets) - len(found)))
            break
        left -= taken
        if end < 0:
            trouble("strings have no end or overlap")
            found.append("")
            continue
        raw = data[start:end]
        found.append(raw.decode("ascii") if raw.isascii() else decode(raw))
    budget.spend(start_with - left)
    budget.keep(start_with - left)
    return found


def decode(raw: bytes) -> str:
    """Return a string of MUTF-8; what isn't text, such as half a surrogate pair, becomes U+FFFD.

    A lone surrogate is legal here (tables of lexers are full of them), yet no report could be written with it.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        plain = raw.replace(b"\xc0\x80", b"\0")
    try:
        pairs = plain.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return plain.decode("utf-8", "replace")
    return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
