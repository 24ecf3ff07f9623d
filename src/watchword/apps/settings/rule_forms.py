"""Read and write one rule of a policy as it stands in YAML; describe its form for editors.

The names come from ``policy/registry.py`` and the parameters from the rules themselves, so that a new rule
needs no line here.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, get_type_hints

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.document import Path_
from watchword.apps.settings.faults import shown
from watchword.policy.interface import (
    MAX_DEPTH,
    AllOf,
    AnyOf,
    Parameter,
    Rule,
    Signals,
    parameters_of,
)
from watchword.policy.registry import RULES, name_of

ALL: Final = "all"
ANY: Final = "any"
SIGNALS: Final = "signals"

EXPRESSIONS: Final[Mapping[str, type[AllOf] | type[AnyOf] | type[Signals]]] = {
    ALL: AllOf,
    ANY: AnyOf,
    SIGNALS: Signals,
}
"""What is made of other rules, by its name; ``signals`` grants no level by itself."""

_BOOT_KEY: Final = re.compile(r"[0-9a-f]{64}")
_MAX_WORDS: Final = 100
_MAX_TEXT: Final = 100

Faults = list[Inconsistency]


def nearest(word: object, known: Iterable[str]) -> str:
    """Return which words are known, the one that may have been meant first."""
    known = list(known)
    close = difflib.get_close_matches(str(word), known, n=1)
    return (f"{close[0]!r}? Known: " if close else "one of ") + ", ".join(known)


def read_rule(data: Any, path: Path_, faults: Faults, depth: int = 0) -> Rule | None:
    """Return the rule or expression that stands here; None where it has faults, which are added."""
    if isinstance(data, str):
        return _build(data, {}, path, path, faults)
    if not isinstance(data, dict) or len(data) != 1:
        got = f"{len(data)} keys" if isinstance(data, dict) else shown(data)
        faults.append((path, got, "the name of a rule, or one name with its parameters"))
        return None
    (name, given), *_ = data.items()
    here = (*path, name)
    if name in EXPRESSIONS:
        return read_expression(name, given, here, faults, depth)
    return _build(name, {} if given is None else given, here, here, faults)


def read_expression(
    name: str, data: Any, path: Path_, faults: Faults, depth: int = 0
) -> Rule | None:
    """Return an expression of the rules in a list; None where there are faults."""
    if depth >= MAX_DEPTH:
        expected = f"at most {MAX_DEPTH} of all, any and signals in each other"
        faults.append((path, "deeper nesting", expected))
        return None
    rules = read_rules(data, path, faults, depth + 1)
    return None if rules is None else EXPRESSIONS[name](rules)


def read_rules(data: Any, path: Path_, faults: Faults, depth: int) -> tuple[Rule, ...] | None:
    """Return the rules of a list that isn't empty; None where there are faults."""
    if not isinstance(data, list) or not data:
        got = "an empty list" if data == [] else shown(data)
        faults.append((path, got, "a list of rules"))
        return None
    rules = [read_rule(item, (*path, index), faults, depth) for index, item in enumerate(data)]
    whole = tuple(rule for rule in rules if rule is not None)
    return whole if len(whole) == len(rules) else None


def write_rule(rule: Rule) -> Any:
    """Return a rule as it is read: its name, or its name with the parameters that aren't the default's."""
    for name, kind in EXPRESSIONS.items():
        if isinstance(rule, kind):
            return {name: [write_rule(inner) for inner in rule.rules]}
    written = {
        each.name: _plain(getattr(rule, each.name))
        for each in fields(rule)  # type: ignore[arg-type]  # Each rule is a dataclass.
        if getattr(rule, each.name) != each.default
    }
    return {name_of(rule): written} if written else name_of(rule)


