"""Read the payload of a Play Integrity verdict, after its signature held or Google decoded it.

Source: developer.android.com, "Integrity verdicts"; the types are those of Google's API
(``TokenPayloadExternal``): 64-bit numbers are text there, and members without a value are absent.
Members and labels that aren't known here are kept, never fatal: Google adds some every year.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, NoReturn

from watchword.attestation.claims import AppClaims, PlayVerdicts
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason

MAX_PAYLOAD_BYTES: Final = 16 * 1024
"""Most bytes of a payload; real ones have less than 2 kB."""

MAX_BOUND_CHARACTERS: Final = 1024
"""Most characters of a nonce or a request hash; Google allows 500."""

CLASSIC: Final = "classic"
STANDARD: Final = "standard"

_MAX_ITEMS: Final = 32
_MAX_TEXT: Final = 256
_MAX_DIGITS: Final = 19
_DIGEST_BYTES: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MILLIS: Final = 253402300799999  # The end of the year 9999, where datetime ends.
_RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")
_NOTHING: Final[Mapping[str, Any]] = {}
_ABSENT: Final = object()
"""Stands for a member that isn't there; null is one that is, and of the wrong type."""


class PlayPayload(NamedTuple):
    """Hold what a payload says; nothing of it was compared with what was expected.

    :param package: ``requestPackageName``, which may be spoofed on the way to Google.
    :param bound: the nonce or the request hash, as it stands there.
    :param app: the app that Google recognised; None where it evaluated none.
    :param fields: the payload as it is, unknown members included.
    """

    package: str
    bound: str
    verdicts: PlayVerdicts
    app: AppClaims | None
    fields: Mapping[str, Any]


def read_payload(data: bytes) -> PlayPayload:
    """Return what a payload says.

    :raises MalformedError: with ``play.token``, when a member that is needed is missing or of another
        type; exactly one of nonce and request hash is needed.
    """
    try:
        document = strict_json.loads(data, MAX_PAYLOAD_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.PLAY_TOKEN, "payload") from None
    request = _object(document, "requestDetails")
    if not request:
        _refuse("expected requestDetails")
    names = [name for name in ("nonce", "requestHash") if name in request]
    if len(names) != 1:
        _refuse(f"got {len(names)} of nonce and requestHash, expected exactly one")
    bound = request[names[0]]
    if not isinstance(bound, str) or not 0 < len(bound) <= MAX_BOUND_CHARACTERS:
        _refuse(f"{names[0]}: expected text of 1 to {MAX_BOUND_CHARACTERS} characters")
    package = _text(request, "requestPackageName")
    if package is None:
        _refuse("expected requestPackageName")
    app = _object(document, "appIntegrity")
    return PlayPayload(
        package=package,
        bound=bound,
        verdicts=_verdicts(document, app, names[0], _requested_at(request)),
        app=_app(app),
        fields=document,
    )


def _verdicts(
    document: Mapping[str, Any], app: Mapping[str, Any], name: str, requested_at: datetime
) -> PlayVerdicts:
    device = _object(document, "deviceIntegrity")
    environment = _object(document, "environmentDetails")
    return PlayVerdicts(
        request=CLASSIC if name == "nonce" else STANDARD,
        requested_at=requested_at,
        app_recognition=_text(app, "appRecognitionVerdict") or "",
        device_labels=_labels(device, "deviceRecognitionVerdict") or frozenset(),
        licensing=_text(_object(document, "accountDetails"), "appLicensingVerdict"),
        sdk_version=_number(_object(device, "deviceAttributes"), "sdkVersion"),
        recent_activity=_text(_object(device, "recentDeviceActivity"), "deviceActivityLevel"),
        # An empty verdict on app access risk is one that Google couldn't evaluate.
        app_access_risk=_labels(_object(environment, "appAccessRiskVerdict"), "appsDetected"),
        play_protect=_text(environment, "playProtectVerdict"),
        recalled=_recalled(device),
        testing=bool(_object(document, "testingDetails").get("isTestingResponse")),
    )


def _app(app: Mapping[str, Any]) -> AppClaims | None:
    """Return the app that Google found on the device; an UNEVALUATED one has no name."""
    name = _text(app, "packageName")
    if name is None:
        return None
    version = _number(app, "versionCode")
    return AppClaims(
        ids=(name,),
        versions={} if version is None else {name: str(version)},
        signing_digests=frozenset(
            _digest(text) for text in _labels(app, "certificateSha256Digest") or ()
        ),
    )


def _recalled(device: Mapping[str, Any]) -> frozenset[str] | None:
    if "deviceRecall" not in device:
        return None
    values = _object(_object(device, "deviceRecall"), "values")
    # A bit of another type than a boolean is no bit that is clear.
    if any(type(values.get(bit, False)) is not bool for bit in _RECALL_BITS):
        _refuse("deviceRecall: expected true or false")
    return frozenset(bit for bit in _RECALL_BITS if values.get(bit))


def _requested_at(request: Mapping[str, Any]) -> datetime:
    millis = _number(request, "timestampMillis")
    if millis is None or millis > _MAX_MILLIS:
        _refuse("timestampMillis: expected milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=millis)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object; one that is absent has no members."""
    value: Mapping[str, Any] = parent.get(name, _NOTHING)
    if type(value) is not dict:
        _refuse(f"{name}: expected an object")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name, _ABSENT)
    if type(value) is str and 0 < len(value) <= _MAX_TEXT:
        return value
    if value is not _ABSENT:
        _refuse(f"{name}: expected text of 1 to {_MAX_TEXT} characters")
    return None


def _number(parent: Mapping[str, Any], name: str) -> int | None:
    """Return a number that isn't negative, written as one or as text."""
    value = parent.get(name, _ABSENT)
    if type(value) is int and value >= 0:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    if value is not _ABSENT:
        _refuse(f"{name}: expected a number that isn't negative")
    return None


def _labels(parent: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = parent.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if type(value) is not list or len(value) > _MAX_ITEMS:
        _refuse(f"{name}: expected an array of at most {_MAX_ITEMS} texts")
    for item in value:
        if type(item) is not str or len(item) > _MAX_TEXT:
            _refuse(f"{name}: expected texts of at most {_MAX_TEXT} characters")
    return frozenset(value)


def _digest(text: str) -> bytes:
    """Return a SHA-256 digest out of base64url, with padding or without."""
    try:
        digest = base64url.decode(text.rstrip("="))
    except MalformedError as error:
        _refuse(f"certificateSha256Digest: {error.detail}")
    if len(digest) != _DIGEST_BYTES:
        _refuse(f"certificateSha256Digest: got {len(digest)} bytes, expected {_DIGEST_BYTES}")
    return digest


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PLAY_TOKEN, detail)
