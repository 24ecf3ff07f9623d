"""See which objects are named by ids that can be counted through or guessed."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.api.description import (
    Aspect,
    Operation,
    Parameter,
    several,
    with_pairs,
    words_of,
)
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity

_SHORT: Final = 8
"""Up to how many characters an id can be tried through by a script."""

_NO_OBJECT: Final = several(
    "version page limit offset size count year month day lat lon lng latitude longitude zoom width height quality depth level"
    " lang language locale country currency format category index x y z"
)
_IDS: Final = several("id number no nr num key")
_PEOPLE: Final = several("username login userid email phone msisdn mobile handle nickname")
_NAMES: Final = several("title slug name")
_DIGITS: Final = re.compile(r"\^?(?:\\d|\[0-9\])(?:[+*]|\{(\d+,)?\d{1,2}\})?\$?")
_OPAQUE: Final = re.compile(r"uuid|ulid|guid|hash", re.IGNORECASE)


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        for parameter in each.parameters:
            how, sure = _how(each, parameter)
            if not how:
                continue
            open_too = ", and nobody has to sign in" if each.access.open else ""
            title = f"{each.name} names an object by {parameter.name}, {how}{open_too}."
            subject = f"{each.name} {parameter.name}"
            yield context.exposed(subject, title, Severity.HIGH, at=[each], confidence=sure)


def _how(operation: Operation, parameter: Parameter) -> tuple[str, Confidence]:
    """Return how somebody else's id is found, empty if not, and how sure that is."""
    words = words_of(parameter.name)
    if parameter.limited or not words or words[-1] in _NO_OBJECT or not _is_id(parameter):
        return "", Confidence.CERTAIN
    if "integer" in parameter.types or (parameter.types == {"number"} and words[-1] in _IDS):
        return "a number that can be counted up", Confidence.CERTAIN
    pairs = with_pairs(words)
    opaque = _OPAQUE.search(parameter.format) or pairs & {"uuid", "guid"}
    if opaque or parameter.types - {"string"}:
        return "", Confidence.CERTAIN
    by_form = _by_form(parameter, words[-1])
    if by_form or pairs & _PEOPLE:
        return by_form or "which others know or guess", Confidence.LIKELY
    if words[-1] in _NAMES and not operation.access.open:
        return "which can be guessed", Confidence.POSSIBLE
    return "", Confidence.CERTAIN


def _by_form(parameter: Parameter, last: str) -> str:
    """Return what the form of a text says of how it's found."""
    if _DIGITS.fullmatch(parameter.pattern):
        return "digits that can be counted up"
    if last in _IDS and parameter.examples and all(e.isdigit() for e in parameter.examples):
        return f"digits by its example ({parameter.examples[0]}), that can be counted up"
    if parameter.max_length is not None and 0 < parameter.max_length <= _SHORT:
        return f"at most {parameter.max_length} characters that can be tried through"
    return ""


def _is_id(parameter: Parameter) -> bool:
    """Tell whether a parameter names one object: in a path, or in a query by a name that says so."""
    if parameter.place == "path":
        return True
    words = words_of(parameter.name)
    return parameter.place == "query" and words[-1:] == ("id",)


RULE = ApiRule(
    id="api-enumerable-ids",
    title="Ids that can be counted or guessed",
    techniques=("MT-B08", "MT-B04"),
    protections={},
    todo="Check for each object that this caller may have it, and test that with two accounts. Long random ids only "
    "slow a guess.",
    blind="It doesn't tell whether the API checks whose object it is, and sees no ids inside bodies.",
    aspects=(Aspect.PARAMETERS,),
    check=_check,
    nothing="By the description no object is named by an id that can be counted up or guessed.",
)
