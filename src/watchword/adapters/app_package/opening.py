"""Open a built app: find out what it is, read its parts, and tell how much of it was seen."""

from collections.abc import Callable
from pathlib import Path

from watchword.adapters.app_package.container import (
    archive_without_app,
    container_of,
    looks_like,
)
from watchword.adapters.app_package.dex_entries import read_dexes
from watchword.adapters.app_package.mapped_file import (
    MOST_COPIED,
    MappedFile,
    PackageError,
    mapped,
)
from watchword.adapters.app_package.parts import read_parts, recognised
from watchword.scan.app import App, Container, Part
from watchword.scan.archive.interface import Limits, inner_name
from watchword.scan.archive.pace import Memory, Pace
from watchword.scan.archive.package import Budget, NotAnArchiveError, ZipArchive, open_zip
from watchword.scan.archive.splits import MergedArchive, find_splits
from watchword.scan.notes import Notes
from watchword.vocabulary import Platform

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
