"""Package the iOS SDK as source: a zip whose root is a Swift package and a pod, and whose bytes depend on its files alone.

SwiftPM takes a package from the root of a repository: this is what goes there.  The stand-ins for Apple's frameworks, the programs and
the tests stay behind.
"""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.sdk import ROOT, SdkError
from scripts.sdk.android import zipped
from scripts.sdk.ios import OUT, SOURCES
from scripts.sdk.package import semantic_version

NAME: Final = "WatchwordKit"
RELEASE: Final = SOURCES / "Release"
_SHIPPED: Final = {".swift", ".xcprivacy", ".md"}
_HIDDEN: Final = re.compile(r"(?:^|/)\.")


def protocol_version() -> str:
    """Return the version of the protocol that the SDKs speak, as its page has it."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"\A# The protocol, version (\d+\.\d+)$", text, re.MULTILINE)
    return str(found)


def files(package: Path = SOURCES) -> dict[str, bytes]:
    """Return the release's files by their names in the zip.

    :param package: the directory with the Swift package.
    :raises SdkError: where a file lies among the sources that no release has.
    """
    manifest = (package / "Package.swift").read_text(encoding="utf-8")
    found = {
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "Package.swift": without_workshop(manifest).encode(),
    }
    for file in sorted(RELEASE.iterdir()):
        found[file.name] = _filled(file)
    for file in sorted((package / "Sources").rglob("*")):
        name = file.relative_to(package).as_posix()
        if file.is_dir() or _HIDDEN.search(name):
            continue
        if file.suffix not in _SHIPPED:
            raise SdkError(
                f"sdk/ios/{name}: expected {', '.join(sorted(_SHIPPED))}: move it, or let it ship"
            )
        found[name] = file.read_bytes()
    return found


def without_workshop(manifest: str) -> str:
    """Return a package's manifest as it is where this isn't Linux: its ``#if os(Linux)`` have each an ``#else``, and none is in another."""
    chosen = re.compile(r"^#if os\(Linux\)\n.*?^#else\n(.*?)^#endif\n", re.MULTILINE | re.DOTALL)
    return chosen.sub(lambda found: textwrap.dedent(found[1]), manifest)


def _filled(file: Path) -> bytes:
    said: Mapping[str, str] = {"VERSION": semantic_version(), "PROTOCOL": protocol_version()}
    text = file.read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: said[found[1]], text).encode()


def package(place: Path = OUT) -> list[Path]:
    """Write the zip into a directory, and return it."""
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"{NAME}-{semantic_version()}.zip"
    zipped(target, files())
    return [target]
