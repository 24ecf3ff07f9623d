"""Look at servers from several places at once: which keys they show, and whether their chains hold."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import click
from click.exceptions import Exit
from pydantic_core import PydanticCustomError

from watchword import __version__
from watchword.adapters import metrics
from watchword.adapters.metrics import Metric
from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.adapters.pin_workspace import moment
from watchword.adapters.system import SystemClock
from watchword.apps.observations.document import Observers, sign, verify
from watchword.apps.pins.session import (
    DAY,
    PinsError,
    PinSession,
    Probe,
    day,
    in_words,
    open_session,
    options_of,
    present,
    probe,
    say,
)
from watchword.apps.settings import sections
from watchword.apps.settings.plan import load_plan
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.output import replace_file
from watchword.apps.terminal.paragraphs import printable, wrapped
from watchword.apps.terminal.parameters import seconds_of
from watchword.observations import Observation, State, Vouched
from watchword.pins.installed import matches
from watchword.pins.interface import (
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
)
from watchword.pins.publication import ProbeResult
from watchword.reasons import WatchwordError
from watchword.vocabulary import Environment

MIN_AUTHORITIES: Final = 2
"""Fewest authorities that stand in for a backup key: one of them may be gone tomorrow."""


class Weight(StrEnum):
    """Say what a finding asks for: ``bad`` acts on apps now or fails a CI, ``warn`` will, ``note`` is for knowing."""

    BAD = "bad"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one finding.

    :param code: stable, for scripts and alerts.
    :param subject: the host, the app or the list that it is about.
    :param todo: what to do, a command where there is one; empty where there is nothing.
    """

    weight: Weight
    code: str
    subject: str
    text: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Hold what a check found, and what it was made from.

    :param published: by app, the newest set; None before the first.
    """

    findings: tuple[Finding, ...]
    probes: Mapping[str, Probe]
    published: Mapping[str, PinSet | None] = field(default_factory=dict)

    def of(self, *weights: Weight) -> tuple[Finding, ...]:
        """Return the findings of some weights."""
        return tuple(each for each in self.findings if each.weight in weights)


def check(
    session: PinSession,
    apps: tuple[str, ...],
    probes: Mapping[str, Probe],
    now: float,
    within: int | None = None,
) -> Check:
    """Return what is found for some apps.

    :param probes: by host, what was seen.
    :param within: seconds; what expires before is bad and not just told.
    :raises PinsError, WorkspaceError: when the workspace or its log is damaged.
    """
    published = {app: session.published(app) for app in apps}
    found: list[Finding] = []
    found += _roots(session, now, within)
    found += _unlogged(session, apps)
    for host in session.file.pins.looked_at(apps, probes):
        found += _host(session, probes.get(host, Probe(host)), now, within)
    for app in apps:
        found += _app(session, app, published[app], now, within)
        found += _live(app, published[app], probes)
    order = list(Weight)
    return Check(tuple(sorted(found, key=lambda each: order.index(each.weight))), probes, published)


def has_backup(entry: HostPins) -> bool:
    """Tell whether a host survives the loss of the key that it shows now, by the rule that publishing goes by."""
    authorities, current = entry.of(PinRole.CA), entry.of(PinRole.CURRENT)
    spare = entry.of(PinRole.NEXT, PinRole.BACKUP)
    return bool(spare) or len(authorities) >= MIN_AUTHORITIES or bool(authorities and current)


def _roots(session: PinSession, now: float, within: int | None) -> Iterator[Finding]:
    if not session.lists:
        yield Finding(
            Weight.BAD,
            "roots-missing",
            "roots",
            "there is no root list, so that nothing can be published",
            "watchword pins root --help",
        )
        return
    roots = session.lists[-1]
    left = roots.expires - now
    todo = f"offline: watchword pins root rotate roots-{roots.version}.json, then root accept"
    subject = f"root list {roots.version}"
    if left <= 0:
        text = f"expired {in_words(-left)} ago: apps take no new set until a new list is there"
        yield Finding(Weight.BAD, "roots-expired", subject, text, todo)
    elif within is not None and left < within:
        text = f"expires in {in_words(left)}, on {day(roots.expires)}"
        yield Finding(Weight.BAD, "roots-expire", subject, text, todo)


def _unlogged(session: PinSession, apps: tuple[str, ...]) -> Iterator[Finding]:
    """Find sets that no line of the log tells of: its end was cut off, or they weren't published by us."""
    steps = [each for each in session.workspace.log.read() if each.action == "publish"]
    for app in apps:
        logged = {each.detail.get("version") for each in steps if each.subject == app}
        unlogged = [each for each in session.workspace.set_versions(app) if each not in logged]
        if unlogged:
            text = f"the log tells nothing of version {unlogged[-1]}: was its end cut off, or is a part of it from a backup?"
            yield Finding(Weight.BAD, "log", app, text, "compare the log with a copy")


