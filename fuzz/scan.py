"""Fuzz what a scan reads: packages and what is in them, descriptions of APIs, and the files beside them.

What a stranger put into his app comes to these readers as it stands.  Damage is told as a gap or by an error of ours.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.unit.scan.android.builders import Type, table
from tests.unit.scan.ios_builders import FOLDER, archive_of

from watchword.adapters.app_package.native import ElfError, read_elf
from watchword.apps.scan.document import ScanDocumentError, document, reports_of
from watchword.apps.scan.report import Scanned
from watchword.apps.settings.document import parse_document
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, WatchwordError
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
from watchword.scan.android.signatures import changed_since_signed, describe, read_signing_block
from watchword.scan.android.signatures import signers as jar_signers
from watchword.scan.api.registry import look_at
from watchword.scan.app import App, Container, Coverage, Depth, Part, Resource, TextPart
from watchword.scan.archive.interface import Limits, MissingEntryError, Pace
from watchword.scan.archive.package import Budget, NotAnArchiveError, open_zip
from watchword.scan.archive.splits import find_splits
from watchword.scan.baseline import BaselineError, from_baseline, from_suppressions, to_baseline
from watchword.scan.dex import read_code
from watchword.scan.dotnet import read_assemblies
from watchword.scan.imports import ImportedReportError, read_mobsf, read_mobsfscan
from watchword.scan.ios.macho import MachOError, slices, symbols
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.ios.reader import EntitlementsError, entitlements, read_profile
from watchword.scan.notes import Notes
from watchword.scan.secrets.detection import detect
from watchword.scan.secrets.keys import script_keys
from watchword.scan.texts import hermes
from watchword.scan.texts.lexer import Language, lexed
from watchword.scan.texts.reader import UnityError, read_texts, unity_strings
from watchword.scan.texts.runs import LONGEST_LINE
from watchword.vocabulary import Platform

_LIMITS: Final = Limits(entries=20, entry_size=16_384, total_size=32_768, ratio_from=8_192)
"""So low that small inputs reach them."""

_MOST: Final = 8
"""How many classes or methods are asked about; each answer is made the same way."""

_TEXTS: Final = (
    "assets/index.android.bundle",
    "lib/arm64-v8a/libapp.so",
    "assets/www/app.js",
    "assets/settings.json",
    f"{FOLDER}Settings.plist",
)

_TABLE: Final = table([Type("string", {"host": "a.example"}), Type("bool", {"yes": True})])

_RESOURCES: Final = (0x7F010000, 0x7F010001, 0x7F020000, 0x7F030000)


def read_archive(data: bytes) -> None:
    """Open an archive by both readers, unpack each entry, and take it for a split set; nothing exceeds its limits."""
    notes, budget, pace = Notes(), Budget(_LIMITS), Pace(lambda: 60.0)
    try:
        archive = open_zip(memoryview(data), budget, pace, notes)
    except NotAnArchiveError as error:
        str(error)
        return
    total = 0
    for name in archive.names:
        archive.peek(name, 8)
        archive.stored(name)
        with suppress(MissingEntryError):
            total += len(archive.read(name))
    assert total <= _LIMITS.total_size
    assert len(archive.names) <= _LIMITS.entries
    find_splits(archive, budget, pace, notes)


def read_xml(data: bytes) -> None:
    """Read a manifest and a network security config, in the form of packages and in that of bundles."""
    parsers: tuple[Callable[[bytes], Element], ...] = (read_axml, read_bundle_xml)
    for parse in parsers:
        notes = Notes()
        read = Reader(Part.MANIFEST, "a.xml", Resources([BinaryTable(_TABLE)], notes), notes)
        with suppress(AndroidFormatError):
            root = parse(data)
            with suppress(AndroidFormatError):
                read_manifest(root, read)
            with suppress(AndroidFormatError):
                read_network_config("a.xml", root, 30, read)


def read_resources(data: bytes) -> None:
    """Read a resource table in both forms, and resolve all that it holds."""
    tables: tuple[Callable[[bytes], Table], ...] = (BinaryTable, BundleTable)
    for parse in tables:
        with suppress(AndroidFormatError):
            found = parse(data)
            for number in _RESOURCES:
                found.value(number, "string/host")
            Resources([found], Notes()).strings()
            assert all(found.damage)


def read_signatures(data: bytes) -> None:
    """Read a package's signing block; and the same bytes as a signature file of a JAR, and as a certificate."""
    with suppress(AndroidFormatError):
        signed = read_signing_block(memoryview(data))
        changed_since_signed(memoryview(data), signed)
        for each in signed:
            for certificate in each.certificates:
                describe(certificate)
    with suppress(AndroidFormatError):
        jar_signers(data)
    describe(data)


