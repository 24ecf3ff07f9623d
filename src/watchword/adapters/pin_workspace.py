"""Keep what pins are managed with: root lists, published sets, what app versions ship with, keys, and a log of each step.

Each file is written whole or not at all; what was published is never written over::

    roots/N.json              root lists, signed offline
    sets/APP/N.jws            published pin sets
    builtins/APP-VERSION.json what a version of an app ships with
    pins.yaml                 pinned keys by host
    pin-key.pem, pin-key.jwk  signs pin sets; root keys are never here
    log.jsonl                 each step that changed what apps trust, chained to the one before by its hash

The service reads ``roots`` and ``sets``; it never writes.  Who edits or takes out a line of the log breaks the chain behind it;
who cuts off the end leaves sets that no line tells of.
"""

import hashlib
import os
import pwd
import re
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    read_private,
    sync_directory,
    write_new,
    write_private,
)
from watchword.encoding import base64url, strict_json
from watchword.encoding.phrases import moment as utc
from watchword.pins.installed import MAX_BUILTIN_BYTES
from watchword.pins.interface import MAX_ROOTS_BYTES, MAX_SET_BYTES
from watchword.ports import VerificationKey
from watchword.reasons import ExitCode, MalformedError
from watchword.tokens.jose import SigningKey, jwk_from_public_key, public_key_from_jwk, thumbprint


class WorkspaceError(PrivateFileError):
    """Report a workspace, a key or a log that can't be used, and what to do about it."""

    exit_code = ExitCode.USAGE


def who_runs() -> str:
    """Return the user and the machine, such as ``alice@build-3``; the number of a user who has no name."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"{name}@{socket.gethostname()}"


@contextmanager
def _of_the_workspace() -> Iterator[None]:
    """Report a private file's fault as one of the workspace."""
    try:
        yield
    except WorkspaceError:
        raise
    except PrivateFileError as error:
        raise WorkspaceError(str(error)) from error


_MAX_BYTES: Final = 8192
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PRIVATE: Final = b"PRIVATE KEY-----"


def new_key() -> SigningKey:
    """Return a fresh key on P-256."""
    return SigningKey(generate_private_key(SECP256R1()))


def write_key(path: Path, key: SigningKey, passphrase: str | None = None) -> None:
    """Write a private key (mode 0600), and its public half as JWK beside it, to files that aren't there yet.

    :param path: of the private key; the public one has the ending ``.jwk``.
    :param passphrase: encrypts it; None leaves it as it is.
    :raises WorkspaceError: when something is there already, or the disk refuses.
    """
    encryption = (
        NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
    )
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_new(path, pem, fault=WorkspaceError)
    jwk = strict_json.dumps(jwk_from_public_key(key.public)) + b"\n"
    write_new(path.with_suffix(".jwk"), jwk, 0o644, WorkspaceError)


