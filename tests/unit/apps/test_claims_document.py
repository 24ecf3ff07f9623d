"""Show that claims and app registrations survive being written down, and that nothing else is read."""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.apps.evidence.records import (
    ClaimsDocumentError,
    app_from_document,
    app_to_document,
    claims_from_document,
    claims_to_document,
)
from watchword.attestation.claims import (
    AppClaims,
    AppleClaims,
    BootClaims,
    BootState,
    KeyAccess,
    KeySecurity,
    PatchLevels,
    PlayVerdicts,
    Provisioning,
    ReceiptClaims,
    ReceiptKind,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution, Platform

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.integers(-(2**70), 2**70)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# Instants under other offsets are equal to the same instants in UTC, and must stay so.
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
SETS = st.frozensets(TEXT, max_size=3)


def some(kind: type, /, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects of a claim's class with every member filled; a member forgotten here fails."""
    assert set(members) == {item.name for item in fields(kind)}
    return st.builds(kind, **members)


APP = some(
    AppClaims,
    ids=st.lists(TEXT, max_size=3).map(tuple),
    versions=st.dictionaries(TEXT, TEXT, max_size=3),
    signing_digests=st.frozensets(st.binary(max_size=32), max_size=3),
)
BOOT = some(
    BootClaims,
    device_locked=st.booleans(),
    state=st.sampled_from(BootState),
    verified_boot_key=st.binary(max_size=32),
    verified_boot_hash=st.none() | st.binary(max_size=32),
)
PATCHES = some(PatchLevels, **{item.name: st.none() | NUMBER for item in fields(PatchLevels)})
REVOCATION = some(
    RevocationClaims,
    known=st.booleans(),
    list_digest=TEXT,
    suspended=st.lists(TEXT, max_size=3).map(tuple),
)
RECEIPT = some(
    ReceiptClaims,
    kind=st.sampled_from(ReceiptKind),
    app_id=TEXT,
    created_at=INSTANTS,
    risk_metric=st.none() | NUMBER,
    refresh_after=st.none() | INSTANTS,
    expires_at=st.none() | INSTANTS,
)
DEVICE = some(
    AppleClaims,
    platform=st.none() | st.sampled_from(ApplePlatform),
    key_access=st.none() | st.sampled_from(KeyAccess),
    distribution=st.none() | st.sampled_from(Distribution),
    os_version=st.none() | TEXT,
    os_build=st.none() | TEXT,
)
PLAY = some(
    PlayVerdicts,
    request=TEXT,
    requested_at=INSTANTS,
    app_recognition=TEXT,
    device_labels=SETS,
    licensing=st.none() | TEXT,
    sdk_version=st.none() | NUMBER,
    recent_activity=st.none() | TEXT,
    app_access_risk=st.none() | SETS,
    play_protect=st.none() | TEXT,
    recalled=st.none() | SETS,
    testing=st.booleans(),
)
CLAIMS = some(
    UnverifiedClaims,
    format=TEXT,
    platform=st.sampled_from(Platform),
    public_key=st.none() | st.binary(max_size=91),
    attestation_security=st.sampled_from(KeySecurity),
    key_security=st.sampled_from(KeySecurity),
    certified_security=st.none() | st.sampled_from(KeySecurity),
    anchor=st.none() | TEXT,
    app=st.none() | APP,
    boot=st.none() | BOOT,
    key_generated=st.booleans(),
    key_signs=st.booleans(),
    counter=st.none() | NUMBER,
    patches=st.none() | PATCHES,
    provisioning=st.none() | st.sampled_from(Provisioning),
    attest_key=st.booleans(),
    incoherent=st.lists(TEXT, max_size=3).map(tuple),
    device_key=st.none() | st.binary(max_size=32),
    attester_serial=st.none() | TEXT,
    serials=st.lists(TEXT, max_size=3).map(tuple),
    model=TEXT,
    revocation=st.none() | REVOCATION,
    receipt=st.none() | RECEIPT,
    receipt_fault=st.none() | TEXT,
    apple=st.none() | DEVICE,
    play=st.none() | PLAY,
    provider=st.none() | OBJECTS,
    fields=OBJECTS,
    leniencies=st.lists(TEXT, max_size=3).map(tuple),
    unchecked=st.lists(TEXT, max_size=3).map(tuple),
)
MINIMAL = {
    "format": "android-key",
    "platform": "android",
    "public_key": None,
    "attestation_security": "tee",
    "key_security": "tee",
    "anchor": None,
}
APPS = (
    AppRegistration("clinic", AndroidApp("org.clinic", frozenset({b"\xfe" * 32, b"\x01" * 32}))),
    AppRegistration("clinic", AndroidApp("org.clinic", frozenset({b"\xfe" * 32})), "41"),
    AppRegistration("ios", AppleApp("TEAM123456", "org.clinic")),
    AppRegistration(
        "ios", AppleApp("TEAM123456", "org.clinic", AppAttestEnvironment.DEVELOPMENT), "1.2"
    ),
    AppRegistration(
        "ios",
        AppleApp(
            "TEAM123456",
            "org.clinic",
            platforms=frozenset({ApplePlatform.MACOS}),
            distribution=frozenset({Distribution.TESTFLIGHT, Distribution.APP_STORE}),
        ),
    ),
)


@given(CLAIMS)
@settings(max_examples=150, deadline=None)
def test_claims_survive_being_written_down(claims: UnverifiedClaims) -> None:
    """Every member of every claim comes back as it was, by way of real JSON."""
    written = json.loads(json.dumps(claims_to_document(claims), allow_nan=False))
    assert claims_from_document(written) == claims


@given(CLAIMS)
@settings(max_examples=50, deadline=None)
def test_equal_claims_are_written_alike(claims: UnverifiedClaims) -> None:
    """What was read again is written as before, so that documents can be compared."""
    written = claims_to_document(claims)
    assert claims_to_document(claims_from_document(written)) == json.loads(json.dumps(written))


def test_what_has_a_default_may_be_left_out() -> None:
    """A person who writes claims for a policy's test writes only those that matter."""
    claims = claims_from_document(MINIMAL)
    assert claims.key_security is KeySecurity.TEE
    assert claims.play is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"colour": 1}, "colour: is unknown"),
        ({"patches": {"kernel": 1}}, "patches.kernel: is unknown"),
        ({"counter": "1"}, "counter: "),
        ({"public_key": "zz"}, "public_key: "),
        ({"platform": "windows"}, "platform: "),
        ({"key_generated": 1}, "key_generated: "),
        ({"serials": "12"}, "serials: "),
        ({"fields": []}, "fields: "),
        (
            {"boot": {"device_locked": True, "state": "verified"}},
            "boot.verified_boot_key: is missing",
        ),
        (
            {"receipt": {"kind": "ATTEST", "app_id": "a", "created_at": "2026-01-01T00:00:00"}},
            "receipt.created_at: expected an instant with an offset",
        ),
        ({"model": "\ud800"}, "expected an object of JSON values"),
        ({"model": float("nan")}, "expected an object of JSON values"),
    ],
)
def test_a_bad_member_is_named_by_its_path(change: dict[str, Any], told: str) -> None:
    """Nothing is converted in silence, and nothing unknown is passed over."""
    with pytest.raises(ClaimsDocumentError) as caught:
        claims_from_document({**MINIMAL, **change})
    assert told in str(caught.value)


