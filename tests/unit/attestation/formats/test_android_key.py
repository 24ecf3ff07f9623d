"""Android key attestation: what genuine chains look like, and each way of bending one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.attestation import forge

from watchword.attestation.claims import BootState, KeySecurity
from watchword.attestation.formats.android_key import (
    LENIENT_EXPIRED,
    LENIENT_NOT_CA,
    RENEWAL_PREFIX,
    AndroidKey,
    describe_leaf,
)
from watchword.attestation.interface import (
    AndroidKeyChain,
    AndroidKeySignature,
    AppAttestAssertion,
    AppAttestAttestation,
    AppRegistration,
    Examination,
    Expected,
    Trust,
)
from watchword.attestation.registry import examine
from watchword.encoding import base64url, der
from watchword.policy.interface import Circumstances
from watchword.policy.service import BALANCED, appraise_unverified
from watchword.reasons import MalformedError, Reason

FORMAT = AndroidKey()
EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)


def judge(
    evidence: AndroidKeyChain,
    trust: Trust,
    expected: Expected = EXPECTED,
    now: datetime = forge.NOW,
) -> Examination:
    """Examine a chain."""
    return examine(evidence, expected, trust, now)


def reasons(examination: Examination) -> list[Reason]:
    """Return the reasons in order."""
    return [refusal.reason for refusal in examination.refusals]


def judged(google: forge.Google, leaf: forge.Party | None = None, **options: Any) -> list[Reason]:
    """Return the reasons against a leaf under a Google that is trusted."""
    evidence = google.evidence(leaf)
    return reasons(judge(evidence, forge.trust(google.anchor), **options))


def test_genuine_factory_chain_holds_and_says_what_it_is(google: forge.Google) -> None:
    """A genuine phone passes, its root expired, and every claim is read."""
    leaf = google.leaf()
    found = judge(google.evidence(leaf), forge.trust(google.anchor, revoked={}))
    assert found.refusals == ()
    claims = found.claims
    assert claims is not None
    assert claims.public_key == forge.spki(leaf.key)
    assert (claims.attestation_security, claims.key_security) == (KeySecurity.TEE, KeySecurity.TEE)
    assert claims.anchor == "forged android-key"
    assert claims.key_generated
    assert claims.boot is not None
    assert claims.boot.device_locked
    assert claims.boot.state is BootState.VERIFIED
    assert claims.app is not None
    assert claims.app.ids == (forge.PACKAGE,)
    assert claims.app.versions == {forge.PACKAGE: "42"}
    assert claims.app.signing_digests == {forge.SIGNER}
    assert claims.fields["hardwareEnforced"]["otherTags"]["4711"].startswith("040f")
    assert claims.leniencies == claims.unchecked == ()


@pytest.mark.parametrize("included", [True, False])
def test_root_may_be_left_out(google: forge.Google, *, included: bool) -> None:
    """A chain is anchored by the issuer's key where its root is missing (RKP devices)."""
    found = judge(google.evidence(root=included), forge.trust(google.anchor))
    assert found.refusals == ()


def test_reissued_root_is_the_same_anchor(google: forge.Google) -> None:
    """An anchor is its key: another certificate for it, with other dates, changes nothing."""
    reissued = forge.certify(
        google.root.certificate.subject, None, key=google.root.key, days=(100, 200)
    )
    evidence = replace(google, root=reissued).evidence()
    assert judge(evidence, forge.trust(google.anchor)).refusals == ()


def test_rsa_and_p384_authorities_and_any_kind_of_leaf_key() -> None:
    """Chains sign with RSA and P-384, and keys of any algorithm are read (policy may want P-256)."""
    google = forge.google(
        root_key=forge.rsa_key(),
        intermediate={"key": ec.generate_private_key(ec.SECP384R1())},
        attester={"digest": hashes.SHA384()},
    )
    for key in (forge.rsa_key("phone"), ec.generate_private_key(ec.SECP384R1()), forge.mldsa_key()):
        leaf = google.leaf(key=key)
        found = judge(google.evidence(leaf), forge.trust(google.anchor))
        assert found.refusals == ()
        assert found.claims is not None
        assert found.claims.public_key == forge.spki(key)


def test_without_expectations_everything_left_out_is_named(google: forge.Google) -> None:
    """What isn't expected isn't checked, and is listed."""
    found = judge(google.evidence(), forge.trust(google.anchor), Expected(None, None))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.unchecked == ("binding", "app", "revocation")


