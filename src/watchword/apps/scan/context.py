"""Hold what a scan is given beside the app: the API's description, what somebody answers for, and the plan to record for."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from watchword import __version__
from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.apps.observations.document import MAX_FINDINGS, MAX_TITLE, Observers, sign, verify
from watchword.apps.plan.drafts import read_description
from watchword.apps.reports.text import one_line
from watchword.apps.scan.reader import AnotherAppError, data_of
from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.plan import load_plan
from watchword.encoding.phrases import printable
from watchword.observations import Observation, Vouched
from watchword.reasons import WatchwordError
from watchword.scan.addresses import hosts_of, paths_of
from watchword.scan.api.reader import fault_of
from watchword.scan.api.registry import RULES, look_at
from watchword.scan.app import App
from watchword.scan.baseline import BaselineError, Suppression, from_suppressions
from watchword.scan.interface import Finding
from watchword.scan.outcome import Report, RuleFacts, bad, facts_of, fingerprint
from watchword.vocabulary import Environment

MAX_SUPPRESSIONS: Final = 4 * 1024 * 1024
"""Most bytes of a file of suppressions."""

_MAX_DETAIL: Final = 1000
_ID_DIGITS: Final = 16
"""Hex digits of a finding's id in an observation: enough to tell those of one protection apart."""

_MAX_FINDINGS_BYTES: Final = 6_000
"""Most bytes of the findings of one observation as JSON: with the detail they have to fit into a line that can be read again."""

_PER_FINDING: Final = 50
"""Bytes of a finding beside its title."""


@dataclass(frozen=True, slots=True)
class Described:
    """Hold a description as it was read from its file, plain values and nothing else."""

    path: Path
    document: dict[str, Any]

    def findings(self, app: App) -> tuple[Iterable[Finding], Sequence[RuleFacts]]:
        """Return what the rules see in the description, hosts and paths of the app beside it."""
        hosts, paths = frozenset(hosts_of(app)), frozenset(paths_of(app))
        found = look_at(self.document, self.path.name, hosts, paths)
        return found, [facts_of(each) for each in RULES]


def described_by(path: Path) -> Described:
    """Read a description.

    :raises click.UsageError: when it is neither JSON nor YAML, too large, or no description of a version that is read.
    """
    try:
        document = read_description(path)
    except ConfigurationError as error:
        raise click.UsageError(error.render()) from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{path}: got no mapping, expected an OpenAPI or Swagger document")
    if fault := fault_of(document):
        got = f"{path}: {fault}; expected an OpenAPI 3.0 to 3.2 or Swagger 2 document"
        raise click.UsageError(printable(got))
    return Described(path, document)


def suppressions_of(path: Path, rules: Sequence[str]) -> tuple[Suppression, ...]:
    """Return what somebody answers for, from YAML or JSON.

    :param rules: ids that are known.
    :raises click.UsageError: naming the file and the entry.
    """
    try:
        document = parse_document(path, data_of(path, MAX_SUPPRESSIONS))
        found = () if document.faults else from_suppressions(document.data, rules)
    except ConfigurationError as error:
        raise click.UsageError(error.render()) from None
    except BaselineError as error:
        raise click.UsageError(f"{path}: {error}") from None
    if document.faults:
        raise click.UsageError(ConfigurationError(path, document.faults).render())
    return found


class NothingSeenError(WatchwordError):
    """Report a build of which nothing can be said: what the build before showed would go on counting."""


class Recorder:
    """Hold an observer's key and the plan; both are read before a scan, whose results would be lost else."""

    def __init__(self, config: Path, key: Path, app: str) -> None:
        """Read them.

        :raises click.UsageError: for an app that the file doesn't name.
        """
        self._signer = read_observer_key(key)
        self._plan = load_plan(config)
        self._app = app
        if app not in self._plan.apps:
            known = ", ".join(sorted(self._plan.apps)) or "none"
            raise click.UsageError(f"--app: got {app!r}, expected an app of {config}: {known}")

    def record(self, report: Report, at: datetime) -> int:
        """Append an observation for each protection that the build says something of; return how many.

        :raises OSError: when they can't be written.
        :raises AnotherAppError: for a build that isn't this app's.
        :raises NothingSeenError: for one of which nothing can be said.
        """
        self._refuse_another_app(report)
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

    def _refuse_another_app(self, report: Report) -> None:
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

    def _warn_of_another_build(self, report: Report) -> None:
        expected = self._plan.builds.get(self._app)
        if expected is not None and expected != report.package.digest:
            told = (
                f"warning: the plan's build of {self._app} is {expected[:12]}..., this one is "
                f"{report.package.digest[:12]}...: it proves nothing until the file names it"
            )
            click.echo(told, err=True)


def observations_of(
    report: Report, at: datetime, app: str, environment: Environment
) -> tuple[Observation, ...]:
    """Return an observation for each standing that has a state; what wasn't seen gives none.

    :param at: when it was seen, aware.
    """
    return tuple(_observations(report, at, app, environment))


def _observations(
    report: Report, at: datetime, app: str, environment: Environment
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
                detail=one_line(each.why)[:_MAX_DETAIL],
                findings=_findings(report, each.rules),
            )


def _findings(report: Report, rules: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return by id what these rules found that is to act on, the worst first, as much of it as fits into a line."""
    found: dict[str, tuple[str, str]] = {}
    size = 0
    for each in report.findings:
        if each.rule not in rules or not bad(each) or len(found) == MAX_FINDINGS:
            continue
        title = one_line(each.title)
        title = title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 3]}..."
        size += len(json.dumps(title)) + _PER_FINDING
        if size > _MAX_FINDINGS_BYTES:
            break
        found[fingerprint(each)[:_ID_DIGITS]] = (each.severity.value, title)
    return found
