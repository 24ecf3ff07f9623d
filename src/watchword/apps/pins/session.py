"""Define what a person can set right about a step with pins."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import idna
from cryptography import x509
from pydantic import Field, ValidationError

from watchword.adapters.pin_workspace import PinWorkspace, Step, WorkspaceError
from watchword.apps.settings.document import Document, parse_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.load import Configuration, PinsFile, load_pins
from watchword.apps.settings.schema import HOST_EXPECTED, Config, PinnedHost
from watchword.pins import sets
from watchword.pins.builtins import BuiltinError, read_builtin
from watchword.pins.interface import (
    MAX_HOSTS,
    MAX_PINS,
    Builtin,
    HostPins,
    Pin,
    PinRole,
    PinSet,
    RootList,
)
from watchword.pins.roots import read_roots
from watchword.pins.sets import read_set
from watchword.pins.spki import (
    MAX_FILE_BYTES,
    PinError,
    certificates_of,
    pin_of_file,
    pins_of_chain,
    read_pin,
)
from watchword.ports import Signer
from watchword.reasons import ExitCode, Reason, RefusedError, WatchwordError


class PinsError(WatchwordError):
    """Report what can't be done as it was asked for: what was got, what was expected, what to do."""

    exit_code = ExitCode.USAGE


class NotNowError(WatchwordError):
    """Report a step that was asked for rightly and isn't taken as things stand: nothing was changed."""


def read_builtin_file(name: str, data: bytes) -> Builtin:
    """Return what a version of an app ships with.

    :param name: of the file, for errors.
    :raises PinsError: when it isn't as it was written.
    """
    try:
        return read_builtin(data)
    except BuiltinError as error:
        raise PinsError(f"builtins/{name}.json: {error}; restore it from a backup") from None


MAX_NOTE: Final = 200

_HEAD: Final = """\
# Pinned keys by host. `watchword pins add`, `remove` and `rotate` edit this file; comments of your own don't outlive them.
# role  current: the server shows it now; next: a planned swap brings it; backup: lies offline; ca: an authority's
"""


class _WrittenKey(Config):
    pin: Annotated[str, Field(max_length=200)]
    role: Literal["current", "next", "backup", "ca"]
    note: Annotated[str, Field(max_length=MAX_NOTE)] = ""


class _WrittenKeys(Config):
    version: Literal[1]
    hosts: Annotated[
        dict[PinnedHost, Annotated[list[_WrittenKey], Field(max_length=MAX_PINS)]],
        Field(max_length=MAX_HOSTS),
    ] = {}  # noqa: RUF012 - pydantic copies defaults.


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """Hold a pinned key; the note is for people: where it came from."""

    pin: Pin
    note: str = ""


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """Hold the pinned keys of all hosts."""

    hosts: Mapping[str, tuple[PinnedKey, ...]] = field(default_factory=dict)

    def of(self, host: str) -> tuple[PinnedKey, ...]:
        """Return the keys of a host, possibly none."""
        return self.hosts.get(host, ())

    def with_keys(self, host: str, keys: tuple[PinnedKey, ...]) -> "PinnedKeys":
        """Return these, with other keys for one host; without any it is dropped."""
        others = {name: each for name, each in self.hosts.items() if name != host or keys}
        return replace(self, hosts={**others, **({host: keys} if keys else {})})

    def adding(self, host: str, key: PinnedKey) -> "PinnedKeys":
        """Return these and one more; one that is pinned already takes the new role.

        :raises PinsError: when there are too many.
        """
        others = tuple(each for each in self.of(host) if each.pin.spki != key.pin.spki)
        if len(others) >= MAX_PINS:
            raise PinsError(f"{host}: got {len(others) + 1} keys, expected at most {MAX_PINS}")
        if host not in self.hosts and len(self.hosts) >= MAX_HOSTS:
            raise PinsError(f"got {len(self.hosts) + 1} hosts, expected at most {MAX_HOSTS}")
        return self.with_keys(host, (*others, key))


