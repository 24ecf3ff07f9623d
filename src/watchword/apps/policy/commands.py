"""Run what :mod:`watchword.apps.policy.cli` declares."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.adapters.system import SystemClock
from watchword.apps.settings.policy import load_policy, summary, write_policy
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import hanging, printable
from watchword.apps.terminal.paragraphs import show as show_lines
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import AnyOf, Expression, Policy, Rule, Signals, parameters_of
from watchword.policy.registry import RECORDED, name_of
from watchword.vocabulary import Level

if TYPE_CHECKING:
    from watchword.apps.policy.cases import Tally, Tried

MAX_SHOWN: Final = 10
"""How many reasons, models and apps are shown for people; --json has them all."""

_INDENT: Final = "  "
_LEVELS: Final = (Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE)


def show_command(config: Path, *, policy: str | None, as_json: bool) -> None:
    """Show a policy in words: POLICY, or that of watchword.yaml."""
    found = find_policy(policy, config)
    if as_json:
        print_json(write_policy(found))
        return
    for line in policy_in_words(found):
        show_lines(hanging(line))


def check_cases(ctx: click.Context, *, file: Path, policy: str | None, as_json: bool) -> None:
    """Try a policy on the cases in a YAML file, each with the verdict that is expected."""
    # To show a policy takes neither records nor the rest of watchword.yaml.
    from watchword.apps.policy.cases import read_cases, try_case  # noqa: PLC0415
    from watchword.apps.settings.load import load_settings  # noqa: PLC0415

    config: Path = ctx.obj
    found = find_policy(policy, config)

    def apps() -> Mapping[str, AppRegistration]:
        return load_settings(config).apps

    tried = [try_case(case, found) for case in read_cases(file, SystemClock().now(), apps)]
    for line in _table(tried):
        if not as_json:
            click.echo(line)
    if as_json:
        for each in tried:
            print_json(each.as_dict())
    good = sum(not each.differences for each in tried)
    summary = f"{good} of {len(tried)} cases as expected under policy {found.name}"
    click.echo(printable(summary), err=as_json)
    ctx.exit(0 if good == len(tried) else EXIT_REFUSED)


def diff_command(
    ctx: click.Context,
    *,
    old: str,
    new: str,
    records: tuple[str, ...],
    exit_zero: bool,
    as_json: bool,
) -> None:
    """Say who would be judged differently by NEW than by OLD, on recorded verifications; without any, what differs in them."""
    from watchword.apps.policy.cases import Tally, compare  # noqa: PLC0415

    policies = find_policy(old, ctx.obj), find_policy(new, ctx.obj)
    if not records:
        ctx.exit(EXIT_REFUSED if _show_changes(*policies, as_json=as_json) and not exit_zero else 0)
    tally = Tally()
    for difference in compare(records, *policies, tally):
        if as_json:
            print_json(difference.as_dict())
    if as_json:
        print_json(tally.as_dict())
    else:
        for line in _sums(tally, policies[0].name, policies[1].name):
            click.echo(printable(line))
    for each in tally.first_unreadable:
        click.echo(printable(f"{each.place}: left out: {each.why}"), err=True)
    more = tally.unreadable - len(tally.first_unreadable)
    if more:
        click.echo(f"{more} more lines left out", err=True)
    if not tally.judged and not tally.unverified:
        click.echo("error: no record could be read, so nothing was compared", err=True)
        ctx.exit(EXIT_USAGE)
    ctx.exit(EXIT_REFUSED if tally.differing and not exit_zero else 0)


def _show_changes(old: Policy, new: Policy, *, as_json: bool) -> bool:
    """Print what differs between two policies as they are written, and tell whether anything does."""
    before, after = _by_level(old), _by_level(new)
    changed = [part for part in after if before[part] != after[part]]
    for part in changed:
        lines = [
            each
            for each in difflib.ndiff(before[part], after[part])
            if each.startswith(("- ", "+ "))
        ]
        if as_json:
            gone, come = ([line[2:] for line in lines if line[0] == sign] for sign in ("-", "+"))
            print_json({"part": part, "old": gone, "new": come})
            continue
        click.echo(part)
        for line in lines:
            show_lines(hanging(line, further=2))
    if not as_json:
        count = len(changed) or "no"
        click.echo(f"{count} part{'' if count == 1 else 's'} of {new.name} differ from {old.name}.")
        click.echo("--records says who would be judged differently.")
    return bool(changed)


def _by_level(policy: Policy) -> dict[str, list[str]]:
    """Return a policy in words, by level, with what holds at all of them."""
    found: dict[str, list[str]] = {}
    for level in _LEVELS:
        rule = policy.levels.get(level)
        found[level.value] = (
            ["granted to nobody"] if rule is None else [_opening(rule), *_by_themselves(rule)]
        )
    found["at every level"] = list(_general(policy))
    return found


def _table(tried: "Sequence[Tried]") -> Iterator[str]:
    """Yield one line a case, and one for each difference below it."""
    width = max(len(each.case.name) for each in tried)
    for each in tried:
        mark = "DIFFERS" if each.differences else "ok"
        reasons = ", ".join(each.as_dict()["reasons"])
        name = printable(each.case.name.ljust(width))
        yield f"{mark:<8}{name}  {each.verdict.level.value:<9} {reasons}".rstrip()
        for difference in each.differences:
            yield f"{'':<10}{printable(difference)}"


def _sums(tally: "Tally", old: str, new: str) -> Iterator[str]:
    """Yield the sums for people."""
    yield f"{tally.judged} verifications, {tally.differing} judged differently by {new} than by {old}"
    if tally.unverified:
        yield f"  {tally.unverified} more didn't verify, whatever the policy"
    for (before, after), count in tally.levels.most_common():
        change = "other reasons" if before is after else f"{before.value} -> {after.value}"
        yield f"  {count:>6}  {change}"
    for what, counter in (
        ("because of", tally.reasons),
        ("by model", tally.models),
        ("by app", tally.apps),
    ):
        yield from _group(what, counter)


def _group(what: str, counter: Counter[str]) -> Iterator[str]:
    if counter:
        yield what
    for name, count in counter.most_common(MAX_SHOWN):
        yield f"  {count:>6}  {name}"
    if len(counter) > MAX_SHOWN:
        rest = sum(counter.values()) - sum(count for _, count in counter.most_common(MAX_SHOWN))
        yield f"  {rest:>6}  in {len(counter) - MAX_SHOWN} more"


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
    yield from _general(policy)


def _general(policy: Policy) -> Iterator[str]:
    looked_at = frozenset().union(*(each.accounts_for for each in policy.levels.values()))
    left_out = sorted(policy.unchecked - looked_at)
    yield f"left out on purpose: {', '.join(left_out) or 'nothing'}"
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
        for said in _parameters(rule):
            yield f"{indent}{_INDENT}{said}"
        return
    for inner in rule.rules:
        if isinstance(inner, Expression):
            yield f"{indent}{_opening(inner)}"
            yield from _lines(inner, depth + 1)
        else:
            yield from _lines(inner, depth)


def _parameters(rule: Rule) -> Iterator[str]:
    """Yield what a rule's parameters say, where that isn't what they say by themselves."""
    described = parameters_of(type(rule))
    for each in fields(rule):  # type: ignore[arg-type]  # Each rule is a dataclass.
        value = getattr(rule, each.name)
        # What a set holds by default is as much a demand as what was written into it.
        is_said = bool(value) if isinstance(value, frozenset) else value != each.default
        if value is not None and (is_said or described[each.name].required):
            yield f"{each.name}: {_shown(value)} ({described[each.name].says})"


def _by_themselves(rule: Rule) -> Iterator[str]:
    """Yield each rule and each parameter in a line that says where it belongs, for a comparison."""
    if isinstance(rule, Expression):
        for inner in rule.rules:
            yield from _by_themselves(inner)
        return
    name = name_of(rule)
    yield f"{name}: {summary(type(rule))}"
    for said in _parameters(rule):
        yield f"{name}.{said}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        words = sorted(each.hex() if isinstance(each, bytes) else str(each) for each in value)
        return ", ".join(words) or "none"
    return str(value)


def find_policy(named: str | None, config: Path) -> Policy:
    """Return the policy of a name, or of a file; without either that of ``watchword.yaml``.

    Nothing but the policy is looked at, so that a copy of a file can be tried out anywhere.

    :raises ConfigurationError: when there is no such file, or its policy has faults.
    """
    if named == RECORDED.name:
        return RECORDED
    return load_policy(str(config) if named is None else named)
