"""Read what an IPA says of itself."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from watchword.scan.app import IosInfo, Part
from watchword.scan.archive.interface import Archive, MissingEntryError
from watchword.scan.ios.macho import MachOError, slices
from watchword.scan.ios.places import app_folders
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.ios.signature import EntitlementsError, entitlements
from watchword.scan.notes import Notes

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
