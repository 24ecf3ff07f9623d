"""Keep an Envoy of this machine up to date: follow the gate bundle, write its files, see that it took them, run it."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from watchword.adapters.edge_wire import check_addresses
from watchword.apps.engines.follower import BundleListener, BundleSource, by_routes_of, write_files
from watchword.apps.engines.process import EngineProcessError, ProcessKeeper, require_free
from watchword.broker.interface import EdgeRule
from watchword.engines.envoy.generation import (
    REVOCATIONS,
    generate,
    next_change,
    revocations,
    table_of,
)
from watchword.engines.envoy.injection import INJECTED_PREFIX, empty_secret_file, injected_rules
from watchword.engines.envoy.options import START_OPTIONS, EnvoyOptions
from watchword.engines.interface import (
    Endpoint,
    EngineFile,
    EngineFileKind,
    Files,
    UnsupportedError,
)
from watchword.extras import install_command
from watchword.gate.bundle import GateBundle
from watchword.reasons import RefusedError, WatchwordError

_PATIENCE: Final = 2.0
_FILTER: Final = r"(lds|cds|rds\.watchword[^.]*)\.update_(rejected|failure)$|config_fail$"


class _UnixConnection(http.client.HTTPConnection):
    """Speak HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(str(self._path))


def rejections(path: Path) -> dict[str, int] | None:
    """Return how often Envoy rejected each part of its configuration since it started.

    None while it doesn't answer.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("GET", f"/stats?format=json&filter={_FILTER}")
        found = json.loads(connection.getresponse().read())
        return {str(each["name"]): int(each["value"]) for each in found["stats"] if "value" in each}
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()


def is_running(path: Path) -> bool:
    """Tell whether an Envoy holds this admin socket; one that is busy does, a file left over doesn't."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def quit_politely(path: Path) -> None:
    """Tell the Envoy at this admin socket to end."""
    connection = _UnixConnection(path)
    with suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/quitquitquit")
        connection.getresponse().read()
    connection.close()


FRESH_SECONDS: Final = 30.0
"""After which an origin is asked for again."""

MOST_ADDRESSES: Final = 4
"""How many addresses of an origin are tried in turn, as by the built-in proxy."""

MOST_QUESTIONS: Final = 8
"""How many names are asked for at once: the system's resolver can't be stopped while it hangs."""

NEW_PATIENCE: Final = 0.3
"""Seconds for which a new origin is waited for; a revocation may be waiting behind it."""

Resolver = Callable[[str, int], Sequence[str]]
"""Return the addresses of a name or an address, best first; raises OSError where there are none."""


class _Question(threading.Thread):
    """Ask for the addresses of one origin; ends with the process, whatever the resolver does."""

    def __init__(self, rule: EdgeRule, resolver: Resolver) -> None:
        super().__init__(name="watchword-resolving", daemon=True)
        self._rule = rule
        self._resolver = resolver
        self.found: Sequence[str] | None = None
        self.fault = ""

    def run(self) -> None:
        """Ask, and check every address; one that mustn't be reached takes the others along."""
        rule = self._rule
        try:
            found = self._resolver(rule.host, rule.port)
            self.found = check_addresses(rule.host, found, private=rule.private)[:MOST_ADDRESSES]
        except RefusedError as error:
            self.found = ()
            self.fault = f"{rule.secret} is injected for nobody: {error.refusals[0].detail}"
        except (OSError, UnicodeError) as error:
            # What was checked stays: the certificate is asked for its name anyway.
            self.fault = f"{rule.secret}: {rule.host} has no address: {type(error).__name__}"


@dataclass
class _Origin:
    """Hold what is known of one origin."""

    rule: EdgeRule
    addresses: Sequence[str] = ()
    asked_at: float = float("-inf")
    question: _Question | None = None
    answered: bool = False
    faults: list[str] = field(default_factory=list)

    def harvest(self) -> None:
        """Take an answer that is there."""
        question = self.question
        if question is None or question.is_alive():
            return
        self.question = None
        self.answered = True
        if question.fault:
            self.faults.append(question.fault)
        # Servers of names turn the order of the same addresses round; that is no news.
        if question.found is not None and set(question.found) != set(self.addresses):
            self.addresses = question.found