# Chain


def test_unknown_root(google: forge.Google) -> None:
    """A chain that is right in itself, under a root of somebody else's."""
    assert judged(google) == []
    found = judge(google.evidence(), forge.trust(forge.google().anchor))
    assert reasons(found) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]


def test_anchor_of_another_vendor_is_none(google: forge.Google) -> None:
    """A root that vouches for App Attest doesn't vouch for Android."""
    found = judge(google.evidence(), forge.trust(google.root.anchor("apple-app-attest")))
    assert reasons(found) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]


def test_name_of_a_root_without_its_key(google: forge.Google) -> None:
    """Bearing the root's name isn't bearing its key, with the root in the chain or left out."""
    impostor = forge.google()
    for root in (True, False):
        found = judge(impostor.evidence(root=root), forge.trust(google.anchor))
        assert reasons(found) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]


def test_key_of_a_root_under_another_name(google: forge.Google) -> None:
    """A root that was left out must be named by its subject as well as sign with its key."""
    renamed = replace(google.anchor, subject=forge.name(common_name="other").public_bytes())
    found = judge(google.evidence(root=False), forge.trust(renamed))
    assert reasons(found) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]
    assert judge(google.evidence(), forge.trust(renamed)).refusals == ()


def test_software_root(google: forge.Google) -> None:
    """A chain under a root that is known to vouch for software only is refused by that name."""
    found = judge(google.evidence(), forge.trust(google.root.anchor("android-key", "software")))
    assert reasons(found) == [Reason.ATTESTATION_ANCHOR_SOFTWARE]


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("kind", ["production", "lab"])
@pytest.mark.parametrize("software_first", [True, False])
def test_software_wins_over_whatever_else_its_key_is_known_as(
    google: forge.Google, kind: str, *, root: bool, software_first: bool
) -> None:
    """A root whose private key is public isn't promoted by adding it again, under any name or place."""
    software = replace(google.root.anchor("android-key", "software"), subject=b"")
    anchors = [software, google.root.anchor("android-key", kind)]
    trust = forge.trust(*(anchors if software_first else anchors[::-1]))
    assert reasons(judge(google.evidence(root=root), trust)) == [Reason.ATTESTATION_ANCHOR_SOFTWARE]


@pytest.mark.parametrize(
    ("purposes", "signs"), [((2,), True), ((3, 2), True), ((7,), False), ((), False), (None, False)]
)
def test_purpose_of_the_hardware_list(
    google: forge.Google, purposes: tuple[int, ...] | None, *, signs: bool
) -> None:
    """A key for attestation alone (7) doesn't sign, whatever Android's own list says."""
    content = None if purposes is None else forge.tlv(0x31, *map(forge.integer, purposes))
    hardware = forge.hardware_tags(tag_1=content)
    software = {1: forge.tlv(0x31, forge.integer(2)), 709: forge.application_id()}
    leaf = google.leaf(forge.key_description(hardware=hardware, software=software))
    found = judge(google.evidence(leaf), forge.trust(google.anchor))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.key_signs is signs
    verdict = appraise_unverified(
        found.claims, forge.ANDROID_APP, BALANCED, Circumstances(forge.NOW)
    )
    told = {refusal.reason for refusal in verdict.refusals}
    assert (Reason.POLICY_KEY_PURPOSE in told) is not signs


def test_leaf_alone_and_leaf_signed_by_the_root(google: forge.Google) -> None:
    """A leaf without an issuer in the chain is refused even if a root signed it."""
    leaf = forge.certify(
        forge.name(common_name="leaf"),
        google.root,
        extensions=[(forge.KEY_DESCRIPTION, forge.key_description())],
    )
    found = judge(AndroidKeyChain((leaf.der,)), forge.trust(google.anchor))
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_LENGTH]


@pytest.mark.parametrize(
    "chain",
    [
        (),
        (b"",),
        (b"\x30\x00",),
        (b"\x30\x80",),
        (b"not a certificate",) * 2,
        (b"x",) * 7,
        (b"x" * 40_000,),
        (b"x" * 17_000,),
    ],
)
def test_unreadable_chains(chain: Sequence[bytes], google: forge.Google) -> None:
    """Nothing, too much and garbage end in a reason before any signature is checked."""
    found = judge(AndroidKeyChain(tuple(chain)), forge.trust(google.anchor))
    assert found.claims is None
    assert reasons(found)[0] in {Reason.ATTESTATION_CHAIN_LENGTH, Reason.EVIDENCE_MALFORMED}