def _host(session: PinSession, seen: Probe, now: float, within: int | None) -> Iterator[Finding]:
    host = seen.host
    keys = session.pinned.of(session.file.pins.standing_for(host))
    if not keys:
        todo = f"watchword pins add {host} --from-live --role current"
        yield Finding(Weight.WARN, "unpinned", host, "has no pinned key: nothing protects it", todo)
    for trouble in seen.troubles:
        text = trouble.removeprefix(host).lstrip(": ")
        yield Finding(Weight.BAD, "unreachable", host, text)
    roles = {each.pin.spki: each.pin.role for each in keys}
    for result in seen.results:
        yield from _result(host, result, roles, now, within)
    if len(seen.leaves) > 1:
        text = f"shows {len(seen.leaves)} different keys at {len(seen.results)} places"
        yield Finding(Weight.NOTE, "differs", host, text)


def _result(
    host: str, result: ProbeResult, roles: Mapping[bytes, PinRole], now: float, within: int | None
) -> Iterator[Finding]:
    at = f"at {result.place}"
    if result.fault is not None:
        text = f"{at}: the chain doesn't hold: {result.fault}"
        yield Finding(Weight.BAD, "chain", host, text, "an authority of your own: --cafile")
    left = result.not_after - now
    if left <= 0:
        text = f"{at}: the certificate expired on {day(result.not_after)}"
        yield Finding(Weight.BAD, "certificate-expired", host, text, "renew it, best with its key")
    elif within is not None and left < within:
        text = f"{at}: the certificate expires in {in_words(left)}, on {day(result.not_after)}"
        todo = "renew it with the same key (certbot --reuse-key), or with the next one"
        yield Finding(Weight.BAD, "certificate-expires", host, text, todo)
    role = roles.get(result.chain[0])
    if role in {PinRole.NEXT, PinRole.BACKUP}:
        text = f"{at}: shows the key that is pinned as {role}"
        yield Finding(Weight.WARN, "rotation", host, text, f"watchword pins rotate {host}")


def _app(
    session: PinSession, app: str, published: PinSet | None, now: float, within: int | None
) -> Iterator[Finding]:
    if published is None:
        text = "nothing is published: its apps pin nothing"
        yield Finding(Weight.WARN, "unpublished", app, text, "watchword pins publish")
    else:
        yield from _expiry(app, published, now, within)
    for entry in published.hosts if published is not None else ():
        if not has_backup(entry):
            todo = f"watchword pins add {entry.host} --key backup.pub --role backup"
            text = f"{app}: no backup is published: with its key lost, apps are locked out"
            yield Finding(Weight.BAD, "backup-missing", entry.host, text, todo)
    try:
        draft = session.draft(app, now) if session.lists else None
    except PinsError:
        draft = None
    if draft is not None and published is not None:
        changed = difference(published, draft)
        if changed:
            text = f"not published yet: {'; '.join(changed)}"
            yield Finding(Weight.NOTE, "draft", app, text, "watchword pins publish")
    for host in session.file.pins.hosts_of(app) if published is not None else ():
        if published is not None and not session.pinned.of(host) and published.entry(host) is None:
            yield Finding(Weight.NOTE, "uncovered", host, f"{app}: isn't in the published set")


