"""Show that a bundle says all that a gate needs, and nothing crooked is read."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import NOW, ROUTES, SIGNER, SoftwareSigner, policy

from watchword.broker.interface import (
    Allowance,
    EdgeRule,
    HoneytokenWatch,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
)
from watchword.encoding import base64url
from watchword.gate.bundle import (
    BUNDLE_TYPE,
    MAX_BUNDLE_BYTES,
    GateBundle,
    GateBundleError,
    from_jws,
    signer_from_json,
    signer_to_json,
    to_jws,
)
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Mode, Proof, ReplayMode

SERVICE = SigningKey.from_wide_secret(b"service" * 10)
KEY = SERVICE.verification_key()
CANARY = replace(
    ROUTES[2],
    mode=Mode.CANARY,
    canary=Rollout(25, {"clinic-ios": "2.0"}, 1.5),
    proof=Proof.DEVICE,
    dpop=True,
    max_body=7,
    minimum_versions={"clinic-ios": "1.4"},
    methods=frozenset({"GET", "POST"}),
)
EDGE = EdgeRule(
    secret="maps",
    host="maps.example.net",
    port=443,
    patterns=("/geocode/**",),
    methods=frozenset({"GET"}),
    place=Place(PlaceKind.HEADER, "x-api-key", "Key ", "wwk-maps"),
    allowances=(Allowance(86400, calls=100), Allowance(3600, spend=7)),
    cost=2,
    ca="-----BEGIN CERTIFICATE-----",
    seconds=2.5,
)
INJECTED = ROUTES[1].pattern
BUNDLE = GateBundle(
    generation=10,
    made_at=NOW,
    policy=replace(
        policy(*ROUTES[:2], CANARY),
        replay=ReplayMode.AFFINE,
        rate=Rate(5, 60),
        binding_header=b"authorization",
        limits=(
            Limit(
                "bookings", LimitKind.QUOTA, 20, 86400, frozenset({INJECTED}), {"clinic-ios": "3"}
            ),
            Limit("all", LimitKind.RATE, 5, 1, enforced=False),
        ),
        edges={"maps": EDGE},
    ),
    keys=(SIGNER.published(), SoftwareSigner("key-0").published(verify_until=NOW + 0.5)),
    secrets=(GateSecret(1, b"s" * 32), GateSecret(2, b"t" * 32, NOW + 300.0)),
    revoked=frozenset(f"subject-{number}" for number in range(2500)),
    reference_key=bytes(range(32)),
    verdict_key=SigningKey.from_wide_secret(b"verdict" * 10),
    injected={"maps": InjectedValue(3, SecretValue("the value of maps"))},
    canaries=HoneytokenWatch(b"c" * 32, {b"d" * 32: "old-build"}),
)


def members() -> dict[str, Any]:
    """Return what the bundle says, as JSON."""
    payload = to_jws(BUNDLE, SERVICE).split(b".")[1].decode()
    value: dict[str, Any] = json.loads(base64url.decode(payload, MAX_BUNDLE_BYTES))
    return value


def signed(value: object, typ: str = BUNDLE_TYPE, signer: SigningKey = SERVICE) -> bytes:
    """Sign any JSON as the service would sign a bundle."""
    return jose.assemble(json.dumps(value).encode(), typ, signer).encode()


def test_all_of_it_comes_back() -> None:
    """Every field of policy, keys and secrets is what it was."""
    again = from_jws(to_jws(BUNDLE, SERVICE), KEY)
    assert again == BUNDLE
    message = b"a verdict"
    assert again.verdict_key.scalar == BUNDLE.verdict_key.scalar
    assert len(again.verdict_key.sign(message)) == 64


def test_no_secret_in_its_text() -> None:
    """Neither the bundle nor its keys show what they hold where they are printed."""
    shown = repr(BUNDLE) + repr(BUNDLE.verdict_key) + repr(BUNDLE.secrets)
    for secret in (b"s" * 32, BUNDLE.reference_key, BUNDLE.verdict_key.scalar):
        assert base64url.encode(secret) not in shown
        assert repr(secret)[2:-1] not in shown


def test_who_signed_it_counts_before_what_it_says() -> None:
    """A payload that nobody could read is refused for its signature when that is wrong."""
    thief = SigningKey.from_wide_secret(b"thief" * 13)
    with pytest.raises(GateBundleError, match="another key"):
        from_jws(jose.assemble(b"not JSON", BUNDLE_TYPE, thief).encode(), KEY)

    class Borrowed:
        """Sign as a thief under the service's name."""

        kid = SERVICE.kid
        sign = staticmethod(thief.sign)

    with pytest.raises(GateBundleError, match="signature"):
        from_jws(jose.assemble(b"not JSON", BUNDLE_TYPE, Borrowed()).encode(), KEY)


