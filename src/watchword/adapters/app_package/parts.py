"""Call the readers of a package's parts; what one of them can't read is a gap, never the end of the scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from watchword.reasons import WatchwordError
from watchword.scan.app import (
    Assembly,
    Code,
    Container,
    Framework,
    FrameworkCode,
    IosInfo,
    Manifest,
    Native,
    NetworkConfig,
    Part,
    Resource,
    Signing,
    TextPart,
)
from watchword.scan.archive.interface import Archive
from watchword.scan.archive.pace import Pace
from watchword.scan.notes import Notes


@dataclass(frozen=True, slots=True)
class PartReader:
    """Name a reader, and the parts that aren't seen without it; it is imported when it is needed."""

    module: str
    function: str
    parts: tuple[Part, ...]


ANDROID = PartReader(
    "watchword.adapters.app_package.android",
    "read_android",
    (Part.MANIFEST, Part.RESOURCES, Part.NETWORK_CONFIG, Part.SIGNING),
)
CODE = PartReader("watchword.scan.dex.reader", "read_code", (Part.DEX,))
IOS = PartReader(
    "watchword.scan.ios.reader", "read_ios", (Part.PLIST, Part.ENTITLEMENTS, Part.PRIVACY)
)
NATIVES = PartReader("watchword.adapters.app_package.native", "read_natives", (Part.NATIVE,))
FRAMEWORKS = PartReader("watchword.scan.frameworks", "recognise", (Part.BUNDLE,))
TEXTS = PartReader("watchword.scan.texts.reader", "read_texts", (Part.BUNDLE, Part.ASSETS))
ASSEMBLIES = PartReader("watchword.scan.dotnet.reader", "read_assemblies", (Part.BUNDLE,))


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold what the readers made of a package."""

    manifest: Manifest | None = None
    network: NetworkConfig | None = None
    signing: Signing | None = None
    resources: tuple[Resource, ...] = ()
    code: Code | None = None
    natives: tuple[Native, ...] = ()
    texts: tuple[TextPart, ...] = ()
    ios: IosInfo | None = None
    assemblies: tuple[Assembly, ...] = ()


def read_parts(
    path: Path,
    archive: Archive,
    container: Container,
    dexes: Callable[[], Sequence[tuple[str, bytes]]],
    notes: Notes,
    pace: Pace,
) -> Parts:
    """Read all parts that a package of this form has.

    :param dexes: unpacks the DEX files when their turn comes.
    """

    def call(reader: PartReader, *arguments: object) -> Any:
        return _call(reader, arguments, notes, pace)

    def over() -> bool:
        return pace.over

    ios = android = code = None
    if container is Container.IPA:
        ios = call(IOS, archive, notes)
    else:
        android = call(ANDROID, path, archive, container, notes)
        found = () if pace.over else dexes()
        code = call(CODE, found, notes) if found or pace.over else None
        del found
    natives = call(NATIVES, archive, notes, over) or ()
    managed = call(ASSEMBLIES, archive, notes, over)
    texts = call(TEXTS, archive, notes, over) or ()
    return Parts(
        manifest=getattr(android, "manifest", None),
        network=getattr(android, "network", None),
        signing=getattr(android, "signing", None),
        resources=tuple(getattr(android, "resources", ())),
        code=code,
        natives=natives,
        texts=(*texts, *getattr(managed, "texts", ())),
        ios=ios,
        assemblies=getattr(managed, "assemblies", ()),
    )


def recognised(
    archive: Archive, container: Container, notes: Notes, parts: Parts, pace: Pace
) -> tuple[FrameworkCode, ...]:
    """Return the frameworks that hold code of the app; if nobody could look for them, as one that nobody read."""
    arguments = (archive, container, notes, parts.manifest, parts.code, parts.natives)
    found: tuple[FrameworkCode, ...] | None = _call(FRAMEWORKS, arguments, notes, pace)
    if found is None:
        name, by = "code that nobody looked for", "a scan that ended before"
        return (FrameworkCode(Framework.LOADED, name, by, ()),)
    return found


def _call(reader: PartReader, arguments: tuple[object, ...], notes: Notes, pace: Pace) -> Any:
    """Call one reader; None, with a gap for each of its parts, if the time is over or it fails."""
    why = "the time was over"
    if not pace.over:
        try:
            return getattr(import_module(reader.module), reader.function)(*arguments)
        except WatchwordError as error:
            why = str(error)
        except ImportError:
            why = f"nothing that reads it is installed ({reader.module})"
        except Exception as error:  # noqa: BLE001 - a stranger's bytes broke one reader; the others still see theirs.
            why = f"its reader gave up ({type(error).__name__}); please report it"
    for part in reader.parts:
        notes.gap(part, "", why)
    return None
