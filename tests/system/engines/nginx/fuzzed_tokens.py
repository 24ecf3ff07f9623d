"""Make tokens that the service could have signed, but for what is odd in them."""

import hashlib
import json
import random  # noqa: TID251 - seeded, so that a fault comes again.
from typing import Any

from tests.system.engines.claim_names import CLAIM_NAMES
from tests.unit.engines.envoy.rig import TOKEN_KEY, claims
from tests.unit.gate.proofs import b64url

from watchword.adapters.system import SystemClock
from watchword.tokens.service import claims_to_json
from watchword.vocabulary import Level

SESSION = "session-of-the-fuzzer"

NUMBERS = (
    *("1e9", "1.0", "-0", "-0.0", "0", "-1", "1E2", "1e999", "01", "+1", ".5", "1.", "0x10", "NaN"),
    *("1099511627776", "1099511627777", "9223372036854775807", "12345678901234567890", "true"),
    *("9999999999999999999", "-Infinity", "1e-999", "null", "[]", "{}", '"1"', "1 "),
)
VALUES = (
    *(
        '""',
        '"x"',
        "null",
        "true",
        "[]",
        "{}",
        '"prod"',
        '"lab"',
        '"hardware"',
        '"none"',
        '"software"',
    ),
    *(
        '"verified"',
        '"Hardware"',
        '"revoked-instance"',
        '"a b"',
        '"a\\r\\nb"',
        '"\\u0000"',
        '"\\ud800"',
    ),
    *(
        '"\\ud83d\\ude00"',
        '"\\ud83d\\u0041"',
        '"\\/"',
        '"\\x"',
        '"\t"',
        '"é"',
        '["a"]',
        '"1.2"',
        '"1.10"',
    ),
    *('"1..2"', '"1.1.999999999999999999"', '"1.2.0.0.0.0.0.0"', '"1.2.0.0.0.0.0.0.0"', '"0001.2"'),
    *('"%s"' % ("a" * size) for size in (63, 64, 65, 127, 128, 129, 255, 256, 257)),
    *('"%s"' % ("é" * size) for size in (64, 65, 128, 255, 256, 257)),
    *("[" * depth + "]" * depth for depth in (6, 7, 8, 9)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (6, 7, 8)),
)
_CLAIMS = (
    *(*CLAIM_NAMES,),
    *("new", "app.id", "app.ver", "cnf.jwk", "cnf.jwk.kty", "cnf.jwk.x", "cnf.jwk.y", "cnf.jwk.d"),
)
_TIMES = ("iat", "exp", "nbf", "epo")


class Speller:
    """Write JSON as few would, and change bytes; all by one source of chance."""

    def __init__(self, chance: random.Random) -> None:
        """Start."""
        self.random = chance

    def spelled(
        self, members: dict[str, Any], changes: list[tuple[str, str, str]], above: str = ""
    ) -> str:
        """Write an object; members that change stand in the place of the old ones, or beside them."""
        one = self.random
        pairs = []
        for name, value in members.items():
            inner = f"{above}.{name}" if above else name
            text = (
                self.spelled(value, changes, inner)
                if isinstance(value, dict)
                else self._text(value)
            )
            pairs.append((name, text))
        for where, name, text in changes:
            if where == above:
                if one.random() < 0.93:
                    pairs = [pair for pair in pairs if pair[0] != name]
                pairs.append((name, text))
        if one.random() < 0.2:
            one.shuffle(pairs)
        blank = one.choice(("", "", "", " ", "\n", "\t\r", "\f")) if one.random() < 0.2 else ""
        return (
            "{"
            + ",".join(f"{blank}{self._text(name)}{blank}:{text}{blank}" for name, text in pairs)
            + "}"
        )

    def _text(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, str) and value and self.random.random() < 0.05:
            at = self.random.randrange(len(value))
            text = (
                f'"{value[:at]}\\u{ord(value[at]):04{self.random.choice("xX")}}{value[at + 1 :]}"'
            )
        return text

    def bytes_changed(self, data: bytes, alphabet: bytes = bytes(range(256))) -> bytes:
        """Return bytes with one put in, replaced or dropped."""
        one = self.random
        at = one.randint(0, len(data))
        piece = bytes([one.choice(alphabet)]) if one.random() < 0.8 else b""
        return data[:at] + piece + data[at + one.randint(0, 1) :]


class TokenMaker(Speller):
    """Make tokens; good ones are used more than once."""

    def __init__(self, chance: random.Random, *, bound: bool) -> None:
        """Start; ``bound`` is whether they are bound to a header."""
        super().__init__(chance)
        self._bound = bound
        self._tokens: list[bytes] = []

    def token(self) -> bytes:
        """Return another token."""
        one = self.random
        if self._tokens and one.random() < 0.6:
            return one.choice(self._tokens)
        members: dict[str, Any] = claims_to_json(
            claims(session_id=SESSION, level=one.choice((Level.HARDWARE, Level.SOFTWARE)))
        )
        if self._bound and one.random() < 0.9:
            members["bnd"] = b64url(hashlib.sha256(b"user 1").digest())
        changes = one.choice((0, 1, 1, 2))
        flat = {
            "": members,
            "app": members["app"],
            "cnf": members["cnf"],
            "cnf.jwk": members["cnf"]["jwk"],
        }
        texts: list[tuple[str, str, str]] = []
        for _ in range(changes):
            above, _, last = one.choice(_CLAIMS).rpartition(".")
            kind = one.random()
            if kind < 0.15:
                flat[above].pop(last, None)
            else:
                choices = NUMBERS if last in _TIMES and one.random() < 0.7 else VALUES
                if last in ("iat", "exp", "nbf") and one.random() < 0.4:
                    now = int(SystemClock().timestamp())
                    choices = tuple(
                        str(now + each)
                        for each in (-7000, -3600, -50, -5, 0, 50, 70, 300, 3595, 3596)
                    )
                texts.append((above, last, one.choice(choices)))
        payload = self.spelled(members, texts).encode("utf-8", "surrogatepass")
        if one.random() < 0.1:
            payload = self.bytes_changed(payload)
        head = b'{"alg":"ES256","kid":"token-1","typ":"watchword+jwt"}'
        if one.random() < 0.15:
            head = one.choice(
                (
                    b'{ "typ":"watchword+jwt","kid":"token-\\u0031", "alg":"ES256"}',
                    b'{"alg":"ES256","kid":"token-2","typ":"watchword+jwt"}',
                    b'{"alg":"ES256","kid":"token-1","typ":"watchword+jwt","typ":"watchword+jwt"}',
                    b'{"alg":"ES256","kid":["token-1"],"typ":"watchword+jwt"}',
                    b'{"alg":"es256","kid":"token-1","typ":"watchword+jwt"}',
                    self.bytes_changed(head),
                )
            )
        signed = f"{b64url(head)}.{b64url(payload)}"
        made = f"{signed}.{b64url(TOKEN_KEY.sign(signed.encode()))}".encode()
        if one.random() < 0.05:
            made = self.bytes_changed(made, b"ABQgwZz-_.=+/")
        if not changes and len(self._tokens) < 60:
            self._tokens.append(made)
        return made
