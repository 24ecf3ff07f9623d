"""A sample of what ``make mutants`` runs in full: mutated evidence of real devices passes nowhere.

The recorded evidence isn't part of the project; these tests run where it lies beside it.
"""

import pytest
from tests.unit.attestation import recorded
from tests.unit.attestation.mutant_runs import (
    Run,
    android_cases,
    apple_cases,
    assertion_cases,
    issuer_cache,
    run_android,
    run_apple,
    run_assertions,
)
from tests.unit.attestation.mutants import is_accepted, overlooking

from watchword.reasons import Reason

pytestmark = pytest.mark.skipif(not recorded.are_here(), reason="the recorded evidence isn't here")

SAMPLE = Run(positions=32, step=29)
"""About one mutant of 29, others for each piece of evidence."""


def test_all_recorded_evidence_is_accepted_before_it_is_mutated() -> None:
    """Verified and appraised: 135 chains and 11 attestations."""
    trust = recorded.trust()
    rows = [*recorded.android_chains(), *recorded.app_attest_attestations()]
    cases = [*android_cases(), *apple_cases()]
    refused = [
        row.id
        for row, case in zip(rows, cases, strict=True)
        if not is_accepted(case, trust, recorded.appraised_at(row))
    ]
    # Its receipt's signer isn't signed by Apple's intermediate, so that policy misses a good receipt.
    assert refused == ["apple-appattest-4949301dc9d2"]
    assert len(cases) == 135 + 11


@pytest.mark.parametrize("remembered", [False, True])
def test_mutated_recorded_chains(remembered: bool) -> None:
    """Whether issuers are remembered or not."""
    trust = recorded.trust(issuer_cache() if remembered else None)
    tally = run_android(android_cases(), trust, SAMPLE)
    assert tally.wrong.total() == 0
    assert tally.made.total() > 3500
    assert len(tally.made) >= 25


@pytest.mark.parametrize("remembered", [False, True])
def test_mutated_recorded_attestations(remembered: bool) -> None:
    """Receipts are mutated too: none of them is believed then."""
    trust = recorded.trust(issuer_cache() if remembered else None)
    tally = run_apple(apple_cases(), trust, SAMPLE)
    assert tally.wrong.total() == 0
    assert tally.made.total() > 450
    assert tally.without["receipt bent"] > tally.same["receipt bent"]


def test_mutated_recorded_assertions() -> None:
    """All mutants of all seven."""
    tally = run_assertions(assertion_cases(), Run(positions=32))
    assert tally.wrong.total() == 0
    assert tally.made.total() > 6000


def test_run_over_recorded_chains_can_fail() -> None:
    """A verifier without signatures accepts what is mutated."""
    run = Run(positions=8, verifier=overlooking(Reason.ATTESTATION_CHAIN_SIGNATURE))
    tally = run_android(android_cases()[:3], recorded.trust(), run)
    assert tally.wrong["certificate signed"] > 10