def test_chains_are_capped(google: forge.Google) -> None:
    """Certificates that can be read are counted and weighed before they are."""
    chain = google.evidence().chain
    for size, refused in ((2, False), (3, True)):
        found = judge(AndroidKeyChain((*chain, *chain[:size])), forge.trust(google.anchor))
        assert (reasons(found) == [Reason.ATTESTATION_CHAIN_LENGTH]) is refused
    padding = [(x509.ObjectIdentifier("1.2.3"), b"x" * 12_000)]
    heavy = [forge.certify(forge.name(), None, extensions=padding).der] * 3
    found = judge(AndroidKeyChain(tuple(heavy)), forge.trust(google.anchor))
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_LENGTH]


def test_only_androids_own_list_names_the_app(google: forge.Google) -> None:
    """The application id belongs in the software list; nothing else says which app asked."""
    hardware = {**forge.hardware_tags(), 709: forge.application_id()}
    leaf = google.leaf(forge.key_description(software={}, hardware=hardware))
    claims = judge(google.evidence(leaf), forge.trust(google.anchor)).claims
    assert claims is not None
    assert claims.app is None


def test_truncated_certificate(google: forge.Google) -> None:
    """A certificate that is cut off anywhere is malformed."""
    leaf, *rest = google.evidence().chain
    for size in range(0, len(leaf), 37):
        found = judge(AndroidKeyChain((leaf[:size], *rest)), forge.trust(google.anchor))
        assert reasons(found) == [Reason.EVIDENCE_MALFORMED]


def test_swapped_and_missing_links(google: forge.Google) -> None:
    """Issuers in another order, or one left out, break names and signatures."""
    leaf, attester, intermediate, root = google.evidence().chain
    swapped = judge(
        AndroidKeyChain((leaf, intermediate, attester, root)), forge.trust(google.anchor)
    )
    missing = judge(AndroidKeyChain((leaf, intermediate, root)), forge.trust(google.anchor))
    for found in (swapped, missing):
        assert Reason.ATTESTATION_CHAIN_NAME in reasons(found)
        assert Reason.ATTESTATION_CHAIN_SIGNATURE in reasons(found)


def test_certificate_twice_and_beyond_the_root(google: forge.Google) -> None:
    """A root that is repeated, or that has something above it, isn't the end of the chain."""
    leaf, attester, intermediate, root = google.evidence().chain
    twice = AndroidKeyChain((leaf, attester, attester, intermediate, root))
    assert Reason.ATTESTATION_CHAIN_NAME in reasons(judge(twice, forge.trust(google.anchor)))
    chain = google.evidence().chain
    other = forge.google().root
    assert Reason.ATTESTATION_CHAIN_LENGTH in reasons(
        judge(AndroidKeyChain((*chain, chain[-1])), forge.trust(google.anchor))
    )
    trust = forge.trust(google.anchor, other.anchor("android-key"))
    assert Reason.ATTESTATION_CHAIN_LENGTH in reasons(
        judge(AndroidKeyChain((*chain, other.der)), trust)
    )


def test_signature_by_another_key_under_the_same_name(google: forge.Google) -> None:
    """A leaf that names the attester as issuer, and isn't signed by it."""
    impostor = forge.Party(google.attester.certificate, forge.p256())
    leaf = replace(google, attester=impostor).leaf()
    assert judged(google, leaf) == [Reason.ATTESTATION_CHAIN_SIGNATURE]


@pytest.mark.parametrize("at", [200, -40, -1])
def test_a_changed_byte_breaks_the_signature(google: forge.Google, at: int) -> None:
    """Whatever is changed in the leaf's signed bytes or signature is noticed."""
    leaf, *rest = google.evidence().chain
    mutated = bytearray(leaf)
    mutated[at] ^= 1
    found = judge(AndroidKeyChain((bytes(mutated), *rest)), forge.trust(google.anchor))
    assert set(reasons(found)) & {Reason.ATTESTATION_CHAIN_SIGNATURE, Reason.EVIDENCE_MALFORMED}


@pytest.mark.parametrize(
    "mutated",
    [
        {"ca": False},
        {"ca": None},
        {"signs": False},
    ],
)
def test_intermediate_must_be_a_ca(mutated: Mapping[str, Any]) -> None:
    """An issuer that may not sign certificates has signed nothing."""
    google = forge.google(intermediate=mutated)
    assert judged(google) == [Reason.ATTESTATION_CHAIN_NOT_CA]


