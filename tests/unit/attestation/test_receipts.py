"""Receipts: what Apple's look like, each way of forging one, and refreshed ones against their forerunners."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge, forge_receipts
from tests.unit.attestation.forge_receipts import (
    DATA,
    ECDSA_SHA384,
    MESSAGE_DIGEST,
    SHA384,
    Signers,
    attribute,
    attributes_of,
    fields,
    payload,
    sign,
    text_of,
)

from watchword.adapters.anchors import AnchorSet, packaged_anchors
from watchword.attestation import receipts
from watchword.attestation.claims import ReceiptClaims, ReceiptKind
from watchword.attestation.interface import Trust
from watchword.attestation.receipts import (
    LENIENT_ATTRIBUTES,
    ReceiptExamination,
    examine_receipt,
    examine_refreshed,
    next_attempt,
    next_due,
    read_receipt,
)
from watchword.encoding import der
from watchword.reasons import MalformedError, Reason, RefusedError

KEY = forge.p256()
SPKI = forge.spki(KEY)
DAY = timedelta(days=1)
VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation" / "apple"


@dataclass
class Remembered:
    """Implement the port of issuers with a dictionary, and count."""

    values: dict[bytes, object] = field(default_factory=dict)
    found: int = 0

    def find(self, digest: bytes) -> object | None:
        """Return what was remembered."""
        value = self.values.get(digest)
        self.found += value is not None
        return value

    def remember(self, digest: bytes, value: object) -> None:
        """Remember."""
        self.values[digest] = value

    def clear(self) -> None:
        """Forget."""
        self.values.clear()


@pytest.fixture(scope="module")
def vendor() -> Signers:
    """Return Apple's authorities for receipts."""
    return forge_receipts.signers()


def examined(vendor: Signers, data: bytes) -> ReceiptExamination:
    """Examine a receipt under a vendor that is trusted."""
    return examine_receipt(data, forge.trust(vendor.anchor))


def fault(vendor: Signers, data: bytes) -> str:
    """Return the one thing that is wrong, whose reason is always the signature's."""
    found = examined(vendor, data)
    assert {refusal.reason for refusal in found.refusals} == {Reason.APP_ATTEST_RECEIPT_SIGNATURE}
    return found.refusals[0].detail


def made(vendor: Signers, **mutated: Any) -> bytes:
    """Return a receipt for the key."""
    return forge_receipts.receipt(vendor, SPKI, **mutated)


# What is right


def test_receipt_of_an_attestation(vendor: Signers) -> None:
    """It verifies to the root, and every field is read."""
    found = examined(vendor, made(vendor))
    assert found.refusals == ()
    assert found.leniencies == ()
    assert found.receipt is not None
    created = forge.NOW - timedelta(seconds=3)
    assert found.receipt.claims() == ReceiptClaims(
        kind=ReceiptKind.ATTEST,
        app_id=forge.APPLE_APP.app_id,
        created_at=created,
        expires_at=created + 90 * DAY,
    )
    assert found.receipt.client_hash == forge.BINDING
    assert found.receipt.environment == "production"
    assert found.receipt.token not in repr(found)
    assert found.receipt.is_for_key(b"leaf", SPKI)


def test_refreshed_receipt_states_the_risk_metric(vendor: Signers) -> None:
    """Field 17 counts attestations, field 19 says when there may be a newer one."""
    found = examined(vendor, made(vendor, kind="RECEIPT"))
    assert found.refusals == ()
    assert found.receipt is not None
    claims = found.receipt.claims()
    assert (claims.kind, claims.risk_metric) == (ReceiptKind.RECEIPT, 2)
    assert claims.refresh_after == claims.created_at + DAY


def test_der_is_ber_too(vendor: Signers) -> None:
    """Definite lengths and a content in one piece are read as well."""
    assert examined(vendor, made(vendor, signing={"definite": True})).refusals == ()


