"""Play Apple's receipt server: exchange receipts, count attestations per device, say no like Apple.

Written from Apple's "Assessing fraud risk".  One call takes one request to one answer; the state is what
the server has counted.  Whoever wants it behind a port or on a socket puts it there.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from watchword.encoding import base64url
from watchword.lab.apple_receipts import LIFETIME, ReceiptAuthorities, ReceiptContent
from watchword.lab.keys import derive_bytes
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import MalformedError

PATH: Final = "/v1/attestationData"
HOSTS: Final[Mapping[str, str]] = {
    "https://data.appattest.apple.com": "production",
    "https://data-development.appattest.apple.com": "sandbox",
}
"""Apple's own addresses, and the environment whose receipts each takes."""

WINDOW: Final = timedelta(days=30)
PAUSE: Final = timedelta(days=1)
MAX_TOKEN_AGE: Final = timedelta(minutes=20)

_DEVICE_BYTES: Final = 32


def device_token(seed: bytes, device: str, key_id: bytes) -> str:
    """Return field 5 of a receipt: which device it is, for the server alone, and which key."""
    secret = derive_bytes(seed, f"apple-device/{device}", _DEVICE_BYTES)
    return base64.b64encode(secret + hashlib.sha256(secret + key_id).digest()).decode("ascii")


@dataclass(slots=True)
class AppleServer:
    """Answer as Apple's receipt server does.

    :param teams: public key by (team id, key id), as registered at Apple.
    :param throttled: seconds that 429 answers ask to wait; None answers requests.
    """

    authorities: ReceiptAuthorities
    teams: Mapping[tuple[str, str], ec.EllipticCurvePublicKey]
    throttled: int | None = None
    attested: dict[bytes, dict[bytes, datetime]] = field(default_factory=dict, repr=False)

    def count(self, receipt: bytes) -> None:
        """Count the attestation that a receipt of type ATTEST came with, as Apple does when it is made.

        :raises ValueError: when it isn't a receipt of this lab.
        """
        content = read_own(receipt, self.authorities)
        device = base64.b64decode(content.token)[:_DEVICE_BYTES]
        key = hashlib.sha256(content.certificate).digest()
        if content.risk_metric is None:
            self.attested.setdefault(device, {}).setdefault(key, content.created_at)

    def answer(self, request: FetchRequest, now: datetime) -> FetchResponse:
        """Return the answer to one request."""
        host, _, path = request.url.partition("/v1/")
        if f"/v1/{path}" != PATH or request.method != "POST":
            return _answer(404)
        if self.throttled is not None:
            return _answer(429, {"retry-after": str(self.throttled)})
        team = self._team(request.headers.get("authorization", ""), now)
        if team is None:
            return _answer(401)
        try:
            receipt = base64.b64decode(request.body, validate=True)
            content = read_own(receipt, self.authorities)
        except (ValueError, binascii.Error):
            return _answer(400)
        if host in HOSTS and HOSTS[host] != content.environment:
            return _answer(400)
        if not content.app_id.startswith(f"{team}.") or now > content.created_at + LIFETIME:
            return _answer(404)
        self.count(receipt)
        if content.not_before is not None and now < content.not_before:
            return _answer(304)
        newer = ReceiptContent(
            app_id=content.app_id,
            certificate=content.certificate,
            client_hash=content.client_hash,
            token=content.token,
            environment=content.environment,
            created_at=now,
            risk_metric=self._metric(content.token, now),
            not_before=now + PAUSE,
        )
        return _answer(200, body=base64.b64encode(self.authorities.issue(newer)))

    def _metric(self, token: str, now: datetime) -> int:
        """Return how many keys of the device were attested within the window, this one at least."""
        times = self.attested.get(base64.b64decode(token)[:_DEVICE_BYTES], {}).values()
        return max(1, sum(now - WINDOW <= at <= now for at in times))

    def _team(self, authorization: str, now: datetime) -> str | None:
        """Return whose ES256 token this is, None if nobody's (RFC 7515, RFC 7518 section 3.4)."""
        try:
            signing_input, _, encoded = authorization.rpartition(".")
            header, claims = (_json(part) for part in signing_input.split("."))
            signature = base64url.decode(encoded)
            key = self.teams[claims["iss"], header["kid"]]
            age = now - datetime.fromtimestamp(claims["iat"], UTC)
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(
                encode_dss_signature(r, s), signing_input.encode(), ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, MalformedError, KeyError, TypeError, ValueError, OverflowError):
            return None
        fresh = -timedelta(minutes=1) <= age <= MAX_TOKEN_AGE
        return str(claims["iss"]) if header["alg"] == "ES256" and half == 32 and fresh else None


def read_own(receipt: bytes, authorities: ReceiptAuthorities) -> ReceiptContent:
    """Return what a receipt of this lab says; one that the lab wouldn't issue to the byte is none.

    :raises ValueError: when it isn't one.
    """
    marker = b"\x24\x80"
    start = receipt.find(marker) + len(marker)
    content = b""
    while receipt[start : start + 1] == b"\x04":
        piece, start = _element(receipt, start)
        content += piece
    fields: dict[int, bytes] = {}
    members, _ = _element(content, 0)
    at = 0
    while at < len(members):
        entry, at = _element(members, at)
        number, after = _element(entry, 0)
        _, after = _element(entry, after)
        fields[int.from_bytes(number, "big")] = _element(entry, after)[0]
    try:
        read = ReceiptContent(
            app_id=fields[2].decode(),
            certificate=fields[3],
            client_hash=fields[4],
            token=fields[5].decode(),
            environment=fields[7].decode(),
            created_at=datetime.fromisoformat(fields[12].decode()),
            risk_metric=int(fields[17]) if 17 in fields else None,
            not_before=datetime.fromisoformat(fields[19].decode()) if 19 in fields else None,
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise ValueError("not a receipt") from error
    # Signatures of the lab are deterministic, so that issuing it again is the best verification.
    if authorities.issue(read) != receipt:
        raise ValueError("not a receipt of this lab")
    return read


def _element(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the content of the definite element at ``at``, and the offset behind it."""
    if at + 2 > len(data):
        raise ValueError("cut off")
    size, start = data[at + 1], at + 2
    if size > 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + size > len(data):
        raise ValueError("cut off")
    return data[start : start + size], start + size


def _json(part: str) -> dict[str, Any]:
    document = json.loads(base64url.decode(part))
    if not isinstance(document, dict):
        raise TypeError("expected an object")
    return document


def _answer(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> FetchResponse:
    return FetchResponse(status, headers or {}, body)
