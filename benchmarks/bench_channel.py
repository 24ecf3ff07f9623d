"""Measure what the channel costs: a pin check inside of a handshake, and a pin set's size and verification.

Handshakes go to a TLS server on loopback that is a process of its own; one without and one with pins alternate, so that what else the
machine does meets both alike.  A set's verification stands beside the bare signature check of the same bytes, alternating too.

Run: ``python -m benchmarks.bench_channel``
"""

import contextlib
import hashlib
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.report import Row, write_report

from watchword.client.pinning import PinKeeper, PinnedContext
from watchword.lab.channel_authorities import ChannelAuthorities
from watchword.pins.installed import fresh
from watchword.pins.interface import (
    Builtin,
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
    pin_of_certificate,
    pin_of_spki,
)
from watchword.pins.sets import TYPE, read_set, sign_set
from watchword.ports import VerificationKey
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey

HOST = "localhost"
PAIRS = 600
CHECKS = 2000
GOAL_MS = 0.1
GOAL_BYTES = 1024
GOAL_TIMES = 2.0
AUTHORITIES = ChannelAuthorities(b"watchword channel benchmark")
SIGNER = SigningKey.from_wide_secret(hashlib.sha512(b"channel benchmark").digest())


def serve(file: str) -> None:
    """Make handshakes, one after the other, until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            plain, _ = listening.accept()
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(plain, server_side=True) as secured,
            ):
                secured.recv(1)


@contextlib.contextmanager
def server(directory: Path) -> Iterator[int]:
    """Have a server; return its port."""
    file = directory / "server.pem"
    file.write_bytes(AUTHORITIES.web.server("A", [HOST]).pem)
    command = [sys.executable, "-m", "benchmarks.bench_channel", "serve", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def roots() -> RootList:
    """Return a root list with the one pin key."""
    key = VerificationKey(SIGNER.kid, SIGNER.public)
    return RootList(1, 2**40, {}, 1, {SIGNER.kid: key})


def three_hosts() -> PinSet:
    """Return a set of three hosts with a current key and a backup each, reports among it."""
    now = int(time.time())
    names = (HOST, "api.clinic.example.com", "files.clinic.example.com")
    identity = AUTHORITIES.web.server("A", [HOST])
    backup = AUTHORITIES.web.server("B", [HOST])
    pins = (
        Pin(pin_of_spki(identity.spki), PinRole.CURRENT),
        Pin(pin_of_spki(backup.spki), PinRole.BACKUP),
    )
    return PinSet(
        app="clinic-android",
        version=12,
        issued_at=now,
        soft_expiry=now + 14 * 86_400,
        hard_expiry=now + 90 * 86_400,
        root_version=1,
        hosts=tuple(HostPins(name, PinMode.ENFORCE, pins) for name in names),
        key=SIGNER.kid,
        reports="https://reports.example.net/v1/pins/reports",
    )


def keeper() -> PinKeeper:
    """Return what judges by that set."""
    return PinKeeper(fresh(Builtin("clinic", "1.0", roots(), first=three_hosts())), clock=time.time)


def seconds(
    port: int, context: ssl.SSLContext, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return how long a handshake takes by a clock; the connection stands already."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False) as secured,
    ):
        started = clock()
        secured.do_handshake()
        return clock() - started


def unpinned(trust: str) -> ssl.SSLContext:
    """Return a context that differs from ours in the pins alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_verify_locations(trust)
    return context


def alternating(one: Callable[[], float], other: Callable[[], float], count: int) -> list[float]:
    """Return the medians of two measurements that alternate, and change which goes first."""
    found: tuple[list[float], list[float]] = ([], [])
    for index in range(count + count // 10):
        order = ((one, 0), (other, 1)) if index % 2 else ((other, 1), (one, 0))
        for measure, which in order:
            took = measure()
            if index >= count // 10:  # What comes before warms up.
                found[which].append(took)
    return [statistics.median(each) for each in found]


def timed(operation: Callable[[], object]) -> Callable[[], float]:
    """Return a measurement of an operation."""

    def measure() -> float:
        started = time.perf_counter()
        operation()
        return time.perf_counter() - started

    return measure


def handshakes() -> list[Row]:
    """Measure handshakes."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        trust = directory / "web.pem"
        trust.write_bytes(AUTHORITIES.web.root_pem)
        plain, pinned = unpinned(str(trust)), PinnedContext(keeper(), cafile=str(trust))
        with server(directory) as port:
            without, checked = alternating(
                lambda: seconds(port, plain), lambda: seconds(port, pinned), PAIRS
            )
            cpu = time.thread_time
            busy, busier = alternating(
                lambda: seconds(port, plain, cpu), lambda: seconds(port, pinned, cpu), PAIRS
            )
    judges, identity = keeper(), AUTHORITIES.web.server("A", [HOST])
    chain = (*identity.chain, AUTHORITIES.web.root.der)

    def check() -> None:
        assert judges.judge(HOST, tuple(map(pin_of_certificate, chain))).passes

    alone, _ = alternating(timed(check), timed(check), CHECKS)
    return [
        Row.at_most(
            "added to a handshake by the pin check, ms", (checked - without) * 1e3, None, GOAL_MS
        ),
        Row("a pinned handshake, ms (peer: an unpinned one)", checked * 1e3, without * 1e3),
        Row("the same, processor time of the client, ms", busier * 1e3, busy * 1e3),
        Row("pins of a chain of 3 and their judgement alone, ms", alone * 1e3),
    ]


def sets() -> list[Row]:
    """Measure a set."""
    data, authorised = sign_set(three_hosts(), SIGNER), roots()
    jws = jose.parse(data.decode(), TYPE, len(data))
    key = authorised.pin_keys[SIGNER.kid].key
    verified, bare = alternating(
        timed(lambda: read_set(data, authorised)),
        timed(lambda: jose.is_signed_by(key, jws.signature, jws.signing_input)),
        CHECKS,
    )
    return [
        Row.at_most("a signed set of 3 hosts with 2 pins each, bytes", len(data), None, GOAL_BYTES),
        Row.at_most_times(
            "that set verified and read, us (peer: its signature alone)",
            verified * 1e6,
            bare * 1e6,
            GOAL_TIMES,
        ),
    ]


def main() -> bool:
    """Measure, print and write ``results/channel.json``; tell whether all goals hold."""
    rows = [*handshakes(), *sets()]
    print(f"load average of the last minute: {os.getloadavg()[0]:.2f}; {PAIRS} handshakes each")
    return write_report("channel", rows)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", file]:
            serve(file)
        case _:
            sys.exit(0 if main() else 1)
