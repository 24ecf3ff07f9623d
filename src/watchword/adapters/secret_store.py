"""Keep secrets in one document, each version encrypted under a data key of its own (envelope encryption).

The master key that wraps the data keys lies elsewhere (:class:`watchword.broker.interface.KeyWrapper`): whoever has the
file or a backup of it alone learns names, times and how long the values are.

The file is read strictly: whatever isn't exactly as it was written is refused.  Each value is bound to its place by its
own encryption.  A MAC over the whole holds the rest together: states and times that were changed by hand, and pieces of an
older copy put into a newer one, such as a version that was revoked since.
"""

import asyncio
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.adapters.documents import KeptDocument
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    sync_directory,
)
from watchword.broker.interface import (
    MAX_SECRETS,
    MAX_VERSIONS,
    KeyWrapper,
    SecretRecord,
    SecretVersion,
    StoredSecret,
    check_value,
)
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.encoding.phrases import other_format
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

DATA_KEY_BYTES: Final = 32
"""Bytes of a data key: AES-256."""

_NONCE_BYTES: Final = 12
_VALUE: Final = b"watchword/secret-value/v1"
_KEY: Final = b"watchword/secret-key/v1"
_FILE: Final = b"watchword/secret-file/v1"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Hold a data key as the master key wrapped it.

    :param key_id: of that master key.
    """

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Hold an encrypted value: the wrapped data key, and nonce and ciphertext under it."""

    wrapped: Wrapped
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ValueLocation:
    """Name where a value stands; it opens nowhere else.

    :param deployment: the issuer: what is copied from another deployment opens nothing here.
    """

    deployment: str
    name: str
    version: int

    def context(self, label: bytes) -> bytes:
        """Return it as bytes, under a label for each use."""
        return length_prefixed.join(
            label, self.deployment.encode(), self.name.encode(), str(self.version).encode()
        )


def key_context(stand: ValueLocation) -> bytes:
    """Return what the data key of a value is bound to."""
    return stand.context(_KEY)


def file_context(deployment: str) -> bytes:
    """Return what the key is bound to that vouches for the file as a whole."""
    return length_prefixed.join(_FILE, deployment.encode())


async def wrap(key: bytes, context: bytes, wrapper: KeyWrapper) -> Wrapped:
    """Return a data key under the master key.

    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    wrapped = await wrapper.wrap(key, context)
    # Asked afterwards: a KMS may have rotated its key in between, and names the version that it used.
    return Wrapped(wrapper.key_id, wrapped)


async def seal(value: bytes, stand: ValueLocation, wrapper: KeyWrapper, entropy: Entropy) -> Sealed:
    """Return a value, encrypted by AES-256-GCM under a fresh data key.

    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    key = entropy.token_bytes(DATA_KEY_BYTES)
    nonce = entropy.token_bytes(_NONCE_BYTES)
    data = nonce + AESGCM(key).encrypt(nonce, value, stand.context(_VALUE))
    return Sealed(await wrap(key, key_context(stand), wrapper), data)


def unseal(sealed: Sealed, key: bytes, stand: ValueLocation) -> bytes:
    """Return the value again.

    :param key: the data key, unwrapped.
    :raises UnavailableError: ``secret.store_unavailable`` when it was changed or moved.
    """
    nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, data, stand.context(_VALUE))
    except (InvalidTag, ValueError):
        raise UnavailableError(
            Reason.SECRET_STORE_UNAVAILABLE,
            f"the value of {stand.name} version {stand.version} was changed or moved",
        ) from None


MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of the file; 500 secrets with 16 versions of 100 bytes are about 4 MB."""

FORMAT: Final = 1
"""What ``v`` says of a file of this form."""

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


class OtherFormatDocumentError(DocumentError):
    """Report that another Watchword wrote it."""


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
        "v": FORMAT,
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
        if members.get("v") != FORMAT:
            raise OtherFormatDocumentError(other_format(members.get("v"), FORMAT))
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


_AT_ONCE: Final = 8
"""So many data keys are unwrapped side by side: a KMS answers each in a millisecond or in none."""

Place = tuple[Wrapped, bytes]
"""A wrapped data key and what it is bound to."""


class DataKeys:
    """Remember unwrapped data keys, so that a KMS is asked once for each and not at every reading.

    They are in memory no longer than the values that they open.
    """

    def __init__(self) -> None:
        """Know none."""
        self._known: Mapping[Place, bytes] = {}

    async def unwrap(self, document: Document, wrapper: KeyWrapper) -> Mapping[Place, bytes]:
        """Return the keys of all values in a document, and remember these and no others.

        :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
        """
        wanted = [
            _place(each.sealed, ValueLocation(document.deployment, name, each.number))
            for name, kept in document.secrets.items()
            for each in kept.entries
            if each.sealed is not None
        ]
        known = self._known
        found = {each: known[each] for each in wanted if each in known}
        missing = [each for each in wanted if each not in found]
        for at in range(0, len(missing), _AT_ONCE):
            some = missing[at : at + _AT_ONCE]
            answers = await asyncio.gather(
                *(wrapper.unwrap(each.key, context, each.key_id) for each, context in some),
                return_exceptions=True,
            )
            for each, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                found[each] = answer
        self._known = found
        return found


def record_of(name: str, kept: Kept, deployment: str, keys: Mapping[Place, bytes]) -> SecretRecord:
    """Return a secret with its values.

    :param keys: the unwrapped data keys of the document.
    :raises UnavailableError: ``secret.store_unavailable`` when a value was changed or moved.
    """
    versions = []
    for entry in kept.entries:
        value = None
        if entry.sealed is not None:
            stand = ValueLocation(deployment, name, entry.number)
            plain = unseal(entry.sealed, keys[_place(entry.sealed, stand)], stand)
            try:
                value = check_value(plain.decode(), one_line=False)
            except (UnicodeDecodeError, MalformedError):
                raise UnavailableError(
                    Reason.SECRET_STORE_UNAVAILABLE,
                    f"{name} version {entry.number} holds what can't be a value",
                ) from None
        versions.append(
            SecretVersion(entry.number, value, entry.made_at, entry.until, entry.revoked_at)
        )
    return SecretRecord(name, tuple(versions))


async def entries_of(
    record: SecretRecord,
    before: SecretRecord | None,
    document: Document,
    wrapper: KeyWrapper,
    entropy: Entropy,
) -> tuple[Entry, ...]:
    """Return a secret as it is to stand in the file; a value that is there already stays as it is encrypted.

    :param before: the same secret as the document holds it, None where it doesn't.
    :raises MalformedError: ``secret.value`` for a value that couldn't be read again.
    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    old = {} if before is None else {each.number: each.value for each in before.versions}
    kept = document.secrets.get(record.name)
    there = {} if kept is None else {each.number: each.sealed for each in kept.entries}
    entries = []
    for each in record.versions:
        sealed = None
        if each.value is not None:
            sealed = there.get(each.number) if old.get(each.number) == each.value else None
            if sealed is None:
                stand = ValueLocation(document.deployment, record.name, each.number)
                value = check_value(each.value.text, one_line=False)
                sealed = await seal(value.text.encode(), stand, wrapper, entropy)
        entries.append(Entry(each.number, each.made_at, each.until, each.revoked_at, sealed))
    return tuple(entries)


