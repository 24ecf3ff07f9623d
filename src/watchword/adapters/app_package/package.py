"""Open a built app: find out what it is, read its parts, and tell how much of it was seen."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.adapters.app_package.android import AAB_MANIFEST, APK_MANIFEST, read_android
from watchword.adapters.app_package.mapped_file import (
    MOST_COPIED,
    MappedFile,
    PackageError,
    mapped,
)
from watchword.adapters.app_package.native import read_natives
from watchword.reasons import WatchwordError
from watchword.scan.app import (
    App,
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
from watchword.scan.archive.interface import (
    Archive,
    Limits,
    Memory,
    MissingEntryError,
    Pace,
    UnreadableEntryError,
    inner_name,
)
from watchword.scan.archive.package import Budget, NotAnArchiveError, ZipArchive, open_zip
from watchword.scan.archive.splits import MergedArchive, find_splits
from watchword.scan.dex import read_code
from watchword.scan.dotnet import read_assemblies
from watchword.scan.frameworks import recognise
from watchword.scan.ios.reader import read_ios
from watchword.scan.notes import Notes
from watchword.scan.texts.reader import read_texts
from watchword.vocabulary import Platform

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


@dataclass(frozen=True, slots=True)
class PartReader:
    """Name a reader, and the parts that aren't seen without it."""

    read: Callable[..., Any]
    parts: tuple[Part, ...]


ANDROID = PartReader(
    read_android,
    (Part.MANIFEST, Part.RESOURCES, Part.NETWORK_CONFIG, Part.SIGNING),
)
CODE = PartReader(read_code, (Part.DEX,))
IOS = PartReader(read_ios, (Part.PLIST, Part.ENTITLEMENTS, Part.PRIVACY))
NATIVES = PartReader(read_natives, (Part.NATIVE,))
FRAMEWORKS = PartReader(recognise, (Part.BUNDLE,))
TEXTS = PartReader(read_texts, (Part.BUNDLE, Part.ASSETS))
ASSEMBLIES = PartReader(read_assemblies, (Part.BUNDLE,))


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
            return reader.read(*arguments)
        except WatchwordError as error:
            why = str(error)
        except ImportError:
            why = f"nothing that reads it is installed ({reader.read.__module__})"
        except Exception as error:  # noqa: BLE001 - a stranger's bytes broke one reader; the others still see theirs.
            why = f"its reader gave up ({type(error).__name__}); please report it"
    for part in reader.parts:
        notes.gap(part, "", why)
    return None


