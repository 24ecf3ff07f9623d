"""Open a workspace and the section of watchword.yaml that it hangs on: the pinned keys, and what a step of theirs needs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import idna
from cryptography import x509
from pydantic import Field, ValidationError

from watchword.adapters.pin_workspace import PinWorkspace, Step, WorkspaceError, read_key
from watchword.apps.settings.document import Document, parse_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.load import Configuration, PinsFile, load_pins
from watchword.apps.settings.schema import HOST_EXPECTED, Config, PinnedHost
from watchword.pins import interface, sets
from watchword.pins.builtins import BuiltinError, read_builtin
from watchword.pins.interface import (
    MAX_FILE_BYTES,
    MAX_HOSTS,
    MAX_PINS,
    Builtin,
    HostPins,
    Pin,
    PinError,
    PinRole,
    PinSet,
    RootList,
    certificates_of,
    pin_of_file,
    pins_of_chain,
    read_pin,
)
from watchword.pins.roots import read_roots
from watchword.ports import Signer
from watchword.reasons import ExitCode, RefusedError, WatchwordError

DAY: Final = 86_400
MAX_NOTE: Final = 200
_MAX_SHOWN: Final = 100

_HEAD: Final = """\
# Pinned keys by host. `watchword pins add`, `remove` and `rotate` edit this file; comments of your own don't outlive them.
# role  current: the server shows it now; next: a planned swap brings it; backup: lies offline; ca: an authority's
"""

Source = tuple[bytes, str]
"""A pin, and a note for people on where it came from."""


class PinsError(WatchwordError):
    """Report what can't be done as it was asked for: what was got, what was expected, what to do."""

    exit_code = ExitCode.USAGE


class NotNowError(WatchwordError):
    """Report a step that was asked for rightly and isn't taken as things stand: nothing was changed."""


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
    return f"{seconds / 3600:.0f} hours" if abs(seconds) >= 3600 else f"{seconds / 60:.0f} minutes"


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
    return Step(moment(now), actor, action, subject, reason, detail or {})


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
        return interface.read_host(name)
    except PinError:
        got = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
        raise PinsError(f"host: got {got!r}, expected {HOST_EXPECTED}") from None


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
        return PinnedKeys({**others, **({host: keys} if keys else {})})

    def adding(self, host: str, role: PinRole, sources: tuple[Source, ...]) -> "PinnedKeys":
        """Return these and some more of one role; one that is pinned already takes the new role.

        There is one current key: another one takes the place of a current key that no published set needs, and that is what
        `watchword pins rotate` is for.

        :raises PinsError: for a second current key, and for too many.
        """
        pinned = self
        for spki, note in sources:
            others = tuple(each for each in pinned.of(host) if each.pin.spki != spki)
            current = next((each for each in others if each.pin.role is PinRole.CURRENT), None)
            if role is PinRole.CURRENT and current is not None:
                raise PinsError(
                    f"{host}: got another current key, expected one: {current.pin} is; add this one as next, then see "
                    f"`watchword pins rotate {host}`, or remove that one first"
                )
            if len(others) >= MAX_PINS:
                raise PinsError(f"{host}: got {len(others) + 1} keys, expected at most {MAX_PINS}")
            if host not in pinned.hosts and len(pinned.hosts) >= MAX_HOSTS:
                raise PinsError(f"got {len(pinned.hosts) + 1} hosts, expected at most {MAX_HOSTS}")
            pinned = pinned.with_keys(host, (*others, PinnedKey(Pin(spki, role), note)))
        return pinned

    def without(self, host: str, text: str) -> "PinnedKeys":
        """Return these without the key that :meth:`named` finds; of a host without keys there is none to be found."""
        gone = self.named(host, text) if self.of(host) else None
        return self.with_keys(host, tuple(each for each in self.of(host) if each != gone))

    def named(self, host: str, text: str) -> PinnedKey:
        """Return the key of a host that is meant: by its pin in any form, the beginning of it, or by a role that one key has.

        :raises PinsError: when that isn't one key.
        """
        keys = self.of(host)
        begin = text.removeprefix("sha256/")
        found = [each for each in keys if each.pin.role.value == text]
        if text not in set(PinRole):
            found = [each for each in keys if begin and each.pin.base64.startswith(begin)]
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


