"""What an owner of a leaked attestation key can and can't do: further keyboxes, other levels, other names."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography import x509
from tests.unit.attestation import forge, recorded

from watchword.attestation.certificates import BoundedIssuerCache
from watchword.attestation.claims import KeySecurity
from watchword.attestation.formats.android_key import LENIENT_ISSUER_TITLE
from watchword.attestation.interface import AndroidKeyChain, Examination, Expected
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.reasons import Reason

EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)
STRONGBOX = forge.key_description(levels=(2, 2))


def judge(google: forge.Google, evidence: AndroidKeyChain) -> Examination:
    """Examine a chain under a Google that is trusted."""
    return examine(evidence, EXPECTED, forge.trust(google.anchor, revoked={}), forge.NOW)


def reasons(examination: Examination) -> list[Reason]:
    """Return the reasons, each once, in order."""
    return list(dict.fromkeys(refusal.reason for refusal in examination.refusals))


def below(google: forge.Google, count: int, **attester: object) -> forge.Google:
    """Return what an owner of the attestation key sees: so many keyboxes of their own below it."""
    for number in range(count):
        title = forge.name(title="TEE", serial_number=f"sub-{number}")
        sub = forge.certify(title, google.attester, **attester)  # type: ignore[arg-type]
        google = replace(google, attester=sub, between=(google.attester, *google.between))
    return google


# Depth


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_a_keybox_issues_no_further_keyboxes(make: object, count: int, *, root: bool) -> None:
    """A key that is marked as a CA signs what it likes: genuine chains are three deep, or four."""
    assert callable(make)
    google = below(make(), count)
    evidence = google.evidence(root=root)
    if len(evidence.chain) > 6:
        assert reasons(judge(google, evidence)) == [Reason.ATTESTATION_CHAIN_LENGTH]
        return
    found = judge(google, evidence)
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_LENGTH]
    assert [step.number for step in found.steps if step.refusals] == ["3"]


def test_a_factorys_keybox_is_not_as_deep_as_a_remote_one() -> None:
    """The provisioning extension in a sub-keybox, which its owner writes, doesn't make room for it."""
    info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
    google = below(forge.google(), 1, extensions=info)
    found = judge(google, google.evidence())
    assert reasons(found) == [Reason.ATTESTATION_CHAIN_LENGTH]
    assert found.claims is not None
    assert found.claims.provisioning is None


@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_chains_that_are_too_short(make: object) -> None:
    """A leaf right under an authority, whose key no phone has, isn't one that a phone made."""
    assert callable(make)
    google = make()
    short = forge.Google(google.root, google.intermediate, google.intermediate)
    chain = (short.leaf().der, google.intermediate.der, google.root.der)
    assert Reason.ATTESTATION_CHAIN_LENGTH in reasons(judge(google, AndroidKeyChain(chain)))


@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_an_attest_key_is_one_more_and_only_one(make: object) -> None:
    """A legal one below a sub-keybox is as deep as two keyboxes are."""
    assert callable(make)
    google = make()
    assert reasons(judge(google, google.attested())) == []
    deeper = below(google, 1)
    assert Reason.ATTESTATION_CHAIN_LENGTH in reasons(judge(google, deeper.attested(root=False)))


def test_known_issuers_change_no_depth() -> None:
    """A sub-keybox under issuers that are remembered is as deep as before."""
    google = forge.google()
    trust = forge.trust(google.anchor, issuers=BoundedIssuerCache())
    assert examine(google.evidence(), EXPECTED, trust, forge.NOW).refusals == ()
    deeper = below(google, 1).evidence()
    assert reasons(examine(deeper, EXPECTED, trust, forge.NOW)) == [Reason.ATTESTATION_CHAIN_LENGTH]


@pytest.mark.skipif(not recorded.are_here(), reason="the recorded evidence isn't here")
@pytest.mark.parametrize("root", [True, False])
def test_no_recorded_chain_is_too_deep(*, root: bool) -> None:
    """Each of the accepted ones has the depth of its kind, with its root and without."""
    for row in recorded.android_chains():
        assert isinstance(row.evidence, AndroidKeyChain)
        chain = row.evidence.chain if root else row.evidence.chain[:-1]
        found = examine(AndroidKeyChain(chain), row.expected, recorded.trust(), row.now)
        assert found.refusals == (), row.id


# StrongBox


@pytest.mark.parametrize(
    ("attester", "certified"),
    [
        ({"title": "StrongBox"}, KeySecurity.STRONGBOX),
        ({"organization_name": "StrongBox"}, KeySecurity.STRONGBOX),
        ({"title": "TEE"}, KeySecurity.TEE),
        ({"organization_name": "TEE"}, KeySecurity.TEE),
        ({"title": "strongbox"}, None),
        ({"title": "StrongBox 2"}, None),
        ({"common_name": "StrongBox"}, None),
        ({}, None),
    ],
)
def test_the_vendors_word_for_a_level(
    attester: Mapping[str, str], certified: KeySecurity | None
) -> None:
    """Title or organisation of the attestation key's certificate; the description's own word beside it."""
    google = forge.google()
    subject = forge.name(serial_number="unit", **attester)
    google = replace(google, attester=forge.certify(subject, google.intermediate))
    for evidence in (google.evidence(google.leaf(STRONGBOX)), google.attested()):
        found = judge(google, evidence)
        assert found.refusals == ()
        assert found.claims is not None
        assert found.claims.certified_security is certified
    claims = judge(google, google.evidence(google.leaf(STRONGBOX))).claims
    assert claims is not None
    assert claims.key_security is KeySecurity.STRONGBOX
    rule = HardwareSecurity(strongbox=True)
    refused = rule.judge(claims, forge.ANDROID_APP, Circumstances(forge.NOW)).refusals
    assert bool(refused) is (certified is not KeySecurity.STRONGBOX)


