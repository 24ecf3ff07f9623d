"""Set up a workspace with everything in it, and a server that it pins, for tests of each step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from tests.unit.apps.pins_servers import HOST, Authority, Server, new_key, public_pem, server

from watchword.adapters.live_chain import Place
from watchword.adapters.pin_workspace import PinWorkspace, read_public_key
from watchword.adapters.pin_workspace import new_key as new_signing_key
from watchword.adapters.system import SystemClock
from watchword.apps.pins.checks import Check, check
from watchword.apps.pins.publication import Judged, publish
from watchword.apps.pins.root_lists import Changes, accept, begin, first_list, next_list, read_list
from watchword.apps.pins.session import (
    PinSession,
    Probe,
    ProbeOptions,
    edit,
    open_session,
    probe,
    sources_of,
)
from watchword.apps.settings.template import TEMPLATE
from watchword.pins.interface import PinRole
from watchword.pins.roots import sign_roots
from watchword.tokens.jose import SigningKey

APP = "clinic-android"
DAY = 86_400


@dataclass
class Yard:
    """Hold a workspace, the keys of its root lists, and the server."""

    directory: Path
    running: Server
    authority: Authority = field(default_factory=Authority)
    now: float = field(default_factory=lambda: SystemClock().timestamp())
    root_keys: list[SigningKey] = field(
        default_factory=lambda: [new_signing_key() for _ in range(3)]
    )

    @property
    def config(self) -> Path:
        """Return the file."""
        return self.directory / "watchword.yaml"

    @property
    def workspace(self) -> PinWorkspace:
        """Return the workspace."""
        return PinWorkspace(self.directory / "pins")

    @property
    def probe_options(self) -> ProbeOptions:
        """Return how the server is looked at."""
        ca = self.directory / "ca.pem"
        return ProbeOptions({HOST: [Place(HOST, "127.0.0.1", self.running.port)]}, ca, 5)

    @property
    def options(self) -> list[str]:
        """Return the same for the command line."""
        resolve = f"{HOST}=127.0.0.1:{self.running.port}"
        return ["--resolve", resolve, "--cafile", str(self.directory / "ca.pem")]

    def write(self, *, mode: str = "report", **section: object) -> None:
        """Write the file, with this section for pins."""
        pins = {"hosts": {HOST: {"apps": [APP], "mode": mode}}, **section}
        self.config.write_text(TEMPLATE + yaml.safe_dump({"pins": pins}))

    def show(self, key: EllipticCurvePrivateKey, *, days: float = 300) -> None:
        """Let the server show a key."""
        self.running.show(key, self.authority.issue(key, HOST, days=days))

    def show_again(self) -> None:
        """Let the server take note of handshakes where it does now."""
        names = self.running.names
        assert self.running.context is not None
        self.running.context.sni_callback = lambda _, name, __: names.append(name)

    def pin(self, key: EllipticCurvePrivateKey, role: PinRole) -> None:
        """Pin a key of the server."""
        file = self.directory / "key.pub"
        file.write_bytes(public_pem(key))
        sources = sources_of("key", file)
        edit(self.config, lambda _, pinned: pinned.adding(HOST, role, sources))

    def begin(self, *, expires: float = 365 * DAY) -> None:
        """Make the workspace and its first root list."""
        begin(self.workspace, self.now, "alice@test")
        pin_key = read_public_key(self.workspace.public_key)
        keys = [each.verification_key() for each in self.root_keys]
        data = first_list(keys, [pin_key], 2, int(self.now + expires))
        self.accept(sign_roots(data, self.root_keys[:2]))

    def accept(self, data: bytes, *, why: str | None = None) -> None:
        """Bring a root list into the workspace."""
        file = self.directory / "roots.json"
        file.write_bytes(data)
        accept(self.config, file, self.now, "alice@test", why)

    def next_roots(self, changes: Changes, *, expires: float = 365 * DAY) -> bytes:
        """Return the next list, signed by two keys."""
        newest = self.workspace.root_versions()[-1]
        file = self.workspace.directory / "roots" / f"{newest}.json"
        published = self.workspace.newest_sets()
        data = next_list(read_list(file)[1], changes, int(self.now + expires), published)
        return sign_roots(data, self.root_keys[:2])

    def publish(
        self, *, why: str | None = None, above: int = 0, after: float = 0
    ) -> tuple[Judged, ...]:
        """Publish, some seconds after now."""
        at = self.now + after
        options = self.probe_options
        return publish(self.config, options, at, "alice@test", apps=(APP,), why=why, above=above)

    def session(self) -> PinSession:
        """Return what is there."""
        return open_session(self.config)

    def looks(self) -> dict[str, Probe]:
        """Look at the server."""
        return probe([HOST], self.probe_options)

    def check(self, *, after: float = 0, within: int | None = None) -> Check:
        """Check, some seconds after now."""
        return check(self.session(), (APP,), self.looks(), self.now + after, within)


@contextmanager
def yard(directory: Path, *, mode: str = "report", expires: float = 365 * DAY) -> Iterator[Yard]:
    """Give a workspace with a current and a backup key pinned; the server shows the current one."""
    with server(directory) as running:
        made = Yard(directory, running)
        (directory / "ca.pem").write_bytes(made.authority.pem)
        made.write(mode=mode)
        made.begin(expires=expires)
        current = new_key()
        made.show(current)
        made.pin(current, PinRole.CURRENT)
        made.pin(new_key(), PinRole.BACKUP)
        yield made
