"""Android chains beside py_webauthn 3.0.1: the same evidence, and each difference expected, with its reason.

py_webauthn verifies ``android-key`` statements: a chain with a KeyDescription, around which a browser's
authenticator puts a signature by the attested key.  Forged evidence is given to its verifier as a
whole; recorded chains, whose keys nobody has, to its verification of chains and to its schema of the
KeyDescription.  What each difference means stands in docs/divergences.md.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.attestation import forge, peers, recorded

from watchword.attestation.formats.android_key import describe_leaf
from watchword.attestation.interface import AndroidKeyChain, Expected
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances
from watchword.policy.service import BALANCED, appraise_unverified
from watchword.reasons import MalformedError, Reason

pytestmark = [
    pytest.mark.skipif(not peers.are_installed(), reason="the peers aren't installed"),
    # What the peer's libraries warn of in their own code isn't about ours.
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]

ACCEPTS = "accepts"
REFUSES = "InvalidRegistrationResponse"
CLIENT_DATA = peers.client_data(b"challenge")
BINDING = hashlib.sha256(CLIENT_DATA).digest()


def description(**mutated: Any) -> bytes:
    """Return a KeyDescription that py_webauthn's schema can read, unless it is mutated."""
    tags = {"tag_1": forge.tlv(0x31, forge.integer(2)), "tag_4711": None, **mutated.pop("tags", {})}
    options = {"challenge": BINDING, "version": 300, "hardware": forge.hardware_tags(**tags)}
    return forge.key_description(**{**options, **mutated})


@dataclass(frozen=True)
class Row:
    """Hold one chain and what both say of it.

    :param description: how the KeyDescription is mutated; ``vendor``: how its certificates are.
    :param ours: the reason of verification or policy with which we refuse; None accepts.
    """

    what: str
    ours: Reason | None
    peer: str
    description: Mapping[str, Any] = field(default_factory=dict)
    vendor: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


SAME = [
    Row("as it should be", None, ACCEPTS),
    Row(
        "another challenge",
        Reason.ATTESTATION_BINDING,
        REFUSES,
        description={"challenge": b"x" * 32},
    ),
    Row(
        "an imported key",
        Reason.POLICY_KEY_ORIGIN,
        REFUSES,
        description={"tags": {"tag_702": forge.integer(2)}},
    ),
    Row(
        "an issuer that is no CA",
        Reason.ATTESTATION_CHAIN_NOT_CA,
        REFUSES,
        vendor={"intermediate": {"ca": False, "signs": False}},
    ),
    Row(
        "a remotely provisioned issuer that has expired",
        Reason.ATTESTATION_CERTIFICATE_EXPIRED,
        REFUSES,
        vendor={"attester": {"days": (-30, -1)}},
    ),
]
DIFFERENT = [
    Row(
        "a key in software",
        Reason.POLICY_SECURITY_LEVEL,
        ACCEPTS,
        description={"levels": (0, 0)},
        why="WebAuthn leaves levels to the relying party, and py_webauthn doesn't return them",
    ),
    Row(
        "an unlocked bootloader",
        Reason.POLICY_BOOTLOADER_UNLOCKED,
        ACCEPTS,
        description={"tags": {"tag_704": forge.root_of_trust(locked=b"\x00", state=2)}},
        why="the same for the root of trust",
    ),
    Row(
        "an app of another name",
        Reason.POLICY_APP_ID,
        ACCEPTS,
        description={"software": {709: forge.application_id({"org.example.x": 1})}},
        why="a browser's key is no app's key",
    ),
    Row(
        "purposes SIGN and VERIFY",
        None,
        REFUSES,
        description={"tags": {"tag_1": forge.tlv(0x31, forge.integer(2), forge.integer(3))}},
        why="a key that may sign may verify too; WebAuthn asks for SIGN alone",
    ),
    Row(
        "a tag that nobody knows",
        None,
        "PyAsn1Error",
        description={"tags": {"tag_4711": forge.tlv(0x04, b"from the future")}},
        why="its schema ends at the tags of 2019; ours keeps what it doesn't know",
    ),
    Row(
        "versions 1 and 2, without a hash of the boot",
        None,
        "PyAsn1Error",
        description={"version": 2, "tags": {"tag_704": forge.root_of_trust(with_hash=False)}},
        why="its schema demands verifiedBootHash, which came with version 3",
    ),
]


