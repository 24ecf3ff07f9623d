"""Sign what the gate found for the API behind it, so that going around the gate is useless.

A verdict is a JWT for one request: it names method and target, lives half a minute and is signed with
the key of one API's gates.  An API that checks it (:func:`verify`) serves nobody who reaches it by
another way, and a verdict that is copied opens nothing but the request that it was made for, for as
long as it lives (protocol, section 7).
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.ports import Signer, VerificationKeys
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.interface import MAX_TOKEN_BYTES
from watchword.tokens.jose import is_signed_by
from watchword.vocabulary import Level

VERDICT_TYPE: Final = "watchword-verdict+jwt"
"""The ``typ`` of a verdict: a token never passes for one (RFC 8725 section 3.11)."""

VERDICT_LIFE_SECONDS: Final = 30
"""How long a verdict may be on its way to the API."""

LEEWAY_SECONDS: Final = 5
"""How far the clocks of gate and API may differ: they stand beside each other."""

_MEMBERS: Final = {"iss", "aud", "sub", "lvl", "app", "htm", "tgt", "iat", "exp"}


@dataclass(frozen=True, slots=True)
class SignedVerdict:
    """Hold what a gate says of one request.

    :param subject: the instance's pairwise name, empty where nobody was identified (mode ``off``,
        ``monitor`` or ``canary``).
    :param level: ``none`` where nobody was identified.
    :param method: upper case.
    :param target: SHA-256, base64url, of the raw path with ``?`` and the raw query behind it if
        there is one.
    :param issued_at: seconds since 1970.
    """

    issuer: str
    audience: str
    subject: str
    level: Level
    app: str
    method: str
    target: str
    issued_at: int


def target_of(raw_path: bytes, query: bytes) -> str:
    """Return the digest of a request's target, as it stands in a verdict.

    A digest, since a target can be longer than a token may be.
    """
    return base64url.encode(hashlib.sha256(raw_path + b"?" + query if query else raw_path).digest())


def sign(verdict: SignedVerdict, signer: Signer) -> str:
    """Return the verdict as a compact JWS."""
    members = {
        "iss": verdict.issuer,
        "aud": verdict.audience,
        "sub": verdict.subject,
        "lvl": verdict.level.value,
        "app": verdict.app,
        "htm": verdict.method,
        "tgt": verdict.target,
        "iat": verdict.issued_at,
        "exp": verdict.issued_at + VERDICT_LIFE_SECONDS,
    }
    return jose.assemble(strict_json.dumps(members), VERDICT_TYPE, signer)


def verify(
    untrusted: str,
    *,
    issuer: str,
    audience: str,
    method: str,
    target: str,
    keys: VerificationKeys,
    now: float,
) -> SignedVerdict:
    """Return what a gate says of this request.

    1. The form (``verdict.malformed``).  2. The signature by a known key (``verdict.signature``).
    3. Issuer and audience (``verdict.audience``).  4. Method and target (``verdict.target``).
    5. The time, within :data:`LEEWAY_SECONDS` (``verdict.time``).

    :param target: from :func:`target_of`, of the request as the API received it.
    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    jws = _parse(untrusted)
    key = keys.find(jws.kid)
    if key is None:
        _refuse(Reason.VERDICT_SIGNATURE, "expected a key of this API's gates")
    if not is_signed_by(key.key, jws.signature, jws.signing_input):
        _refuse(Reason.VERDICT_SIGNATURE, "expected a signature by the key that it names")
    verdict, expires_at = _read(jws.payload)
    if (verdict.issuer, verdict.audience) != (issuer, audience):
        _refuse(Reason.VERDICT_AUDIENCE, f"expected {audience} of {issuer}")
    if (verdict.method, verdict.target) != (method, target):
        _refuse(Reason.VERDICT_TARGET, "expected the verdict of this method, path and query")
    if not verdict.issued_at - LEEWAY_SECONDS <= now < expires_at + LEEWAY_SECONDS:
        _refuse(Reason.VERDICT_TIME, f"got a verdict made {now - verdict.issued_at:.0f} s ago")
    return verdict


def _parse(untrusted: str) -> jose.UnverifiedJws:
    try:
        return jose.parse(untrusted, VERDICT_TYPE)
    except MalformedError as error:
        raise error.as_reason(Reason.VERDICT_MALFORMED) from None


def _read(payload: bytes) -> tuple[SignedVerdict, int]:
    try:
        members = strict_json.loads(payload, MAX_TOKEN_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.VERDICT_MALFORMED) from None
    if members.keys() != _MEMBERS or type(members["iat"]) is not int:
        _malformed()
    issued_at: int = members["iat"]
    if members["exp"] != issued_at + VERDICT_LIFE_SECONDS:
        _malformed()
    texts: dict[str, Any] = {name: members[name] for name in _MEMBERS - {"iat", "exp"}}
    if not all(isinstance(text, str) for text in texts.values()):
        _malformed()
    try:
        level = Level(texts["lvl"])
    except ValueError:
        _malformed()
    verdict = SignedVerdict(
        issuer=texts["iss"],
        audience=texts["aud"],
        subject=texts["sub"],
        level=level,
        app=texts["app"],
        method=texts["htm"],
        target=texts["tgt"],
        issued_at=issued_at,
    )
    return verdict, issued_at + VERDICT_LIFE_SECONDS


def _malformed() -> NoReturn:
    raise MalformedError.because(
        Reason.VERDICT_MALFORMED, f"expected exactly {', '.join(sorted(_MEMBERS))}"
    )


def _refuse(reason: Reason, detail: str) -> NoReturn:
    raise RefusedError.because(reason, detail)