@given(JSON)
@settings(max_examples=100, deadline=None)
def test_any_other_document_is_refused(document: Any) -> None:
    """Whatever JSON holds, only one error comes out."""
    readers: tuple[Callable[[Any], object], ...] = (claims_from_document, app_from_document)
    for reader in readers:
        with pytest.raises(ClaimsDocumentError):
            reader(document)


def test_a_deep_document_is_refused() -> None:
    """Nesting that Python can't walk ends in the same error."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ClaimsDocumentError):
        claims_from_document({**MINIMAL, "fields": {"deep": deep}})


def test_what_json_has_no_form_for_is_told() -> None:
    """A provider that puts an object of its own into its claims hears of it."""
    claims = claims_from_document(MINIMAL)
    broken = UnverifiedClaims(
        claims.format, claims.platform, None, KeySecurity.TEE, KeySecurity.TEE, None,
        provider={"verdict": object()},
    )  # fmt: skip
    with pytest.raises(TypeError, match="object"):
        claims_to_document(broken)


@pytest.mark.parametrize("app", APPS, ids=lambda app: f"{app.platform}-{app.minimum_version}")
def test_apps_survive_being_written_down(app: AppRegistration) -> None:
    """Both platforms, with and without a lowest version."""
    assert app_from_document(json.loads(json.dumps(app_to_document(app)))) == app


@pytest.mark.parametrize("name", ["team_id", "platform", "id"])
def test_an_app_with_a_member_missing_is_refused(name: str) -> None:
    """A registration that was cut isn't one."""
    document = app_to_document(APPS[2])
    del document[name]
    with pytest.raises(ClaimsDocumentError):
        app_from_document(document)