async def rewrapped(
    document: Document, wrapper: KeyWrapper, keys: Mapping[Place, bytes]
) -> tuple[dict[str, Kept], int]:
    """Return the secrets with each data key under the present master key, and how many weren't.

    :param keys: the unwrapped data keys of the document.
    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    changed, secrets = 0, {}
    for name, kept in document.secrets.items():
        entries = []
        for entry in kept.entries:
            new = entry
            if entry.sealed is not None and entry.sealed.wrapped.key_id != wrapper.key_id:
                stand = ValueLocation(document.deployment, name, entry.number)
                place = _place(entry.sealed, stand)
                wrapped = await wrap(keys[place], place[1], wrapper)
                new = replace(entry, sealed=Sealed(wrapped, entry.sealed.data))
                changed += 1
            entries.append(new)
        secrets[name] = Kept(kept.revision, tuple(entries))
    return secrets, changed


def _place(sealed: Sealed, stand: ValueLocation) -> Place:
    return sealed.wrapped, key_context(stand)


KEY_BYTES: Final = 32
"""Bytes of a master key: AES-256."""

_MAX_FILE_BYTES: Final = 1024
_ID_LABEL: Final = b"watchword/master-key-id/v1"
_ID_BYTES: Final = 8


class MasterKey(KeyWrapper, Protocol):
    """Wrap keys for those who may block their thread, too."""

    def wrap_here(self, key: bytes, context: bytes) -> bytes:
        """See :meth:`watchword.broker.interface.KeyWrapper.wrap`."""

    def unwrap_here(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """See :meth:`watchword.broker.interface.KeyWrapper.unwrap`."""

    def opens(self, key_id: str) -> bool:
        """Tell whether what the key of this name wrapped is for this one to unwrap; asks nobody."""


class LocalMasterKey:
    """Implement :class:`MasterKey` with AES-256-GCM (NIST SP 800-38D)."""

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        """Keep the key; raise ValueError if it hasn't 32 bytes.

        :param entropy: gives nonces of 96 bits: random ones are good for 2**32 data keys under one master key.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"got {len(key)} bytes, expected {KEY_BYTES}")
        self._aead = AESGCM(key)
        self._entropy = entropy
        self._key_id = f"local-{hmac.digest(key, _ID_LABEL, 'sha256')[:_ID_BYTES].hex()}"

    @property
    def key_id(self) -> str:
        """Return ``local-`` and 16 hex digits of a MAC under the key, from which nobody learns the key."""
        return self._key_id

    def opens(self, key_id: str) -> bool:
        """See :meth:`MasterKey.opens`."""
        return key_id == self._key_id

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return nonce and ciphertext."""
        return self.wrap_here(key, context)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """Return the key again."""
        return self.unwrap_here(wrapped, context, key_id)

    def wrap_here(self, key: bytes, context: bytes) -> bytes:
        """Return nonce and ciphertext; see :class:`MasterKey`."""
        nonce = self._entropy.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, key, context)

    def unwrap_here(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """Return the key again; see :class:`MasterKey`."""
        if key_id != self._key_id:
            raise UnavailableError(
                Reason.SECRET_STORE_UNAVAILABLE,
                f"got what the master key {key_id} encrypted, expected {self._key_id}: "
                "another key file, or another variable?",
            )
        try:
            return self._aead.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise UnavailableError(
                Reason.SECRET_STORE_UNAVAILABLE,
                f"got a data key that was changed since the master key {key_id} encrypted it",
            ) from None


def master_key_from_file(path: Path, entropy: Entropy, *, make: bool = False) -> LocalMasterKey:
    """Return the master key in a file: 32 bytes as base64url, and perhaps a line break.

    :param make: whether to make the file (0600) with a new key where there is none.  Of two processes that
        do so at the same time, one makes it and both have that key.
    :raises PrivateFileError: when it is missing, readable by others, not ours, or holds something else.
    """
    data = read_private(path, _MAX_FILE_BYTES)
    if data is None and make:
        _make(path, entropy)
        data = read_private(path, _MAX_FILE_BYTES)
    if data is None:
        raise PrivateFileError(
            f"{path}: there is no master key; restore it, since without it no secret can be read"
        )
    return LocalMasterKey(_read(data, str(path)), entropy)


def master_key_from_text(text: str | None, name: str, entropy: Entropy) -> LocalMasterKey:
    """Return the master key that came by an environment variable.

    :param text: 32 bytes as base64url; None where the variable isn't set.
    :param name: of the variable, for the error's text.
    :raises PrivateFileError: when it isn't set or holds something else.
    """
    if text is None:
        raise PrivateFileError(f"{name}: the environment variable with the master key isn't set")
    return LocalMasterKey(_read(os.fsencode(text), f"environment variable {name}"), entropy)


def _make(path: Path, entropy: Entropy) -> None:
    """Put a whole file with a new key there, or leave what somebody else has put there meanwhile.

    The directory needn't be private, as one with settings isn't: the file is, and its owner is looked at.
    """
    new = path.with_name(f".{path.name}.{entropy.token_bytes(8).hex()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(base64url.encode(entropy.token_bytes(KEY_BYTES)).encode() + b"\n")
                file.flush()
                os.fsync(handle)
            with suppress(FileExistsError):
                os.link(new, path)
        finally:
            new.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise PrivateFileError(f"{path}: can't be made: {error.strerror}") from None


def _read(data: bytes, where: str) -> bytes:
    try:
        key = base64url.decode(data.rstrip(b"\r\n").decode("ascii"))
    except (MalformedError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise PrivateFileError(
            f"{where}: expected {KEY_BYTES} bytes as base64url without padding (43 characters)"
        )
    return key


_TRIES: Final = 50
"""So often a write begins anew because others wrote the file meanwhile; each time one of them got ahead."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Hold one reading of the file.

    :param data: its bytes, None where there is none yet; a write replaces exactly these.
    :param document: None where there is none yet.
    """

    data: bytes | None = field(repr=False)
    document: Document | None = None
    file_key: bytes | None = field(default=None, repr=False)
    keys: Mapping[Place, bytes] = field(default_factory=dict, repr=False)
    stored: Mapping[str, StoredSecret] = field(default_factory=dict, repr=False)


class DocumentSecretStore:
    """Implement :class:`watchword.broker.interface.SecretStore` with one document; safe beside other processes on it.

    Reading is cheap while nothing changes.  A write replaces the document as a whole, and is durable when it
    returns: killed or without power at any moment, it is the old one or the new one.  One that can't be
    trusted is never replaced.  All work on it runs in threads.
    """

    def __init__(
        self,
        kept: KeptDocument,
        deployment: str,
        wrapper: KeyWrapper,
        entropy: Entropy,
    ) -> None:
        """Read nothing yet; the document is made with the first secret.

        :param deployment: the issuer; a document of another one is refused.
        """
        self._kept = kept
        self._deployment = deployment
        self._wrapper = wrapper
        self._entropy = entropy
        self._latest: tuple[object | None, _Reading] = (None, _Reading(None))
        self._keys = DataKeys()
        self._writing = asyncio.Lock()

    async def read(self, name: str) -> StoredSecret | None:
        """Return one secret, None if there is none."""
        return (await self._current()).stored.get(name)

    async def read_all(self) -> Sequence[StoredSecret]:
        """Return every secret, by name."""
        stored = (await self._current()).stored
        return [stored[name] for name in sorted(stored)]

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """Keep a record in place of the one with this revision; return the new revision."""
        async with self._writing:
            for _ in range(_TRIES):
                reading = await self._current()
                before = reading.stored.get(record.name)
                if (None if before is None else before.revision) != revision:
                    raise RefusedError.because(
                        Reason.SECRET_CONFLICT,
                        f"{record.name} was changed by somebody else at the same time",
                    )
                document, file_key = await self._begun(reading)
                entries = await entries_of(
                    record,
                    None if before is None else before.record,
                    document,
                    self._wrapper,
                    self._entropy,
                )
                new = (revision or 0) + 1
                secrets = {**document.secrets, record.name: Kept(new, entries)}
                if await self._replace(reading, replace(document, secrets=secrets), file_key):
                    return new
        raise self._unavailable("others write it all the time; nothing was changed")

    async def rewrap(self, old: KeyWrapper | None = None) -> int:
        """Wrap every data key under the present master key; return how many were under another one.

        Values aren't encrypted anew: a master key that somebody may know calls for new values too.

        :param old: unwraps what is under another master key; None where the present one can (a KMS).
        :raises UnavailableError: ``secret.store_unavailable``; the file is as it was then.
        """
        async with self._writing:
            for _ in range(_TRIES):
                reading = await self._read_file(old)
                if reading.document is None or reading.file_key is None:
                    return 0
                context = file_context(self._deployment)
                file_key = await wrap(reading.file_key, context, self._wrapper)
                secrets, changed = await rewrapped(reading.document, self._wrapper, reading.keys)
                document = replace(reading.document, file_key=file_key, secrets=secrets)
                if await self._replace(reading, document, reading.file_key):
                    return changed
        raise self._unavailable("others write it all the time; nothing was changed")

    async def aclose(self) -> None:
        """Forget what was read."""
        self._latest = (None, _Reading(None))
        self._keys = DataKeys()

    async def _current(self) -> _Reading:
        """Return the latest reading, made anew where the file has changed since."""
        stamp, reading = self._latest
        found = await asyncio.to_thread(self._kept.stamp)
        if found is None and stamp is not None:
            raise self._unavailable("is gone; restore it from a backup")
        if found != stamp:
            # The stamp is older than what is read: a change in between is read once more.
            reading = await self._read_file()
            if reading.data is not None:
                self._latest = found, reading
        return reading

    async def _read_file(self, old: KeyWrapper | None = None) -> _Reading:
        data, unchecked = await asyncio.to_thread(self._parse)
        if data is None or unchecked is None:
            return _Reading(None)
        wrapper = self._wrapper if old is None else _Either(self._wrapper, old)
        context = file_context(self._deployment)
        wrapped = unchecked.file_key
        file_key = await wrapper.unwrap(wrapped.key, context, wrapped.key_id)
        document = await asyncio.to_thread(self._checked, unchecked, file_key)
        keys = await self._keys.unwrap(document, wrapper)
        stored = await asyncio.to_thread(self._opened, document, keys)
        return _Reading(data, document, file_key, keys, stored)

    def _parse(self) -> tuple[bytes | None, UncheckedDocument | None]:
        try:
            data = self._kept.read()
            return data, None if data is None else read_document(data, self._deployment)
        except PrivateFileError as error:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None
        except OtherFormatDocumentError as error:
            raise self._unavailable(str(error)) from None
        except DocumentError as error:
            raise self._unavailable(f"{error}; restore it from a backup") from None

    def _checked(self, unchecked: UncheckedDocument, file_key: bytes) -> Document:
        try:
            return unchecked.checked(file_key)
        except DocumentError as error:
            raise self._unavailable(f"{error}; restore it from a backup") from None

    def _opened(self, document: Document, keys: Mapping[Place, bytes]) -> dict[str, StoredSecret]:
        return {
            name: StoredSecret(record_of(name, kept, self._deployment, keys), kept.revision)
            for name, kept in document.secrets.items()
        }

    async def _begun(self, reading: _Reading) -> tuple[Document, bytes]:
        """Return the document that was read and its key, or an empty one under a new key."""
        if reading.document is not None and reading.file_key is not None:
            return reading.document, reading.file_key
        key = self._entropy.token_bytes(DATA_KEY_BYTES)
        wrapped: Wrapped = await wrap(key, file_context(self._deployment), self._wrapper)
        return Document(self._deployment, wrapped), key

    async def _replace(self, reading: _Reading, document: Document, file_key: bytes) -> bool:
        """Put a document in the place of what was read; tell whether that was still there."""
        try:
            data = await asyncio.to_thread(write_document, document, file_key)
            return await asyncio.to_thread(self._kept.replace, reading.data, data)
        except PrivateFileError as error:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None
        except DocumentError as error:
            raise self._unavailable(f"{error}; nothing was changed") from None

    def _unavailable(self, detail: str) -> UnavailableError:
        return UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, f"{self._kept.where}: {detail}")


class _Either:
    """Unwrap by the master key that wrapped, the present one or another one; wrap by the present one."""

    def __init__(self, present: KeyWrapper, old: KeyWrapper) -> None:
        self._present = present
        self._old = old

    @property
    def key_id(self) -> str:
        return self._present.key_id

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        return await self._present.wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        wrapper = self._old if key_id == self._old.key_id else self._present
        return await wrapper.unwrap(wrapped, context, key_id)


class EitherKey(_Either):
    """Implement :class:`MasterKey` by two: both unwrap what they wrapped, the present one wraps."""

    def __init__(self, present: MasterKey, old: MasterKey) -> None:
        """Keep both."""
        super().__init__(present, old)
        self._present_here = present
        self._old_here = old

    def wrap_here(self, key: bytes, context: bytes) -> bytes:
        """See :meth:`MasterKey.wrap_here`."""
        return self._present_here.wrap_here(key, context)

    def unwrap_here(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """See :meth:`MasterKey.unwrap_here`."""
        return self._opener(key_id).unwrap_here(wrapped, context, key_id)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """See :meth:`watchword.broker.interface.KeyWrapper.unwrap`."""
        return await self._opener(key_id).unwrap(wrapped, context, key_id)

    def opens(self, key_id: str) -> bool:
        """See :meth:`MasterKey.opens`."""
        return self._present_here.opens(key_id) or self._old_here.opens(key_id)

    def _opener(self, key_id: str) -> MasterKey:
        # By name, and not by `key_id`: OpenBao's names the version too, which another node may have raised.
        return self._old_here if self._old_here.opens(key_id) else self._present_here
