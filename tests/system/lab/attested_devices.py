"""Run the attester in a process of its own, and be a device for the client whose hardware it is.

The devices are what an SDK's adapters are to become: keys in software, and whatever only hardware or a vendor can give is
asked for over HTTP.
"""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.machine import patience
from tests.unit.apps.service_process import WATCHWORD

from watchword.encoding import base64url
from watchword.lab import PHONES
from watchword.lab.keys import open_sealed, public_jwk, sign_message
from watchword.lab.phones.android import AndroidModel
from watchword.lab.phones.play import PlayModel

RENEWAL_PREFIX = b"watchword/renew/v1\x00"


class FaultError(Exception):
    """Report that the hardware or the vendor failed; ``fault`` is what the attester told of it."""

    def __init__(self, fault: Mapping[str, Any]) -> None:
        """Keep what was told."""
        super().__init__(fault["name"])
        self.fault = fault


class Hardware:
    """Ask an attester."""

    def __init__(self, url: str) -> None:
        """Ask the one at this address."""
        self._url = url

    def _asked(self, method: str, path: str, members: Any = None) -> httpx.Response:
        return httpx.request(
            method, self._url + path, json=members, timeout=patience(30), trust_env=False
        )

    def ask(self, path: str, **members: Any) -> dict[str, Any]:
        """Return the answer to one question.

        :raises FaultError: when the device fails.
        """
        answer = self._asked("POST", path, members)
        document: dict[str, Any] = answer.json()
        if answer.status_code == 503:
            raise FaultError(document["fault"])
        assert answer.status_code == 200, answer.text
        return document

    def left(self, device: str) -> list[dict[str, Any]]:
        """Return what is left of a device's script."""
        answer = self._asked("GET", f"/v1/devices/{device}/faults")
        found: list[dict[str, Any]] = answer.json()["faults"]
        return found

    def script(self, device: str, *faults: Mapping[str, Any]) -> None:
        """Have a device fail as this says."""
        answer = self._asked("PUT", f"/v1/devices/{device}/faults", {"faults": faults})
        assert answer.status_code == 200, answer.text


class SoftwareKeys:
    """Hold a proof key and a seal key in software."""

    def __init__(self, hardware: Hardware, kind: str, device: str) -> None:
        """Be a phone of this kind and name."""
        self.hardware = hardware
        self.kind = kind
        self.device = device
        self.create_keys()

    @property
    def proof_jwk(self) -> Mapping[str, str] | None:
        """Return the public proof key."""
        return public_jwk(self.proof_key.public_key())

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public seal key."""
        return public_jwk(self.seal_key.public_key())

    def create_keys(self) -> None:
        """Make new keys."""
        self.proof_key, self.seal_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def sign(self, message: bytes) -> bytes:
        """Sign by the proof key."""
        return sign_message(self.proof_key, message)

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Open by the seal key."""
        return open_sealed(self.seal_key, info, sealed)


class AndroidDevice(SoftwareKeys):
    """Have the attester certify the key that the app made, as a Keystore does."""

    serial = ""

    @property
    def proof_jwk(self) -> None:
        """Return None: the attested key is the proof key."""
        return

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return the chain."""
        public = self.proof_key.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = self.hardware.ask(
            "/v1/android/chain",
            kind=self.kind,
            device=self.device,
            key=base64url.encode(spki),
            challenge=base64url.encode(binding),
        )
        self.serial = made["attestation_serial"]
        return {"format": "android-key", "chain": made["chain"]}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the attested key."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": "android-key", "signature": base64url.encode(signature)}


class PlayDevice(SoftwareKeys):
    """Have the attester vouch for the statement by a Play Integrity token."""

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return the token of a standard request, or of a classic one where the kind is known for that."""
        model = PHONES[self.kind]
        assert isinstance(model, PlayModel)
        text = base64url.encode(binding)
        asked = {"request_hash": text} if model.standard else {"nonce": text}
        made = self.hardware.ask("/v1/play/token", kind=self.kind, device=self.device, **asked)
        return {"format": "play-integrity", "token": made["token"]}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the proof key."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": "play-integrity", "signature": base64url.encode(signature)}


class IosDevice(SoftwareKeys):
    """Have the attester make and hold the App Attest key, as the Secure Enclave does."""

    def create_keys(self) -> None:
        """Make new keys, the App Attest key among them."""
        super().create_keys()
        made = self.hardware.ask("/v1/app-attest/keys", kind=self.kind, device=self.device)
        self.key_id = made["key_id"]

    def _asked(self, path: str, digest: bytes) -> dict[str, Any]:
        return self.hardware.ask(
            f"/v1/app-attest/{path}",
            key_id=self.key_id,
            client_data_hash=base64url.encode(digest),
        )

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return the attestation object and the key's id."""
        made = self._asked("attestations", binding)
        key_id = base64url.encode(base64.b64decode(self.key_id))
        return {"format": "app-attest", "attestation": made["attestation"], "key_id": key_id}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return an assertion."""
        made = self._asked("assertions", hashlib.sha256(statement).digest())
        return {"format": "app-attest", "assertion": made["assertion"]}


def device_of(hardware: Hardware, kind: str, device: str) -> AndroidDevice | PlayDevice | IosDevice:
    """Return a device of a kind of phone."""
    model = PHONES[kind]
    if isinstance(model, AndroidModel):
        return AndroidDevice(hardware, kind, device)
    found = PlayDevice if isinstance(model, PlayModel) else IosDevice
    return found(hardware, kind, device)


@contextmanager
def attester_process(file: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``watchword lab attester`` on a free port, and give its address once it says that it listens."""
    process = subprocess.Popen(
        [*WATCHWORD, "-c", str(file), "lab", "attester", "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield (json.loads(line)["url"] if line else ""), process
    finally:
        process.kill()
        process.communicate()
