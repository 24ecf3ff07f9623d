"""Read and write the gate bundle: all that a gate must know of its API, signed by the service.

A bundle is a compact JWS (RFC 7515) of strict JSON.  It holds secrets, so that it is kept as a
private file and sent over mutual TLS alone; the signature is there beside both, so that whoever
can replace the file, or stands in for the service, still can't say who is let in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from watchword.broker.interface import (
    Allowance,
    EdgeRule,
    HoneytokenWatch,
    InjectedValue,
    Place,
    PlaceKind,
    check_value,
)
from watchword.encoding import base64url, strict_json
from watchword.encoding.phrases import other_format
from watchword.gate.cuts import Cut
from watchword.gate.decisions import CompiledPolicy
from watchword.gate.interface import GatePolicy, Limit, LimitKind, Rate, Rollout, Route
from watchword.gate.openings import Opening
from watchword.gate.references import KEY_BYTES
from watchword.gate.revocations import Digests
from watchword.gate.trail import AuditHead
from watchword.ports import Signer, VerificationKey
from watchword.reasons import RefusedError, WatchwordError
from watchword.tokens import jose
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jose import (
    SigningKey,
    is_signed_by,
    jwk_from_public_key,
    public_key_from_jwk,
    thumbprint,
)
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode

_MAX_NUMBER: Final = 2**53


def an_object(value: Any, names: set[str], what: str) -> Mapping[str, Any]:
    """Return an object with exactly these members."""
    if not isinstance(value, dict) or value.keys() != names:
        refuse(f"expected {what} with exactly {', '.join(sorted(names))}")
    return value


def a_list(value: Any, what: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        refuse(f"expected {what} as a list")
    return value


def a_text(value: Any, what: str) -> str:
    """Return text that isn't empty."""
    if not isinstance(value, str) or not value:
        refuse(f"expected {what} as text")
    return value


def a_number(value: Any, what: str, least: int) -> int:
    """Return a whole number that is at least so much."""
    if type(value) is not int or not least <= value < _MAX_NUMBER:
        refuse(f"expected {what} as a whole number from {least} on")
    return value


def an_instant(value: Any) -> float | None:
    """Return seconds since 1970, or None."""
    if value is None:
        return None
    if type(value) not in {int, float}:
        refuse("expected verify_until as a number or null")
    return float(value)


def some_bytes(value: Any, count: int, what: str) -> bytes:
    """Return so many bytes out of base64url."""
    data = base64url.decode(a_text(value, what))
    if len(data) != count:
        refuse(f"got {what} of {len(data)} bytes, expected {count}")
    return data


def refuse(detail: str) -> NoReturn:
    """Raise ValueError; the text quotes no secret."""
    raise ValueError(detail)


_LIMIT: Final = {"name", "kind", "requests", "seconds", "routes", "below", "enforced"}
_EDGE: Final = {"host", "port", "patterns", "methods", "place", "allowances", "cost", "ca"} | {
    "private",
    "seconds",
    "max_answer",
    "headers",
    "reflects",
}
_CANARIES: Final = {"key", "digests", "headers", "parameters"}
_DIGEST_BYTES: Final = 32
_MOST_PORT: Final = 65535


def _limit_to_json(limit: Limit) -> dict[str, Any]:
    return {
        "name": limit.name,
        "kind": limit.kind.value,
        "requests": limit.requests,
        "seconds": limit.seconds,
        "routes": sorted(limit.routes),
        "below": dict(limit.below),
        "enforced": limit.enforced,
    }


def _limit(value: Any) -> Limit:
    members = an_object(value, _LIMIT, "each limit")
    return Limit(
        name=a_text(members["name"], "name"),
        kind=LimitKind(members["kind"]),
        requests=a_number(members["requests"], "requests", 1),
        seconds=a_number(members["seconds"], "seconds", 1),
        routes=frozenset(_texts(members["routes"], "routes")),
        below=_versions(members["below"], "versions"),
        enforced=_flag(members["enforced"], "enforced"),
    )