def test_path_length_is_kept() -> None:
    """An intermediate that may have no CA below it has one."""
    google = forge.google(intermediate={"path_length": 0})
    assert judged(google) == [Reason.ATTESTATION_CHAIN_NOT_CA]
    assert judged(forge.google(intermediate={"path_length": 1})) == []


def test_factory_attester_that_is_no_ca_is_let_pass_and_told() -> None:
    """Phones in use have such a certificate right above the leaf; it is a named leniency."""
    google = forge.google(attester={"ca": False, "signs": False})
    found = judge(google.evidence(), forge.trust(google.anchor))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.leniencies == (LENIENT_NOT_CA,)


@pytest.mark.parametrize("root", [True, False])
def test_a_vendors_leaf_without_a_description_cannot_issue(
    google: forge.Google, *, root: bool
) -> None:
    """The leniency is for the depth of factory keys: a key that they certified issues nothing.

    Its owner would sign a leaf with any KeyDescription; no other certificate then has one.
    """
    certified = forge.certify(
        forge.name(title="TEE", serial_number="unit"), google.attester, ca=False, signs=False
    )
    leaf = replace(google, attester=certified).leaf()
    chain = (leaf.der, certified.der, *google.evidence(root=root).chain[1:])
    found = judge(AndroidKeyChain(chain), forge.trust(google.anchor))
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_NOT_CA, Reason.ATTESTATION_CHAIN_LENGTH]


def test_numbers_too_long_to_print_are_malformed() -> None:
    """Python refuses to print a number of 4,301 digits: a self-made chain can't make it try."""
    google = forge.google()
    huge = b"\x7f" * 2000
    level, version = forge.tlv(0x0A, huge), forge.tlv(0x02, huge)
    boot = forge.tlv(0x30, forge.tlv(0x04, b""), forge.tlv(0x01, b"\xff"), level)
    package = forge.tlv(0x30, forge.tlv(0x04, forge.PACKAGE.encode()), version)
    app = forge.tlv(0x04, forge.tlv(0x30, forge.tlv(0x31, package), forge.tlv(0x31)))
    *_, hardware = [each.raw for each in der.sequence(der.read(forge.key_description()))]
    head = [forge.integer(4), level, forge.integer(4), level, forge.tlv(0x04), forge.tlv(0x04)]
    for mutated in (
        forge.tlv(0x30, *head, hardware, hardware),
        forge.key_description(hardware=forge.hardware_tags(tag_704=boot)),
        forge.key_description(software={709: app}),
    ):
        assert judged(google, google.leaf(mutated)) == [Reason.EVIDENCE_MALFORMED]
    path_length = forge.tlv(0x30, forge.tlv(0x01, b"\xff"), forge.tlv(0x02, b"\x80" + huge))
    constraints = [(x509.ObjectIdentifier("2.5.29.19"), path_length)]
    bad = forge.google(attester={"ca": None, "extensions": constraints})
    assert judged(bad) == [Reason.EVIDENCE_MALFORMED]


def test_attester_of_no_batch_must_be_a_ca(google: forge.Google) -> None:
    """The leniency is for certificates that are named as the factory names them."""
    attester = forge.certify(
        forge.name(common_name="somebody"), google.intermediate, ca=False, signs=False
    )
    assert judged(replace(google, attester=attester)) == [Reason.ATTESTATION_CHAIN_NOT_CA]


def test_provisioning_extension_takes_the_leniencies_away() -> None:
    """A chain that says it was provisioned remotely is held to the stricter rules, whatever names."""
    info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
    late = forge.google(attester={"days": (-60, -1), "extensions": info})
    assert judged(late) == [Reason.ATTESTATION_CERTIFICATE_EXPIRED]
    no_ca = forge.google(attester={"ca": False, "extensions": info})
    assert judged(no_ca) == [Reason.ATTESTATION_CHAIN_NOT_CA]


@pytest.mark.parametrize("info", [True, False])
def test_remotely_provisioned_attester_must_be_a_ca(*, info: bool) -> None:
    """The leniency is for factory keys only."""
    google = forge.remote_google(info=info, attester={"ca": False})
    assert judged(google) == [Reason.ATTESTATION_CHAIN_NOT_CA]


# Time


