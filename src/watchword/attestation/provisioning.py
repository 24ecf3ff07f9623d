"""Read the extension by which remote key provisioning tells how busy a phone is.

The certificate of a remotely provisioned attestation key has the extension 1.3.6.1.4.1.11129.2.1.30, a CBOR map
(developer.android.com, "Verify hardware-backed key pairs with key attestation", provisioning information
extension schema).  Key 1 counts the certificates that were issued to the phone within the last 30 days.
"""

from collections.abc import Mapping
from typing import Any, Final

from watchword.encoding import cbor
from watchword.encoding.kept import Kept
from watchword.reasons import MalformedError

PROVISIONING_INFO: Final = "1.3.6.1.4.1.11129.2.1.30"
"""Object identifier of the extension."""

MAX_BYTES: Final = 256
"""Most bytes that are read; real ones have up to 17."""

_NAMES: Final = {1: "certificatesIssued", 3: "manufacturer"}


def describe_provisioning(content: bytes) -> Mapping[str, Any]:
    """Return the map under names for people; keys without a name stand under ``otherKeys``.

    Nothing hangs on it, so that one that can't be read is shown as hex and refuses nobody.
    """
    return _DESCRIBED.read(content)


def _describe(content: bytes) -> Mapping[str, Any]:
    try:
        value = cbor.decode(content, MAX_BYTES)
    except MalformedError:
        value = None
    if not isinstance(value, dict):
        return {"unreadable": content[:MAX_BYTES].hex()}
    described: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, item in value.items():
        plain = item if item is None or isinstance(item, int | str) else _in_words(item)
        if isinstance(key, int) and key in _NAMES:
            described[_NAMES[key]] = plain
        else:
            others[str(key)] = plain
    if others:
        described["otherKeys"] = others
    return described


def _in_words(item: cbor.Value) -> str:
    """Return a value that isn't plain as text: bytes as hex, lists and maps by what they are."""
    return item.hex() if isinstance(item, bytes) else type(item).__name__


_DESCRIBED: Final = Kept(_describe, entries=256, size=32)
