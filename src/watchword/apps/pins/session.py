"""Open a workspace and the section of watchword.yaml that it hangs on: pinned keys, and what servers show; edit and show them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import click
import idna
from cryptography import x509
from pydantic import Field, ValidationError

from watchword.adapters.live_chain import (
    LiveChain,
    LiveChainError,
    Place,
    fetch_chain,
    parse_resolve,
    places_of,
    trusted,
)
from watchword.adapters.pin_workspace import PinWorkspace, WorkspaceError, read_key
from watchword.adapters.system import SystemClock
from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.pins import HOST_EXPECTED, PinnedHost, PinsFile, load_pins
from watchword.apps.settings.sections import Config
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted
from watchword.pins import interface, sets
from watchword.pins.installed import BuiltinError, read_builtin
from watchword.pins.interface import (
    MAX_CHAIN,
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
    pin_of_certificate,
    pin_of_file,
    pins_of_chain,
    read_pin,
)
from watchword.pins.publication import ProbeResult
from watchword.pins.roots import read_roots
from watchword.ports import Signer
from watchword.reasons import ExitCode, RefusedError, WatchwordError

DAY: Final = 86_400
MAX_NOTE: Final = 200
_MAX_SHOWN: Final = 100
_AT_ONCE: Final = 16
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


def in_words(seconds: float) -> str:
    """Return a stretch of time: days, from two days on, else hours."""
    if abs(seconds) >= 2 * DAY:
        return f"{seconds / DAY:.0f} days"
    return f"{seconds / 3600:.0f} hours" if abs(seconds) >= 3600 else f"{seconds / 60:.0f} minutes"


def present() -> float:
    """Return the time, in seconds since 1970."""
    return SystemClock().timestamp()


def say(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    """Print a result for scripts or for people."""
    if as_json:
        print_json(value)
    else:
        for line in lines:
            click.echo(line)


def require_reason(force: bool, reason: str | None) -> None:
    """See to it that what is forced says why; raises click.UsageError."""
    if force != bool((reason or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")


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


def keys_of(keys: Iterable[PinnedKey], *, noted: bool = False) -> list[dict[str, str]]:
    """Return pinned keys as they stand in JSON, with or without their notes."""
    return [
        {"pin": str(each.pin), "role": each.pin.role.value} | ({"note": each.note} if noted else {})
        for each in keys
    ]


def parse_pinned(file: Path, data: bytes) -> PinnedKeys:
    """Return what the file says; raises ConfigurationError with every fault of it, and its line."""
    document = parse_document(file, data)
    faults = list(document.faults)
    try:
        written = _WrittenKeys.model_validate(document.data)
    except ValidationError as error:
        told = {each.path for each in faults}
        for details in error.errors(include_url=False):
            path = tuple(part for part in details["loc"] if part != "[key]")
            expected = details.get("ctx", {}).get("expected")
            expected = str(expected or details["msg"].removeprefix("Input should be "))
            if join(path) not in told:
                got = shown(details["input"])
                faults.append(Fault(join(path), document.line(path), got, expected))
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


@dataclass(frozen=True, slots=True)
class Probe:
    """Hold what was seen of one host, and where nothing was.

    :param troubles: one line for each place that showed nothing.
    """

    host: str
    results: tuple[ProbeResult, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Return the leaf keys that were seen, each once."""
        return tuple(dict.fromkeys(result.chain[0] for result in self.results))

    @property
    def bad(self) -> ProbeResult | None:
        """Return the first result whose chain doesn't hold, None where all do."""
        return next((each for each in self.results if each.fault is not None), None)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Say from where and how servers are looked at.

    :param named: by host, where it is looked at instead of at the addresses of its name.
    :param ca: authorities that are believed instead of the platform's.
    """

    named: Mapping[str, Sequence[Place]]
    ca: Path | None = None
    seconds: float = 5.0


def options_of(options: dict[str, Any]) -> ProbeOptions:
    """Return from where servers are looked at; raises click.BadParameter when a place isn't HOST=ADDRESS[:PORT]."""
    named: dict[str, list[Place]] = {}
    for text in options["resolve"]:
        try:
            place = parse_resolve(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--resolve") from None
        host = read_host(place.host)
        named.setdefault(host, []).append(replace(place, host=host))
    return ProbeOptions(named, options["cafile"], options["timeout"])


def probe(hosts: Iterable[str], options: ProbeOptions) -> dict[str, Probe]:
    """Look at each host, at all places of it, at once.

    :raises LiveChainError: when the file of authorities can't be used; no trouble of a server's raises.
    """
    context = trusted(options.ca)
    wanted = list(hosts)
    pool = ThreadPoolExecutor(_AT_ONCE)

    def look(place: Place) -> ProbeResult | str:
        try:
            return _result_of(fetch_chain(place, context, options.seconds))
        except LiveChainError as error:
            return str(error)
        except (PinError, ValueError):
            return f"{place.host} at {place}: got a certificate that can't be read"

    def places(host: str) -> tuple[Place | str, ...]:
        try:
            return places_of(host, options.named)
        except LiveChainError as error:
            return (str(error),)

    try:
        found = dict(zip(wanted, pool.map(places, wanted), strict=True))
        tasks = {
            host: [each if isinstance(each, str) else pool.submit(look, each) for each in where]
            for host, where in found.items()
        }
        probes = {}
        for host, started in tasks.items():
            seen = [each if isinstance(each, str) else each.result() for each in started]
            results = tuple(each for each in seen if isinstance(each, ProbeResult))
            troubles = tuple(each for each in seen if isinstance(each, str))
            probes[host] = Probe(host, results, troubles)
        return probes
    finally:
        # Left at once by Ctrl-C: hundreds of silent servers would have to be waited for otherwise.
        pool.shutdown(wait=False, cancel_futures=True)


def _result_of(live: LiveChain) -> ProbeResult:
    """Return what a chain says; raises PinError or ValueError when a certificate can't be read."""
    shown = live.verified or live.sent
    if not shown:
        raise ValueError("no certificate")
    certificates = [x509.load_der_x509_certificate(each) for each in shown]
    return ProbeResult(
        chain=tuple(map(pin_of_certificate, shown)),
        not_after=certificates[0].not_valid_after_utc.timestamp(),
        fault=live.fault,
        place=str(live.place),
        subjects=tuple(map(subject_of, certificates)),
    )


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


def sources_of(option: str, value: Any) -> tuple[Source, ...]:
    """Return the pins that an option of `watchword pins add` names.

    :param option: ``cert`` (a certificate in a file, of a chain the first), ``key`` (a public key or a signing request in a file),
        ``ca_bundle`` (each authority in a file, once), or ``spki`` (a pin in any of the forms that tools write).
    :param value: the file, or the pin.
    :raises PinsError: when it holds none, a private key, which no tool that publishes should see, or too many to be pins of one host;
        and when one of a bundle is no authority.
    """
    try:
        if option == "spki":
            return ((read_pin(value), ""),)
        with value.open("rb") as stream:
            # One more than is taken, so that the reader tells that it is too much.
            data = stream.read(MAX_FILE_BYTES + 1)
        if option == "key":
            return ((pin_of_file(data), value.name),)
        most = MAX_PINS if option == "ca_bundle" else MAX_CHAIN
        certificates, pins = certificates_of(data, most), pins_of_chain(data, most)
    except PinError as error:
        hint = ""
        if option != "spki" and "private key" in error.detail:
            hint = f"; to take it: openssl pkey -in {value.name} -pubout -out {value.stem}.pub"
        named = "--spki" if option == "spki" else value
        raise PinsError(f"{named}: {error.detail}{hint}") from None
    noted = [f"{value.name}: {subject_of(each)}" for each in certificates]
    if option == "cert":
        return ((pins[0], noted[0]),)
    stranger = next((each for each in certificates if not _is_authority(each)), None)
    if stranger is not None:
        raise PinsError(
            f"{value}: got {subject_of(stranger)}, which is no authority; expected those that may sign for this host"
        )
    found: dict[bytes, str] = {}
    for pin, note in zip(pins, noted, strict=True):
        found.setdefault(pin, note)
    return tuple(found.items())


_SOURCES: Final = {
    "from_live": "--from-live",
    "cert": "--cert",
    "key": "--key",
    "spki": "--spki",
    "ca_bundle": "--ca-bundle",
}


def add_command(
    config: Path, /, *, host: str, role: str | None, as_json: bool, **options: Any
) -> None:
    """Pin a key of a host in the workspace."""
    given = [name for name in _SOURCES if options[name]]
    if len(given) != 1:
        raise click.UsageError(
            f"got {len(given)} sources, expected one of {', '.join(_SOURCES.values())}"
        )
    (option,) = given
    if option == "ca_bundle":
        role = role or "ca"
    if role is None or (option == "ca_bundle" and role != "ca"):
        raise click.UsageError(
            "got no role that fits, expected --role current, next, backup or ca (of a bundle: ca)"
        )
    name = read_host(host)
    if option == "from_live":
        sources: tuple[Source, ...] = (_live(host, role, options),)
    else:
        sources = sources_of(option, options[option])
    changed = edit(
        config, lambda found, pinned: pinned.adding(found.host_named(name), PinRole(role), sources)
    )
    keys = changed.of(name)
    say(as_json, {"host": name, "keys": keys_of(keys, noted=True)}, _added(name, keys))


def _live(host: str, role: str, options: dict[str, Any]) -> Source:
    """Return the key that all places show, by a chain that holds: else what is pinned may be a stranger's."""
    seen = probe([host], options_of(options))[host]
    if not seen.results:
        raise LiveChainError("; ".join(seen.troubles))
    bad = seen.bad
    if bad is not None:
        raise NotNowError(
            f"{host} at {bad.place}: got a chain that doesn't hold ({bad.fault}), expected one that does; "
            "an authority of your own: --cafile"
        )
    if len(seen.leaves) > 1:
        raise NotNowError(
            f"{host}: got {len(seen.leaves)} different keys at {len(seen.results)} places, expected one; name the place that is "
            "right with --resolve, and pin the others too"
        )
    result = seen.results[0]
    which = len(result.chain) - 1 if role == "ca" else 0
    if role == "ca" and not which:
        raise click.UsageError(
            f"{host}: got a chain of one certificate, expected an authority in it"
        )
    return result.chain[which], f"live at {result.place}: {result.subjects[which]}"


def _added(host: str, keys: Sequence[PinnedKey]) -> Iterator[str]:
    for each in keys:
        yield printable(f"{host}  {each.pin.role.value:<8} {each.pin}  {each.note}".rstrip())
    if not {each.pin.role for each in keys} & {PinRole.BACKUP, PinRole.CA}:
        yield f"A backup is missing: make a key, keep it offline, then: watchword pins add {host} --key backup.pub --role backup"
    else:
        yield "Apps learn of it with the next: watchword pins publish"


def remove_command(config: Path, /, *, host: str, key: str, as_json: bool) -> None:
    """Pin a key of a host no more."""
    name = read_host(host)
    left = edit(config, lambda _, pinned: pinned.without(name, key)).of(name)
    text = f"{name}: {counted(len(left), 'key')} left. Apps learn of it with the next: watchword pins publish"
    say(as_json, {"host": name, "keys": keys_of(left)}, [text])


def show_command(config: Path, /, *, as_json: bool) -> None:
    """Show which keys are pinned, what is published for each app, and which app versions are out there."""
    opened = open_session(config)
    if not as_json:
        say(as_json, None, _show_lines(opened))
        return
    pins = opened.file.pins
    published = {app: opened.published(app) for app in pins.apps}
    times = ("version", "issued_at", "soft_expiry", "hard_expiry")
    value = {
        "roots": opened.lists[-1].version if opened.lists else None,
        "hosts": {
            host: {
                "apps": list(each.apps),
                "mode": each.mode.value,
                "keys": keys_of(opened.pinned.of(host), noted=True),
            }
            for host, each in pins.hosts.items()
        },
        "published": {
            app: each
            and {
                **{name: getattr(each, name) for name in times},
                "hosts": {
                    entry.host: {"mode": entry.mode.value, "pins": list(map(str, entry.pins))}
                    for entry in each.hosts
                },
            }
            for app, each in published.items()
        },
        "releases": [
            {
                "app": each.app,
                "version": each.app_version,
                "floor": each.floor,
                "roots": each.roots.version,
            }
            for each in opened.fleet()
        ],
    }
    print_json(value)


def _show_lines(opened: PinSession) -> Iterator[str]:
    hosts = opened.file.pins.hosts
    for host, each in hosts.items():
        yield f"{host}  {each.mode.value}, {', '.join(each.apps)}"
        keys = opened.pinned.of(host)
        for key in keys:
            yield f"  {key.pin.role.value:<8} {key.pin}  {key.note}".rstrip()
        if not keys:
            yield f"  no key yet: watchword pins add {host} --from-live --role current"
    for host in opened.pinned.hosts:
        if host not in hosts:
            yield f"{host}  has keys, but isn't under pins.hosts: nothing of it is published"
    for app in opened.file.pins.apps:
        found = opened.published(app)
        if found is None:
            yield f"{app}: nothing published yet"
            continue
        yield (
            f"{app}: version {found.version}, {counted(len(found.hosts), 'host')}, apps look again from {day(found.soft_expiry)} on, "
            f"enforced until {day(found.hard_expiry)}"
        )
    for shipped in opened.fleet():
        yield f"{shipped.app} {shipped.app_version}: ships with list {shipped.roots.version}, floor {shipped.floor}"
    if opened.lists:
        roots = opened.lists[-1]
        yield f"root list {roots.version}: {roots.threshold} of {len(roots.keys)} sign, expires {day(roots.expires)}"
    else:
        yield "no root list yet: watchword pins root --help"


def log_command(config: Path, /, *, forced: bool, as_json: bool) -> None:
    """Show each step, the oldest first: who did what, when, and why where it was forced."""
    workspace = PinWorkspace(load_pins(config).pins.directory)
    workspace.require()
    for entry in workspace.log.read():
        if forced and entry.reason is None:
            continue
        version = entry.detail.get("version")
        line = f"{entry.at}  {entry.actor:<20} {entry.action:<8} {entry.subject}"
        line += f" {version}" if version is not None else ""
        line += f"  FORCED: {entry.reason}" if entry.reason is not None else ""
        say(as_json, asdict(entry), [printable(line)])