def parse_pinned(file: Path, data: bytes) -> PinnedKeys:
    """Return what the file says; raises ConfigurationError with every fault of it, and its line."""
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
        found: dict[bytes, PinnedKey] = {}
        for index, each in enumerate(keys):
            path = ("hosts", host, index, "pin")
            try:
                pin = Pin(read_pin(each.pin), PinRole(each.role))
            except PinError as error:
                expected = error.detail.partition("expected ")[2]
                expected = expected or "a SHA-256 in base64 or hexadecimal"
                faults.append(Fault(join(path), document.line(path), shown(each.pin), expected))
                continue
            if pin.spki in found:
                where = document.line(path)
                faults.append(Fault(join(path), where, "the same key again", "each key once"))
            found[pin.spki] = PinnedKey(pin, each.note)
        hosts[host] = tuple(found.values())
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


@dataclass(frozen=True, slots=True)
class PinSession:
    """Hold what a step works on.

    :param lists: all root lists, each verified by the one before it, in order.
    """

    file: PinsFile
    workspace: PinWorkspace
    pinned: PinnedKeys
    lists: tuple[RootList, ...]

    @property
    def roots(self) -> RootList:
        """Return the newest root list; raises PinsError when there is none yet."""
        if not self.lists:
            raise PinsError(
                f"{self.workspace.directory}: got no root list, expected one: make it on a machine that is offline "
                f"(watchword pins root init --pin-key {self.workspace.public_key.name}), then: watchword pins root accept FILE"
            )
        return self.lists[-1]

    def app_named(self, app: str | None) -> str:
        """Return the app that is meant: by its name, or the only one; raises PinsError for none or one of several."""
        known = self.file.pins.apps
        if app is None and len(known) == 1:
            return known[0]
        if app is None or app not in known:
            names = ", ".join(known) or "none: no host under pins.hosts names an app"
            got = "no app" if app is None else f"app {app!r}"
            raise PinsError(f"got {got}, expected one that pins hosts: {names}")
        return app

    def host_named(self, host: str) -> str:
        """Return a host that the section names; raises PinsError when it doesn't."""
        if host not in self.file.pins.hosts:
            known = ", ".join(self.file.pins.hosts) or "none yet"
            raise PinsError(
                f"got host {host}, expected one under pins.hosts of {self.file.path}: {known}"
            )
        return host

    def published(self, app: str) -> PinSet | None:
        """Return the newest published set of an app, None before the first; raises as :meth:`history` does."""
        return next(self.history(app), None)

    def history(self, app: str) -> Iterator[PinSet]:
        """Yield the published sets of an app, the newest first; an old one may be signed by a key that was withdrawn since.

        :raises PinsError: when one can't be read, or was signed by none of our keys.
        """
        for version in reversed(self.workspace.set_versions(app)):
            file = f"sets/{app}/{version}.jws"
            try:
                found = sets.read_under_any(self.workspace.read_set(app, version), self.lists)
            except RefusedError as error:
                raise PinsError(f"{file}: {error}") from None
            if found is None:
                raise PinsError(
                    f"{file}: got a set that no key of our root lists signed; restore the workspace from a backup"
                )
            if (found.app, found.version) != (app, version):
                raise PinsError(
                    f"{file}: got version {found.version} of {found.app}; restore the workspace"
                )
            yield found

    def fleet(self, app: str | None = None) -> tuple[Builtin, ...]:
        """Return what the supported versions of an app, or of all, ship with; raises PinsError when one can't be read."""
        found = [
            read_builtin_file(name, self.workspace.read_builtin(name))
            for name in self.workspace.builtins()
        ]
        return tuple(each for each in found if app in {None, each.app})

    def signer(self) -> Signer:
        """Return the key that signs sets.

        :raises PinsError: when the newest root list doesn't name it.
        :raises WorkspaceError: when it can't be read.
        """
        key = read_key(self.workspace.key)
        if key is None:
            raise WorkspaceError(f"{self.workspace.key}: is encrypted, expected a key that isn't")
        if key.kid not in self.roots.pin_keys:
            raise PinsError(
                f"{self.workspace.key}: got the key {key.kid}, expected one that root list {self.roots.version} names: "
                f"{', '.join(self.roots.pin_keys)}; have the next list name it: watchword pins root rotate --add-pin-key"
            )
        return key

    def draft(self, app: str, now: float, above: int = 0) -> PinSet:
        """Return the set that would be published for an app now; it isn't signed, and may not be fit to be published.

        A host without any key yet is left out: it is unpinned, as before.

        :param above: a version that apps may have seen, from elsewhere than this workspace.
        :raises PinsError: when no host of the app has a key.
        """
        pins = self.file.pins
        hosts = tuple(
            HostPins(
                host=name,
                mode=pins.hosts[name].mode,
                pins=tuple(each.pin for each in self.pinned.of(name)),
                include_subdomains=pins.hosts[name].include_subdomains,
                after_expiry=pins.hosts[name].after_expiry,
            )
            for name in pins.hosts_of(app)
            if self.pinned.of(name)
        )
        if not hosts:
            first = next(iter(pins.hosts_of(app)), "HOST")
            raise PinsError(
                f"{app}: got no pinned key, expected some: watchword pins add {first} --from-live"
            )
        return PinSet(
            app=app,
            version=next_version([*self._seen(app), above], now),
            issued_at=int(now),
            soft_expiry=int(now) + pins.soft_expiry,
            hard_expiry=int(now) + pins.hard_expiry,
            root_version=self.roots.version,
            hosts=hosts,
            key=next(iter(self.roots.pin_keys)),
            reports=pins.reports,
        )

    def _seen(self, app: str) -> Iterator[int]:
        """Yield every version that this app may have seen: of sets, of the log, of floors, of what shipped."""
        yield from self.workspace.set_versions(app)
        for each in self.workspace.log.read():
            version = each.detail.get("version")
            if (each.action, each.subject) == ("publish", app) and isinstance(version, int):
                yield version
        # A floor is the lowest that counts: the next one may be it.
        yield from (roots.floors.get(app, 1) - 1 for roots in self.lists)
        yield from (each.floor for each in self.fleet(app))


