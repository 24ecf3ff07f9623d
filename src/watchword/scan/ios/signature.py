"""Read the entitlements out of a code signature; nothing is verified, and nobody's signature is vouched for.

Source: Apple's ``cs_blobs.h``: a SuperBlob (big-endian) that lists blobs by slot.
"""

import struct
from collections.abc import Mapping
from typing import Final

from watchword.scan.ios.macho import MachOError, Slice
from watchword.scan.ios.plists import PlistError, read_plist

_SUPERBLOB: Final = 0xFADE0CC0
_ENTITLEMENTS: Final = 0xFADE7171
_SLOT: Final = 5
_MOST_BLOBS: Final = 64


def entitlements(data: bytes, image: Slice) -> Mapping[str, object] | None:
    """Return what an image is entitled to: an empty mapping if its signature grants nothing, None if it isn't signed.

    :raises MachOError: if the signature is damaged.
    :raises PlistError: if the entitlements in it can't be read.
    """
    if image.signature is None:
        return None
    blob = data[image.signature.start : image.signature.stop]
    try:
        magic, _, count = struct.unpack_from(">III", blob)
        if magic != _SUPERBLOB or count > _MOST_BLOBS:
            raise MachOError("a code signature of a form that isn't known")
        for index in range(count):
            slot, at = struct.unpack_from(">II", blob, 12 + index * 8)
            if slot != _SLOT:
                continue
            magic, length = struct.unpack_from(">II", blob, at)
            if magic != _ENTITLEMENTS or length < 8 or at + length > len(blob):
                raise MachOError("a code signature whose entitlements are damaged")
            return read_plist(blob[at + 8 : at + length])
    except struct.error as error:
        raise MachOError("a code signature that ends too early") from error
    return {}


__all__ = ["MachOError", "PlistError", "entitlements"]
