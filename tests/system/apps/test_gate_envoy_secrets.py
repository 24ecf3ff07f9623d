"""Lend a key through the real Envoy, as an operator sets it up: ``watchword up``, ``gate envoy --run``, ``secrets``."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.ports import free_port
from tests.unit.apps.service_process import running, upstream, watchword
from tests.unit.engines.envoy.followers import Following, following
from tests.unit.engines.envoy.rig import admin, until
from tests.unit.engines.envoy.third_party import AUTHORITY, ThirdParty

FILE = """
version: 1
environment: lab
service: {{issuer: "http://127.0.0.1:{issuer}", listen: "127.0.0.1:{issuer}", state: state}}
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
secrets:
  keys:
    assistant:
      edge:
        origin: https://localhost:{party}
        paths: [/v1/chat]
        add: {{header: Authorization, prefix: "Bearer "}}
        quota: {{calls: 3, per: 366d}}
        ca: party-ca.pem
        private: true
        reflects: never
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios]
    listen: 127.0.0.1:{listen}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - {{path: /assistant/**, methods: [GET], secret: assistant, proof: session}}
      - {{path: /v1/**, methods: [GET], proof: session}}
"""
FIRST = "sk-marked-first-0123456789abcdef"
SECOND = "sk-marked-second-fedcba9876543210"


@dataclass
class Standing:
    """Hold a service, an Envoy and a third party that run."""

    file: Path
    edge: Following
    party: ThirdParty

    def phone(self, path: str = "/assistant/v1/chat", *more: str) -> int:
        """Return the status that a genuine phone gets."""
        url = f"http://127.0.0.1:{self.edge.port}{path}"
        done = watchword(self.file, "lab", "request", "genuine-iphone", url, "--json", *more)
        return int(json.loads(done.stdout)["status"])

    def told(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``watchword secrets``, which has to work."""
        done = watchword(self.file, "secrets", *arguments)
        assert done.returncode == 0, done.stderr
        return done

    def gets(self, status: int) -> Callable[[], bool]:
        """Return what tells whether a phone gets a status."""
        return lambda: self.phone() == status


@contextmanager
def started(directory: Path) -> Iterator[Standing]:
    """Run everything from one file, and hand a key over."""
    (directory / "party-ca.pem").write_bytes(AUTHORITY.pem)
    party = ThirdParty(directory, "localhost")
    file = directory / "watchword.yaml"
    try:
        with upstream() as port:
            ports = {"issuer": free_port(), "listen": free_port(), "upstream": port}
            file.write_text(FILE.format(party=party.port, **ports), encoding="utf-8")
            with running(file), following(file, directory / "e", free_port()) as edge:
                until(lambda: edge.status() != 0, 20)
                yield Standing(file, edge, party)
    finally:
        party.close()


def holds(path: Path, value: bytes) -> bool:
    """Tell whether a file holds a value."""
    return path.is_file() and value in path.read_bytes()


def bearer(value: str) -> bytes:
    """Return what the third party is shown."""
    return b"Bearer " + value.encode()


def test_a_key_goes_from_the_file_to_the_third_party_and_nowhere_else(tmp_path: Path) -> None:
    """Nothing injected, then injected, counted, rotated and revoked, each within seconds; and the key lies in one file alone."""
    with started(tmp_path) as found:
        url = f"http://127.0.0.1:{found.edge.port}/assistant/v1/chat"
        until(found.gets(503), 60)
        assert httpx.get(url).status_code == 401
        first = tmp_path / "first.txt"
        first.write_text(FIRST, "utf-8")
        found.told("add", "assistant", "--from-file", str(first))
        until(found.gets(200), 60)
        assert found.party.injected() == [bearer(FIRST)]
        (seen,) = found.party.seen
        assert seen.line == b"GET /v1/chat HTTP/1.1"
        assert not [name for name, _ in seen.fields if b"watchword" in name or name == b"signature"]

        assert httpx.get(url, headers={"Authorization": "Bearer mine"}).status_code == 401
        assert found.phone("/assistant/v1/account") == 403
        assert len(found.party.seen) == 1

        second = tmp_path / "second.txt"
        second.write_text(SECOND, "utf-8")
        found.told("rotate", "assistant", "--from-file", str(second))
        place = tmp_path / "e" / "lent-assistant.yaml"
        until(lambda: SECOND in place.read_text("utf-8"), 20)
        # Envoy reads the file a moment later.
        until(lambda: found.phone() == 200 and found.party.injected()[-1] == bearer(SECOND), 20)

        until(found.gets(429), 60)
        assert len(found.party.seen) == 3

        found.told("revoke", "assistant", "--version", "2", "--because", "found in a paste")
        until(lambda: FIRST in place.read_text("utf-8"), 20)  # It counts until its overlap ends.
        found.told("revoke", "assistant", "--version", "1", "--because", "found there too")
        until(lambda: FIRST not in place.read_text("utf-8"), 20)
        until(found.gets(503), 60)
        assert len(found.party.seen) == 3

        shown = admin(str(tmp_path / "e" / "admin.sock"), "/config_dump?include_eds")
        told = "".join(found.edge.lines).encode() + shown
        for value in (FIRST.encode(), SECOND.encode()):
            assert value not in told
            held = [each.name for each in tmp_path.rglob("*") if holds(each, value)]
            assert held == ["first.txt" if value == FIRST.encode() else "second.txt"]
        assert place.stat().st_mode & 0o777 == 0o600