def parse_pinned(file: Path, data: bytes) -> PinnedKeys:
    """Return what the file says.

    :raises ConfigurationError: with every fault of it, and its line.
    """
    document = parse_document(file, data)
    faults = list(document.faults)
    try:
        written = _WrittenKeys.model_validate(document.data)
    except ValidationError as error:
        told = {each.path for each in faults}
        faults += [each for each in _translated(document, error) if each.path not in told]
        raise ConfigurationError(file, faults) from None
    hosts: dict[str, tuple[PinnedKey, ...]] = {}
    for host, keys in written.hosts.items():
        found: list[PinnedKey] = []
        for index, each in enumerate(keys):
            path = ("hosts", host, index, "pin")
            try:
                pin = Pin(read_pin(each.pin), PinRole(each.role))
            except PinError as error:
                faults.append(
                    Fault(join(path), document.line(path), shown(each.pin), _expected(error))
                )
                continue
            if any(pin.spki == other.pin.spki for other in found):
                faults.append(
                    Fault(join(path), document.line(path), "the same key again", "each key once")
                )
            found.append(PinnedKey(pin, each.note))
        hosts[host] = tuple(found)
    if faults:
        raise ConfigurationError(file, faults)
    return PinnedKeys(hosts)


def pinned_document(keys: PinnedKeys) -> bytes:
    """Return the file's text, hosts in order of their names."""
    lines = [_HEAD, "version: 1\n", "hosts:\n" if keys.hosts else "hosts: {}\n"]
    order = list(PinRole)
    for host in sorted(keys.hosts):
        lines.append(f"  {host}:\n")
        for each in sorted(keys.hosts[host], key=lambda key: order.index(key.pin.role)):
            lines.append(f"    - pin: {each.pin}\n      role: {each.pin.role.value}\n")
            if each.note:
                # A JSON string of printable ASCII is one of YAML's too.
                lines.append(f"      note: {json.dumps(each.note[:MAX_NOTE])}\n")
    return "".join(lines).encode()


def _translated(document: Document, error: ValidationError) -> Iterator[Fault]:
    for details in error.errors(include_url=False):
        path = tuple(part for part in details["loc"] if part != "[key]")
        told = details["msg"].removeprefix("Input should be ")
        expected = str(details.get("ctx", {}).get("expected") or told)
        yield Fault(join(path), document.line(path), shown(details["input"]), expected)


def _expected(error: PinError) -> str:
    return error.detail.partition("expected ")[2] or "a SHA-256 in base64 or hexadecimal"


@dataclass(frozen=True, slots=True)
class Bench:
    """Hold what a step works on.

    :param lists: all root lists, each verified by the one before it, in order.
    """

    file: PinsFile
    workspace: PinWorkspace
    pinned: PinnedKeys
    lists: tuple[RootList, ...]

    @property
    def roots(self) -> RootList:
        """Return the newest root list.

        :raises PinsError: when there is none yet.
        """
        if not self.lists:
            raise PinsError(
                f"{self.workspace.directory}: got no root list, expected one: make it on a machine that is offline "
                f"(watchword pins root init --pin-key {self.workspace.public_key.name}), then: watchword pins root accept FILE"
            )
        return self.lists[-1]

    def app_named(self, app: str | None) -> str:
        """Return the app that is meant: by its name, or the only one.

        :raises PinsError: when there is no such app, or more than one.
        """
        known = self.file.pins.apps
        if app is None and len(known) == 1:
            return known[0]
        if app is None or app not in known:
            names = ", ".join(known) or "none: no host under pins.hosts names an app"
            got = "no app" if app is None else f"app {app!r}"
            raise PinsError(f"got {got}, expected one that pins hosts: {names}")
        return app

    def host_named(self, host: str) -> str:
        """Return a host that the section names.

        :raises PinsError: when it doesn't.
        """
        if host not in self.file.pins.hosts:
            known = ", ".join(self.file.pins.hosts) or "none yet"
            raise PinsError(
                f"got host {host}, expected one under pins.hosts of {self.file.path}: {known}"
            )
        return host

    def published(self, app: str) -> PinSet | None:
        """Return the newest published set of an app, None before the first.

        :raises PinsError: when it can't be read, or was signed by none of our keys.
        """
        return next(self.history(app), None)

    def history(self, app: str) -> Iterator[PinSet]:
        """Yield the published sets of an app, the newest first; an old one may be signed by a key that was withdrawn since."""
        for version in reversed(self.workspace.set_versions(app)):
            found = self._read(app, version)
            if (found.app, found.version) != (app, version):
                raise PinsError(
                    f"sets/{app}/{version}.jws: got version {found.version} of {found.app}; restore the workspace"
                )
            yield found

    def fleet(self, app: str | None = None) -> tuple[Builtin, ...]:
        """Return what the supported versions of an app, or of all, ship with.

        :raises PinsError: when one can't be read.
        """
        found = (
            read_builtin_file(name, self.workspace.read_builtin(name))
            for name in self.workspace.builtins()
        )
        return tuple(each for each in found if app in {None, each.app})

    def signer(self) -> Signer:
        """Return the key that signs sets.

        :raises PinsError: when the newest root list doesn't name it.
        :raises WorkspaceError: when it can't be read.
        """
        from watchword.adapters.pin_workspace import read_key  # noqa: PLC0415 - most steps sign nothing.

        key = read_key(self.workspace.key)
        if key is None:
            raise WorkspaceError(f"{self.workspace.key}: is encrypted, expected a key that isn't")
        if key.kid not in self.roots.pin_keys:
            raise PinsError(
                f"{self.workspace.key}: got the key {key.kid}, expected one that root list {self.roots.version} names: "
                f"{', '.join(self.roots.pin_keys)}; have the next list name it: watchword pins root rotate --add-pin-key"
            )
        return key

    def _read(self, app: str, version: int) -> PinSet:
        data = self.workspace.read_set(app, version)
        for roots in reversed(self.lists):
            try:
                return read_set(data, roots)
            except RefusedError as error:
                if error.reason is not Reason.PINS_SET_KEY:
                    raise PinsError(f"sets/{app}/{version}.jws: {error}") from None
        raise PinsError(
            f"sets/{app}/{version}.jws: got a set that no key of our root lists signed; restore the workspace from a backup"
        )


