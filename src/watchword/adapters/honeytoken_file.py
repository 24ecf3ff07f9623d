"""Keep honeytokens in one private file: what they look like and their keyed hashes, never the keys."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    locked_directory,
    read_private,
    require_format,
    stamp_of,
    write_private,
)
from watchword.broker.honeytokens import KINDS, RANDOM_BYTES, Honeytoken, digest, make_honeytoken
from watchword.broker.interface import HoneytokenWatch
from watchword.encoding import base64url, strict_json
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, RefusedError

MAX_HONEYTOKENS: Final = 200
"""Most canaries of one deployment: each goes into each gate's bundle."""

MAX_NOTE_CHARACTERS: Final = 200
"""Most characters of a note."""

FORMAT: Final = 1
"""What ``v`` says of a file of this form."""

_MAX_BYTES: Final = 256 * 1024
_KEY_BYTES: Final = 32
_MAX_PLACES: Final = 8
_PATIENCE_SECONDS: Final = 5.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_HEADER: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_MEMBERS: Final = {"digest", "kind", "made_at", "note", "headers", "parameters"}
_MAX_NUMBER: Final = 2**53


@dataclass(frozen=True, slots=True)
class PlantedHoneytoken:
    """Hold what is known of one canary.

    :param kind: of the key that it looks like.
    :param made_at: seconds since 1970.
    :param note: where it was planted, in the operator's words.
    :param headers: lower-case names of headers that are looked into for its sake, beside the usual ones;
        ``parameters`` of the query likewise.
    """

    name: str
    kind: str
    made_at: int
    note: str
    headers: tuple[str, ...]
    parameters: tuple[str, ...]
    digest: bytes = field(repr=False)


