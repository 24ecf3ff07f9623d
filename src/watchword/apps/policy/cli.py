"""Show, test and compare appraisal policies: ``watchword policy`` and each of its subcommands."""

from pathlib import Path
from typing import Final

import click

from watchword.apps.terminal.lazy import body_in

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

_TEST_EXAMPLE: Final = """\b
Example: watchword policy test policy-cases.yaml --policy strict
\b
The file, whose members docs/policy.md explains:
  cases:
    - name: an unlocked phone gets nothing
      like: android-key
      claims: {boot: {device_locked: false}}
      expect: {level: none, reasons: [policy.bootloader_unlocked]}
"""

_body = body_in("watchword.apps.policy.commands")


@click.group(epilog="Example: watchword policy show balanced")
def command() -> None:
    """Show what evidence must fulfil for each level; try a change before it judges anybody.

    POLICY is strict, balanced, inclusive, or a file with a policy: section, such as a copy of
    watchword.yaml.
    """


@command.command("show", epilog="Example: watchword -c staging.yaml policy show")
@click.argument("policy", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as a policy: section, in full.")
@click.pass_obj
@_body
def show_command() -> None:
    """Show a policy in words: POLICY, or that of watchword.yaml."""


@command.command(
    "test", epilog=_TEST_EXAMPLE, short_help="Try a policy on cases with expected verdicts."
)
@click.argument("file", type=_FILE)
@click.option("--policy", metavar="POLICY", help="Try this one instead of watchword.yaml's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a case.")
@click.pass_context
@_body
def check_cases() -> None:
    """Try a policy on the cases in a YAML file, each with the verdict that is expected.

    Exit code 0: every case is judged as expected.  1: not so.  2: the file has faults.
    """


@command.command(
    "diff",
    epilog="Example: watchword policy diff balanced strict --records .watchword/records",
    short_help="Say who would be judged differently by NEW than by OLD.",
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--records",
    multiple=True,
    metavar="FILE",
    help="Recorded verifications: a file, the directory that `records:` fills, or - for a pipe. Left out: what differs in the policies themselves.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 also where something differs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a difference.")
@click.pass_context
@_body
def diff_command() -> None:
    """Say who would be judged differently by NEW than by OLD, on recorded verifications.

    With --json the last object holds the sums.  Evidence that didn't verify is left out: no policy
    is asked about it.

    Exit code 0: nobody.  1: somebody (0 with --exit-zero).  2: no record could be read.
    """