def _edge_to_json(edge: EdgeRule) -> dict[str, Any]:
    place = edge.place
    return {
        "host": edge.host,
        "port": edge.port,
        "patterns": list(edge.patterns),
        "methods": sorted(edge.methods),
        "place": {
            "kind": place.kind.value,
            "name": place.name,
            "prefix": place.prefix,
            "placeholder": place.placeholder,
        },
        "allowances": [
            {"seconds": each.seconds, "calls": each.calls, "spend": each.spend}
            for each in edge.allowances
        ],
        "cost": edge.cost,
        "ca": edge.ca,
        "private": edge.private,
        "seconds": edge.seconds,
        "max_answer": edge.max_answer,
        "headers": sorted(edge.headers),
        "reflects": edge.reflects,
    }


def _edges(value: Any) -> Mapping[str, EdgeRule]:
    if not isinstance(value, dict):
        refuse("expected edges by secret")
    return {name: _edge(name, each) for name, each in value.items()}


def _edge(name: str, value: Any) -> EdgeRule:
    members = an_object(value, _EDGE, "each edge")
    port = a_number(members["port"], "port", 1)
    if port > _MOST_PORT:
        refuse("expected a port")
    if type(members["seconds"]) not in {int, float} or not members["seconds"] > 0:
        refuse("expected seconds above 0")
    return EdgeRule(
        secret=name,
        host=a_text(members["host"], "host"),
        port=port,
        patterns=tuple(_texts(members["patterns"], "patterns")),
        methods=frozenset(_texts(members["methods"], "methods")),
        place=_place(members["place"]),
        allowances=tuple(_allowance(each) for each in a_list(members["allowances"], "allowances")),
        cost=a_number(members["cost"], "cost", 0),
        ca=None if members["ca"] is None else a_text(members["ca"], "ca"),
        private=_flag(members["private"], "private"),
        seconds=float(members["seconds"]),
        max_answer=a_number(members["max_answer"], "max_answer", 1),
        headers=frozenset(_texts(members["headers"], "headers")),
        reflects=_flag(members["reflects"], "reflects"),
    )


def _place(value: Any) -> Place:
    members = an_object(value, {"kind", "name", "prefix", "placeholder"}, "place")
    if not isinstance(members["prefix"], str):
        refuse("expected prefix as text")
    holder = members["placeholder"]
    return Place(
        PlaceKind(members["kind"]),
        a_text(members["name"], "name"),
        members["prefix"],
        None if holder is None else a_text(holder, "placeholder"),
    )


def _allowance(value: Any) -> Allowance:
    members = an_object(value, {"seconds", "calls", "spend"}, "each allowance")
    calls, spend = members["calls"], members["spend"]
    return Allowance(
        a_number(members["seconds"], "seconds", 1),
        None if calls is None else a_number(calls, "calls", 0),
        None if spend is None else a_number(spend, "spend", 0),
    )


def _injected(value: Any) -> Mapping[str, InjectedValue]:
    if not isinstance(value, dict):
        refuse("expected injected values by secret")
    found = {}
    for name, each in value.items():
        members = an_object(each, {"version", "value"}, "each injected value")
        text = a_text(members["value"], "value")
        found[name] = InjectedValue(
            a_number(members["version"], "version", 1), check_value(text, one_line=True)
        )
    return found


def _honeytokens_to_json(watch: HoneytokenWatch | None) -> dict[str, Any] | None:
    if watch is None:
        return None
    return {
        "key": base64url.encode(watch.key),
        "digests": {base64url.encode(each): name for each, name in watch.digests.items()},
        "headers": list(watch.headers),
        "parameters": list(watch.parameters),
    }


def _canaries(value: Any) -> HoneytokenWatch | None:
    if value is None:
        return None
    members = an_object(value, _CANARIES, "canaries")
    if not isinstance(members["digests"], dict):
        refuse("expected digests with names")
    return HoneytokenWatch(
        some_bytes(members["key"], _DIGEST_BYTES, "key"),
        {
            some_bytes(each, _DIGEST_BYTES, "digest"): a_text(name, "name")
            for each, name in members["digests"].items()
        },
        tuple(_texts(members["headers"], "headers")),
        tuple(_texts(members["parameters"], "parameters")),
    )


def _texts(value: Any, what: str) -> list[str]:
    return [a_text(each, f"each of {what}") for each in a_list(value, what)]


def _flag(value: Any, what: str) -> bool:
    if type(value) is not bool:
        refuse(f"expected {what} as true or false")
    return bool(value)


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
_DEVICE_FOR_SESSION: Final = "device_for_session"
_OPTIONAL: Final = frozenset({"case", _DEVICE_FOR_SESSION})
"""Left out where they say nothing, so that gates which don't know them read all other tables."""