@pytest.mark.parametrize("part", ["attester", "intermediate"])
@pytest.mark.parametrize("days", [(-60, -1), (1, 60)])
def test_factory_certificates_outside_of_their_dates_pass_and_are_told(
    part: str, days: tuple[int, int]
) -> None:
    """Factory keys can't be certified again, so that their dates aren't held against them."""
    google = forge.google(**{part: {"days": days}})
    found = judge(google.evidence(), forge.trust(google.anchor))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.leniencies == (LENIENT_EXPIRED,)


@pytest.mark.parametrize("part", ["attester", "intermediate"])
@pytest.mark.parametrize("info", [True, False])
@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize(
    ("days", "reason"),
    [
        ((-60, -1), Reason.ATTESTATION_CERTIFICATE_EXPIRED),
        ((1, 60), Reason.ATTESTATION_CERTIFICATE_EARLY),
    ],
)
def test_remote_certificates_are_held_to_their_dates(
    part: str, days: tuple[int, int], reason: Reason, *, info: bool, root: bool
) -> None:
    """Remotely provisioned keys live for weeks; one that has ended may be in other hands."""
    google = forge.remote_google(info=info, **{part: {"days": days}})
    found = judge(google.evidence(root=root), forge.trust(google.anchor))
    assert reasons(found) == [reason]


def test_dates_are_inclusive() -> None:
    """Both ends of a validity are inside it (RFC 5280 section 4.1.2.5)."""
    google = forge.remote_google(attester={"days": (-1, 1)})
    for days in (-1, 1):
        now = forge.NOW + timedelta(days=days)
        assert judged(google, now=now) == []


def test_leaf_dates_are_ignored(google: forge.Google) -> None:
    """The leaf's dates come from a clock that the device's owner sets."""
    assert judged(google, google.leaf(days=(-20000, -10000))) == []
    assert judged(google, google.leaf(days=(10, 20))) == []
    remote = forge.remote_google()
    assert judged(remote, remote.leaf(days=(-20000, -10000))) == []


# Revocation


@pytest.mark.parametrize("part", ["attester", "intermediate", "root"])
@pytest.mark.parametrize("status", ["REVOKED", "revoked", "suspended", "WITHDRAWN", ""])
@pytest.mark.parametrize("known", [True, False])
def test_withdrawn_certificates(
    google: forge.Google, part: str, status: str, *, known: bool
) -> None:
    """A certificate in the status list ends it, whichever the word, and however old the list."""
    serial = getattr(google, part).serial_hex
    trust = forge.trust(google.anchor, revoked={serial: status}, known=known)
    assert reasons(judge(google.evidence(), trust)) == [Reason.ATTESTATION_REVOKED]


@pytest.mark.parametrize("part", ["attester", "intermediate", "root"])
def test_suspended_certificates_are_a_claim(google: forge.Google, part: str) -> None:
    """Only the word SUSPENDED itself is left to policy, and names the certificate."""
    serial = getattr(google, part).serial_hex
    trust = forge.trust(google.anchor, revoked={serial: "SUSPENDED", "ab": "SUSPENDED"})
    found = judge(google.evidence(), trust)
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.revocation is not None
    assert found.claims.revocation.suspended == (serial,)
    assert trust.revocation is not None
    assert found.claims.revocation.list_digest == trust.revocation.digest


def test_list_that_is_too_old_is_left_to_policy(google: forge.Google) -> None:
    """What it doesn't name may be revoked by now: that is a claim, and the step isn't checked."""
    fresh = judge(google.evidence(), forge.trust(google.anchor, revoked={}))
    stale = judge(google.evidence(), forge.trust(google.anchor, revoked={}, known=False))
    nobody = judge(google.evidence(), forge.trust(google.anchor))
    known = [each.claims and each.claims.revocation for each in (fresh, stale, nobody)]
    assert [each and each.known for each in known] == [True, False, None]
    assert [each.steps[5].checked for each in (fresh, stale, nobody)] == [True, False, False]
    assert fresh.refusals == stale.refusals == nobody.refusals == ()
    assert nobody.claims is not None
    assert "revocation" in nobody.claims.unchecked


def test_serials_are_hex() -> None:
    """A serial whose hex digits look decimal is found as hex; read as decimal it is another."""
    google = forge.google(attester={"serial": 0x13928929639211242692})
    found = judge(
        google.evidence(), forge.trust(google.anchor, revoked={"13928929639211242692": "REVOKED"})
    )
    assert reasons(found) == [Reason.ATTESTATION_REVOKED]
    decimal = str(0x13928929639211242692)
    found = judge(google.evidence(), forge.trust(google.anchor, revoked={decimal: "REVOKED"}))
    assert found.refusals == ()


