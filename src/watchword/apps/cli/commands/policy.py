"""Show the appraisal policy in words, try it on cases, and compare two on what was recorded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import hanging, printable
from watchword.apps.terminal.paragraphs import show as show_lines

if TYPE_CHECKING:
    from watchword.apps.policy.cases import Tried
    from watchword.apps.policy.differences import Tally
    from watchword.attestation.interface import AppRegistration

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

_TEST_EXAMPLE: Final = """\b
Example: watchword policy test policy-cases.yaml --policy strict
\b
The file, whose members docs/policy.md tells:
  cases:
    - name: an unlocked phone gets nothing
      like: android-key
      claims: {boot: {device_locked: false}}
      expect: {level: none, reasons: [policy.bootloader_unlocked]}
"""

MAX_SHOWN = 10
"""How many reasons, models and apps are shown for people; --json has them all."""


@click.group(epilog="Example: watchword policy show balanced")
def command() -> None:
    """Show what evidence must fulfil for each level; try a change before it judges anybody.

    POLICY is strict, balanced, inclusive, or a file with a policy: section, such as a copy of
    watchword.yaml.
    """


@command.command(epilog="Example: watchword -c staging.yaml policy show")
@click.argument("policy", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as a policy: section, in full.")
@click.pass_obj
def show(config: Path, *, policy: str | None, as_json: bool) -> None:
    """Show a policy in words: POLICY, or that of watchword.yaml."""
    from watchword.apps.policy.sources import find_policy
    from watchword.apps.policy.words import policy_in_words
    from watchword.apps.settings.policy import write_policy

    found = find_policy(policy, config)
    if as_json:
        print_json(write_policy(found))
        return
    for line in policy_in_words(found):
        show_lines(hanging(line))


@command.command(epilog=_TEST_EXAMPLE, short_help="Try a policy on cases with expected verdicts.")
@click.argument("file", type=_FILE)
@click.option("--policy", metavar="POLICY", help="Try this one instead of watchword.yaml's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a case.")
@click.pass_context
def test(ctx: click.Context, *, file: Path, policy: str | None, as_json: bool) -> None:
    """Try a policy on the cases in a YAML file, each with the verdict that is expected.

    Exit code 0: every case is judged as expected.  1: not so.  2: the file has faults.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.policy.cases import read_cases, try_case
    from watchword.apps.policy.sources import find_policy
    from watchword.apps.settings import load_settings

    config: Path = ctx.obj
    found = find_policy(policy, config)

    def apps() -> "Mapping[str, AppRegistration]":
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


@command.command(
    epilog="Example: watchword policy diff balanced strict --records .watchword/records",
    short_help="Say who would be judged differently by NEW than by OLD.",
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--records",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Recorded verifications: a file, the directory that `records:` fills, or - for a pipe.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 also where something differs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a difference.")
@click.pass_context
def diff(
    ctx: click.Context,
    *,
    old: str,
    new: str,
    records: tuple[str, ...],
    exit_zero: bool,
    as_json: bool,
) -> None:
    """Say who would be judged differently by NEW than by OLD, on recorded verifications.

    With --json the last object holds the sums.  Evidence that didn't verify is left out: no policy
    is asked about it.

    Exit code 0: nobody.  1: somebody (0 with --exit-zero).  2: no record could be read.
    """
    from watchword.apps.policy.differences import Tally, compare
    from watchword.apps.policy.sources import find_policy

    policies = find_policy(old, ctx.obj), find_policy(new, ctx.obj)
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


def _group(what: str, counter: "Counter[str]") -> Iterator[str]:
    if counter:
        yield what
    for name, count in counter.most_common(MAX_SHOWN):
        yield f"  {count:>6}  {name}"
    if len(counter) > MAX_SHOWN:
        rest = sum(counter.values()) - sum(count for _, count in counter.most_common(MAX_SHOWN))
        yield f"  {rest:>6}  in {len(counter) - MAX_SHOWN} more"