class HoneytokenFile:
    """Add, remove and list canaries, and tell gates how to recognise them; safe beside other processes.

    Each method reads or writes a small file, and raises :class:`PrivateFileError` when that can't be trusted,
    read or written: nothing is started anew over a damaged one, since the canaries out there would be forgotten.
    """

    def __init__(self, path: Path, entropy: Entropy) -> None:
        """Keep the path; the file is made with the first canary."""
        self._path = path
        self._entropy = entropy
        self._read: tuple[Stamp, _Honeytokens] | None = None

    def watch(self) -> HoneytokenWatch | None:
        """Return by what canaries are recognised, None while there are none; cheap while nothing changes."""
        found = self._current()
        if found is None or not found.planted:
            return None
        usual = HoneytokenWatch(found.key, {})
        return HoneytokenWatch(
            found.key,
            {each.digest: each.name for each in found.planted},
            _united(usual.headers, (each.headers for each in found.planted)),
            _united(usual.parameters, (each.parameters for each in found.planted)),
        )

    def planted(self) -> tuple[PlantedHoneytoken, ...]:
        """Return every canary, by name."""
        found = self._current()
        return () if found is None else found.planted

    def add(
        self,
        name: str,
        kind: str,
        now: float,
        *,
        note: str = "",
        headers: Sequence[str] = (),
        parameters: Sequence[str] = (),
    ) -> Honeytoken:
        """Make a canary and return its key, which is kept nowhere; its hash is durable by then.

        :param name: lower-case letters, digits and hyphens, at most 64.
        :param kind: one of :data:`watchword.broker.honeytokens.KINDS`.
        :param now: seconds since 1970.
        :param note: where it is planted; at most :data:`MAX_NOTE_CHARACTERS` printable characters.
        :param headers: more headers to look into, in any case; ``parameters`` of the query likewise; at most 8.
        :raises MalformedError: ``secret.value`` when one of them can't be.
        :raises RefusedError: ``secret.exists`` when there is one of this name.
        """
        made = make_honeytoken(_known(kind), self._entropy.token_bytes(RANDOM_BYTES))
        with locked_directory(self._path.parent, _PATIENCE_SECONDS):
            found = self._load()
            key = self._entropy.token_bytes(_KEY_BYTES) if found is None else found.key
            planted = () if found is None else found.planted
            if any(each.name == name for each in planted):
                raise RefusedError.because(
                    Reason.SECRET_EXISTS, "there is a canary of this name; take another one"
                )
            if len(planted) >= MAX_HONEYTOKENS:
                _refuse(f"got {len(planted)} canaries, which is the most there can be")
            new = PlantedHoneytoken(
                name=_matching(_NAME, name, "a name of a-z, 0-9 and hyphens"),
                kind=kind,
                made_at=int(now),
                note=_printable(note),
                headers=_places(_HEADER, [each.lower() for each in headers], "headers"),
                parameters=_places(_PARAMETER, parameters, "query parameters"),
                digest=digest(key, made.value),
            )
            self._write(_Honeytokens(key, (*planted, new)))
        return made

    def remove(self, name: str) -> PlantedHoneytoken:
        """Forget a canary: from then on whoever uses it isn't noticed; return what it was.

        :raises RefusedError: ``secret.unknown`` when there is none of this name.
        """
        with locked_directory(self._path.parent, _PATIENCE_SECONDS):
            found = self._load()
            planted = () if found is None else found.planted
            gone = next((each for each in planted if each.name == name), None)
            if found is None or gone is None:
                raise RefusedError.because(Reason.SECRET_UNKNOWN, "there is no such canary")
            self._write(
                _Honeytokens(found.key, tuple(each for each in planted if each is not gone))
            )
        return gone

    def _current(self) -> "_Honeytokens | None":
        stamp = stamp_of(self._path)
        if stamp is None and self._read is None:
            return None
        if self._read is None or self._read[0] != stamp:
            found = self._load()
            # The stamp is older than what was read: a change in between is read once more.
            if found is None or stamp is None:
                raise PrivateFileError(
                    f"{self._path}: is gone; restore it from a backup, or start the service anew "
                    "without canaries"
                )
            self._read = stamp, found
        return self._read[1]

    def _load(self) -> "_Honeytokens | None":
        data = read_private(self._path, _MAX_BYTES)
        if data is None:
            return None
        try:
            return read_honeytokens(data, self._path)
        except (RefusedError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PrivateFileError(
                f"{self._path}: is damaged ({type(error).__name__}); restore it from a backup"
            ) from None

    def _write(self, canaries: "_Honeytokens") -> None:
        document = {
            "v": FORMAT,
            "key": base64url.encode(canaries.key),
            "canaries": {each.name: _members(each) for each in canaries.planted},
        }
        write_private(self._path, strict_json.dumps(document))


@dataclass(frozen=True, slots=True)
class _Honeytokens:
    """Hold one reading of the file, by name."""

    key: bytes = field(repr=False)
    planted: tuple[PlantedHoneytoken, ...]


def read_honeytokens(data: bytes, path: Path) -> _Honeytokens:
    """Return what the file says; raise MalformedError, ValueError, KeyError, TypeError or AttributeError.

    :param path: of the file, for the error's text.
    :raises OtherFormatError: when another Watchword wrote it.
    """
    document = strict_json.loads(data, _MAX_BYTES)
    require_format(path, document["v"], FORMAT)
    if document.keys() != {"v", "key", "canaries"}:
        raise ValueError("other members than expected")
    key = base64url.decode(document["key"])
    planted = [_canary(name, each) for name, each in sorted(document["canaries"].items())]
    if len(key) != _KEY_BYTES or len(planted) > MAX_HONEYTOKENS:
        raise ValueError("a key of another length, or too many")
    return _Honeytokens(key, tuple(planted))


def _canary(name: str, members: Mapping[str, Any]) -> PlantedHoneytoken:
    made_at, found = members["made_at"], base64url.decode(members["digest"])
    if members.keys() != _MEMBERS or len(found) != _KEY_BYTES:
        raise ValueError("other members than expected")
    if type(made_at) is not int or not 0 <= made_at < _MAX_NUMBER:
        raise ValueError("expected made_at as seconds")
    return PlantedHoneytoken(
        name=_matching(_NAME, name, "a name"),
        kind=_known(members["kind"]),
        made_at=made_at,
        note=_printable(members["note"]),
        headers=_places(_HEADER, members["headers"], "headers"),
        parameters=_places(_PARAMETER, members["parameters"], "parameters"),
        digest=found,
    )


def _members(canary: PlantedHoneytoken) -> dict[str, Any]:
    return {
        "digest": base64url.encode(canary.digest),
        "kind": canary.kind,
        "made_at": canary.made_at,
        "note": canary.note,
        "headers": list(canary.headers),
        "parameters": list(canary.parameters),
    }


def _united(usual: tuple[str, ...], more: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*usual, *(name for names in more for name in names)]))


def _known(kind: str) -> str:
    if kind not in KINDS:
        _refuse(f"expected a kind out of {', '.join(KINDS)}")
    return kind


def _printable(note: str) -> str:
    if len(note) > MAX_NOTE_CHARACTERS or not note.isprintable():
        _refuse(f"expected a note of at most {MAX_NOTE_CHARACTERS} printable characters")
    return note


def _places(pattern: re.Pattern[str], names: Sequence[str], what: str) -> tuple[str, ...]:
    if len(names) > _MAX_PLACES:
        _refuse(f"expected at most {_MAX_PLACES} {what}")
    return tuple(_matching(pattern, name, f"names of {what}") for name in names)


def _matching(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        _refuse(f"expected {what}")
    return text


def _refuse(detail: str) -> None:
    raise MalformedError.because(Reason.SECRET_VALUE, detail)