def test_nothing_else_that_is_signed_passes_for_one() -> None:
    """The type counts, also under the same key."""
    with pytest.raises(GateBundleError):
        from_jws(signed(members(), TOKEN_TYPE), KEY)


def test_too_large_a_bundle_is_neither_made_nor_read() -> None:
    """The service says so instead of writing what no gate takes."""
    many = frozenset(f"{number:043}" for number in range(390_000))
    with pytest.raises(GateBundleError, match="390000 revoked"):
        to_jws(replace(BUNDLE, revoked=many), SERVICE)
    with pytest.raises(GateBundleError, match="bytes"):
        from_jws(b"a" * (MAX_BUNDLE_BYTES + 1), KEY)


def _with(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(whole: dict[str, Any]) -> None:
        *steps, last = (int(part) if part.isdigit() else part for part in path.split("."))
        target: Any = whole
        for step in steps:
            target = target[step]
        target[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("v", 2),
        ("new", 1),
        ("generation", 0),
        ("generation", True),
        ("generation", 2**53),
        ("made_at", "1"),
        ("keys", []),
        ("keys", {}),
        ("keys.0.d", "x"),
        ("keys.0.kid", ""),
        ("keys.0.jwk", None),
        ("keys.1.kid", "key-1"),
        ("keys.0.verify_until", True),
        ("secrets.0.epoch", 2),
        ("secrets.0.epoch", -1),
        ("secrets.0.secret", "AAAA"),
        ("secrets.0.more", 1),
        ("revoked", "all"),
        ("revoked", ["a  b"]),
        ("revoked", [1]),
        ("reference_key", None),
        ("verdict_key", base64url.encode(bytes(32))),
        ("verdict_key", "AA"),
        ("policy.api", 1),
        ("policy.more", 1),
        ("policy.environment", "staging"),
        ("policy.leeway", 121),
        ("policy.replay", "once"),
        ("policy.rate.requests", 0),
        ("policy.binding_header", ""),
        ("policy.routes", None),
        ("policy.routes.0.mode", "enforced"),
        ("policy.routes.0.mode", "canary"),
        ("policy.routes.0.level", "any"),
        ("policy.routes.0.proof", None),
        ("policy.routes.0.dpop", 0),
        ("policy.routes.0.max_body", 0),
        ("policy.routes.0.pattern", "/a/../b"),
        ("policy.routes.0.methods", ["GET", 1]),
        ("policy.routes.2.minimum_versions", {"a": 1}),
        ("policy.routes.2.canary.share", 101),
        ("policy.routes.2.canary.budget", 0),
        ("policy.routes.2.canary.more", 1),
        ("policy.routes.0.secret", 1),
        ("policy.routes.1.secret", "maps"),  # Its mode is monitor.
        ("policy.routes.2.secret", "unknown"),
        ("policy.limits.0.name", "rate"),
        ("policy.limits.0.below", {"clinic-ios": "three"}),
        ("policy.limits.0.kind", "flood"),
        ("policy.limits.0.requests", 0),
        ("policy.limits.0.seconds", 1.5),
        ("policy.limits.0.routes", [1]),
        ("policy.limits.0.below", ["a"]),
        ("policy.limits.0.enforced", 1),
        ("policy.limits.0.more", 1),
        ("policy.edges", []),
        ("policy.edges.maps.host", ""),
        ("policy.edges.maps.port", 65536),
        ("policy.edges.maps.reflects", "never"),
        ("policy.edges.maps.patterns", None),
        ("policy.edges.maps.methods", [""]),
        ("policy.edges.maps.place.kind", "cookie"),
        ("policy.edges.maps.place.prefix", None),
        ("policy.edges.maps.place.placeholder", ""),
        ("policy.edges.maps.allowances.0.calls", -1),
        ("policy.edges.maps.cost", True),
        ("policy.edges.maps.private", 0),
        ("policy.edges.maps.seconds", 0),
        ("policy.edges.maps.max_answer", 0),
        ("lent", []),
        ("lent.maps.version", 0),
        ("lent.maps.value", "two\nlines"),
        ("lent.maps.value", ""),
        ("canaries", []),
        ("canaries.key", "AA"),
        ("canaries.digests", []),
        ("canaries.headers", ["a", 1]),
    ],
)
def test_crooked_members(path: str, value: object) -> None:
    """Whoever writes a bundle decides who gets in: it is read strictly."""
    whole = members()
    _with(path, value)(whole)
    with pytest.raises(GateBundleError):
        from_jws(signed(whole), KEY)


