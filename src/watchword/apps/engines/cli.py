"""Configure, feed and run gates beside the service: ``watchword gate`` and its subcommands."""

from pathlib import Path
from typing import Any, Final, TypeVar

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in

_body = body_in("watchword.apps.engines.commands")
_authz_body = body_in("watchword.apps.gateway.authz.commands")

ENGINES: Final = ("caddy", "envoy", "haproxy", "nginx", "nginx-authz", "traefik")
"""The names of :data:`watchword.engines.registry.ENGINES`, which ``--help`` would take long to import."""

FOLLOWED: Final = ("haproxy", "nginx", "nginx-authz")
"""Those of them that ``watchword gate follow`` keeps up to date."""

_Command = TypeVar("_Command", bound=Any)

_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="The directory for the files, made with mode 0700.",
    ),
    click.option("--api", metavar="NAME", help="Which API; not needed where there is one."),
    click.option(
        "--bundle",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The gate bundle, if not the one in the state directory.",
    ),
    click.option(
        "--signer",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The service's public key, if not the one in the state directory.",
    ),
    click.option(
        "--listen",
        metavar="HOST:PORT",
        help="Where the engine listens; left out: the API's `listen`, which `watchword up` uses if it runs.",
    ),
    click.option(
        "--authz",
        metavar="unix:PATH",
        help="Where forward auth answers, if not as in the file; HOST:PORT for Traefik.",
    ),
    click.option(
        "--access-log",
        type=click.Path(path_type=Path, dir_okay=False),
        help="JSON log of refusals, if not stdout.",
    ),
)


def engine_options(command: _Command) -> _Command:
    """Give a command the options ``output``, ``api``, ``bundle``, ``signer``, ``listen``, ``authz``, ``access_log``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=LazyGroup, epilog="Example: watchword gate config --engine envoy -o envoy/")
def command() -> None:
    """Configure, feed and run gates beside the service."""


@command.command(
    "config",
    short_help="Write an engine's configuration.",
    epilog="Example: watchword gate config --engine caddy -o caddy/ --listen 127.0.0.1:8081",
)
@click.option("--engine", type=click.Choice(ENGINES), required=True)
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_obj
@_body
def config_command() -> None:
    """Write the complete configuration from the route table and the gate bundle.

    What the engine can't do exactly as the gate does is refused, with the reason, and nothing is
    written.  Keys, addresses and windows of quotas are those of now: `watchword gate envoy` and
    `watchword gate follow` keep them up to date.  Caddy, Traefik and nginx-authz ask `/authz`: the API's
    `authz` section in the file switches it on (docs/forward-auth.md).

    Exit code 0: written.  1: refused.  2: wrong usage.  3: there is no bundle yet.
    """


@command.command(
    "envoy",
    short_help="Keep an Envoy of this machine up to date.",
    epilog="Example: watchword gate envoy -o envoy/ --listen 127.0.0.1:8081 --run",
)
@engine_options
@click.option("--run", "runs", is_flag=True, help="Start Envoy too, and stop it at the end.")
@click.option(
    "--envoy", type=click.Path(path_type=Path, dir_okay=False), help="Its binary, if not found."
)
@click.option(
    "--workers", type=click.IntRange(0, 256), default=0, help="Workers of Envoy; 0: one a core."
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
@click.pass_context
@_body
def envoy_command() -> None:
    """Follow the gate bundle and rewrite Envoy's files on each new generation.

    A revoked key or instance is refused within a second.  A broken bundle, or one that Envoy rejects, changes
    nothing.  If Envoy can't express its routes, it keeps the old ones but still receives revocations.  Faults
    go to stderr.  Envoy goes on enforcing when this ends, unless it was started here with --run; one that dies
    is restarted.

    The service writes the bundle, so run `watchword up` (or `watchword gate pull`) beside this.  Changed routes
    apply once `up` was restarted, and changed addresses once this command was.

    Exit code 0: stopped.  1: something was rejected meanwhile, or Envoy can't run.  2: wrong usage.
    """


@command.command(
    "follow",
    short_help="Keep another engine of this machine up to date.",
    epilog="Example: watchword gate follow --engine nginx -o nginx/ --listen 127.0.0.1:8081 --run",
)
@click.option("--engine", type=click.Choice(FOLLOWED), required=True)
@engine_options
@click.option("--run", "runs", is_flag=True, help="Start the engine too, and stop it at the end.")
@click.option(
    "--binary",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The engine's binary, if not found.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
@click.pass_context
@_body
def follow_command() -> None:
    """Follow the gate bundle and bring each new generation to the engine.

    A revoked key or instance is refused within a second.  A broken bundle changes nothing.  If the engine can't
    express its routes, it keeps the old ones but still receives revocations.  Faults go to stderr.  The engine
    goes on enforcing when this ends, unless it was started here with --run; one that dies is restarted.  Envoy
    has a command of its own: `watchword gate envoy`.

    The service writes the bundle, so run `watchword up` (or `watchword gate pull`) beside this.  Changed routes
    apply once `up` was restarted, and changed addresses once this command was.

    Exit code 0: stopped.  1: something was rejected meanwhile, or the engine can't run.  2: wrong usage.
    """


_FILE = click.Path(dir_okay=False, path_type=Path)


@command.command(
    "pull",
    short_help="Fetch a gate's bundle from the service.",
    epilog="Example: watchword gate pull --url https://watchword.internal:8443 --api clinic "
    "--certificate gate.pem --key gate.key --ca service-ca.pem -o gates/clinic.jws",
)
@click.option("--url", required=True, help="https://host:port of `gates: listen:`.")
@click.option("--api", required=True, help="Name of the API under `apis:`.")
@click.option("--certificate", required=True, type=_FILE, help="PEM of this gate's certificate.")
@click.option("--key", required=True, type=_FILE, help="PEM of its key.")
@click.option(
    "--ca",
    required=True,
    type=_FILE,
    help="PEM of the authority that signed the service's certificate.",
)
@click.option("-o", "--output", required=True, type=_FILE, help="The file to keep up to date.")
@click.option(
    "--signer",
    type=_FILE,
    help="The service's public key, copied once from its state directory; signer.jwk beside the "
    "output if left out.",
)
@click.option("--once", is_flag=True, help="Fetch once and end.")
@click.option(
    "--chain-only",
    is_flag=True,
    help="Leave out the bundle's first version, where no engine and no earlier gate reads it here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@_body
def pull_command() -> None:
    """Fetch the bundle of an API's gate over mutual TLS, verify it, and replace the file.

    Runs until it is stopped; a change at the service is in the file within a second.  The file stays as it is
    while the service can't be reached or the file can't be written, and if a bundle is older or signed by
    another key.  Ends with an error if one of the two certificates isn't trusted, or this gate may not fetch
    this API.
    """


@command.command(
    "authz",
    short_help="Answer an engine's forward-auth requests.",
    epilog="Example: watchword gate authz clinic",
)
@click.argument("api")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.pass_obj
@_authz_body
def authz_command() -> None:
    """Answer forward-auth questions about API, as its `authz` section in the file says.

    Follows the API's bundle in the state directory: `watchword up` writes it there, or `watchword
    gate pull` on another machine.  `watchword up` answers by itself; don't run both.
    """