def test_field_3_is_a_certificate_or_a_key(vendor: Signers) -> None:
    """Apple puts the leaf there; its documentation says key.  Another certificate of the key is the key's."""
    leaf = forge.certify(forge.name(common_name="leaf"), None, key=KEY)
    again = forge.certify(forge.name(common_name="again"), None, key=KEY)
    other = forge.certify(forge.name(common_name="other"), None)
    for value in (leaf.der, again.der, SPKI, forge.point(KEY)):
        receipt = read_receipt(made(vendor, field_3=value))
        assert receipt.is_for_key(leaf.der, SPKI)
    for value in (other.der, forge.spki(other.key), b"", b"0"):
        receipt = read_receipt(made(vendor, field_3=value))
        assert not receipt.is_for_key(leaf.der, SPKI)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (b"2020-11-27T22:41:40.46Z", datetime(2020, 11, 27, 22, 41, 40, 460_000, UTC)),
        (b"2020-11-27T22:41:40Z", datetime(2020, 11, 27, 22, 41, 40, 0, UTC)),
        (b"2020-11-27T22:41:40.123456789Z", datetime(2020, 11, 27, 22, 41, 40, 123_456, UTC)),
    ],
)
def test_times_have_any_number_of_decimals(vendor: Signers, text: bytes, at: datetime) -> None:
    """Apple leaves zeros at the end out."""
    assert read_receipt(made(vendor, field_12=text)).created_at == at


# Who signed


def test_another_root(vendor: Signers) -> None:
    """Apple's names under somebody else's keys."""
    other = forge_receipts.signers()
    assert "none of 1 known keys" in fault(vendor, made(other))
    assert "none of 0 known keys" in examine_receipt(made(vendor), forge.trust()).refusals[0].detail


def test_another_signers_key(vendor: Signers) -> None:
    """The right certificates, and a signature by a key that isn't theirs."""
    mutated = made(vendor, signing={"by": forge.p256()})
    assert "not signed by the key" in fault(vendor, mutated)


def test_changed_content(vendor: Signers) -> None:
    """A signature over another content."""
    mutated = made(vendor, signing={"message": b"other"})
    assert "not signed by the key" in fault(vendor, mutated)


def test_certificate_for_another_purpose() -> None:
    """Apple's intermediate issues certificates for many purposes; one without the marker signs no receipts."""
    vendor = forge_receipts.signers(signer={"extensions": []})
    assert "isn't one for receipts" in fault(vendor, made(vendor))


def test_signer_below_a_leaf(vendor: Signers) -> None:
    """The owner of any certificate of Apple's can't issue a signer of his own."""
    leaf = forge.certify(forge.name(common_name="leaf"), vendor.intermediate, ca=False, signs=False)
    own = forge.certify(
        forge.name(common_name="own"),
        leaf,
        ca=False,
        signs=False,
        extensions=[(forge_receipts.MARKER, b"\x05\x00")],
    )
    below = Signers(vendor.root, vendor.intermediate, own)
    enclosed = [own.der, leaf.der, vendor.intermediate.der, vendor.root.der]
    assert "isn't a CA" in fault(vendor, made(below, signing={"enclosed": enclosed}))


@pytest.mark.parametrize("mutated", [{"ca": False}, {"ca": None}, {"signs": False}])
def test_intermediate_must_be_a_ca(mutated: Mapping[str, Any]) -> None:
    """An issuer that may not sign certificates has signed nothing."""
    vendor = forge_receipts.signers(intermediate=mutated)
    assert "certificate 1" in fault(vendor, made(vendor))


def test_signer_must_not_be_a_ca() -> None:
    """Neither a marked CA nor the root itself signs receipts."""
    vendor = forge_receipts.signers(signer={"ca": True, "signs": True})
    assert "is a CA" in fault(vendor, made(vendor))
    root = Signers(vendor.root, vendor.intermediate, vendor.root)
    alone = made(root, signing={"enclosed": [vendor.root.der]})
    assert "is a CA" in fault(vendor, alone)


