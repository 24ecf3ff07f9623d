"""Measure what keys cost: one added at the edge, one sealed to an instance, a limit that is checked, a canary that is looked for.

Edge: the proxy's processor time and a request's whole time, beside the plain proxy over the same TLS (:mod:`benchmarks.keys_served`).
Sealing: all that the service computes for one delivery once it is granted, beside the bare HPKE of ``cryptography`` with key and info
at hand; in turn.  Limits and canaries: in a loop, a call in microseconds; the floor is a call that does nothing.

Run: ``python -m benchmarks.bench_keys [edge] [process]``; of a part alone no results are kept.
"""

import hashlib
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import keys_served
from benchmarks.bench_channel import alternating, timed
from benchmarks.gate_instances import AUDIENCE, ISSUER, Fleet
from benchmarks.gate_load import LOAD_CORE
from benchmarks.report import RESULTS, Row, write_report
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from watchword.broker.envelope import SecretContext, seal_secret, secret_info
from watchword.broker.honeytokens import RANDOM_BYTES, digest, make_honeytoken, spot
from watchword.broker.interface import HoneytokenWatch, SecretValue
from watchword.encoding import base64url
from watchword.gate.interface import GatePolicy, Limit, LimitKind
from watchword.gate.limits import Limits
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Environment

SEALS = 3000
CALLS = 100_000
SEAL_GOAL = 2.0
LIMIT_GOAL_US = 3.0
_ID_BYTES = 16
_VALUE = SecretValue("AIzaSyTheKeyOfAMapServiceOfFortySigns000")


def sealing() -> list[Row]:
    """Measure sealed delivery, for both kinds of seal keys."""
    return [
        _sealed("P-256", _p256(), hpke.KEM.P256, SEAL_GOAL),
        _sealed("X25519", _x25519(), hpke.KEM.X25519, SEAL_GOAL),
    ]


def _p256() -> tuple[dict[str, str], object]:
    public = generate_private_key(SECP256R1()).public_key()
    return dict(jwk_from_public_key(public)), public


def _x25519() -> tuple[dict[str, str], object]:
    public = X25519PrivateKey.generate().public_key()
    jwk = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(public.public_bytes_raw())}
    return jwk, public


def _sealed(name: str, keys: tuple[dict[str, str], object], kem: hpke.KEM, goal: float) -> Row:
    jwk, public = keys
    suite = hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    plain, now = _VALUE.text.encode(), int(time.time())
    statement = b"s" * 700
    binding = hashlib.sha256(statement).digest()
    info = secret_info(SecretContext(binding, "clinic-ios", "push", 1, "l" * 22, now + 3600))

    def ours() -> object:
        """Do what a granted delivery computes: binding, lease, info, the instance's key out of its JWK, sealing, base64url."""
        lease = base64url.encode(os.urandom(_ID_BYTES))
        bound = hashlib.sha256(statement).digest()
        context = SecretContext(bound, "clinic-ios", "push", 1, lease, now + 3600)
        return base64url.encode(seal_secret(_VALUE, jwk, context))

    def bare() -> object:
        return suite.encrypt(plain, public, info)  # type: ignore[arg-type]

    took, floor = alternating(timed(ours), timed(bare), SEALS)
    return Row.at_most_times(
        f"a secret sealed to an instance, {name}, us (peer: bare HPKE seal)",
        took * 1e6,
        floor * 1e6,
        goal,
    )


def each_us(operation: Callable[[], object]) -> float:
    """Return the median over 50 rounds of what a call takes in us, the loop with it."""
    rounds = []
    for _ in range(50):
        calls = itertools.repeat(None, CALLS // 50)
        started = time.perf_counter()
        for _ in calls:
            operation()
        rounds.append((time.perf_counter() - started) / (CALLS // 50) * 1e6)
    return statistics.median(rounds)


def _nothing() -> int:
    return 0


def limits(fleet: Fleet) -> list[Row]:
    """Measure the check of two limits, for many instances in turn."""
    policy = GatePolicy(
        "clinic",
        TokenExpectation(ISSUER, AUDIENCE, Environment.PROD),
        (),
        limits=(
            Limit("searches", LimitKind.RATE, 1_000_000, 60),
            Limit("bookings", LimitKind.QUOTA, 1_000_000, 86_400),
        ),
    )
    held = Limits(policy)
    instances = itertools.cycle(each.claims for each in fleet.instances)
    start = time.time()
    ticks = itertools.count()

    def check() -> object:
        return held.take("clinic[0]", next(instances), start + next(ticks) * 1e-4)

    def floor() -> object:
        return _nothing(), next(instances), start + next(ticks) * 1e-4

    took, nothing = each_us(check), each_us(floor)
    return [
        Row.at_most(
            "two limits checked, a rate and a quota, us (peer: a call that does nothing)",
            took,
            nothing,
            LIMIT_GOAL_US,
        )
    ]


def canaries(fleet: Fleet) -> list[Row]:
    """Measure the look for canaries: in a request with none of the places, with an ordinary key in one, with a canary."""
    key = os.urandom(32)
    canary = make_honeytoken("generic", os.urandom(RANDOM_BYTES)).value
    watch = HoneytokenWatch(key, {digest(key, canary): "planted"})
    bearer = [(name.encode(), value.encode()) for name, value in fleet.instances[0].bearer()]
    without = [pair for pair in bearer if pair[0] != b"authorization"]
    caught = [*without, (b"x-api-key", canary.encode())]
    if spot(watch, caught, b"") != "planted" or spot(watch, bearer, b"") is not None:
        raise SystemExit("a canary wasn't recognised")
    nothing = each_us(_nothing)
    return [
        Row(
            "canaries looked for, no such header, us",
            each_us(lambda: spot(watch, without, b"")),
            nothing,
        ),
        Row(
            "  with an ordinary key in a header, us",
            each_us(lambda: spot(watch, bearer, b"")),
            nothing,
        ),
        Row("  with a canary there, us", each_us(lambda: spot(watch, caught, b"")), nothing),
    ]


def main() -> bool:
    """Measure, print and write the results; tell whether all goals hold."""
    parts = sys.argv[1:] or ["edge", "process"]
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        fleet, rows = Fleet(), []
        if "edge" in parts:
            rows += keys_served.measure(fleet, directory)
        if "process" in parts:
            rows += [*sealing(), *limits(fleet), *canaries(fleet)]
        print(f"load average of the last minute: {os.getloadavg()[0]:.2f}")
        return write_report("keys-part" if sys.argv[1:] else "keys", rows)
    finally:
        shutil.rmtree(directory)
        (RESULTS / "keys-part.json").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
