"""Chains of real phones: roots of each kind and issue, provisioning, patch levels, and what is remembered.

The recorded evidence isn't part of the project; these tests run where it lies beside it.
"""

import ast
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from watchword.adapters.revocation import load_status_lists
from watchword.apps.evidence.files import read_anchors, read_certificates, with_packaged
from watchword.attestation.certificates import BoundedIssuerCache
from watchword.attestation.claims import Provisioning
from watchword.attestation.formats.android_key import LENIENT_EXPIRED
from watchword.attestation.interface import AndroidKeyChain, Examination, Expected, Trust
from watchword.attestation.registry import examine
from watchword.reasons import Reason
from watchword.vocabulary import Vendor

FOLDER = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "android"
TODAY = datetime(2026, 11, 24, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recorded evidence isn't here")

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Return the rows that are chains."""
    index: list[Row] = json.loads((FOLDER / "index.json").read_text())
    return [row for row in index if row["kind"] == "android-key-attestation"]


@pytest.fixture(scope="module")
def trust() -> Trust:
    """Return a Trust in the recorded roots and status lists."""
    extra = read_anchors(FOLDER / "roots.json", [Vendor.ANDROID_KEY])
    status = load_status_lists(sorted(FOLDER.glob("status-*.json")))
    return Trust(with_packaged(extra, replace_production=True), status)


def judge(row: Row, trust: Trust, *, now: datetime | None = None, root: bool = True) -> Examination:
    """Examine a row at its instant or another one, with or without the chain's last certificate."""
    chain = tuple(read_certificates(FOLDER / row["file"]))
    at = now or datetime.fromisoformat(row["valid_at"])
    evidence = AndroidKeyChain(chain if root else chain[:-1])
    return examine(evidence, Expected(None, None), trust, at)


def told(examination: Examination) -> set[Reason]:
    """Return the reasons."""
    return {refusal.reason for refusal in examination.refusals}


def accepted(rows: list[Row]) -> list[Row]:
    """Return the rows whose chain holds: those that are refused for what it says hold too."""
    causes = {"ROOT_SOFTWARE", "ROOT_UNKNOWN", "CHAIN_INCOMPLETE", "NO_KEY_DESCRIPTION", "REVOKED"}
    return [row for row in rows if causes.isdisjoint(row["computed_verdict"]["reasons"])]


def test_provisioning_is_as_recorded(rows: list[Row], trust: Trust) -> None:
    """Remote where it was recorded so, by extension or by name; the factory's where a vendor's root ends it."""
    counts: Counter[tuple[str, object]] = Counter()
    for row in rows:
        claims = judge(row, trust).claims
        if claims is not None:
            counts[row["provisioning"], claims.provisioning] += 1
            assert (claims.device_key is not None) is (row["provisioning"] == "rkp")
    assert counts == {
        ("rkp", Provisioning.REMOTE): 20,
        ("factory-or-software", Provisioning.FACTORY): 130,
        ("factory-or-software", None): 28,
    }


def test_provisioning_information_is_as_recorded(rows: list[Row], trust: Trust) -> None:
    """Each of the 16 extensions says what another decoder read in it."""
    names = {1: "certificatesIssued", 3: "manufacturer"}
    compared = 0
    for row in rows:
        claims = judge(row, trust).claims
        recorded = row.get("provisioning_info_ext")
        if claims is not None and recorded is None:
            assert "provisioningInfo" not in claims.fields
        elif claims is not None and recorded is not None:
            expected: dict[str, Any] = {}
            for key, value in ast.literal_eval(recorded["decoded"]).items():
                if key in names:
                    expected[names[key]] = value
                else:
                    expected.setdefault("otherKeys", {})[str(key)] = value
            assert claims.fields["provisioningInfo"] == expected
            compared += 1
    assert compared == 16


def test_patch_levels_and_serials_are_as_recorded(rows: list[Row], trust: Trust) -> None:
    """Patch levels are those of the hardware list, serials those of all issuers."""
    misspelt = 0
    for row in rows:
        claims = judge(row, trust).claims
        if claims is None or claims.patches is None:
            continue
        hardware = row["expected"]["hardwareEnforced"]
        patches = claims.patches
        assert (patches.os_version, patches.system) == (
            hardware.get("osVersion"),
            hardware.get("osPatchLevel"),
        )
        assert (patches.vendor, patches.boot) == (
            hardware.get("vendorPatchLevel"),
            hardware.get("bootPatchLevel"),
        )
        misspelt += patches.vendor is not None and len(str(patches.vendor)) == 6
        assert set(claims.serials) >= set(row["serials_hex"][1:-1])
        assert "1" not in claims.serials
    assert misspelt == 13


def test_every_chain_holds_under_a_root_that_expired(rows: list[Row], trust: Trust) -> None:
    """The 2016 copy of the root ended in May 2026; factory chains under it are as good as ever."""
    expired = [row for row in accepted(rows) if row["root_not_after"] < "2026-06"]
    assert len(expired) > 90
    leniencies: Counter[str] = Counter()
    for row in expired:
        found = judge(row, trust, now=TODAY)
        late = {Reason.ATTESTATION_CERTIFICATE_EXPIRED} if row["provisioning"] == "rkp" else set()
        assert told(found) == late, row["id"]
        assert found.claims is not None
        leniencies.update(found.claims.leniencies)
    # Some of the factory's own certificates have ended too, and are told.
    assert leniencies[LENIENT_EXPIRED] > 0


def test_every_root_may_be_left_out(rows: list[Row], trust: Trust) -> None:
    """Under either root, RSA and P-384, and under each issue of them, the last issuer names its anchor."""
    roots: Counter[str] = Counter()
    for row in accepted(rows):
        whole, short = judge(row, trust), judge(row, trust, root=False)
        assert told(short) == told(whole) == set(), row["id"]
        assert short.claims is not None
        assert whole.claims is not None
        assert short.claims.anchor == whole.claims.anchor
        assert short.claims.provisioning is whole.claims.provisioning
        roots[row["root"]] += 1
    assert set(roots) == {"google-rsa4096-f92009e853b6b045", "google-ecdsa-p384-2025"}
    assert roots["google-ecdsa-p384-2025"] == 4


def test_an_attestation_that_believed_in_1970(rows: list[Row], trust: Trust) -> None:
    """Its instant lies before its factory's certificates begin: they are told, and not held against it."""
    (row,) = [row for row in rows if row["id"] == "gos-SM_N970U-strongbox"]
    assert row["valid_at"].startswith("1970-01-01")
    for now, lenient in ((None, True), (TODAY, False)):
        found = judge(row, trust, now=now)
        assert found.refusals == ()
        assert found.claims is not None
        assert (LENIENT_EXPIRED in found.claims.leniencies) is lenient


def test_known_issuers_change_no_recorded_verdict(rows: list[Row], trust: Trust) -> None:
    """Each chain twice, in order and with all that was remembered of the others: the same claims and steps."""
    cache = BoundedIssuerCache()
    having = replace(trust, issuers=cache)
    for _ in range(2):
        for row in rows:
            cold, warm = judge(row, trust), judge(row, having)
            assert warm.steps == cold.steps, row["id"]
            assert warm.claims == cold.claims, row["id"]
    assert len(cache) > 100
