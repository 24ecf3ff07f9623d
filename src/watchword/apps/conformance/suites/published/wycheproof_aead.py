"""Wycheproof's AEADs: ours is A256GCM, in the tokens of Play Integrity."""

from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Attempt,
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Outside,
    Suite,
    must_of,
)
from watchword.attestation.play_tokens import KEY_BYTES, SealedToken, decrypt, read_token
from watchword.encoding import base64url

SIZES = Outside(
    "sizes",
    "A key of 32 bytes, a vector of 12 and a tag of 16: other lengths are refused before anything is opened.",
)
ALGORITHM = Outside(
    "algorithm", "Tokens are sealed by A256GCM; a header that names another AEAD is refused."
)

_OUR_SIZES = (256, 96, 128)
_WRAPPING_KEY = bytes(range(KEY_BYTES))
_WRAPPED_MINIMUM = 16
_HEADER = b'{"alg":"A256KW","enc":"%b"}'


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of AEADs."""
    suite = file.json_object("testGroups", "algorithm")
    groups = suite["testGroups"] if suite is not None else []
    if suite is None or not groups or groups[0].get("type") != "AeadTest":
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _cases(groups, suite["algorithm"]))


def _cases(groups: list[JsonObject], algorithm: str) -> Iterator[Case]:
    for group in groups:
        outside = None
        if algorithm != "AES-GCM":
            outside = ALGORITHM
        elif (group["keySize"], group["ivSize"], group["tagSize"]) != _OUR_SIZES:
            outside = SIZES
        for test in group["tests"]:
            parts = {name: bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "ct", "tag")}
            attempt: Attempt = partial(_opens, parts, bytes.fromhex(test["msg"]))
            if outside is not None:
                attempt = partial(_is_read, parts, b"A256GCM" if outside is SIZES else b"A256CCM")
            yield Case(f"tcId {test['tcId']}", must_of(test["result"]), attempt, outside)


def _opens(parts: dict[str, bytes], message: bytes) -> bool:
    wrapped = aes_key_wrap(_WRAPPING_KEY, parts["key"])
    sealed = SealedToken(parts["aad"], wrapped, parts["iv"], parts["ct"] + parts["tag"])
    if decrypt(sealed, _WRAPPING_KEY) != message:
        raise MisreadError("opened, and something else came out")
    return True


def _is_read(parts: dict[str, bytes], encryption: bytes) -> bool:
    """Read a token with a case's parts, which our reader refuses for their lengths or for the header."""
    key = parts["key"]
    wrapped = (
        key if len(key) < _WRAPPED_MINIMUM or len(key) % 8 else aes_key_wrap(_WRAPPING_KEY, key)
    )
    segments = (_HEADER % encryption, wrapped, parts["iv"], parts["ct"], parts["tag"])
    read_token(".".join(map(base64url.encode, segments)).encode("ascii"))
    return True


SUITE = Suite(
    title="Wycheproof, AEAD",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `algorithm` and `testGroups` of type `AeadTest`",
    held="opening the tokens of Play Integrity",
    read=read,
    outside=(SIZES, ALGORITHM),
)
