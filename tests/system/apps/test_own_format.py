"""A format of one's own in a running deployment: installed, named, judged by the policy."""

import hashlib
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.ports import free_port
from tests.unit.adapters.test_evidence_formats import install
from tests.unit.apps.service_process import running, upstream

from watchword.adapters.system import SystemClock
from watchword.client import WatchwordClient
from watchword.client.errors import EvidenceRefusedError
from watchword.encoding import base64url
from watchword.lab.keys import open_sealed, public_jwk

ROOT = Path(__file__).parents[3]
AUDIENCE = "https://api.clinic.example"
CONFIG = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  state: state
trust:
  anchors: [lab]
  formats: [rasp-verdict]
{policy}apps:
  android:
    platform: android
    package: com.example.clinic
    signing_digests: ["{digest}"]
    minimum_version: 100
apis:
  clinic:
    audience: {audience}
    apps: [android]
    listen: 127.0.0.1:{api}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - path: /**
        level: verified
"""

# The example's vendor key comes from this text; it vouches for nothing but the example.
_SECRET = hashlib.sha256(b"Example Shield, for tests only").digest()
VENDOR = ec.derive_private_key(int.from_bytes(_SECRET), ec.SECP256R1())


def policy_of(page: str) -> str:
    """Return the policy of a page that lets a provider's verdict in."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = [
        textwrap.dedent(block)
        for block in re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    ]
    (found,) = [block for block in blocks if "provider_verdict" in block]
    return found


class ShieldedPhone:
    """Be a phone whose app holds Example Shield's SDK."""

    def __init__(self, *, clean: bool = True) -> None:
        """Make its keys; the SDK finds something unless it is clean."""
        self._clean = clean
        self.create_keys()

    @property
    def proof_jwk(self) -> Mapping[str, str]:
        """See the client's protocol."""
        return public_jwk(self._proof.public_key())

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """See the client's protocol."""
        return public_jwk(self._seal.public_key())

    def create_keys(self) -> None:
        """See the client's protocol."""
        self._proof = ec.generate_private_key(ec.SECP256R1())
        self._seal = ec.generate_private_key(ec.SECP256R1())

    def attest(self, binding: bytes) -> Mapping[str, Any]:
        """See the client's protocol."""
        content = {
            "app": "com.example.clinic",
            "bound": base64url.encode(binding),
            "clean": self._clean,
            "findings": [] if self._clean else ["hook"],
            "at": int(SystemClock().timestamp()),
        }
        parts = (b'{"alg":"ES256"}', json.dumps(content).encode())
        signing_input = ".".join(base64url.encode(part) for part in parts)
        r, s = decode_dss_signature(VENDOR.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64url.encode(r.to_bytes(32) + s.to_bytes(32))
        return {"format": "rasp-verdict", "verdict": f"{signing_input}.{signature}"}

    def renew(self, statement: bytes) -> Mapping[str, Any]:
        """See the client's protocol."""
        message = b"watchword/renew/v1\0" + statement
        signature = self._proof.sign(message, ec.ECDSA(hashes.SHA256()))
        return {"format": "rasp-verdict", "signature": base64url.encode(signature)}

    def sign(self, message: bytes) -> bytes:
        """See the client's protocol."""
        return self._proof.sign(message, ec.ECDSA(hashes.SHA256()))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """See the client's protocol."""
        return open_sealed(self._seal, info, sealed)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a deployment in an environment that has the example's package; return its address."""
    code = (ROOT / "examples" / "rasp_verdict" / "rasp_verdict.py").read_text(encoding="utf-8")
    packages = tmp_path / "packages"
    install(packages, "rasp_verdict", "rasp-verdict = rasp_verdict:FORMAT", code)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    file = tmp_path / "watchword.yaml"
    with upstream() as port:
        ports = {"service": free_port(), "api": free_port(), "upstream": port}
        text = CONFIG.format(
            **ports, digest="ab" * 32, audience=AUDIENCE, policy=policy_of("policy.md")
        )
        file.write_text(text, encoding="utf-8")
        with running(file) as (where, _):
            yield f"http://{where['service']}"


def client(service: str, device: ShieldedPhone) -> WatchwordClient:
    """Return the reference client on such a phone."""
    return WatchwordClient(
        service, "android", device, [AUDIENCE], clock=SystemClock().timestamp, jitter=lambda: 0.5
    )


def test_own_format_in_a_running_deployment(service: str) -> None:
    """A clean app enrols at level `verified` and renews; one with findings gets nothing."""
    with client(service, ShieldedPhone()) as good:
        good.enrol()
        assert good.level == "verified"
        first = good.token(AUDIENCE)
        good.renew()
        assert good.token(AUDIENCE) != first
    with client(service, ShieldedPhone(clean=False)) as hooked:
        with pytest.raises(EvidenceRefusedError) as caught:
            hooked.enrol()
        assert "policy.provider_verdict" in caught.value.problem.reasons


def test_both_pages_show_the_policy_that_was_just_used() -> None:
    """What a reader pastes from either is what the deployment above ran with."""
    assert policy_of("formats/own.md") == policy_of("policy.md")
