"""Read what an App Attest leaf says of the device: its system, and when its key may sign.

Apple documents the access control list of a Mac's key alone ("Validating apps that connect to your server");
the system's extension is documented nowhere and read as recorded leaves of 2020 to 2026 have it.  What is
recorded and what is inferred: docs/formats/app_attest.md.  Whatever can't be read is ``unknown`` or ``other``,
never an error: a change of Apple's must be a decision of policy, not the end of all attestations.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from watchword.attestation.certificates import Certificate
from watchword.attestation.claims import AppleClaims, KeyAccess
from watchword.encoding import der
from watchword.encoding.der import Tlv
from watchword.encoding.kept import Kept
from watchword.reasons import MalformedError
from watchword.vocabulary import ApplePlatform, Distribution

KEY_ACCESS: Final = "1.2.840.113635.100.8.6"
"""Extension of the leaf that holds the key's access control list (since OS 27)."""

SYSTEM: Final = "1.2.840.113635.100.8.7"
"""Extension of the leaf that names the system, its version and its build."""

MAX_EXTENSION_BYTES: Final = 1024
"""Most bytes of either extension that are read; recorded ones have up to 210."""

MAC_KEY_ACCESS: Final = base64.b64decode(
    "MEAMAjExMDowCQwCb2uhAwEB/zAJDAJvYaEDAQH/MAsMBG9kZWyhAwEB/zAVDARvc2duoAYMBHJzZWMwBaYDAgEB"
)
"""The access control list of a Mac in Full Security with System Integrity Protection, as Apple gives it."""

FIRST_WITH_MACS: Final = 27
"""The first version of macOS that has App Attest; from it on a leaf must name its system."""

_VERSION, _BUILD, _NAME, _CLASS = 1400, 1403, 1026, 1104
"""Explicit tags within :data:`SYSTEM`."""

_PAD_CLASS: Final = 0
"""An iPad's device class; an iPhone's is 2, and older systems wrote -1 or -2."""

_NAMES: Final[Mapping[bytes, ApplePlatform]] = {
    b"iphoneos": ApplePlatform.IOS,
    b"macosx": ApplePlatform.MACOS,
    b"maccatalyst": ApplePlatform.MAC_CATALYST,
    b"xros": ApplePlatform.VISIONOS,
    b"appletvos": ApplePlatform.TVOS,
    b"watchos": ApplePlatform.WATCHOS,
}
_MACS: Final = frozenset({ApplePlatform.MACOS, ApplePlatform.MAC_CATALYST})
_IS_VERSION: Final = re.compile(rb"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
_IS_BUILD: Final = re.compile(rb"[0-9A-Za-z]{1,16}")


class System(NamedTuple):
    """Hold what a leaf says of the system; None where it doesn't say it, or not in its form."""

    platform: ApplePlatform | None = None
    version: str | None = None
    build: str | None = None


def apple_claims(leaf: Certificate, distribution: Distribution | None) -> AppleClaims:
    """Return what a leaf says of the device, beside the way by which the system says the app came onto it."""
    system = read_system(leaf.extensions.get(SYSTEM))
    access = read_key_access(leaf.extensions.get(KEY_ACCESS))
    return AppleClaims(
        platform=_platform(system, access),
        key_access=access,
        distribution=distribution,
        os_version=system.version,
        os_build=system.build,
    )


def read_system(content: bytes | None) -> System:
    """Return what the extension :data:`SYSTEM` says: SEQUENCE { [tag] EXPLICIT OCTET STRING or INTEGER }."""
    if content is None or len(content) > MAX_EXTENSION_BYTES:
        return System()
    return _SYSTEMS.read(content)


def _read_system(content: bytes) -> System:
    try:
        members = der.tagged(der.read(content))
        name = _text(members, _NAME)
        version, build = _text(members, _VERSION), _text(members, _BUILD)
        is_pad = _CLASS in members and der.integer(members[_CLASS]) == _PAD_CLASS
    except MalformedError:
        return System()
    platform = None if name is None else _NAMES.get(name, ApplePlatform.UNKNOWN)
    return System(
        platform=ApplePlatform.IPADOS if platform is ApplePlatform.IOS and is_pad else platform,
        version=_matching(_IS_VERSION, version),
        build=_matching(_IS_BUILD, build),
    )


def read_key_access(content: bytes | None) -> KeyAccess | None:
    """Return what the extension :data:`KEY_ACCESS` says: SEQUENCE { [tag] EXPLICIT OCTET STRING }.

    The list is compared as a whole with the only one that Apple gives: one that was read piece by piece
    could be weaker in a piece that nobody knows.
    """
    if content is None:
        return None
    return KeyAccess.OTHER if len(content) > MAX_EXTENSION_BYTES else _LISTS.read(content)


def _read_list(content: bytes) -> KeyAccess:
    try:
        members = der.tagged(der.read(content)).values()
        lists = [der.octets(member) for member in members]
    except MalformedError:
        return KeyAccess.OTHER
    return KeyAccess.FULL_SECURITY if lists == [MAC_KEY_ACCESS] else KeyAccess.OTHER


def _platform(system: System, access: KeyAccess | None) -> ApplePlatform | None:
    """Return the system that a leaf names; unknown where it should name one, or contradicts itself.

    Only what is surely older than the first Mac that attests may keep silent.
    """
    platform = system.platform
    if access is KeyAccess.FULL_SECURITY and platform not in _MACS:
        return ApplePlatform.UNKNOWN
    if platform is not None:
        return platform
    version = system.version
    is_older = version is not None and int(version.split(".")[0]) < FIRST_WITH_MACS
    return None if is_older and access is None else ApplePlatform.UNKNOWN


def _text(members: Mapping[int, Tlv], tag: int) -> bytes | None:
    return der.octets(members[tag]) if tag in members else None


def _matching(form: re.Pattern[bytes], text: bytes | None) -> str | None:
    """Return a text in its form; any other is whoever's own and stays out of claims."""
    return text.decode("ascii") if text is not None and form.fullmatch(text) else None


# All devices of one kind with one build of a system say the same.
_SYSTEMS: Final = Kept(_read_system, entries=512, size=256)
_LISTS: Final = Kept(_read_list, entries=64, size=128)
