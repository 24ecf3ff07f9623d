"""Say what the owner of a target agrees to, and sign each request of a drill so that he can tell it from an attacker's.

The owner serves a small JSON document at :data:`PATH` of the target itself.  It names one key, so that nobody else's drill is
agreed to; one origin, so that a copy of it is worth nothing elsewhere; and a day on which it ends.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NoReturn

from watchword.drill.wire import Part
from watchword.encoding import strict_json
from watchword.ports import Signer
from watchword.reasons import ExitCode, MalformedError, WatchwordError
from watchword.tokens import jose
from watchword.tokens.jose import public_key_from_jwk, thumbprint

PATH: Final = "/.well-known/watchword-drill"
"""Where a target serves its consent (RFC 8615)."""

MAX_BYTES: Final = 8 * 1024
"""Most bytes of a consent."""

MAX_RATE: Final = 50
"""Most requests a second that anybody can agree to: a drill isn't a load test."""

MAX_AHEAD: Final = timedelta(days=31)
"""Longest that a consent holds: who forgot it doesn't agree for ever."""

MAX_ATTACKS: Final = 200
"""Most attacks that one consent names."""

ALL: Final = "*"
"""Stands alone in ``attacks`` for every attack."""

RUN_HEADER: Final = "Watchword-Drill"
"""Header of each request that names the run."""

RUN_TYPE: Final = "watchword-drill+jwt"
RUN_SECONDS: Final = 600
"""How long one signature of a run holds, in seconds."""

RUN_LEEWAY: Final = 60
"""Seconds that the clocks of the drill and of the owner's logs may differ."""

_NEEDED: Final = frozenset({"v", "key", "origin", "attacks", "rate", "expires"})
_KNOWN: Final = _NEEDED | {"parts"}
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_ORIGIN: Final = re.compile(
    r"(https?)://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?"
)
_ATTACK: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_RUN: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_MAX_PORT: Final = 65535
_SHOWN: Final = 80
_OF_A_RUN: Final = {"run", "origin", "iat", "exp"}


class ConsentFault(StrEnum):
    """Name what is wrong with a consent, or with what a run says of itself."""

    UNSERVED = "unserved"
    DOCUMENT = "document"
    ORIGIN = "origin"
    KEY = "key"
    PART = "part"
    ATTACK = "attack"
    EXPIRED = "expired"
    TOO_FAR = "too-far"
    NO_KEY = "no-key"
    SIGNATURE = "signature"


class ConsentError(WatchwordError):
    """Report that a target doesn't agree to a drill: what was got, what was expected, and what to do."""

    exit_code = ExitCode.USAGE

    def __init__(self, fault: ConsentFault, where: str, got: str, expected: str, todo: str) -> None:
        self.fault = fault
        super().__init__(f"{where}: got {got}, expected {expected}; {todo}")


@dataclass(frozen=True, slots=True)
class Consent:
    """Hold a consent as it was read; it has been compared with nothing.

    :param key: RFC 7638 thumbprint of the drill's public key.
    :param origin: ``scheme://host[:port]``, in lower case, a default port left out.
    :param attacks: ids of attacks, None for all.
    :param rate: most requests a second, 1 to :data:`MAX_RATE`.
    :param expires: aware, in UTC.
    """

    key: str
    origin: str
    attacks: frozenset[str] | None
    rate: int
    expires: datetime
    parts: frozenset[Part] = frozenset({Part.GATE})


@dataclass(frozen=True, slots=True)
class Permission:
    """Hold what was agreed to for one part of one target, after every check.

    :param attacks: None for all.
    """

    origin: str
    part: Part
    attacks: frozenset[str] | None
    rate: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """Hold what a request says of the run that sent it, after its signature held; times are seconds since 1970."""

    run: str
    origin: str
    iat: int
    exp: int


def read_consent(data: bytes) -> Consent:
    """Return the consent in a document: strict JSON, at most :data:`MAX_BYTES`, no member that isn't known.

    :raises ConsentError: with :attr:`ConsentFault.DOCUMENT`.
    """
    try:
        members = strict_json.loads(data, MAX_BYTES)
    except MalformedError as error:
        _broken("the document", error.detail, "one JSON object of at most 8 KiB")
    for name in sorted(_NEEDED - members.keys()):
        _broken(name, "nothing", "it to be there")
    for name in sorted(members.keys() - _KNOWN):
        _broken(_shown(name), "an unknown member", ", ".join(sorted(_KNOWN)))
    if type(members["v"]) is not int or members["v"] != 1:
        _broken("v", _shown(members["v"]), "1")
    rate = members["rate"]
    if type(rate) is not int or not 1 <= rate <= MAX_RATE:
        _broken("rate", _shown(rate), f"a whole number of requests a second, 1 to {MAX_RATE}")
    return Consent(
        key=_text(members, "key", _KEY, "the thumbprint of the drill's key, 43 characters"),
        origin=_origin(members["origin"]),
        attacks=_attacks(members["attacks"]),
        rate=rate,
        expires=_time(members["expires"]),
        parts=_parts(members["parts"]) if "parts" in members else frozenset({Part.GATE}),
    )


