"""Read ``policy:`` of ``watchword.yaml`` into an appraisal policy, write one as it is read, and describe its form for editors.

The names of rules come from ``policy/registry.py`` and their parameters from the rules themselves, so that a new rule
needs no line here.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, get_type_hints

from watchword.apps.settings.document import Inconsistency, Path_, read_document
from watchword.apps.settings.faults import ConfigurationError, shown
from watchword.encoding.phrases import seconds
from watchword.policy.interface import (
    MAX_DEPTH,
    RENEW_BY_KEY_FOR,
    AllOf,
    AnyOf,
    Claim,
    Expression,
    Parameter,
    Policy,
    Rule,
    Signals,
    parameters_of,
)
from watchword.policy.registry import BALANCED, PRESETS, RULES, name_of
from watchword.vocabulary import Level

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

NO_BASE: Final = "none"
"""A policy that starts from nothing: what isn't written isn't there."""

OFF: Final = "off"
"""What stands for a level that is granted to nobody."""

_LEVELS: Final = (Level.HARDWARE.value, Level.VERIFIED.value, Level.SOFTWARE.value)
_KEYS: Final = ("name", "base", "with", "without", "levels", "unchecked", "renew_by_key_for")
_LEVEL_KEYS: Final = (ALL, ANY, "with", "without")
_MAX_NAME: Final = 60


@dataclass(slots=True)
class _Draft:
    """Hold a policy while it is read."""

    base: Policy | None
    levels: dict[Level, Rule]
    faults: Faults

    @property
    def base_name(self) -> str:
        return NO_BASE if self.base is None else self.base.name


def read_policy(data: Any, path: Path_ = ("policy",)) -> tuple[Policy | None, Faults]:
    """Return the policy that is written, balanced for None; and its faults, with which there is none."""
    if data is None:
        return BALANCED, []
    if isinstance(data, str):
        preset = PRESETS.get(data)
        return preset, [] if preset else [(path, shown(data), nearest(data, PRESETS))]
    if not isinstance(data, dict):
        return None, [(path, shown(data), f"a mapping, or one of {', '.join(PRESETS)}")]
    faults: Faults = [
        ((*path, key), "an unknown key", nearest(key, _KEYS)) for key in data if key not in _KEYS
    ]
    base = _base(data.get("base", BALANCED.name), (*path, "base"), faults)
    unchanged = base is not None and data.keys() <= {"base"}
    draft = _Draft(base, dict(base.levels) if base else {}, faults)
    _read_levels(draft, data.get("levels"), (*path, "levels"))
    _change_everywhere(draft, data, path)
    unchecked = _read_unchecked(draft, data.get("unchecked"), (*path, "unchecked"))
    lasting = _read_duration(
        data.get("renew_by_key_for"), base, (*path, "renew_by_key_for"), faults
    )
    own = "own" if base is None else base.name if unchanged else f"{base.name}, changed"
    name = data.get("name", own)
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        faults.append(((*path, "name"), shown(name), f"a name of at most {_MAX_NAME} characters"))
    if not faults and not draft.levels:
        faults.append((path, "no level that is granted", "at least one under levels"))
    if faults:
        return None, faults
    policy = Policy(name, draft.levels, unchecked, lasting)
    faults += _unaccounted(draft, policy, path)
    return (None, faults) if faults else (policy, [])


def load_policy(text: str) -> Policy:
    """Return a ready-made policy by its name, or the one that a file holds.

    :param text: ``strict``, ``balanced`` or ``inclusive``; else a file with the form of ``policy:``, or a
        ``watchword.yaml`` with that section.
    :raises ConfigurationError: when the file can't be read or holds no policy.
    """
    if text in PRESETS:
        return PRESETS[text]
    file = Path(text)
    document = read_document(file)
    data = document.data
    path: tuple[str, ...] = ()
    if isinstance(data, dict) and "policy" in data:
        data, path = data["policy"], ("policy",)
    elif isinstance(data, dict) and "version" in data:
        data = None  # A whole file without the section means the default.
    policy, found = read_policy(data, path)
    faults = [*document.faults, *document.located(found)]
    if policy is None or faults:
        raise ConfigurationError(file, faults)
    return policy


def write_policy(policy: Policy) -> dict[str, Any]:
    """Return a policy in full as it is read by :func:`read_policy`, standing on no base.

    :raises KeyError: when it holds a rule that isn't in the registry.
    """
    return {
        "name": policy.name,
        "base": NO_BASE,
        "levels": {
            level.value: _as_expression(write_rule(rule))
            for level, rule in sorted(policy.levels.items(), key=lambda item: -item[0].rank)
        },
        "unchecked": sorted(claim.value for claim in policy.unchecked),
        "renew_by_key_for": _duration(int(policy.renew_by_key_for.total_seconds())),
    }


def add_policy_schema(schema: dict[str, Any]) -> None:
    """Put the form of ``policy:`` into the JSON Schema of the file, in place."""
    definitions = schema.setdefault("$defs", {})
    rules = [rule_schema(name) for name in RULES]
    expressions = {key: _one_key(key, _ref_list()) for key in EXPRESSIONS}
    bare = {"enum": [name for name in RULES if may_be_bare(name)]}
    definitions["PolicyRule"] = {"anyOf": [bare, *rules, *expressions.values()]}
    names = {"type": "array", "items": {"enum": list(RULES)}}
    change = {"with": _ref_list(), "without": names}
    definitions["PolicyLevel"] = {
        "anyOf": [{"const": OFF}, expressions[ALL], expressions[ANY], _object(change)],
        "description": "what it takes, or what is changed in the base, or off: granted to nobody",
    }
    level = {"$ref": "#/$defs/PolicyLevel"}
    mapping = _object(
        {
            "name": {"type": "string", "maxLength": _MAX_NAME},
            "base": {"enum": [*PRESETS, NO_BASE], "default": BALANCED.name},
            **change,
            "levels": _object(dict.fromkeys(_LEVELS, level)),
            "unchecked": {"type": "array", "items": {"enum": list(Claim)}},
            "renew_by_key_for": {"type": "string", "pattern": "^[1-9][0-9]{0,5}(s|m|h|d)$"},
        }
    )
    described = schema["properties"]["policy"]
    schema["properties"]["policy"] = {
        **described,
        "anyOf": [{"enum": list(PRESETS)}, mapping, {"type": "null"}],
    }


def _base(name: Any, path: Path_, faults: Faults) -> Policy | None:
    if name == NO_BASE:
        return None
    base = PRESETS.get(name) if isinstance(name, str) else None
    if base is None:
        faults.append((path, shown(name), nearest(name, [*PRESETS, NO_BASE])))
        return BALANCED  # Stands in, so that the rest isn't a fault for that alone.
    return base


def _read_levels(draft: _Draft, data: Any, path: Path_) -> None:
    """Put each level that is written in the place of the base's, or change it."""
    if data is None:
        return
    if not isinstance(data, dict):
        draft.faults.append((path, shown(data), f"a mapping of {', '.join(_LEVELS)}"))
        return
    for name, written in data.items():
        here = (*path, name)
        if name not in _LEVELS:
            draft.faults.append((here, "an unknown level", nearest(name, _LEVELS)))
            continue
        level = Level(name)
        if written == OFF:
            draft.levels.pop(level, None)
        elif not isinstance(written, dict) or not written:
            expected = "all, any, or with and without in a mapping; or off"
            draft.faults.append((here, shown(written) if written else "nothing", expected))
        elif unknown := [key for key in written if key not in _LEVEL_KEYS]:
            expected = nearest(unknown[0], _LEVEL_KEYS)
            draft.faults.append(((*here, unknown[0]), "an unknown key", expected))
        elif ALL in written or ANY in written:
            _replace_level(draft, level, written, here)
        else:
            _change_level(draft, level, written, here)