PIECE: Final = 998
"""So many revoked instances stand in one piece: 44 bytes each and 2 more are a multiple of three, as :data:`_BEGINNING` is, so
that the base64url of a piece doesn't depend on what stands before it."""

_BEGINNING: Final = b'{"revoked":['


def _policy_to_json(policy: GatePolicy) -> dict[str, Any]:
    rate = policy.rate
    optional: dict[str, Any] = {"case": _SENSITIVE} if policy.case_sensitive else {}
    if policy.device_for_session:
        optional[_DEVICE_FOR_SESSION] = True
    return {
        **optional,
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
        "limits": [_limit_to_json(each) for each in policy.limits],
        "edges": {name: _edge_to_json(edge) for name, edge in policy.edges.items()},
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
    told = _OPTIONAL & value.keys() if isinstance(value, dict) else set()
    members = an_object(value, _POLICY | told, "policy")
    if members.get("case", _SENSITIVE) != _SENSITIVE:
        refuse(f"expected case as {_SENSITIVE}, or not at all")
    if members.get(_DEVICE_FOR_SESSION, True) is not True:
        refuse(f"expected {_DEVICE_FOR_SESSION} as true, or not at all")
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
        limits=tuple(_limit(each) for each in a_list(members["limits"], "limits")),
        edges=_edges(members["edges"]),
        case_sensitive="case" in told,
        device_for_session=_DEVICE_FOR_SESSION in told,
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
        minimum_versions=_versions(members["minimum_versions"], "lowest versions"),
        canary=None if canary is None else _canary(canary),
        secret=None if members["secret"] is None else a_text(members["secret"], "secret"),
    )


def _canary(value: Any) -> Rollout:
    members = an_object(value, {"share", "from_versions", "budget"}, "canary")
    share, budget = a_number(members["share"], "share", 1), members["budget"]
    if type(budget) not in {int, float} or not 0 < budget <= 100 or share > 100:
        refuse("expected share and budget as percents")
    return Rollout(share, _versions(members["from_versions"], "lowest versions"), float(budget))


