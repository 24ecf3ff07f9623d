"""Renewals under a policy: what became known of an instance is put before it, the worst first."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from tests.unit.enrolment.simulators import NOW
from tests.unit.enrolment.test_evidence import (
    ATTESTING,
    AUTHORITIES,
    RAW,
    CountedDevices,
    app_of,
    appraised,
    instance_of,
    phone,
    renewed,
)

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.interface import Trust
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.policy.interface import AllOf, Policy
from watchword.policy.registry import BALANCED, STRICT
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.suspension import Suspension
from watchword.ports import RevocationEntry
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level

LENIENT = Policy("lenient", {Level.HARDWARE: AllOf((KeyOrigin(), Suspension(allowed=True)))})


@dataclass
class StatusList:
    """Be a status list with these entries."""

    entries: dict[str, str] = field(default_factory=dict)
    known: bool = True
    digest: str = "list"

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """See the port."""
        status = self.entries.get(serial_hex)
        return None if status is None else RevocationEntry(status, "KEY_COMPROMISE")

    def is_known(self, now: datetime) -> bool:
        """See the port."""
        return self.known


def reasons(
    policy: Policy,
    status: StatusList | None,
    serials: tuple[str, ...] = ("a", "b"),
    kind: str = "genuine-android",
) -> set[Reason]:
    """Return the reasons against the renewal of a genuine phone, whose certificates are a and b."""
    device = phone(kind)
    instance = replace(instance_of(kind, appraised(kind, device=device)), serials=serials)
    trust = Trust(AnchorSet(AUTHORITIES.anchors()), status)
    by = FormatEvidenceVerifier(trust, policy, CountedDevices())
    try:
        renewed(device.renew(RAW), instance, app_of(kind), by=by)
    except RefusedError as error:
        return {refusal.reason for refusal in error.refusals}
    return set()


@pytest.mark.parametrize(
    ("policy", "entries", "expected"),
    [
        (BALANCED, {}, set()),
        (BALANCED, {"c": "REVOKED"}, set()),
        (BALANCED, {"b": "REVOKED"}, {Reason.INSTANCE_WITHDRAWN}),
        (BALANCED, {"a": "SUSPENDED"}, {Reason.POLICY_SUSPENDED}),
        (LENIENT, {"a": "SUSPENDED"}, set()),
        (LENIENT, {"a": "SUSPENDED", "b": "REVOKED"}, {Reason.INSTANCE_WITHDRAWN}),
    ],
)
def test_withdrawn_certificates(
    policy: Policy, entries: dict[str, str], expected: set[Reason]
) -> None:
    """A revoked certificate isn't hidden by a suspended one that the policy lets pass."""
    assert reasons(policy, StatusList(entries)) == expected


def test_missing_list_stops_renewals_where_policy_says_so() -> None:
    """Fail closed holds between two attestations too."""
    gone = StatusList(known=False)
    assert reasons(STRICT, gone) == {Reason.POLICY_REVOCATION_UNKNOWN}
    assert reasons(BALANCED, gone) == set()


def test_instance_without_its_certificates_is_not_known_to_stand() -> None:
    """Fail closed refuses an instance whose serials are missing, whether the list is there or not."""
    assert reasons(STRICT, StatusList(), ()) == {Reason.POLICY_REVOCATION_UNKNOWN}
    assert reasons(STRICT, StatusList(known=False), ()) == {Reason.POLICY_REVOCATION_UNKNOWN}
    assert reasons(STRICT, StatusList()) == set()
    assert reasons(BALANCED, StatusList(), ()) == set()
    # Without any list there is nothing to know, and Apple has none.
    assert reasons(STRICT, None, ()) == set()
    assert Reason.POLICY_REVOCATION_UNKNOWN not in reasons(
        STRICT, StatusList(), (), "genuine-iphone"
    )


@pytest.mark.parametrize("kind", ATTESTING)
def test_attested_key_renews_for_years(kind: str) -> None:
    """The vendor vouched for the key itself, so that nothing about it grows stale."""
    device = phone(kind)
    instance = instance_of(kind, appraised(kind, device=device))
    old = replace(instance, attested_at=NOW - timedelta(days=1000))
    assert not renewed(device.renew(RAW), old, app_of(kind)).vouched_anew
