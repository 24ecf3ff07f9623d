"""Run the command line: the registry of commands, and the one place where errors meet people.

A new command is declared in its capability's ``cli.py`` (a small one in ``cli/declarations.py``) and has one line in
:data:`COMMANDS`; it is imported only when it is called, so that ``watchword --help`` stays quick.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Final

import click

from watchword import __version__
from watchword.apps.terminal.console import fail, outlive_readers
from watchword.apps.terminal.lazy import LazyGroup
from watchword.reasons import WatchwordError

_CONFORMANCE: Final = "Hold a gate to the conformance corpus."

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("watchword.apps.cli.declarations:init_command", "Write a commented watchword.yaml."),
    "check": (
        "watchword.apps.cli.declarations:check_command",
        "Show every fault in watchword.yaml.",
    ),
    "plan": ("watchword.apps.plan.cli", "Say what to protect first, by impact."),
    "up": (
        "watchword.apps.cli.declarations:up_command",
        "Run service and proxy in front of your API.",
    ),
    "demo": (
        "watchword.apps.cli.declarations:demo_command",
        "See it work: script refused, phone served.",
    ),
    "lab": ("watchword.apps.lab.cli", "Simulated phones that send real requests."),
    "verify": ("watchword.apps.evidence.cli", "Verify attestation evidence offline."),
    "policy": ("watchword.apps.policy.cli", "Show, test and compare appraisal policies."),
    "gate": ("watchword.apps.engines.cli", "Configure and feed gates beside the service."),
    # A package of its own.
    "conformance": ("watchword_conformance.cli", _CONFORMANCE)
    if importlib.util.find_spec("watchword_conformance") is not None
    else (
        "watchword.apps.cli.declarations:conformance_command",
        f"{_CONFORMANCE} Not installed: this command says how.",
    ),
    "scan": ("watchword.apps.scan.cli", "Read your built app as an attacker would."),
    "drill": ("watchword.apps.drill.cli", "Attack your own deployment, prove what holds."),
    "pins": ("watchword.apps.pins.cli", "Pin your servers' keys, never brick an app."),
    "observe": ("watchword.apps.observations.cli", "Record what proves protections."),
    "instances": ("watchword.apps.instances.cli", "List and revoke instances."),
    "explain": (
        "watchword.apps.cli.declarations:explain_command",
        "Say why a request was refused.",
    ),
    "audit": ("watchword.apps.engines.logs.cli", "Read what engines refused, from their logs."),
    "keys": ("watchword.apps.cli.declarations:keys", "List and rotate the token keys."),
    "secrets": ("watchword.apps.secrets.cli", "Keep third parties' keys out of the app."),
    "metrics": (
        "watchword.apps.cli.declarations:metrics_command",
        "Show the running service's counters.",
    ),
    "schema": (
        "watchword.apps.cli.declarations:schema_command",
        "Print the JSON Schema of watchword.yaml.",
    ),
}
"""Name of each command: (where it is declared, the line that ``--help`` shows)."""


@click.group(
    cls=LazyGroup,
    registry=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it: watchword demo",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("watchword.yaml"),
    show_default=True,
    metavar="FILE",
    help="The one file that everything hangs on.",
)
@click.version_option(__version__, prog_name="watchword")
@click.pass_context
def cli(ctx: click.Context, config: Path) -> None:
    """Only your genuine app gets through, and you can prove it."""
    ctx.obj = config


def run() -> None:
    """Run the command line and turn every error into one that a person can act on.

    Exit codes: 0 done, 1 refused or not as expected, 2 wrong usage or configuration,
    3 not reachable or not available, 130 interrupted.  Whoever reads the output has no say in it.
    """
    outlive_readers()
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except WatchwordError as error:
        code = fail(error)
    except Exception as error:  # noqa: BLE001 - the last handler; a person gets no stack trace.
        code = fail(error)
    sys.exit(code if isinstance(code, int) else 0)
