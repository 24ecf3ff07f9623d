"""What an IPA says of itself: which files count, and what is a gap."""

import plistlib

import pytest
from tests.unit.scan.ios_builders import EXECUTABLE, FOLDER, PLIST, Image, archive_of, info, ipa

from watchword.scan.app import IosInfo, Part
from watchword.scan.ios.plists import PlistError
from watchword.scan.ios.reader import read_ios, read_profile
from watchword.scan.notes import Notes

PROFILE = b"\x30\x80cms" + plistlib.dumps({"Entitlements": {"get-task-allow": True}}) + b"signature"


def _read(files: dict[str, bytes]) -> tuple[IosInfo | None, Notes]:
    notes = Notes()
    return read_ios(archive_of(files, notes), notes), notes


def _gaps(notes: Notes) -> set[tuple[Part, str]]:
    return {(gap.part, gap.where) for gap in notes.coverage().gaps}


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY], ids=["xml", "binary"])
def test_the_app_is_read(form: plistlib.PlistFormat) -> None:
    """Info.plist, entitlements and privacy manifest of the app itself are taken, those of its libraries aren't."""
    files = ipa(image=Image(entitlements={"get-task-allow": False}))
    files |= {
        PLIST: plistlib.dumps(info(), fmt=form),
        f"{FOLDER}PrivacyInfo.xcprivacy": plistlib.dumps({"NSPrivacyTracking": True}),
        f"{FOLDER}Frameworks/A.framework/PrivacyInfo.xcprivacy": b"not read",
        f"{FOLDER}Frameworks/A.framework/Info.plist": b"not read",
    }
    ios, notes = _read(files)
    assert ios is not None
    assert (ios.bundle_id, ios.version, ios.minimum_os) == ("com.example.shop", "1.2", "15.0")
    assert ios.entitlements == {"get-task-allow": False}
    assert ios.privacy == {"NSPrivacyTracking": True}
    assert ios.provisioned is False
    assert notes.coverage().gaps == ()


def test_no_app() -> None:
    """Without Payload there's nothing to read, and that is a gap."""
    ios, notes = _read({"Info.plist": plistlib.dumps(info())})
    assert ios is None
    assert _gaps(notes) == {(Part.PLIST, "")}


def test_a_damaged_list_is_a_gap() -> None:
    """A damaged Info.plist leaves nothing; a damaged privacy manifest leaves the rest."""
    ios, notes = _read(ipa() | {PLIST: b"bplist00"})
    assert ios is None
    assert _gaps(notes) == {(Part.PLIST, PLIST)}
    privacy = f"{FOLDER}PrivacyInfo.xcprivacy"
    ios, notes = _read(ipa() | {privacy: b"<plist>"})
    assert ios is not None
    assert ios.privacy is None
    assert _gaps(notes) == {(Part.PRIVACY, privacy)}


@pytest.mark.parametrize(
    "data",
    [None, b"text", Image(signed=False).data(), Image().data()[:60]],
    ids=["missing", "other", "unsigned", "cut"],
)
def test_no_signature_is_a_gap(data: bytes | None) -> None:
    """Entitlements that can't be read are unknown, never none."""
    files = ipa()
    if data is None:
        del files[EXECUTABLE]
    else:
        files[EXECUTABLE] = data
    ios, notes = _read(files)
    assert ios is not None
    assert ios.entitlements is None
    absent = {(Part.NATIVE, EXECUTABLE)} if data is None else set()
    assert _gaps(notes) == {(Part.ENTITLEMENTS, EXECUTABLE)} | absent


def test_a_profile_grants_nothing() -> None:
    """What a profile would allow isn't what the executable was signed with."""
    name = f"{FOLDER}embedded.mobileprovision"
    ios, notes = _read(ipa() | {name: PROFILE})
    assert ios is not None
    assert ios.provisioned is True
    assert ios.entitlements == {}
    assert notes.coverage().gaps == ()
    ios, notes = _read(ipa() | {name: b"no list in it"})
    assert ios is not None
    assert ios.provisioned is None
    assert _gaps(notes) == {(Part.PLIST, name)}


def test_the_profile_is_found_in_its_message() -> None:
    """The property list stands in the middle of a CMS message."""
    assert read_profile(PROFILE) == {"Entitlements": {"get-task-allow": True}}
    with pytest.raises(PlistError):
        read_profile(PROFILE.replace(b"</plist>", b""))


def test_a_second_app_is_a_gap() -> None:
    """Of two apps one is read, and the other is told."""
    other = "Payload/Other.app/Info.plist"
    ios, notes = _read(ipa() | {other: plistlib.dumps(info())})
    assert ios is not None
    assert _gaps(notes) == {(Part.PLIST, other)}