def test_signed_by_another_than_its_issuer(vendor: Signers) -> None:
    """A signer that names Apple's intermediate, and isn't signed by it."""
    impostor = forge.Party(vendor.intermediate.certificate, forge.p256())
    own = forge.certify(
        forge.name(common_name="own"),
        impostor,
        ca=False,
        signs=False,
        extensions=[(forge_receipts.MARKER, b"\x05\x00")],
    )
    mutated = Signers(vendor.root, vendor.intermediate, own)
    assert "isn't signed by the key of certificate 1" in fault(vendor, made(mutated))


def test_enclosed_certificates(vendor: Signers) -> None:
    """Any order, and with or without the root; not without the signer or its issuer, not twice the signer."""
    signer, intermediate, root = vendor.signer.der, vendor.intermediate.der, vendor.root.der
    for order in (
        *itertools.permutations([signer, intermediate, root]),
        (signer, intermediate),
    ):
        assert examined(vendor, made(vendor, signing={"enclosed": order})).refusals == ()
    for enclosed, why in (
        ([intermediate, root], "isn't enclosed"),
        ([signer, signer, intermediate, root], "more than one"),
        ([signer, root], "none of 1 known keys"),
        ([signer], "none of 1 known keys"),
        ([], "expected 1 to 4"),
        ([signer, intermediate, root, root, root], "expected 1 to 4"),
    ):
        assert why in fault(vendor, made(vendor, signing={"enclosed": enclosed}))


