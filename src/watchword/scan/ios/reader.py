"""Read what an IPA says of itself: property lists, signature, privacy manifest.

A dictionary is a list of pairs under tag 16, in older signatures a SET of them; around the outermost stands the version of the form.

Source: Apple's ``cs_blobs.h``: a SuperBlob (big-endian) that lists blobs by slot.  Since iOS 15 entitlements are signed in DER too, and
the system takes those; a signature may lack the property list.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from watchword.encoding import der
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.app import IosInfo, Part
from watchword.scan.archive.interface import Archive, MissingEntryError
from watchword.scan.ios.macho import MachOError, Slice, slices
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.notes import Notes

_APP: Final = re.compile(r"Payload/[^/]+\.app/Info\.plist")
_HOLDERS: Final = (".app", ".framework", ".appex")
_NO_CODE: Final = frozenset({"PkgInfo", "CodeResources", "_CodeSignature"})


def app_folders(names: Iterable[str]) -> tuple[str, ...]:
    """Return the folders of the apps in ``Payload``, each with its final slash; there should be one."""
    return tuple(
        name.removesuffix("Info.plist") for name in names if _APP.fullmatch(name) is not None
    )


def may_be_image(name: str) -> bool:
    """Tell whether an entry can be an executable or a library of an app, by its name."""
    if not name.startswith("Payload/") or "/" not in name[8:]:
        return False
    folder, _, last = name.rpartition("/")
    holder = folder.rpartition("/")[2]
    if not last:
        return False  # A folder.
    if last.endswith(".dylib"):
        return True
    if not holder.endswith(_HOLDERS) or last in _NO_CODE:
        return False
    return "." not in last or last == holder.rpartition(".")[0]


MOST_DEPTH: Final = 16
"""How deep values may be nested; those of Apple's are three deep."""

_APPLICATION: Final = 1
_DICTIONARY: Final = 16
_TEXT: Final = 12
_VERSION: Final = 1


class EntitlementsError(WatchwordError):
    """Report that entitlements can't be read; the text says why and holds nothing of their content."""


def read_entitlements(data: bytes) -> Mapping[str, object]:
    """Return the dictionary of entitlements.

    :raises EntitlementsError: if it is damaged, nested too deep, or of a form that isn't known.
    """
    try:
        whole = der.read(data)
        if whole.tag_class == _APPLICATION and whole.number == _DICTIONARY:
            version, whole = _two(der.children(whole))
            if der.integer(version) != _VERSION:
                raise EntitlementsError("entitlements in DER of a version that isn't known")
        found = _value(whole, MOST_DEPTH)
    except MalformedError as error:
        raise EntitlementsError("entitlements in DER that are damaged") from error
    if not isinstance(found, dict):
        raise EntitlementsError("entitlements in DER that are no dictionary")
    return found


def _value(element: der.Tlv, depth: int) -> object:
    """Return what an element holds, in the types that a property list has."""
    found: object
    if not depth:
        raise EntitlementsError(f"entitlements in DER that are nested deeper than {MOST_DEPTH}")
    if element.is_context(_DICTIONARY) or element.is_universal(der.SET):
        pairs = (_two(der.sequence(pair)) for pair in der.children(element))
        found = {_der_text(key): _value(value, depth - 1) for key, value in pairs}
    elif element.is_universal(der.SEQUENCE):
        found = [_value(each, depth - 1) for each in der.children(element)]
    elif element.is_universal(der.BOOLEAN):
        found = der.boolean(element)
    elif element.is_universal(der.INTEGER):
        found = der.integer(element)
    else:
        found = _der_text(element)
    return found


def _two(elements: tuple[der.Tlv, ...]) -> tuple[der.Tlv, der.Tlv]:
    """Return a pair."""
    if len(elements) != 2:
        raise EntitlementsError("entitlements in DER with an element that isn't a pair")
    return elements[0], elements[1]


def _der_text(element: der.Tlv) -> str:
    """Return a UTF-8 string."""
    if element.constructed or not element.is_universal(_TEXT):
        raise EntitlementsError("entitlements in DER with a value of a type that isn't known")
    try:
        return element.content.decode()
    except UnicodeDecodeError as error:
        raise EntitlementsError("entitlements in DER with a text that is damaged") from error


_SUPERBLOB: Final = 0xFADE0CC0
_ENTITLEMENTS: Final = 0xFADE7171
_ENTITLEMENTS_DER: Final = 0xFADE7172
_SLOT: Final = 5
_SLOT_DER: Final = 7
_MOST_BLOBS: Final = 64


def entitlements(data: bytes, image: Slice) -> Mapping[str, object] | None:
    """Return what an image is entitled to: an empty mapping if its signature grants nothing, None if it isn't signed.

    :raises MachOError: if the signature is damaged.
    :raises PlistError: if the entitlements in it can't be read.
    :raises EntitlementsError: if those in DER can't be read, or say something else than the property list beside them.
    """
    if image.signature is None:
        return None
    blob = data[image.signature.start : image.signature.stop]
    try:
        written = _blob(blob, _SLOT, _ENTITLEMENTS)
        signed = _blob(blob, _SLOT_DER, _ENTITLEMENTS_DER)
    except struct.error as error:
        raise MachOError("a code signature that ends too early") from error
    listed = None if written is None else read_plist(written)
    if signed is None:
        return listed or {}
    found = read_entitlements(signed)
    if listed is not None and listed != found:
        raise EntitlementsError(
            "entitlements in DER that differ from the property list beside them"
        )
    return found


