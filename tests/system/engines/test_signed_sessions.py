"""Hold the real nginx and Envoy to signatures that stand for session proofs, and to what apps claim of themselves."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.nginx.rig import nginx_before_api
from tests.unit.engines.envoy.rig import (
    Fronted,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)

from watchword.adapters.engine_refusals import EngineRefusals
from watchword.apps.cli.refusals import engine_document
from watchword.apps.engines.logs.ingestion import ingest
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import Rate
from watchword.gate.limits import SIGNATURES
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Mode, Proof

READS = frozenset({"GET"})
ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/pay/**", proof=Proof.SESSION, methods=READS),
    route("/sign/**", proof=Proof.DEVICE, methods=READS),
    route("/v1/**", methods=READS),
]
Before = Callable[[Path, GateBundle], AbstractContextManager[Fronted]]


def _nginx(directory: Path, bundle: GateBundle) -> AbstractContextManager[Fronted]:
    return nginx_before_api(directory, bundle)


def _envoy(directory: Path, bundle: GateBundle) -> AbstractContextManager[Fronted]:
    return envoy_before_api(directory, bundle)


ENGINES = {"nginx": _nginx, "envoy": _envoy}


def signing(**changes: Any) -> Any:
    """Return an instance whose device signs in place of a session proof."""
    return prover(device_for_session=True, **changes)


def table(**changes: Any) -> GateBundle:
    """Return a bundle of an API that lets devices sign."""
    return bundle_of(ROUTES, device_for_session=True, **changes)


@pytest.fixture(scope="module", params=ENGINES)
def rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fronted]:
    """Run each engine for all cases that change nothing."""
    before: Before = ENGINES[request.param]
    with before(tmp_path_factory.mktemp("s"), table(rate=Rate(1000, 60))) as running:
        yield running


@pytest.mark.parametrize("kind", ["device", "session"])
def test_either_kind_passes_once_and_not_once_each(rig: Fronted, kind: str) -> None:
    """A nonce that one kind used up is used up for the other; neither leaves its fields to the API."""
    phone = signing()
    nonce = f"one-nonce-for-both-{kind}"
    other = "session" if kind == "device" else "device"
    assert rig.send(b"/pay/1", *proved(kind, phone, target="/pay/1", nonce=nonce)).status == 200
    assert not [name for name, _ in rig.api.seen[-1].fields if name.startswith(b"sig")]
    before = len(rig.api.seen)
    for again in (kind, other):
        answer = rig.send(b"/pay/1", *proved(again, phone, target="/pay/1", nonce=nonce))
        assert (answer.status, answer.slug) == (401, "proof-used")
    assert len(rig.api.seen) == before


def test_the_claim_loosens_nothing_else(rig: Fronted) -> None:
    """Without it a signature is refused, and with it a device route takes no HMAC, and no route a DPoP proof."""
    phone, without = signing(), prover()
    thief = replace(phone, private=derive_private_key(99, SECP256R1()))
    url = "https://clinic.example/pay/1"
    refused = (
        (b"/pay/1", proved("device", without, target="/pay/1")),
        (b"/pay/1", proved("device", thief, target="/pay/1")),
        (b"/pay/2", proved("device", phone, target="/pay/1")),
        (b"/pay/1", proved("dpop", phone, url=url)),
        (b"/sign/1", proved("session", phone, target="/sign/1")),
    )
    before = len(rig.api.seen)
    for target, fields in refused:
        assert rig.send(target, *fields).status == 401
    assert len(rig.api.seen) == before
    assert rig.send(b"/sign/1", *proved("device", phone, target="/sign/1")).status == 200
    assert rig.send(b"/pay/1", *proved("session", without, target="/pay/1")).status == 200


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flood_with_a_stolen_token_costs_no_curve_beyond_the_limit(
    engine: str, tmp_path: Path
) -> None:
    """The signature is looked at as often as the rate allows; beyond, not even a good one is."""
    phone = signing()
    thief = replace(phone, private=derive_private_key(99, SECP256R1()))
    with ENGINES[engine](tmp_path, table(rate=Rate(5, 3600))) as running:
        forged = [
            running.send(b"/pay/1", *proved("device", thief, target="/pay/1")) for _ in range(12)
        ]
        assert [each.slug for each in forged] == ["proof-refused"] * 5 + ["rate-limited"] * 7
        good = running.send(b"/pay/1", *proved("device", phone, target="/pay/1"))
        assert (good.status, b"retry-after:" in good.head) == (429, True)
        if engine == "nginx":
            # The room of signatures is that one token's: the instance's rate isn't spent.
            assert running.send(b"/v1/1", token=phone.token.encode()).status == 200
            answer = running.send(b"/pay/1", *proved("session", phone, target="/pay/1"))
            assert answer.status == 200


def test_nginx_limits_signatures_without_a_rate_too(tmp_path: Path) -> None:
    """As the gate does: many at once, and no more."""
    thief = replace(signing(), private=derive_private_key(99, SECP256R1()))
    with nginx_before_api(tmp_path, bundle_of(ROUTES)) as running:
        slugs = Counter[str]()
        for _ in range(SIGNATURES.requests + 40):
            slugs[running.send(b"/pay/1", *proved("device", thief, target="/pay/1")).slug] += 1
    assert set(slugs) == {"proof-refused", "rate-limited"}
    assert SIGNATURES.requests <= slugs["proof-refused"] < SIGNATURES.requests + 40


def test_a_signature_rests_on_no_epoch(tmp_path: Path) -> None:
    """A gate that lost the secret of a session's epoch refuses its HMAC alone."""
    other = GateSecret(9, b"o" * 32)
    for engine, before in ENGINES.items():
        directory = tmp_path / engine
        directory.mkdir()
        with before(directory, table(rate=Rate(1000, 60), secrets=(other,))) as running:
            phone = signing()
            signed = running.send(b"/pay/1", *proved("device", phone, target="/pay/1"))
            keyed = running.send(b"/pay/1", *proved("session", phone, target="/pay/1"))
            assert (signed.status, keyed.status) == (200, 401)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_apps_claim_is_in_the_log_and_counted_once(engine: str, tmp_path: Path) -> None:
    """Beside refusals and never among them; of what a client wrote one of five words is left."""
    with ENGINES[engine](tmp_path, bundle_of(ROUTES)) as running:
        for value in (b"offline", b"offline", b"device", b"Offline", b'"}{', b"x" * 300):
            answer = running.send(b"/v1/x", b"Watchword-Status: " + value)
            assert answer.status == 401
        assert running.send(b"/v1/x").status == 401
        for spelling in (b"Watchword-Status", b"watchword_status", b"Watchword.Status"):
            assert running.send(b"/open/x", spelling + b": refused").status == 200
            names = [name.lower() for name, _ in running.api.seen[-1].fields]
            assert not [name for name in names if b"status" in name]
        good = running.send(b"/v1/x", b"Watchword-Status: offline", token=token())
        assert good.status == 200
        until(lambda: len(running.log()) >= (11 if engine == "nginx" else 7))
        for line in running.log():
            assert line["claimed"] in (None, "", "-") or line["route"]
    kept = EngineRefusals(tmp_path / "kept.db")
    log = tmp_path / "access.log"
    for _ in range(2):
        ingest(kept, log, engine, lambda bad: pytest.fail(bad.fault))
    document = engine_document(kept)
    assert sum(each["count"] for each in document["counts"]) == 7
    assert {each["reason"] for each in document["counts"]} == {"token.missing"}
    assert all(each["reasons"] for each in document["samples"])
    found = {(each["where"], each["status"]): each["count"] for each in document["claimed"]}
    v1 = {("/v1/**", "offline"): 2, ("/v1/**", "device"): 1, ("/v1/**", "invalid"): 3}
    if engine == "nginx":
        # Envoy writes down refusals alone.
        v1[("/v1/**", "invalid")] += 1
        v1[("/open/**", "refused")] = 3
    assert found == v1
    with contextlib.suppress(FileNotFoundError):
        assert b'"}{' not in (tmp_path / "kept.db").read_bytes()
    assert json.dumps(document)