def next_version(known: Iterable[int], now: float) -> int:
    """Return the version of the next set: the time as digits, such as 20261127122601, or more where that isn't new.

    A count would start anew from what a restored backup knows, and apps would refuse every set that they had seen a higher
    version than.  Time goes on while a backup lies in the safe.
    """
    digits = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S")
    return max(int(digits), max(known, default=0) + 1)


def open_session(config: Path) -> PinSession:
    """Read the section of a file and its workspace.

    :raises ConfigurationError: with every fault of the section, or of the pinned keys.
    :raises WorkspaceError: when there is no workspace, or a part of it is gone.
    :raises PinsError: when a root list doesn't verify.
    """
    file = load_pins(config)
    workspace = PinWorkspace(file.pins.directory)
    workspace.require()
    pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
    return PinSession(file, workspace, pinned, read_lists(workspace))


def read_lists(workspace: PinWorkspace) -> tuple[RootList, ...]:
    """Return all root lists of a workspace, each verified by the one before it; raises PinsError naming the first that isn't."""
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


def read_builtin_file(name: str, data: bytes) -> Builtin:
    """Return what a version of an app ships with; raises PinsError, by the file's name, when it isn't as it was written."""
    try:
        return read_builtin(data)
    except BuiltinError as error:
        raise PinsError(f"builtins/{name}.json: {error}; restore it from a backup") from None