@dataclass(frozen=True)
class Forged:
    """Hold a chain and the WebAuthn statement around it."""

    chain: tuple[bytes, ...]
    statement: bytes
    vendor: forge.Google

    def peer(self, root: bytes | None = None) -> str:
        """Return what py_webauthn says, believing this root or the vendor's."""
        known = [self.vendor.root.der if root is None else root]
        with peers.webauthn_at(forge.NOW):
            return peers.outcome(peers.webauthn_android_key, self.statement, CLIENT_DATA, known)

    def ours(self, **trusted: Any) -> set[Reason]:
        """Return the reasons of verification, or else those of policy."""
        trust = forge.trust(self.vendor.anchor, **trusted)
        expected = Expected(BINDING, forge.ANDROID_APP)
        found = examine(AndroidKeyChain(self.chain), expected, trust, forge.NOW)
        refusals = found.refusals
        if not refusals:
            assert found.claims is not None
            circumstances = Circumstances(forge.NOW)
            refusals = appraise_unverified(
                found.claims, forge.ANDROID_APP, BALANCED, circumstances
            ).refusals
        return {refusal.reason for refusal in refusals}


def forged(
    content: bytes, vendor: forge.Google, *, drop_root: bool = False, root: bytes | None = None
) -> Forged:
    """Return a chain under a vendor, and a statement signed by its leaf."""
    key = forge.p256()
    above = (vendor.attester, *vendor.between, vendor.intermediate)
    parties = (vendor.leaf(content, key=key), *above)
    last = () if drop_root else (root or vendor.root.der,)
    chain = (*(party.der for party in parties), *last)
    data = forge.authenticator_data(key, app_id=peers.RP_ID, flags=0x45)
    signature = key.sign(data + BINDING, ECDSA(SHA256()))
    return Forged(chain, peers.webauthn_object(chain, signature, data), vendor)


@pytest.mark.parametrize("row", [*SAME, *DIFFERENT], ids=lambda row: row.what)
def test_chains(row: Row) -> None:
    """Both refuse, or both accept, but where the table has a reason."""
    made = forged(description(**row.description), forge.remote_google(**row.vendor))
    reasons = made.ours(revoked={})
    assert made.peer() == row.peer
    assert (row.ours in reasons) if row.ours else reasons == set()
    assert bool(row.why) == ((row.ours is None) != (row.peer == ACCEPTS))


def test_revoked_certificate() -> None:
    """py_webauthn knows no status list."""
    vendor = forge.remote_google()
    made = forged(description(), vendor)
    assert made.peer() == ACCEPTS
    revoked = {vendor.attester.serial_hex: "REVOKED"}
    assert made.ours(revoked=revoked) == {Reason.ATTESTATION_REVOKED}


def test_key_description_in_an_issuer() -> None:
    """Whoever owns an attested key can sign a further certificate with a description of their own."""
    plain = forge.remote_google()
    extensions = [(forge.KEY_DESCRIPTION, description())]
    name = plain.attester.certificate.subject
    attester = forge.certify(name, plain.between[0], extensions=extensions)
    made = forged(description(), replace(plain, attester=attester))
    assert made.peer() == ACCEPTS
    assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in made.ours(revoked={})


def test_root_that_was_left_out() -> None:
    """Its own bytes prove nothing; py_webauthn takes the last certificate for the root."""
    made = forged(description(), forge.remote_google(), drop_root=True)
    assert made.peer() == REFUSES
    assert made.ours(revoked={}) == set()


def test_root_that_was_issued_again() -> None:
    """py_webauthn compares roots as text, so that each re-issue needs a release of it."""
    vendor = forge.remote_google()
    subject = vendor.root.certificate.subject
    again = forge.certify(subject, None, key=vendor.root.key, days=(-1, 900)).der
    made = forged(description(), vendor, root=again)
    assert made.peer(again) == ACCEPTS
    assert made.peer(vendor.root.der) == REFUSES
    assert made.ours(revoked={}) == set()


def test_factory_certificate_that_has_expired() -> None:
    """Factory keys can't be certified again: their dates are let pass, and told."""
    made = forged(
        description(), forge.google(attester={"days": (-900, -1)}, root={"days": (-9, 9)})
    )
    assert made.peer() == REFUSES
    assert made.ours(revoked={}) == set()


def test_leaf_as_a_ca() -> None:
    """Both refuse what an attested key has signed."""
    vendor = forge.remote_google()
    owned = vendor.leaf(description())
    attacker = forge.Google(vendor.root, owned, owned)
    key = forge.p256()
    leaf = attacker.leaf(description(), key=key)
    chain = tuple(
        party.der
        for party in (
            leaf,
            owned,
            vendor.attester,
            *vendor.between,
            vendor.intermediate,
            vendor.root,
        )
    )
    data = forge.authenticator_data(key, app_id=peers.RP_ID, flags=0x45)
    signature = key.sign(data + BINDING, ECDSA(SHA256()))
    made = Forged(chain, peers.webauthn_object(chain, signature, data), vendor)
    assert made.peer() == REFUSES
    assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in made.ours(revoked={})