# KeyDescription


def test_chain_extension_attack(google: forge.Google) -> None:
    """The owner of an attested key signs a further certificate with a forged description."""
    for attested in (google.leaf(), google.leaf(ca=True, signs=True)):
        forged = forge.certify(
            forge.name(common_name="Android Keystore Key"),
            attested,
            extensions=[(forge.KEY_DESCRIPTION, forge.key_description(levels=(2, 2)))],
        )
        between = forge.certify(forge.name(serial_number="unit"), attested)
        deeper = replace(google, attester=between).leaf()
        for below in ((forged.der,), (deeper.der, between.der)):
            chain = (*below, *google.evidence(attested).chain)
            found = judge(AndroidKeyChain(chain), forge.trust(google.anchor))
            assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in reasons(found)


def test_chain_extension_without_a_description(google: forge.Google) -> None:
    """An attested leaf as issuer of a leaf that describes nothing is refused thrice over."""
    attested = google.leaf(ca=True, signs=True)
    further = forge.certify(forge.name(common_name="x"), attested)
    found = judge(
        AndroidKeyChain((further.der, *google.evidence(attested).chain)),
        forge.trust(google.anchor),
    )
    assert reasons(found) == [
        Reason.ATTESTATION_CHAIN_LENGTH,
        Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
        Reason.ANDROID_KEY_DESCRIPTION_MISSING,
    ]
    assert found.claims is None


def test_no_description(google: forge.Google) -> None:
    """A certified key that nothing is said about proves nothing."""
    assert judged(google, google.leaf(b"")) == [Reason.ANDROID_KEY_DESCRIPTION_MISSING]


def test_unreadable_description(google: forge.Google) -> None:
    """A stub in place of the description is malformed, whoever signed it."""
    assert judged(google, google.leaf(b"\x04\x02\x05\x00")) == [Reason.EVIDENCE_MALFORMED]


@pytest.mark.parametrize("challenge", [b"", b"other", forge.BINDING[:-1], forge.BINDING + b"\x00"])
def test_wrong_challenge(google: forge.Google, challenge: bytes) -> None:
    """Evidence for another statement, or with a challenge cut off or prolonged."""
    leaf = google.leaf(forge.key_description(challenge=challenge))
    found = judge(google.evidence(leaf), forge.trust(google.anchor))
    assert reasons(found) == [Reason.ATTESTATION_BINDING]
    # A service's log doesn't repeat challenges.
    assert found.refusals[0].detail == f"got another challenge, of {len(challenge)} bytes"


def test_evidence_of_the_other_platform(google: forge.Google) -> None:
    """An Android phone can't enrol an iOS app."""
    found = judged(google, expected=Expected(forge.BINDING, forge.APPLE_APP))
    assert found == [Reason.EVIDENCE_PLATFORM]


def test_everything_wrong_is_told_at_once(google: forge.Google) -> None:
    """One look shows all that is wrong, not the first fault only."""
    leaf = google.leaf(forge.key_description(challenge=b"other"))
    serial = google.attester.serial_hex
    trust = forge.trust(google.root.anchor("android-key", "software"), revoked={serial: "REVOKED"})
    assert reasons(judge(google.evidence(leaf), trust)) == [
        Reason.ATTESTATION_ANCHOR_SOFTWARE,
        Reason.ATTESTATION_REVOKED,
        Reason.ATTESTATION_BINDING,
    ]


def test_software_levels_and_missing_parts_are_claims(google: forge.Google) -> None:
    """What policy judges is read and not judged here."""
    hardware = forge.hardware_tags(tag_702=None, tag_704=None)
    software = {702: forge.integer(0), 704: forge.root_of_trust()}
    leaf = google.leaf(forge.key_description(levels=(0, 2), hardware=hardware, software=software))
    found = judge(google.evidence(leaf), forge.trust(google.anchor))
    assert found.refusals == ()
    claims = found.claims
    assert claims is not None
    assert claims.attestation_security is KeySecurity.SOFTWARE
    assert claims.key_security is KeySecurity.STRONGBOX
    # Origin and root of trust in the software list are only Android's word.
    assert claims.boot is None
    assert not claims.key_generated
    assert claims.app is None