def _expiry(app: str, published: PinSet, now: float, within: int | None) -> Iterator[Finding]:
    left = published.hard_expiry - now
    if left <= 0:
        text = f"version {published.version} expired on {day(published.hard_expiry)}: apps enforce nothing"
        yield Finding(Weight.BAD, "set-expired", app, text, "watchword pins publish")
    elif within is not None and left < within:
        text = f"version {published.version} expires in {in_words(left)}, on {day(published.hard_expiry)}"
        yield Finding(Weight.BAD, "set-expires", app, text, "watchword pins publish")
    elif now >= published.soft_expiry:
        text = f"version {published.version} is past its soft expiry: apps look for a newer one at every start"
        yield Finding(Weight.WARN, "set-soft", app, text, "watchword pins publish")


def _live(app: str, published: PinSet | None, probes: Mapping[str, Probe]) -> Iterator[Finding]:
    """Find places whose chain no published pin matches: apps that enforce are locked out there now."""
    if published is None:
        return
    for host, seen in probes.items():
        entry = published.entry(host)
        for result in seen.results:
            if entry is None or matches(entry, result.chain):
                continue
            enforced = entry.mode is PinMode.ENFORCE
            effect = "apps are LOCKED OUT there" if enforced else "apps report it"
            text = (
                f"{app}: the key at {result.place} isn't in version {published.version}: {effect}"
            )
            todo = f"is it yours? watchword pins rotate {host}; else somebody is in between"
            yield Finding(Weight.BAD, "not-pinned", host, text, todo)


def difference(published: PinSet, draft: PinSet) -> tuple[str, ...]:
    """Return in words what a draft says otherwise than what is published, times and versions apart."""
    before = {each.host: each for each in published.hosts}
    after = {each.host: each for each in draft.hosts}
    said = [f"{host} is gone" for host in before if host not in after]
    said += [f"{host} is new" for host in after if host not in before]
    for host, entry in after.items():
        old = before.get(host)
        if old is None or old == entry:
            continue
        said += _moved(host, old, entry)
        if old.mode is not entry.mode:
            said.append(f"{host}: {old.mode} becomes {entry.mode}")
        if (old.include_subdomains, old.after_expiry) != (
            entry.include_subdomains,
            entry.after_expiry,
        ):
            said.append(f"{host}: subdomains or after_expiry change")
    if published.reports != draft.reports:
        said.append("reports go elsewhere")
    return tuple(said)


def _moved(host: str, old: HostPins, new: HostPins) -> Iterator[str]:
    before = {pin.spki: pin for pin in old.pins}
    after = {pin.spki: pin for pin in new.pins}
    for spki, pin in after.items():
        if spki not in before:
            yield f"{host}: {pin} is new ({pin.role})"
        elif before[spki].role is not pin.role:
            yield f"{host}: {pin} was {before[spki].role} and is {pin.role}"
    for spki, pin in before.items():
        if spki not in after:
            yield f"{host}: {pin} is gone ({pin.role})"


NEAR: Final = 14 * DAY
"""Seconds before an expiry from which on it is near, where nobody says otherwise."""

_LOG: Final = frozenset({"log", "draft", "differs", "uncovered", "rotation", "set-soft"})
"""Findings that don't take away from what the published sets do."""


def observation_of(
    found: Check,
    *,
    api: str,
    at: datetime,
    environment: Environment,
    generation: str | None,
    within: int | None,
) -> Observation | None:
    """Return what a check says of the protection at an API; None where a host couldn't be looked at, and nothing is bad.

    Proven: every app of it has a set that is enforced and not near its expiry, with a backup, and each host showed a key
    in it by a chain that holds.  Broken: it is there and doesn't do that.  Absent: nothing is published.
    """
    published = [each for each in found.published.values() if each is not None]
    state, detail = _judged(found, at.timestamp(), NEAR if within is None else within)
    if state is None:
        return None
    places = [result.place for seen in found.probes.values() for result in seen.results]
    days = min((each.hard_expiry - at.timestamp() for each in published), default=0.0) // DAY
    return Observation(
        protection="PR-C03",
        key="live:pins.expiry_days",
        state=state,
        at=at,
        target=f"api:{api}",
        source=f"watchword pins check {__version__}",
        environment=environment,
        loopback=bool(places)
        and all(ip_address(each.rpartition(":")[0].strip("[]")).is_loopback for each in places),
        generation=generation,
        detail=f"{days:.0f} days until the first set expires; {detail}" if published else detail,
    )