needs_recorded = pytest.mark.skipif(
    not recorded.are_here(), reason="the recorded evidence isn't here"
)


def _known_roots() -> list[bytes]:
    """Return the roots that py_webauthn ships for this format."""
    module = peers.module("webauthn.helpers.known_root_certs")
    return [
        peers.der(value)
        for name, value in vars(module).items()
        if name.startswith("google_hardware_attestation_root_")
    ]


@needs_recorded
def test_recorded_chains() -> None:
    """Of 179 chains we verify 149 up to Google's roots, and py_webauthn 53 of the same."""
    roots, trust = _known_roots(), recorded.trust()
    table: Counter[tuple[str, str]] = Counter()
    for row in recorded.rows(recorded.ANDROID):
        if row["kind"] != "android-key-attestation":
            continue
        chain, now = recorded.pem_chain(row), datetime.fromisoformat(row["valid_at"])
        found = examine(AndroidKeyChain(chain), Expected(None, None), trust, now)
        reasons = sorted({refusal.reason.code for refusal in found.refusals})
        with peers.webauthn_at(now):
            said = peers.outcome(peers.webauthn_chain, chain, roots)
        table["+".join(reasons) or ACCEPTS, said] += 1
    assert table == RECORDED_CHAINS


UNKNOWN = Reason.ATTESTATION_ANCHOR_UNKNOWN.code
RECORDED_CHAINS: Mapping[tuple[str, str], int] = {
    (ACCEPTS, ACCEPTS): 53,
    # Google's root in a copy that py_webauthn doesn't ship: compared as text, not by key.
    (ACCEPTS, "LookupError"): 64,
    # OpenSSL's rules: issuers that aren't marked as CAs (23), that it doesn't find (8), or that begin later.
    (ACCEPTS, "InvalidCertificateChain"): 32,
    # Software roots, and chains without an end: refused by both.
    (UNKNOWN, "LookupError"): 17,
    (UNKNOWN, "InvalidCertificateChain"): 9,
    (f"{UNKNOWN}+attestation.chain_length", "InvalidCertificateChain"): 2,
    (f"{UNKNOWN}+evidence.malformed", "LookupError"): 1,
    # The one chain that is revoked: py_webauthn would refuse it for its root's copy alone.
    ("attestation.revoked", "LookupError"): 1,
}


@needs_recorded
def test_recorded_key_descriptions() -> None:
    """Its schema reads 129 of 178; what both read is the same."""
    read: Counter[str] = Counter()
    for row in recorded.rows(recorded.ANDROID):
        if row["kind"] != "android-key-attestation":
            continue
        leaf = recorded.pem_chain(row)[0]
        try:
            ours = describe_leaf(leaf)
        except MalformedError:
            read["neither"] += 1
            continue
        theirs = peers.webauthn_description_of_leaf(leaf)
        if theirs is None:
            read["ours alone"] += 1
            continue
        read["both"] += 1
        for name in ("attestationVersion", "attestationChallenge"):
            assert theirs[name] == ours[name], row["id"]
        assert theirs["origin"] == ours["hardwareEnforced"].get("origin"), row["id"]
    assert read == {"both": 129, "ours alone": 49, "neither": 1}


@needs_recorded
def test_recorded_statements_of_browsers() -> None:
    """Six statements of specifications and old samples: none ends at a root that either believes."""
    said = {}
    for row in recorded.rows(recorded.ANDROID):
        if row["kind"] != "webauthn-android-key":
            continue
        data = (recorded.ANDROID / row["file"]).read_bytes()
        client_data = recorded.decoded_client_data(row)
        now = datetime.fromisoformat(row["valid_at"])
        with peers.webauthn_at(now):
            peer = peers.outcome(peers.webauthn_android_key, data, client_data)
        chain = tuple(cbor2.loads(data)["attStmt"]["x5c"])
        expected = Expected(hashlib.sha256(client_data).digest(), None)
        found = examine(AndroidKeyChain(chain), expected, recorded.trust(), now)
        said[row["id"]] = (peer, bool(found.refusals))
    assert len(said) == 6
    assert set(said.values()) == {(REFUSES, True)}
