"""Mutate App Attest attestations and assertions."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.attestation import forge
from tests.unit.attestation.mutants import Case, Meaning, Mutant
from tests.unit.attestation.mutations import (
    certificate_mutants,
    flips,
    issued_under,
    mutated_expectations,
    negated,
    orders,
    own_key,
    signed_by_own_key,
    with_extensions_of,
    with_own_key,
)

from watchword.attestation.interface import AppAttestAttestation, AppleApp, AppRegistration
from watchword.lab import apple as apple_systems
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution

CATEGORY = b"apple_validation_category_01"
"""Member of the map behind authenticator data, with its head of two bytes before it."""


def authenticator_data_mutants(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield authenticator data that names another app, counter or environment."""
    yield "other app", b"\x00" * 32 + raw[32:]
    counter = int.from_bytes(raw[33:37], "big")
    for other in {0, 1, 2**31, 2**32 - 1, counter + 1, max(counter - 1, 0)} - {counter}:
        kind = "counter back" if other < counter else "counter ahead"
        yield kind, raw[:33] + other.to_bytes(4, "big") + raw[37:]
    for environment in AppAttestEnvironment:
        if len(raw) > 53 and environment.value != raw[37:53]:
            yield "other environment", raw[:37] + environment.value + raw[53:]
    for flag in range(8):
        yield "other flags", raw[:32] + bytes([raw[32] ^ 1 << flag]) + raw[33:]


