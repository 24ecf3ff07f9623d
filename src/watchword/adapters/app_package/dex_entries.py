"""Find the DEX files of a package, those that it loads by itself too, and unpack them."""

import re
from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.archive.interface import MissingEntryError, UnreadableEntryError, inner_name
from watchword.scan.archive.package import ZipArchive
from watchword.scan.archive.splits import MergedArchive
from watchword.scan.notes import Notes

MOST_BYTES = 128 * 1024 * 1024
"""DEX files that are read together; those of the largest apps have about 100 MB."""

MOST_PEEKS = 20_000
"""Assets whose first bytes are looked at."""

_CODE = re.compile(r"(?:[^/]+/dex/)?classes(\d*)\.dex")
_ASSET = re.compile(r"(?:[^/]+/)?(?:assets|res/raw|root)/")
_DEX = b"dex\n"
_ZIP = b"PK\x03\x04"
_FIRST_NAMES = 4096


def read_dexes(archive: ZipArchive | MergedArchive, notes: Notes) -> list[tuple[str, bytes]]:
    """Return the package's DEX files with the names of their entries: those that the system loads first, in its order."""
    read: list[tuple[str, bytes]] = []
    left = MOST_BYTES
    sizes = {entry.name: entry.size for entry in archive.entries}
    for name in dict.fromkeys([*_loaded(archive), *_hidden(archive, notes)]):
        try:
            if sizes[name] > left:
                raise UnreadableEntryError(
                    name, f"isn't read: more than {MOST_BYTES} bytes of code"
                )
            if not notes.memory.keep(sizes[name]):
                raise UnreadableEntryError(name, "isn't read: more memory than a scan may take")
            content = archive.read(name)
        except MissingEntryError as error:
            notes.gap(Part.DEX, name, error.why)
            continue
        left -= len(content)
        read.append((name, content))
    return read


def _loaded(archive: ZipArchive | MergedArchive) -> list[str]:
    """Return the DEX files that the system loads: by package, then by number."""
    found = []
    for place, name in enumerate(archive.names):
        inner = inner_name(name)
        match = _CODE.fullmatch(inner)
        if match is not None:
            folder = name[: -len(inner)] + inner.rpartition("/")[0]
            first = folder not in ("", "base/dex")
            found.append((first, folder, int(match[1][:9] or 1), place, name))
    return [name for *_, name in sorted(found)]


def _hidden(archive: ZipArchive | MergedArchive, notes: Notes) -> Iterator[str]:
    """Yield DEX files elsewhere: by their ending, and in assets by their first bytes whatever they are called."""
    peeks = 0
    for name in archive.names:
        inner = inner_name(name)
        if inner.lower().endswith(".dex"):
            yield name
            continue
        if not _ASSET.match(inner):
            continue
        peeks += 1
        if peeks > MOST_PEEKS:
            notes.gap(
                Part.DEX, "", f"only the first {MOST_PEEKS} assets were looked at for hidden code"
            )
            return
        head = archive.peek(name, _FIRST_NAMES)
        if head.startswith(_DEX):
            yield name
        elif head.startswith(_ZIP) and (b"classes.dex" in head or _names_code(inner)):
            notes.gap(
                Part.DEX, name, "an archive within the package that may hold code; it isn't opened"
            )


def _names_code(name: str) -> bool:
    """Tell whether an archive is called as those with code are."""
    return name.lower().endswith((".apk", ".jar"))
