"""Run mutants over recorded evidence, or over forged evidence where none was recorded."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module, util
from typing import Any

import cbor2
from tests.unit.attestation import forge, recorded
from tests.unit.attestation.android_mutants import chain_mutants, leaked_key_mutants
from tests.unit.attestation.apple_mutants import AssertionCase, assertion_mutants, object_mutants
from tests.unit.attestation.mutants import Case, Tally, Verifier, count, every, tally_as
from tests.unit.attestation.mutations import key_of, serial_of

from watchword.attestation.formats import app_attest
from watchword.attestation.interface import (
    AndroidKeyChain,
    Attestation,
    Expected,
    IssuerCache,
    Trust,
)
from watchword.attestation.registry import examine
from watchword.lab.apple import IPHONE_KEY
from watchword.reasons import MalformedError
from watchword.vocabulary import Distribution

NEIGHBOURS = 3
"""Other pieces of evidence whose parts are spliced into each one."""


@dataclass(frozen=True)
class Run:
    """Say how much is run: each ``step``-th mutant with ``positions`` flips of each region."""

    positions: int
    step: int = 1
    verifier: Verifier = examine


def issuer_cache() -> IssuerCache:
    """Return an empty issuer cache, as the service has one."""
    made: Any = import_module("watchword.attestation.certificates").BoundedIssuerCache()
    cache: IssuerCache = made
    return cache


def has_issuer_cache() -> bool:
    """Tell whether there is one."""
    return util.find_spec("watchword.attestation.certificates") is not None


def neighbours(items: Sequence[Any], at: int) -> list[Any]:
    """Return a few other items, spread over all of them, the next one first."""
    strides = [1 + index * index * len(items) // 17 for index in range(NEIGHBOURS)]
    found = {(at + stride) % len(items): items[(at + stride) % len(items)] for stride in strides}
    found.pop(at, None)
    return list(found.values())


def android_cases() -> list[Case]:
    """Return the recorded chains that are accepted."""
    roots = root_keys(recorded.trust())
    return [
        chain_case(row.evidence, row.expected, row.now, roots) for row in recorded.android_chains()
    ]


def chain_case(
    evidence: Attestation, expected: Expected, now: datetime, roots: frozenset[bytes]
) -> Case:
    """Return a chain as a case."""
    assert isinstance(evidence, AndroidKeyChain)
    signed = [data for data in evidence.chain if key_of(data) not in roots]
    return Case(evidence, expected, now, frozenset(map(serial_of, signed)))


def forged_android() -> tuple[list[Case], Trust]:
    """Return chains of forged vendors: from the factory, with and without CA, and provisioned remotely."""
    vendors = [
        forge.google(),
        forge.google(attester={"ca": False, "signs": False}),
        forge.remote_google(),
    ]
    trust = forge.trust(*(vendor.anchor for vendor in vendors), revoked={})
    expected = Expected(forge.BINDING, forge.ANDROID_APP)
    roots = root_keys(trust)
    return [chain_case(each.evidence(), expected, forge.NOW, roots) for each in vendors], trust


_STATED = cbor2.dumps(
    {"apple_bundle_version_01": "7", "apple_validation_category_01": b"\x04\x00\x00\x00"}
)


def forged_apple() -> tuple[list[Case], Trust]:
    """Return attestations of a forged Apple, so that parts of one can be put into another."""
    vendor = forge.apple()
    cases = []
    for number in range(3):
        binding = bytes([number]) * 32
        evidence = vendor.evidence(
            binding=binding,
            receipt=b"receipt of a hundred bytes" * 4,
            key_access=forge.apple_key_access(IPHONE_KEY),
            trailing=_STATED if number else b"",
        )
        cases.append(Case(evidence, Expected(binding, forge.APPLE_APP), forge.NOW))
    return cases, forge.trust(vendor.anchor)


def forged_assertions() -> list[AssertionCase]:
    """Return assertions of three forged phones, each with another counter."""
    cases = []
    for counter in (7, 8, 9):
        key = forge.p256()
        stated = _STATED if counter > 7 else b""
        assertion = forge.assertion(key, b"statement", counter=counter, trailing=stated)
        digest = hashlib.sha256(b"statement").digest()
        cases.append(AssertionCase(assertion, digest, forge.spki(key), forge.APPLE_APP))
    return cases


def root_keys(trust: Trust) -> frozenset[bytes]:
    """Return the keys of Android's anchors."""
    return frozenset(anchor.spki for anchor in trust.anchors.for_vendor("android-key"))


