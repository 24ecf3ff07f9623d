"""Hold a gate to the conformance corpus: what the commands are called with."""

from pathlib import Path

import click

from watchword.apps.terminal.lazy import body_in

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_body = body_in("watchword_conformance.commands")


@click.group(
    epilog="Example: watchword conformance gate --target http://127.0.0.1:8080 "
    "--upstream http://127.0.0.1:9900 --deployment conformance/"
)
def command() -> None:
    """Test a gate with the corpus: hundreds of good and bad requests, and the expected outcome of each.

    `setup` writes a deployment, whose bundle the gate under test loads. `upstream` is the API to put behind it.
    `gate` sends the requests, and compares the outcomes with the expected ones.

    `suites` needs no gate: it runs published hostile suites through Watchword's own parsers.
    """


@command.command(epilog="Example: watchword conformance setup -o conformance/")
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where to write it.")
@click.option(
    "--replay",
    type=click.Choice(["local", "affine", "shared"]),
    default="local",
    show_default=True,
    help="How the gate keeps a proof from passing twice.",
)
@click.option("--without", multiple=True, help="Leave this row out of the gate's table.")
@click.option("--json", "as_json", is_flag=True, help="Print the files' names as JSON.")
@_body
def setup() -> None:
    """Write a deployment for tests: fresh keys, secrets, and the signed bundle for the gate.

    Whoever has the directory can sign for the gate that loads the bundle, in the lab environment
    alone.
    """


@command.command(epilog="Example: watchword conformance upstream --port 9900")
@click.option("--port", type=click.IntRange(0, 65535), default=9900, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
@_body
def upstream() -> None:
    """Be the API behind the gate: answer everything, remember what arrived.

    Listens at 127.0.0.1 until it is stopped; port 0 takes a free one.
    """


@command.command(
    epilog="Example: watchword conformance gate --target http://127.0.0.1:8080 "
    "--upstream http://127.0.0.1:9900 --deployment conformance/ --engine proxy"
)
@click.option("--target", required=True, metavar="URL", help="The gate under test.")
@click.option("--upstream", "api", required=True, metavar="URL", help="The API behind it.")
@click.option("--deployment", type=_DIRECTORY, required=True, help="What `setup` wrote.")
@click.option("--engine", help="Take what this engine declares into account.")
@click.option("--case", "chosen", multiple=True, metavar="ID", help="This case or group alone.")
@click.option("--json", "as_json", is_flag=True, help="Print a row of JSON for each case.")
@click.pass_context
@_body
def gate() -> None:
    """Run the corpus against a gate.

    Exit code 0: everything is as it must be, or as the engine declares.  1: something differs.  3: no
    gate, or no conformance upstream, answers.
    """


@command.command(epilog="Example: watchword conformance suites wycheproof/")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print a row of JSON for each set.")
@click.pass_context
@_body
def suites() -> None:
    """Run published hostile suites through Watchword's own parsers and verifiers.

    DIRECTORY holds them as they are published, at any depth and in tar archives too: JSONTestSuite,
    Wycheproof, structured-field-tests, x509-limbo and others (docs/hostile-suites.md). They are told
    by their layout.

    Exit code 0: every case was rejected or accepted as it must be, or is outside of the profile.
    1: one was wrongly accepted or rejected, or raised an exception that is no refusal.
    """