@pytest.mark.parametrize("party", ["signer", "intermediate"])
@pytest.mark.parametrize("days", [(-9, -1), (1, 9)])
def test_certificates_were_valid_when_it_was_made(party: str, days: tuple[int, int]) -> None:
    """Not today but then: a receipt outlives its signer's certificate."""
    vendor = forge_receipts.signers(**{party: {"days": days}})
    assert "wasn't valid when it was made" in fault(vendor, made(vendor))
    then = forge.NOW + timedelta(days=sum(days) // 2)
    assert examined(vendor, made(vendor, created=then)).refusals == ()


def test_signers_are_remembered_by_all_that_vouches_for_them(vendor: Signers) -> None:
    """The chain is verified once; other bytes, and anchors that are gone, are judged anew."""
    issuers = Remembered()
    trust = Trust(forge.Anchors([vendor.anchor]), issuers=issuers)
    for _ in range(3):
        assert examine_receipt(made(vendor), trust).refusals == ()
    assert (len(issuers.values), issuers.found) == (1, 2)
    # Remembered is the chain; signature, dates and anchors aren't.
    forged = made(vendor, signing={"by": forge.p256()})
    assert examine_receipt(forged, trust).refusals != ()
    assert examine_receipt(made(vendor, created=forge.NOW + 99 * DAY), trust).refusals != ()
    distrusted = Trust(forge.Anchors([]), issuers=issuers)
    assert examine_receipt(made(vendor), distrusted).refusals != ()
    other = forge_receipts.signers()
    assert examine_receipt(made(other), trust).refusals != ()
    assert len(issuers.values) == 1


def test_nobody_fills_the_memory_of_signers(vendor: Signers) -> None:
    """Receipts that don't hold aren't remembered, nor strays around one that does."""
    issuers = Remembered()
    trust = Trust(forge.Anchors([vendor.anchor]), issuers=issuers)
    signer, intermediate, root = vendor.signer.der, vendor.intermediate.der, vendor.root.der
    stray = forge.certify(forge.name(common_name="stray"), None).der
    copied = forge.certify(
        vendor.root.certificate.subject,
        forge.Party(vendor.root.certificate, forge.p256()),
        key=vendor.root.key,
    )
    for signing in (
        {"by": forge.p256()},
        {"enclosed": [signer, intermediate, root, stray]},
        {"enclosed": [signer, intermediate, copied.der]},
    ):
        examine_receipt(made(vendor, signing=signing), trust)
        assert issuers.values == {}
    good = made(vendor, signing={"enclosed": [signer, intermediate, root, stray]})
    assert examine_receipt(good, trust).refusals == ()
    assert examine_receipt(made(vendor), trust).refusals == ()
    assert len(issuers.values) == 1


# What is signed


def test_signed_attributes_by_the_letter(vendor: Signers) -> None:
    """With attributes the signature is over them, sorted; they name the content's type and digest."""
    content = payload(list(fields(SPKI).items()))
    attributes = attributes_of(content)
    for order in (attributes, attributes[::-1]):
        found = examined(vendor, sign(vendor, content, attributes=order))
        assert (found.refusals, found.leniencies) == ((), ())


def test_signature_beside_attributes_is_let_pass_and_told(vendor: Signers) -> None:
    """Apple signed the content although there were attributes, in 2020; what is believed is what is signed."""
    content = payload(list(fields(SPKI).items()))
    found = examined(
        vendor, sign(vendor, content, attributes=attributes_of(content), message=content)
    )
    assert (found.refusals, found.leniencies) == ((), (LENIENT_ATTRIBUTES,))


def test_attributes_that_do_not_fit(vendor: Signers) -> None:
    """Missing, of another content, of another type, twice: whatever they are signed over."""
    content = payload(list(fields(SPKI).items()))
    kind, digest = attributes_of(content)
    other = attribute(MESSAGE_DIGEST, forge.tlv(0x04, bytes(32)))
    number = attribute(MESSAGE_DIGEST, forge.integer(1))
    wrong_type = attribute(forge_receipts.CONTENT_TYPE, forge_receipts.SIGNED_DATA)
    for attributes in ([], [kind], [digest], [kind, other], [kind, number], [wrong_type, digest]):
        for message in (None, content):
            mutated = sign(vendor, content, attributes=attributes, message=message)
            assert "not signed by the key" in fault(vendor, mutated)
    assert "twice" in fault(vendor, sign(vendor, content, attributes=[kind, digest, digest]))


def test_attributes_cannot_pass_for_a_receipt(vendor: Signers) -> None:
    """Whoever has a signature over attributes can't present these as content."""
    content = forge.tlv(0x31, *attributes_of(b"anything"))
    assert "two INTEGERs and an OCTET STRING" in fault(vendor, sign(vendor, content))


def test_one_signer_with_one_algorithm(vendor: Signers) -> None:
    """No signer, two signers, another digest, another algorithm, another content type."""
    stranger = forge_receipts.signers()
    for signing, why in (
        ({"infos": lambda _: []}, "got 0 members of a set of signers"),
        ({"infos": lambda info: [info, info]}, "got 2 members of a set of signers"),
        ({"digest": SHA384}, "another digest"),
        ({"algorithm": ECDSA_SHA384}, "another signature algorithm"),
        ({"content_type": forge_receipts.SIGNED_DATA}, "another type of the content"),
        ({"named": stranger.root}, "isn't enclosed"),
    ):
        assert why in fault(vendor, made(vendor, signing=signing))


def test_signer_on_another_curve() -> None:
    """A P-384 signer isn't one that we verify; the fault names the signature."""
    vendor = forge_receipts.signers(signer={"key": ec.generate_private_key(ec.SECP384R1())})
    assert "signature that is too long" in fault(vendor, made(vendor))
    short = made(vendor, signing={"by": forge.p256()})
    assert "not signed by the key" in fault(vendor, short)


def test_bytes_behind(vendor: Signers) -> None:
    """Nothing may follow the signed data, nor the content within."""
    good = made(vendor)
    assert "1 bytes after" in fault(vendor, good + b"\x00")
    content = payload(list(fields(SPKI).items())) + b"\x00"
    assert "1 bytes after" in fault(vendor, sign(vendor, content))


# What it says


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ({"field_2": None}, "no field 2"),
        ({"field_3": None}, "no field 3"),
        ({"field_6": None}, "no field 6"),
        ({"field_12": None}, "no field 12"),
        ({"field_6": b"attest"}, "neither ATTEST nor RECEIPT"),
        ({"field_2": b"\xff"}, "UTF-8"),
        ({"field_2": b"x" * 600}, "600 bytes"),
        ({"field_12": b"2026-11-01"}, "ISO 8601"),
        ({"field_12": b"2026-11-01T12:00:00"}, "ISO 8601"),
        ({"field_12": b"2026-11-01T12:00:00+01:00"}, "ISO 8601"),
        ({"field_12": b"2026-13-01T12:00:00Z"}, "calendar"),
        ({"field_12": b"0000-01-01T12:00:00Z"}, "calendar"),
        ({"field_17": b"-1"}, "isn't a number"),
        ({"field_17": b"1" * 400}, "isn't a number"),
        ({"field_17": "٣".encode()}, "isn't a number"),
    ],
)
def test_fields_that_say_nothing(vendor: Signers, rows: Mapping[str, Any], why: str) -> None:
    """Missing and unreadable fields make the receipt unreadable, although it is signed."""
    mutated = made(vendor, **rows)
    assert why in fault(vendor, mutated)
    with pytest.raises(MalformedError):
        read_receipt(mutated)


