"""Start each enforcement point with what keeps it up to date, change its bundle, and see when the change counts."""

import contextlib
import http.client
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.ports import free_port
from tests.unit.apps.service_process import WATCHWORD
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, deployed
from tests.unit.conformance.processes import PATIENCE_SECONDS, authz, published

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.gate_bundle.chain_file import append_lines, chain_path, write_chain
from watchword.adapters.keyring.private_file import Stamp
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle, to_jws
from watchword.gate.chain import delta_to_line, snapshot_to_line, tip_of
from watchword.gate.revocations import DIGEST_KEY_BYTES, digest_of, pack
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import jwk_from_public_key
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level
from watchword_conformance.corpus import load_corpus
from watchword_conformance.deployment import (
    ACTIVE_EPOCH,
    API,
    BUNDLE_FILE,
    SIGNER_FILE,
    load,
    new_key,
)

SUBJECT: Final = "an-instance-that-will-be-revoked"
PATH: Final = "/bearer/orders"
FOLLOWED: Final = frozenset(name for name, engine in ENGINES.items() if engine.follows) | {"envoy"}
"""Engines whose files somebody has to bring up to date; all others read the bundle themselves."""

Change = Callable[[GateBundle], GateBundle]


def revoking(*subjects: str) -> Change:
    """Return the change that revokes instances."""
    return lambda bundle: replace(bundle, revoked=bundle.revoked | {*subjects})


def _revoke_key(bundle: GateBundle) -> GateBundle:
    return replace(bundle, keys=bundle.keys[1:])


def _change_policy(bundle: GateBundle) -> GateBundle:
    routes = tuple(
        replace(route, pattern="/elsewhere/**") if route.name == "bearer" else route
        for route in bundle.policy.routes
    )
    return replace(bundle, policy=replace(bundle.policy, routes=routes))


CHANGES: Final[Mapping[str, Change]] = {
    "revoked instance": revoking(SUBJECT),
    "revoked key": _revoke_key,
    "policy": _change_policy,
}
"""What is pushed, and must be refused from then on."""


class Publication:
    """Write the bundle's first version, whole at each change."""

    def __init__(self, directory: Path) -> None:
        """Write nothing yet."""
        self.directory = directory
        self.signer = load(directory).keys["bundle"]

    def write(self, bundle: GateBundle) -> None:
        """Publish a bundle of a higher generation."""
        publish_bundle(self.directory / BUNDLE_FILE, to_jws(bundle, self.signer))


class ChainPublication(Publication):
    """Write the bundle's second version: what changed as a delta, and all of it where somebody is let in again.

    :ivar sizes: bytes of the last snapshot's line and of the last delta's.
    """

    def __init__(self, directory: Path, before: "array[int]") -> None:
        """Write nothing yet.

        :param before: digests of instances that are revoked from the start.
        """
        super().__init__(directory)
        self.sizes = (0, 0)
        self._before = before
        self._path = chain_path(directory / BUNDLE_FILE)
        self._key = bytes(DIGEST_KEY_BYTES)
        self._said: GateBundle | None = None
        self._stamp: Stamp | None = None
        self._tip = ""

    def write(self, bundle: GateBundle) -> None:
        """Publish a bundle of a higher generation."""
        if self._said is None or self._said.revoked - bundle.revoked:
            self._key = SystemEntropy().token_bytes(DIGEST_KEY_BYTES)
            packed = pack([*self._before, *self._digests(bundle.revoked)])
            line = snapshot_to_line(bundle, self._key, packed, self.signer)
            self._stamp = write_chain(self._path, [line])
            self.sizes = (len(line), self.sizes[1])
        else:
            added = self._digests(bundle.revoked - self._said.revoked)
            line = delta_to_line(self._said, bundle, self._tip, added, self.signer)
            assert self._stamp is not None
            self._stamp = append_lines(self._path, [line], self._stamp)
            self.sizes = (self.sizes[0], len(line))
        self._said, self._tip = bundle, tip_of(line)

    def _digests(self, subjects: frozenset[str]) -> list[int]:
        return [digest_of(self._key, each) for each in subjects]


