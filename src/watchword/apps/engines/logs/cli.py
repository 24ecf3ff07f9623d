"""Look into what was refused elsewhere: ``watchword audit`` and its subcommand."""

from pathlib import Path

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in

_body = body_in("watchword.apps.engines.logs.commands")


@click.group(
    cls=LazyGroup,
    epilog="Example: watchword audit ingest --engine nginx /var/log/nginx/watchword.json",
)
def command() -> None:
    """Read what engines in front of the API refused, for `watchword explain`; verify the audit trail.

    The audit trail says who enrolled, revoked or rotated what.  It is the service's: GET /v1/audit on its operator.sock.
    """


@command.command(
    "ingest",
    short_help="Read the refusals in an engine's access log.",
    epilog="Example: watchword audit ingest --engine envoy logs/access.log.1 logs/access.log",
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option(
    "--engine",
    type=click.Choice(["envoy", "nginx", "nginx-authz", "haproxy", "caddy", "traefik"]),
    help="Whose log it is; recognised by the lines of Envoy, Caddy and Traefik.",
)
@click.option("--follow", is_flag=True, help="Go on as the logs grow, until a signal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each log.")
@click.pass_obj
@_body
def ingest_command() -> None:
    """Read the refusals in an engine's access log; - is the standard input.

    Afterwards `watchword explain REF` knows the client's ref, and `watchword metrics` counts the refusals.  All
    are counted; the latest 5000 of each reason are kept.  A log that was read before adds only what is new,
    also after its rotation, compressed (gzip) or not; name older logs first.  Lines from a pipe are recognised
    as long as they are kept.

    Exit code 0: all lines were understood.  1: some weren't, they are told and left out.
    2: wrong usage.  3: a log can't be read, or nothing can be kept.
    """


@command.command(
    "verify",
    short_help="Compare the audit trail with what gates were told of it.",
    epilog="Example: watchword audit verify gate-1/clinic.heads gate-2/clinic.heads",
)
@click.argument(
    "files",
    nargs=-1,
    metavar="[FILE...]",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@body_in("watchword.apps.cli.verification")
def verify_command() -> None:
    """Compare the audit trail with what gates were told of it.

    Each gate keeps, in a file NAME.heads beside its bundle, numbers of audit entries with a hash over all entries up to
    there.  Copy these files from the gates' machines; without FILE those in this service's gates directory are
    read.  Run it where the service's database and key ring are; the service may run meanwhile.

    Exit code 0: every head is one of this trail.  1: one isn't: entries were changed or are missing, or the database was
    restored from a copy.  2: wrong usage, or a file of something else.  3: something can't be read.
    """
