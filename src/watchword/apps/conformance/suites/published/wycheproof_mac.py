"""Wycheproof's HMAC: that of session proofs is HMAC-SHA256, whole, under a key of at most one block."""

import hmac
from collections.abc import Iterator
from functools import partial

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Outside,
    Suite,
    must_of,
)
from watchword.tokens.proofs.interface import KeyedMac

SHORTENED = Outside(
    "shortened", "A MAC is compared in its whole length of 32 bytes; a part of it is refused."
)
LONG_KEY = Outside(
    "long-key", "A key longer than a block of the hash is refused where it comes in."
)
ALGORITHM = Outside("algorithm", "Proofs are HMAC-SHA256; other hashes and MACs are refused.")

_BLOCK = 64
_BITS = 256
_BITS_OF_A_BYTE = 8


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of MACs."""
    suite = file.json_object("testGroups", "algorithm")
    groups = suite["testGroups"] if suite is not None else []
    if suite is None or not groups or groups[0].get("type") != "MacTest":
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _cases(groups, suite["algorithm"]))


def _cases(groups: list[JsonObject], algorithm: str) -> Iterator[Case]:
    for group in groups:
        outside = None
        if algorithm != "HMACSHA256":
            outside = ALGORITHM
        elif group["keySize"] > _BLOCK * _BITS_OF_A_BYTE:
            outside = LONG_KEY
        elif group["tagSize"] != _BITS:
            outside = SHORTENED
        for test in group["tests"]:
            key, message, tag = (bytes.fromhex(test[name]) for name in ("key", "msg", "tag"))
            attempt = partial(_is_mac, key, message, tag)
            yield Case(f"tcId {test['tcId']}", must_of(test["result"]), attempt, outside)


def _is_mac(key: bytes, message: bytes, tag: bytes) -> bool:
    try:
        mac = KeyedMac(key)
    except ValueError:
        # The one error that it states for a key that is too long.
        return False if len(key) > _BLOCK else _unexpected()
    begun = KeyedMac(key, message[:7]).digest(message[7:])
    whole = mac.digest(message)
    return hmac.compare_digest(whole, begun) and hmac.compare_digest(whole, tag)


def _unexpected() -> bool:
    raise AssertionError("a key of at most one block was refused")


SUITE = Suite(
    title="Wycheproof, HMAC",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `algorithm` and `testGroups` of type `MacTest`",
    held="the MAC of session proofs, in one piece and begun",
    read=read,
    outside=(SHORTENED, LONG_KEY, ALGORITHM),
)
