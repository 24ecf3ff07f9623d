"""Write claims and app registrations as JSON documents, and read them back without loss.

Records, ``watchword policy test`` and ``--json`` all use this one form: member names are those of
:mod:`watchword.attestation.claims`, bytes are hex, instants are ISO 8601 with an offset, sets are sorted.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from watchword.apps.evidence.files import EvidenceFileError
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import (
    SEALED_PLATFORMS,
    AndroidApp,
    AppleApp,
    AppRegistration,
)
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution

_STRICT: Final = ConfigDict(
    strict=True, extra="forbid", ser_json_bytes="hex", val_json_bytes="hex", frozen=True
)

_SHOWN_FAULTS: Final = 5
"""How many faults of one document are told; the rest is mended by the same glance at it."""

_WORDED: Final = {
    "json_invalid": "expected an object of JSON values",
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "unexpected_keyword_argument": "is unknown",
}
"""Faults that the library words for programmers, in our words."""


class ClaimsDocumentError(EvidenceFileError):
    """Report a document that isn't one of claims or of an app, naming the members at fault."""


def claims_to_document(claims: UnverifiedClaims) -> dict[str, Any]:
    """Return claims as JSON values, every member included.

    :raises TypeError: when ``fields`` or ``provider`` hold what JSON has no form for.
    """
    document = plain(claims)
    assert isinstance(document, dict)
    return document


def claims_from_document(document: Mapping[str, Any]) -> UnverifiedClaims:
    """Return the claims of a document; members that have a default may be left out.

    What they say isn't verified by anybody: they are for reports, never for access.

    :raises ClaimsDocumentError: on an unknown, missing or badly written member, naming its path.
    """
    (claims,) = read_strictly(_claims_adapter(), [document], "claims")
    for path, instant in _instants(claims, ""):
        if instant.tzinfo is None:
            raise ClaimsDocumentError(f"claims: {path}: expected an instant with an offset, or Z")
    assert isinstance(claims, UnverifiedClaims)
    return claims


def app_to_document(app: AppRegistration) -> dict[str, Any]:
    """Return an app registration under the names that ``watchword.yaml`` uses."""
    identity = app.identity
    named: dict[str, Any]
    if isinstance(identity, AppleApp):
        named = {
            "platform": "ios",
            "team_id": identity.team_id,
            "bundle_id": identity.bundle_id,
            "app_attest": identity.environment.name.lower(),
            "platforms": plain(identity.platforms),
            "distribution": plain(identity.distribution),
        }
    else:
        named = {
            "platform": "android",
            "package": identity.package,
            "signing_digests": plain(identity.signing_digests),
        }
    return {"id": app.id, **named, "minimum_version": app.minimum_version}


def app_from_document(document: Mapping[str, Any]) -> AppRegistration:
    """Return the app registration of a document.

    :raises ClaimsDocumentError: on an unknown, missing or badly written member, naming its path.
    """
    (written,) = read_strictly(_app_adapter(), [document], "app")
    identity: AppleApp | AndroidApp
    if isinstance(written, _IosApp):
        environment = AppAttestEnvironment[written.app_attest.upper()]
        identity = AppleApp(
            written.team_id,
            written.bundle_id,
            environment,
            written.platforms,
            written.distribution,
        )
    else:
        identity = AndroidApp(written.package, written.signing_digests)
    return AppRegistration(written.id, identity, written.minimum_version)


def plain(value: object) -> Any:
    """Return a value of the core as JSON values, as :func:`claims_to_document` writes them.

    :raises TypeError: when JSON has no form for it.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    raise TypeError(f"got {type(value).__name__}, which JSON has no form for")


def read_strictly(adapter: TypeAdapter[Any], value: object, what: str) -> Any:
    """Return what an adapter reads from JSON values, in JSON's strict mode.

    :param value: a list of one document; its index isn't told in errors.
    :param what: what the document is, for the error.
    :raises ClaimsDocumentError: naming the path of each fault.
    """
    try:
        # By way of JSON: only there does strict reading still take hex for bytes and text for enums.
        return adapter.validate_json(json.dumps(value, allow_nan=False))
    except ValidationError as error:
        raise ClaimsDocumentError(f"{what}: {_told(error)}") from None
    except (TypeError, ValueError, RecursionError):
        raise ClaimsDocumentError(f"{what}: expected an object of JSON values") from None


def _told(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    told = [
        f"{_path(fault['loc'])}: {_WORDED.get(fault['type'], fault['msg'])}"
        for fault in faults[:_SHOWN_FAULTS]
    ]
    more = len(faults) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _path(location: tuple[int | str, ...]) -> str:
    """Return where a fault is, without the list that documents are read in."""
    return ".".join(str(part) for part in location[1:]) or "the whole"


def _instants(value: object, path: str) -> Iterator[tuple[str, datetime]]:
    """Yield every instant in a claim with its path; free-form members hold none."""
    if isinstance(value, datetime):
        yield path, value
    elif is_dataclass(value):
        for item in fields(value):
            inner = f"{path}.{item.name}" if path else item.name
            yield from _instants(getattr(value, item.name), inner)


class _IosApp(BaseModel):
    """Describe an iOS app as a record holds it."""

    model_config = _STRICT

    id: str
    platform: Literal["ios"]
    team_id: str
    bundle_id: str
    app_attest: Literal["production", "development"] = "production"
    platforms: frozenset[ApplePlatform] = SEALED_PLATFORMS
    distribution: frozenset[Distribution] = frozenset()
    minimum_version: str | None = None


class _AndroidApp(BaseModel):
    """Describe an Android app as a record holds it."""

    model_config = _STRICT

    id: str
    platform: Literal["android"]
    package: str
    signing_digests: frozenset[bytes]
    minimum_version: str | None = None


@cache
def _claims_adapter() -> TypeAdapter[Any]:
    """Return the reader of claims; within a tuple, since a dataclass takes no outer settings."""
    return TypeAdapter(tuple[UnverifiedClaims], config=_STRICT)


@cache
def _app_adapter() -> TypeAdapter[Any]:
    app = Annotated[_IosApp | _AndroidApp, Field(discriminator="platform")]
    return TypeAdapter(tuple[app])
