"""Run a service that knows a whole fleet of iPhones, of which some are revoked, with two gates beside it.

One phone enrols over HTTP; its row is then copied into the store for all others, each with an attested key of its own.
"""

import contextlib
import multiprocessing
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from benchmarks.gate_load import LOAD_CORE, SERVER_CORE, free_port, running, static_api, wait_for
from benchmarks.overload_enrolment import APP, AUDIENCE, BUNDLE, TEAM, phones
from benchmarks.overload_enrolment import Deployment as Enrolling
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.encoding import base64url
from watchword.lab import LabAuthorities

API: Final = "bundle"
"""The API's name: the files of its gate are called as :mod:`benchmarks.overload_served` expects."""

LIFETIME: Final = 3600
"""Seconds for which a token lives: the most that may be set, so that a cut matters longest."""

_WATCHWORD: Final = (sys.executable, "-c", "from watchword.apps.cli.main import run; run()")
_ID_BYTES: Final = 16

_SERVICE: Final = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{listen}
  state: {state}
  token_lifetime: 1h
  enrolments: {{app: {{requests: 1000000, per: 1s}}}}
apps:
  {app}: {{platform: ios, team_id: {team}, bundle_id: {bundle}}}
apis:
  {api}:
    audience: {audience}
    apps: [{app}]
    routes:
      - {{path: /**, level: software, proof: bearer, mode: enforce}}
"""
_GATE: Final = "    upstream: http://127.0.0.1:{upstream}\n    listen: 127.0.0.1:{gate}\n"


def instance_id(number: int) -> str:
    """Return the id of one of the fleet."""
    return base64url.encode(number.to_bytes(_ID_BYTES))


def phone_name(number: int) -> str:
    """Return the name by which the lab derives a phone's keys."""
    return f"storm-{number}"


@dataclass(frozen=True)
class Deployment:
    """Hold a running service and its gates.

    :ivar gates: port of each gate, by name.
    """

    file: Path
    port: int
    store: Path
    authorities: LabAuthorities
    gates: dict[str, int]

    def reading(self) -> sqlite3.Connection:
        """Open the store beside the service, only to read."""
        return sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, isolation_level=None)


@contextlib.contextmanager
def deployment(directory: Path, issued: Sequence[float], revoked: int) -> Iterator[Deployment]:
    """Run a service that enrolled so many phones, and gates that follow it.

    :param issued: by phone when its last token was issued, in seconds since 1970.
    :param revoked: so many, the first of them, are revoked.
    """
    port, state = free_port(), directory / "state"
    file, gate_file = directory / "watchword.yaml", directory / "gate.yaml"
    words = {"app": APP, "team": TEAM, "bundle": BUNDLE, "api": API, "audience": AUDIENCE}
    file.write_text(_SERVICE.format(service=port, listen=port, state=state, **words))
    up = [*_WATCHWORD, "-c", str(file), "up", "--json"]
    with running(SERVER_CORE, up, directory / "first.log") as process:
        wait_for(port)
        authorities = load_or_create(state, SystemEntropy())
        first = _enrol(Enrolling(port, process, authorities))
    store = state / "watchword.db"
    _copy(store, first, issued, revoked, authorities)
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(SERVER_CORE, up, directory / "up.log"))
        wait_for(port)
        gates = {"Python gate": free_port(), "nginx": free_port()}
        python = [sys.executable, "-m", "benchmarks.overload_served", "granian"]
        python += [str(state / "gates"), str(gates["Python gate"])]
        upstream = stack.enter_context(static_api(directory))
        text = _SERVICE.format(service=port, listen=free_port(), state=directory / "no", **words)
        gate = _GATE.format(upstream=upstream, gate=gates["nginx"])
        gate_file.write_text(text + gate)
        nginx = [*_WATCHWORD, "-c", str(gate_file), "gate", "follow", "--engine", "nginx", "--run"]
        nginx += ["-o", str(directory / "engine"), "--access-log", str(directory / "access.log")]
        nginx += ["--bundle", str(state / "gates" / f"{API}.jws")]
        nginx += ["--signer", str(state / "gates" / "signer.jwk")]
        for name, command in (("Python gate", python), ("nginx", nginx)):
            log = directory / f"{name.partition(' ')[0]}.log"
            stack.enter_context(running(LOAD_CORE, command, log))
            wait_for(gates[name])
        yield Deployment(file, port, store, authorities, gates)


def _enrol(deployed: Enrolling) -> str:
    """Enrol the phone that all others are copies of; return its instance."""
    _, request = phones(deployed, 1).take()
    body = request.partition(b"\r\n\r\n")[2]
    answer = httpx.post(
        f"http://127.0.0.1:{deployed.port}/v1/attestations",
        content=body,
        headers={"content-type": "application/json"},
    )
    return str(answer.raise_for_status().json()["instance"])


def _copy(
    store: Path, first: str, issued: Sequence[float], revoked: int, authorities: LabAuthorities
) -> None:
    with sqlite3.connect(store) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(instances)")]
        made = {
            "id": ":id",
            "attested_key": ":key",
            "renewed_at": ":at",
            "enrolled_at": ":at",
            "revoked_at": ":revoked_at",
            "revoked_because": ":because",
        }
        chosen = ", ".join(made.get(name, name) for name in names)
        copy = f"INSERT INTO instances SELECT {chosen} FROM instances WHERE id = :of"
        audit = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, 'bench', 'instance.revoked', ?, '{}')"
        now = int(SystemClock().timestamp() * 1e6)
        for number, key in enumerate(_keys(authorities, len(issued))):
            gone = number < revoked
            row = {
                "id": instance_id(number),
                "key": key,
                "at": int(issued[number] * 1e6),
                "revoked_at": now if gone else None,
                "because": "" if gone else None,
                "of": first,
            }
            connection.execute(copy, row)
            if gone:
                connection.execute(audit, (now, row["id"]))
    connection.close()


def _keys(authorities: LabAuthorities, count: int) -> Iterator[bytes]:
    """Yield the public key of each phone, made on all cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        with multiprocessing.get_context("fork").Pool() as pool:
            jobs = ((authorities, number) for number in range(count))
            yield from pool.imap(_key, jobs, chunksize=500)
    finally:
        os.sched_setaffinity(0, cores)


def _key(job: tuple[LabAuthorities, int]) -> bytes:
    authorities, number = job
    key = authorities.phone_key(f"{phone_name(number)}/1/attested").public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
