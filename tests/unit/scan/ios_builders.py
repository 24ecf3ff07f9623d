"""Build IPAs of an app that does nothing: property lists, a Mach-O header with load commands, a signature that signs nothing."""

import io
import plistlib
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from watchword.adapters.app_package.native import read_natives
from watchword.scan.app import App, Container, Entry
from watchword.scan.archive.interface import Limits, Pace
from watchword.scan.archive.package import Budget, ZipArchive, open_zip
from watchword.scan.ios.reader import read_ios
from watchword.scan.notes import Notes
from watchword.scan.texts.reader import read_texts
from watchword.vocabulary import Platform

FOLDER = "Payload/Shop.app/"
EXECUTABLE = f"{FOLDER}Shop"
PLIST = f"{FOLDER}Info.plist"

ARM64, ARM = 0x0100000C, 12
_EXTERNAL, _LOCAL, _SOURCE = 0x01, 0x0E, 0x64


def superblob(
    entitlements: bytes | None, *, magic: int = 0xFADE7171, der: bytes | None = None
) -> bytes:
    """Return a code signature with a code directory that is empty, and entitlements in the forms in which there are any."""
    blobs = [(0, 0xFADE0C02, b"")]
    if entitlements is not None:
        blobs.append((5, magic, entitlements))
    if der is not None:
        blobs.append((7, 0xFADE7172, der))
    at = 12 + 8 * len(blobs)
    index = content = b""
    for slot, kind, payload in blobs:
        index += struct.pack(">II", slot, at + len(content))
        content += struct.pack(">II", kind, 8 + len(payload)) + payload
    return struct.pack(">III", 0xFADE0CC0, at + len(content), len(blobs)) + index + content


def in_der(entitlements: Mapping[str, object]) -> bytes:
    """Return entitlements in DER, as signatures hold them since iOS 15."""
    return _tlv(0x70, _tlv(2, b"\x01") + _valued(entitlements))


def _valued(value: object) -> bytes:
    if isinstance(value, bool):
        return _tlv(1, b"\xff" if value else b"\0")
    if isinstance(value, int):
        return _tlv(2, value.to_bytes(4, "big"))
    if isinstance(value, Mapping):
        pairs = (_tlv(0x30, _valued(key) + _valued(each)) for key, each in value.items())
        return _tlv(0xB0, b"".join(pairs))
    if isinstance(value, list):
        return _tlv(0x30, b"".join(map(_valued, value)))
    return _tlv(12, str(value).encode())


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    return (
        bytes([tag, *([length] if length < 128 else [0x82, *length.to_bytes(2, "big")])]) + content
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Describe one architecture's image.

    :param der: entitlements in DER.
    :param encryption: its system, 0 for none; None for no such load command.
    :param debugging: names that only a debugger is told: paths of sources.
    :param text: what lies in the range that may be encrypted.
    :param plain: what lies behind it.
    """

    cpu: int = ARM64
    pie: bool = True
    kind: int = 2
    entitlements: Mapping[str, object] | None = None
    der: bytes | None = None
    signed: bool = True
    encryption: int | None = 0
    imports: tuple[str, ...] = ("___stack_chk_fail",)
    locals: tuple[str, ...] = ()
    debugging: tuple[str, ...] = ()
    text: bytes = b""
    plain: bytes = b""

    def data(self) -> bytes:
        """Return its bytes."""
        wide = self.cpu == ARM64
        head = 32 if wide else 28
        encryption = 0 if self.encryption is None else 24 if wide else 20
        commands_size = 24 + encryption + (16 if self.signed else 0)
        text_at = head + commands_size
        plain_at = text_at + len(self.text)
        names = b"\0"
        table = b""
        for name, kind in [
            *((name, _EXTERNAL) for name in self.imports),
            *((name, _LOCAL) for name in self.locals),
            *((name, _SOURCE) for name in self.debugging),
        ]:
            table += struct.pack("<IBBHQ" if wide else "<IBBHI", len(names), kind, 0, 0, 0)
            names += name.encode() + b"\0"
        table_at = plain_at + len(self.plain)
        names_at = table_at + len(table)
        blob_at = names_at + len(names)
        granted = None if self.entitlements is None else plistlib.dumps(dict(self.entitlements))
        blob = superblob(granted, der=self.der) if self.signed else b""
        count = len(self.imports) + len(self.locals) + len(self.debugging)
        commands = struct.pack("<6I", 2, 24, table_at, count, names_at, len(names))
        if self.encryption is not None:
            form = (0x2C, 24) if wide else (0x21, 20)
            numbers = (text_at, len(self.text), self.encryption)
            commands += struct.pack("<5I", *form, *numbers) + (b"\0\0\0\0" if wide else b"")
        if self.signed:
            commands += struct.pack("<4I", 0x1D, 16, blob_at, len(blob))
        flags = 0x200000 if self.pie else 0
        ncmds = 1 + (self.encryption is not None) + self.signed
        magic = 0xFEEDFACF if wide else 0xFEEDFACE
        header = struct.pack("<7I", magic, self.cpu, 0, self.kind, ncmds, len(commands), flags)
        header += b"\0\0\0\0" if wide else b""
        return header + commands + self.text + self.plain + table + names + blob


def fat(*images: bytes) -> bytes:
    """Return a file with several architectures."""
    at = 8 + 20 * len(images)
    head, content = struct.pack(">II", 0xCAFEBABE, len(images)), b""
    for image in images:
        head += struct.pack(">5I", ARM64, 0, at + len(content), len(image), 0)
        content += image
    return head + content


def info(**more: object) -> dict[str, object]:
    """Return an ``Info.plist`` that states nothing about transport or links."""
    return {
        "CFBundleIdentifier": "com.example.shop",
        "CFBundleExecutable": "Shop",
        "CFBundleShortVersionString": "1.2",
        "MinimumOSVersion": "15.0",
        "DTSDKName": "iphoneos17.0",
        **more,
    }


def ats(**settings: object) -> dict[str, object]:
    """Return an ``Info.plist`` with these settings of App Transport Security."""
    return info(NSAppTransportSecurity=settings)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of these entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def archive_of(files: Mapping[str, bytes], notes: Notes | None = None) -> ZipArchive:
    """Return an archive of these entries, opened."""
    budget, pace = Budget(Limits()), Pace(lambda: 60.0)
    return open_zip(memoryview(zipped(files)), budget, pace, notes or Notes())


def ipa(
    plist: Mapping[str, object] | None = None,
    image: Image | None = None,
    files: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return the entries of an IPA."""
    built = image or Image(entitlements={})
    return {
        PLIST: plistlib.dumps(dict(plist if plist is not None else info())),
        EXECUTABLE: built.data(),
        f"{FOLDER}PkgInfo": b"APPL????",
        **(files or {}),
    }


def read(files: Mapping[str, bytes], platform: Platform = Platform.IOS) -> App:
    """Return the app that these entries are, as far as the readers of this part go."""
    notes = Notes()
    archive = archive_of(files, notes)
    return App(
        name="shop.ipa" if platform is Platform.IOS else "shop.apk",
        container=Container.IPA if platform is Platform.IOS else Container.APK,
        platform=platform,
        digest="00" * 32,
        size=1,
        entries=tuple(Entry(name, len(data)) for name, data in files.items()),
        ios=read_ios(archive, notes) if platform is Platform.IOS else None,
        natives=read_natives(archive, notes),
        texts=read_texts(archive, notes),
        coverage=notes.coverage(),
    )
