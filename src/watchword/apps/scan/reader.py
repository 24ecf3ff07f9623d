"""Read apps and earlier reports for a scan, within their time; each error names its file."""

import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from watchword.adapters.app_package.package import monotonic, open_app
from watchword.apps.scan.report import MAX_REPORT
from watchword.encoding import strict_json
from watchword.encoding.collector import collector_at_rest
from watchword.encoding.phrases import printable, seconds
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.app import App
from watchword.scan.archive.interface import Limits
from watchword.scan.baseline import BaselineError, from_baseline
from watchword.scan.interface import Finding, Severity
from watchword.scan.outcome import Report, RuleFacts
from watchword.scan.registry import RULES
from watchword.scan.service import scan

QUIET: Final = 2.0
"""Seconds after which those who wait are told for the first time."""

GRACE: Final = 1.0
"""Seconds beyond the end of the time, after which what doesn't look at the clock is interrupted."""


_START: Final = 64
"""Bytes by which a report is told from an app."""

_MILLISECONDS: Final = re.compile(r"([1-9][0-9]{0,6})ms", re.ASCII)


Described: TypeAlias = Callable[[App], tuple[Iterable[Finding], Sequence[RuleFacts]]]
"""Returns what rules see in the description of an app's API, and their facts."""


class OverTimeError(WatchwordError):
    """Report that reading took longer than it may."""


class AnotherAppError(WatchwordError):
    """Report a build that isn't the app's that it was said to be."""


class Pace:
    """Say how many seconds are left, and tell of it now and then: readers ask again and again."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], notify: Callable[[str], None]
    ) -> None:
        """Start the time.

        :param clock: monotonic, in seconds.
        :param notify: takes a line for people.
        """
        self._seconds = seconds
        self._clock = clock
        self._notify = notify
        self._started = clock()
        self._next = QUIET
        self._step = "reading"

    @property
    def taken(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._started

    def left(self) -> float:
        """Return the seconds that are left, and tell of it when it is time to."""
        taken = self.taken
        if taken >= self._next:
            self._next = max(self._next * 2, taken + QUIET)
            self._notify(f"{self._step}, {taken:.0f} s of at most {self._seconds:.0f} s")
        return self._seconds - taken

    def looks(self, rule: str) -> None:
        """Note which rule looks now."""
        self._step = f"looking for {rule}"
        self.left()


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Interrupt what runs in here, once, after so many seconds; where nobody can (another thread), let it run.

    :raises OverTimeError: when what runs doesn't take care of it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def interrupt(*_: Any) -> None:
        raise OverTimeError("got no end in time, expected one; allow more by --timeout")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def seconds_of(text: str) -> float:
    """Return a duration in seconds: as everywhere (``90s``, ``5m``), or in milliseconds (``500ms``).

    :raises click.UsageError: when it isn't one.
    """
    if match := _MILLISECONDS.fullmatch(text):
        return int(match[1]) / 1000
    try:
        found = seconds(text)
    except ValueError as error:
        got = f"got {text!r}, expected {error}"
        raise click.UsageError(f"--timeout: {got}") from None
    if found <= 0:
        raise click.UsageError(f"--timeout: got {text!r}, expected more than nothing")
    return float(found)


def data_of(path: Path, most: int) -> bytes:
    """Return the bytes of a file.

    :raises click.UsageError: when there is none, or it is too large.
    :raises OSError: when it can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise click.UsageError(f"{path}: got {error.strerror}, expected a file") from None
    if len(data) > most:
        raise click.UsageError(f"{path}: got more than {most} bytes, expected fewer")
    return data


def baseline_of(path: Path | None) -> dict[str, Severity] | None:
    """Return a baseline, None without one.

    :raises click.UsageError: naming the file and the place.
    """
    if path is None:
        return None
    try:
        return from_baseline(strict_json.loads(data_of(path, MAX_REPORT), MAX_REPORT))
    except MalformedError as error:
        raise click.UsageError(f"{path}: {error.refusals[0].detail}") from None
    except BaselineError as error:
        raise click.UsageError(f"{path}: {error}") from None


def reports_of(path: Path) -> tuple[Report, ...]:
    """Return the reports in a JSON document of scans.

    :raises click.UsageError: naming the file and the place.
    """
    # Its model takes longer to build than a small app's scan.
    from watchword.apps.scan import document  # noqa: PLC0415

    try:
        return document.reports_of(data_of(path, MAX_REPORT))
    except document.ScanDocumentError as error:
        raise click.UsageError(f"{path}: {error}") from None


def is_json(path: Path) -> bool:
    """Tell whether a file begins as a JSON object does, which no package can."""
    if path.is_symlink() or not path.is_file():
        # Whoever opens packages says what he thinks of it.
        return False
    with path.open("rb") as file:
        return file.read(_START).lstrip().startswith(b"{")


def report_of(path: Path, seconds: float, described: Described | None = None) -> Report:
    """Open an app and run the rules; who waits is told of it on the error stream.

    :param seconds: that it may take.
    :param described: the API's description, to be checked beside the app.
    :raises WatchwordError: when it isn't a package, or can't be read, or takes far too long.
    """

    def notify(line: str) -> None:
        click.echo(printable(f"{path.name}: {line}"), err=True)

    pace = Pace(seconds, monotonic, notify)
    with collector_at_rest():
        with interrupted_after(seconds + GRACE):
            app = open_app(path, Limits(), pace.left)
            api = ((), ()) if described is None else described(app)
        # A rule that hangs is interrupted, and those behind it find that there is no time left.
        try:
            with interrupted_after(pace.left() + GRACE):
                report = scan(app, RULES, left=pace.left, told=pace.looks, api=api)
        except OverTimeError:
            report = scan(app, RULES, left=lambda: 0.0, api=api)
    return replace(report, seconds=pace.taken)


def reports_in(path: Path, seconds: float) -> tuple[Report, ...]:
    """Return the reports of a JSON document of scans, or that of an app, which is read now.

    :raises click.UsageError: for JSON that is no report of ours.
    :raises WatchwordError: for an app that can't be read.
    """
    return reports_of(path) if is_json(path) else (report_of(path, seconds),)