def test_repeated_and_countless_fields(vendor: Signers) -> None:
    """A field that stands twice could mean two things; unknown ones are passed over, up to a cap."""
    rows = list(fields(SPKI).items())
    assert "field 2 twice" in fault(vendor, sign(vendor, payload([*rows, rows[0]])))
    more = [(number, b"") for number in range(100, 100 + 32 - len(rows))]
    assert examined(vendor, sign(vendor, payload([*rows, *more]))).refusals == ()
    assert "more than 32" in fault(vendor, sign(vendor, payload([*rows, *more, (999, b"")])))


def test_contents_of_another_shape(vendor: Signers) -> None:
    """Fields that aren't what they should be, one way at a time."""
    integer, octets = forge.integer(2), forge.tlv(0x04, b"x")
    for content, why in (
        (forge.tlv(0x30, payload([(2, b"x")])), "something else than a SET"),
        (forge.tlv(0x11, payload([(2, b"x")])), "something else than a SET"),
        (forge.tlv(0x31, forge.tlv(0x31, integer, integer, octets)), "two INTEGERs"),
        (forge.tlv(0x31, forge.tlv(0x30, integer, octets)), "two INTEGERs"),
        (forge.tlv(0x31, forge.tlv(0x30, integer, integer, integer)), "two INTEGERs"),
        (forge.tlv(0x31, forge.tlv(0x30, integer, integer, octets, octets)), "two INTEGERs"),
        (forge.tlv(0x31, forge.tlv(0x30, octets, integer, octets)), "two INTEGERs"),
        (payload([(2**40, b"x")]), "number is too large"),
        (forge.tlv(0x31), "no field 2"),
    ):
        assert why in fault(vendor, sign(vendor, content))


# Refreshed receipts


OLD = forge.NOW - 2 * DAY


def refreshed(vendor: Signers, old: bytes, new: bytes) -> Reason | ReceiptClaims:
    """Return the claims of a refreshed receipt, or the reason against it."""
    try:
        return examine_refreshed(old, new, forge.trust(vendor.anchor), forge.NOW)
    except RefusedError as error:
        return error.reason


def test_newer_receipt_of_the_same_key(vendor: Signers) -> None:
    """From ATTEST to RECEIPT, and on from RECEIPT to RECEIPT."""
    for kind in ("ATTEST", "RECEIPT"):
        claims = refreshed(
            vendor, made(vendor, created=OLD, kind=kind), made(vendor, kind="RECEIPT")
        )
        assert isinstance(claims, ReceiptClaims)
        assert claims.risk_metric == 2