def _judged(found: Check, now: float, near: int) -> tuple[State | None, str]:
    published = list(found.published.values())
    if not published or not any(published):
        return State.ABSENT, "no pin set is published"
    if not all(published):
        return State.BROKEN, "not every app of it has a published set"
    bad = [each for each in found.of(Weight.BAD) if each.code not in {*_LOG, "unreachable"}]
    if bad:
        return State.BROKEN, f"{bad[0].subject}: {bad[0].text}"
    for each in published:
        assert each is not None
        if each.hard_expiry - now < near:
            return State.BROKEN, f"{each.app}: expires in {in_words(each.hard_expiry - now)}"
        reporting = [host.host for host in each.hosts if host.mode is PinMode.REPORT]
        if reporting:
            return State.BROKEN, f"{each.app}: {', '.join(reporting)} only reports"
    if any(seen.troubles or not seen.results for seen in found.probes.values()):
        return None, "a host couldn't be reached"
    places = sum(len(seen.results) for seen in found.probes.values())
    return (
        State.PROVEN,
        f"{len(found.probes)} hosts at {places} places show a pinned key, backups are pinned",
    )


METRICS_MARK: Final = "# HELP watchword_pins_"
"""What tells a file of these metrics from another."""


def metrics_of(session: PinSession, found: Check, now: float) -> list[Metric]:
    """Return the gauges of a check; times in seconds since 1970, as Prometheus compares them with ``time()``."""
    results = [(host, result) for host, seen in found.probes.items() for result in seen.results]
    published = {app: each for app, each in found.published.items() if each is not None}
    pinned: dict[tuple[tuple[str, str], ...], float] = {}
    for app, each in published.items():
        for host, result in results:
            entry = each.entry(host)
            if entry is not None:
                labels = (("app", app), ("host", host), ("place", result.place))
                pinned[labels] = float(matches(entry, result.chain))
    gauges: list[tuple[str, str, dict[tuple[tuple[str, str], ...], float]]] = [
        ("last_check_timestamp_seconds", "When this was checked.", {(): now}),
        (
            "findings",
            "Findings of the check, by weight; bad ones act on apps now, or soon.",
            {(("weight", each.value),): float(len(found.of(each))) for each in Weight},
        ),
        (
            "set_expiry_timestamp_seconds",
            "Hard expiry of an app's published set.",
            {(("app", app),): float(each.hard_expiry) for app, each in published.items()},
        ),
        (
            "set_version",
            "Version of an app's published set.",
            {(("app", app),): float(each.version) for app, each in published.items()},
        ),
        (
            "backup",
            "1 where a host has a published backup.",
            {
                (("app", app), ("host", entry.host)): float(has_backup(entry))
                for app, each in published.items()
                for entry in each.hosts
            },
        ),
        ("live_pinned", "1 where the key that a place shows is in the published set.", pinned),
        (
            "certificate_expiry_timestamp_seconds",
            "When the certificate that a place shows ends.",
            {
                (("host", host), ("place", result.place)): float(result.not_after)
                for host, result in results
            },
        ),
        (
            "unreachable",
            "Places of a host that showed no certificate.",
            {(("host", host),): float(len(seen.troubles)) for host, seen in found.probes.items()},
        ),
        (
            "roots_expiry_timestamp_seconds",
            "When the newest root list expires.",
            {(): float(session.lists[-1].expires)} if session.lists else {},
        ),
    ]
    return [
        Metric(f"watchword_pins_{name}", "gauge", text, values) for name, text, values in gauges
    ]


_SECONDS: Final = 5