def category_mutants(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield authenticator data that states another way by which the app came, or none, or what is none."""
    at = raw.find(CATEGORY)
    if at < 0:
        for category in range(1, 12):
            yield "category added", raw + cbor2.dumps({CATEGORY.decode(): category})
        return
    behind = at + len(CATEGORY)
    values = [number.to_bytes(4, "little") for number in range(12)]
    odd = (2**63, -1, b"\x04\x00\x00", bytes(5), None, True, "4")
    for value in (*values, *range(12), *odd):
        mutated = raw[:behind] + cbor2.dumps(value) + raw[behind + 5 :]
        if mutated != raw:
            yield "category", mutated
    # The map without it, or without any member; its head says how many there are.
    head = raw.rindex(b"\xa2", 0, min(at, raw.index(b"apple_bundle_version_01")))
    yield "category dropped", raw[:head] + b"\xa1" + raw[head + 1 : at - 2]
    yield "category dropped", raw[:head]


def device_mutants(leaf: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield leaves that name another system or another access to the key, also signed by the attacker."""
    mutated = [("platform", leaf.replace(b"iphoneos", name)) for name in (b"iphoneox", b"macosx27")]
    mutated += [("platform", leaf.replace(b"\xbf\x88\x02", b"\xbf\x88\x03"))]
    mutated += [("system version", leaf.replace(b"\xbf\x8a\x78", b"\xbf\x8a\x77"))]
    for operation in (b"osgn", b"odel", b"okd", b"ock"):
        other = bytes([operation[0] ^ 1]) + operation[1:]
        mutated.append(("key access", leaf.replace(operation, other)))
    for kind, donor in _donors().items():
        mutated.append((kind, with_extensions_of(leaf, donor)))
    for kind, data in mutated:
        if data != leaf:
            yield kind, data
            yield f"{kind}, signed by another", signed_by_own_key(data)


@cache
def _donors() -> dict[str, bytes]:
    """Return leaves of forged devices whose extensions are put into genuine ones."""
    mac = {"system": forge.apple_system(b"macosx"), "key_access": None}
    sealed = forge.apple_key_access(apple_systems.SEALED_MAC_KEY)
    opened = forge.apple_key_access(apple_systems.OPEN_MAC_KEY)
    made: dict[str, dict[str, Any]] = {
        "platform of a Mac": mac,
        "key access of a Mac": {**mac, "key_access": sealed},
        "key access of an open Mac": {**mac, "key_access": opened},
        "key access of a phone": {"key_access": forge.apple_key_access(apple_systems.IPHONE_KEY)},
        "no system": {"system": None},
    }
    found = {}
    for kind, how in made.items():
        document = cbor2.loads(_own_apple().evidence(**how).attestation)
        found[kind] = document["attStmt"]["x5c"][0]
    return found


def object_mutants(case: Case, positions: int, others: Sequence[Case] = ()) -> Iterator[Mutant]:
    """Yield mutants of an attestation object."""
    evidence = case.evidence
    assert isinstance(evidence, AppAttestAttestation)
    data, document = evidence.attestation, cbor2.loads(evidence.attestation)
    statement, raw = document["attStmt"], document["authData"]
    leaf, intermediate = statement["x5c"]

    def put(
        kind: str, mutated: bytes | dict[str, Any], meaning: Meaning = Meaning.SIGNED
    ) -> Mutant:
        attestation = mutated if isinstance(mutated, bytes) else cbor2.dumps(mutated)
        return Mutant(kind, replace(evidence, attestation=attestation), case.expected, meaning)

    regions = {"authenticator data": raw, "leaf": leaf, "intermediate": intermediate}
    for region, content in regions.items():
        start = data.index(content)
        for mutated in flips(data, start, start + len(content), 4 * positions):
            yield put(region, mutated)
    for mutated in flips(data, 0, len(data), 4 * positions):
        if statement["receipt"] in mutated:
            yield put("anywhere but the receipt", mutated)
    for mutated in flips(evidence.key_id, 0, len(evidence.key_id), positions):
        yield Mutant("key id", replace(evidence, key_id=mutated), case.expected)
    for size in range(0, len(data), 1 + len(data) // (4 * positions)):
        yield put("truncated", data[:size])
    yield put("bytes behind", data + b"\x00")
    for kind, mutated in (*authenticator_data_mutants(raw), *category_mutants(raw)):
        yield put(kind, {**document, "authData": mutated})
    for kind, mutated in device_mutants(leaf):
        yield put(kind, {**document, "attStmt": {**statement, "x5c": [mutated, intermediate]}})
    yield put("member added", {**document, "more": 1}, Meaning.UNSIGNED)
    added = {**document, "attStmt": {**statement, "more": b"1"}}
    yield put("member added", added, Meaning.UNSIGNED)
    yield from _certificate_mutants(case, document, positions)
    yield from _receipt_mutants(case, document, positions)
    yield from _spliced_objects(case, document, others)
    yield from _forged_objects(case, statement)
    yield from _apple_expectations(case)
    yield from _listed_elsewhere(case, leaf, raw)


def _listed_elsewhere(case: Case, leaf: bytes, raw: bytes) -> Iterator[Mutant]:
    """Yield the evidence under an app that lists neither its system nor its way: policy must refuse."""
    app = case.expected.app
    assert app is not None
    assert isinstance(app.identity, AppleApp)
    mutated: dict[str, AppleApp] = {}
    if b"iphoneos" in leaf:
        others = frozenset({ApplePlatform.TVOS, ApplePlatform.MACOS})
        mutated["platforms"] = replace(app.identity, platforms=others)
    if CATEGORY in raw:
        others_ways = frozenset({Distribution.ENTERPRISE})
        mutated["distribution"] = replace(app.identity, distribution=others_ways)
    for member, identity in mutated.items():
        expected = replace(case.expected, app=replace(app, identity=identity))
        yield Mutant(f"expected: other {member}", case.evidence, expected)


def _certificate_mutants(case: Case, document: dict[str, Any], positions: int) -> Iterator[Mutant]:
    evidence, statement = case.evidence, document["attStmt"]
    assert isinstance(evidence, AppAttestAttestation)
    leaf, intermediate = statement["x5c"]

    def chained(kind: str, *x5c: bytes, meaning: Meaning = Meaning.SIGNED) -> Mutant:
        data = cbor2.dumps({**document, "attStmt": {**statement, "x5c": list(x5c)}})
        return Mutant(kind, replace(evidence, attestation=data), case.expected, meaning)

    for kind, order in orders(statement["x5c"]):
        yield chained("dropped" if kind == "root dropped" else kind, *order)
    for kind, mutated, meaning in certificate_mutants(leaf, positions):
        yield chained(f"leaf: {kind}", mutated, intermediate, meaning=meaning)
    for kind, mutated, meaning in certificate_mutants(intermediate, positions):
        yield chained(f"intermediate: {kind}", leaf, mutated, meaning=meaning)
    yield chained("extensions moved", with_extensions_of(leaf, intermediate), intermediate)
    yield chained("extensions moved", leaf, with_extensions_of(intermediate, leaf))
    below = signed_by_own_key(leaf)
    yield chained("issuer replaced", below, with_own_key(intermediate))


def _receipt_mutants(case: Case, document: dict[str, Any], positions: int) -> Iterator[Mutant]:
    evidence, statement = case.evidence, document["attStmt"]
    assert isinstance(evidence, AppAttestAttestation)
    receipt = statement["receipt"]
    mutated = [
        *(("receipt bent", data) for data in flips(receipt, 0, len(receipt), 8 * positions)),
        *(("receipt truncated", receipt[:size]) for size in range(1, len(receipt), 97)),
        ("receipt bytes behind", receipt + b"\x00"),
        ("receipt replaced", b"receipt"),
    ]
    for kind, data in mutated:
        bytes_ = cbor2.dumps({**document, "attStmt": {**statement, "receipt": data}})
        mutant = replace(evidence, attestation=bytes_)
        yield Mutant(kind, mutant, case.expected, Meaning.RECEIPT)
    for absent in (b"", None, 1, [receipt]):
        bytes_ = cbor2.dumps({**document, "attStmt": {**statement, "receipt": absent}})
        yield Mutant("receipt absent", replace(evidence, attestation=bytes_), case.expected)


def _spliced_objects(
    case: Case, document: dict[str, Any], others: Sequence[Case]
) -> Iterator[Mutant]:
    """Yield objects with a part of another one."""
    evidence = case.evidence
    assert isinstance(evidence, AppAttestAttestation)
    statement = document["attStmt"]
    for other in others:
        assert isinstance(other.evidence, AppAttestAttestation)
        theirs = cbor2.loads(other.evidence.attestation)
        their_leaf, _ = theirs["attStmt"]["x5c"]
        x5c = [their_leaf, statement["x5c"][1]]
        parts = (
            {**document, "authData": theirs["authData"]},
            {**document, "attStmt": {**statement, "x5c": x5c}},
            {**document, "attStmt": theirs["attStmt"]},
            theirs,
        )
        for mutated in parts:
            data = cbor2.dumps(mutated)
            for key_id in (evidence.key_id, other.evidence.key_id):
                # The other's own evidence, under the same challenge, is not mutated: it is genuine.
                whole = mutated is theirs and key_id == other.evidence.key_id
                if not (whole and other.expected.binding == case.expected.binding):
                    yield Mutant("spliced", AppAttestAttestation(data, key_id), case.expected)
        receipt = theirs["attStmt"]["receipt"]
        data = cbor2.dumps({**document, "attStmt": {**statement, "receipt": receipt}})
        mutated_evidence = replace(evidence, attestation=data)
        yield Mutant("receipt of another", mutated_evidence, case.expected, Meaning.RECEIPT)


def _forged_objects(case: Case, statement: dict[str, Any]) -> Iterator[Mutant]:
    """Yield objects that the attacker made: under an own vendor, and under Apple's own leaf as a CA."""
    app = case.expected.app
    assert app is not None
    assert isinstance(app.identity, AppleApp)
    leaf, intermediate = statement["x5c"]
    made: dict[str, Any] = {
        "binding": case.expected.binding,
        "app_id": app.identity.app_id,
        "aaguid": app.identity.environment.value,
        "key": own_key(),
        "receipt": statement["receipt"],
    }
    ours = _own_apple().evidence(**made)
    yield Mutant("own vendor", ours, case.expected)
    document = cbor2.loads(ours.attestation)
    own_leaf = document["attStmt"]["x5c"][0]
    for kind, issuer in (("own vendor", intermediate), ("leaf used as a CA", leaf)):
        for forged in (own_leaf, issued_under(own_leaf, issuer)):
            x5c = {**document["attStmt"], "x5c": [forged, issuer]}
            mutated = replace(ours, attestation=cbor2.dumps({**document, "attStmt": x5c}))
            yield Mutant(kind, mutated, case.expected)


@cache
def _own_apple() -> forge.Apple:
    return forge.apple()


def _apple_expectations(case: Case) -> Iterator[Mutant]:
    app = case.expected.app
    assert app is not None
    assert isinstance(app.identity, AppleApp)
    for identity in (
        replace(app.identity, bundle_id=app.identity.bundle_id + "x"),
        replace(app.identity, team_id="OTHER12345"),
    ):
        yield from mutated_expectations(case, replace(app, identity=identity))
    for environment in AppAttestEnvironment:
        if environment is not app.identity.environment:
            other = replace(app, identity=replace(app.identity, environment=environment))
            mutated = replace(case.expected, app=other)
            yield Mutant("expected: other environment", case.evidence, mutated)


@dataclass(frozen=True)
class AssertionCase:
    """Hold an assertion with all that it is verified against."""

    assertion: bytes
    client_data_hash: bytes
    public_key: bytes
    app: AppRegistration


def assertion_mutants(
    case: AssertionCase, positions: int, others: Sequence[AssertionCase] = ()
) -> Iterator[tuple[str, AssertionCase, Meaning]]:
    """Yield mutants of an assertion, and of what it is verified against."""
    data, document = case.assertion, cbor2.loads(case.assertion)
    raw, signature = document["authenticatorData"], document["signature"]

    def put(kind: str, mutated: bytes | dict[str, Any]) -> tuple[str, AssertionCase, Meaning]:
        assertion = mutated if isinstance(mutated, bytes) else cbor2.dumps(mutated)
        return kind, replace(case, assertion=assertion), Meaning.SIGNED

    for region, content in document.items():
        start = data.index(content)
        for mutated in flips(data, start, start + len(content), 8 * positions):
            yield put(region, mutated)
    for mutated in flips(data, 0, len(data), 8 * positions):
        yield put("anywhere", mutated)
    for size in range(len(data)):
        yield put("truncated", data[:size])
    for kind, mutated in (*authenticator_data_mutants(raw), *category_mutants(raw)):
        yield put(kind, {**document, "authenticatorData": mutated})
    for other in others:
        theirs = cbor2.loads(other.assertion)
        yield put("spliced", {**document, "signature": theirs["signature"]})
        if theirs["authenticatorData"] != raw:  # Equal where the app and the counter are.
            yield put("spliced", {**document, "authenticatorData": theirs["authenticatorData"]})
        yield "other key", replace(case, public_key=other.public_key), Meaning.SIGNED
        yield "evidence of another", replace(case, assertion=other.assertion), Meaning.SIGNED
    yield "other key", replace(case, public_key=forge.spki(own_key())), Meaning.SIGNED
    nonce = hashlib.sha256(raw + case.client_data_hash).digest()
    for message in (nonce, raw + case.client_data_hash, case.client_data_hash):
        forged = own_key().sign(message, ECDSA(SHA256()))
        yield put("signed by another", {**document, "signature": forged})
    for mutated in flips(case.client_data_hash, 0, len(case.client_data_hash), positions):
        yield "other challenge", replace(case, client_data_hash=mutated), Meaning.SIGNED
    app = replace(case.app, identity=AppleApp("OTHER12345", "org.example.x"))
    yield "expected: other app", replace(case, app=app), Meaning.SIGNED
    negated_signature = negated(signature)
    assert negated_signature is not None
    free = cbor2.dumps({**document, "signature": negated_signature})
    yield "ECDSA s negated", replace(case, assertion=free), Meaning.UNSIGNED
    added = cbor2.dumps({**document, "more": 1})
    yield "member added", replace(case, assertion=added), Meaning.UNSIGNED
