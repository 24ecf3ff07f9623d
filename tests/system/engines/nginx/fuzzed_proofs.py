"""Make proofs that are right but for a few things; what they say is what is signed."""

import base64
import hashlib
import hmac
import itertools
import random  # noqa: TID251 - seeded, so that a fault comes again.
from typing import Any

from tests.system.engines.nginx.fuzzed_tokens import NUMBERS, SESSION, VALUES, Speller
from tests.system.engines.nginx.fuzzer import Sent
from tests.unit.engines.envoy.rig import SECRET
from tests.unit.gate.proofs import INSTANCE_KEY, b64url, digest_of, session_key, thumbprint
from tests.unit.gate.simulators import CLAIMS, SoftwareSigner

from watchword.adapters.system import SystemClock
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS

INSTANCE = SoftwareSigner(private=INSTANCE_KEY)


class ProofMaker(Speller):
    """Put proofs to requests; some stand in more than one."""

    def __init__(self, chance: random.Random, first_moment: float) -> None:
        """Start; no proof but an odd one claims to be older than ``first_moment``."""
        super().__init__(chance)
        self._first = int(first_moment) + 1
        self._series = chance.randrange(10**6)
        self._serial = itertools.count(1)
        self._session = session_key(SESSION, SECRET.secret)
        self._proofs: list[tuple[bytes, bytes, list[tuple[bytes, bytes]]]] = []

    def prove(self, sent: Sent, held: bytes, *, announced: bool) -> None:
        """Add a proof where the path asks for one, and sometimes elsewhere."""
        one = self.random
        path = sent.target
        kind = "session"
        if path.startswith(b"/sign"):
            kind = "device"
        elif path.startswith(b"/dpop"):
            kind = one.choice(("dpop", "dpop", "device"))
        elif not path.startswith((b"/pay", b"/watched-pay")) and one.random() < 0.9:
            return
        if one.random() < 0.06:
            kind = one.choice(("session", "device", "dpop"))
        if self._proofs and one.random() < 0.05:
            # All of an earlier request, token and body's digest too.
            sent.method, sent.target, sent.fields[:] = one.choice(self._proofs)
            sent.body, sent.chunked = b"", False
            return
        if kind == "dpop":
            sent.fields.append((b"DPoP", self._dpop(sent, held)))
        else:
            self._sign(sent, held, kind, announced=announced)
        if not announced and len(self._proofs) < 200:
            self._proofs.append((sent.method, sent.target, list(sent.fields)))

    def _moment(self) -> int:
        one = self.random
        now = int(SystemClock().timestamp())
        if one.random() < 0.9:
            return max(self._first, now - one.randint(0, 5))
        return now + one.choice((-PROOF_LIFE_SECONDS - 70, -400, 20, 40, 70, 200))

    def _nonce(self) -> str:
        one = self.random
        nonce = f"nonce-{self._series:06d}-{next(self._serial):012d}"
        if one.random() < 0.06:
            nonce = one.choice(
                (
                    nonce[-15:],
                    nonce[-16:],
                    nonce.rjust(64, "_"),
                    nonce.rjust(65, "_"),
                    nonce + "=",
                    nonce + "é",
                    "",
                )
            )
        return nonce

    def _sign(self, sent: Sent, held: bytes, kind: str, *, announced: bool) -> None:
        """Sign what stands in the request, and what the parameters say of it."""
        one = self.random
        digest = self._digest(sent.body) if announced else None
        covered = self._components(digested=announced)
        parameters = f"({covered});{self._parameters(kind)}".encode()
        if one.random() < 0.04:
            parameters = self.bytes_changed(parameters, b' ;,"()=:a0\t\x7f\xe9')
        path, _, query = sent.target.partition(b"?")
        lines = [
            b'"watchword-token": ' + held,
            b'"@method": ' + sent.method,
            b'"@authority": ' + sent.fields[0][1].lower(),
            b'"@path": ' + path,
            b'"@query": ?' + query,
        ]
        if digest is not None:
            sent.fields.append((b"Content-Digest", digest))
            lines.append(b'"content-digest": ' + digest)
        base = b"\n".join([*lines, b'"@signature-params": ' + parameters])
        session = kind == "session"
        made = hmac.digest(self._session, base, "sha256") if session else INSTANCE.sign(base)
        signature = b"watchword=:%b:" % base64.b64encode(made)
        if one.random() < 0.04:
            signature = self.bytes_changed(signature, b"AQgwBCDEFz09+/=:,; \t")
        put = b"watchword=" + parameters
        if one.random() < 0.03:
            put, signature = one.choice(
                (
                    (put + b", other=()", signature + b", other=:AA==:"),
                    (put, signature + b";a"),
                    (put, b"other" + signature),
                    (b"Watchword" + put[9:], signature),
                    (put + b" ", signature),
                    (put, signature.replace(b"=:", b"= :")),
                )
            )
        sent.fields += [(b"Signature-Input", put), (b"Signature", signature)]

    def _digest(self, body: bytes) -> bytes:
        digest = digest_of(body).encode()
        if self.random.random() > 0.15:
            return digest
        longer = b"sha-512=:%b:" % base64.b64encode(hashlib.sha512(body).digest())
        url = b64url(hashlib.sha256(body).digest()).encode()
        return self.random.choice(
            (
                longer,
                digest + b", " + longer,
                b"sha-256=:%b=:" % url,
                digest_of(body + b"x").encode(),
                digest.upper(),
                digest + b";a=1",
                digest[:-2] + b":",
                b"",
            )
        )

    def _components(self, *, digested: bool) -> str:
        one = self.random
        names = ['"watchword-token"', '"@method"', '"@authority"', '"@path"', '"@query"']
        if digested:
            names.append('"content-digest"')
        if one.random() > 0.05:
            return " ".join(names)
        odd = one.choice(('"@method"', '"date"', '"@query";req', '"x";bs', '"a', "a", ""))
        at = one.randrange(len(names))
        mixed = one.sample(names, len(names))
        return " ".join(
            one.choice((names[:at] + names[at + 1 :], [*names[:at], odd, *names[at:]], mixed, []))
        )

    def _parameters(self, kind: str) -> str:
        one = self.random
        session = kind == "session"
        algorithm = "hmac-sha256" if session else "ecdsa-p256-sha256"
        key_id = SESSION if session else thumbprint(CLAIMS.key)
        if one.random() < 0.03:
            key_id = one.choice(("", "other", key_id + " ", key_id + '\\"', "k" * 128, "k" * 129))
        if one.random() < 0.03:
            algorithm = one.choice(("hmac-sha256", "ecdsa-p256-sha256", "none", "", "HMAC-SHA256"))
        members = [
            f"created={self._moment()}",
            f'nonce="{self._nonce()}"',
            f'alg="{algorithm}"',
            f'keyid="{key_id}"',
        ]
        if one.random() < 0.05:
            odd = one.choice(('tag="a"', "expires=1900000000", "x", "created=1"))
            mixed, at = one.sample(members, 4), one.randrange(4)
            members = one.choice(
                (mixed, members[:at] + members[at + 1 :], [*members, odd], [odd, *members])
            )
        return ";".join(members)

    def _dpop(self, sent: Sent, held: bytes) -> bytes:
        one = self.random
        path = sent.target.partition(b"?")[0].decode("latin-1")
        host = sent.fields[0][1].decode("latin-1")
        members: dict[str, Any] = {
            "jti": self._nonce(),
            "htm": sent.method.decode("latin-1"),
            "htu": f"https://{host}{path}",
            "iat": self._moment(),
            "ath": b64url(hashlib.sha256(held).digest()),
        }
        if one.random() < 0.25:
            members["htu"] = one.choice(
                (
                    f"HTTPS://{host.upper()}:443{path}?q#f",
                    f"https://{host}{path}#f?q",
                    f"http://{host}{path}",
                    f"https://{host}:80{path}",
                    f"https://{host}:443{path}",
                    f"https://u@{host}{path}",
                    f"https://{host}{path}/",
                    f"https://{host}",
                    f"https:/{host}{path}",
                    f"https://{host}{path}\n",
                    f"https://{host}{path}\u00e9",
                )
            )
        head: dict[str, Any] = {"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(CLAIMS.key)}
        changes: list[tuple[str, str, str]] = []
        if one.random() < 0.2:
            name = one.choice(("jti", "htm", "htu", "iat", "ath", "nonce", "exp"))
            changes.append(("", name, one.choice((*NUMBERS, *VALUES, '"nonce-nonce-nonce"'))))
        head_changes: list[tuple[str, str, str]] = []
        if one.random() < 0.1:
            where, _, name = one.choice(
                ("typ", "alg", "jwk", "kid", "jwk.x", "jwk.d", "jwk.kty", "jwk.crv")
            ).rpartition(".")
            head_changes.append((where, name, one.choice(VALUES)))
        first, second = (
            self.spelled(*each).encode("utf-8", "surrogatepass")
            for each in ((head, head_changes), (members, changes))
        )
        if one.random() < 0.05:
            second = self.bytes_changed(second)
        signed = f"{b64url(first)}.{b64url(second)}"
        made = f"{signed}.{b64url(INSTANCE.sign(signed.encode()))}".encode()
        return self.bytes_changed(made, b"ABQgw-_.=, \xe9") if one.random() < 0.05 else made
