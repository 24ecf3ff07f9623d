"""Keys that an app's own key vouches for (ATTEST_KEY): the one legal shape, and each way of abusing it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.unit.attestation import forge

from watchword.attestation.claims import Provisioning
from watchword.attestation.formats.android_key import (
    LENIENT_ATTEST_KEY,
    LENIENT_EXPIRED,
    LENIENT_NOT_CA,
)
from watchword.attestation.interface import AndroidKeyChain, Examination, Expected
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances
from watchword.policy.service import BALANCED, appraise_unverified
from watchword.reasons import Reason

EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)


def judge(google: forge.Google, evidence: AndroidKeyChain) -> Examination:
    """Examine a chain under a Google that is trusted."""
    return examine(evidence, EXPECTED, forge.trust(google.anchor, revoked={}), forge.NOW)


def reasons(examination: Examination) -> list[Reason]:
    """Return the reasons, each once, in order."""
    return list(dict.fromkeys(refusal.reason for refusal in examination.refusals))


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_attest_key_of_the_same_app_on_the_same_phone(
    make: Callable[[], forge.Google], *, root: bool
) -> None:
    """It holds, it is claimed, it is told that no CA signed the leaf; the default policy refuses it."""
    google = make()
    found = judge(google, google.attested(root=root))
    assert found.refusals == ()
    claims = found.claims
    assert claims is not None
    assert claims.attest_key
    assert claims.leniencies == (LENIENT_ATTEST_KEY,)
    verdict = appraise_unverified(claims, forge.ANDROID_APP, BALANCED, Circumstances(forge.NOW))
    assert Reason.POLICY_ATTEST_KEY in {refusal.reason for refusal in verdict.refusals}


def test_the_devices_key_is_the_one_above_the_attest_key() -> None:
    """An attest key is the app's own and can be made anew: the device is known by what certified it."""
    google = forge.remote_google()
    one, other = google.attest_key(), google.attest_key()
    direct = judge(google, google.evidence()).claims
    by_one = judge(google, google.attested(one)).claims
    by_other = judge(google, google.attested(other)).claims
    assert direct is not None
    assert by_one is not None
    assert by_other is not None
    assert direct.device_key == by_one.device_key == by_other.device_key is not None
    assert by_one.provisioning is Provisioning.REMOTE
    assert not direct.attest_key


def test_path_lengths_are_counted_from_the_attest_key() -> None:
    """An authority that reckons with phones' own certificates only has no CA too many below it."""
    for length, expected in ((2, []), (1, [Reason.ATTESTATION_CHAIN_NOT_CA])):
        google = forge.remote_google(intermediate={"path_length": length})
        assert reasons(judge(google, google.attested())) == expected
        assert reasons(judge(google, google.evidence())) == expected


def test_dates_of_an_attest_key_are_the_owners() -> None:
    """Like a leaf's they come from a clock that the owner sets; those above it are judged as ever."""
    for days in ((-20000, -10000), (10, 20)):
        google = forge.remote_google()
        above = google.attest_key(days=days)
        assert reasons(judge(google, google.attested(above))) == []
    late = forge.remote_google(attester={"days": (-60, -1)})
    assert reasons(judge(late, late.attested())) == [Reason.ATTESTATION_CERTIFICATE_EXPIRED]
    factory = forge.google(attester={"days": (-60, -1)})
    claims = judge(factory, factory.attested()).claims
    assert claims is not None
    assert claims.leniencies == (LENIENT_ATTEST_KEY, LENIENT_EXPIRED)


def test_the_factory_leniency_moves_up_with_the_attest_key() -> None:
    """A factory's certificate that is no CA may have signed the attest key, and nothing higher or lower."""
    google = forge.google(attester={"ca": False, "signs": False})
    found = judge(google, google.attested())
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.leniencies == (LENIENT_ATTEST_KEY, LENIENT_NOT_CA)
    remote = forge.remote_google(attester={"ca": False})
    assert reasons(judge(remote, remote.attested())) == [Reason.ATTESTATION_CHAIN_NOT_CA]


# Attacks


@pytest.mark.parametrize("purposes", [(2,), (2, 7), (7, 3), (), None])
def test_a_key_that_signs_anything_vouches_for_nothing(purposes: tuple[int, ...] | None) -> None:
    """The chain extension attack: the owner of an attested key writes what KeyMint never said."""
    content = None if purposes is None else forge.tlv(0x31, *map(forge.integer, purposes))
    for google in (forge.google(), forge.remote_google()):
        above = google.attest_key(forge.attest_key_description(tags={"tag_1": content}))
        found = judge(google, google.attested(above))
        assert reasons(found) == [
            Reason.ATTESTATION_CHAIN_NOT_CA,
            Reason.ATTESTATION_CHAIN_LENGTH,
            Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
        ]
        assert found.claims is not None
        assert not found.claims.attest_key


def test_the_purpose_in_androids_own_list_is_only_a_word() -> None:
    """ATTEST_KEY counts in the hardware list alone."""
    google = forge.google()
    software = {1: forge.tlv(0x31, forge.integer(7)), 709: forge.application_id()}
    mutated = forge.attest_key_description(tags={"tag_1": None}, software=software)
    found = judge(google, google.attested(google.attest_key(mutated)))
    assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in reasons(found)


OTHER_APP = {709: forge.application_id({"org.example.other": 42})}
OTHER_SIGNER = {709: forge.application_id(digests=(b"\x00" * 32,))}
MORE_APPS = {709: forge.application_id({forge.PACKAGE: 42, "org.example.other": 1})}