def written_consent(consent: Consent) -> bytes:
    """Return the document that says this, as :func:`read_consent` reads it, for people and machines.

    :raises ConsentError: as :func:`read_consent` does, when it couldn't be read again.
    """
    attacks = [ALL] if consent.attacks is None else sorted(consent.attacks)
    members = {
        "v": 1,
        "key": consent.key,
        "origin": consent.origin,
        "attacks": attacks,
        "rate": consent.rate,
        "expires": consent.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "parts": [part.value for part in Part if part in consent.parts],
    }
    lines = (f"  {_json(name)}: {_json(value)}" for name, value in members.items())
    data = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    read_consent(data)
    return data


def allowed(
    consent: Consent, origin: str, thumbprint: str, part: Part, now: datetime
) -> Permission:
    """Return what a consent permits at ``now`` to a drill with this key against one part at this origin.

    1. The origin is compared as a whole: a copied document agrees to nothing elsewhere, not even at another port.
    2. The key is the one that signs the run.
    3. The part is named.
    4. It hasn't expired, and ends within :data:`MAX_AHEAD`.

    :param origin: of the target that served the document.
    :param thumbprint: of the drill's key (RFC 7638).
    :param now: aware.
    :raises ConsentError: with what to change in which document.
    """
    where = f"{origin}{PATH}"
    if consent.origin != origin:
        raise ConsentError(
            ConsentFault.ORIGIN,
            f"{where}: origin",
            consent.origin,
            origin,
            "the owner of this target serves a document of its own here",
        )
    if consent.key != thumbprint:
        raise ConsentError(
            ConsentFault.KEY,
            f"{where}: key",
            consent.key,
            thumbprint,
            "drill with the key that the owner agreed to (--key), or have him name this one",
        )
    if part not in consent.parts:
        parts = ", ".join(sorted(consent.parts))
        raise ConsentError(
            ConsentFault.PART,
            f"{where}: parts",
            parts,
            f"{part} among them",
            f"the owner adds it (watchword drill consent --part {part}), or leave this part out",
        )
    expires = consent.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    todo = "the owner serves a new document (watchword drill consent --expires 7d)"
    if consent.expires <= now:
        raise ConsentError(
            ConsentFault.EXPIRED, f"{where}: expires", expires, "a time to come", todo
        )
    if consent.expires - now > MAX_AHEAD:
        days = f"at most {MAX_AHEAD.days} days ahead"
        raise ConsentError(ConsentFault.TOO_FAR, f"{where}: expires", expires, days, todo)
    return Permission(origin, part, consent.attacks, consent.rate, consent.expires)


def refuse_unlisted(permission: Permission, wanted: Collection[str]) -> None:
    """Refuse attacks that weren't agreed to.

    :raises ConsentError: with :attr:`ConsentFault.ATTACK`.
    """
    if permission.attacks is None:
        return
    missing = sorted(set(wanted) - permission.attacks)
    if missing:
        raise ConsentError(
            ConsentFault.ATTACK,
            f"{permission.origin}{PATH}: attacks",
            ", ".join(sorted(permission.attacks)),
            ", ".join(missing) + " among them",
            "the owner adds them (watchword drill consent --attacks ...), or leave them out",
        )


def sign_run(signer: Signer, *, run: str, origin: str, now: float) -> str:
    """Return the value of :data:`RUN_HEADER`: a compact JWS (RFC 7515) that holds for :data:`RUN_SECONDS`.

    It opens nothing and grants nothing; whoever sees it can copy it until it ends.

    :param run: id of the run, 8 to 64 characters of base64url.
    :param origin: of the target; a header that was copied names where it was meant for.
    :param now: seconds since 1970.
    :raises ValueError: for another run id.
    """
    if _RUN.fullmatch(run) is None:
        raise ValueError("expected a run id of 8 to 64 characters of base64url")
    iat = int(now)
    claims = {"run": run, "origin": origin, "iat": iat, "exp": iat + RUN_SECONDS}
    return jose.assemble(strict_json.dumps(claims), RUN_TYPE, signer)