def read_key(path: Path, passphrase: str | None = None) -> SigningKey | None:
    """Return the private key in a file; None where it is encrypted and no passphrase was given.

    :raises WorkspaceError: when it isn't there, others may read it, it holds no such key, or the passphrase is wrong; the text
        quotes nothing of it.
    """
    if path.suffix == ".jwk":
        # Others may read a public key, and to tell of its mode would lead astray.
        raise WorkspaceError(f"{path}: this is a public key; name the private one (.pem)")
    with _of_the_workspace():
        data = read_private(path, _MAX_BYTES)
    if data is None:
        raise WorkspaceError(f"{path}: isn't there, expected a private key")
    encrypted = _ENCRYPTED in data
    if encrypted and passphrase is None:
        return None
    try:
        key = load_pem_private_key(data, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        expected = "a private key on P-256 as PEM" + (" and its passphrase" if encrypted else "")
        raise WorkspaceError(f"{path}: got something else, expected {expected}")
    return SigningKey(key)


def read_public_key(path: Path) -> VerificationKey:
    """Return the public key in a JWK file, under its thumbprint.

    :raises WorkspaceError: when it isn't one; a private key is told apart, since it mustn't be handed around.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WorkspaceError(f"{path}: can't be read: {error.strerror}") from None
    if _PRIVATE in data:
        raise WorkspaceError(
            f"{path}: got a private key, expected the public one (.jwk beside it); it mustn't leave its holder"
        )
    try:
        key = public_key_from_jwk(strict_json.loads(data, _MAX_BYTES))
    except MalformedError as error:
        raise WorkspaceError(
            f"{path}: {error.detail}; expected a public key on P-256 as JWK"
        ) from None
    return VerificationKey(thumbprint(jwk_from_public_key(key)), key)


MAX_LOG_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of the log: some ten thousand steps."""

_MAX_LINE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step; a line of the log has these members in this order, and ``previous``: the hash of the line before.

    :param at: as RFC 3339, in UTC.
    :param actor: who did it.
    :param action: such as ``publish``.
    :param subject: what it was done to: an app, a host, a root list.
    :param reason: why, where that had to be said: a forced step.
    """

    at: str
    actor: str
    action: str
    subject: str
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def moment(at: float) -> str:
    """Return a time to the second, in UTC, of seconds since 1970."""
    return utc(datetime.fromtimestamp(at, UTC), "seconds")


class StepLog:
    """Append steps to a file, and read it; whoever appends holds the workspace's lock."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is made by the first step."""
        self.path = path

    def read(self) -> tuple[Step, ...]:
        """Return all steps, the oldest first; raises WorkspaceError when it can't be read, or a line was changed, added or taken out."""
        return self._chain(self._data())[0]

    def append(self, step: Step) -> None:
        """Add a step; it is durable on return.

        What was left of a step that was never carried out is taken away.

        :raises WorkspaceError: when the log is damaged or full, or the disk refuses; it is then as it was.
        """
        data = self._data()
        _, previous, kept = self._chain(data)
        members = {name: getattr(step, name) for name in Step.__slots__}
        line = strict_json.dumps({**members, "previous": previous}) + b"\n"
        if len(line) > _MAX_LINE or kept + len(line) > MAX_LOG_BYTES:
            raise WorkspaceError(
                f"{self.path}: is full ({kept} bytes); keep it elsewhere and start anew"
            )
        with _of_the_workspace():
            write_private(self.path, data[:kept] + line)

    def _data(self) -> bytes:
        with _of_the_workspace():
            return read_private(self.path, MAX_LOG_BYTES) or b""

    def _chain(self, data: bytes) -> tuple[tuple[Step, ...], str, int]:
        """Return the steps of the lines that end, the hash of the last one, and their length; what stands behind was never finished.

        :raises WorkspaceError: naming the first line that isn't chained to the one before it.
        """
        found: list[Step] = []
        previous, kept = "", 0
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                members = strict_json.loads(line, _MAX_LINE)
                ours = members.keys() == {*Step.__slots__, "previous"}
                step = Step(**members) if ours and members.pop("previous") == previous else None
            except (MalformedError, TypeError):
                step = None
            if step is None:
                raise WorkspaceError(
                    f"{self.path}:{number}: this line was changed, added, or the one before it taken out: the steps from "
                    "here on can't be relied on; compare with a copy, then keep this file elsewhere and start anew"
                )
            previous = base64url.encode(hashlib.sha256(line).digest())
            kept += len(line) + 1
            found.append(step)
        return tuple(found), previous, kept


MAX_PINNED_BYTES: Final = 1024 * 1024
"""Most bytes of the file of pinned keys."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_APP_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+]{0,63}")
_PARTS: Final = ("roots", "sets", "builtins")


class PinWorkspace:
    """Read and write one workspace; each method raises :class:`WorkspaceError` for what can't be used."""

    def __init__(self, directory: Path) -> None:
        """Keep the directory; see :meth:`create` and :meth:`require`."""
        self.directory = directory
        self.log = StepLog(directory / "log.jsonl")
        self.key = directory / "pin-key.pem"  # It signs pin sets;
        self.public_key = directory / "pin-key.jwk"  # its public half, which root lists name.
        self.pinned = directory / "pins.yaml"

    def create(self) -> None:
        """Make the directories, for this user alone; what is there already stays."""
        with _of_the_workspace():
            for directory in (self.directory, *(self.directory / part for part in _PARTS)):
                private_directory(directory)
            sync_directory(self.directory)

    def require(self) -> None:
        """See to it that this is a workspace, and no part of it is gone."""
        if not self.directory.is_dir():
            raise WorkspaceError(
                f"{self.directory}: isn't there; make a workspace with `watchword pins init`"
            )
        gone = [
            part for part in (*_PARTS, self.pinned.name) if not (self.directory / part).exists()
        ]
        if gone:
            raise WorkspaceError(
                f"{self.directory}: got a directory without {', '.join(gone)}, expected a whole workspace: restore it "
                "from a backup, or make another one with `watchword pins init` elsewhere"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change anything here; the lock ends with the process."""
        with _of_the_workspace(), locked_directory(self.directory):
            yield

    def note(
        self,
        now: float,
        actor: str,
        action: str,
        subject: str,
        *,
        reason: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a step into the log, at seconds since 1970, before it is taken; members as :class:`Step` has them."""
        self.log.append(Step(moment(now), actor, action, subject, reason, detail or {}))

    def root_versions(self) -> tuple[int, ...]:
        """Return the versions of the root lists, in order."""
        return self._numbers(self.directory / "roots", ".json")

    def read_roots(self, version: int) -> bytes:
        """Return a root list as it was signed."""
        return self._read(self.directory / "roots" / f"{version}.json", MAX_ROOTS_BYTES)

    def add_roots(self, version: int, data: bytes) -> None:
        """Keep a root list, which was verified."""
        self._add(self.directory / "roots" / f"{version}.json", data)

    def apps(self) -> tuple[str, ...]:
        """Return the apps for which a set was ever published."""
        names = (path.name for path in self._entries(self.directory / "sets"))
        return tuple(sorted(filter(_NAME.fullmatch, names)))

    def set_versions(self, app: str) -> tuple[int, ...]:
        """Return the versions of an app's published sets, in order."""
        return self._numbers(self._of_app(app), ".jws")

    def newest_sets(self) -> dict[str, int]:
        """Return by app the highest version that was ever published."""
        return {app: found[-1] for app in self.apps() if (found := self.set_versions(app))}

    def read_set(self, app: str, version: int) -> bytes:
        """Return a published set as it was signed."""
        return self._read(self._of_app(app) / f"{version}.jws", MAX_SET_BYTES)

    def add_set(self, app: str, version: int, data: bytes) -> None:
        """Publish a set of a version that isn't there yet: from now on the service serves it."""
        directory = self._of_app(app)
        with _of_the_workspace():
            private_directory(directory)
        sync_directory(directory.parent)
        self._add(directory / f"{version}.jws", data)

    def builtins(self) -> tuple[str, ...]:
        """Return the names of the app versions that are out there, each ``APP-VERSION``."""
        names = (path.name for path in self._entries(self.directory / "builtins"))
        found = (name for name in names if name.endswith(".json") and name[0] != ".")
        return tuple(sorted(name.removesuffix(".json") for name in found))

    def read_builtin(self, name: str) -> bytes:
        """Return what an app version ships with."""
        return self._read(self.directory / "builtins" / f"{name}.json", MAX_BUILTIN_BYTES)

    def add_builtin(self, app: str, app_version: str, data: bytes) -> None:
        """Remember what an app version ships with, once: it may be on phones as it was."""
        self._add(self.builtin_file(app, app_version), data)

    def drop_builtin(self, app: str, app_version: str) -> None:
        """Forget an app version that isn't supported any more."""
        path = self.builtin_file(app, app_version)
        try:
            path.unlink()
            sync_directory(path.parent)
        except FileNotFoundError:
            known = ", ".join(self.builtins()) or "none"
            raise WorkspaceError(
                f"{path}: isn't there, expected a version that was released: {known}"
            ) from None
        except OSError as error:
            raise WorkspaceError(f"{path}: can't be taken away: {error.strerror}") from error

    def builtin_file(self, app: str, app_version: str) -> Path:
        """Return where it is kept what an app version ships with; refuse what isn't fit for a file's name."""
        if not _NAME.fullmatch(app) or not _APP_VERSION.fullmatch(app_version):
            raise WorkspaceError(
                f"got version {app_version[:64]!r} of {app!r}, expected letters, digits, dots, at most 64"
            )
        return self.directory / "builtins" / f"{app}-{app_version}.json"

    def read_pinned(self) -> bytes:
        """Return the pinned keys as they stand in their file."""
        return self._read(self.pinned, MAX_PINNED_BYTES)

    def write_pinned(self, data: bytes) -> None:
        """Replace the pinned keys."""
        with _of_the_workspace():
            write_private(self.pinned, data)

    def _of_app(self, app: str) -> Path:
        if not _NAME.fullmatch(app):
            raise WorkspaceError(f"got app {app!r}, expected lower-case letters, digits and dashes")
        return self.directory / "sets" / app

    def _numbers(self, directory: Path, suffix: str) -> tuple[int, ...]:
        stems = (
            p.name.removesuffix(suffix) for p in self._entries(directory) if p.suffix == suffix
        )
        return tuple(sorted(int(stem) for stem in stems if _NUMBER.fullmatch(stem)))

    def _entries(self, directory: Path) -> list[Path]:
        try:
            return list(directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise WorkspaceError(f"{directory}: can't be read: {error.strerror}") from error

    def _read(self, path: Path, limit: int) -> bytes:
        try:
            # A pipe in a file's place would keep whoever opens it waiting for good, and a device never ends.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise WorkspaceError(f"{path}: got something else than a regular file")
                data = file.read(limit + 1)
        except OSError as error:
            raise WorkspaceError(f"{path}: can't be read: {error.strerror}") from error
        if len(data) > limit:
            raise WorkspaceError(f"{path}: got more than {limit} bytes")
        return data

    def _add(self, path: Path, data: bytes) -> None:
        if path.exists():
            raise WorkspaceError(f"{path}: is there already, and is never written over")
        with _of_the_workspace():
            write_private(path, data)
