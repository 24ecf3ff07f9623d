"""Declare the small commands of the roof: what each is told, and what its help says; their bodies stand beside it."""

from pathlib import Path

import click

from watchword.apps.terminal.lazy import body_in
from watchword.apps.terminal.parameters import NamesLikeOptions, optional_reason
from watchword.extras import corpus_command

_body = body_in("watchword.apps.cli.commands")
_check_body = body_in("watchword.apps.cli.check")
_deployment_body = body_in("watchword.apps.cli.deployment")
_refusals_body = body_in("watchword.apps.cli.refusals")
_configuration_body = body_in("watchword.apps.cli.configuration")
_demo_body = body_in("watchword.apps.demo.scenario")


@click.command(epilog="Example: watchword init && watchword check")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
@_body
def init_command() -> None:
    """Write a commented watchword.yaml to start from.

    It describes a lab deployment with two example apps and one API, and passes
    `watchword check` as it is.  -c FILE says where to write it.  Its JSON Schema is written beside it, for editors.
    """


@click.command(epilog="Example: watchword -c staging.yaml check --json")
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["weak-route"]),
    help="Exit with 1 if a route lets pass what would harm an asset of the plan.",
)
@click.pass_context
@_check_body
def check_command() -> None:
    """Show all faults in the file at once, with line, got and expected.

    Key files are read as `watchword up` reads them: run it as the service's user.

    What the `plan` refers to, such as an asset's routes, is checked here alone: `watchword up` starts with a
    fault in that.

    Exit code 0: the file is good, if only for `watchword plan`.  1: --fail-on holds.  2: it has faults.
    """


@click.command(epilog="Example: watchword -c staging.yaml up")
@click.option("--json", "as_json", is_flag=True, help="Print where everything listens as JSON.")
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the logs to this file instead; errors that end it stay on stderr.",
)
@click.pass_obj
@_deployment_body
def up_command() -> None:
    """Run the service and a proxy in front of each API that has an upstream.

    Keys and store are made on the first start.  Logs go to stderr as JSON lines; SIGINT or
    SIGTERM let running requests end, then stop.  Starts nothing when the file has a fault; what the `plan`
    refers to is for `watchword check`.

    Once a file was applied by `watchword config apply`, a start takes what was applied last, whatever stands in FILE.
    """


@click.group(epilog="Example: watchword config check")
def config() -> None:
    """Change watchword.yaml without a restart, step by step, and take it back."""


@config.command("check", epilog="Example: watchword config check --json")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_context
@_configuration_body
def config_check() -> None:
    """Show what `config apply` would do: what changes, what widens, what needs a restart.

    Exit code 0: nothing widens.  1: something does, and needs --widen.  2: the file has faults.
    """


