"""Mutate forged evidence in every region and every way: none of it passes but where nothing is signed."""

from dataclasses import replace

import pytest
from tests.unit.attestation import forge
from tests.unit.attestation.android_mutants import chain_mutants
from tests.unit.attestation.mutant_runs import (
    Run,
    forged_android,
    forged_apple,
    forged_assertions,
    issuer_cache,
    root_keys,
    run_android,
    run_apple,
    run_assertions,
    run_leaked,
)
from tests.unit.attestation.mutants import (
    Case,
    Meaning,
    Mutant,
    Tally,
    count,
    is_accepted,
    overlooking,
)
from tests.unit.attestation.mutations import flips, negated

from watchword.attestation.interface import AndroidKeyChain, Expected
from watchword.reasons import Reason

RUN = Run(positions=48)
"""Flipped bits of each region, evenly spread, so that counts don't hang on a run's keys."""

ROOT = {
    "root header, not its key",
    "root signed, not its key",
    "root algorithm, not its key",
    "root signature, not its key",
    "root dropped",
}
WRAPPING = {"length rewritten", "ECDSA s negated"}


@pytest.mark.parametrize("remembered", [False, True])
def test_mutated_android_chains(remembered: bool) -> None:
    """Only the root's own wrapping and dates may change, and how certificates are wrapped."""
    cases, trust = forged_android()
    if remembered:
        trust = replace(trust, issuers=issuer_cache())
    assert all(is_accepted(case, trust, forge.NOW) for case in cases)
    tally = run_android(cases, trust, RUN)
    assert tally.wrong.total() == 0
    assert tally.unsigned == ROOT | WRAPPING
    assert tally.same["root dropped"] == tally.made["root dropped"] == 3
    signed = 3 + 3 + 4  # Of two chains from the factory, and of one that was provisioned remotely.
    for kind in ("certificate signed", "certificate key", "certificate signature"):
        assert tally.made[kind] == signed * RUN.positions
    assert tally.made["certificate header"] == signed * 32
    for kind, least in (("truncated", 400), ("swapped", 18), ("spliced", 18), ("other key", 9)):
        assert tally.made[kind] >= least, kind
    assert tally.made["leaf used as a CA"] == 3 * 2
    for kind, least in (("title rule", 40), ("depth: own keybox", 18), ("StrongBox in a name", 18)):
        assert tally.made[kind] >= least, kind


@pytest.mark.parametrize("remembered", [False, True])
def test_what_leaked_keys_sign(remembered: bool) -> None:
    """Further keyboxes, other names and other levels: each signature holds, and none is accepted."""
    tally = run_leaked(Run(positions=8), remembered=remembered)
    assert tally.wrong.total() == 0
    assert tally.unsigned <= ROOT | WRAPPING
    classes = {
        "depth: sub-keybox": 400,
        "title rule: other name": 380,
        "title rule: link above": 96,
    }
    for kind, least in {**classes, "StrongBox claimed": 18}.items():
        assert tally.made[kind] >= least, kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.ATTESTATION_CHAIN_LENGTH, "depth: sub-keybox"),
        (Reason.ATTESTATION_CHAIN_NAME, "title rule: other name"),
        (Reason.ATTESTATION_CHAIN_NAME, "title rule: link above"),
    ],
)
def test_run_over_leaked_keys_fails_for_a_verifier_that_overlooks(
    reason: Reason, kind: str
) -> None:
    """Only the rule that a class is for stands between it and acceptance."""
    assert run_leaked(Run(positions=2, verifier=overlooking(reason))).wrong[kind] > 10


def test_mutated_app_attest_attestations() -> None:
    """Only the receipt may change, which then isn't believed, and how parts are wrapped."""
    tally = run_apple(*forged_apple(), RUN)
    assert tally.wrong.total() == 0
    assert {
        kind.removeprefix("leaf: ").removeprefix("intermediate: ") for kind in tally.unsigned
    } <= {
        *WRAPPING,
        "member added",
        "receipt bent",
        "receipt truncated",
        "receipt bytes behind",
        "receipt replaced",
        "receipt of another",
    }
    for kind in ("authenticator data", "leaf", "intermediate"):
        assert tally.made[kind] == 3 * 4 * RUN.positions
    assert tally.made["key id"] == 3 * RUN.positions
    assert tally.made["expected: other environment"] == 3
    assert tally.made["leaf used as a CA"] == 3 * 2


