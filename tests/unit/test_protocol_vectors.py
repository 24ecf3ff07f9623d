"""Show that the service reproduces the protocol's vectors, and that the vectors are up to date."""

import asyncio
import hashlib
import hmac
import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from scripts.pages import sdk_rules
from scripts.protocol_vectors import vectors
from tests.unit.gate.proofs import facts
from tests.unit.gate.simulators import PublishedState, route

from watchword.adapters.anchors import AnchorSet
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Trust,
)
from watchword.client.errors import Problem
from watchword.client.own_token import read_own_token
from watchword.client.pinning.installation import (
    Fetched,
    FilePinStore,
    HttpPinSource,
    Kept,
    PinKeeper,
    PinUpdater,
    Seen,
    SourceError,
)
from watchword.client.pinning.reporter import Reporter, url_of
from watchword.client.proofs import Covered, Freshness, device_proof
from watchword.client.signed_refusals import is_signed
from watchword.client.statement import bound_to
from watchword.encoding import base64url, strict_json
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.service import pairwise_subject
from watchword.enrolment.statement import check_challenge, read_statement
from watchword.gate.interface import GatePolicy
from watchword.gate.references import open_reference
from watchword.gate.service import Gate
from watchword.pins.installed import (
    BuiltinError,
    accept_roots,
    accept_set,
    fresh,
    is_fresh,
    judge,
    read_builtin,
    restored,
)
from watchword.pins.interface import pin_of_certificate
from watchword.pins.reports import parse_report, report_of, write_report
from watchword.policy.service import BALANCED
from watchword.ports import Anchor, EnrolledCounts, VerificationKey
from watchword.public_classes import PublicClass
from watchword.reasons import Reason, RefusedError
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jose import is_signed_by, public_key_from_jwk, thumbprint
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import (
    GateSecret,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
)
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import verify as verify_token
from watchword.vocabulary import Environment, Level, Proof, Purpose

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "protocol-vectors.json").read_text(encoding="utf-8")
)
NOW = datetime.fromisoformat(VECTORS["now"])
ENROLMENTS = {row["kind"]: row for row in VECTORS["enrolments"]}


def registration(platform: str) -> AppRegistration:
    """Return the app of the vectors."""
    name = f"clinic-{platform}"
    app = VECTORS["apps"][name]
    if platform == "ios":
        return AppRegistration(name, AppleApp(app["team_id"], app["bundle_id"]))
    digests = frozenset(bytes.fromhex(text) for text in app["signing_digests"])
    return AppRegistration(name, AndroidApp(app["package"], digests))


class NobodyEnrolled:
    """Know of no instance of any device."""

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See :class:`watchword.enrolment.interface.DeviceHistory`."""
        return EnrolledCounts(0, 0)


def verifier() -> FormatEvidenceVerifier:
    """Return a verifier that trusts the vectors' anchors."""
    rows: list[Mapping[str, str]] = VECTORS["anchors"]
    return FormatEvidenceVerifier(
        Trust(
            AnchorSet(
                Anchor(
                    row["name"],
                    row["vendor"],
                    "lab",
                    b64decode(row["spki"]),
                    b64decode(row["subject"]),
                )
                for row in rows
            )
        ),
        BALANCED,
        NobodyEnrolled(),
    )


@pytest.mark.parametrize("kind", ENROLMENTS)
@pytest.mark.parametrize("purpose", Purpose)
def test_statement_binding_and_challenge(kind: str, purpose: Purpose) -> None:
    """The statement reads, its hash is the binding, its challenge is one of the vectors' key."""
    row = ENROLMENTS[kind][purpose.value]
    raw = base64url.decode(row["statement"])
    statement = read_statement(raw)
    assert statement.binding.hex() == row["binding"] == hashlib.sha256(raw).hexdigest()
    assert statement.purpose is purpose
    assert base64url.encode(statement.challenge) == row["challenge"]
    made = {
        "app": statement.app,
        "purpose": purpose,
        "issuer": VECTORS["issuer"],
        "key": bytes.fromhex(VECTORS["keys"]["challenge"]),
    }
    use = check_challenge(statement.challenge, now=NOW, **made)
    assert use.expires_at == NOW + timedelta(seconds=300)
    with pytest.raises(RefusedError) as caught:
        check_challenge(statement.challenge, now=NOW + timedelta(seconds=300), **made)
    assert caught.value.reason is Reason.CHALLENGE_EXPIRED