def rule_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one rule with its parameters."""
    rule = RULES[name]
    hints = get_type_hints(rule)
    described = parameters_of(rule)
    parameters = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            key: {**_value_schema(hints[key], parameter), "description": parameter.says}
            for key, parameter in described.items()
        },
    }
    required = [key for key, parameter in described.items() if parameter.required]
    if required:
        parameters["required"] = required
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name],
        "description": summary(rule),
        "properties": {name: parameters if required else {"anyOf": [parameters, {"type": "null"}]}},
    }


def summary(rule: type) -> str:
    """Return what a rule requires, in one sentence: the first of its docstring."""
    text = " ".join((rule.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def may_be_bare(name: str) -> bool:
    """Tell whether a rule can be named without parameters."""
    return not any(parameter.required for parameter in parameters_of(RULES[name]).values())


def _build(name: str, given: Any, path: Path_, inside: Path_, faults: Faults) -> Rule | None:
    """Return a rule by its name and parameters; None where there are faults."""
    rule = RULES.get(name)
    if rule is None:
        faults.append(
            (path, f"an unknown rule {shown(name)}", nearest(name, [*RULES, *EXPRESSIONS]))
        )
        return None
    described, hints = parameters_of(rule), get_type_hints(rule)
    if not isinstance(given, dict):
        expected = f"its parameters: {', '.join(described) or 'there are none'}"
        faults.append((path, shown(given), expected))
        return None
    before = len(faults)
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in described:
            expected = nearest(key, described) if described else "no parameters"
            faults.append(((*inside, key), "an unknown parameter", expected))
            continue
        _read_value(hints[key], described[key], value, (*inside, key), values, faults)
    missing = [key for key, each in described.items() if each.required and key not in given]
    faults += [(path, f"{name} without {key}", f"{key}: {described[key].says}") for key in missing]
    if len(faults) > before:
        return None
    try:
        return rule(**values)
    except ValueError as error:
        faults.append((path, "parameters that don't go together", str(error)))
        return None


def _read_value(
    hint: Any, parameter: Parameter, value: Any, path: Path_, values: dict[str, Any], faults: Faults
) -> None:
    """Put one parameter's value into ``values``, or add what is wrong with it."""
    if hint in {frozenset[str], frozenset[bytes]}:
        if not isinstance(value, list) or len(value) > _MAX_WORDS:
            faults.append((path, shown(value), f"a list, of at most {_MAX_WORDS}"))
            return
        wrong = False
        for index, word in enumerate(value):
            expected = _word_fault(hint, parameter, word)
            if expected is not None:
                wrong = True
                faults.append(((*path, index), shown(word), expected))
        if not wrong:
            values[str(path[-1])] = frozenset(
                bytes.fromhex(_digits(word)) if hint == frozenset[bytes] else word for word in value
            )
        return
    expected = _scalar_fault(hint, parameter, value)
    if expected is not None:
        faults.append((path, shown(value), expected))
        return
    values[str(path[-1])] = value


def _word_fault(hint: Any, parameter: Parameter, word: Any) -> str | None:
    """Return what was expected of one entry of a list; None where it is good."""
    if hint == frozenset[bytes]:
        good = isinstance(word, str) and _BOOT_KEY.fullmatch(_digits(word)) is not None
        return None if good else "32 bytes as 64 hex digits, colons allowed"
    return None if word in parameter.words else nearest(word, parameter.words)


def _scalar_fault(hint: Any, parameter: Parameter, value: Any) -> str | None:
    """Return what was expected of a number, a text or true and false; None where it is good."""
    if hint is bool:
        return None if isinstance(value, bool) else "true or false"
    if hint in {int, int | None}:
        if value is None and hint is not int:
            return None
        least, most = parameter.least or 0, parameter.most
        good = isinstance(value, int) and not isinstance(value, bool)
        if good and value >= least and (most is None or value <= most):
            return None
        return f"a whole number, {least} to {most}"
    allowed = str if hint is str else str | int | bool
    if isinstance(value, allowed) and (not isinstance(value, str) or 0 < len(value) <= _MAX_TEXT):
        return None
    what = "text" if hint is str else "text, a whole number, or true or false"
    return f"{what}, of at most {_MAX_TEXT} characters"


def _digits(text: str) -> str:
    return text.replace(":", "").lower()


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(each.hex() if isinstance(each, bytes) else each for each in value)
    return value


def _value_schema(hint: Any, parameter: Parameter) -> dict[str, Any]:
    if hint is bool:
        return {"type": "boolean"}
    if hint in {int, int | None}:
        bounds = {"minimum": parameter.least or 0}
        if parameter.most is not None:
            bounds["maximum"] = parameter.most
        return {"type": "integer" if hint is int else ["integer", "null"], **bounds}
    if hint == frozenset[str]:
        return {"type": "array", "maxItems": _MAX_WORDS, "items": {"enum": list(parameter.words)}}
    if hint == frozenset[bytes]:
        pattern = "^([0-9A-Fa-f]:?){64}$"
        return {
            "type": "array",
            "maxItems": _MAX_WORDS,
            "items": {"type": "string", "pattern": pattern},
        }
    return {"type": "string" if hint is str else ["string", "integer", "boolean"]}
