"""Read and write the file of encrypted secrets, strictly: whatever isn't exactly as it was written is refused.

Each value is bound to its place by its own encryption.  A MAC over the whole holds the rest together: states and times
that were changed by hand, and pieces of an older copy put into a newer one, such as a version that was revoked since.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.adapters.secret_store.envelope import Sealed, Wrapped
from watchword.broker.interface import MAX_SECRETS, MAX_VERSIONS
from watchword.encoding import base64url, strict_json
from watchword.reasons import RefusedError

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of the file; 500 secrets with 16 versions of 100 bytes are about 4 MB."""

_VERSION: Final = 1
_TOP: Final = ["v", "deployment", "key_id", "key", "secrets", "mac"]
_SECRET: Final = {"revision", "versions"}
_ENTRY: Final = {"number", "made_at", "until", "revoked_at", "sealed"}
_SEALED: Final = {"key_id", "key", "data"}
_MAC_BYTES: Final = 32
_MAX_NUMBER: Final = 2**53
_MAX_WRAPPED_CHARACTERS: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY_ID: Final = re.compile(r"[!-~]{1,200}")


class DocumentError(Exception):
    """Report what is wrong with the file, without a word of what it holds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one version as it stands in the file; see :class:`watchword.broker.interface.SecretVersion`.

    :param sealed: None where the value was erased.
    """

    number: int
    made_at: int
    until: int | None
    revoked_at: int | None
    sealed: Sealed | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold one secret as it stands in the file."""

    revision: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Hold the file.

    :param file_key: the key of the MAC, wrapped by the master key.
    """

    deployment: str
    file_key: Wrapped
    secrets: Mapping[str, Kept] = field(default_factory=dict)


def write_document(document: Document, file_key: bytes) -> bytes:
    """Return the file's bytes.

    :param file_key: the unwrapped key of the MAC.
    :raises DocumentError: when it couldn't be read again.
    """
    members = {
        "v": _VERSION,
        "deployment": document.deployment,
        "key_id": document.file_key.key_id,
        "key": base64url.encode(document.file_key.key),
        "secrets": {name: _kept(each) for name, each in sorted(document.secrets.items())},
    }
    covered = strict_json.dumps(members)[:-1]
    data = covered + _tail(hmac.digest(file_key, covered, "sha256"))
    if len(data) > MAX_DOCUMENT_BYTES or len(document.secrets) > MAX_SECRETS:
        raise DocumentError(
            f"would get {len(document.secrets)} secrets in {len(data)} bytes, expected at most "
            f"{MAX_SECRETS} in {MAX_DOCUMENT_BYTES}"
        )
    # A member that no reader accepts would take all secrets with it.
    read_document(data, document.deployment)
    return data


@dataclass(frozen=True, slots=True)
class UncheckedDocument:
    """Hold a file whose MAC wasn't checked yet: nothing in it may be believed but by whom it can be checked."""

    _document: Document
    _covered: bytes = field(repr=False)
    _mac: bytes = field(repr=False)

    @property
    def file_key(self) -> Wrapped:
        """Return the wrapped key of the MAC; unwrapping it shows that it is this deployment's."""
        return self._document.file_key

    def checked(self, file_key: bytes) -> Document:
        """Return the document.

        :param file_key: the unwrapped key.
        :raises DocumentError: when anything in it was changed.
        """
        if not hmac.compare_digest(self._mac, hmac.digest(file_key, self._covered, "sha256")):
            raise DocumentError("was changed by hand, or put together out of two copies")
        return self._document


def read_document(data: bytes, deployment: str) -> UncheckedDocument:
    """Return what the file says.

    :raises DocumentError: when it is damaged, another version's, or another deployment's.
    """
    try:
        members = strict_json.loads(data, MAX_DOCUMENT_BYTES)
        if members.get("v") != _VERSION:
            raise DocumentError(f"expected version {_VERSION}; a newer Watchword made it?")
        if list(members) != _TOP:
            raise DocumentError("is damaged: it has other members than expected")
        found = _text(members["deployment"])
        if found != deployment:
            raise DocumentError(f"belongs to the deployment {found!r}, expected {deployment!r}")
        mac = _some_bytes(members["mac"])
        document = Document(found, _wrapped(members), _secrets(members["secrets"]))
    except (RefusedError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The errors of JSON tell the place; those of values might quote them.
        detail = f"{type(error).__name__}" if not isinstance(error, RefusedError) else str(error)
        raise DocumentError(f"is damaged ({detail})") from None
    tail = _tail(mac)
    if len(mac) != _MAC_BYTES or not data.endswith(tail):
        raise DocumentError("is damaged: it ends otherwise than by its mac")
    return UncheckedDocument(document, data[: -len(tail)], mac)


def _tail(mac: bytes) -> bytes:
    """Return the end of the file; the MAC covers each byte before it."""
    return f',"mac":"{base64url.encode(mac)}"}}'.encode()


def _kept(kept: Kept) -> dict[str, Any]:
    return {"revision": kept.revision, "versions": [_entry(each) for each in kept.entries]}


def _entry(entry: Entry) -> dict[str, Any]:
    sealed = entry.sealed
    return {
        "number": entry.number,
        "made_at": entry.made_at,
        "until": entry.until,
        "revoked_at": entry.revoked_at,
        "sealed": None
        if sealed is None
        else {
            "key_id": sealed.wrapped.key_id,
            "key": base64url.encode(sealed.wrapped.key),
            "data": base64url.encode(sealed.data),
        },
    }


def _secrets(members: Mapping[str, Any]) -> dict[str, Kept]:
    if len(members) > MAX_SECRETS:
        raise ValueError("too many secrets")
    return {_matching(_NAME, name): _read_kept(each) for name, each in members.items()}


def _read_kept(members: Mapping[str, Any]) -> Kept:
    if members.keys() != _SECRET or not isinstance(members["versions"], list):
        raise ValueError("other members than expected")
    entries = tuple(_read_entry(each) for each in members["versions"])
    numbers = [each.number for each in entries]
    if not 0 < len(entries) <= MAX_VERSIONS or numbers != sorted(set(numbers)):
        raise ValueError("versions out of order, none or too many")
    return Kept(_number(members["revision"], 1), entries)


def _read_entry(members: Mapping[str, Any]) -> Entry:
    if members.keys() != _ENTRY:
        raise ValueError("other members than expected")
    until, revoked_at, sealed = (members[each] for each in ("until", "revoked_at", "sealed"))
    if revoked_at is not None and sealed is not None:
        raise ValueError("a revoked version has no value")
    return Entry(
        _number(members["number"], 1),
        _number(members["made_at"]),
        None if until is None else _number(until),
        None if revoked_at is None else _number(revoked_at),
        None if sealed is None else _sealed(sealed),
    )


def _sealed(members: Mapping[str, Any]) -> Sealed:
    if members.keys() != _SEALED:
        raise ValueError("other members than expected")
    return Sealed(_wrapped(members), _some_bytes(members["data"]))


def _wrapped(members: Mapping[str, Any]) -> Wrapped:
    key = base64url.decode(_text(members["key"]), _MAX_WRAPPED_CHARACTERS)
    return Wrapped(_matching(_KEY_ID, members["key_id"]), key)


def _some_bytes(value: Any) -> bytes:
    return base64url.decode(_text(value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError("expected another form")
    return text


def _number(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value < _MAX_NUMBER:
        raise ValueError("expected a whole number")
    return value