@pytest.mark.parametrize("kind", ENROLMENTS)
def test_evidence_of_the_vectors_enrols(kind: str) -> None:
    """The evidence verifies at level hardware under the binding, and under no other one."""
    row = ENROLMENTS[kind]
    app, evidence = registration(row["platform"]), row["enrol"]["evidence"]
    statement = read_statement(base64url.decode(row["enrol"]["statement"]))
    appraised = asyncio.run(verifier().appraise(evidence, statement, app, NOW))
    assert appraised.level is Level.HARDWARE
    other = replace(statement, binding=bytes(32))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(verifier().appraise(evidence, other, app, NOW))
    assert Reason.ATTESTATION_BINDING in {refusal.reason for refusal in caught.value.refusals}


def test_only_android_leaves_the_proof_key_out() -> None:
    """On Android the attested key is the proof key and can't be named before it exists."""
    for row in ENROLMENTS.values():
        members = strict_json.loads(base64url.decode(row["enrol"]["statement"]), 4096)
        assert ("proof_jwk" in members) == (row["platform"] == "ios")


def test_subject_and_reference() -> None:
    """Subjects and references come out as written."""
    row = VECTORS["subject"]
    key = bytes.fromhex(VECTORS["keys"]["pairwise"])
    assert pairwise_subject(row["instance"], row["audience"], key) == row["subject"]
    sealed = open_reference(
        VECTORS["reference"]["ref"], bytes.fromhex(VECTORS["keys"]["reference"])
    )
    assert [reason.code for reason in sealed.reasons] == VECTORS["reference"]["reasons"]
    assert (sealed.route, sealed.at) == (VECTORS["reference"]["route"], int(NOW.timestamp()))


PROOFS: dict[str, Any] = VECTORS["proofs"]
SESSION_KEY: dict[str, Any] = PROOFS["session_key"]


class OneKey:
    """Know the key that signed the vectors' token."""

    def find(self, kid: str) -> VerificationKey | None:
        """See the port."""
        jwk = PROOFS["token_key"]
        return VerificationKey(kid, public_key_from_jwk(jwk)) if kid == thumbprint(jwk) else None


def proof_keys_of_the_vectors() -> ProofKeys:
    """Return the keys of the vectors' token, as a gate makes them after it verified it."""
    expectation = TokenExpectation(VECTORS["issuer"], VECTORS["audience"], Environment.PROD)
    verified = verify_token(PROOFS["token"], expectation, OneKey(), PROOFS["created"])
    secret = GateSecret(SESSION_KEY["epoch"], bytes.fromhex(SESSION_KEY["gate_secret"]))
    return proof_keys(verified, secret)


def test_session_key_of_the_vectors() -> None:
    """It comes out of secret, names and thumbprint, with nothing but one HMAC."""
    keys = proof_keys_of_the_vectors()
    assert keys.thumbprint.decode() == SESSION_KEY["thumbprint"]
    assert keys.session_id.decode() == SESSION_KEY["sid"]
    names = [VECTORS["issuer"], VECTORS["audience"], SESSION_KEY["sid"], SESSION_KEY["thumbprint"]]
    info = b"watchword/session/v1" + b"".join(
        len(name).to_bytes(4) + name.encode() for name in names
    )
    secret = bytes.fromhex(SESSION_KEY["gate_secret"])
    assert hmac.digest(secret, info + b"\x01", "sha256").hex() == SESSION_KEY["key"]
    assert keys.session_key is not None
    assert keys.session_key.hex() == SESSION_KEY["key"]


