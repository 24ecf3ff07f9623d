"""Write a secret's record as one document of the KV store, and read it again."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from watchword.broker.interface import (
    MAX_VERSIONS,
    SecretRecord,
    SecretValue,
    SecretVersion,
    check_value,
)
from watchword.reasons import MalformedError

FORMAT: Final = 1
"""What ``v`` says of documents of this form."""

_MAX_NUMBER: Final = 253_402_300_799
"""The last second of the year 9999: no calendar goes further."""

_DOCUMENT: Final = {"v", "name", "versions"}
_VERSION: Final = {"number", "value", "made_at", "until", "revoked_at"}


class DocumentError(ValueError):
    """Report a document that isn't one of ours; its text quotes nothing of it."""


def to_document(record: SecretRecord) -> dict[str, Any]:
    """Return a record as the KV store keeps it, values included."""
    return {
        "v": FORMAT,
        "name": record.name,
        "versions": [
            {
                "number": each.number,
                "value": None if each.value is None else each.value.text,
                "made_at": each.made_at,
                "until": each.until,
                "revoked_at": each.revoked_at,
            }
            for each in record.versions
        ],
    }


def from_document(document: Mapping[str, Any], name: str) -> SecretRecord:
    """Return the record in a document.

    :param name: of the secret, as its place in the store says.  A document that was copied to another place would
        otherwise inject one secret in place of another.
    :raises DocumentError: when it isn't as :func:`to_document` writes it.
    """
    if document.keys() != _DOCUMENT or document["v"] != FORMAT:
        raise DocumentError("expected a document of Watchword's")
    if document["name"] != name:
        raise DocumentError("got the document of another secret")
    versions = document["versions"]
    if not isinstance(versions, list) or not 0 < len(versions) <= MAX_VERSIONS:
        raise DocumentError(f"expected 1 to {MAX_VERSIONS} versions")
    read = tuple(_version(each) for each in versions)
    if any(later.number <= earlier.number for earlier, later in pairwise(read)):
        raise DocumentError("expected versions whose numbers grow")
    return SecretRecord(name, read)


def _version(members: Any) -> SecretVersion:
    if not isinstance(members, dict) or members.keys() != _VERSION:
        raise DocumentError("expected the members of a version")
    revoked_at = _instant(members["revoked_at"])
    value = _value(members["value"])
    if value is not None and revoked_at is not None:
        raise DocumentError("got a revoked version that still has its value")
    number, made_at = _instant(members["number"]), _instant(members["made_at"])
    if number is None or number == 0 or made_at is None:
        raise DocumentError("expected a version's number and when it was made")
    return SecretVersion(number, value, made_at, _instant(members["until"]), revoked_at)


def _instant(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= _MAX_NUMBER):
        raise DocumentError(f"expected a number from 0 to {_MAX_NUMBER}")
    return value


def _value(text: Any) -> SecretValue | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise DocumentError("expected a value's text")
    try:
        return check_value(text, one_line=False)
    except MalformedError as error:
        raise DocumentError(f"got a value that can't be sent: {error.detail}") from None