def read_dex(data: bytes) -> None:
    """Read a DEX file, and ask all that rules ask."""
    code = read_code([("classes.dex", data)], Notes())
    assert list(code.strings) == sorted(set(code.strings))
    assert list(code.classes) == sorted(set(code.classes))
    for field in code.static_fields:
        code.users(field.value)
    for cls in code.classes[:_MOST]:
        code.superclass(cls)
        code.interfaces(cls)
        code.implementers(cls)
        code.refers_to(cls)
        code.calls(cls)
        for method in code.methods(cls)[:_MOST]:
            code.calls(cls, method.name)
            code.calls_of(method)
            code.strings_of(method)
            code.arguments(method)
            code.body(method)


def read_plists(data: bytes) -> None:
    """Read a property list, by itself and inside a provisioning profile."""
    with suppress(PlistError):
        read_plist(data)
    with suppress(PlistError):
        read_profile(data)


def read_native(data: bytes) -> None:
    """Read a library or executable, as ELF and as Mach-O with what it's entitled to."""
    with suppress(ElfError):
        read_elf(data)
    with suppress(MachOError):
        for image in slices(data):
            with suppress(MachOError):
                symbols(data, image)
            with suppress(MachOError, PlistError, EntitlementsError):
                entitlements(data, image)


def read_hermes(data: bytes) -> None:
    """Read the strings of Hermes bytecode, and their names, which are among them."""
    with suppress(hermes.HermesError):
        known = set(hermes.strings(data))
        assert {text for pair in hermes.named(data) for text in pair} <= known


def read_unity(data: bytes) -> None:
    """Read the strings of metadata of Unity."""
    with suppress(UnityError):
        assert all(isinstance(each, str) for each in unity_strings(data))


def read_dotnet(data: bytes) -> None:
    """Read assemblies of .NET, loose, in a store and packed; what isn't read is a gap, and its entry counts as unread."""
    notes = Notes()
    entry = "assemblies/assemblies.blob"
    found = read_assemblies(archive_of({entry: data}, notes), notes)
    assert all(one.file.startswith(entry) for one in found.assemblies)
    assert (notes.depth(entry) is Depth.UNREAD) == (not found.assemblies or notes.missed(entry))


def read_text(data: bytes) -> None:
    """Read the same bytes as each form of what is read as text; no line is longer than patterns may be matched on."""
    notes = Notes()
    for part in read_texts(archive_of(dict.fromkeys(_TEXTS, data), notes), notes):
        assert all(len(line) <= LONGEST_LINE for line in part.lines)


def read_tokens(data: bytes) -> None:
    """Tell code from comments and literals in the same text in each language; what is told lies in the text, in order."""
    text = data.decode("utf-8", "replace")
    for language in Language:
        found = lexed(language, text)
        last = 0
        for begin, end in zip(found.begins, found.ends, strict=True):
            assert last <= begin <= end <= len(text)
            last = end
        assert len(found.text) == len(text)
        for place in range(0, len(text), 7):
            _, begin, end = found.at(place)
            assert begin <= place <= end


_ENDINGS = ("txt", "js", "html", "env", "md")


def read_secrets(data: bytes) -> None:
    """Look for secrets in lines of a file and in named resources; each is told once, redacted, with its place."""
    lines = tuple(data.decode("utf-8", "replace").splitlines())
    resources = tuple(Resource(f"api_key_{at}", line) for at, line in enumerate(lines))
    app = App(
        name="a.apk",
        container=Container.APK,
        platform=Platform.ANDROID,
        digest="00" * 32,
        size=len(data),
        entries=(),
        coverage=Coverage(),
        resources=resources,
        texts=tuple(TextPart(f"assets/a.{each}", "asset", lines) for each in _ENDINGS),
    )
    found = detect(app)
    assert len({each.secret for each in found}) == len(found)
    assert all(each.places for each in found)
    assert all(place.file for _, _, place in script_keys(app))


def read_api(data: bytes) -> None:
    """Look at a description with all rules, without an app and beside one; each says something, whatever it is."""
    try:
        given = strict_json.loads(data, len(data))
    except MalformedError:
        return
    look_at(given, "api.json")
    assert look_at(given, "api.json", frozenset({"a.example"}), frozenset({"/v1/users"}))


def read_stored(data: bytes) -> None:
    """Read a report of ours, a baseline, and reports of other scanners; what was read can be written again."""
    with suppress(ScanDocumentError):
        reports = reports_of(data)
        from_baseline(to_baseline(reports))
        document([Scanned.bare(each) for each in reports])
    with suppress(ValueError, RecursionError):
        given = json.loads(data)
        with suppress(BaselineError):
            from_baseline(given)
        for read in (read_mobsf, read_mobsfscan):
            with suppress(ImportedReportError):
                document([Scanned.bare(read(given))])


def read_suppressions(data: bytes) -> None:
    """Read what somebody answers for, YAML or JSON."""
    try:
        found = parse_document(Path("suppressed.yaml"), data)
        assert from_suppressions(found.data, ["pinning", "secret-in-app"]) is not None
    except WatchwordError as error:
        str(error)