def _blob(signature: bytes, wanted: int, magic: int) -> bytes | None:
    """Return what the first blob of a slot holds; None if there is none."""
    kind, _, count = struct.unpack_from(">III", signature)
    if kind != _SUPERBLOB or count > _MOST_BLOBS:
        raise MachOError("a code signature of a form that isn't known")
    for index in range(count):
        slot, at = struct.unpack_from(">II", signature, 12 + index * 8)
        if slot != wanted:
            continue
        kind, length = struct.unpack_from(">II", signature, at)
        if kind != magic or length < 8 or at + length > len(signature):
            raise MachOError("a code signature whose entitlements are damaged")
        return signature[at + 8 : at + length]
    return None


__all__ = ["EntitlementsError", "MachOError", "PlistError", "entitlements"]


_PROFILE: Final = "embedded.mobileprovision"
_WITHIN: Final = re.compile(r".+\.(?:appex|app)/Info\.plist")
_PRIVACY: Final = "PrivacyInfo.xcprivacy"


def read_ios(archive: Archive, notes: Notes) -> IosInfo | None:
    """Return what the app in ``Payload`` says of itself; None, with a gap, if that can't be read.

    Entitlements are those of the executable's signature: what a profile would allow isn't asked.
    """
    folders = app_folders(archive.names)
    if not folders:
        notes.gap(Part.PLIST, "", "no Payload/NAME.app/Info.plist: not an app for iOS")
        return None
    for folder in folders[1:]:
        notes.gap(Part.PLIST, f"{folder}Info.plist", "a second app in Payload; the first was read")
    folder = folders[0]
    info = _plist(archive, notes, Part.PLIST, f"{folder}Info.plist")
    if info is None:
        return None
    _others(archive, notes, folder)
    return IosInfo(
        bundle_id=_text(info, "CFBundleIdentifier") or "",
        version=_text(info, "CFBundleShortVersionString"),
        minimum_os=_text(info, "MinimumOSVersion"),
        info=info,
        entitlements=_entitlements(archive, notes, folder, info),
        privacy=_optional(archive, notes, Part.PRIVACY, f"{folder}{_PRIVACY}"),
        provisioned=_provisioned(archive, notes, f"{folder}{_PROFILE}"),
    )


def _others(archive: Archive, notes: Notes, folder: str) -> None:
    """Note what extensions and apps within the app, such as one for a watch, state of their own: only the app's word is judged."""
    for name in archive.names:
        if not name.startswith(folder) or _WITHIN.fullmatch(name, len(folder)) is None:
            continue
        info = _plist(archive, notes, Part.PLIST, name)
        if info is None:
            continue
        if info.get("NSAppTransportSecurity"):
            why = "a program of its own within the app, whose App Transport Security isn't judged"
            notes.gap(Part.PLIST, name, why)
        found = _entitlements(archive, notes, name.removesuffix("Info.plist"), info)
        if found is not None and found.get("get-task-allow"):
            why = "a program of its own within the app, which lets a debugger be attached"
            notes.gap(Part.ENTITLEMENTS, name, why)


def _text(info: Mapping[str, object], key: str) -> str | None:
    value = info.get(key)
    return value if isinstance(value, str) else None


def _optional(archive: Archive, notes: Notes, part: Part, name: str) -> Mapping[str, object] | None:
    """Read a property list that needn't be there: it's no gap if it isn't."""
    return _plist(archive, notes, part, name) if archive.has(name) else None


def _plist(
    archive: Archive,
    notes: Notes,
    part: Part,
    name: str,
    parse: Callable[[bytes], Mapping[str, object]] = read_plist,
) -> Mapping[str, object] | None:
    found: Mapping[str, object] | None = None
    try:
        found = parse(archive.read(name))
    except MissingEntryError as error:
        notes.gap(part, name, error.why)
    except PlistError as error:
        notes.gap(part, name, str(error))
    notes.seen(part, found is not None, 1, "property lists")
    return found


def read_profile(data: bytes) -> Mapping[str, object]:
    """Return the property list inside a provisioning profile, which is a CMS message; its signature isn't verified.

    :raises PlistError: if there is none.
    """
    start = data.find(b"<?xml")
    end = data.find(b"</plist>", start)
    if start < 0 or end < 0:
        raise PlistError("a provisioning profile with no property list in it")
    return read_plist(data[start : end + len(b"</plist>")])


def _provisioned(archive: Archive, notes: Notes, name: str) -> bool | None:
    """Tell whether a profile is in the app, as in every build that didn't come from the store; None if it's damaged."""
    if not archive.has(name):
        return False
    return True if _plist(archive, notes, Part.PLIST, name, read_profile) is not None else None


def _entitlements(
    archive: Archive, notes: Notes, folder: str, info: Mapping[str, object]
) -> Mapping[str, object] | None:
    """Return the entitlements of the first image that is signed; None, with a gap, if there is none."""
    executable = f"{folder}{_text(info, 'CFBundleExecutable') or ''}"
    if executable == folder or not archive.has(executable):
        # All that such an app does would be done there: without it, nothing of its code is absent.
        notes.gap(Part.NATIVE, executable, "the app's executable isn't in the package")
    found: Mapping[str, object] | None = None
    try:
        data = archive.read(executable)
        signed = (entitlements(data, image) for image in slices(data))
        found = next((one for one in signed if one is not None), None)
        if found is None:
            notes.gap(Part.ENTITLEMENTS, executable, "the executable isn't signed")
    except MissingEntryError as error:
        notes.gap(Part.ENTITLEMENTS, executable, error.why)
    except (MachOError, PlistError, EntitlementsError) as error:
        notes.gap(Part.ENTITLEMENTS, executable, str(error))
    notes.seen(Part.ENTITLEMENTS, found is not None, 1, "signatures")
    return found
