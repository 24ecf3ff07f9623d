"""Read the entitlements out of a code signature; nothing is verified, and nobody's signature is vouched for.

Source: Apple's ``cs_blobs.h``: a SuperBlob (big-endian) that lists blobs by slot.  Since iOS 15 entitlements are signed in DER too, and
the system takes those; a signature may lack the property list.
"""

import struct
from collections.abc import Mapping
from typing import Final

from watchword.scan.ios.entitlements import EntitlementsError, read_entitlements
from watchword.scan.ios.macho import MachOError, Slice
from watchword.scan.ios.plists import PlistError, read_plist

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