class Origins:
    """Know the checked addresses of the origins that keys are sent to.

    Between the check and Envoy's connection nobody is asked again: a name whose answer changes (DNS rebinding) gains
    nothing.
    """

    def __init__(self, resolver: Resolver, monotonic: Callable[[], float]) -> None:
        """Know nothing yet.

        :param resolver: is called on threads of its own.
        :param monotonic: seconds of a clock that never jumps.
        """
        self._resolver = resolver
        self._monotonic = monotonic
        self._origins: dict[str, _Origin] = {}

    def look(
        self, rules: Sequence[EdgeRule], patience: float = NEW_PATIENCE
    ) -> Mapping[str, Sequence[str]]:
        """Return by secret the addresses that are known; asks for old ones anew.

        :param patience: most seconds in all that are waited for origins never asked for before.
        """
        self._origins = {rule.secret: self._known(rule) for rule in rules}
        now = self._monotonic()
        until = now + patience
        for origin in self._origins.values():
            origin.harvest()
            running = sum(each.question is not None for each in self._origins.values())
            due = now - origin.asked_at >= FRESH_SECONDS
            if due and origin.question is None and running < MOST_QUESTIONS:
                origin.asked_at = now
                origin.question = _Question(origin.rule, self._resolver)
                origin.question.start()
        for origin in self._origins.values():
            if origin.question is not None and not origin.answered:
                origin.question.join(max(0.0, until - self._monotonic()))
                origin.harvest()
                origin.answered = True  # Waited for once is enough.
        return {name: origin.addresses for name, origin in self._origins.items()}

    def faults(self) -> Sequence[str]:
        """Return what went wrong since the last call, a line each."""
        found = [text for origin in self._origins.values() for text in origin.faults]
        for origin in self._origins.values():
            origin.faults.clear()
        return found

    def _known(self, rule: EdgeRule) -> _Origin:
        held = self._origins.get(rule.secret)
        same = held is not None and (held.rule.host, held.rule.port, held.rule.private) == (
            rule.host,
            rule.port,
            rule.private,
        )
        return held if held is not None and same else _Origin(rule)


def system_resolver(name: str, port: int) -> Sequence[str]:
    """Ask the system, by the order of RFC 6724; see :data:`Resolver`."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


LOOK_SECONDS: Final = 0.2
"""How often the bundle is looked at, so that with its own half second a revocation holds within one."""

PROVEN_SECONDS: Final = 2.0
"""After which files that Envoy didn't reject count as good; it takes them in within milliseconds, a
script that loads slowly within a second."""

HELD_SECONDS: Final = 60.0
"""How far the clock may be set back without another window of a quota; beyond, the window is the clock's."""