@pytest.mark.parametrize(
    "mutated",
    [
        {"tags": {"tag_704": forge.root_of_trust(locked=b"\x00")}},
        {"tags": {"tag_704": forge.root_of_trust(state=1)}},
        {"tags": {"tag_704": forge.root_of_trust(with_hash=False)}},
        {"tags": {"tag_704": None}},
        {"tags": {"tag_702": forge.integer(2)}},
        {"tags": {"tag_702": None}},
        {"tags": {"tag_600": forge.tlv(0x05)}},
        {"software": OTHER_APP},
        {"software": OTHER_SIGNER},
        {"software": MORE_APPS},
        {"software": {}},
        {"software": {709: forge.tlv(0x04, b"UnknownApplication")}},
        {"levels": (0, 0)},
        {"levels": (0, 1)},
        {"levels": (1, 0)},
    ],
)
def test_an_attest_key_of_another_state_app_or_level(mutated: Mapping[str, Any]) -> None:
    """What KeyMint and Android wrote about both keys must be of one phone and one app, in hardware."""
    google = forge.remote_google()
    above = google.attest_key(forge.attest_key_description(**mutated))
    found = judge(google, google.attested(above))
    assert Reason.ANDROID_ATTEST_KEY in reasons(found)
    assert found.claims is not None
    assert not found.claims.attest_key


def test_both_without_a_root_of_trust_or_an_app_are_not_equal() -> None:
    """Two statements that are missing don't agree."""
    google = forge.remote_google()
    above = google.attest_key(forge.attest_key_description(tags={"tag_704": None}))
    leaf = google.vouched(above, forge.key_description(hardware=forge.hardware_tags(tag_704=None)))
    assert Reason.ANDROID_ATTEST_KEY in reasons(judge(google, google.attested(above, leaf)))
    above = google.attest_key(forge.attest_key_description(software={}))
    leaf = google.vouched(above, forge.key_description(software={}))
    assert Reason.ANDROID_ATTEST_KEY in reasons(judge(google, google.attested(above, leaf)))


def test_an_attest_key_vouches_for_no_better_key_than_itself() -> None:
    """A key in the TEE can't vouch for one in StrongBox; both in StrongBox is as it should be."""
    google = forge.remote_google()
    for levels, above_levels, holds in (
        ((2, 2), (2, 2), True),
        ((1, 1), (2, 2), True),
        ((2, 2), (1, 1), False),
        ((1, 2), (1, 1), False),
        ((2, 2), (1, 2), False),
        ((2, 2), (2, 1), False),
        ((1, 1), (1, 2), True),
    ):
        above = google.attest_key(forge.attest_key_description(levels=above_levels))
        leaf = google.vouched(above, forge.key_description(levels=levels))
        found = reasons(judge(google, google.attested(above, leaf)))
        assert (Reason.ANDROID_ATTEST_KEY not in found) is holds


def test_an_update_of_the_app_may_lie_between() -> None:
    """The same package by the same signers in another version is the same app."""
    google = forge.remote_google()
    older = {709: forge.application_id({forge.PACKAGE: 41})}
    above = google.attest_key(forge.attest_key_description(software=older))
    found = judge(google, google.attested(above))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.app is not None
    assert found.claims.app.versions == {forge.PACKAGE: "42"}


@pytest.mark.parametrize("signs", [False, None])
def test_an_attest_key_that_may_not_sign_certificates(*, signs: bool | None) -> None:
    """KeyMint marks such a key for signing certificates; without the mark it is something else."""
    google = forge.remote_google()
    above = google.attest_key(signs=signs)
    assert Reason.ANDROID_ATTEST_KEY in reasons(judge(google, google.attested(above)))


def test_attest_keys_one_above_the_other() -> None:
    """An attest key is certified by the device's own key, never by another attest key."""
    google = forge.remote_google()
    upper = google.attest_key()
    lower = google.vouched(upper, forge.attest_key_description())
    leaf = google.vouched(lower)
    chain = (leaf.der, lower.der, *google.evidence(upper, root=False).chain)
    found = judge(google, AndroidKeyChain(chain))
    assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in reasons(found)


def test_key_description_at_index_two() -> None:
    """A leaf as issuer of what looks like a device's own certificate, or a description put up there."""
    google = forge.remote_google()
    attested = google.leaf(ca=True, signs=True)
    between = forge.certify(forge.name(common_name="device"), attested)
    leaf = forge.Google(google.root, google.intermediate, between).leaf()
    chain = (leaf.der, between.der, *google.evidence(attested, root=False).chain)
    assert Reason.ANDROID_KEY_DESCRIPTION_MISPLACED in reasons(
        judge(google, AndroidKeyChain(chain))
    )
    extensions = [(forge.KEY_DESCRIPTION, forge.attest_key_description())]
    odd = forge.remote_google(intermediate={"extensions": extensions})
    assert reasons(judge(odd, odd.evidence())) == [Reason.ANDROID_KEY_DESCRIPTION_MISPLACED]


def test_unreadable_description_above_the_leaf() -> None:
    """A stub in place of the attest key's description is malformed, whoever signed it."""
    google = forge.remote_google()
    found = judge(google, google.attested(google.attest_key(b"\x04\x02\x05\x00")))
    assert Reason.EVIDENCE_MALFORMED in reasons(found)


def test_an_imposter_signs_below_an_attest_key() -> None:
    """Naming the attest key as issuer isn't being signed by it."""
    google = forge.remote_google()
    above = google.attest_key()
    impostor = forge.Party(above.certificate, forge.p256())
    found = judge(google, google.attested(above, google.vouched(impostor)))
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_SIGNATURE]
