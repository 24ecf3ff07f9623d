"""Read Android's KeyDescription, versions 1 to 500, and keep what isn't known.

The certificate extension 1.3.6.1.4.1.11129.2.1.17 (source.android.com, "Key and ID attestation",
schema of the attestation extension).  Devices in the field write unsorted lists, TRUE as 0x01 and
tags that are younger than any verifier; all of that is signed, so that it is read and told, and
policy decides.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from watchword.attestation.authorization_list import (
    LENIENT_BOOLEAN,
    LENIENT_ORDER,
    TAG_ALL_APPLICATIONS,
    UNIQUE_NAMES,
    UNIQUE_TAGS,
    AuthorizationList,
    SecurityLevel,
    VerifiedBootState,
    describe_list,
    enumerated,
    read_hardware_list,
    read_list,
)
from watchword.encoding import der
from watchword.reasons import MalformedError, Reason

__all__ = [
    "KEY_DESCRIPTION",
    "LENIENT_BOOLEAN",
    "LENIENT_ORDER",
    "KeyDescription",
    "SecurityLevel",
    "VerifiedBootState",
    "describe",
    "describe_publicly",
    "read_key_description",
    "withhold_identifiers",
]

KEY_DESCRIPTION: Final = "1.3.6.1.4.1.11129.2.1.17"
"""Object identifier of the extension."""

WITHHELD: Final = "withheld"
"""What stands in reports in place of a device's identifier."""


class KeyDescription(NamedTuple):
    """Hold the whole extension."""

    attestation_version: int
    attestation_security: SecurityLevel
    keymaster_version: int
    keymaster_security: SecurityLevel
    challenge: bytes
    unique_id: bytes
    software: AuthorizationList
    hardware: AuthorizationList

    @property
    def leniencies(self) -> tuple[str, ...]:
        """Return the deviations that were let pass, each once."""
        if self.software.is_canonical and self.hardware.is_canonical:
            return ()
        return tuple(dict.fromkeys(self.software.leniencies + self.hardware.leniencies))

    @property
    def open_to_all(self) -> bool:
        """Tell whether either list says that every app on the device may use the key."""
        return TAG_ALL_APPLICATIONS in self.hardware.tags or (
            TAG_ALL_APPLICATIONS in self.software.tags
        )


def read_key_description(content: bytes) -> KeyDescription:
    """Return the KeyDescription in an extension's content.

    :raises MalformedError: with ``encoding.der``.
    """
    members = der.members(content, der.whole(content))
    if len(members) != 8:
        raise MalformedError.because(
            Reason.ENCODING_DER, f"got a KeyDescription of {len(members)} members, expected 8"
        )
    software, hardware = members[6], members[7]
    return KeyDescription(
        attestation_version=der.integer_at(content, members[0]),
        attestation_security=enumerated(der.integer_at(content, members[1]), SecurityLevel),
        keymaster_version=der.integer_at(content, members[2]),
        keymaster_security=enumerated(der.integer_at(content, members[3]), SecurityLevel),
        challenge=der.octets_at(content, members[4]),
        unique_id=der.octets_at(content, members[5]),
        software=read_list(content[software[1] : software[3]]),
        hardware=read_hardware_list(content[hardware[1] : hardware[3]]),
    )


def describe(description: KeyDescription) -> dict[str, Any]:
    """Return everything under the vendor's own names, bytes as hex; unknown tags as DER in hex.

    It may hold identifiers of the device (``attestationId``, ``uniqueId``): not for a log, see
    :func:`withhold_identifiers`.
    """
    return {
        "attestationVersion": description.attestation_version,
        "attestationSecurityLevel": description.attestation_security.name,
        "keymasterVersion": description.keymaster_version,
        "keymasterSecurityLevel": description.keymaster_security.name,
        "attestationChallenge": description.challenge.hex(),
        "uniqueId": description.unique_id.hex(),
        "softwareEnforced": describe_list(description.software),
        "hardwareEnforced": description.hardware.described,
    }


def describe_publicly(description: KeyDescription) -> dict[str, Any]:
    """Return what :func:`describe` does, without what tells one device from another of its model."""
    described = describe(description)
    software, hardware = description.software, description.hardware
    if description.unique_id or software.names_device or hardware.names_device:
        return withhold_identifiers(described)
    return described


def withhold_identifiers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without what tells one device from another of its model."""
    public = dict(described)
    if public["uniqueId"]:
        public["uniqueId"] = WITHHELD
    for name in ("softwareEnforced", "hardwareEnforced"):
        entries = dict(public[name])
        if "attestationId" in entries:
            entries["attestationId"] = {
                key: WITHHELD if key in UNIQUE_NAMES else value
                for key, value in entries["attestationId"].items()
            }
        if "otherTags" in entries:
            entries["otherTags"] = {
                tag: WITHHELD if tag in UNIQUE_TAGS else value
                for tag, value in entries["otherTags"].items()
            }
        public[name] = entries
    return public