def test_receipts_that_are_no_successors(vendor: Signers) -> None:
    """Another key, app, environment or type; not newer; from the future; not Apple's."""
    old = made(vendor, created=OLD)
    other = forge.spki(forge.p256())
    for new, reason in (
        (
            forge_receipts.receipt(vendor, other, kind="RECEIPT"),
            Reason.APP_ATTEST_RECEIPT,
        ),
        (made(vendor, kind="RECEIPT", field_2=b"TEAM123456.other"), Reason.APP_ATTEST_RECEIPT),
        (made(vendor, kind="RECEIPT", field_7=b"sandbox"), Reason.APP_ATTEST_RECEIPT),
        (made(vendor), Reason.APP_ATTEST_RECEIPT),
        (made(vendor, kind="RECEIPT", field_17=None), Reason.APP_ATTEST_RECEIPT),
        (made(vendor, kind="RECEIPT", created=OLD), Reason.APP_ATTEST_RECEIPT_AGE),
        (made(vendor, kind="RECEIPT", created=OLD - DAY), Reason.APP_ATTEST_RECEIPT_AGE),
        (
            made(vendor, kind="RECEIPT", created=forge.NOW + timedelta(minutes=2)),
            Reason.APP_ATTEST_RECEIPT_AGE,
        ),
        (
            made(vendor, kind="RECEIPT", signing={"by": forge.p256()}),
            Reason.APP_ATTEST_RECEIPT_SIGNATURE,
        ),
        (b"", Reason.APP_ATTEST_RECEIPT_SIGNATURE),
    ):
        assert refreshed(vendor, old, new) is reason
    good = made(vendor, kind="RECEIPT")
    assert refreshed(vendor, b"garbage", good) is Reason.APP_ATTEST_RECEIPT


def test_pauses_double_up_to_a_day() -> None:
    """Each failure in a row doubles the pause; no count makes it longer than a day."""
    pauses = [next_attempt(failures, forge.NOW) - forge.NOW for failures in (0, 1, 2, 3, 9, 10**6)]
    minutes = [pause / timedelta(minutes=1) for pause in pauses]
    assert minutes == [5, 5, 10, 20, 1280, 1440]


def test_due_at_what_the_receipt_says() -> None:
    """An ATTEST receipt at once, a RECEIPT not before field 19, an expired one never again."""
    attest = ReceiptClaims(ReceiptKind.ATTEST, "app", OLD, expires_at=OLD + 90 * DAY)
    assert next_due(attest, forge.NOW) == forge.NOW
    later = ReceiptClaims(ReceiptKind.RECEIPT, "app", OLD, 1, forge.NOW + DAY, OLD + 90 * DAY)
    assert next_due(later, forge.NOW) == forge.NOW + DAY
    assert next_due(later, OLD + 90 * DAY) is None


# Bad input