def open_bench(config: Path) -> Bench:
    """Read the section of a file and its workspace.

    :raises ConfigurationError: with every fault of the section, or of the pinned keys.
    :raises WorkspaceError: when there is no workspace, or a part of it is gone.
    :raises PinsError: when a root list doesn't verify.
    """
    file = load_pins(config)
    workspace = PinWorkspace(file.pins.directory)
    workspace.require()
    pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
    return Bench(file, workspace, pinned, read_lists(workspace))


def read_lists(workspace: PinWorkspace) -> tuple[RootList, ...]:
    """Return all root lists of a workspace, each verified by the one before it.

    :raises PinsError: naming the first that isn't.
    """
    found: list[RootList] = []
    for version in workspace.root_versions():
        try:
            roots = read_roots(workspace.read_roots(version), found[-1] if found else None)
        except RefusedError as error:
            raise PinsError(
                f"roots/{version}.json: {error}; restore the workspace from a backup"
            ) from None
        if roots.version != version:
            raise PinsError(f"roots/{version}.json: got version {roots.version} in it")
        found.append(roots)
    return tuple(found)


DAY: Final = 86_400
_HOUR: Final = 3600


def day(at: float) -> str:
    """Return a day, in UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def moment(at: float) -> str:
    """Return a time to the second, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def in_words(seconds: float) -> str:
    """Return a stretch of time: days, from two days on, else hours."""
    if abs(seconds) >= 2 * DAY:
        return f"{seconds / DAY:.0f} days"
    if abs(seconds) >= _HOUR:
        return f"{seconds / _HOUR:.0f} hours"
    return f"{seconds / 60:.0f} minutes"