@dataclass
class Pushed:
    """Hold an enforcement point whose bundle can be changed.

    :ivar port: where clients come in.
    :ivar publication: how it is told.
    """

    port: int
    publication: Publication
    _first: GateBundle
    _generation: int = 1

    def publish(self, change: Change | None) -> None:
        """Publish another generation: the first bundle, changed or as it was."""
        self._generation += 1
        made = self._first if change is None else change(self._first)
        self.publication.write(replace(made, generation=self._generation))

    def token(self, subject: str = SUBJECT) -> str:
        """Return a token of an instance, signed by the first key."""
        now, corpus = int(SystemClock().timestamp()), load_corpus()
        claims = TokenClaims(
            issuer=corpus.issuer,
            audience=corpus.audience,
            subject=subject,
            issued_at=now - 2,
            expires_at=now + 298,
            token_id=f"token-{self._generation}",
            environment=Environment.LAB,
            app_id=corpus.app,
            app_version="2.1.0",
            level=Level.HARDWARE,
            key=jwk_from_public_key(new_key().public),
            session_id="session-of-the-instance",
            epoch=ACTIVE_EPOCH,
        )
        return issue(claims, load(self.publication.directory).keys["active"])


@dataclass
class Client:
    """Hold one connection of one instance; a server that closes it is met on a new one."""

    port: int
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """Connect at the first request."""
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_SECONDS
        )

    def status(self) -> int:
        """Send one request, and return the status of its answer."""
        fields = {"Host": load_corpus().host, "Watchword-Token": self.token}
        for _ in range(2):
            try:
                self._connection.request("GET", PATH, headers=fields)
                answer = self._connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError):
                self._connection.close()
            else:
                return answer.status
        return 0

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def seconds_until(self, wanted: Callable[[int], bool]) -> float:
        """Send requests until the status is as wanted; return how long that took.

        :raises AssertionError: when it never is.
        """
        start = SystemClock().timestamp()
        while not wanted(status := self.status()):
            assert SystemClock().timestamp() - start < PATIENCE_SECONDS, (
                f"the status stays {status}"
            )
            time.sleep(0.005)
        return SystemClock().timestamp() - start


@contextlib.contextmanager
def pushed(
    name: str, directory: Path, upstream: str, revoked: "array[int] | None" = None
) -> Iterator[Pushed]:
    """Run an enforcement point, with what keeps it up to date.

    :param revoked: digests of instances that are revoked from the start; with them, also with none, the point is told
        by a chain; its bundle of the first version stays as it is at the start.
    """
    first = _first(deployed(directory))
    publication = Publication(directory)
    publication.write(first)
    if revoked is not None:
        publication = ChainPublication(directory, revoked)
        publication.write(first)
    if name not in FOLLOWED:
        with ENFORCEMENT_POINTS[name](directory, upstream, None) as point:
            yield Pushed(point.port, publication, first)
        return
    with contextlib.ExitStack() as stack:
        engine, more = directory / "engine", []
        if name == "nginx-authz":
            # In memory, so that it keeps verdicts.
            engine = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
            stack.enter_context(authz(ENGINES[name].asks, directory, None))
            more = ["--authz", f"unix:{directory / 'authz.sock'}"]
        port = stack.enter_context(_followed(name, directory, engine, upstream, more))
        yield Pushed(port, publication, first)


def _first(directory: Path) -> GateBundle:
    """Return the bundle that everything starts with: rows that each engine can hold, and no rate."""
    whole = published(directory)
    routes = tuple(row for row in whole.policy.routes if row.name in {"health", "bearer"})
    return replace(whole, policy=replace(whole.policy, routes=routes, rate=None))


@contextlib.contextmanager
def _followed(
    name: str, directory: Path, engine: Path, upstream: str, more: Sequence[str]
) -> Iterator[int]:
    """Run the command that follows the bundle and runs the engine."""
    port = free_port()
    file = directory / "watchword.yaml"
    corpus = load_corpus()
    file.write_text(
        "version: 1\nenvironment: lab\n"
        f"service: {{issuer: {corpus.issuer}, listen: 127.0.0.1:{free_port()}, state: {directory}/state}}\n"
        "apps:\n  conformance-app: {platform: android, package: com.example.clinic, "
        f"signing_digests: ['{'4f' * 32}']}}\n"
        f"apis:\n  {API}:\n    audience: {corpus.audience}\n    upstream: {upstream}\n"
        f"    listen: 127.0.0.1:{port}\n    apps: [conformance-app]\n"
        "    routes:\n      - {path: /**, level: software, proof: bearer, mode: enforce}\n"
    )
    words = ["envoy"] if name == "envoy" else ["follow", "--engine", name]
    command = [
        *(*WATCHWORD, "-c", str(file), "gate", *words, "--run"),
        *("-o", str(engine), "--access-log", str(directory / "access.log")),
        *("--bundle", str(directory / BUNDLE_FILE), "--signer", str(directory / SIGNER_FILE)),
        *more,
    ]
    with (directory / "follower.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
