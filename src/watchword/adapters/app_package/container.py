"""Tell what a file is by what is in it, never by its name."""

import re

from watchword.scan.app import Container
from watchword.scan.archive.package import ZipArchive

AAB_MANIFEST = "base/manifest/AndroidManifest.xml"
APK_MANIFEST = "AndroidManifest.xml"

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
