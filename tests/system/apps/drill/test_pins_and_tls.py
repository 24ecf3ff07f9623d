"""Drill the channel of a real service that hands out pins, and of an API behind TLS, over sockets of this machine."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from tests.ports import free_port
from tests.system.channel.laboratory import AUTHORITIES
from tests.system.channel.servers import HOST, TlsServer
from tests.unit.adapters.published_pins.workspaces import Bench
from tests.unit.apps.service_bench import ServiceBench, service_bench
from tests.unit.drill.channel_rig import verdicts
from tests.unit.engines.envoy.rig import until
from tests.unit.pins.builders import APP, NOW, entry

from watchword.adapters.drill_wire import HttpWire, Origin
from watchword.adapters.published_pins import PinPublication
from watchword.drill.attacks import (
    cleartext_served,
    pin_roots_forged,
    pins_forged,
    pins_frozen,
    pins_intercepted,
    tls_old_version,
)
from watchword.drill.interface import Attack
from watchword.drill.judgements import Verdict
from watchword.drill.wire import Part
from watchword.pins.installed import DAY
from watchword.pins.interface import PinMode

PINS = (pins_intercepted.ATTACK, pins_frozen.ATTACK, pins_forged.ATTACK, pin_roots_forged.ATTACK)


@dataclass
class Street:
    """Hold a service that follows a workspace, an API, and the drill's wire to both."""

    service: ServiceBench
    pins: PinPublication
    api: TlsServer
    wire: HttpWire

    def outcome(self, attack: Attack) -> set[Verdict]:
        """Have the service look at its workspace; return how the variants of an attack ended."""
        self.pins.refresh(NOW)
        return set(verdicts(attack, self.wire).values())


@contextlib.contextmanager
def served(bench: ServiceBench, identity: Path) -> Iterator[int]:
    """Serve the public application behind TLS; return its port."""
    port = free_port()
    config = uvicorn.Config(
        bench.service.public_app,
        port=port,
        http="h11",
        log_level="critical",
        ssl_certfile=identity,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 15)
        yield port
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def opened(bench: Bench, state: Path) -> Iterator[Street]:
    """Open everything; what the service remembers is in a directory of its own."""
    state.mkdir(mode=0o700)
    pins = PinPublication(bench.workspace.directory, state / "pins", [APP])
    service = service_bench(state, pins=pins)
    identity = AUTHORITIES.web.server("A", [HOST])
    file, ca = state / "identity.pem", state / "ca.pem"
    file.write_bytes(identity.pem)
    ca.write_bytes(AUTHORITIES.web.root_pem)
    api = TlsServer(identity, state)
    try:
        with served(service, file) as port:
            wire = HttpWire(
                {Part.SERVICE: _origin(port), Part.GATE: _origin(api.port)},
                rate=None,
                ca=ca,
                seconds=5,
            )
            yield Street(service, pins, api, wire)
            wire.close()
    finally:
        api.close()
        service.store.close()


def _origin(port: int) -> Origin:
    return Origin("https", f"{HOST}:{port}", HOST, "127.0.0.1", port)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a workspace with a root list; no set is published yet."""
    made = Bench(tmp_path)
    made.roots()
    return made


@pytest.fixture
def street(tmp_path: Path, bench: Bench) -> Iterator[Street]:
    """Return a service that follows it."""
    with opened(bench, tmp_path / "state") as made:
        yield made


def test_pins_that_the_service_hands_out_stop_every_attack(bench: Bench, street: Street) -> None:
    """Fetched over the endpoints as an app fetches them: nothing of the genuine app's requests arrives."""
    bench.publish(1)
    for attack in PINS:
        assert street.outcome(attack) == {Verdict.STOPPED}, attack.id
    assert street.api.size == 0


def test_a_set_that_nobody_renewed_is_open_to_who_waits(bench: Bench, street: Street) -> None:
    """Nothing newer reaches the app: the interceptor needs no more patience than the rest of the set's life."""
    bench.publish(1, soft_expiry=NOW + DAY, hard_expiry=NOW + 3 * DAY)
    assert street.outcome(pins_frozen.ATTACK) == {Verdict.STOPPED, Verdict.OPEN}
    assert b"genuine-token" in b"".join(map(bytes, street.api.received))


def test_a_service_that_was_rolled_back_is_open(
    tmp_path: Path, bench: Bench, street: Street
) -> None:
    """An older workspace alone changes nothing; with what the service remembers gone too, the set of the trial is out again."""
    bench.publish(1, entry(mode=PinMode.REPORT))
    old = bench.copied()
    bench.publish(2)
    assert street.outcome(pins_intercepted.ATTACK) == {Verdict.STOPPED}
    bench.put_back(old)
    assert street.outcome(pins_intercepted.ATTACK) == {Verdict.STOPPED}
    with opened(bench, tmp_path / "anew") as anew:
        assert anew.outcome(pins_intercepted.ATTACK) == {Verdict.OPEN}


def test_tls_in_front_of_the_api_is_held_to_what_it_is(street: Street) -> None:
    """A server of today speaks no cleartext and no old TLS; one that was told to makes the attack open."""
    for attack in (cleartext_served.ATTACK, tls_old_version.ATTACK):
        assert street.outcome(attack) == {Verdict.STOPPED}, attack.id
    with pytest.deprecated_call():
        street.api.context.minimum_version = ssl.TLSVersion.TLSv1
    street.api.context.set_ciphers("ALL:@SECLEVEL=0")
    assert Verdict.OPEN in street.outcome(tls_old_version.ATTACK)
