"""Check a statement as far as that costs no signature: its form, issuer, app, audiences and challenge.

Every call of an instance shares this: what one of them refuses here, none lets pass.

A challenge needs no row until it is used (protocol, section 2).  Layout, 57 bytes: version (1), expiry in seconds since
1970 (8, big endian), nonce (16), HMAC-SHA256 (32) over a label, those 25 bytes, and the issuer, app and purpose, each with
its length in front, so that no two triples give the same input.

Version 1 is asked for.  Version 2 comes with tokens, for the next renewal: its code covers the instance too, it lives as
long as those tokens, and its nonce begins with the instant at which it was made (8 bytes, microseconds since 1970), so
that the store can refuse one that is older than the newest renewal.

A used challenge is a row in the store.  A store that was restored from a backup doesn't know the uses since then, and a
clock that ran ahead had uses forgotten that are needed once it is set right.  Any challenge whose use may have been
forgotten is refused: by the epoch that its code covers, and by its expiry.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from watchword.attestation.interface import AppRegistration
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.encoding.phrases import moment
from watchword.enrolment.interface import (
    CHALLENGE_SECONDS,
    MAX_STATEMENT_BYTES,
    EnrolmentPolicy,
    EvidenceVerifier,
    Statement,
)
from watchword.ports import ChallengeUse, Entropy, Instance
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Environment, Proof, Purpose

MAX_CHALLENGE_BYTES = 64
"""Most bytes of a challenge of any version (protocol, section 2)."""

_VERSION = b"\x01"
_NEXT_VERSION = b"\x02"
_NONCE_BYTES = 16
_INSTANT_BYTES = 8
_BODY_BYTES = 1 + 8 + _NONCE_BYTES
_MAC_BYTES = 32
_CHALLENGE_LABEL = b"watchword/challenge/v1\0"
_NEXT_LABEL = b"watchword/challenge/v2\0"
_LOGGED_LABEL = b"watchword/challenge/v2 in a log\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_challenge(
    *,
    app: str,
    purpose: Purpose,
    issuer: str,
    key: bytes,
    now: datetime,
    entropy: Entropy,
    nonce: bytes | None = None,
) -> bytes:
    """Return a challenge for one app and purpose that lives :data:`CHALLENGE_SECONDS`.

    :param key: the service's challenge key, at least 32 bytes.
    :param nonce: 16 bytes that nobody else can make; None for fresh ones.
    """
    expiry = int(now.timestamp()) + CHALLENGE_SECONDS
    body = _VERSION + expiry.to_bytes(8, "big") + (nonce or entropy.token_bytes(_NONCE_BYTES))
    return body + _mac(body, app, purpose, issuer, key)


def make_next_challenge(
    *,
    app: str,
    instance: str,
    life: int,
    issuer: str,
    key: bytes,
    now: datetime,
    entropy: Entropy,
    label: bytes = _NEXT_LABEL,
) -> bytes:
    """Return a challenge for the next renewal of one instance.

    :param life: seconds that it lives: as long as the longest token beside it.
    :param key: the service's challenge key, at least 32 bytes.
    :param label: tells challenges apart whose uses are kept in different places.
    """
    expiry = int(now.timestamp()) + life
    made_at = (now - _EPOCH) // timedelta(microseconds=1)
    nonce = made_at.to_bytes(_INSTANT_BYTES, "big")
    nonce += entropy.token_bytes(_NONCE_BYTES - _INSTANT_BYTES)
    body = _NEXT_VERSION + expiry.to_bytes(8, "big") + nonce
    return body + _mac(body, app, Purpose.RENEW, issuer, key, (label, instance))


def check_challenge(
    challenge: bytes,
    *,
    app: str,
    purpose: Purpose,
    issuer: str,
    key: bytes,
    now: datetime,
    instance: str | None = None,
    next_label: bytes = _NEXT_LABEL,
) -> ChallengeUse:
    """Return the one use that this challenge is good for; the caller still must record it.

    The code is checked before the expiry is read: an expiry that we didn't write means nothing.

    :param instance: the id of the instance that says it renews; None for every other call.
    :param next_label: as for :func:`make_next_challenge`.
    :raises MalformedError: ``challenge.malformed``.
    :raises RefusedError: ``challenge.unknown`` when it isn't ours or is for another app, purpose, issuer
        or instance (which can't be told apart), ``challenge.expired``.
    """
    version = challenge[:1]
    if len(challenge) != _BODY_BYTES + _MAC_BYTES or version not in {_VERSION, _NEXT_VERSION}:
        raise MalformedError.because(
            Reason.CHALLENGE_MALFORMED,
            f"got {len(challenge)} bytes, expected {_BODY_BYTES + _MAC_BYTES} of version 1 or 2",
        )
    body, code = challenge[:_BODY_BYTES], challenge[_BODY_BYTES:]
    is_next = version == _NEXT_VERSION
    whom = (next_label, instance) if is_next and instance is not None else None
    expected = _mac(body, app, purpose, issuer, key, whom)
    if not hmac.compare_digest(code, expected):
        whose = " for this instance" if is_next else ""
        raise RefusedError.because(
            Reason.CHALLENGE_UNKNOWN,
            f"expected one that was made here for app {app} and purpose {purpose.value}{whose}",
        )
    expiry = int.from_bytes(body[1:9], "big")
    age = now.timestamp() - expiry
    if age >= 0:
        raise RefusedError.because(Reason.CHALLENGE_EXPIRED, f"it expired {age:.0f} s ago")
    made_at = None
    if is_next:
        instant = int.from_bytes(body[9 : 9 + _INSTANT_BYTES], "big")
        made_at = _EPOCH + timedelta(microseconds=instant)
    return ChallengeUse(body[9:], _EPOCH + timedelta(seconds=expiry), made_at)


def _mac(
    body: bytes,
    app: str,
    purpose: Purpose,
    issuer: str,
    key: bytes,
    whom: tuple[bytes, str] | None = None,
) -> bytes:
    """Return the code of a challenge.

    :param whom: the label and the instance of one that came with tokens.
    """
    parts = [issuer.encode(), app.encode(), purpose.value.encode()]
    label = _CHALLENGE_LABEL
    if whom is not None:
        label, instance = whom
        parts.append(instance.encode())
    return hmac.digest(key, label + body + length_prefixed.join(*parts), "sha256")


_CHALLENGES_LABEL: Final = b"watchword/challenge-epoch/v1\0"


class ChallengeEpochs(Protocol):
    """Know which of the service's challenges count; outside of the store, and only ever growing."""

    @property
    def number(self) -> int:
        """Return the epoch whose challenges count: 0 or more, below 2**63."""

    @property
    def forgotten(self) -> int:
        """Return up to which expiry, in seconds since 1970, uses in this epoch may have been forgotten."""

    def begin(self, now: datetime) -> None:
        """Begin another epoch, in which nothing was forgotten; challenges of earlier ones count no more."""


@dataclass(frozen=True, slots=True)
class OneEpoch:
    """Implement :class:`ChallengeEpochs` where nothing is ever forgotten or put back."""

    number: int = 0
    forgotten: int = 0

    def begin(self, now: datetime) -> None:
        """Do nothing."""


class Challenges:
    """Make challenges and check them."""

    def __init__(
        self, issuer: str, key: bytes, epochs: ChallengeEpochs, *, logged: bool = False
    ) -> None:
        """Keep the key; nothing is made yet.

        :param key: the service's challenge key, at least 32 bytes.
        :param logged: whether uses of challenges that come with tokens are kept in the store's log alone.  Then they count only
            where that log is asked: whoever turns it off or on makes strangers of those that are out.
        """
        self._issuer = issuer
        self._key = key
        self._epochs = epochs
        self._next_label = _LOGGED_LABEL if logged else _NEXT_LABEL

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "Challenges(...)"

    def make(
        self,
        app: str,
        purpose: Purpose,
        now: datetime,
        entropy: Entropy,
        nonce: bytes | None = None,
    ) -> bytes:
        """Return a fresh challenge, with a nonce of its own or the one that a place in the line has.

        A clock that was set back behind what was forgotten begins another epoch: nothing that is
        made now could be used in the old one, and until the clock has caught up nobody could enrol.
        """
        if int(now.timestamp()) + CHALLENGE_SECONDS < self._epochs.forgotten:
            self._epochs.begin(now)
        key = epoch_key(self._key, self._epochs.number)
        return make_challenge(
            app=app,
            purpose=purpose,
            issuer=self._issuer,
            key=key,
            now=now,
            entropy=entropy,
            nonce=nonce,
        )

    def make_next(
        self, app: str, instance: str, life: int, now: datetime, entropy: Entropy
    ) -> bytes:
        """Return a challenge for the next renewal of an instance, which lives for ``life`` seconds."""
        return make_next_challenge(
            app=app,
            instance=instance,
            life=life,
            issuer=self._issuer,
            key=epoch_key(self._key, self._epochs.number),
            now=now,
            entropy=entropy,
            label=self._next_label,
        )

    def check(
        self,
        made: bytes,
        app: str,
        purpose: Purpose,
        now: datetime,
        instance: str | None = None,
    ) -> ChallengeUse:
        """Return the one use that a challenge is good for; the caller still must record it.

        :param instance: as for :func:`check_challenge`.
        :raises MalformedError: ``challenge.malformed``.
        :raises RefusedError: as :func:`check_challenge` does; one of an earlier epoch is
            ``challenge.unknown``, and ``challenge.expired`` is also one whose use may have been forgotten.
        """
        key = epoch_key(self._key, self._epochs.number)
        use = check_challenge(
            made,
            app=app,
            purpose=purpose,
            issuer=self._issuer,
            key=key,
            now=now,
            instance=instance,
            next_label=self._next_label,
        )
        if use.expires_at.timestamp() < self._epochs.forgotten:
            raise RefusedError.because(
                Reason.CHALLENGE_EXPIRED,
                "the clock was set back, and nobody knows any more whether it was used",
            )
        return use


@lru_cache(maxsize=8)
def epoch_key(key: bytes, number: int) -> bytes:
    """Return the key of one epoch's challenges, which says nothing of any other's.

    The first epoch has the service's key itself, so that the vectors of the protocol need no epoch.
    """
    return (
        hmac.digest(key, _CHALLENGES_LABEL + number.to_bytes(8, "big"), "sha256") if number else key
    )


def require_proof_key(statement: Statement, *, is_stated: bool) -> None:
    """Refuse a proof key where the attested key is the proof key, and its absence elsewhere.

    See docs/adr/0002: on Android the attestation challenge is fixed before the key exists.
    """
    if not is_stated and statement.proof_jwk is not None:
        raise RefusedError.because(
            Reason.STATEMENT_KEY, "expected no proof_jwk: the attested key is the proof key"
        )
    if is_stated and statement.proof_jwk is None:
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected a proof_jwk")


def require_alive(instance: Instance, environment: Environment, now: datetime) -> None:
    """Refuse an instance that was revoked, that ended, or that is a lab's in production.

    :raises RefusedError: ``instance.revoked``, ``instance.expired``, ``instance.test``.
    """
    if instance.revoked_at is not None:
        raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")
    if instance.expires_at is not None:
        if now >= instance.expires_at:
            raise RefusedError.because(
                Reason.INSTANCE_EXPIRED, f"it ended at {moment(instance.expires_at)}"
            )
    elif instance.test and environment is not Environment.LAB:
        # A simulated vendor vouched for it, in a lab that kept its instances here: anybody
        # with the lab's files has its key.  One with an end was let in by an operator here.
        raise RefusedError.because(
            Reason.INSTANCE_TEST, "got an instance of the lab, expected a real device's"
        )


def require_higher(counter: int, known: int) -> None:
    """Refuse a counter that stayed or fell: somebody copied the key, or sent something again.

    :raises RefusedError: ``instance.counter``.
    """
    if counter <= known:
        raise RefusedError.because(
            Reason.INSTANCE_COUNTER, f"got {counter}, expected more than {known}"
        )


def require_same(instance: Instance, statement: Statement) -> None:
    """Refuse a renewal that wants something else than what the instance enrolled with."""
    if statement.app != instance.app:
        raise RefusedError.because(Reason.INSTANCE_APP, f"expected app {instance.app}")
    if not set(instance.audiences).issuperset(statement.audiences):
        raise RefusedError.because(
            Reason.STATEMENT_AUDIENCE, "expected audiences that the instance enrolled for"
        )
    if statement.proof_jwk is not None and dict(statement.proof_jwk) != dict(instance.proof_jwk):
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected the enrolled proof_jwk")
    if dict(statement.seal_jwk) != dict(instance.seal_jwk):
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected the enrolled seal_jwk")


MAX_AUDIENCES = 16
"""Most audiences of one statement: each costs a signature."""

MAX_NAME_CHARACTERS = 256
"""Most characters of an issuer, an audience or an app id."""

MAX_BND_CHARACTERS = 128
"""Most characters of ``bnd``, which goes into every token."""

PURPOSES: Final = ", ".join(purpose.value for purpose in Purpose)
"""The purposes that there are, for the text of a refusal."""

SECRET_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
"""What the name of a secret looks like."""

_REQUIRED = {"v", "purpose", "iss", "aud", "app", "challenge", "seal_jwk"}
_OPTIONAL = {"proof_jwk", "bnd"}
_OF_PURPOSE = {Purpose.SECRET: {"secret"}}
"""Members that a statement has with this purpose, and with no other."""

_OPTIONAL_OF_PURPOSE = {Purpose.ENROL: {"prf"}, Purpose.RENEW: {"prf"}}
"""Members that a statement may have with this purpose, and with no other."""

_X25519_BYTES = 32


def read_statement(raw: bytes) -> Statement:
    """Return what a statement says; whether that is true or wanted is for the caller.

    :param raw: the bytes as received; their SHA-256 is the binding, nothing is written anew.
    :raises MalformedError: ``statement.malformed``, ``statement.version``, ``statement.purpose``,
        ``statement.audience``, ``statement.key``, ``challenge.malformed``.
    """
    try:
        members = strict_json.loads(raw, MAX_STATEMENT_BYTES)
    except MalformedError as error:
        _refuse(Reason.STATEMENT_MALFORMED, error.detail)
    if type(members.get("v")) is not int or members["v"] != 1:
        _refuse(Reason.STATEMENT_VERSION, "expected the member v with the number 1")
    required, optional = _REQUIRED, _OPTIONAL
    if "purpose" in members:
        purpose = _purpose(members["purpose"])
        required = _REQUIRED | _OF_PURPOSE.get(purpose, set())
        optional = _OPTIONAL | _OPTIONAL_OF_PURPOSE.get(purpose, set())
    # Names of unknown members are the sender's text; only their number is told.
    missing, unknown = required - members.keys(), members.keys() - required - optional
    if missing or unknown:
        _refuse(
            Reason.STATEMENT_MALFORMED,
            f"got {len(unknown)} unknown members, missing: {', '.join(sorted(missing)) or 'none'}",
        )
    proof_jwk = members.get("proof_jwk")
    if "proof_jwk" in members:
        proof_jwk = _p256_jwk(proof_jwk, "proof_jwk")
    return Statement(
        purpose=_purpose(members["purpose"]),
        issuer=_text(members["iss"], "iss", MAX_NAME_CHARACTERS),
        audiences=_audiences(members["aud"]),
        app=_text(members["app"], "app", MAX_NAME_CHARACTERS),
        challenge=_challenge(members["challenge"]),
        proof_jwk=proof_jwk,
        seal_jwk=_seal_jwk(members["seal_jwk"]),
        bnd=_text(members["bnd"], "bnd", MAX_BND_CHARACTERS) if "bnd" in members else None,
        raw=raw,
        binding=hashlib.sha256(raw).digest(),
        secret=_secret(members["secret"]) if "secret" in members else None,
        device_for_session=_prf(members["prf"]) if "prf" in members else False,
    )


def _purpose(value: Any) -> Purpose:
    try:
        return Purpose(value)
    except ValueError:
        _refuse(Reason.STATEMENT_PURPOSE, f"expected one of: {PURPOSES}")


def _prf(value: Any) -> bool:
    if value != Proof.DEVICE.value:
        _refuse(Reason.STATEMENT_MALFORMED, f"expected prf to be {Proof.DEVICE.value}")
    return True


def _secret(value: Any) -> str:
    if not isinstance(value, str) or not SECRET_NAME.fullmatch(value):
        _refuse(Reason.STATEMENT_MALFORMED, "expected secret of 1 to 64 of a to z, 0 to 9 and -")
    return value


def _text(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        _refuse(Reason.STATEMENT_MALFORMED, f"expected {name} of 1 to {limit} characters")
    return value


def _audiences(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_AUDIENCES:
        _refuse(Reason.STATEMENT_AUDIENCE, f"expected a list of 1 to {MAX_AUDIENCES} audiences")
    audiences = tuple(_text(each, "each aud", MAX_NAME_CHARACTERS) for each in value)
    if len(set(audiences)) != len(audiences):
        _refuse(Reason.STATEMENT_AUDIENCE, "got an audience twice")
    return audiences


def _challenge(value: Any) -> bytes:
    try:
        challenge = base64url.decode(value) if isinstance(value, str) else b""
    except MalformedError:
        challenge = b""
    if not 0 < len(challenge) <= MAX_CHALLENGE_BYTES:
        _refuse(
            Reason.CHALLENGE_MALFORMED, f"expected base64url of 1 to {MAX_CHALLENGE_BYTES} bytes"
        )
    return challenge


def _p256_jwk(value: Any, name: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        _refuse(Reason.STATEMENT_KEY, f"expected {name} to be a JWK")
    public_key_from_jwk(value)
    return value


def _seal_jwk(value: Any) -> Mapping[str, str]:
    """Return a P-256 or X25519 public key (RFC 8037 section 2)."""
    if not isinstance(value, dict) or value.get("kty") != "OKP":
        return _p256_jwk(value, "seal_jwk")
    if value.keys() != {"kty", "crv", "x"} or value["crv"] != "X25519":
        _refuse(Reason.STATEMENT_KEY, "expected seal_jwk with exactly kty OKP, crv X25519 and x")
    try:
        x = base64url.decode(value["x"]) if isinstance(value["x"], str) else b""
    except MalformedError:
        x = b""
    if len(x) != _X25519_BYTES:
        _refuse(Reason.STATEMENT_KEY, f"expected seal_jwk.x of {_X25519_BYTES} bytes")
    return value


def _refuse(reason: Reason, detail: str) -> NoReturn:
    raise MalformedError.because(reason, detail)


class Received(NamedTuple):
    """Hold a statement that is for us, and the one use of its challenge, which isn't recorded yet."""

    statement: Statement
    app: AppRegistration
    use: ChallengeUse


def require_app(policy: EnrolmentPolicy, name: str) -> AppRegistration:
    """Return the app of this name.

    :raises RefusedError: ``statement.app_unknown``.
    """
    app = policy.apps.get(name)
    if app is None:
        raise RefusedError.because(
            Reason.STATEMENT_APP_UNKNOWN, f"expected one of: {', '.join(sorted(policy.apps))}"
        )
    return app


class StatementValidator:
    """Carry out the first steps of every call that brings a statement."""

    def __init__(
        self,
        policy: EnrolmentPolicy,
        verifier: EvidenceVerifier,
        challenge_key: bytes,
        epochs: ChallengeEpochs | None = None,
        *,
        logged: bool = False,
    ) -> None:
        """Keep what statements are compared with; nothing is asked yet.

        :param epochs: which challenges count; None where the store is never put back.
        :param logged: as for :class:`Challenges`.
        """
        self._policy = policy
        self._verifier = verifier
        self.challenges = Challenges(
            policy.issuer, challenge_key, epochs or OneEpoch(), logged=logged
        )

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "StatementValidator(...)"

    def validate(
        self,
        statement_bytes: bytes,
        evidence: Mapping[str, Any],
        purpose: Purpose,
        now: datetime,
        instance: str | None = None,
    ) -> Received:
        """Return a statement that was made for this issuer, a known app and this purpose, with a fresh challenge of ours.

        :param evidence: only its format is looked at: it says whether the statement has to bring a proof key.
        :param instance: the id of the instance that says it renews, for the challenge that came with its tokens.
        :raises RefusedError: with the reason of the first check that failed.
        """
        statement = read_statement(statement_bytes)
        if statement.purpose is not purpose:
            raise RefusedError.because(
                Reason.STATEMENT_PURPOSE,
                f"got {statement.purpose.value}, expected {purpose.value}",
            )
        if statement.issuer != self._policy.issuer:
            raise RefusedError.because(
                Reason.STATEMENT_ISSUER, f"expected the issuer {self._policy.issuer}"
            )
        app = require_app(self._policy, statement.app)
        open_to_it = self._policy.audiences.get(app.id, frozenset())
        if not open_to_it.issuperset(statement.audiences):
            raise RefusedError.because(
                Reason.STATEMENT_AUDIENCE,
                f"expected audiences out of: {', '.join(sorted(open_to_it)) or 'none'}",
            )
        is_stated = self._verifier.states_proof_key(evidence, app)
        require_proof_key(statement, is_stated=is_stated)
        use = self.challenges.check(statement.challenge, app.id, purpose, now, instance)
        return Received(statement, app, use)
