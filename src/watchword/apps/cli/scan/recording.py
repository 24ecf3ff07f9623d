"""Record what a build proves: observations for the plan, dated, signed, bound to the build's digest."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword import __version__
from watchword.apps.terminal.paragraphs import printable
from watchword.observations import Observation
from watchword.reasons import WatchwordError

if TYPE_CHECKING:
    from watchword.apps.settings.plan import PlanSettings
    from watchword.scan.outcome import Report
    from watchword.vocabulary import Environment

_MAX_DETAIL: Final = 1000
_ID_DIGITS: Final = 16
"""Hex digits of a finding's id in an observation: enough to tell those of one protection apart."""

_MAX_FINDINGS_BYTES: Final = 6_000
"""Most bytes of the findings of one observation as JSON: with the detail they have to fit into a line that can be read again."""

_PER_FINDING: Final = 50
"""Bytes of a finding beside its title."""


class NothingSeenError(WatchwordError):
    """Report a build of which nothing can be said: what the build before showed would go on counting."""


class AnotherAppError(WatchwordError):
    """Report a build that isn't the app's that it was said to be."""


class Recorder:
    """Hold an observer's key and the plan; both are read before a scan, whose results would be lost else."""

    def __init__(self, config: Path, key: Path, app: str) -> None:
        """Read them.

        :raises click.UsageError: for an app that the file doesn't name.
        """
        from watchword.adapters.observations import read_observer_key
        from watchword.apps.settings.plan import load_plan

        self._signer: Any = read_observer_key(key)
        self._plan: PlanSettings = load_plan(config)
        self._app = app
        if app not in self._plan.apps:
            known = ", ".join(sorted(self._plan.apps)) or "none"
            raise click.UsageError(f"--app: got {app!r}, expected an app of {config}: {known}")

    def record(self, report: "Report", at: datetime) -> int:
        """Append an observation for each protection that the build says something of; return how many.

        :raises OSError: when they can't be written.
        :raises AnotherAppError: for a build that isn't this app's.
        :raises NothingSeenError: for one of which nothing can be said.
        """
        self._refuse_another_app(report)
        from watchword.adapters.observations import ObservationsFile
        from watchword.apps.observations import Observers, sign, verify
        from watchword.observations import Vouched

        found = observations_of(report, at, self._app, self._plan.environment)
        if not found:
            raise NothingSeenError(
                f"{report.package.name}: nothing of it was seen that proves or disproves a protection, so that nothing was "
                f"recorded: what was seen of an earlier build of {self._app} goes on counting"
            )
        lines = [sign(each, self._signer) for each in found]
        file = ObservationsFile(self._plan.observations)
        for line in lines:
            file.append(line)
        observers = Observers.of(self._plan.observers)
        if lines and not isinstance(verify(lines[0], observers), Vouched):
            click.echo(
                "warning: no observer under plan.observers has this key; what is good counts as a claim",
                err=True,
            )
        told = (
            f"Recorded {len(lines)} observations of app:{self._app} in {self._plan.observations}."
        )
        click.echo(printable(told), err=True)
        self._warn_of_another_build(report)
        return len(lines)

    def _refuse_another_app(self, report: "Report") -> None:
        """Refuse what would prove something of an app that wasn't looked at."""
        platform, identity = self._plan.apps[self._app]
        got = report.package
        if platform and platform != got.platform:
            raise AnotherAppError(
                f"--app: got an app for {got.platform}, expected one for {platform}, as {self._app} is; "
                "nothing was recorded"
            )
        if identity and got.id and identity != got.id:
            raise AnotherAppError(
                f"--app: got {ascii(got.id)[1:-1]}, expected {identity}, as {self._app} is; nothing was recorded"
            )

    def _warn_of_another_build(self, report: "Report") -> None:
        expected = self._plan.builds.get(self._app)
        if expected is not None and expected != report.package.digest:
            told = (
                f"warning: the plan's build of {self._app} is {expected[:12]}..., this one is "
                f"{report.package.digest[:12]}...: it proves nothing until the file names it"
            )
            click.echo(told, err=True)


def observations_of(
    report: "Report", at: datetime, app: str, environment: "Environment"
) -> tuple[Observation, ...]:
    """Return an observation for each standing that has a state; what wasn't seen gives none.

    :param at: when it was seen, aware.
    """
    return tuple(_observations(report, at, app, environment))


def _observations(
    report: "Report", at: datetime, app: str, environment: "Environment"
) -> Iterator[Observation]:
    for each in report.standings:
        if each.state is not None:
            yield Observation(
                protection=each.protection,
                key=each.key,
                state=each.state,
                at=at,
                target=f"app:{app}",
                source=f"watchword scan {__version__}",
                environment=environment,
                build=report.package.digest,
                detail=printable(" ".join(each.why.split()))[:_MAX_DETAIL],
                findings=_findings(report, each.rules),
            )


def _findings(report: "Report", rules: "Sequence[str]") -> "dict[str, tuple[str, str]]":
    """Return by id what these rules found that is to act on, the worst first, as much of it as fits into a line."""
    from watchword.apps.observations.document import MAX_FINDINGS, MAX_TITLE
    from watchword.scan.outcome import bad, fingerprint

    found: dict[str, tuple[str, str]] = {}
    size = 0
    for each in report.findings:
        if each.rule not in rules or not bad(each) or len(found) == MAX_FINDINGS:
            continue
        title = printable(" ".join(each.title.split()))
        title = title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 3]}..."
        size += len(json.dumps(title)) + _PER_FINDING
        if size > _MAX_FINDINGS_BYTES:
            break
        found[fingerprint(each)[:_ID_DIGITS]] = (each.severity.value, title)
    return found
