"""Say which device an App Attest leaf is for, in the extensions in which Apple says it.

Written from the recorded leaves of 2020 to 2026 and from Apple's words on the access control list of a Mac's
key; sources stand in docs/formats/app_attest.md.
"""

from dataclasses import dataclass, replace
from typing import Final

from watchword.lab import der

_PHONE, _PAD = 2, 0


def _utf8(text: str) -> bytes:
    content = text.encode()
    return bytes([0x0C, len(content)]) + content


def _allowed(operation: str) -> bytes:
    """Say that an operation needs nothing."""
    return der.sequence(_utf8(operation), der.explicit(1, der.boolean(value=True)))


def _listed(*operations: bytes) -> bytes:
    return der.sequence(_utf8("11"), der.sequence(*operations))


IPHONE_KEY: Final = _listed(*map(_allowed, ("okd", "oa", "osgn", "odel", "ock")))
"""The access control list of an iPhone's key."""

SEALED_MAC_KEY: Final = _listed(
    *map(_allowed, ("ok", "oa", "odel")),
    der.sequence(
        _utf8("osgn"),
        der.explicit(0, _utf8("rsec")),
        der.sequence(der.explicit(6, der.integer(1))),
    ),
)
"""That of a Mac's key: it signs only in Full Security with System Integrity Protection."""

OPEN_MAC_KEY: Final = _listed(*map(_allowed, ("ok", "oa", "odel", "osgn")))
"""That of a Mac's key whose owner switched the protection off: it signs whatever runs."""


@dataclass(frozen=True, slots=True)
class AppleSystem:
    """Hold what Apple says of a device.

    :param name: ``iphoneos`` on iPhones and iPads, ``macosx`` on Macs; None as systems before 18 have it.
    :param key_access: None as systems before 26 have it.
    :param extension: stands in the place of all that, where it is given.
    """

    name: str | None = "iphoneos"
    version: str = "27.0"
    build: str | None = "24A5355q"
    device_class: int | None = _PHONE
    key_access: bytes | None = IPHONE_KEY
    extension: bytes | None = None

    def described(self) -> bytes:
        """Return the extension that names the system: explicit tags in a SEQUENCE."""
        if self.extension is not None:
            return self.extension
        parts = [der.explicit(1400, der.octet_string(self.version.encode()))]
        if self.device_class is not None:
            parts.append(der.explicit(1104, der.integer(self.device_class)))
        if self.build is not None:
            parts.append(der.explicit(1403, der.octet_string(self.build.encode())))
        if self.name is not None:
            parts.append(der.explicit(1026, der.octet_string(self.name.encode())))
        return der.sequence(*parts)


IPHONE: Final = AppleSystem()
IPHONE_26: Final = AppleSystem(version="26.2", build="23C55")
IPHONE_17: Final = AppleSystem(None, "17.5.1", "21F90", None, None)
IPAD: Final = AppleSystem(device_class=_PAD)
VISION: Final = AppleSystem(name="xros", device_class=None)
MAC: Final = AppleSystem("macosx", "27.0", "26A428", None, SEALED_MAC_KEY)
OPEN_MAC: Final = replace(MAC, key_access=OPEN_MAC_KEY)
