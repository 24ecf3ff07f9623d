"""Turn what a gate bundle says into JSON and back, each member strictly."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from watchword.encoding import base64url
from watchword.gate.interface import Canary, GatePolicy, Rate, Route
from watchword.gate.references import KEY_BYTES
from watchword.gate.routes import compile_routes
from watchword.ports import VerificationKey
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.tokens.signing_key import SigningKey
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode

Content = tuple[
    GatePolicy,
    tuple[VerificationKey, ...],
    tuple[GateSecret, ...],
    frozenset[str],
    bytes,
    SigningKey,
]
"""Policy, keys, secrets, revoked subjects, reference key and verdict key."""

_POLICY: Final = {"api", "issuer", "audience", "environment", "leeway", "routes"} | {
    "replay",
    "rate",
    "binding_header",
}
_ROUTE: Final = {"name", "pattern", "methods", "level", "proof", "mode", "dpop", "max_body"} | {
    "minimum_versions",
    "canary",
}
_MAX_NUMBER: Final = 2**53
_SUBJECTS_IN_A_PIECE: Final = 1000


def content_to_json(
    policy: GatePolicy,
    keys: Iterable[VerificationKey],
    secrets: Iterable[GateSecret],
    revoked: Iterable[str],
    reference_key: bytes,
    verdict_key: SigningKey,
) -> dict[str, Any]:
    """Return the members of a bundle, secrets included."""
    return {
        "policy": _policy_to_json(policy),
        "keys": [
            {
                "kid": key.kid,
                "verify_until": key.verify_until,
                "jwk": jwk_from_public_key(key.key),
            }
            for key in keys
        ],
        "secrets": [
            {
                "epoch": each.epoch,
                "secret": base64url.encode(each.secret),
                "verify_until": each.verify_until,
            }
            for each in secrets
        ],
        "revoked": _in_pieces(sorted(revoked)),
        "reference_key": base64url.encode(reference_key),
        "verdict_key": base64url.encode(verdict_key.scalar),
    }


def content_from_json(members: Mapping[str, Any]) -> Content:
    """Return what the members of a bundle say; the caller has checked that they are all there.

    :raises ValueError, RefusedError: with what is wrong; the text quotes no secret.
    """
    return (
        _policy(members["policy"]),
        _keys(members["keys"]),
        _secrets(members["secrets"]),
        _revoked(members["revoked"]),
        _bytes(members["reference_key"], KEY_BYTES, "reference_key"),
        SigningKey.from_scalar(base64url.decode(_text(members["verdict_key"], "verdict_key"))),
    )


def _policy_to_json(policy: GatePolicy) -> dict[str, Any]:
    rate = policy.rate
    return {
        "api": policy.api,
        "issuer": policy.expectation.issuer,
        "audience": policy.expectation.audience,
        "environment": policy.expectation.environment.value,
        "leeway": policy.expectation.leeway,
        "routes": [_route_to_json(route) for route in policy.routes],
        "replay": policy.replay.value,
        "rate": None if rate is None else {"requests": rate.requests, "seconds": rate.seconds},
        "binding_header": None
        if policy.binding_header is None
        else policy.binding_header.decode("ascii"),
    }


def _route_to_json(route: Route) -> dict[str, Any]:
    canary = route.canary
    return {
        "name": route.name,
        "pattern": route.pattern,
        "methods": sorted(route.methods),
        "level": route.level.value,
        "proof": route.proof.value,
        "mode": route.mode.value,
        "dpop": route.dpop,
        "max_body": route.max_body,
        "minimum_versions": dict(route.minimum_versions),
        "canary": None
        if canary is None
        else {
            "share": canary.share,
            "from_versions": dict(canary.from_versions),
            "budget": canary.budget,
        },
    }


def _policy(value: Any) -> GatePolicy:
    members = _object(value, _POLICY, "policy")
    rate, header = members["rate"], members["binding_header"]
    if rate is not None:
        rate = _object(rate, {"requests", "seconds"}, "rate")
        rate = Rate(
            _number(rate["requests"], "requests", 1), _number(rate["seconds"], "seconds", 1)
        )
    routes = tuple(_route(each) for each in _list(members["routes"], "routes"))
    # A table that can't be compiled is refused as a whole here, where the last good one is kept.
    compile_routes(routes)
    return GatePolicy(
        api=_text(members["api"], "api"),
        expectation=TokenExpectation(
            _text(members["issuer"], "issuer"),
            _text(members["audience"], "audience"),
            Environment(members["environment"]),
            _number(members["leeway"], "leeway", 0),
        ),
        routes=routes,
        replay=ReplayMode(members["replay"]),
        rate=rate,
        binding_header=None
        if header is None
        else _text(header, "binding_header").lower().encode("ascii"),
    )


def _route(value: Any) -> Route:
    members = _object(value, _ROUTE, "each route")
    mode, canary = Mode(members["mode"]), members["canary"]
    if (mode is Mode.CANARY) is (canary is None):
        _refuse("expected canary exactly where the mode is canary")
    if type(members["dpop"]) is not bool:
        _refuse("expected dpop as true or false")
    return Route(
        name=_text(members["name"], "name"),
        pattern=_text(members["pattern"], "pattern"),
        methods=frozenset(
            _text(each, "each method") for each in _list(members["methods"], "methods")
        ),
        level=Level(members["level"]),
        proof=Proof(members["proof"]),
        mode=mode,
        dpop=members["dpop"],
        max_body=_number(members["max_body"], "max_body", 1),
        minimum_versions=_versions(members["minimum_versions"]),
        canary=None if canary is None else _canary(canary),
    )


def _canary(value: Any) -> Canary:
    members = _object(value, {"share", "from_versions", "budget"}, "canary")
    share, budget = _number(members["share"], "share", 1), members["budget"]
    if type(budget) not in {int, float} or not 0 < budget <= 100 or share > 100:
        _refuse("expected share and budget as percents")
    return Canary(share, _versions(members["from_versions"]), float(budget))


def _versions(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        _refuse("expected lowest versions by app")
    return {app: _text(version, "each version") for app, version in value.items()}


def _keys(value: Any) -> tuple[VerificationKey, ...]:
    keys = tuple(_key(each) for each in _list(value, "keys"))
    if not keys:
        _refuse("expected at least one key")
    if len({key.kid for key in keys}) != len(keys):
        _refuse("got a key id twice")
    return keys


def _key(value: Any) -> VerificationKey:
    members = _object(value, {"kid", "verify_until", "jwk"}, "each key")
    jwk = members["jwk"]
    if not isinstance(jwk, dict):
        _refuse("expected jwk as an object")
    return VerificationKey(
        _text(members["kid"], "kid"), public_key_from_jwk(jwk), _instant(members["verify_until"])
    )


def _secrets(value: Any) -> tuple[GateSecret, ...]:
    secrets = tuple(_secret(each) for each in _list(value, "secrets"))
    if len({each.epoch for each in secrets}) != len(secrets):
        _refuse("got an epoch twice")
    return secrets


def _secret(value: Any) -> GateSecret:
    members = _object(value, {"epoch", "secret", "verify_until"}, "each secret")
    return GateSecret(
        _number(members["epoch"], "epoch", 0),
        _bytes(members["secret"], SESSION_KEY_BYTES, "secret"),
        _instant(members["verify_until"]),
    )


def _in_pieces(subjects: list[str]) -> list[str]:
    """Join subjects by spaces, so many at a time.

    A third of a million strings would be read in one piece that lets no other thread run.
    """
    return [
        " ".join(subjects[start : start + _SUBJECTS_IN_A_PIECE])
        for start in range(0, len(subjects), _SUBJECTS_IN_A_PIECE)
    ]


def _revoked(value: Any) -> frozenset[str]:
    subjects: set[str] = set()
    for piece in _list(value, "revoked"):
        parts = _text(piece, "each piece of revoked").split(" ")
        if "" in parts:
            _refuse("expected one space between two revoked subjects")
        subjects.update(parts)
    return frozenset(subjects)


def _object(value: Any, names: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        _refuse(f"expected {what} with exactly {', '.join(sorted(names))}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(f"expected {what} as a list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(f"expected {what} as text")
    return value


def _number(value: Any, what: str, least: int) -> int:
    if type(value) is not int or not least <= value < _MAX_NUMBER:
        _refuse(f"expected {what} as a whole number from {least} on")
    return value


def _instant(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in {int, float}:
        _refuse("expected verify_until as a number or null")
    return float(value)


def _bytes(value: Any, count: int, what: str) -> bytes:
    data = base64url.decode(_text(value, what))
    if len(data) != count:
        _refuse(f"got {what} of {len(data)} bytes, expected {count}")
    return data


def _refuse(detail: str) -> NoReturn:
    raise ValueError(detail)
