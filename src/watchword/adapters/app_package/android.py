"""Read what an Android package states: its manifest, resources, network security config and signatures.

All of it is read here with bounds of our own.  The library for it is native code that opens the file by its path, so that the time,
the memory and the view of the archive would be its own; for an App Bundle another one would be needed beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchword.scan.android.binary import (
    AndroidFormatError,
    BinaryTable,
    BundleTable,
    Element,
    Reader,
    Resources,
    Table,
    read_axml,
    read_bundle_xml,
)
from watchword.scan.android.manifest import read_manifest, read_network_config
from watchword.scan.android.signatures import (
    MOST_SIGNATURES,
    UNKNOWN,
    changed_since_signed,
    describe,
    read_signing_block,
    signature_files,
    signers,
)
from watchword.scan.app import (
    Certificate,
    Container,
    Manifest,
    NetworkConfig,
    Part,
    Resource,
    Signing,
)
from watchword.scan.archive.interface import Archive, MissingEntryError, inner_name
from watchword.scan.notes import Notes

AAB_MANIFEST = "base/manifest/AndroidManifest.xml"
APK_MANIFEST = "AndroidManifest.xml"

MOST_TABLES: Final = 64
"""How many resource tables are read: one per split or module that has any."""

MOST_TABLE_BYTES: Final = 64 * 1024 * 1024
"""How large one may be; those of the largest apps have about 20 MB."""

_BUNDLE_BASE: Final = "base/"


@dataclass(frozen=True, slots=True)
class AndroidParts:
    """Hold what a package states; None for what couldn't be read, which is a gap, or isn't there."""

    manifest: Manifest | None
    network: NetworkConfig | None
    signing: Signing | None
    resources: tuple[Resource, ...]


def read_android(
    path: Path,  # noqa: ARG001 - every reader of an app's package is called with it.
    archive: Archive,
    container: Container,
    notes: Notes,
) -> AndroidParts:
    """Return what an Android package states; of a split set, what its base does, with the strings of all splits.

    Of a bundle's modules the base's manifest is read: the build merges those of the others into it.
    """
    return _Reading(archive, notes, bundle=container is Container.AAB).parts()


class _Reading:
    """Read the parts of one package."""

    def __init__(self, archive: Archive, notes: Notes, *, bundle: bool) -> None:
        self._archive = archive
        self._notes = notes
        self._bundle = bundle
        self._parse: Callable[[bytes], Element] = read_bundle_xml if bundle else read_axml

    def parts(self) -> AndroidParts:
        tables = self._tables()
        resources = Resources([table for _, table in tables], self._notes)
        manifest = self._manifest(resources)
        network = self._network(manifest, resources)
        strings = resources.strings()
        for name, table in tables:
            for why in table.damage:
                self._notes.gap(Part.RESOURCES, name, why)
            self._notes.seen(Part.RESOURCES, not table.damage, 1, "resource tables")
        return AndroidParts(manifest, network, self._signing(), strings)

    def _tables(self) -> list[tuple[str, Table]]:
        file = "resources.pb" if self._bundle else "resources.arsc"
        named = [name for name in self._archive.names if _is_table(name, file)]
        # The base's first: a feature's may hold the same names.
        named.sort(key=lambda name: (name not in (file, f"{_BUNDLE_BASE}{file}"), name))
        found: list[tuple[str, Table]] = []
        for name in named:
            try:
                table = self._table(name, full=len(found) >= MOST_TABLES)
            except (MissingEntryError, AndroidFormatError) as error:
                self._gap(Part.RESOURCES, name, error)
                self._notes.seen(Part.RESOURCES, 0, 1, "resource tables")
                continue
            found.append((name, table))
        return found

    def _table(self, name: str, *, full: bool) -> Table:
        if full:
            raise AndroidFormatError(f"more than {MOST_TABLES} resource tables")
        data = self._archive.read(name)
        if len(data) > MOST_TABLE_BYTES:
            raise AndroidFormatError(f"{len(data)} bytes; at most {MOST_TABLE_BYTES} are read")
        if not self._notes.memory.keep(len(data)):
            raise AndroidFormatError("more memory than a scan may take")
        return BundleTable(data) if self._bundle else BinaryTable(data)

    def _gap(self, part: Part, name: str, error: MissingEntryError | AndroidFormatError) -> None:
        why = error.why if isinstance(error, MissingEntryError) else str(error)
        self._notes.gap(part, name, why)

    def _manifest(self, resources: Resources) -> Manifest | None:
        name = AAB_MANIFEST if self._bundle else APK_MANIFEST
        found: Manifest | None = None
        try:
            root = self._parse(self._archive.read(name))
            found = read_manifest(root, Reader(Part.MANIFEST, name, resources, self._notes))
        except (MissingEntryError, AndroidFormatError) as error:
            self._gap(Part.MANIFEST, name, error)
        self._notes.seen(Part.MANIFEST, found is not None, 1, "manifests")
        return found

    def _network(self, manifest: Manifest | None, resources: Resources) -> NetworkConfig | None:
        if manifest is None:
            self._notes.gap(Part.NETWORK_CONFIG, "", "the manifest, which names it, wasn't read")
            return None
        if manifest.network_config is None:
            return None
        name = f"{_BUNDLE_BASE if self._bundle else ''}{manifest.network_config}"
        target = manifest.target_sdk or manifest.min_sdk or 1
        found: NetworkConfig | None = None
        try:
            root = self._parse(self._archive.read(name))
            reader = Reader(Part.NETWORK_CONFIG, name, resources, self._notes)
            found = read_network_config(name, root, target, reader)
        except (MissingEntryError, AndroidFormatError) as error:
            self._gap(Part.NETWORK_CONFIG, name, error)
        self._notes.seen(Part.NETWORK_CONFIG, found is not None, 1, "network security configs")
        return found

    def _signing(self) -> Signing | None:
        """Return what signs the package; None if nothing but damage was seen of it."""
        schemes: dict[str, None] = {}
        raw: dict[bytes, None] = {}
        changed: tuple[str, ...] = ()
        whole = True
        try:
            signed = read_signing_block(self._archive.package)
            changed = changed_since_signed(self._archive.package, signed)
            for each in signed:
                schemes[each.scheme] = None
                raw.update(dict.fromkeys(each.certificates))
                if each.damage:
                    whole = False
                    self._notes.gap(Part.SIGNING, "", each.damage)
        except AndroidFormatError as error:
            whole = False
            self._gap(Part.SIGNING, "", error)
        files = signature_files(self._archive.names)
        for name in files[MOST_SIGNATURES:]:
            self._notes.gap(Part.SIGNING, name, f"more than {MOST_SIGNATURES} signatures")
        for name in files[:MOST_SIGNATURES]:
            try:
                raw.update(dict.fromkeys(signers(self._archive.read(name))))
                schemes["v1"] = None
            except (MissingEntryError, AndroidFormatError) as error:
                whole = False
                self._gap(Part.SIGNING, name, error)
        if not whole and not schemes:
            return None
        certificates = self._certificates(tuple(raw))
        return Signing(tuple(sorted(schemes)), certificates, changed)

    def _certificates(self, raw: Sequence[bytes]) -> tuple[Certificate, ...]:
        found = tuple(describe(each) for each in raw)
        for each in found:
            if each.key == UNKNOWN:
                why = f"the certificate with SHA-256 {each.sha256} couldn't be read"
                self._notes.gap(Part.SIGNING, "", why)
        readable = sum(each.key != UNKNOWN for each in found)
        if found:
            self._notes.seen(Part.SIGNING, readable, len(found), "signing certificates")
        return found


def _is_table(name: str, file: str) -> bool:
    """Tell whether an entry is a resource table: at the top of a package or, in a bundle, of a module."""
    inner = inner_name(name)
    return inner == file or (
        file.endswith(".pb") and inner.count("/") == 1 and inner.endswith(f"/{file}")
    )