def verify_run(
    header: str, jwk: Mapping[str, Any], now: float, *, origin: str | None = None
) -> Run:
    """Return what a request of a drill says of its run: for the owner, who finds it in a log.

    :param header: untrusted.
    :param jwk: the drill's public key, which the owner's consent names.
    :param now: seconds since 1970 when the request came in.
    :param origin: that it came in at; a header that was meant for another is refused.
    :raises ConsentError: with :attr:`ConsentFault.SIGNATURE`.
    :raises MalformedError: with ``statement.key`` when ``jwk`` isn't a key on P-256.
    """
    public = public_key_from_jwk(jwk)
    try:
        parts = jose.parse(header, RUN_TYPE)
    except MalformedError as error:
        _unsigned(error.detail, f"a compact JWS of type {RUN_TYPE}")
    if parts.kid != thumbprint(jwk):
        _unsigned(f"key {_shown(parts.kid)}", thumbprint(jwk))
    if not jose.is_signed_by(public, parts.signature, parts.signing_input):
        _unsigned("a signature that doesn't hold", "one by this key")
    run = _run(parts.payload)
    if origin is not None and run.origin != origin:
        _unsigned(f"origin {_shown(run.origin)}", origin)
    if not run.iat - RUN_LEEWAY <= now <= run.exp + RUN_LEEWAY:
        _unsigned(f"iat {run.iat} and exp {run.exp}", f"a time around {int(now)}")
    return run


def _run(payload: bytes) -> Run:
    """Return the claims of a payload whose signature holds."""
    try:
        claims = strict_json.loads(payload, MAX_BYTES)
    except MalformedError as error:
        _unsigned(error.detail, "claims")
    if claims.keys() != _OF_A_RUN:
        _unsigned("other claims", ", ".join(sorted(_OF_A_RUN)))
    run, origin, iat, exp = (claims[name] for name in ("run", "origin", "iat", "exp"))
    if not isinstance(run, str) or _RUN.fullmatch(run) is None or not isinstance(origin, str):
        _unsigned("a run or an origin that can't be read", "texts")
    if type(iat) is not int or type(exp) is not int or not 0 < exp - iat <= RUN_SECONDS:
        _unsigned(
            f"iat {_shown(iat)} and exp {_shown(exp)}", f"at most {RUN_SECONDS} s between them"
        )
    return Run(run, origin, iat, exp)


def _text(members: Mapping[str, Any], name: str, pattern: re.Pattern[str], expected: str) -> str:
    value = members[name]
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        _broken(name, _shown(value), expected)
    return value


def _origin(value: Any) -> str:
    expected = "scheme://host[:port], in lower case, a default port left out, nothing behind it"
    found = _ORIGIN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        _broken("origin", _shown(value), expected)
    scheme, port = found[1], found[3]
    if port is not None and (port == _DEFAULT_PORTS[scheme] or int(port) > _MAX_PORT):
        _broken("origin", _shown(value), expected)
    return found[0]


def _attacks(value: Any) -> frozenset[str] | None:
    expected = f'["{ALL}"], or 1 to {MAX_ATTACKS} different ids of attacks'
    if value == [ALL]:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ATTACKS:
        _broken("attacks", _shown(value), expected)
    for each in value:
        if not isinstance(each, str) or _ATTACK.fullmatch(each) is None:
            _broken("attacks", _shown(each), expected)
    found = frozenset(value)
    if len(found) != len(value):
        _broken("attacks", "one twice", expected)
    return found


def _parts(value: Any) -> frozenset[Part]:
    known = {part.value: part for part in Part}
    expected = "some of " + ", ".join(known)
    if not isinstance(value, list) or not 1 <= len(value) <= len(known):
        _broken("parts", _shown(value), expected)
    for each in value:
        if not isinstance(each, str) or each not in known:
            _broken("parts", _shown(each), expected)
    found = frozenset(known[each] for each in value)
    if len(found) != len(value):
        _broken("parts", "one twice", expected)
    return found


def _time(value: Any) -> datetime:
    expected = "a time in UTC such as 2026-12-01T12:00:00Z"
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        _broken("expires", _shown(value), expected)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        _broken("expires", _shown(value), expected)


def _json(value: Any) -> str:
    return strict_json.dumps(value).decode()


def _shown(value: Any) -> str:
    """Return a stranger's value as a line of ASCII that isn't long."""
    text = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _broken(where: str, got: str, expected: str) -> NoReturn:
    raise ConsentError(
        ConsentFault.DOCUMENT,
        where,
        got,
        expected,
        "`watchword drill consent` writes such a document",
    )


def _unsigned(got: str, expected: str) -> NoReturn:
    raise ConsentError(
        ConsentFault.SIGNATURE,
        RUN_HEADER,
        got,
        expected,
        "this request isn't known to be of that drill: treat it as any stranger's",
    )