def _replace_level(draft: _Draft, level: Level, written: dict[str, Any], path: Path_) -> None:
    if len(written) > 1:
        draft.faults.append((path, f"{len(written)} keys", "all or any alone"))
        return
    (key, rules), *_ = written.items()
    rule = read_expression(key, rules, (*path, key), draft.faults)
    if rule is not None:
        draft.levels[level] = rule


def _change_level(draft: _Draft, level: Level, written: dict[str, Any], path: Path_) -> None:
    """Carry out ``without``, then ``with``, on one level of the base."""
    current = draft.levels.get(level)
    if current is None:
        expected = f"all or any, since {draft.base_name} doesn't grant this level"
        draft.faults.append((path, "with or without", expected))
        return
    for index, name in _names(written.get("without"), (*path, "without"), draft.faults):
        here = (*path, "without", index)
        if name not in _names_in(current):
            draft.faults.append((here, shown(name), nearest(name, _names_in(current))))
        elif (left := _without(current, name)) is None:
            draft.faults.append((here, "the last rule of an all or any", "one rule to stay"))
        else:
            current = left
    if "with" in written:
        rules = read_rules(written["with"], (*path, "with"), draft.faults, 1)
        for rule in rules or ():
            current = _added(current, rule)
    draft.levels[level] = current