def run_android(cases: Sequence[Case], trust: Trust, run: Run) -> Tally:
    """Mutate each chain."""
    roots = root_keys(trust)
    tally = Tally()
    for at, case in enumerate(cases):
        mutants = chain_mutants(case, roots, run.positions, neighbours(cases, at))
        tally.merge(count(case, _sampled(mutants, run, at), trust, run.verifier))
    return tally


def run_leaked(run: Run, *, remembered: bool = False) -> Tally:
    """Mutate what leaked attestation keys of forged vendors sign, and chains that a leniency lets pass."""
    vendors = (forge.google(), forge.google(attester={"path_length": 3}), forge.remote_google())
    cache = issuer_cache() if remembered else None
    trust = forge.trust(*(vendor.anchor for vendor in vendors), revoked={}, issuers=cache)
    roots, tally = root_keys(trust), Tally()
    expected = Expected(forge.BINDING, forge.ANDROID_APP)
    for at, vendor in enumerate(vendors):
        case = chain_case(vendor.evidence(), expected, forge.NOW, roots)
        mutants = _sampled(leaked_key_mutants(case, vendor), run, at)
        tally.merge(count(case, mutants, trust, run.verifier))
    untitled = vendors[0].leaf(names=forge.name(serial_number="unit"))
    case = chain_case(vendors[0].evidence(untitled), expected, forge.NOW, roots)
    mutants = _sampled(chain_mutants(case, roots, run.positions), run, 0)
    tally.merge(count(case, mutants, trust, run.verifier))
    return tally


def apple_cases() -> list[Case]:
    """Return the recorded attestations."""
    return [Case(row.evidence, row.expected, row.now) for row in recorded.app_attest_attestations()]


def run_apple(cases: Sequence[Case], trust: Trust, run: Run) -> Tally:
    """Mutate each attestation."""
    tally = Tally()
    for at, case in enumerate(cases):
        mutants = object_mutants(case, run.positions, neighbours(cases, at))
        tally.merge(count(case, _sampled(mutants, run, at), trust, run.verifier))
    return tally


def assertion_cases() -> list[AssertionCase]:
    """Return the recorded assertions whose key and client data are known."""
    return [
        AssertionCase(row.assertion, row.client_data_hash, row.public_key, row.app)
        for row in recorded.assertions()
    ]


def run_assertions(cases: Sequence[AssertionCase], run: Run) -> Tally:
    """Mutate each assertion; what it says is its counter and its version."""
    tally = Tally()
    for at, case in enumerate(cases):
        genuine = _renewal(case)
        assert genuine is not None, "the assertion to be mutated isn't accepted"
        for kind, mutated, meaning in _sampled(
            assertion_mutants(case, run.positions, neighbours(cases, at)), run, at
        ):
            tally_as(tally, kind, meaning, _renewal(mutated), genuine)
    return tally


def _renewal(case: AssertionCase) -> tuple[int | None, str | None, Distribution | None] | None:
    try:
        found = app_attest.examine_assertion(
            case.assertion, case.client_data_hash, case.public_key, case.app
        )
    except MalformedError:
        return None
    return None if found.refusals else (found.counter, found.app_version, found.distribution)


def _sampled(mutants: Iterable[Any], run: Run, offset: int) -> Iterator[Any]:
    """Return each ``step``-th mutant, another first one for each case."""
    return every(mutants, run.step, offset)
