"""Show what makes a node differ: what decides who gets in, and not where it listens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.enrolment.simulators import SeededEntropy

from watchword.adapters.documents import FileDocument
from watchword.adapters.keyring.file import KeyRing
from watchword.apps.compose.nodes import ring_digest, service_digest
from watchword.apps.settings.shared import configuration_digest
from watchword.vocabulary import Environment

FILE: dict[str, Any] = {
    "version": 1,
    "environment": "prod",
    "service": {
        "issuer": "https://attest.bank.example",
        "listen": "10.0.0.1:8440",
        "state": "/var/lib/watchword",
        "store": "postgresql://node@db/watchword",
        "postgres": {"node": "node-a"},
        "token_lifetime": "5m",
    },
    "gates": {"listen": "10.0.0.1:8441", "certificate": "a.pem", "clients": {"edge": ["bank"]}},
    "plan": {"budget": 3},
    "apps": {"bank": {"platform": "ios"}},
    "apis": {
        "bank": {"audience": "https://api", "listen": "10.0.0.1:80", "routes": [{"path": "/"}]}
    },
}


def changed(section: str, **members: Any) -> dict[str, Any]:
    """Return the file with other members of a section."""
    return {**FILE, section: {**FILE[section], **members}}


@pytest.mark.parametrize(
    "other",
    [
        changed("service", listen="10.0.0.2:8440", state="/srv", postgres={"node": "node-b"}),
        changed("gates", listen="10.0.0.2:8441", certificate="b.pem", key="b.key"),
        changed("apis", bank={**FILE["apis"]["bank"], "listen": "10.0.0.2:80", "authz": {}}),
        changed("plan", budget=4),
        {each: FILE[each] for each in reversed(FILE)},
    ],
)
def test_what_is_a_nodes_own(other: dict[str, Any]) -> None:
    """Where a node listens and keeps its files says nothing of who gets in."""
    assert configuration_digest(other) == configuration_digest(FILE)


@pytest.mark.parametrize(
    "other",
    [
        changed("service", token_lifetime="10m"),
        changed("service", trusted_proxies=["10.0.0.9"]),
        changed("gates", clients={"edge": ["bank", "other"]}),
        changed("apis", bank={**FILE["apis"]["bank"], "routes": [{"path": "/", "mode": "off"}]}),
        changed("apps", other={}),
        {**FILE, "environment": "lab"},
        {**FILE, "trust": {"anchors": ["vendors"]}},
    ],
)
def test_what_all_must_have(other: dict[str, Any]) -> None:
    """Whatever decides who gets in is the same on all nodes."""
    assert configuration_digest(other) != configuration_digest(FILE)


def test_keys(tmp_path: Path) -> None:
    """A rotation changes the digest of the keys, and not which service it is; digests hold no key."""
    keyring = KeyRing(
        FileDocument(tmp_path / "keyring.json"),
        environment=Environment.PROD,
        grace=330,
        now=0,
        entropy=SeededEntropy(),
    )
    before = keyring.ring
    keyring.rotate(1000)
    assert ring_digest(keyring.ring) != ring_digest(before)
    assert service_digest(keyring.ring) == service_digest(before)
    rotated = keyring.ring
    keyring.rotate_gate_secrets(2000)
    assert ring_digest(keyring.ring) != ring_digest(rotated)
    other = replace(before, pairwise_key=b"\x01" * 32)
    assert service_digest(other) != service_digest(before)