class ControlPlane(BundleListener):
    """Write the files of each new generation; what Envoy has stays when anything is wrong.

    Envoy needs nobody to go on: a control plane that is gone leaves it enforcing what it has, and the
    next one takes over the same files.
    """

    def __init__(
        self,
        source: BundleSource,
        options: EnvoyOptions,
        now: Callable[[], float],
        notify: Callable[[str], None],
        origins: Origins | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        :param now: seconds since 1970.
        :param notify: is told each fault once, in one line.
        :param origins: knows where keys are sent to; without it, routes that inject keys answer 502.
        """
        super().__init__(source, notify)
        self._options = options
        self._now = now
        self._latest = 0.0
        self._origins = origins
        self._addresses: Mapping[str, Sequence[str]] = {}
        self._written: GateBundle | None = None
        self._served: GateBundle | None = None
        self._next_change: float | None = None
        self._rejected: dict[str, int] | None = None
        self._files: Sequence[EngineFile] = ()
        self._written_at = 0.0
        self._good: tuple[Sequence[EngineFile], GateBundle] | None = None

    def step(self) -> bool:
        """Look once; tell whether files were written."""
        bundle = self.latest()
        if bundle is None:
            return False
        now = self._instant()
        addresses = self._resolved(bundle)
        due = self._next_change is not None and now >= self._next_change
        if bundle == self._written and addresses == self._addresses and not due:
            return False
        if self._files:
            # What was rejected until now is the fault of what is there, not of what comes.
            self.check()
        try:
            files, served, why = self._servable(bundle, now, addresses)
            write_files(Path(self._options.directory), files)
        except UnsupportedError as error:
            self.not_served(bundle, error, rest=False)
            # It won't be better until another one comes.
            self._written, self._addresses = bundle, addresses
            return False
        except (OSError, WatchwordError) as error:
            self.fault(f"generation {bundle.generation} isn't written: {error}")
            return False
        self._written, self._served, self._addresses = bundle, served, addresses
        self._files, self._written_at = files, now
        self._next_change = next_change(served, now)
        if why is not None:
            self.not_served(bundle, why, rest=True)
            return False
        self.forget_told()
        return True

    def _servable(
        self, bundle: GateBundle, now: float, addresses: Mapping[str, Sequence[str]]
    ) -> tuple[Files, GateBundle, UnsupportedError | None]:
        """Return the files, and by which bundle: by the routes of before, and why, where these can't be served.

        Who was revoked meanwhile mustn't gain by a table that can't be served.
        """
        try:
            return generate(bundle, self._options, now, addresses), bundle, None
        except UnsupportedError as error:
            if self._served is None:
                raise
            served = by_routes_of(self._served, bundle)
            return generate(served, self._options, now, addresses), served, error

    def _instant(self) -> float:
        """Return the time; a clock that is set back a little doesn't begin the last window of a quota again."""
        now = self._now()
        if not self._latest - HELD_SECONDS <= now < self._latest:
            self._latest = now
        return self._latest

    def _resolved(self, bundle: GateBundle) -> Mapping[str, Sequence[str]]:
        """Return by secret the addresses of its origin, as far as they are known."""
        if self._origins is None or not bundle.policy.edges:
            return {}
        try:
            found = self._origins.look(injected_rules(bundle.policy))
        except UnsupportedError:
            return {}  # Told where it is written.
        for text in self._origins.faults():
            self.fault(text)
        return found

    def check(self) -> None:
        """Ask Envoy what it rejected since the last time, tell, and put back what it had taken.

        Without that, an Envoy that is started anew would find nothing but what it rejects.
        """
        found = rejections(Path(self._options.admin.socket))
        if found is None:
            return
        known, self._rejected = self._rejected or {}, found
        rejected = [
            name
            for name, count in found.items()
            if count > known.get(name, 0) and not self._is_of_another_table(name)
        ]
        if rejected:
            self.fault(
                f"Envoy rejected its configuration and keeps the last good one ({rejected[0]})"
            )
            self._put_back()
        elif self._served is not None and self._now() - self._written_at >= PROVEN_SECONDS:
            self._good = self._files, self._served

    def _is_of_another_table(self, name: str) -> bool:
        """Tell whether a count is of a listener that ends, which takes no table but its own."""
        table = table_of(self._files)
        return bool(table) and ".rds." in name and f".rds.{table}." not in name

    def _put_back(self) -> None:
        if self._good is None or self._written is None:
            return
        files, bundle = self._good
        try:
            kept = self._brought_up_to_date(files, by_routes_of(bundle, self._written))
            write_files(Path(self._options.directory), kept)
        except (OSError, WatchwordError) as error:
            self.fault(f"the last good files can't be put back: {error}")
        else:
            self._files = files
            self.say("the last good files are in their place again")

    def _brought_up_to_date(
        self, good: Sequence[EngineFile], bundle: GateBundle
    ) -> Sequence[EngineFile]:
        """Return the last good files with whoever is revoked by now, and the keys of now: an old one may be revoked."""
        current = {file.name: file for file in self._files}
        listed = revocations(bundle) if any(file.name == REVOCATIONS for file in good) else ()
        rest = [
            current.get(file.name) or empty_secret_file(file.name)
            if file.name.startswith(INJECTED_PREFIX)
            else file
            for file in good
            if file.name != REVOCATIONS and file.kind is not EngineFileKind.BULK
        ]
        return [*listed, *rest]


def find_envoy(named: Path | None) -> Path:
    """Return the binary: the named one, the one installed beside Python, or the one on the path.

    :raises EngineProcessError: when there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    on_path = shutil.which("envoy")
    for found in (named, beside, Path(on_path) if on_path else None):
        if found is not None and found.is_file():
            return found
        if found is not None and found == named:
            break
    raise EngineProcessError(
        f"{named or 'envoy'}: isn't there; name it with --envoy, or: {install_command('envoy')}"
    )


class EnvoyProcess:
    """Keep one Envoy running.

    One that an earlier control plane left behind is taken over, since it goes on serving.
    """

    def __init__(
        self,
        command: tuple[Path, Path, int],
        listen: Endpoint,
        admin: Path,
        notify: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        """Start it, or take over the one that runs.

        :param command: the binary, the file that it is started with, and how many workers (0: one a core).
        :param admin: its admin socket, by which one that runs is known.
        :param notify: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :raises EngineProcessError: when the system refuses, or its address is taken.
        """
        binary, bootstrap, workers = command
        self._arguments = [
            str(binary),
            *("-c", str(bootstrap)),
            *START_OPTIONS,
            *("--log-level", "warning"),
            *(["--concurrency", str(workers)] if workers else []),
        ]
        self._admin = admin
        self._keeper = ProcessKeeper("Envoy", self._start, notify, monotonic)
        self.adopted = is_running(admin)
        if not self.adopted:
            require_free(listen)
            self._keeper.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._arguments)  # noqa: S603 - the operator named it.

    def keep_running(self) -> None:
        """Look once: start it again some time after it died, later each time.

        :raises EngineProcessError: when it has never run, so that another start is no use.
        """
        if not self.adopted:
            self._keeper.look()
        elif not is_running(self._admin):
            self.adopted = False
            self._keeper.replace_another()

    def stop(self) -> None:
        """End it, at first politely."""
        if self.adopted:
            quit_politely(self._admin)
        self._keeper.stop()