def step(
    now: float,
    actor: str,
    action: str,
    subject: str,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Step:
    """Return a step at a time, in seconds since 1970."""
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Step(at, actor, action, subject, reason, detail or {})


_MAX_SHOWN: Final = 100


def read_host(text: str) -> str:
    """Return a name as a pin set has it: lower case, A-labels, without a last dot.

    :raises PinsError: for an address, a port, a URL, a wildcard, and what is no name at all.
    """
    name = text.strip().rstrip(".").lower()
    if not name.isascii() and len(name) <= _MAX_SHOWN:
        try:
            # UTS 46 maps what people type to what is registered.
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            name = ""
    try:
        return sets.read_host(name)
    except PinError:
        shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
        raise PinsError(f"host: got {shown!r}, expected {HOST_EXPECTED}") from None


Source = tuple[bytes, str]
"""A pin, and a note for people on where it came from."""


def key_of_text(text: str) -> Source:
    """Return what a pin as text says, in any of the forms that tools write.

    :raises PinsError: when it is none.
    """
    try:
        return read_pin(text), ""
    except PinError as error:
        raise PinsError(f"--spki: {error.detail}") from None


def key_of_certificate(file: Path) -> Source:
    """Return the pin of the first certificate in a file, the leaf of a chain.

    :raises PinsError: when it holds none.
    """
    data = _read(file)
    try:
        leaf, *_ = certificates_of(data)
        pin, *_ = pins_of_chain(data)
    except PinError as error:
        raise PinsError(f"{file}: {error.detail}") from None
    return pin, _note(file, leaf)


def key_of_key(file: Path) -> Source:
    """Return the pin of a public key or a signing request in a file.

    :raises PinsError: when it holds none; a private key, which no tool that publishes should see, is told apart.
    """
    try:
        return pin_of_file(_read(file)), file.name
    except PinError as error:
        hint = ""
        if "private key" in error.detail:
            hint = f"; to take it: openssl pkey -in {file.name} -pubout -out {file.stem}.pub"
        raise PinsError(f"{file}: {error.detail}{hint}") from None


def keys_of_bundle(file: Path) -> tuple[Source, ...]:
    """Return the pin of each authority in a bundle, each once.

    :raises PinsError: when one of them is no authority, or there are too many to be pins of one host.
    """
    data = _read(file)
    try:
        certificates = certificates_of(data, MAX_PINS)
        pins = pins_of_chain(data, MAX_PINS)
    except PinError as error:
        raise PinsError(f"{file}: {error.detail}") from None
    found: dict[bytes, str] = {}
    for pin, certificate in zip(pins, certificates, strict=True):
        if not is_authority(certificate):
            raise PinsError(
                f"{file}: got {subject_of(certificate)}, which is no authority; expected those that may sign for this host"
            )
        found.setdefault(pin, _note(file, certificate))
    return tuple(found.items())


def subject_of(certificate: x509.Certificate) -> str:
    """Return whose certificate it is, for people."""
    try:
        return certificate.subject.rfc4514_string()[:120] or "a certificate without a subject"
    except ValueError:
        return "a certificate without a readable subject"


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether it may sign others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _note(file: Path, certificate: x509.Certificate) -> str:
    return f"{file.name}: {subject_of(certificate)}"


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        # One more than is taken, so that the reader tells that it is too much.
        return stream.read(MAX_FILE_BYTES + 1)


def online_directories(config: Path) -> tuple[Path, ...]:
    """Return the state directory and the workspace that a file names; none where there is no file, as on a machine that is offline."""
    file = Configuration.if_readable(config)
    return () if file is None else (file.state, file.workspace)


def workspace_of(config: Path) -> tuple[Path, bool]:
    """Return the workspace that a file names or that would be taken, and whether the file has the section."""
    file = Configuration.if_readable(config) or Configuration(config, Document())
    return file.workspace, isinstance(file.data.get("pins"), dict)


def apps_of(config: Path) -> tuple[str, ...]:
    """Return the names of the apps of a file, none where it can't be read."""
    file = Configuration.if_readable(config)
    return () if file is None else file.apps


def published_in(workspace: PinWorkspace) -> dict[str, int]:
    """Return by app the highest version that a workspace ever published."""
    versions = {app: workspace.set_versions(app) for app in workspace.apps()}
    return {app: found[-1] for app, found in versions.items() if found}


def published_by(config: Path) -> dict[str, int] | None:
    """Return the same of the workspace that a file names or that would be taken; None where there's none, as offline."""
    workspace = PinWorkspace(workspace_of(config)[0])
    try:
        workspace.require()
    except WorkspaceError:
        return None
    return published_in(workspace)


def draft_of(bench: Bench, app: str, now: float, above: int = 0) -> PinSet:
    """Return the set that would be published for an app now; it isn't signed, and may not be fit to be published.

    A host without any key yet is left out: it is unpinned, as before.

    :param above: a version that apps may have seen, from elsewhere than this workspace.
    :raises PinsError: when no host of the app has a key.
    """
    pins = bench.file.pins
    hosts = tuple(
        HostPins(
            host=name,
            mode=pins.hosts[name].mode,
            pins=tuple(each.pin for each in bench.pinned.of(name)),
            include_subdomains=pins.hosts[name].include_subdomains,
            after_expiry=pins.hosts[name].after_expiry,
        )
        for name in pins.hosts_of(app)
        if bench.pinned.of(name)
    )
    if not hosts:
        first = next(iter(pins.hosts_of(app)), "HOST")
        raise PinsError(
            f"{app}: got no pinned key, expected some: watchword pins add {first} --from-live"
        )
    issued_at = int(now)
    return PinSet(
        app=app,
        version=next_version([*_versions(bench, app), above], now),
        issued_at=issued_at,
        soft_expiry=issued_at + pins.soft_expiry,
        hard_expiry=issued_at + pins.hard_expiry,
        root_version=bench.roots.version,
        hosts=hosts,
        key=next(iter(bench.roots.pin_keys)),
        reports=pins.reports,
    )


def next_version(known: Iterable[int], now: float) -> int:
    """Return the version of the next set: the time as digits, such as 20261127122601, or more where that isn't new.

    A count would start anew from what a restored backup knows, and apps would refuse every set that they had seen a higher
    version than.  Time goes on while a backup lies in the safe.
    """
    digits = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
    return max(int(digits), max(known, default=0) + 1)


def unpinned(bench: Bench, app: str) -> tuple[str, ...]:
    """Return the hosts of an app that have no key yet."""
    return tuple(name for name in bench.file.pins.hosts_of(app) if not bench.pinned.of(name))


def _versions(bench: Bench, app: str) -> list[int]:
    """Return every version that this app may have seen: of sets, of the log, of floors, of what shipped."""
    logged = (
        step.detail.get("version")
        for step in bench.workspace.log.read()
        if step.action == "publish" and step.subject == app
    )
    return [
        *bench.workspace.set_versions(app),
        *(each for each in logged if isinstance(each, int)),
        # A floor is the lowest that counts: the next one may be it.
        *(roots.floors.get(app, 1) - 1 for roots in bench.lists),
        *(each.floor for each in bench.fleet(app)),
    ]


def edit(config: Path, change: Callable[[Bench, PinnedKeys], PinnedKeys]) -> Bench:
    """Change the keys by what they are when nobody else changes them; return what holds then.

    :raises WatchwordError: as the change does; nothing is written then.
    """
    bench = open_bench(config)
    workspace = bench.workspace
    with workspace.locked():
        pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
        changed = change(bench, pinned)
        if changed != pinned:
            workspace.write_pinned(pinned_document(changed))
    return Bench(bench.file, workspace, changed, bench.lists)


def adding(
    pinned: PinnedKeys, host: str, role: PinRole, sources: tuple[tuple[bytes, str], ...]
) -> PinnedKeys:
    """Return the keys with some more of one role.

    There is one current key: another one takes the place of a current key that no published set needs, and that is what
    `watchword pins rotate` is for.

    :raises PinsError: for a second current key, and for too many.
    """
    for spki, note in sources:
        others = [each for each in pinned.of(host) if each.pin.spki != spki]
        current = next((each for each in others if each.pin.role is PinRole.CURRENT), None)
        if role is PinRole.CURRENT and current is not None:
            raise PinsError(
                f"{host}: got another current key, expected one: {current.pin} is; add this one as next, then see "
                f"`watchword pins rotate {host}`, or remove that one first"
            )
        pinned = pinned.adding(host, PinnedKey(Pin(spki, role), note))
    return pinned


def found_key(pinned: PinnedKeys, host: str, text: str) -> PinnedKey:
    """Return the key of a host that is meant: by its pin in any form, the beginning of it, or by a role that one key has.

    :raises PinsError: when that isn't one key.
    """
    keys = pinned.of(host)
    if text in {role.value for role in PinRole}:
        found = [each for each in keys if each.pin.role.value == text]
    else:
        begin = text.removeprefix("sha256/")
        found = [
            each
            for each in keys
            if begin and str(each.pin).removeprefix("sha256/").startswith(begin)
        ]
        if not found:
            try:
                spki = read_pin(text)
            except PinError as error:
                raise PinsError(
                    f"{error.detail}, or a role, or the beginning of a pin of {host}"
                ) from None
            found = [each for each in keys if each.pin.spki == spki]
    if len(found) != 1:
        known = ", ".join(f"{each.pin} ({each.pin.role.value})" for each in keys) or "none"
        raise PinsError(
            f"{host}: got {text[:60]!r}, which is {len(found)} keys, expected one of: {known}"
        )
    return found[0]