@pytest.mark.parametrize("row", PROOFS["sealed"]["keys"], ids=lambda row: row["seal_key"]["crv"])
def test_sealed_keys_of_the_vectors_open(row: dict[str, Any]) -> None:
    """By another implementation of HPKE, with the info as the protocol writes it."""
    sealed, session_id = base64url.decode(row["sealed"]), PROOFS["sealed"]["sid"].encode()
    info = b"watchword/seal/v1\0" + bytes.fromhex(PROOFS["sealed"]["binding"])
    info += len(session_id).to_bytes(4) + session_id
    kem, size = {
        "P-256": (KEMId.DHKEM_P256_HKDF_SHA256, 65),
        "X25519": (KEMId.DHKEM_X25519_HKDF_SHA256, 32),
    }[row["seal_key"]["crv"]]
    suite = CipherSuite.new(kem, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    key = KEMKey.from_jwk(json.dumps(row["seal_key"]))
    opened = suite.create_recipient_context(sealed[:size], key, info).open(sealed[size:])
    assert opened.hex() == SESSION_KEY["key"]


SECRET: dict[str, Any] = VECTORS["secret"]


@pytest.mark.parametrize("row", SECRET["keys"], ids=lambda row: row["seal_key"]["crv"])
def test_sealed_secrets_of_the_vectors_open(row: dict[str, Any]) -> None:
    """By another implementation of HPKE, with the info as docs/sealed-delivery.md writes it."""
    parts = (SECRET["app"], SECRET["name"], str(SECRET["version"]), SECRET["lease"])
    info = b"watchword/secret/v1\0" + bytes.fromhex(SECRET["binding"])
    for part in (*parts, str(SECRET["expires_at"])):
        info += len(part.encode()).to_bytes(4) + part.encode()
    assert info.hex() == SECRET["info"]
    sealed = base64url.decode(row["sealed"])
    kem, size = {
        "P-256": (KEMId.DHKEM_P256_HKDF_SHA256, 65),
        "X25519": (KEMId.DHKEM_X25519_HKDF_SHA256, 32),
    }[row["seal_key"]["crv"]]
    suite = CipherSuite.new(kem, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    key = KEMKey.from_jwk(json.dumps(row["seal_key"]))
    opened = suite.create_recipient_context(sealed[:size], key, info).open(sealed[size:])
    assert opened.decode() == SECRET["value"]


def test_secret_of_the_vectors_is_the_statements() -> None:
    """The statement that is bound asks for that secret, for that app; no other statement names one."""
    for row in ENROLMENTS.values():
        assert read_statement(base64url.decode(row["renew"]["statement"])).secret is None
    statement = read_statement(
        base64url.decode(ENROLMENTS["genuine-iphone"]["secret"]["statement"])
    )
    assert statement.binding.hex() == SECRET["binding"]
    assert (statement.app, statement.secret) == (SECRET["app"], SECRET["name"])


@pytest.mark.parametrize("row", PROOFS["requests"], ids=lambda row: row["id"])
@pytest.mark.parametrize(
    ("kind", "verify_proof"),
    [("session", session.verify), ("device", device.verify), ("dpop", dpop.verify)],
)
def test_proofs_of_the_vectors_verify(
    row: dict[str, Any], kind: str, verify_proof: Callable[..., VerifiedProof]
) -> None:
    """The gate's verifiers take them, and don't for another method, host, path or time."""
    headers = {name.lower(): value.encode() for name, value in row[kind].items()}
    proof = ProofHeaders(
        headers.get("signature-input"), headers.get("signature"), headers.get("dpop")
    )
    digest = row["content_digest"]
    path, _, query = row["target"].partition("?")
    assert (row["authority"], row["path"], row["query"]) == (row["host"].lower(), path, query)
    request = SignedRequest(
        PROOFS["token"].encode(),
        row["method"].encode(),
        row["authority"].encode(),
        row["path"].encode(),
        row["query"].encode(),
        None if digest is None else digest.encode(),
    )
    keys, now = proof_keys_of_the_vectors(), PROOFS["created"]
    verified = verify_proof(request, proof, keys, 0, now)
    assert verified.created == now
    if kind == "dpop":
        assert (verified.affinity or b"").decode() == (row["gate_nonce"] or "")
    else:
        assert verified.nonce.decode().startswith(row["gate_nonce"] or "")
        body = row["body"]
        hashed = None if body is None else hashlib.sha256(bytes.fromhex(body)).digest()
        assert verified.body_digest == hashed
    for change in ({"method": b"HEAD"}, {"authority": b"x"}, {"path": b"/x"}):
        with pytest.raises(RefusedError) as caught:
            verify_proof(request._replace(**change), proof, keys, 0, now)
        expected = Reason.PROOF_TARGET if kind == "dpop" else Reason.PROOF_SIGNATURE
        assert caught.value.reason is expected
    with pytest.raises(RefusedError) as caught:
        verify_proof(request, proof, keys, 0, now + 60)
    assert caught.value.reason is Reason.PROOF_EXPIRED


@pytest.mark.parametrize("row", VECTORS["statements"], ids=lambda row: row["id"])
def test_statements_of_the_vectors(row: dict[str, Any]) -> None:
    """The service reads what a statement says, or refuses it; a client's own writing says the same."""
    raw, members = base64url.decode(row["statement"]), row["members"]
    assert hashlib.sha256(raw).hexdigest() == row["binding"]
    assert strict_json.loads(raw, 4096) == members
    if "refused" in row:
        with pytest.raises(RefusedError) as caught:
            read_statement(raw)
        assert caught.value.reason.code == row["refused"]
        return
    statement = read_statement(raw)
    assert statement.bnd == members.get("bnd")
    assert statement.device_for_session is (members.get("prf") == "device")
    assert statement.secret == members.get("secret")
    assert list(statement.audiences) == members["aud"]
    if "header_value" in row:
        assert bound_to(row["header_value"]) == members["bnd"]


def test_instance_of_the_vectors() -> None:
    """The code is spent by the key of the statement, which signs renewals too."""
    row = VECTORS["test_instance"]
    key = public_key_from_jwk(row["proof_jwk"])
    binding, evidence = bytes.fromhex(row["binding"]), row["evidence"]
    assert bytes.fromhex(row["signed"]) == b"watchword/test/v1\0" + binding
    assert re.fullmatch(r"wwt_[A-Za-z0-9_-]{44}", row["code"])
    assert evidence["code"] == row["code"]
    signature = base64url.decode(evidence["key_signature"])
    key.verify(signature, bytes.fromhex(row["signed"]), ECDSA(SHA256()))
    renewal = row["renewal"]
    statement = base64url.decode(renewal["statement"])
    signature = base64url.decode(renewal["evidence"]["signature"])
    key.verify(signature, b"watchword/renew/v1\0" + statement, ECDSA(SHA256()))
    assert hashlib.sha256(statement).digest() == binding


@pytest.mark.parametrize("row", VECTORS["der"]["vectors"], ids=lambda row: row["id"])
def test_der_signatures_of_the_vectors(row: dict[str, Any]) -> None:
    """A client sends r and s, 32 bytes each, whatever their length in DER; what isn't DER is refused."""
    der = bytes.fromhex(row["der"])
    covered = Covered("https", "GET", "api.clinic.example", "/", "", None)
    fresh = Freshness(0, "A" * 22)
    own = read_own_token(PROOFS["token"])
    if row["raw"] is None:
        with pytest.raises(ValueError, match=r"."):
            device_proof(covered, PROOFS["token"], own, lambda _: der, fresh)
        return
    headers = device_proof(covered, PROOFS["token"], own, lambda _: der, fresh)
    raw = b64decode(headers["Signature"].removeprefix("watchword=:").removesuffix(":"))
    assert raw.hex() == row["raw"]
    key = public_key_from_jwk(VECTORS["der"]["key"])
    assert is_signed_by(key, raw, bytes.fromhex(row["message"]))


@pytest.mark.parametrize("row", VECTORS["kinds"]["vectors"], ids=lambda row: row["id"])
def test_kinds_of_the_vectors(row: dict[str, Any]) -> None:
    """A gate takes the device's signature on a session route where the token says so, and no DPoP proof."""
    kinds = VECTORS["kinds"]
    expectation = TokenExpectation(VECTORS["issuer"], VECTORS["audience"], Environment.PROD)
    routes = (route("/**", proof=Proof(row["route"])),)
    secret = GateSecret(SESSION_KEY["epoch"], bytes.fromhex(SESSION_KEY["gate_secret"]))
    jwk = PROOFS["token_key"]
    kid = thumbprint(jwk)
    state = PublishedState(
        keys={kid: VerificationKey(kid, public_key_from_jwk(jwk))},
        policy=GatePolicy("clinic", expectation, routes),
        secrets={secret.epoch: secret},
    )
    gate = Gate(state, memory=MemoryReplayStore(), entropy=SystemEntropy())
    fields = [
        (b"host", kinds["host"].encode()),
        (b"watchword-token", kinds["tokens"][row["token"]].encode()),
    ]
    fields += [(name.lower().encode(), value.encode()) for name, value in row["proof"].items()]
    decision = gate.decide(facts(fields, kinds["target"], kinds["method"]), PROOFS["created"])
    assert [each.reason.code for each in decision.refusals] == (
        [row["refused"]] if row["refused"] else []
    )


def is_believed(row: dict[str, Any]) -> bool:
    """Tell whether a client that sent this statement believes a signed refusal."""
    refusals = VECTORS["refusals"]
    slug = row["type"].removeprefix("urn:watchword:problem:")
    final = {PublicClass.EVIDENCE_REFUSED.slug, PublicClass.INSTANCE_REFUSED.slug}
    return slug in final and is_signed(
        Problem(403, slug, "refused", signed=row["signed"]),
        refusals["jwks"],
        VECTORS["issuer"],
        refusals["app"],
        bytes.fromhex(refusals["binding"]),
    )


@pytest.mark.parametrize("row", VECTORS["refusals"]["vectors"], ids=lambda row: row["id"])
def test_signed_refusals_of_the_vectors(row: dict[str, Any]) -> None:
    """Only one by a published key that names this service, app, statement and class is believed."""
    assert is_believed(row) is row["taken"]


def ids_of(found: Any) -> list[tuple[str, str]]:
    """Return each vector's id, and who can check it."""
    if isinstance(found, list):
        return [each for value in found for each in ids_of(value)]
    if not isinstance(found, dict):
        return []
    own = [(found["id"], found.get("by", "client"))] if "id" in found else []
    return own + ids_of(list(found.values()))


def test_how_many_vectors_there_are() -> None:
    """Every client checks the same number; ids are stable names, each given once."""
    found = ids_of(VECTORS)
    names = [name for name, _ in found]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    by = [who for _, who in found]
    assert VECTORS["count"] == {who: by.count(who) for who in ("client", "optional", "service")}
    assert VECTORS["count"] == {"client": 285, "optional": 3, "service": 19}


def test_every_rule_is_held_by_something() -> None:
    """By a vector, a scenario, or the tests of one side; and who is said to hold a rule does."""
    rows = sdk_rules.held()
    rules = [each.rule for each in rows]
    assert len(set(rules)) == len(rules) > 150
    assert [
        each.rule for each in rows if not (each.vectors or each.scenarios or each.elsewhere)
    ] == []
    named = [rule for names in sdk_rules.ELSEWHERE.values() for rule in names.split()]
    assert set(named) <= set(rules)
    assert [each.rule for each in rows if each.elsewhere and (each.vectors or each.scenarios)] == []
    assert set(sdk_rules.vectors_by_rule(VECTORS)) <= set(rules)


def test_rules_that_are_mentioned_exist() -> None:
    """In the protocol and in the guide, alone or as the ends of a range."""
    protocol = (sdk_rules.DOCS / "protocol.md").read_text(encoding="utf-8")
    rules = {rule for rule, _ in sdk_rules.rules_of(protocol)}
    prefixes = {re.sub(r"[0-9]+", "", rule) for rule in rules}
    guide = (sdk_rules.DOCS / "sdk-guide.md").read_text(encoding="utf-8")
    found = set(re.findall(rf"\b(?:{'|'.join(prefixes)})[0-9]+\b", protocol + guide))
    assert found - rules == set()
    assert len(found) > len(rules) // 2


def test_every_rule_of_the_client_belongs_to_one_of_the_protocol() -> None:
    """Rules of docs/client.md are those of its scenarios; none is left over, and none is invented."""
    text = (sdk_rules.DOCS / "sdk-scenarios.json").read_text(encoding="utf-8")
    known = {rule for each in json.loads(text)["scenarios"] for rule in each["rules"]}
    assert {rule for rules in sdk_rules.SCENARIOS.values() for rule in rules.split()} == known
    protocol = {
        rule
        for rule, _ in sdk_rules.rules_of(
            (sdk_rules.DOCS / "protocol.md").read_text(encoding="utf-8")
        )
    }
    assert set(sdk_rules.SCENARIOS) <= protocol


PINS: dict[str, Any] = VECTORS["pins"]


class Unpublished:
    """Publish nothing, or be out of reach."""

    def __init__(self, *, failing: bool) -> None:
        self._failing = failing

    def roots(self, version: int) -> bytes | None:
        """See the port."""
        if self._failing:
            raise SourceError("out of reach")
        return None

    def newest(self, etag: str | None) -> Fetched | None:
        """See the port."""


class CountingPostman:
    """Count the reports that leave; they arrive or don't."""

    posts = 0
    arrives = True

    def post(self, url: str, body: bytes) -> bool:
        """See the port."""
        self.posts += 1
        return self.arrives


class PhoneWithPins:
    """Go through the steps of a vector as an installed app does, and hold each against what is expected."""

    def __init__(self, vector: dict[str, Any], folder: Path) -> None:
        self.builtin = read_builtin(self.document({"document": vector["builtin"]}))
        self.installed = fresh(self.builtin)
        self.folder = folder
        self.now = 0.0
        self.keeper = PinKeeper(self.installed, clock=lambda: self.now)
        self.postman = CountingPostman()
        self.reporter = Reporter(self.postman)

    @staticmethod
    def document(step: dict[str, Any], member: str = "document") -> bytes:
        """Return a document, with white space behind it up to a size where the step says so."""
        text: str = PINS["documents"][step[member]]
        return text.encode().ljust(step.get("pad_to", 0))

    def assert_step(self, step: dict[str, Any]) -> None:
        """Do one step; a refused one changes nothing."""
        before, refused = self.installed, None
        try:
            getattr(self, f"do_{step['do']}")(step)
        except RefusedError as error:
            refused = error.reason.code
        except BuiltinError:
            refused = "builtin"
        assert refused == step.get("refused")
        assert refused is None or step["do"] == "restart" or self.installed == before
        if "state" in step:
            held = self.installed
            version = None if held.set is None else held.set.version
            found = {"roots": held.roots.version, "set": version, "seen": held.seen}
            assert found == step["state"]

    def do_install(self, step: dict[str, Any]) -> None:
        """Begin with another version of the app."""
        self.builtin = read_builtin(self.document(step))
        self.installed = fresh(self.builtin)

    def do_restart(self, step: dict[str, Any]) -> None:
        """Begin with what a store kept; where that is refused, as the app was built."""
        self.builtin = read_builtin(self.document(step, "builtin"))
        self.installed = fresh(self.builtin)
        lists = [self.document({"document": name}) for name in step["lists"]]
        signed = None if step["set"] is None else self.document(step, "set")
        self.installed = restored(self.builtin, lists, signed)

    def do_roots(self, step: dict[str, Any]) -> None:
        """Read a root list."""
        self.installed = accept_roots(self.installed, self.document(step), step["now"])

    def do_set(self, step: dict[str, Any]) -> None:
        """Read a pin set."""
        self.installed = accept_set(self.installed, self.document(step), step["now"])

    def do_fresh(self, step: dict[str, Any]) -> None:
        """Ask whether to look for a newer set."""
        assert is_fresh(self.installed, step["now"]) is step["expect"]

    def do_pin(self, step: dict[str, Any]) -> None:
        """Take the pin of a certificate."""
        found = pin_of_certificate(b64decode(step["certificate"]))
        assert base64url.encode(found) == step["expect"]

    def do_judge(self, step: dict[str, Any]) -> None:
        """Judge a connection, and say what is told of it."""
        host, chain = step["host"], tuple(map(base64url.decode, step["chain"]))
        judgement = judge(self.installed, host, chain, step["now"])
        assert asdict(judgement) == step["expect"]
        seen = Seen(host, chain, judgement, step["now"], self.installed)
        if "report_to" in step:
            assert url_of(seen) == step["report_to"]
        if "report_document" in step:
            app = self.builtin
            report = report_of(app.app, app.app_version, host, chain, judgement, seen.at)
            assert json.loads(write_report(report)) == step["report_document"]
            assert parse_report(write_report(report), "application/json") == report

    def do_store(self, step: dict[str, Any]) -> None:
        """Keep one state, then another."""
        store = FilePinStore(self.folder / f"{step['kept']}{step['new']}")
        kept, new = (
            Kept(roots_version=each[0], seen=each[1]) for each in (step["kept"], step["new"])
        )
        store.save(kept)
        store.save(new)
        assert store.load() == (new if step["replaced"] else kept)

    def keeper_at(self, now: float) -> PinKeeper:
        """Return what judges connections at a time."""
        self.keeper.replace(self.installed)
        self.now = now
        return self.keeper

    def do_secret(self, step: dict[str, Any]) -> None:
        """Connect, and ask whether a secret may go over it."""
        keeper = self.keeper_at(step["now"])
        keeper.judge(step["host"], tuple(map(base64url.decode, step["chain"])))
        assert keeper.withholds(step["host"]) is step["withheld"]

    def do_connect(self, step: dict[str, Any]) -> None:
        """Open a connection that the next step writes to."""
        keeper = self.keeper_at(step["now"])
        self.connection = (step["host"], tuple(map(base64url.decode, step["chain"])))
        self.generation = keeper.generation
        assert keeper.judge(*self.connection).passes is step["passes"]

    def do_write(self, step: dict[str, Any]) -> None:
        """Write: judged anew only where the keeper says that something has changed."""
        keeper, passes = self.keeper_at(step["now"]), True
        if keeper.generation != self.generation:
            passes = keeper.judge(*self.connection).passes
        assert passes is step["passes"]

    def do_cleartext(self, step: dict[str, Any]) -> None:
        """Send a request without TLS."""
        assert self.keeper_at(step["now"]).refuses_cleartext(step["host"]) is not step["passes"]

    def do_fetch(self, step: dict[str, Any]) -> None:
        """Fetch a set or a root list."""
        body = httpx.ByteStream(b"x" * step["bytes"])
        answer = httpx.Response(step["status"], headers=step["headers"], stream=body)
        source = HttpPinSource(
            VECTORS["issuer"],
            PINS["app"],
            monotonic=lambda: 0.0,
            transport=httpx.MockTransport(lambda _: answer),
        )
        try:
            found = source.newest(None) if step["of"] == "set" else source.roots(1)
            came = "nothing" if found is None else "taken"
        except SourceError:
            came = "failed"
        assert came == step["expect"]

    def updated(self, step: dict[str, Any]) -> PinUpdater:
        """Return an updater whose last fetches failed so many times, or whose only one went well."""
        self.now = step["now"]
        source = Unpublished(failing=step["failures"] > 0)
        jitter = step.get("jitter", 0.5)
        updater = PinUpdater(self.builtin, source, clock=lambda: self.now, jitter=lambda: jitter)
        for _ in range(step["failures"] or 1):
            updater.update()
        return updater

    def do_due(self, step: dict[str, Any]) -> None:
        """Ask when the next fetch is due."""
        updater = self.updated(step)
        self.now += step["expect"] - 1
        assert not updater.is_due()
        self.now += 1
        assert updater.is_due()

    def do_hear(self, step: dict[str, Any]) -> None:
        """Hear of a version."""
        updater = self.updated(step)
        assert not updater.is_due()
        updater.hear(step["version"])
        assert updater.is_due() is step["due"]

    def do_tell(self, step: dict[str, Any]) -> None:
        """Report a mismatch, and see whether the report leaves."""
        chain = (base64url.decode(step["leaf"]),)
        judgement = judge(self.installed, "api.clinic.example", chain, step["now"])
        before, self.postman.arrives = self.postman.posts, step["arrives"]
        self.reporter.notify(
            Seen("api.clinic.example", chain, judgement, step["now"], self.installed)
        )
        self.reporter.close()
        assert self.postman.posts - before == step["sent"]


@pytest.mark.parametrize("row", PINS["vectors"], ids=lambda row: row["id"])
def test_pins_of_the_vectors(row: dict[str, Any], tmp_path: Path) -> None:
    """Each step ends as the vector says."""
    phone = PhoneWithPins(row, tmp_path)
    for step in row["steps"]:
        phone.assert_step(step)


def test_the_file_is_what_the_script_writes() -> None:
    """Whoever changes the protocol sees the vectors change, and writes them anew on purpose."""
    assert json.loads(json.dumps(vectors())) == VECTORS