def _versions(value: Any, what: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        refuse(f"expected {what} by app")
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
    return [" ".join(subjects[start : start + PIECE]) for start in range(0, len(subjects), PIECE)]


def _revoked(value: Any) -> frozenset[str]:
    subjects: set[str] = set()
    for piece in a_list(value, "revoked"):
        parts = a_text(piece, "each piece of revoked").split(" ")
        if "" in parts:
            refuse("expected one space between two revoked subjects")
        subjects.update(parts)
    return frozenset(subjects)


BUNDLE_TYPE: Final = "watchword-gate+jwt"
"""The ``typ`` of a bundle: nothing else that the service signs passes for one."""

MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of what is signed: room for 350,000 subjects revoked within the life of a token.

A vendor that withdraws a leaked batch key revokes every instance of the batch at once.
"""

MAX_BUNDLE_BYTES: Final = MAX_PAYLOAD_BYTES * 4 // 3 + 1024
"""Most bytes of a bundle: the payload in base64url, header and signature."""

MAX_SIGNER_BYTES: Final = 1024
"""Most bytes of the file with the service's public key; it has about 130."""

_VERSION: Final = 1
_MEMBERS: Final = {"v", "generation", "made_at", "policy", "keys", "secrets", "revoked"} | {
    "reference_key",
    "verdict_key",
    "lent",
    "canaries",
}


class GateBundleError(WatchwordError):
    """Report a bundle that can't be used; the text says what is wrong and quotes no secret."""


@dataclass(frozen=True, slots=True)
class GateBundle:
    """Hold what a gate must know.

    :param generation: grows with each change, also over restarts; a gate never goes back.
    :param made_at: seconds since 1970, for people; nothing is decided by it.
    :param keys: every token key that the gate may meet: prepared, active and retired.
    :param secrets: of the audience, by epochs: prepared, active, and retired ones whose tokens live.
    :param revoked: the audience's names of revoked instances whose tokens may still live.
    :param reference_key: 32 secret bytes under which references of refusals are sealed.
    :param verdict_key: signs verdicts for the API.
    :param injected: by secret, what is added to calls at the edge now.
    :param canaries: by what canary keys are recognised, None where none is planted.
    :param digests: who is revoked, where the bundle lists digests and no names.
    :param audit: how far the service's audit trail was, None where the bundle doesn't say; nothing is decided by it.
    :param cuts: which tokens don't count though they haven't ended; the first version can't say it.
    :param openings: which routes refuse nobody for a while; the first version can't say it.  ``policy`` is without them.
    """

    generation: int
    made_at: int
    policy: GatePolicy
    keys: tuple[VerificationKey, ...]
    secrets: tuple[GateSecret, ...]
    revoked: frozenset[str]
    reference_key: bytes
    verdict_key: SigningKey
    injected: Mapping[str, InjectedValue] = field(default_factory=dict)
    canaries: HoneytokenWatch | None = None
    digests: Digests | None = field(default=None, compare=False)
    audit: AuditHead | None = field(default=None, compare=False)
    cuts: tuple[Cut, ...] = ()
    openings: tuple[Opening, ...] = ()

    @property
    def revoked_count(self) -> int:
        """Return how many instances are listed as revoked."""
        return len(self.revoked) if self.digests is None else len(self.digests)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""
        return subject in (self.revoked if self.digests is None else self.digests)

    def is_cut(self, claims: TokenClaims) -> bool:
        """Tell whether a token doesn't count any more, whoever holds it."""
        return any(each.covers(claims) for each in self.cuts)

    def __repr__(self) -> str:
        """Show how much is held, and no key."""
        return (
            f"GateBundle(api={self.policy.api!r}, generation={self.generation}, "
            f"keys={len(self.keys)}, secrets={len(self.secrets)}, revoked={self.revoked_count})"
        )


def state_to_json(bundle: GateBundle) -> dict[str, Any]:
    """Return what a gate goes by beside who is revoked: the members that both versions of a bundle have."""
    return {
        "policy": _policy_to_json(bundle.policy),
        "keys": [
            {
                "kid": key.kid,
                "verify_until": key.verify_until,
                "jwk": jwk_from_public_key(key.key),
            }
            for key in bundle.keys
        ],
        "secrets": [
            {
                "epoch": each.epoch,
                "secret": base64url.encode(each.secret),
                "verify_until": each.verify_until,
            }
            for each in bundle.secrets
        ],
        "reference_key": base64url.encode(bundle.reference_key),
        "verdict_key": base64url.encode(bundle.verdict_key.scalar),
        "lent": {
            name: {"version": each.version, "value": each.value.text}
            for name, each in bundle.injected.items()
        },
        "canaries": _honeytokens_to_json(bundle.canaries),
    }


_STATE_READERS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "policy": ("policy", _policy),
    "keys": ("keys", _keys),
    "secrets": ("secrets", _secrets),
    "reference_key": (
        "reference_key",
        lambda value: some_bytes(value, KEY_BYTES, "reference_key"),
    ),
    "verdict_key": (
        "verdict_key",
        lambda value: SigningKey.from_scalar(base64url.decode(a_text(value, "verdict_key"))),
    ),
    "lent": ("injected", _injected),
    "canaries": ("canaries", _canaries),
}

STATE_MEMBERS: Final = frozenset(_STATE_READERS)
"""Names of the members that :func:`state_to_json` writes."""


