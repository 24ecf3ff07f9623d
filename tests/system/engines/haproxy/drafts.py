"""Put requests together, with the proof that their client believes to send."""

import base64
import hashlib
import hmac
import json
import random  # noqa: TID251 - the same requests each time.
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.unit.engines.envoy.rig import SECRET, TOKEN_KEY, claims
from tests.unit.gate.proofs import session_key
from tests.unit.gate.simulators import SoftwareSigner

from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.service import claims_to_json

SESSION: Final = "session-of-the-test"
STRANGER: Final = SoftwareSigner("token-1")

Claims = dict[str, Any]


@dataclass
class Draft:
    """Hold a request that is still to be put together, with what its client believes to send.

    :ivar lines: raw field lines in their order, without line breaks.
    :ivar signed: by component, what the proof is made over in place of what is sent.
    """

    chance: random.Random
    now: int
    nonce: str
    method: bytes = b"GET"
    target: bytes = b"/v1/patients"
    version: bytes = b"HTTP/1.1"
    host: bytes = b"clinic.example"
    token: bytes | None = None
    proves: bool = False
    body: bytes | None = None
    chunked: bool = False
    lines: list[bytes] = field(default_factory=list)
    before: list[bytes] = field(default_factory=list)
    created: int = 0
    key: bytes = b""
    key_id: str = SESSION
    algorithm: str = "hmac-sha256"
    signed: dict[str, bytes] = field(default_factory=dict)
    input_edit: Callable[[bytes], bytes] = bytes
    signature_edit: Callable[[bytes], bytes] = bytes
    digest: bytes | None = None

    def raw(self) -> bytes:
        """Return the bytes of the request."""
        lines = [self.method + b" " + self.target + b" " + self.version, *self.before]
        lines.append(b"Host: " + self.host)
        if self.token is not None:
            lines.append(b"Watchword-Token: " + self.token)
        body = b""
        if self.body is not None:
            body = self.body
            if self.chunked:
                lines.append(b"Transfer-Encoding: chunked")
                body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            else:
                lines.append(b"Content-Length: %d" % len(body))
        if self.proves:
            lines += self._proof()
        return b"\r\n".join([*lines, *self.lines, b"", body])

    def _proof(self) -> list[bytes]:
        path, _, query = self.target.partition(b"?")
        parts = {
            "watchword-token": self.token or b"",
            "@method": self.method,
            "@authority": self.host.lower(),
            "@path": path,
            "@query": b"?" + query,
        }
        lines = []
        if self.body:
            right = base64.b64encode(hashlib.sha256(self.body).digest())
            parts["content-digest"] = self.digest or b"sha-256=:" + right + b":"
            lines.append(b"Content-Digest: " + parts["content-digest"])
        names = " ".join(f'"{name}"' for name in parts)
        parameters = (
            f'({names});created={self.created};nonce="{self.nonce}";alg="{self.algorithm}"'
            f';keyid="{self.key_id}"'
        ).encode()
        parameters = self.input_edit(parameters)
        covered = {**parts, **self.signed}
        base = b"\n".join(b'"%b": %b' % (name.encode(), text) for name, text in covered.items())
        base += b'\n"@signature-params": ' + parameters
        mac = base64.b64encode(hmac.digest(self.key, base, "sha256"))
        signature = self.signature_edit(b"watchword=:" + mac + b":")
        return [
            *lines,
            b"Signature-Input: watchword=" + parameters,
            b"Signature: " + signature,
        ]


def genuine(chance: random.Random, now: int, serial: int) -> Draft:
    """Return a request that nothing is wrong with."""
    draft = Draft(chance, now, f"nonce-{serial:015d}")
    draft.created = now
    draft.key = session_key(SESSION, SECRET.secret)
    paths = (
        b"/v1/a",
        b"/pay/now",
        b"/pay/now",
        b"/watched/x",
        b"/eyed/x",
        b"/hard/x",
        b"/new/x",
        b"/open/x",
    )
    draft.target = chance.choice(paths) + chance.choice((b"", b"", b"?", b"?a=b&c=%20"))
    draft.proves = draft.target.startswith((b"/pay", b"/eyed"))
    draft.method = chance.choice((b"GET", b"GET", b"POST", b"PUT", b"HEAD"))
    if draft.method in (b"POST", b"PUT"):
        draft.body = bytes(chance.randrange(256) for _ in range(chance.choice((0, 1, 40))))
    draft.token = assembled(compact(members_of(draft)), TOKEN_KEY)
    return draft


def members_of(draft: Draft) -> Claims:
    """Return the claims of a genuine token."""
    return claims_to_json(claims(issued_at=draft.now - 5, expires_at=draft.now + 300))


def compact(members: Any) -> bytes:
    """Return JSON as the service writes it."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def assembled(payload: bytes, signer: SoftwareSigner) -> bytes:
    """Return a token of a payload, whatever that is."""
    return jose.assemble(payload, TOKEN_TYPE, signer).encode()