def test_mutated_assertions() -> None:
    """Nothing in an assertion may change but the form of its signature and of its map."""
    tally = run_assertions(forged_assertions(), RUN)
    assert tally.wrong.total() == 0
    assert tally.unsigned == {"ECDSA s negated", "member added"}
    assert tally.same.total() == tally.made["ECDSA s negated"] + tally.made["member added"]
    assert tally.made["counter back"] == 3 * 3
    assert tally.made["truncated"] >= 3 * 100


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        (Reason.ATTESTATION_CHAIN_SIGNATURE, {"certificate signed", "signature empty", "spliced"}),
        (Reason.ATTESTATION_BINDING, {"expected: other challenge"}),
        (Reason.ATTESTATION_ANCHOR_UNKNOWN, {"own vendor"}),
    ],
)
def test_run_over_chains_fails_for_a_verifier_that_overlooks(
    reason: Reason, kinds: set[str]
) -> None:
    """A verifier that leaves one step out is caught, by the mutants that are meant for it."""
    cases, trust = forged_android()
    tally = run_android(cases, trust, Run(positions=8, verifier=overlooking(reason)))
    assert kinds <= {kind for kind, number in tally.wrong.items() if number}


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        (Reason.ATTESTATION_CHAIN_SIGNATURE, {"leaf"}),
        (Reason.ATTESTATION_ANCHOR_UNKNOWN, {"intermediate", "own vendor"}),
        (Reason.APP_ATTEST_ENVIRONMENT, {"expected: other environment"}),
        (Reason.APP_ATTEST_KEY_ID, {"key id"}),
    ],
)
def test_run_over_objects_fails_for_a_verifier_that_overlooks(
    reason: Reason, kinds: set[str]
) -> None:
    """The same for App Attest."""
    run = Run(positions=16, verifier=overlooking(reason))
    cases, trust = forged_apple()
    tally = run_apple(cases[:2], trust, run)
    assert kinds <= {kind for kind, number in tally.wrong.items() if number}


def test_acceptance_with_other_claims_is_wrong(google: forge.Google) -> None:
    """Bytes that nobody signed may change, and what they say may not."""
    trust = forge.trust(google.anchor, revoked={})
    expected = Expected(forge.BINDING, forge.ANDROID_APP)
    case = Case(google.evidence(), expected, forge.NOW)
    strongbox = google.leaf(forge.key_description(levels=(2, 2)))
    swapped = Mutant("root dropped", google.evidence(strongbox), expected, Meaning.UNSIGNED)
    same = Mutant("root dropped", google.evidence(root=False), expected, Meaning.UNSIGNED)
    tally = count(case, [swapped], trust)
    assert (tally.same.total(), tally.wrong.total()) == (0, 1)
    assert isinstance(case.evidence, AndroidKeyChain)
    leafs_equal = replace(same, evidence=AndroidKeyChain(case.evidence.chain[:-1]))
    assert count(case, [leafs_equal], trust).wrong.total() == 0


def test_tools_of_the_runs(google: forge.Google) -> None:
    """Flips change one bit each, a negated signature is another one, and tallies add up."""
    mutated = list(flips(b"\x00" * 4, 1, 3, 100))
    assert len(mutated) == len(set(mutated)) == 16
    assert all(data[0] == data[3] == 0 and sum(map(int.bit_count, data)) == 1 for data in mutated)
    assert negated(b"no signature in DER") is None
    tally = Tally()
    mutant = Mutant("kind", google.evidence(), Expected(None, None), Meaning.UNSIGNED)
    tally.add(mutant, "same")
    tally.merge(tally)
    assert (tally.made["kind"], tally.same["kind"], tally.wrong["kind"]) == (2, 2, 0)
    case = Case(google.evidence(), Expected(forge.BINDING, forge.ANDROID_APP), forge.NOW)
    mutants = chain_mutants(case, root_keys(forge.trust(google.anchor)), 4)
    assert {mutant.meaning for mutant in mutants} == {Meaning.SIGNED, Meaning.UNSIGNED}