@pytest.mark.parametrize("name", list(members()))
def test_missing_members(name: str) -> None:
    """A condition that is left out isn't one that doesn't hold."""
    whole = members()
    del whole[name]
    with pytest.raises(GateBundleError):
        from_jws(signed(whole), KEY)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes(data: bytes) -> None:
    """Nothing but GateBundleError comes out of reading what isn't a bundle."""
    with pytest.raises(GateBundleError):
        from_jws(data, KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from([*members(), *(f"policy.{name}" for name in members()["policy"])]), JSON)
def test_any_member(path: str, value: object) -> None:
    """A signed bundle with any value in one place is read whole or refused; nothing else happens."""
    whole = members()
    _with(path, value)(whole)
    with suppress(GateBundleError):
        assert from_jws(signed(whole), KEY).generation > 0


def test_the_public_key_has_one_form() -> None:
    """The file that an operator copies gives the same key back, and takes nothing else."""
    assert signer_from_json(signer_to_json(KEY)).kid == KEY.kid
    for data in (b"", b"{}", b"[]", signer_to_json(KEY)[:-3], b'{"kty":"EC","crv":1,"x":2,"y":3}'):
        with pytest.raises(GateBundleError):
            signer_from_json(data)


def test_case_is_named_only_where_it_counts() -> None:
    """Bundles of all other tables keep their bytes, and a word that says nothing is refused."""
    assert "case" not in members()["policy"]
    sensitive = replace(BUNDLE, policy=replace(BUNDLE.policy, case_sensitive=True))
    again = from_jws(to_jws(sensitive, SERVICE), KEY)
    assert again == sensitive
    assert not from_jws(to_jws(BUNDLE, SERVICE), KEY).policy.case_sensitive
    for value in ("insensitive", "", None, True):
        crooked = members()
        crooked["policy"]["case"] = value
        with pytest.raises(GateBundleError, match="case"):
            from_jws(signed(crooked), KEY)


def test_device_for_session_is_named_only_where_it_counts() -> None:
    """Bundles of all other APIs keep their bytes; beside case it is read as well."""
    assert "device_for_session" not in members()["policy"]
    for sensitive in (False, True):
        policy = replace(BUNDLE.policy, device_for_session=True, case_sensitive=sensitive)
        bundle = replace(BUNDLE, policy=policy)
        assert from_jws(to_jws(bundle, SERVICE), KEY) == bundle
    assert not from_jws(to_jws(BUNDLE, SERVICE), KEY).policy.device_for_session
    for value in (False, "true", None, 1):
        crooked = members()
        crooked["policy"]["device_for_session"] = value
        with pytest.raises(GateBundleError, match="device_for_session"):
            from_jws(signed(crooked), KEY)
