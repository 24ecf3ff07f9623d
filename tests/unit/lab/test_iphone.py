"""Look at what a simulated iPhone issues with cbor2 and cryptography alone."""

import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup
from watchword.lab.apple import read_own
from watchword.lab.phones.iphone import IPhone
from watchword.lab.phones.kinds import IPHONES
from watchword.vocabulary import AppAttestEnvironment

BINDING = hashlib.sha256(b"statement").digest()
NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")


def build(setup: PhoneSetup, app: InstalledIosApp, kind: str = "genuine-iphone") -> IPhone:
    """Return a phone of a kind from the registry."""
    phone = PHONES[kind].build(app, setup)
    assert isinstance(phone, IPhone)
    return phone


def read(phone: IPhone) -> tuple[dict[str, Any], list[x509.Certificate], bytes]:
    """Return the attestation object, its certificates and the key id."""
    evidence = phone.attest(BINDING)
    assert set(evidence) == {"format", "attestation", "key_id"}
    assert evidence["format"] == "app-attest"
    document = cbor2.loads(base64url.decode(evidence["attestation"]))
    chain = [x509.load_der_x509_certificate(der) for der in document["attStmt"]["x5c"]]
    return document, chain, base64url.decode(evidence["key_id"])


def leaf_key(chain: list[x509.Certificate]) -> ec.EllipticCurvePublicKey:
    """Return the attested key."""
    key = chain[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_the_chain_leads_to_the_lab_root(
    setup: PhoneSetup, ios_app: InstalledIosApp, authorities: LabAuthorities
) -> None:
    """Two certificates: the leaf under the intermediate, that under the lab's Apple root."""
    document, chain, _ = read(build(setup, ios_app))
    assert document["fmt"] == "apple-appattest"
    assert set(document) == {"fmt", "attStmt", "authData"}
    assert set(document["attStmt"]) == {"x5c", "receipt"}
    leaf, intermediate = chain
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(authorities.apple_root.certificate)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_leaf_is_valid_now_and_short_lived(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """Like Apple's, the credential certificate lives for three days around its issue."""
    leaf = read(build(setup, ios_app))[1][0]
    now = setup.clock.now()
    assert leaf.not_valid_before_utc < now < leaf.not_valid_after_utc
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 3


def test_the_nonce_binds_the_statement(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """The extension holds SHA-256(authData || binding) in SEQUENCE { [1] OCTET STRING }."""
    document, chain, _ = read(build(setup, ios_app))
    extension = chain[0].extensions.get_extension_for_oid(NONCE).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    nonce = hashlib.sha256(document["authData"] + BINDING).digest()
    assert extension.value == bytes.fromhex("3024a1220420") + nonce


def test_authenticator_data_names_app_key_and_environment(
    setup: PhoneSetup, ios_app: InstalledIosApp
) -> None:
    """rpIdHash, flags, counter, AAGUID, credential id and COSE key are Apple's."""
    document, chain, key_id = read(build(setup, ios_app))
    data = document["authData"]
    assert data[:32] == hashlib.sha256(b"ABCDE12345.com.example.clinic").digest()
    assert data[32:37] == b"\x40\x00\x00\x00\x00"
    assert data[37:53] == b"appattest" + bytes(7)
    assert data[53:55] == b"\x00\x20"
    point = leaf_key(chain).public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert data[55:87] == key_id == hashlib.sha256(point).digest()
    stream = io.BytesIO(data[87:])
    cose = cbor2.load(stream)
    assert cose == {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
    assert cbor2.load(stream) == {
        "apple_bundle_version_01": "7.2",
        "apple_validation_category_01": b"\x04\x00\x00\x00",
    }
    assert stream.read() == b""


def extensions(certificate: x509.Certificate) -> set[str]:
    """Return the names of a certificate's extensions."""
    return {extension.oid.dotted_string for extension in certificate.extensions}


def test_before_ios_27_nothing_follows_the_key(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """A phone with iOS 26 has the classic layout; one with iOS 17 leaves without what came after."""
    old, new = build(setup, ios_app, "ios-26-iphone"), build(setup, ios_app)
    (old_object, old_chain, _), (new_object, new_chain, _) = read(old), read(new)
    old_data, new_data = old_object["authData"], new_object["authData"]
    added = {"2.5.29.37", "1.2.840.113635.100.8.6"}
    oldest_chain = read(build(setup, ios_app, "ios-17-iphone"))[1]
    assert extensions(new_chain[0]) == extensions(old_chain[0])
    assert extensions(new_chain[0]) == extensions(oldest_chain[0]) | added
    assert not extensions(oldest_chain[0]) & added
    assert new_data.startswith(old_data)
    assert len(old_data) < len(new_data)
    assert (
        len(cbor2.loads(base64url.decode(old.renew(b"s")["assertion"]))["authenticatorData"]) == 37
    )


def test_development_builds_say_so(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """An app from Xcode attests under the other AAGUID, whoever says so: the app or the kind of phone."""
    app = replace(ios_app, environment=AppAttestEnvironment.DEVELOPMENT)
    for phone in (build(setup, app), build(setup, ios_app, "development-iphone")):
        document = read(phone)[0]
        assert document["authData"][37:53] == b"appattestdevelop"
        said = read_own(document["attStmt"]["receipt"], setup.authorities.receipts)
        assert said.environment == "sandbox"


def test_the_receipt_is_that_of_the_attestation(
    setup: PhoneSetup, ios_app: InstalledIosApp
) -> None:
    """Apple's receipt names the app, the leaf, the client data hash and the moment."""
    document, _, _ = read(build(setup, ios_app))
    said = read_own(document["attStmt"]["receipt"], setup.authorities.receipts)
    assert said.app_id == ios_app.app_id
    assert said.certificate == document["attStmt"]["x5c"][0]
    assert said.client_hash == BINDING
    assert said.environment == "production"
    assert said.created_at == setup.clock.now()
    assert said.risk_metric is None


def test_receipts_of_phones_that_hide_something(
    setup: PhoneSetup, ios_app: InstalledIosApp
) -> None:
    """One has none, one has another device's; both attest their own key as genuine phones do."""
    bare = read(build(setup, ios_app, "receiptless-iphone"))[0]["attStmt"]
    assert set(bare) == {"x5c"}
    swapped = read(build(setup, ios_app, "swapped-receipt-iphone"))[0]["attStmt"]
    said = read_own(swapped["receipt"], setup.authorities.receipts)
    assert said.app_id == ios_app.app_id
    assert said.certificate != swapped["x5c"][0]
    assert swapped["x5c"] == bare["x5c"]


def test_a_broker_is_one_device_with_many_keys(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """Apple's token names the device to Apple: the same for all brokers, another for each other phone."""

    def device(name: str, kind: str) -> str:
        phone = build(replace(setup, name=name), ios_app, kind)
        receipt = read(phone)[0]["attStmt"]["receipt"]
        return read_own(receipt, setup.authorities.receipts).token[:40]

    assert device("a", "broker-iphone") == device("b", "broker-iphone")
    assert device("a", "genuine-iphone") != device("b", "genuine-iphone")
    assert device("a", "genuine-iphone") != device("a", "broker-iphone")


def test_a_clone_repeats_its_counter(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """Each renewal starts from the copy."""
    clone = build(setup, ios_app, "cloned-iphone")
    counters = []
    for statement in (b"one", b"two"):
        assertion = cbor2.loads(base64url.decode(clone.renew(statement)["assertion"]))
        counters.append(int.from_bytes(assertion["authenticatorData"][33:37], "big"))
    assert counters == [1, 1]


def test_assertions_count_up_and_verify(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """Each renewal has the next counter and is signed by the attested key over its statement."""
    phone = build(setup, ios_app)
    key = leaf_key(read(phone)[1])
    for count, statement in enumerate((b"one", b"two", b"three"), start=1):
        evidence = phone.renew(statement)
        assert set(evidence) == {"format", "assertion"}
        assertion = cbor2.loads(base64url.decode(evidence["assertion"]))
        data = assertion["authenticatorData"]
        assert data[:37] == (
            hashlib.sha256(b"ABCDE12345.com.example.clinic").digest()
            + b"\x40"
            + count.to_bytes(4, "big")
        )
        nonce = hashlib.sha256(data + hashlib.sha256(statement).digest()).digest()
        key.verify(assertion["signature"], nonce, ec.ECDSA(hashes.SHA256()))
    assert phone.counter == 3


def test_new_keys_are_new_and_start_from_zero(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """A new enrolment attests another key, with another proof and seal key."""
    phone = build(setup, ios_app)
    phone.renew(b"statement")
    before = (read(phone)[2], phone.proof_jwk, phone.seal_jwk)
    phone.create_keys()
    after = (read(phone)[2], phone.proof_jwk, phone.seal_jwk)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert phone.counter == 0
    assert after[1] != after[2]


def test_a_phone_comes_back_from_generation_and_counter(
    setup: PhoneSetup, ios_app: InstalledIosApp
) -> None:
    """The same seed, name, generation and counter are the same phone."""
    phone = build(setup, ios_app)
    phone.create_keys()
    phone.renew(b"first")
    again = build(replace(setup, generation=phone.generation, counter=phone.counter), ios_app)
    assert again.attest(BINDING) == phone.attest(BINDING)
    assert again.renew(b"second") == phone.renew(b"second")


def test_phones_of_two_names_share_no_key(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """A second phone is another instance."""
    one, two = build(setup, ios_app), build(replace(setup, name="other"), ios_app)
    assert read(one)[2] != read(two)[2]
    assert one.seal_jwk != two.seal_jwk


def test_the_copycat_differs_in_the_app_id_alone(
    setup: PhoneSetup, ios_app: InstalledIosApp
) -> None:
    """A genuine phone vouches for another developer's app: only rpIdHash gives it away."""
    genuine, copycat = (
        read(build(setup, ios_app, kind))[0]["authData"]
        for kind in ("genuine-iphone", "wrong-app-iphone")
    )
    assert genuine[:32] != copycat[:32]
    assert genuine[32:] == copycat[32:]


def test_an_android_app_does_not_run_on_it(setup: PhoneSetup, android_app: Any) -> None:
    """The platform of app and phone must be one."""
    with pytest.raises(ValueError, match="expected one for iOS"):
        PHONES["genuine-iphone"].build(android_app, setup)


def test_the_page_lists_each_kind_with_what_comes_of_it() -> None:
    """docs/lab.md has each iPhone as the registry describes it, with its reasons or its level."""
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    for kind, model in IPHONES.items():
        (row,) = re.findall(rf"^\| `{kind}` \| (.*) \|$", page, re.MULTILINE)
        summary, _, result = row.partition(" | ")
        assert summary == model.summary
        expected = model.expected
        said = [f"`{reason.code}`" for reason in expected.reasons]
        assert result.startswith(", ".join(said) or f"accepted, level `{expected.level}`")
        assert all(f"`{name}`" in result for name in expected.leniencies if not said)


def test_repr_shows_no_key(setup: PhoneSetup, ios_app: InstalledIosApp) -> None:
    """A phone prints its name and app."""
    assert repr(build(setup, ios_app)) == (
        "IPhone(name='phone', app='ABCDE12345.com.example.clinic')"
    )