def test_identifiers_of_the_device_are_withheld(google: forge.Google) -> None:
    """Claims name the model and not the device; the full description is for comparing only."""
    hardware = forge.hardware_tags(
        tag_714=forge.tlv(0x04, b"990012001354866"), tag_717=forge.tlv(0x04, b"Pixel 3")
    )
    leaf = google.leaf(forge.key_description(hardware=hardware, unique_id=b"unique"))
    found = judge(google.evidence(leaf), forge.trust(google.anchor))
    assert found.claims is not None
    shown = found.claims.fields
    assert shown["hardwareEnforced"]["attestationId"] == {"imei": "withheld", "model": "Pixel 3"}
    assert shown["uniqueId"] == "withheld"
    assert "990012001354866" not in repr(found)
    described = describe_leaf(leaf.der)
    assert described["hardwareEnforced"]["attestationId"]["imei"] == "990012001354866"


# Requests and renewals


def test_reads_the_chain_of_a_request(google: forge.Google) -> None:
    """The members of a request become evidence."""
    chain = google.evidence().chain
    members = {"format": "android-key", "chain": [base64url.encode(one) for one in chain]}
    assert FORMAT.read_attestation(members) == AndroidKeyChain(chain)
    signature = {"signature": base64url.encode(b"signature")}
    assert FORMAT.read_renewal(signature) == AndroidKeySignature(b"signature")


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"chain": []},
        {"chain": "AAAA"},
        {"chain": ["AAAA"] * 7},
        {"chain": [1]},
        {"chain": ["A"]},
        {"chain": ["AA=="]},
        {"chain": ["AAAA"], "more": 1},
    ],
)
def test_refuses_other_members(members: Mapping[str, Any]) -> None:
    """Missing, unknown and badly encoded members are malformed."""
    with pytest.raises(MalformedError) as caught:
        FORMAT.read_attestation(members)
    assert caught.value.reason in {Reason.EVIDENCE_MALFORMED, Reason.ATTESTATION_CHAIN_LENGTH}


def renewal(signature: bytes, key: bytes, app: AppRegistration = forge.ANDROID_APP) -> list[Reason]:
    """Return the reasons against a renewal of the statement ``b"statement"``."""
    found = FORMAT.examine_renewal(AndroidKeySignature(signature), b"statement", key, app)
    assert found.counter is None
    return [refusal.reason for refusal in found.refusals]


def test_renewal_is_signed_by_the_attested_key_over_prefix_and_statement() -> None:
    """The right key over the right bytes renews; other keys, bytes and kinds of keys don't."""
    key = forge.p256()
    algorithm = ec.ECDSA(hashes.SHA256())
    good = key.sign(RENEWAL_PREFIX + b"statement", algorithm)
    assert renewal(good, forge.spki(key)) == []
    wrong = [
        key.sign(b"statement", algorithm),
        key.sign(RENEWAL_PREFIX + b"another", algorithm),
        forge.p256().sign(RENEWAL_PREFIX + b"statement", algorithm),
        good[:-1],
        b"",
    ]
    for signature in wrong:
        assert renewal(signature, forge.spki(key)) == [Reason.ANDROID_SIGNATURE]
    rsa = forge.spki(forge.rsa_key())
    assert renewal(good, rsa) == [Reason.ATTESTATION_KEY_UNSUPPORTED]
    assert renewal(good, forge.spki(key), forge.APPLE_APP) == [Reason.EVIDENCE_PLATFORM]


def test_renewal_under_a_key_that_is_not_on_the_curve() -> None:
    """A key with a point off the curve verifies nothing, and raises nothing."""
    key = forge.p256()
    off = forge.spki(key)[:-1] + bytes([forge.spki(key)[-1] ^ 1])
    signature = key.sign(RENEWAL_PREFIX + b"statement", ec.ECDSA(hashes.SHA256()))
    assert renewal(signature, off) == [Reason.ANDROID_SIGNATURE]


def test_evidence_of_another_format_is_a_mistake_of_the_caller() -> None:
    """A format takes its own evidence only."""
    with pytest.raises(TypeError):
        FORMAT.examine(AppAttestAttestation(b"", b""), EXPECTED, forge.trust(), forge.NOW)
    with pytest.raises(TypeError):
        FORMAT.examine_renewal(AppAttestAssertion(b""), b"", b"", forge.ANDROID_APP)
