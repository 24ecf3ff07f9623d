"""Run the command line: the registry of commands, and the one place where errors meet people.

A new command is declared in its capability's ``cli.py`` (a small one in ``cli/declarations.py``) and has one line in
:data:`COMMANDS`; it is imported only when it is called, so that ``watchword --help`` stays quick.
"""

import importlib.util
import io
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from watchword import __version__
from watchword.apps.terminal.console import fail
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
    "openings": ("watchword.apps.openings.cli", "Let a route refuse nobody for a while."),
    "explain": (
        "watchword.apps.cli.declarations:explain_command",
        "Say why a request was refused.",
    ),
    "audit": ("watchword.apps.engines.logs.cli", "Read engines' logs, and verify the audit trail."),
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


class _Descriptor(io.RawIOBase):
    """Write to a descriptor for as long as somebody reads it; what comes after goes nowhere."""

    def __init__(self, number: int) -> None:
        """Take an open descriptor; it stays open."""
        super().__init__()
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._number)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, data: Any) -> int | None:
        """Write as a file does; where that fails, drop this and all that follows, of libraries and children too.

        :raises OSError: once, where it fails for anything but a reader that is gone.
        """
        try:
            return os.write(self._number, data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return memoryview(data).nbytes


def _outlive_readers() -> None:
    """Have a command do the same, and end with the same code, whether or not its output is read to the end.

    Without it ``watchword scan app.apk --fail-on high | head`` ends by chance: before its files are written and
    ``--fail-on`` is looked at, or after.
    """
    # Python has no stream where the process was started without a descriptor (``>&-``).
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _outliving(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _outliving(sys.stderr)


def _outliving(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    try:
        number = stream.fileno()
    except OSError:
        # Whoever runs us within a process of theirs collects what is written.
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(number)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


def run() -> None:
    """Run the command line and turn every error into one that a person can act on.

    Exit codes: 0 done, 1 refused or not as expected, 2 wrong usage or configuration,
    3 not reachable or not available, 130 interrupted.  Whoever reads the output has no say in it.
    """
    _outlive_readers()
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
