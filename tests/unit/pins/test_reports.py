"""Test how reports of failed pin checks are read and grouped."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pins.builders import APP, HOST, NOW, certificate, pem, spki

from watchword.encoding import strict_json
from watchword.pins.interface import Basis, Judgement, pin_of_certificate
from watchword.pins.reports import (
    MAX_NAMED,
    MAX_REPORT_BYTES,
    MEDIA_TYPE,
    PinReport,
    ReportGroup,
    parse_report,
    report_of,
    write_report,
)
from watchword.reasons import MalformedError, Reason

MISMATCH = Judgement(
    passes=False, basis=Basis.PINS, report=True, withhold=True, mismatch=True, version=5
)
REPORT = report_of(APP, "1.4.2", f"{HOST.upper()}.", (spki("mim"), spki("ca")), MISMATCH, NOW + 0.7)
IOS = {
    "app-bundle-id": "com.example.clinic",
    "app-version": "1.4.2",
    "app-vendor-id": "599F9C00-92DC-4B5C-9464-7971F01F8370",
    "date-time": "2026-11-18T11:46:40Z",
    "hostname": HOST,
    "port": 443,
    "include-subdomains": False,
    "noted-hostname": "example.com",
    "validated-certificate-chain": [pem(certificate()).decode(), pem(certificate(of="B")).decode()],
    "known-pins": ['pin-sha256="AAAA"'],
    "validation-result": 1,
}
ANDROID = {
    **IOS,
    "app-platform": "ANDROID",
    "trustkit-version": "1.1.5",
    "port": 0,
    "enforce-pinning": False,
    "date-time": "2026-11-18T11:46:40+0000",
    "served-certificate-chain": [pem(certificate()).decode()],
}


def refused(data: bytes, media_type: str = MEDIA_TYPE) -> Reason:
    """Return why a report is refused."""
    with pytest.raises(MalformedError) as caught:
        parse_report(data, media_type)
    return caught.value.reason


def test_what_an_app_writes_is_read_back() -> None:
    """Host in its one form, pins of the chain, what the judgement was."""
    assert parse_report(write_report(REPORT), "Application/JSON; charset=utf-8") == REPORT
    assert (
        PinReport(
            app=APP,
            app_version="1.4.2",
            host=HOST,
            set_version=5,
            basis=Basis.PINS,
            mismatch=True,
            refused=True,
            chain=(spki("mim"), spki("ca")),
            at=NOW,
        )
        == REPORT
    )


def test_long_chain_is_cut_by_the_app_that_reports() -> None:
    """What it writes can be read."""
    report = report_of(APP, "1", HOST, [spki("x")] * 100, MISMATCH, NOW)
    assert len(parse_report(write_report(report), MEDIA_TYPE).chain) == 12


@pytest.mark.parametrize(("form", "is_refused"), [(IOS, True), (ANDROID, False)])
def test_reports_of_trustkit_are_read(form: dict[str, Any], is_refused: bool) -> None:
    """Of certificates the pins are kept; the device's id is not."""
    report = parse_report(json.dumps(form).encode(), MEDIA_TYPE)
    leaves = [pin_of_certificate(certificate(of=of).public_bytes(Encoding.DER)) for of in "AB"]
    assert report == PinReport(
        app="com.example.clinic",
        app_version="1.4.2",
        host=HOST,
        set_version=0,
        basis=Basis.PINS,
        mismatch=True,
        refused=is_refused,
        chain=tuple(leaves),
        at=1_795_002_400,
    )
    assert "599F9C00" not in repr(report)


