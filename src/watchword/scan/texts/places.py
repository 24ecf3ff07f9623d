"""Tell by its name what an entry holds that is worth reading as text."""

import re
from enum import StrEnum
from typing import Final

from watchword.scan.archive.interface import inner_name


class Kind(StrEnum):
    """Name the form of an entry that is read as text; ``script`` and ``asset`` tell their own form by their bytes."""

    SCRIPT = "script"
    SNAPSHOT = "snapshot"
    UNITY = "unity"
    DOTNET = "dotnet"
    CORDOVA = "cordova"
    ASSET = "asset"


_SCRIPTS: Final = (".bundle", ".jsbundle", ".hbc")
_SNAPSHOT_NAMES: Final = frozenset(
    {"libapp.so", "kernel_blob.bin", "isolate_snapshot_data", "vm_snapshot_data"}
)
_METADATA: Final = "global-metadata.dat"
_ASSEMBLY: Final = (".dll", ".dll.lz4", ".exe")
_PACKED: Final = re.compile(r"assemblies\..*blob|lib_.+\.dll\.so|libassembl.*\.so")
_WEB: Final = re.compile(r"(?:^|/)(?:www|public)/")
_WEB_TEXT: Final = frozenset(
    {"js", "mjs", "cjs", "jsx", "ts", "tsx", "vue", "html", "htm", "json", "map", "txt", "xml"}
)
_TEXT: Final = _WEB_TEXT | {
    "properties",
    "pem",
    "key",
    "crt",
    "yaml",
    "yml",
    "toml",
    "ini",
    "conf",
    "config",
    "cfg",
    "env",
    "plist",
    "strings",
    "graphql",
    "sql",
    "csv",
    "md",
}
_SKIPPED: Final = re.compile(
    r"(?:^|/)(?:META-INF|BUNDLE-METADATA|_CodeSignature|SC_Info)/|^(?:[^/]+/)?res/(?!raw[-/]).*\.xml$|AndroidManifest\.xml$"
)


def kind_of(name: str) -> Kind | None:
    """Return what an entry is read as; None for what isn't read.

    Compiled XML of Android's ``res`` is left to the readers of manifest and resources, and so are signatures.
    """
    name = inner_name(name)
    last = name.rpartition("/")[2]
    ending = last.rpartition(".")[2].lower()
    found: Kind | None = None
    if last.endswith(_SCRIPTS):
        found = Kind.SCRIPT
    elif is_snapshot(name):
        found = Kind.SNAPSHOT
    elif last == _METADATA:
        found = Kind.UNITY
    elif _is_dotnet(last):
        found = Kind.DOTNET
    elif _SKIPPED.search(name) is None:
        if _WEB.search(name) is not None and ending in _WEB_TEXT:
            found = Kind.CORDOVA
        elif ending in _TEXT or last.startswith(".env"):
            found = Kind.ASSET
    return found


def is_snapshot(name: str) -> bool:
    """Tell whether an entry is what Flutter compiles an app's code into."""
    return name.rpartition("/")[2] in _SNAPSHOT_NAMES or name.endswith(
        "/Frameworks/App.framework/App"
    )


def _is_dotnet(last: str) -> bool:
    """Tell whether an entry holds assemblies of .NET: a loose one, a store, or a library of Android around either."""
    return last.lower().endswith(_ASSEMBLY) or _PACKED.fullmatch(last) is not None
