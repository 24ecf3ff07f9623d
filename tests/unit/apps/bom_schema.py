"""Hold a CycloneDX document to the schema of its makers, as their own library ships it."""

import json
from functools import cache
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


@cache
def _validator(version: str) -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.from_version(version))


def faults(document: Any) -> list[str]:
    """Return what is wrong with a document: by the schema of its version, and references that lead nowhere."""
    text = json.dumps(document)
    found = _validator(document["specVersion"]).validate_str(text)
    if found is not None:
        return [str(found)[:500]]
    names = [each["bom-ref"] for each in _with_names(document)]
    led = [each["ref"] for one in document.get("vulnerabilities", ()) for each in one["affects"]]
    twice = [f"{each} stands there twice" for each in set(names) if names.count(each) > 1]
    return twice + [f"{each} leads nowhere" for each in led if each not in names]


def _with_names(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        inner = [found for each in value.values() for found in _with_names(each)]
        return [value, *inner] if "bom-ref" in value else inner
    if isinstance(value, list):
        return [found for each in value for found in _with_names(each)]
    return []