@contextmanager
def serving(where: tuple[str, int] | None, page: Callable[[], bytes]) -> Iterator[None]:
    """Serve the newest page at ``/metrics`` while the block runs; None serves nothing.

    :raises OSError: when the address can't be listened at.
    """
    if where is None:
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS
        server_version = "watchword"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer a scrape; before the first check there is nothing to tell."""
            body = page()
            self.send_response(404 if self.path != "/metrics" else 200 if body else 503)
            shown = body if self.path == "/metrics" else b""
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(shown)))
            self.end_headers()
            self.wfile.write(shown)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no event."""

    server = ThreadingHTTPServer(where, Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _recorder(config: Path, key: Path, api: str) -> Callable[[Check, int | None], int]:
    """Read an observer's key and the plan, before anything is looked at: a check whose results are lost is one too many.

    :returns: what appends the observation of a check, and returns how many there are: 1, or 0 where nothing could be told.
    """
    signer, plan = read_observer_key(key), load_plan(config)
    if api not in plan.generations:
        known = ", ".join(plan.generations) or "none"
        raise click.UsageError(f"--api: got {api!r}, expected an API of {config}: {known}")

    def record(found: Check, within: int | None) -> int:
        observation = observation_of(
            found,
            api=api,
            at=SystemClock().now(),
            environment=plan.environment,
            generation=plan.generations[api],
            within=within,
        )
        if observation is None:
            click.echo("Nothing is recorded: a host couldn't be reached.", err=True)
            return 0
        line = sign(observation, signer)
        ObservationsFile(plan.observations).append(line)
        if not isinstance(verify(line, Observers.of(plan.observers)), Vouched):
            click.echo(
                "warning: no observer under plan.observers has this key; what is good counts as a claim",
                err=True,
            )
        told = f"Recorded {observation.protection} as {observation.state} at api:{api}: {observation.detail}"
        click.echo(printable(told), err=True)
        return 1

    return record


_MARKS: Final = {"bad": "BAD ", "warn": "warn", "note": "note"}


def check_command(
    config: Path, /, *, app: str | None, offline: bool, as_json: bool, **options: Any
) -> None:
    """Hold what is live against the published set and the draft."""
    if (options["sign"] is None) != (options["api"] is None):
        raise click.UsageError("--sign and --api go together: whose key, and what it is about")
    if offline and options["sign"] is not None:
        raise click.UsageError("--sign needs to look: leave out --offline")
    within = seconds_of(options["fail_within"], "--fail-within") if options["fail_within"] else None
    record = _recorder(config, options["sign"], options["api"]) if options["sign"] else None
    opened = open_session(config)
    apps = opened.file.pins.apps if app is None else (opened.app_named(app),)
    seen_from = options_of(options)
    hosts = opened.file.pins.looked_at(apps, seen_from.named)
    probes = {} if offline else probe(hosts, seen_from)
    found = check(opened, apps, probes, present(), within)
    recorded = 0 if record is None else record(found, within)
    value = {**_check_members(found), "recorded": recorded}
    say(as_json, value, _check_lines(opened, found, offline=offline))
    raise Exit(_code_of(found))


def _code_of(found: Check) -> int:
    """Return the exit code: what is bad goes before what couldn't be looked at."""
    bad = {each.code for each in found.of(Weight.BAD)}
    if not bad:
        return 0
    return EXIT_UNAVAILABLE if bad == {"unreachable"} else EXIT_REFUSED


def _check_members(found: Check) -> dict[str, Any]:
    return {
        "findings": [asdict(each) for each in found.findings],
        "hosts": {
            host: [
                {
                    "place": result.place,
                    "chain": [str(Pin(spki, PinRole.CURRENT)) for spki in result.chain],
                    "not_after": int(result.not_after),
                    "fault": result.fault,
                }
                for result in seen.results
            ]
            for host, seen in found.probes.items()
        },
        "published": {
            app: each and {"version": each.version, "hard_expiry": each.hard_expiry}
            for app, each in found.published.items()
        },
    }


def _check_lines(opened: PinSession, found: Check, *, offline: bool) -> Iterator[str]:
    for host, seen in found.probes.items():
        keys = opened.pinned.of(opened.file.pins.standing_for(host))
        roles = {key.pin.spki: key.pin.role.value for key in keys}
        for result in seen.results:
            role = next((roles[spki] for spki in result.chain if spki in roles), "not pinned")
            holds = "holds" if result.fault is None else "does not hold"
            yield f"{host} at {result.place}: {role}, chain {holds}, certificate until {day(result.not_after)}"
    for app, each in found.published.items():
        if each is not None:
            yield f"{app}: version {each.version}, enforced until {day(each.hard_expiry)}"
    for finding in found.findings:
        mark = _MARKS[finding.weight.value]
        yield from wrapped(f"{finding.subject}: {finding.text}", first=mark, indent=6)
        if finding.todo:
            yield from wrapped(f"-> {finding.todo}", indent=6)
    if not found.of(Weight.BAD, Weight.WARN):
        yield f"All is as it should be{', as far as can be told offline' if offline else ''}."


def watch_command(config: Path, /, **options: Any) -> None:
    """Check all pinned hosts again and again, and report each finding when it appears and when it is gone."""
    interval = seconds_of(options["interval"], "--interval")
    watcher = _Watcher(config, options, seconds_of(options["alert_within"], "--alert-within"))
    with serving(_listen(options["listen"]), lambda: watcher.page):
        if options["once"]:
            raise Exit(_code_of(watcher.check()))
        while True:
            watcher.go_on()
            time.sleep(interval)


class _Watcher:
    """Hold what was told already, and the last metrics."""

    def __init__(self, config: Path, options: dict[str, Any], within: int) -> None:
        self._config = config
        self._textfile: Path | None = options["textfile"]
        self._as_json: bool = options["as_json"]
        self._within = within
        self._seen_from = options_of(options)
        self._told: dict[tuple[str, str], Finding] = {}
        self._fault = ""
        self.page = b""

    def go_on(self) -> None:
        """Check, and tell of a fault once: a file that is being edited ends no watch; the time of the last check stays as it was."""
        try:
            self.check()
            self._fault = ""
        except (OSError, WatchwordError) as error:
            if str(error) != self._fault:
                fail(error)
            self._fault = str(error)

    def check(self) -> Check:
        """Check once: the file and the workspace are read anew, so that edits count."""
        opened = open_session(self._config)
        apps = opened.file.pins.apps
        probes = probe(opened.file.pins.looked_at(apps, self._seen_from.named), self._seen_from)
        now = present()
        found = check(opened, apps, probes, now, self._within)
        # Whoever reads a line finds its metrics; and a file that can't be written keeps no line back.
        self.page = metrics.exposition(metrics_of(opened, found, now))
        self._notify(
            {(each.code, each.subject): each for each in found.of(Weight.BAD, Weight.WARN)}
        )
        if self._textfile is not None:
            replace_file(self._textfile, self.page.decode(), METRICS_MARK)
        return found

    def _notify(self, now: dict[tuple[str, str], Finding]) -> None:
        for key, finding in now.items():
            if key not in self._told:
                todo = f" -> {finding.todo}" if finding.todo else ""
                said = f"{finding.weight.value}: {finding.subject}: {finding.text}{todo}"
                self._line(finding, "begins", said)
        for key, finding in self._told.items():
            if key not in now:
                self._line(finding, "ends", f"over: {finding.subject}: {finding.code}")
        if not self._told and not now:
            self._line(None, "good", "good: all is as it should be")
        self._told = now

    def _line(self, finding: Finding | None, event: str, text: str) -> None:
        at = moment(present())
        if self._as_json:
            said = {} if finding is None else {"code": finding.code, "subject": finding.subject}
            text = "" if finding is None else finding.text
            print_json({"at": at, "event": event, **said, "text": text})
        else:
            click.echo(printable(f"{at} {text}"))


def _listen(text: str | None) -> tuple[str, int] | None:
    """Return host and port on loopback; raises click.BadParameter for any other."""
    if text is None:
        return None
    try:
        address = sections.address(text)
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