_APK_ENTRIES = ("classes.dex", "resources.arsc")
_IOS_APP = re.compile(r"Payload/[^/]+\.app/")
_HEADS = (
    (b"PK\x03\x04", "the front of a zip archive that is damaged"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"dex\n", "a bare DEX file"),
    (b"\x7fELF", "a native library or program (ELF)"),
    (b"\xcf\xfa\xed\xfe", "a native library or program (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a Java class or a universal Mach-O file"),
    (b"\x03\x00\x08\x00", "a bare binary Android manifest"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF file"),
    (b"xar!", "a macOS installer package"),
    (b"bplist", "a bare property list"),
)


def container_of(archive: ZipArchive) -> Container | None:
    """Return the form of a package that isn't a split set; None if it has none of their marks."""
    if archive.has(APK_MANIFEST):
        return Container.APK
    if archive.has(AAB_MANIFEST):
        return Container.AAB
    if any(_IOS_APP.match(name) for name in archive.names):
        return Container.IPA
    if archive.damaged and any(archive.has(name) for name in _APK_ENTRIES):
        # The manifest may have stood in what is cut off.
        return Container.APK
    return None


def looks_like(head: bytes) -> str:
    """Say for people what a file is that isn't a zip archive, by its first bytes."""
    for magic, name in _HEADS:
        if head.startswith(magic):
            return name
    if head.isascii() and head.decode("ascii").replace("\n", " ").replace("\t", " ").isprintable():
        return "a text file"
    return "bytes that aren't a zip archive"


def archive_without_app(archive: ZipArchive) -> str:
    """Say for people what a zip archive is that holds no app."""
    if archive.damaged:
        return (
            f"the front of a zip archive, {len(archive.names)} entries of it, "
            "none of which tells what it is; its end is missing"
        )
    if archive.has("classes.jar"):
        return "an Android library (AAR), which is scanned within the app that uses it"
    if archive.has("META-INF/MANIFEST.MF") and any(n.endswith(".class") for n in archive.names):
        return "a Java archive (JAR)"
    return (
        f"a zip archive of {len(archive.names)} entries with neither {APK_MANIFEST} "
        f"nor {AAB_MANIFEST} nor Payload/*.app nor APKs in it"
    )


_HEAD = 512
_PARTS = (
    (Part.DEX, (".dex",)),
    (Part.MANIFEST, ("AndroidManifest.xml",)),
    (Part.RESOURCES, ("resources.arsc", "resources.pb")),
    (Part.NATIVE, (".so", ".dylib")),
    (Part.SIGNING, (".RSA", ".DSA", ".EC", ".SF", "MANIFEST.MF")),
    (Part.PLIST, ("Info.plist",)),
)


def open_app(
    path: Path, limits: Limits, deadline: Callable[[], float], copied: int = MOST_COPIED
) -> App:
    """Read a package from disk; nothing is extracted, nothing of it is run.

    :param deadline: returns the seconds that are left; once there are none, what wasn't read yet becomes gaps.
    :param copied: bytes up to which the file is copied into memory instead of mapped.
    :raises PackageError: if it isn't a package that anything can be read of.
    """
    with mapped(path, limits.file_size, copied) as file:

        def left() -> float:
            # Whoever asks for the time is about to look at more of the file.
            file.check()
            return deadline()

        return _Opening(file, limits, Pace(left, file.release)).app()


class _Opening:
    """Hold what is shared while one package is read."""

    def __init__(self, file: MappedFile, limits: Limits, pace: Pace) -> None:
        self._file = file
        self._pace = pace
        memory = Memory()
        # A file that is mapped gives its pages back; a copy stays.
        memory.keep(0 if file.mapping is not None else len(file.data))
        self._budget = Budget(limits, memory)
        self._notes = Notes(memory)

    def app(self) -> App:
        """Read everything."""
        outer = self._outer()
        container, archive = self._package(outer)
        # Before the parts: what they can't read once the time is over is a gap, a build without its digest is nothing.
        digest = self._file.digest(self._pace)
        parts = read_parts(
            self._file.path,
            archive,
            container,
            lambda: read_dexes(archive, self._notes),
            self._notes,
            self._pace,
        )
        self._note_refused(archive)
        self._notes.recognised(recognised(archive, container, self._notes, parts, self._pace))
        entries = tuple(archive.entries)
        oddities = archive.disagreements
        if container is Container.SPLITS:
            oddities = (*outer.disagreements, *oddities)
        return App(
            name=self._file.path.name,
            container=container,
            platform=Platform.IOS if container is Container.IPA else Platform.ANDROID,
            digest=digest,
            size=len(self._file.data),
            entries=entries,
            coverage=self._notes.coverage(),
            disagreements=oddities,
            manifest=parts.manifest,
            network=parts.network,
            signing=parts.signing,
            resources=parts.resources,
            code=parts.code,
            natives=parts.natives,
            texts=parts.texts,
            ios=parts.ios,
            assemblies=parts.assemblies,
        )

    def _outer(self) -> ZipArchive:
        """Open the file as an archive."""
        try:
            return open_zip(self._file.data, self._budget, self._pace, self._notes)
        except NotAnArchiveError:
            head = bytes(self._file.data[:_HEAD])
            raise PackageError(self._file.path, looks_like(head)) from None

    def _package(self, outer: ZipArchive) -> tuple[Container, ZipArchive | MergedArchive]:
        """Tell what the archive is, and return that which the parts are read of."""
        container = container_of(outer)
        if container is not None:
            return container, outer
        splits = find_splits(outer, self._budget, self._pace, self._notes)
        if splits:
            self._note_expansions(outer)
            return Container.SPLITS, MergedArchive(splits)
        if self._pace.over:
            got = f"a file of {len(self._file.data)} bytes that the time isn't enough for"
            raise PackageError(self._file.path, got, "allow more time")
        if not outer.names:
            raise PackageError(self._file.path, looks_like(bytes(self._file.data[:4])))
        raise PackageError(self._file.path, archive_without_app(outer))

    def _note_expansions(self, outer: ZipArchive) -> None:
        """Note the expansion files of a set, which nobody reads here."""
        for name in outer.names:
            if name.lower().endswith(".obb"):
                self._notes.gap(Part.ASSETS, name, "an expansion file; it isn't opened")

    def _note_refused(self, archive: ZipArchive | MergedArchive) -> None:
        """Note the entries that a reader asked for in vain and didn't note itself: a bomb is a gap, whoever met it."""
        for name, why in archive.refused.items():
            if not self._notes.missed(name):
                self._notes.gap(_part_of(name), name, why)
        self._notes.seen(Part.ARCHIVE, len(archive.names), archive.defined, "entries")


def _part_of(name: str) -> Part:
    """Return the part that an entry belongs to, by its name."""
    inner = inner_name(name)
    return next((part for part, endings in _PARTS if inner.endswith(endings)), Part.ASSETS)


def monotonic() -> float:
    """Return seconds that only grow, from a start that means nothing: no step of the system's time may lengthen a scan."""
    return time.monotonic()
