"""Operate on secrets: ``watchword secrets`` and its subcommands."""

from pathlib import Path
from typing import Final

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.parameters import encodable, reason
from watchword.broker.honeytokens import KINDS
from watchword.encoding.phrases import seconds

_body = body_in("watchword.apps.secrets.commands")
_rewrap_body = body_in("watchword.apps.secrets.rewrap")


def overlap(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Accept ``0`` or a duration, as ``watchword.yaml`` has them; in seconds, None for none."""
    if value is None or value == "0":
        return None if value is None else 0
    try:
        found = seconds(value)
    except ValueError:
        found = -1
    if not 0 <= found <= seconds("90d"):
        raise click.BadParameter("expected 0 or a duration up to 90d, such as 90s, 5m, 1h or 1d")
    return found


TAKES_NO_VALUE: Final = {"ignore_unknown_options": True}
"""Settings of a command for :func:`not_there`: click would repeat an option that it doesn't know."""


def not_there(_ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """Refuse what stands beside the name and is no option, without repeating it: it may be the value."""
    if value:
        raise click.UsageError(
            "got more than a name and options that there are; give the value through standard input or "
            "--from-file. Everybody on this machine sees a command line, "
            "and the shell's history keeps it: if it held the value, have the provider replace that key."
        )


NO_VALUE = click.argument("extra", nargs=-1, callback=not_there, expose_value=False, metavar="")
FROM_FILE = click.option(
    "--from-file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read the value from here instead of from standard input.",
)


@click.group(
    cls=LazyGroup,
    epilog="Example: watchword secrets add maps --from-file maps.key",
)
def command() -> None:
    """Keep third parties' keys out of the app: injected at the edge, or sealed to an instance.

    Name secrets and their users under `secrets` in watchword.yaml. Give a value by standard input, a file or a
    prompt; no command shows it again.
    """


@command.command(
    "list",
    short_help="List secrets: state, version, use; no value.",
    epilog="Example: watchword secrets list --json | jq .versions",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def list_command() -> None:
    """List all secrets: how each goes, its state, its version, and where it is used; no value.

    State `good`: a version counts. `empty`: nothing was added yet. `ended`: no version counts any more.
    `unknown`: the backend hasn't answered since the start.
    """


@command.command(
    "add",
    short_help="Store the first value of a secret.",
    context_settings=TAKES_NO_VALUE,
    epilog="Example: watchword secrets add maps < maps.key",
)
@click.argument("name")
@NO_VALUE
@FROM_FILE
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
@_body
def add_command() -> None:
    """Store the first value of a secret that watchword.yaml names under secrets.keys.

    At a terminal the command asks for it, without showing it. The end of its line isn't part of it. Gates add
    it to calls within a second.
    """


@command.command(
    "rotate",
    short_help="Let a new value take over.",
    context_settings=TAKES_NO_VALUE,
    epilog="Example: watchword secrets rotate maps --overlap 1d --from-file new.key",
)
@click.argument("name")
@NO_VALUE
@FROM_FILE
@click.option(
    "--overlap",
    callback=overlap,
    metavar="DURATION",
    help="How long older versions count beside it: 0 to 90d. Left out: an hour, or a lease.",
)
@click.option(
    "--expect",
    type=click.IntRange(1),
    metavar="VERSION",
    help="Do nothing unless this is the newest version. Left out: the one there is now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
@_body
def rotate_command() -> None:
    """Let a new value take over within a second, without a failed call.

    Make the new key at the provider, rotate here, see by `who-uses` when nobody has the old one any more,
    and only then withdraw the old one at the provider. Until the overlap ends you can go back: revoke the
    new version, and the older one counts again.
    """


@command.command(
    "revoke",
    short_help="Erase a version within a second.",
    epilog="Example: watchword secrets revoke maps --version 1 --because 'it leaked'",
)
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="The version to erase.")
@click.option("--all", "every", is_flag=True, help="Erase every version.")
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
@_body
def revoke_command() -> None:
    """Erase a version's value: gates add it to nothing within a second, and no instance gets it any more.

    Values that instances got before stay on their phones until the lease ends (see `who-uses`). A thief still
    has the key: withdraw it at the provider too. A second revocation changes nothing.
    """


@command.command(
    "show-meta",
    short_help="Show one secret's versions and rules.",
    epilog="Example: watchword secrets show-meta maps",
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_body
def show_meta_command() -> None:
    """Show a secret's versions, where it is injected or who gets it, and the routes that use it; no value.

    A version is `current`; `overlap`: an older one that still counts; `ended`; `revoked`; or `withheld`:
    revoked, while the backend can't keep that yet. Times in --json are UTC.
    """


@command.command(
    "who-uses",
    short_help="Say who still uses which version.",
    epilog="Example: watchword secrets who-uses maps",
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_body
def who_uses_command() -> None:
    """Say who still uses which version: gates, the last call that was made with it, leases of instances.

    An old version can be withdrawn at the provider when no gate adds it, no lease of it is out, and its last
    call was longer ago than a call takes. A gate of another machine fetches what the service tells gates by itself: it is there within a second while it
    reaches the service.
    """


@command.command(
    "rewrap",
    short_help="Put the file under another master key.",
    epilog="Example: watchword secrets rewrap --old old-master.key",
)
@click.option(
    "--old",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the master key so far.",
)
@click.option("--old-env", metavar="NAME", help="Environment variable with the master key so far.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
@_rewrap_body
def rewrap_command() -> None:
    """Put the encrypted file under the master key that watchword.yaml names now.

    Name the new key under secrets.master_key (a file is made where there is none), run this with the old one,
    then start `watchword up` anew: until then the running service injects what it knows, and delivers nothing
    after a minute. Without --old and --old-env a key in OpenBao's transit engine takes its newest version.
    Values aren't encrypted anew: where somebody may have the old master key and the file, rotate them too.
    """


@command.group(
    "canary",
    short_help="Plant decoy keys; see who uses one.",
    invoke_without_command=True,
    epilog="Example: watchword secrets canary add old-api-key --like generic",
)
@click.option("--json", "as_json", is_flag=True, help="List the canaries as JSON.")
@click.pass_context
@_body
def canary() -> None:
    """Plant keys that open nothing, where only a thief looks, and see who uses one.

    A gate that gets one refuses it like any wrong key, in the same words and the same time, and raises an
    alarm with the caller's traits. It is noticed where it is sent to an API behind a gate of yours. Without a
    subcommand the canaries are listed.
    """


@canary.command("add", epilog="Example: watchword secrets canary add old-api-key --like generic")
@click.argument("name")
@click.option("--like", type=click.Choice(KINDS), required=True, help="Whose key it looks like.")
@click.option("--note", default="", callback=encodable, help="Where you plant it, for later.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME",
    help="Look into this header too; more than one is fine.",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME",
    help="Look into this query parameter too; more than one is fine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print key and terms as JSON.")
@click.pass_obj
@_body
def canary_add() -> None:
    """Make a canary key. It alone goes to stdout, and is shown this once: nothing keeps it.

    Plant it where a thief looks and your code doesn't. No genuine request may carry it.
    """


@canary.command(
    "list",
    short_help="List the canaries; no key.",
    epilog="Example: watchword secrets canary list --json",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def canary_list() -> None:
    """List the canaries, how often each was used, and where they are planted; their keys are kept nowhere."""


@canary.command(
    "remove",
    short_help="Forget a canary.",
    epilog="Example: watchword secrets canary remove old-api-key",
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
@click.pass_obj
@_body
def canary_remove() -> None:
    """Forget a canary: from then on nobody notices its use. The alarms that it raised stay."""


@canary.command(
    "alarms",
    short_help="Show who used canaries, newest first.",
    epilog="Example: watchword secrets canary alarms --canary old-api-key",
)
@click.option("--canary", metavar="NAME", help="Only of this one; also one that was removed.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Most alarms, newest first; uses with the same traits are one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def canary_alarms() -> None:
    """Show who used canaries at the gates of this machine, newest first.

    Whoever sends one has read the app, or the place where it is planted. The headers are the sender's claim,
    and so is `forwarded`, unless a proxy of yours writes it.
    """
