"""Do what attackers do, with what attackers have: the app's key, public keys, recorded traffic."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from watchword.apps.demo.actors import TIMEOUT_SECONDS, Handset, Wire
from watchword.apps.demo.acts import Outcome
from watchword.apps.demo.clinic import API_KEY, RECORDS
from watchword.apps.demo.stage import Stage
from watchword.encoding import base64url, strict_json
from watchword.tokens.es256 import sign
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jwk import jwk_from_public_key
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level

REVOCATION_SECONDS = 1.0
"""How long a revocation may take to reach the gate."""


def drain(base_url: str) -> Outcome:
    """Walk through all patient numbers with the key from the app."""
    headers = {"x-api-key": API_KEY}
    with httpx.Client(trust_env=False, headers=headers, timeout=TIMEOUT_SECONDS) as script:
        urls = (f"{base_url}/v1/patients/{number}" for number in range(RECORDS))
        got = sum(script.get(url).is_success for url in urls)
    return Outcome(f"served {got} of {RECORDS}")


@dataclass(frozen=True, slots=True)
class _OwnKey:
    """Sign with a key of the attacker's own, under any key id."""

    kid: str
    key: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        return sign(self.key, message)


def forge_token(stage: Stage, wire: Wire, audience: str, *, own_name: bool) -> str:
    """Return a token that says all the right things, signed by the attacker.

    :param own_name: name the attacker's key; else name the service's, which anyone can read.
    """
    issuer = stage.settings.service.issuer
    published = wire.http.get(f"{issuer}/.well-known/jwks.json").json()["keys"][0]["kid"]
    key = ec.generate_private_key(ec.SECP256R1())
    now = int(stage.clock.timestamp())
    claims = TokenClaims(
        issuer=issuer,
        audience=audience,
        subject=base64url.encode(stage.entropy.token_bytes(32)),
        issued_at=now,
        expires_at=now + 300,
        token_id=base64url.encode(stage.entropy.token_bytes(16)),
        environment=Environment.LAB,
        app_id="clinic-ios",
        app_version=None,
        level=Level.HARDWARE,
        key=jwk_from_public_key(key.public_key()),
        session_id=base64url.encode(stage.entropy.token_bytes(16)),
    )
    return issue(claims, _OwnKey("my-own-key" if own_name else published, key))


def replay_under_new_challenge(
    wire: Wire, service: str, phone: Handset, hold: Callable[[], None] | None = None
) -> Outcome:
    """Put recorded evidence under a statement with a fresh challenge.

    :param hold: is called between challenge and evidence, to let time pass.
    """
    recorded = phone.recorded("/v1/attestations")
    statement = strict_json.loads(base64url.decode(recorded["statement"]), limit=4096)
    asked = {"app": statement["app"], "purpose": "enrol"}
    fresh: dict[str, Any] = wire.http.post(f"{service}/v1/challenges", json=asked).json()
    if hold is not None:
        hold()
    statement["challenge"] = fresh["challenge"]
    body = {**recorded, "statement": base64url.encode(strict_json.dumps(statement))}
    return wire.post(f"{service}/v1/attestations", body)


def until_refused(attempt: Callable[[], Outcome]) -> Outcome:
    """Try for as long as a revocation may take; return the first refusal, or the last outcome."""
    return until(attempt, lambda outcome: outcome.what.startswith("refused"))


def until(
    attempt: Callable[[], Outcome],
    settled: Callable[[Outcome], bool],
    patience: float = REVOCATION_SECONDS,
) -> Outcome:
    """Try for as long as what the service published may take to reach a gate; return the last outcome.

    :param patience: seconds.
    """
    deadline = time.monotonic() + patience  # noqa: TID251 - the wall, not the story's.
    while True:
        outcome = attempt()
        if settled(outcome) or time.monotonic() > deadline:  # noqa: TID251
            return outcome
        time.sleep(0.05)