@pytest.mark.parametrize("when", [None, 7, "now", "2026-11-18T11:46:40", "0001-01-01T00:00:00Z"])
def test_time_that_cant_be_read_is_left_out(when: Any) -> None:
    """A phone with another calendar reports all the same."""
    assert parse_report(json.dumps({**IOS, "date-time": when}).encode(), MEDIA_TYPE).at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"app": ...},
        {"app": "a b"},
        {"app_version": "x" * 129},
        {"app_version": "a\nb"},
        {"host": "192.0.2.1"},
        {"host": 7},
        {"set": -1},
        {"set": True},
        {"basis": "hope"},
        {"basis": ["pins"]},
        {"mismatch": 1},
        {"refused": None},
        {"chain": "AAAA"},
        {"chain": ["AAAA"]},
        {"chain": [7]},
        {"chain": ["!" * 43]},
        {"chain": ["A" * 43] * 13},
        {"at": -5},
        {"at": 2**41},
        {"at": 1.5},
    ],
)
def test_every_member_is_held_to_its_form(changes: dict[str, Any]) -> None:
    """Nothing else gets into lists that operators read."""
    members = {**json.loads(write_report(REPORT)), **changes}
    members = {name: value for name, value in members.items() if value is not ...}
    assert refused(strict_json.dumps(members)) is Reason.PINS_REPORT_MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"validated-certificate-chain": "x"},
        {"validated-certificate-chain": [7]},
        {"validated-certificate-chain": ["AAAA"]},
        {"validated-certificate-chain": ["-----BEGIN CERTIFICATE-----\nAAAA"]},
        {"validated-certificate-chain": [pem(certificate(), certificate()).decode()]},
        {"validated-certificate-chain": [pem(certificate()).decode()] * 13},
        {"app-bundle-id": None},
        {"app-version": 1},
        {"hostname": "a b"},
        {"validation-result": "1"},
        {"enforce-pinning": "yes"},
    ],
)
def test_members_of_trustkit_are_held_to_their_form(changes: dict[str, Any]) -> None:
    """A chain of many, or of something else; an app without a name."""
    assert refused(strict_json.dumps({**IOS, **changes})) is Reason.PINS_REPORT_MALFORMED


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/xml", "application/jsonx"])
def test_another_media_type_is_refused_by_its_name(media_type: str) -> None:
    """Before anything is read."""
    assert refused(write_report(REPORT), media_type) is Reason.REQUEST_MEDIA_TYPE


def test_oversized_report_is_refused_before_it_is_read() -> None:
    """Neither form needs that much."""
    assert refused(b" " * (MAX_REPORT_BYTES + 1)) is Reason.PINS_REPORT_MALFORMED
    assert len(json.dumps(ANDROID)) < MAX_REPORT_BYTES


@given(
    st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from([*json.loads(write_report(REPORT)), *ANDROID]),
            st.one_of(
                st.none(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=9))
            ),
        ).map(lambda members: json.dumps(members).encode()),
    )
)
def test_foreign_reports_are_refused_as_malformed(data: bytes) -> None:
    """Whatever is sent gives a clear fault and nothing foreign."""
    assert refused(data) is Reason.PINS_REPORT_MALFORMED


def test_reports_of_the_same_are_one_group() -> None:
    """By app, host, leaf, basis and whether it's a mismatch; with the first time and the last, and which versions."""
    first = ReportGroup.of(REPORT)
    later = ReportGroup.of(replace(REPORT, at=NOW + 50, set_version=6, refused=False))
    assert later.what == first.what
    both = first.merged(later)
    assert (both.leaf, both.count, both.refused) == (spki("mim"), 2, 1)
    assert (both.first, both.last) == (NOW, NOW + 50)
    assert (both.set_versions, both.app_versions) == ((5, 6), ("1.4.2",))
    untimed = ReportGroup.of(replace(REPORT, app_version="2.0", at=None))
    assert (untimed.first, untimed.last, untimed.app_versions) == (None, None, ("2.0",))
    assert untimed.merged(untimed).first is None
    assert untimed.merged(first).last == first.merged(untimed).last == NOW
    changes: list[dict[str, Any]] = [
        {"chain": (spki("other"),)},
        {"basis": Basis.PLATFORM},
        {"mismatch": False},
        {"host": "b.example"},
    ]
    for change in changes:
        assert ReportGroup.of(replace(REPORT, **change)).what != first.what
    assert ReportGroup.of(replace(REPORT, chain=())).leaf is None


def test_a_group_names_so_many_versions_and_no_more() -> None:
    """What comes beyond is counted, not named."""
    found = ReportGroup.of(REPORT)
    for at in range(2 * MAX_NAMED):
        found = found.merged(ReportGroup.of(replace(REPORT, app_version=str(at))))
    assert (found.count, len(found.app_versions)) == (2 * MAX_NAMED + 1, MAX_NAMED)
