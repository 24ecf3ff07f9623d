"""Check again and again: metrics, and a line for each finding that comes or goes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import CA, FILE, RESOLVE, TIMEOUT
from watchword.reasons import WatchwordError

if TYPE_CHECKING:
    from watchword.apps.pins.checking import Check, Finding


@click.command(
    epilog="Example: watchword pins watch --interval 1h --textfile /var/lib/node_exporter/watchword_pins.prom"
)
@click.option("--once", is_flag=True, help="Check once and exit like `watchword pins check`.")
@click.option("--interval", default="1h", show_default=True, metavar="DURATION")
@click.option(
    "--alert-within",
    default="30d",
    show_default=True,
    metavar="DURATION",
    help="Tell of what expires within.",
)
@click.option("--textfile", type=FILE, help="Write metrics here after each check.")
@click.option("--listen", metavar="ADDR:PORT", help="Serve metrics there, on loopback: /metrics.")
@RESOLVE
@CA
@TIMEOUT
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line for each finding."
)
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Check all pinned hosts again and again, and tell of each finding when it comes and when it's gone.

    Metrics are for Prometheus: a file for its node exporter, or an address on loopback.  Ends by Ctrl-C or a signal.
    """
    from watchword.apps.cli.pins.check import code_of
    from watchword.apps.cli.pins.options import duration
    from watchword.apps.pins.scraping import serving

    interval = duration(options["interval"], "--interval")
    watcher = _Watcher(ctx.obj, options, duration(options["alert_within"], "--alert-within"))
    with serving(_listen(options["listen"]), lambda: watcher.page):
        if options["once"]:
            ctx.exit(code_of(watcher.check()))
        while True:
            watcher.go_on()
            time.sleep(interval)


class _Watcher:
    """Hold what was told already, and the last metrics."""

    def __init__(self, config: Path, options: dict[str, Any], within: int) -> None:
        from watchword.apps.cli.pins.options import vantage_of

        self._config = config
        self._options = options
        self._within = within
        self._vantage = vantage_of(options)
        self._told: dict[tuple[str, str], Finding] = {}
        self._fault = ""
        self.page = b""

    def go_on(self) -> None:
        """Check, and tell of a fault once: a file that is being edited ends no watch; the time of the last check stays as it was."""
        from watchword.apps.cli.console import fail

        try:
            self.check()
            self._fault = ""
        except (OSError, WatchwordError) as error:
            if str(error) != self._fault:
                fail(error)
            self._fault = str(error)

    def check(self) -> "Check":
        """Check once: the file and the workspace are read anew, so that edits count."""
        from watchword.adapters.clock import SystemClock
        from watchword.adapters.metrics import exposition
        from watchword.apps.pins.bench import open_bench
        from watchword.apps.pins.checking import check
        from watchword.apps.pins.looking import look_at
        from watchword.apps.pins.metrics import metrics_of

        bench = open_bench(self._config)
        apps = bench.file.pins.apps
        looks = look_at(bench.file.pins.looked_at(apps, self._vantage.named), self._vantage)
        now = SystemClock().timestamp()
        found = check(bench, apps, looks, now, self._within)
        # Whoever reads a line finds its metrics; and a file that can't be written keeps no line back.
        self.page = exposition(metrics_of(bench, found, now))
        self._tell(found)
        self._keep()
        return found

    def _keep(self) -> None:
        from watchword.apps.output_files import replace_file
        from watchword.apps.pins.metrics import MARK

        if self._options["textfile"] is not None:
            replace_file(self._options["textfile"], self.page.decode(), MARK)

    def _tell(self, found: "Check") -> None:
        from watchword.apps.pins.checking import Weight

        now = {(each.code, each.subject): each for each in found.of(Weight.BAD, Weight.WARN)}
        for key, finding in now.items():
            if key not in self._told:
                self._line(finding, "begins")
        for key, finding in self._told.items():
            if key not in now:
                self._line(finding, "ends")
        if not self._told and not now:
            self._line(None, "good")
        self._told = now

    def _line(self, finding: "Finding | None", what: str) -> None:
        from watchword.adapters.clock import SystemClock
        from watchword.apps.cli.paragraphs import printable
        from watchword.apps.pins.words import moment

        at = moment(SystemClock().timestamp())
        if self._options["as_json"]:
            said = {} if finding is None else {"code": finding.code, "subject": finding.subject}
            text = "" if finding is None else finding.text
            print_json({"at": at, "event": what, **said, "text": text})
            return
        if finding is None:
            line = f"{at} good: all is as it should be"
        elif what == "ends":
            line = f"{at} over: {finding.subject}: {finding.code}"
        else:
            todo = f" -> {finding.todo}" if finding.todo else ""
            line = f"{at} {finding.weight.value}: {finding.subject}: {finding.text}{todo}"
        click.echo(printable(line))


def _listen(text: str | None) -> tuple[str, int] | None:
    """Return host and port on loopback.

    :raises click.BadParameter: for any other.
    """
    if text is None:
        return None
    from pydantic_core import PydanticCustomError

    from watchword.apps.settings.validated import Address
    from watchword.apps.settings.written_types import split_address

    try:
        address = Address(*split_address(text))
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"got {text!r}, expected {error.message()}", param_hint="--listen"
        ) from None
    if not address.is_loopback:
        raise click.BadParameter(
            f"got {text}, expected an address of this machine alone, such as 127.0.0.1:9464",
            param_hint="--listen",
        )
    return address.host, address.port