def state_from_json(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a :class:`GateBundle` that these members say, by the names that they have there.

    :raises ValueError: or :class:`RefusedError` for a value that can't be.
    """
    found = {}
    for name, value in members.items():
        part, read = _STATE_READERS[name]
        found[part] = read(value)
    return found


def to_jws(bundle: GateBundle, signer: Signer) -> bytes:
    """Return the bundle, signed.

    :raises GateBundleError: when it would be larger than gates accept.
    """
    return b"".join(to_parts(bundle, signer))


def to_parts(bundle: GateBundle, signer: Signer, pieces: Sequence[bytes] = ()) -> tuple[bytes, ...]:
    """Return the bundle, signed, in parts that stand behind one another.

    :param pieces: who is revoked beside those whom the bundle names, as :func:`piece_of` returns it: what was encoded once
        needs not be so again.  With pieces the bundle must name somebody.
    :raises GateBundleError: when it would be larger than gates accept.
    """
    assert bundle.revoked or not pieces
    state = state_to_json(bundle)
    members = {
        "v": _VERSION,
        "generation": bundle.generation,
        "made_at": bundle.made_at,
        **{name: state[name] for name in _STATE_READERS},
    }
    named = strict_json.dumps(_in_pieces(sorted(bundle.revoked)))
    rest = b"%b,%b" % (named[1:], strict_json.dumps(members)[1:])
    size = len(_BEGINNING) + sum(map(len, pieces)) * 3 // 4 + len(rest)
    if size > MAX_PAYLOAD_BYTES:
        raise GateBundleError(
            f"got {size} bytes for the gate of {bundle.policy.api} with "
            f"{len(bundle.revoked) + len(pieces) * PIECE} revoked instances, expected at most "
            f"{MAX_PAYLOAD_BYTES}; gates keep what they have"
        )
    head = f"{jose.header_segment(signer.kid, BUNDLE_TYPE)}.{base64url.encode(_BEGINNING)}"
    parts = (head.encode("ascii"), *pieces, base64url.encode(rest).encode("ascii"))
    signature = base64url.encode(signer.sign(b"".join(parts)))
    return (*parts, f".{signature}".encode("ascii"))


def piece_of(names: Sequence[str]) -> bytes:
    """Return :data:`PIECE` names of revoked instances as they stand in a signed bundle, wherever they do."""
    assert len(names) == PIECE
    return base64url.encode(b'"%b",' % " ".join(names).encode("ascii")).encode("ascii")


def from_jws(data: bytes, key: VerificationKey) -> GateBundle:
    """Return the bundle in ``data``, once it was found to be signed by ``key``.

    1. Bytes of one compact JWS, capped, with the type of a bundle and ES256
       (:func:`watchword.tokens.jose.parse`).
    2. It names this key, and the signature holds.
    3. Only then the payload is read: exactly the members that it must have, each strictly.  A
       member that this version doesn't know may be a condition that it wouldn't keep.

    :raises GateBundleError: with what is wrong.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        _refuse(f"got {len(data)} bytes, expected at most {MAX_BUNDLE_BYTES}")
    try:
        jws = jose.parse(data.decode("latin-1"), BUNDLE_TYPE, MAX_BUNDLE_BYTES)
        if jws.kid != key.kid:
            _refuse(f"it is signed by another key than {key.kid}, the one that was agreed on")
        if not is_signed_by(key.key, jws.signature, jws.signing_input):
            _refuse(f"its signature isn't one by the key {key.kid}")
        members = strict_json.loads(jws.payload, MAX_PAYLOAD_BYTES)
        if type(version := members.get("v")) is int and version > _VERSION:
            _refuse(other_format(version, _VERSION))
        if members.keys() != _MEMBERS or version != _VERSION:
            _refuse(f"expected exactly {', '.join(sorted(_MEMBERS))}, with v {_VERSION}")
        bundle = GateBundle(
            generation=_whole_number(members, "generation"),
            made_at=_whole_number(members, "made_at"),
            revoked=_revoked(members["revoked"]),
            **state_from_json({name: members[name] for name in STATE_MEMBERS}),
        )
        # What can't be decided by is refused here, where the last good one is kept.
        CompiledPolicy(bundle.generation, bundle.policy)
    except (RefusedError, ValueError) as error:
        # What the reading below raises is written there and quotes no secret.
        raise GateBundleError(f"the gate bundle can't be used: {error}") from None
    return bundle


def signer_to_json(key: VerificationKey) -> bytes:
    """Return the public key by which gates know the service, as a JWK for a file."""
    return strict_json.dumps(jwk_from_public_key(key.key)) + b"\n"


def signer_from_json(data: bytes) -> VerificationKey:
    """Return the key out of such a file; its id is its RFC 7638 thumbprint.

    :raises GateBundleError: when it is anything else than the JWK of a P-256 public key.
    """
    try:
        jwk = strict_json.loads(data, MAX_SIGNER_BYTES)
        return VerificationKey(thumbprint(jwk), public_key_from_jwk(jwk))
    except (RefusedError, KeyError, TypeError) as error:
        detail = str(error) if isinstance(error, RefusedError) else "expected kty, crv, x and y"
        raise GateBundleError(f"the service's public key can't be used: {detail}") from None


def _whole_number(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int or not 0 < value < _MAX_NUMBER:
        _refuse(f"expected {name} as a whole number above 0")
    return value


def _refuse(detail: str) -> NoReturn:
    raise GateBundleError(f"the gate bundle can't be used: {detail}")