def _change_everywhere(draft: _Draft, data: dict[str, Any], path: Path_) -> None:
    """Carry out ``without`` and ``with`` on every level that has a rule of the name.

    A rule that no level has is a fault: on which level it would belong, nobody said.
    """
    known = [name for rule in draft.levels.values() for name in _names_in(rule)]
    known = list(dict.fromkeys(known))
    for index, name in _names(data.get("without"), (*path, "without"), draft.faults):
        here = (*path, "without", index)
        if name not in known:
            draft.faults.append((here, shown(name), nearest(name, known)))
        for level, rule in tuple(draft.levels.items()):
            left = _without(rule, name)
            if left is None:
                expected = f"one rule to stay at level {level.value}"
                draft.faults.append((here, "the last rule of an all or any", expected))
            else:
                draft.levels[level] = left
    if "with" not in data:
        return
    rules = read_rules(data["with"], (*path, "with"), draft.faults, 1)
    for index, rule in enumerate(rules or ()):
        here = (*path, "with", index)
        if isinstance(rule, Expression):
            got = "all, any or signals"
            draft.faults.append((here, got, "a rule; these stand under levels"))
        elif name_of(rule) not in known:
            expected = (
                f"one of {', '.join(known)}; new rules stand at a level: levels.hardware.with"
            )
            draft.faults.append((here, shown(name_of(rule)), expected))
        else:
            for level, current in tuple(draft.levels.items()):
                draft.levels[level] = _replaced(current, rule)


def _read_unchecked(draft: _Draft, data: Any, path: Path_) -> frozenset[Claim]:
    """Return what is left out on purpose: what the base leaves out and no rule looks at, and what is named."""
    everywhere = frozenset(Claim).intersection(
        *(rule.accounts_for for rule in draft.levels.values())
    )
    # What some levels look at stays left out at the others: evidence of theirs may state it.
    unchecked = set(draft.base.unchecked - everywhere if draft.base else ())
    if data is None:
        return frozenset(unchecked)
    if not isinstance(data, list):
        draft.faults.append((path, shown(data), "a list of claims"))
        return frozenset()
    known = [claim.value for claim in Claim]
    for index, name in enumerate(data):
        if name not in known:
            draft.faults.append(((*path, index), shown(name), nearest(name, known)))
        elif Claim(name) in everywhere or Claim(name) in _kept(draft):
            got = f"{shown(name)}, which a rule looks at"
            draft.faults.append(((*path, index), got, "a claim that no rule looks at"))
        else:
            unchecked.add(Claim(name))
    return frozenset(unchecked)


