"""Turn what a gate bundle says into JSON and back, each member strictly."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from watchword.broker.interface import CanaryWatch, LentValue
from watchword.encoding import base64url
from watchword.gate.bundle_lending import (
    canaries_from_json,
    canaries_to_json,
    edges_from_json,
    edges_to_json,
    lent_from_json,
    lent_to_json,
    limits_from_json,
    limits_to_json,
)
from watchword.gate.bundle_values import (
    a_list,
    a_number,
    a_text,
    an_instant,
    an_object,
    refuse,
    some_bytes,
)
from watchword.gate.interface import Canary, GatePolicy, Rate, Route
from watchword.gate.references import KEY_BYTES
from watchword.ports import VerificationKey
from watchword.tokens.es256 import SigningKey
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode

Content = tuple[
    GatePolicy,
    tuple[VerificationKey, ...],
    tuple[GateSecret, ...],
    frozenset[str],
    bytes,
    SigningKey,
    Mapping[str, LentValue],
    CanaryWatch | None,
]
"""Policy, keys, secrets, revoked subjects, reference key, verdict key, lent values, canaries."""

_POLICY: Final = {"api", "issuer", "audience", "environment", "leeway", "routes"} | {
    "replay",
    "rate",
    "binding_header",
    "limits",
    "edges",
}
_ROUTE: Final = {"name", "pattern", "methods", "level", "proof", "mode", "dpop", "max_body"} | {
    "minimum_versions",
    "canary",
    "secret",
}
_SENSITIVE: Final = "sensitive"
_SUBJECTS_IN_A_PIECE: Final = 1000


def content_to_json(
    policy: GatePolicy,
    keys: Iterable[VerificationKey],
    secrets: Iterable[GateSecret],
    revoked: Iterable[str],
    reference_key: bytes,
    verdict_key: SigningKey,
    lent: Mapping[str, LentValue],
    canaries: CanaryWatch | None,
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
        "lent": lent_to_json(lent),
        "canaries": canaries_to_json(canaries),
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
        some_bytes(members["reference_key"], KEY_BYTES, "reference_key"),
        SigningKey.from_scalar(base64url.decode(a_text(members["verdict_key"], "verdict_key"))),
        lent_from_json(members["lent"]),
        canaries_from_json(members["canaries"]),
    )


def _policy_to_json(policy: GatePolicy) -> dict[str, Any]:
    rate = policy.rate
    # Left out where it says nothing, so that gates which don't know it read all other tables.
    case = {"case": _SENSITIVE} if policy.case_sensitive else {}
    return {
        **case,
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
        "limits": limits_to_json(policy.limits),
        "edges": edges_to_json(policy.edges),
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
        "secret": route.secret,
    }


def _policy(value: Any) -> GatePolicy:
    told = isinstance(value, dict) and "case" in value
    members = an_object(value, _POLICY | {"case"} if told else _POLICY, "policy")
    if told and members["case"] != _SENSITIVE:
        refuse(f"expected case as {_SENSITIVE}, or not at all")
    rate, header = members["rate"], members["binding_header"]
    if rate is not None:
        rate = an_object(rate, {"requests", "seconds"}, "rate")
        rate = Rate(
            a_number(rate["requests"], "requests", 1), a_number(rate["seconds"], "seconds", 1)
        )
    routes = tuple(_route(each) for each in a_list(members["routes"], "routes"))
    return GatePolicy(
        api=a_text(members["api"], "api"),
        expectation=TokenExpectation(
            a_text(members["issuer"], "issuer"),
            a_text(members["audience"], "audience"),
            Environment(members["environment"]),
            a_number(members["leeway"], "leeway", 0),
        ),
        routes=routes,
        replay=ReplayMode(members["replay"]),
        rate=rate,
        binding_header=None
        if header is None
        else a_text(header, "binding_header").lower().encode("ascii"),
        limits=limits_from_json(members["limits"]),
        edges=edges_from_json(members["edges"]),
        case_sensitive=told,
    )


def _route(value: Any) -> Route:
    members = an_object(value, _ROUTE, "each route")
    mode, canary = Mode(members["mode"]), members["canary"]
    if (mode is Mode.CANARY) is (canary is None):
        refuse("expected canary exactly where the mode is canary")
    if type(members["dpop"]) is not bool:
        refuse("expected dpop as true or false")
    return Route(
        name=a_text(members["name"], "name"),
        pattern=a_text(members["pattern"], "pattern"),
        methods=frozenset(
            a_text(each, "each method") for each in a_list(members["methods"], "methods")
        ),
        level=Level(members["level"]),
        proof=Proof(members["proof"]),
        mode=mode,
        dpop=members["dpop"],
        max_body=a_number(members["max_body"], "max_body", 1),
        minimum_versions=_versions(members["minimum_versions"]),
        canary=None if canary is None else _canary(canary),
        secret=None if members["secret"] is None else a_text(members["secret"], "secret"),
    )


def _canary(value: Any) -> Canary:
    members = an_object(value, {"share", "from_versions", "budget"}, "canary")
    share, budget = a_number(members["share"], "share", 1), members["budget"]
    if type(budget) not in {int, float} or not 0 < budget <= 100 or share > 100:
        refuse("expected share and budget as percents")
    return Canary(share, _versions(members["from_versions"]), float(budget))


def _versions(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        refuse("expected lowest versions by app")
    return {app: a_text(version, "each version") for app, version in value.items()}


def _keys(value: Any) -> tuple[VerificationKey, ...]:
    keys = tuple(_key(each) for each in a_list(value, "keys"))
    if not keys:
        refuse("expected at least one key")
    if len({key.kid for key in keys}) != len(keys):
        refuse("got a key id twice")
    return keys


def _key(value: Any) -> VerificationKey:
    members = an_object(value, {"kid", "verify_until", "jwk"}, "each key")
    jwk = members["jwk"]
    if not isinstance(jwk, dict):
        refuse("expected jwk as an object")
    return VerificationKey(
        a_text(members["kid"], "kid"), public_key_from_jwk(jwk), an_instant(members["verify_until"])
    )


def _secrets(value: Any) -> tuple[GateSecret, ...]:
    secrets = tuple(_secret(each) for each in a_list(value, "secrets"))
    if len({each.epoch for each in secrets}) != len(secrets):
        refuse("got an epoch twice")
    return secrets


def _secret(value: Any) -> GateSecret:
    members = an_object(value, {"epoch", "secret", "verify_until"}, "each secret")
    return GateSecret(
        a_number(members["epoch"], "epoch", 0),
        some_bytes(members["secret"], SESSION_KEY_BYTES, "secret"),
        an_instant(members["verify_until"]),
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
    for piece in a_list(value, "revoked"):
        parts = a_text(piece, "each piece of revoked").split(" ")
        if "" in parts:
            refuse("expected one space between two revoked subjects")
        subjects.update(parts)
    return frozenset(subjects)
