"""Hold a service and a machine of gates with one of each enforcement point, all of them running, to do something to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from tests.system.bundles.machines import (
    AUDIENCE,
    GateMachine,
    ServiceMachine,
    short_directory,
    until,
)
from tests.system.bundles.points import Point, start_points
from tests.system.bundles.releases import TODAY, Release
from tests.unit.apps.service_process import upstream

from watchword.adapters.gate_bundle import publish_bundle, read_signer
from watchword.client import WatchwordClient
from watchword.gate.chain import ChainReader

GATE: Final = "asgi-today"
"""The gate whose log is read: a process that decides by itself."""

KEEPS: Final = "the gate keeps what it has"


class Deployment:
    """Hold a service, a machine of gates, and an instance that was revoked before anything went wrong."""

    def __init__(self, service: ServiceMachine, gate: GateMachine, points: Sequence[Point]) -> None:
        """Take what runs."""
        self.service = service
        self.gate = gate
        self.points = points
        self.phone: WatchwordClient = service.phone()
        self.revoked = ""

    def token(self) -> str:
        """Return the genuine instance's token."""
        return self.phone.token(AUDIENCE)

    def lines(self) -> list[bytes]:
        """Return the chain on the gates' machine."""
        return self.gate.chain.read_bytes().splitlines()

    def put(self, lines: Sequence[bytes]) -> None:
        """Put another chain in its place, as who swaps files does."""
        publish_bundle(self.gate.chain, b"".join(line + b"\n" for line in lines))

    def assert_holds(self) -> None:
        """See that every point serves who is genuine, and refuses who was revoked before."""
        for point in self.points:
            assert point.serves(self.token()), point.name
            assert point.refuses(self.revoked), point.name

    def assert_learns(self) -> None:
        """Revoke one more instance, and see it refused at every point; whatever was wrong is mended by then."""
        instance, token = self.service.token()
        for point in self.points:
            until(partial(point.serves, token), partial(self.gate.said, point.name))
        self.service.revoke(instance)
        for point in self.points:
            until(partial(point.refuses, token), partial(self.gate.said, point.name))
        self.revoked = token
        self.assert_holds()

    def has_told(self, text: str, since: int) -> bool:
        """Tell whether the gate has told something; it looks at its files when it is asked."""
        self.point.once(self.token())
        return text in self.gate.said(GATE, since)

    @property
    def point(self) -> Point:
        """Return the gate whose log is read."""
        (found,) = (each for each in self.points if each.name == GATE)
        return found

    def reader(self) -> ChainReader:
        """Return what the chain on the gates' machine says."""
        reader = ChainReader(read_signer(self.gate.signer), "clinic")
        reader.take(self.lines())
        return reader

    def is_whole(self) -> bool:
        """Tell whether the chain on the gates' machine can be read to its end, and is as far as the service's."""
        ours = (self.service.gates / "clinic.chain").read_bytes().splitlines()
        return bool(ours) and self.lines()[-1:] == ours[-1:]


@contextmanager
def deployed(service_code: Release = TODAY) -> Iterator[Deployment]:
    """Run a service, ``gate pull`` and one of each enforcement point; a few were revoked by then."""
    with upstream() as port, short_directory() as directory:
        service = ServiceMachine(directory / "service", port)
        gate = None
        try:
            service.up(service_code)
            gate = GateMachine(directory / "gate", service)
            gate.pull(TODAY)
            made = Deployment(service, gate, start_points(gate, TODAY))
            for point in made.points:
                until(partial(point.serves, made.token()), partial(gate.said, point.name))
            made.assert_learns()
            made.assert_learns()
            yield made
            made.phone.close()
        finally:
            service.stop_all()
            if gate is not None:
                gate.stop_all()