def test_what_nobody_vouched_for_is_no_vendors_word() -> None:
    """Neither a leaf's own name, nor one under an unknown end."""
    google = forge.google()
    named = forge.certify(
        forge.name(title="StrongBox"),
        google.attester,
        extensions=[(forge.KEY_DESCRIPTION, STRONGBOX)],
        ca=None,
        signs=False,
    )
    claims = judge(google, google.evidence(named)).claims
    assert claims is not None
    assert claims.certified_security is KeySecurity.TEE
    strange = examine(google.evidence(named), EXPECTED, forge.trust(), forge.NOW).claims
    assert strange is not None
    assert strange.certified_security is None


@pytest.mark.skipif(not recorded.are_here(), reason="the recorded evidence isn't here")
def test_every_recorded_strongbox_is_named_by_its_vendor() -> None:
    """No genuine one is lost by asking for it, and none of a TEE says StrongBox."""
    named: list[tuple[KeySecurity, KeySecurity | None]] = []
    for row in recorded.android_chains():
        found = examine(row.evidence, row.expected, recorded.trust(), row.now)
        assert found.claims is not None
        named.append((found.claims.attestation_security, found.claims.certified_security))
    assert named.count((KeySecurity.STRONGBOX, KeySecurity.STRONGBOX)) == 9
    assert {second for first, second in named if first is KeySecurity.STRONGBOX} == {
        KeySecurity.STRONGBOX
    }
    assert KeySecurity.STRONGBOX not in {
        second for first, second in named if first is KeySecurity.TEE
    }


# A leaf that names its issuer without the title


def untitled(google: forge.Google, named: x509.Name) -> AndroidKeyChain:
    """Return a chain whose leaf names its issuer so."""
    return google.evidence(google.leaf(names=named))


def test_an_issuer_without_its_title_is_let_pass_and_told() -> None:
    """Keymaster 3 of some phones: the signature decides, and the verdict tells the leniency."""
    google = forge.google()
    evidence = untitled(google, forge.name(serial_number="unit"))
    found = judge(google, evidence)
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.leniencies == (LENIENT_ISSUER_TITLE,)
    trust = forge.trust(google.anchor, issuers=BoundedIssuerCache())
    for _ in range(2):
        assert examine(evidence, EXPECTED, trust, forge.NOW).refusals == ()
    wrong = replace(google, attester=forge.Party(google.attester.certificate, forge.p256()))
    forged = google.evidence(wrong.leaf(names=forge.name(serial_number="unit")))
    assert reasons(judge(google, forged)) == [Reason.ATTESTATION_CHAIN_SIGNATURE]


@pytest.mark.parametrize(
    "named",
    [
        forge.name(serial_number="another"),
        forge.name(title="TEE"),
        forge.name(title="StrongBox", serial_number="unit"),
        forge.name(serial_number="unit", title="TEE"),
        forge.name(serial_number="unit", common_name="x"),
        forge.name(common_name="unit"),
        forge.name(),
    ],
)
def test_any_other_name_is_another_issuer(named: x509.Name) -> None:
    """Another number, another title, another order, anything more and anything less."""
    google = forge.google()
    assert reasons(judge(google, untitled(google, named))) == [Reason.ATTESTATION_CHAIN_NAME]


def test_only_the_leaf_of_a_factorys_key_may_leave_the_title_out() -> None:
    """No link above, no remotely provisioned key, no attest key, and no batch without a number."""
    google = forge.google()
    batch = forge.name(serial_number="batch")
    attester = forge.certify(
        forge.name(title="TEE", serial_number="unit"), google.intermediate, names=batch
    )
    above = replace(google, attester=attester)
    assert reasons(judge(above, above.evidence())) == [Reason.ATTESTATION_CHAIN_NAME]
    numbered = forge.name(title="TEE", serial_number="unit")
    remote = forge.remote_google()
    remote = replace(remote, attester=forge.certify(numbered, remote.between[0]))
    evidence = untitled(remote, forge.name(serial_number="unit"))
    assert reasons(judge(remote, evidence)) == [Reason.ATTESTATION_CHAIN_NAME]
    key = google.attest_key(names=forge.name(serial_number="unit"))
    assert reasons(judge(google, google.attested(key))) == [Reason.ATTESTATION_CHAIN_NAME]
    without = forge.certify(forge.name(title="TEE", common_name="unit"), google.intermediate)
    unnumbered = replace(google, attester=without)
    evidence = untitled(unnumbered, forge.name(common_name="unit"))
    assert reasons(judge(unnumbered, evidence)) == [Reason.ATTESTATION_CHAIN_NAME]
