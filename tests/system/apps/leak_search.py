"""Look for marked secrets in whatever a deployment puts out: in every writing that a server, a log or a person puts text into."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ahocorasick_rs import BytesAhoCorasick

_GROUP = 3
_LEAST = 12
"""Fewest characters of a form that are looked for: fewer are met by chance."""

_PIECE = 12
"""Characters of a piece: of a value that is cut anywhere, one that is as long as this shows."""


@dataclass(frozen=True, slots=True)
class Find:
    """Hold where which secret was found, in what writing."""

    secret: str
    place: str
    writing: str


def forms(value: bytes) -> Mapping[str, tuple[bytes, ...]]:
    """Return the writings of a secret, by their names; each is looked for in data whose case is folded too."""
    text = value.decode("latin-1")
    found = {
        "raw": (value,),
        "hex": (value.hex().encode(),),
        "hex with colons": (value.hex(":").encode(),),
        "percent": (quote(value, safe="").encode(), _escaped(value, "%{:02x}")),
        "json": (json.dumps(text)[1:-1].encode(), _escaped(value, "\\u{:04x}")),
        "escapes": (repr(value)[2:-1].encode(), _escaped(value, "\\x{:02x}")),
        "base64": tuple(_base64(value)),
        "base64 twice": tuple(_base64(base64.b64encode(value))),
        "utf-16": (text.encode("utf-16-le"),),
        "reversed": (value[::-1],),
        "pieces": tuple(value[at : at + _PIECE] for at in range(len(value) - _PIECE + 1)),
    }
    return {
        name: tuple(each for each in some if len(each) >= _LEAST) for name, some in found.items()
    }


def _escaped(value: bytes, form: str) -> bytes:
    return "".join(form.format(byte) for byte in value).encode()


def _base64(value: bytes) -> Iterator[bytes]:
    """Yield what stands in groups that the value fills alone, wherever it begins; in both alphabets."""
    for before in range(_GROUP):
        coded = base64.b64encode(b"\x00" * before + value)
        whole = coded[4 if before else 0 : (before + len(value)) // _GROUP * 4]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


def finds(secrets: Mapping[str, bytes], outputs: Iterable[tuple[str, bytes]]) -> list[Find]:
    """Return every secret that stands in any of the outputs.

    Also looked at is each output without its white space, in which a wrapped line is whole again.

    :param secrets: by name.
    :param outputs: places and what was put out there.
    """
    named = [
        (form.lower(), name, writing)
        for name, value in secrets.items()
        for writing, some in forms(value).items()
        for form in some
    ]
    automaton = BytesAhoCorasick([form for form, _, _ in named])
    found: dict[Find, None] = {}
    for place, data in outputs:
        folded = data.lower()
        for look in (folded, b"".join(folded.split())):
            for which, _, _ in automaton.find_matches_as_indexes(look, overlapping=True):
                _, name, writing = named[which]
                found[Find(name, place, writing)] = None
    return list(found)


def files_below(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a directory by their names in it, with what they hold."""
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(directory)), file.read_bytes()