def edit(config: Path, change: Callable[[PinSession, PinnedKeys], PinnedKeys]) -> PinnedKeys:
    """Change the keys by what they are when nobody else changes them; return what holds then.

    :raises WatchwordError: as the change does; nothing is written then.
    """
    session = open_session(config)
    workspace = session.workspace
    with workspace.locked():
        pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
        changed = change(session, pinned)
        if changed != pinned:
            workspace.write_pinned(pinned_document(changed))
    return changed


@contextmanager
def _pins_of(what: Path | str) -> Iterator[None]:
    """Report a pin, a certificate or a key that can't be read as one of this file or option."""
    try:
        yield
    except PinError as error:
        hint = ""
        if isinstance(what, Path) and "private key" in error.detail:
            hint = f"; to take it: openssl pkey -in {what.name} -pubout -out {what.stem}.pub"
        raise PinsError(f"{what}: {error.detail}{hint}") from None


def key_of_text(text: str) -> Source:
    """Return what a pin as text says, in any of the forms that tools write; raises PinsError when it is none."""
    with _pins_of("--spki"):
        return read_pin(text), ""


def key_of_certificate(file: Path) -> Source:
    """Return the pin of the first certificate in a file, the leaf of a chain; raises PinsError when it holds none."""
    data = _read(file)
    with _pins_of(file):
        leaf, *_ = certificates_of(data)
        return pins_of_chain(data)[0], f"{file.name}: {subject_of(leaf)}"


def key_of_key(file: Path) -> Source:
    """Return the pin of a public key or a signing request in a file.

    :raises PinsError: when it holds none; a private key, which no tool that publishes should see, is told apart.
    """
    data = _read(file)
    with _pins_of(file):
        return pin_of_file(data), file.name


def keys_of_bundle(file: Path) -> tuple[Source, ...]:
    """Return the pin of each authority in a bundle, each once.

    :raises PinsError: when one of them is no authority, or there are too many to be pins of one host.
    """
    data = _read(file)
    with _pins_of(file):
        certificates = certificates_of(data, MAX_PINS)
        pins = pins_of_chain(data, MAX_PINS)
    found: dict[bytes, str] = {}
    for pin, certificate in zip(pins, certificates, strict=True):
        if not _is_authority(certificate):
            raise PinsError(
                f"{file}: got {subject_of(certificate)}, which is no authority; expected those that may sign for this host"
            )
        found.setdefault(pin, f"{file.name}: {subject_of(certificate)}")
    return tuple(found.items())


def subject_of(certificate: x509.Certificate) -> str:
    """Return whose certificate it is, for people."""
    try:
        return certificate.subject.rfc4514_string()[:120] or "a certificate without a subject"
    except ValueError:
        return "a certificate without a readable subject"


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        # One more than is taken, so that the reader tells that it is too much.
        return stream.read(MAX_FILE_BYTES + 1)


@dataclass(frozen=True, slots=True)
class Named:
    """Hold what a file names, as far as it can be read: on a machine that is offline there is none.

    :param workspace: that it names, or that would be taken.
    :param has_section: whether it has a section ``pins``.
    :param online: the state directory and the workspace; none without a file.
    :param apps: the names of its apps.
    """

    workspace: Path
    has_section: bool
    online: tuple[Path, ...]
    apps: tuple[str, ...]


def named_in(config: Path) -> Named:
    """Read what a file names, whatever else is wrong with it."""
    file = Configuration.if_readable(config)
    found = file or Configuration(config, Document())
    return Named(
        found.workspace,
        isinstance(found.data.get("pins"), dict),
        () if file is None else (file.state, file.workspace),
        () if file is None else file.apps,
    )


def published_in(workspace: PinWorkspace) -> dict[str, int]:
    """Return by app the highest version that a workspace ever published."""
    versions = {app: workspace.set_versions(app) for app in workspace.apps()}
    return {app: found[-1] for app, found in versions.items() if found}


def published_by(config: Path) -> dict[str, int] | None:
    """Return the same of the workspace that a file names or that would be taken; None where there's none, as offline."""
    workspace = PinWorkspace(named_in(config).workspace)
    try:
        workspace.require()
    except WorkspaceError:
        return None
    return published_in(workspace)