def _read_duration(data: Any, base: Policy | None, path: Path_, faults: Faults) -> timedelta:
    if data is None:
        return base.renew_by_key_for if base else RENEW_BY_KEY_FOR
    try:
        return timedelta(seconds=seconds(data if isinstance(data, str) else ""))
    except ValueError as error:
        faults.append((path, shown(data), str(error)))
        return RENEW_BY_KEY_FOR


def _kept(draft: _Draft) -> frozenset[Claim]:
    """Return what the base's rules looked at and rules still look at, at every level where they did."""
    if draft.base is None:
        return frozenset()
    looked_at = (rule.accounts_for for rule in draft.levels.values())
    return frozenset[Claim]().union(*looked_at) & _known(draft.base) - _lost(draft)


def _known(base: Policy) -> frozenset[Claim]:
    return frozenset[Claim]().union(*(rule.accounts_for for rule in base.levels.values()))


def _lost(draft: _Draft) -> frozenset[Claim]:
    """Return what the base's rules looked at, and nothing of the same level looks at any more."""
    base = draft.base.levels if draft.base else {}
    return frozenset[Claim]().union(
        *(
            base[level].accounts_for - rule.accounts_for
            for level, rule in draft.levels.items()
            if level in base
        )
    )


def _unaccounted(draft: _Draft, policy: Policy, path: Path_) -> Faults:
    """Find what lost its rule without a word on purpose: every piece of evidence that states it would be an alarm."""
    lost = ", ".join(sorted(_lost(draft) - policy.unchecked))
    if not lost:
        return []
    return [(path, f"no rule that looks at {lost}", f"a rule, or on purpose: unchecked: [{lost}]")]


def _names(data: Any, path: Path_, faults: Faults) -> list[tuple[int, str]]:
    """Return the names of rules in a list, with their places."""
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
        faults.append((path, shown(data), "a list of names of rules"))
        return []
    return list(enumerate(data))


def _names_in(rule: Rule) -> list[str]:
    """Return the names of the rules in an expression, in order."""
    if not isinstance(rule, Expression):
        return [name_of(rule)]
    return list(dict.fromkeys(name for inner in rule.rules for name in _names_in(inner)))


def _without(rule: Rule, name: str) -> Rule | None:
    """Return the expression without the rules of a name; None where nothing would be left of a part."""
    if not isinstance(rule, Expression):
        return None if name_of(rule) == name else rule
    left = []
    for inner in rule.rules:
        kept = _without(inner, name)
        if kept is not None:
            left.append(kept)
        elif isinstance(inner, Expression) and not isinstance(inner, Signals):
            return None  # What is left of an empty all or any would let everything pass.
    return type(rule)(tuple(left)) if left else None


def _replaced(rule: Rule, new: Rule) -> Rule:
    """Return the expression with a rule in the place of each of its name."""
    if isinstance(rule, Expression):
        return type(rule)(tuple(_replaced(inner, new) for inner in rule.rules))
    return new if name_of(rule) == name_of(new) else rule


def _added(rule: Rule, new: Rule) -> Rule:
    """Return the expression with a rule in the place of those of its name, or beside the others."""
    if not isinstance(new, Expression) and name_of(new) in _names_in(rule):
        return _replaced(rule, new)
    return AllOf((*rule.rules, new)) if isinstance(rule, AllOf) else AllOf((rule, new))


def _duration(total: int) -> str:
    """Return seconds in the largest unit that leaves no rest."""
    sizes = {"d": 86400, "h": 3600, "m": 60}
    unit = next((unit for unit, size in sizes.items() if total and total % size == 0), "s")
    return f"{total // sizes.get(unit, 1)}{unit}"


def _as_expression(written: Any) -> Any:
    """Return the form of a level: a rule by itself stands in a list of its own."""
    is_expression = isinstance(written, dict) and written.keys() & {ALL, ANY}
    return written if is_expression else {ALL: [written]}


def _ref_list() -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/PolicyRule"}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _one_key(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {**_object({key: value}), "required": [key]}


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