@config.command("apply", epilog="Example: watchword config apply --because 'records need hardware'")
@click.option("--widen", is_flag=True, help="Let more in, where the file says so; needs --because.")
@click.option("--because", callback=optional_reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of it as JSON.")
@click.pass_obj
@_configuration_body
def config_apply() -> None:
    """Put the file in force: at the service at once, at every gate within two seconds.

    The file is checked and kept first.  What needs a restart waits for one.  A change that lets more in, believes somebody else
    or sends something elsewhere is refused without --widen.  Where no service runs, it is for the next start.
    """


@config.command("status", epilog="Example: watchword config status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
@_configuration_body
def config_status() -> None:
    """Show what is in force and since when, what waits for a restart, and what was applied before."""


@config.command(
    "rollback", epilog="Example: watchword config rollback --because 'old apps are refused'"
)
@click.option("--widen", is_flag=True, help="Also where it lets more in; needs --because.")
@click.option("--because", callback=optional_reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of it as JSON.")
@click.pass_obj
@_configuration_body
def config_rollback() -> None:
    """Put in force again what was in force before; your file stays as it is.

    Another one leads further back, and never forward: to go forward, apply a file.
    """


@click.command(epilog="Example: watchword demo --json | jq '.[] | select(.ok | not)'")
@click.option("--full", is_flag=True, help="Play every act, and run every attack: takes longer.")
@click.option("--json", "as_json", is_flag=True, help="Print the list of acts as JSON.")
@_demo_body
def demo_command() -> None:
    """Play the story on this machine: attack, monitor, enforce, genuine and bad phones.

    Starts a sample clinic API, the service and the gate on free loopback ports, and sends
    real requests.  Exit code 0 only if every act went as expected; nothing stays running.
    """


@click.command(cls=NamesLikeOptions, epilog="Example: watchword explain ZJWfnnbyIDdQ...")
@click.argument("ref", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@click.pass_obj
@_refusals_body
def explain_command() -> None:
    """Open the reference (`ref`) of a refusal: when, where, for which reasons, and what to do.

    The reference holds all of it, encrypted for this deployment; nothing was stored.  It doesn't name the
    instance.  Quotes, line breaks and the whole body of a refusal may be pasted with it.

    An engine's reference (Envoy, nginx, HAProxy) is the id of the request, which is known once
    `watchword audit ingest` read the engine's log.  For a reason (`gate.rate`), it says what that means; for what
    a client was told (`evidence-refused`), which reasons it stands for.  Without any of them, it shows the
    counters and the latest refusals of each reason.
    """


@click.group(epilog="Example: watchword keys rotate")
def keys() -> None:
    """List the keys, rotate them, or withdraw one at once."""


@keys.command("list", epilog="Example: watchword keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def keys_list() -> None:
    """List the keys with their purposes and states: prepared, active, retired.

    Purpose tokens: signs tokens.  gates: epochs of the secrets that session proofs are made with. bundles:
    signs the gates' bundles; gates know it by signer.jwk.
    """


@keys.command("rotate", epilog="Example: watchword keys rotate --purpose gates")
@click.option(
    "--purpose",
    type=click.Choice(["tokens", "gates"]),
    default="tokens",
    show_default=True,
    help="The key that signs tokens, or the secret that session proofs rest on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def keys_rotate() -> None:
    """Let the prepared key or epoch take over, and prepare a new one.

    Tokens of the old one are accepted until they expire: no valid request is refused.
    """


@keys.command("retire", cls=NamesLikeOptions, epilog="Example: watchword keys retire 1xYk...")
@click.argument("kid")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
@_body
def keys_retire() -> None:
    """Withdraw all trust from a token key or an epoch at once, because it may be stolen.

    Its tokens are refused within a second (of an epoch: on routes that ask for a session proof);
    instances renew and get tokens of the next one.
    """


@click.command(epilog="Example: watchword metrics --prometheus")
@click.option("--json", "as_json", is_flag=True, help="Print counters and samples as JSON.")
@click.option("--prometheus", is_flag=True, help="Print what a scrape of /metrics gets.")
@click.pass_obj
@_refusals_body
def metrics_command() -> None:
    """Show refusals by reason and place, and the latest of each reason.

    It counts requests, not customers: one phone can be refused many times.  What operators are refused isn't counted.

    Counters start at zero with the service.  Prometheus reads them at /metrics on the operator's
    socket.  What engines refused is counted beside them, as far as `watchword audit ingest` read it.
    """


@click.command(epilog="Example: watchword schema > watchword.schema.json")
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
@_body
def schema_command() -> None:
    """Print the JSON Schema of watchword.yaml, for editors.

    The first lines of the file that `watchword init` writes name watchword.schema.json;
    editors with YAML support then complete keys and mark faults as you type.
    """


@click.command(
    "conformance",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def conformance_command() -> None:
    """Say how the package is added whose commands these are, whatever is asked of it.

    :raises click.UsageError: always.
    """
    raise click.UsageError(f"conformance is a package of its own: {corpus_command()}")