def bombs(good: bytes) -> Sequence[bytes]:
    """Return input that is made to cost time, memory or stack."""
    deep = b"\x30\x80" * 16_000
    return (
        b"",
        deep,
        deep + b"\x00\x00" * 16_000,
        b"\x24\x80" * 16_000 + b"\x00\x00" * 16_000,
        b"\x30\x80" + b"\x05\x00" * 30_000 + b"\x00\x00",
        b"\x31\x84\xff\xff\xff\xff" + b"x" * 100,
        b"x" * 10_000_000,
        good[: len(good) // 2],
        good.replace(b"\x30\x80", b"\x30\x82"),
    )


def test_bombs_end_in_a_fault_quickly(vendor: Signers) -> None:
    """Nested, endless, lying and oversized input costs no more than a few milliseconds."""
    for bomb in bombs(made(vendor)):
        start = time.process_time()
        assert fault(vendor, bomb)
        assert time.process_time() - start < 0.05


@given(data=st.data())
def test_any_change_of_a_receipt_is_noticed_or_means_nothing(data: st.DataObject) -> None:
    """Flipped, cut and inserted bytes: never another exception, never another content that verifies."""
    vendor, good = _SAMPLE
    at = data.draw(st.integers(0, len(good) - 1))
    mutated = bytearray(good)
    how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if how == "flip":
        mutated[at] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del mutated[at : at + data.draw(st.integers(1, 8))]
    else:
        mutated[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    found = examine_receipt(bytes(mutated), forge.trust(vendor.anchor))
    assert found.refusals or found.receipt == read_receipt(good)


_VENDOR = forge_receipts.signers()
_SAMPLE = (_VENDOR, made(_VENDOR))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_fault(data: bytes) -> None:
    """Garbage is no receipt, and no exception."""
    found = examine_receipt(data, forge.trust(_VENDOR.anchor))
    assert found.refusals[0].reason is Reason.APP_ATTEST_RECEIPT_SIGNATURE
    assert found.receipt is None


@given(st.binary(max_size=200))
def test_any_signed_content_is_read_or_a_fault(content: bytes) -> None:
    """Even a content that is signed gets no further than the reader of fields."""
    assert "not signed" not in fault(_VENDOR, sign(_VENDOR, content))


# Apple's own, where they lie beside the project


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")
def test_recorded_receipts_verify_to_apples_root() -> None:
    """6 refreshed receipts, and all but one of those within attestations, under 5 signers of 2020 to 2027.

    The other one has a byte that its source repository changed: the signer's certificate names
    another policy than Apple signed, and isn't signed by Apple as it stands.
    """
    trust = Trust(AnchorSet(packaged_anchors()))
    paths = sorted(VECTORS.glob("receipt-*.p7"))
    found = [examine_receipt(path.read_bytes(), trust) for path in paths]
    assert [each.refusals for each in found] == [()] * 6
    metrics = [each.receipt.risk_metric for each in found if each.receipt is not None]
    assert sorted(metrics, key=str) == [1, 1, 1, 2, 3, 3]
    faults = {}
    lenient = set()
    for path in sorted(VECTORS.glob("apple-appattest-*.cbor")):
        receipt = cbor2.loads(path.read_bytes())["attStmt"]["receipt"]
        within = examine_receipt(receipt, trust)
        if within.refusals:
            faults[path.stem] = within.refusals[0].detail
        if within.leniencies:
            lenient.add(path.stem)
    assert faults == {
        "apple-appattest-4949301dc9d2": "certificate 0 isn't signed by the key of certificate 1"
    }
    assert lenient == {"apple-appattest-c7c740a4dc46", "apple-appattest-d2aac82b64f1"}


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")
def test_the_changed_byte_of_the_recorded_receipt() -> None:
    """With Apple's policy put back in its place the same receipt verifies: nothing else is wrong with it."""
    path = VECTORS / "apple-appattest-4949301dc9d2.cbor"
    receipt = cbor2.loads(path.read_bytes())["attStmt"]["receipt"]
    changed, signed = (bytes.fromhex(f"2a864886f76364050{digit}") for digit in "51")
    assert receipt.count(changed) == 1
    mended = receipt.replace(changed, signed)
    assert examine_receipt(mended, Trust(AnchorSet(packaged_anchors()))).refusals == ()


def test_forged_receipts_are_ber_like_apples() -> None:
    """The forger writes what it says: indefinite lengths all the way down to the pieces."""
    good = _SAMPLE[1]
    assert good[:2] == b"\x30\x80"
    assert b"\x24\x80" in good
    assert good.endswith(b"\x00\x00" * 3)
    assert text_of(forge.NOW) == b"2026-11-01T12:00:00.000Z"
    assert der.object_identifier(der.read(DATA)) == "1.2.840.113549.1.7.1"
    assert receipts.MAX_AGE.total_seconds() == 300
