"""Say in words what a policy demands."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from watchword.apps.settings.rule_forms import summary
from watchword.policy.interface import AnyOf, Expression, Policy, Rule, Signals, parameters_of
from watchword.policy.registry import name_of
from watchword.vocabulary import Level

_INDENT: Final = "  "
_LEVELS: Final = (Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE)


def policy_in_words(policy: Policy) -> Iterator[str]:
    """Yield the lines that describe a policy: each level, what it takes, and what is left out."""
    yield f"Policy {policy.name}"
    for level in _LEVELS:
        yield ""
        rule = policy.levels.get(level)
        if rule is None:
            yield f"{level.value}: granted to nobody"
        else:
            yield f"{level.value}: {_opening(rule)}"
            yield from _lines(rule, 1)
    yield ""
    yield f"left out on purpose: {', '.join(sorted(policy.unchecked)) or 'nothing'}"
    yield "anything else that evidence states and no rule looks at: refused (policy.unaccounted)"
    hours = policy.renew_by_key_for.total_seconds() / 3600
    yield f"renewals where no key was attested: for {hours:g} hours after a verdict"


def _opening(rule: Rule) -> str:
    if isinstance(rule, Signals):
        return "told, and refused only where two of these hold something against it"
    return "any of these" if isinstance(rule, AnyOf) else "all of these"


def _lines(rule: Rule, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    if not isinstance(rule, Expression):
        yield f"{indent}{name_of(rule)}: {summary(type(rule))}"
        described = parameters_of(type(rule))
        for each in fields(rule):  # type: ignore[arg-type]  # Each rule is a dataclass.
            value = getattr(rule, each.name)
            # What a set holds by default is as much a demand as what was written into it.
            is_said = bool(value) if isinstance(value, frozenset) else value != each.default
            if value is not None and (is_said or described[each.name].required):
                yield f"{indent}{_INDENT}{each.name}: {_shown(value)} ({described[each.name].says})"
        return
    for inner in rule.rules:
        if isinstance(inner, Expression):
            yield f"{indent}{_opening(inner)}"
            yield from _lines(inner, depth + 1)
        else:
            yield from _lines(inner, depth)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        words = sorted(each.hex() if isinstance(each, bytes) else str(each) for each in value)
        return ", ".join(words) or "none"
    return str(value)
