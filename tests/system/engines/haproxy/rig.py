"""Run the real HAProxy in front of an API that remembers what reached it, as the follower runs it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.ports import free_port
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy.rig import Answer, Api, Fronted, bundle_of, request, route, until

from watchword.adapters.system import SystemClock
from watchword.apps.engines.haproxy import MasterSocket, RunningHaproxy
from watchword.engines.haproxy import text as names
from watchword.engines.haproxy.generation import generate
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.vocabulary import Mode, Proof

ROWS: Final = (
    route("/open/**", mode=Mode.OFF),
    route("/v1/**"),
    route("/pay/**", proof=Proof.SESSION),
    route("/watched/**", mode=Mode.MONITOR),
)
BUNDLE: Final = bundle_of(ROWS)


@dataclass
class Rig(Fronted):
    """Hold a running HAProxy.

    :ivar told: the faults that somebody would have read.
    """

    options: EngineOptions
    running: RunningHaproxy
    told: list[str]
    bundle: GateBundle

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return Path(self.options.directory)

    @property
    def master(self) -> MasterSocket:
        """Return its master's socket."""
        return MasterSocket(self.directory / names.MASTER_SOCKET)

    def push(self, **changes: Any) -> None:
        """Bring another generation to it, of which some things changed."""
        self.bundle = replace(self.bundle, generation=self.bundle.generation + 1, **changes)
        self.running.take(generate(self.bundle, self.options, SystemClock().timestamp()))

    def pay(self, **how: Any) -> Answer:
        """Send one request with a new session proof."""
        return self.raw(self.payment(**how))

    def payment(self, **how: Any) -> bytes:
        """Return the bytes of a request with a new session proof."""
        body = how.get("body") or b""
        fields = proved("session", prover(), target="/pay/now", **how)
        return request(b"/pay/now", *fields, body=body, method=how.get("method", "GET").encode())

    def runtime(self, command: str) -> str:
        """Return what the worker says to a command."""
        return self.master.ask(f"@1 {command}")


@contextlib.contextmanager
def haproxy_before_api(
    directory: Path, bundle: GateBundle = BUNDLE, **changes: Any
) -> Iterator[Rig]:
    """Run HAProxy in front of a new API until the block ends; it takes proofs from its start on."""
    api, told = Api(), list[str]()
    options = EngineOptions(
        directory=str(directory / "haproxy"),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", api.port),
        access_log=str(directory / "access.log"),
    )
    options = replace(options, **changes)
    running = RunningHaproxy(options, None, True, told.append)
    rig = Rig(options, api, running, told, bundle)
    try:
        running.take(generate(bundle, options, SystemClock().timestamp()))
        running.keep_running()
        until(rig.master.is_there)
        until(rig.listens)
        yield rig
    finally:
        running.stop()
        api.shutdown()
        api.server_close()


def take_proofs(rig: Rig) -> None:
    """Say that no proof was used before: nobody has to wait until the first ones count as new."""
    rig.master.notify([f"set map {rig.options.path(names.STATE)} {names.PROOFS} {names.READY}"])
