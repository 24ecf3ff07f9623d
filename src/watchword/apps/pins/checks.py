"""Look at servers from several places at once: which keys they show, and whether their chains hold."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509

from watchword import __version__
from watchword.adapters.live_chain import (
    LiveChain,
    LiveChainError,
    Place,
    fetch_chain,
    places_of,
    trusted,
)
from watchword.adapters.metrics import Metric
from watchword.apps.pins.session import DAY, PinsError, PinSession, day, in_words, subject_of
from watchword.observations import Observation, State
from watchword.pins.installed import matches
from watchword.pins.interface import (
    HostPins,
    PinError,
    PinMode,
    PinRole,
    PinSet,
    pin_of_certificate,
)
from watchword.pins.publication import ProbeResult
from watchword.vocabulary import Environment

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Probe:
    """Hold what was seen of one host, and where nothing was.

    :param troubles: one line for each place that showed nothing.
    """

    host: str
    results: tuple[ProbeResult, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Return the leaf keys that were seen, each once."""
        return tuple(dict.fromkeys(result.chain[0] for result in self.results))

    @property
    def bad(self) -> ProbeResult | None:
        """Return the first result whose chain doesn't hold, None where all do."""
        return next((each for each in self.results if each.fault is not None), None)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Say from where and how servers are looked at.

    :param named: by host, where it is looked at instead of at the addresses of its name.
    :param ca: authorities that are believed instead of the platform's.
    """

    named: Mapping[str, Sequence[Place]]
    ca: Path | None = None
    seconds: float = 5.0


def probe(hosts: Iterable[str], options: ProbeOptions) -> dict[str, Probe]:
    """Look at each host, at all places of it, at once.

    :raises LiveChainError: when the file of authorities can't be used; no trouble of a server's raises.
    """
    context = trusted(options.ca)
    wanted = list(hosts)
    pool = ThreadPoolExecutor(_AT_ONCE)

    def look(place: Place) -> ProbeResult | str:
        try:
            return _result_of(fetch_chain(place, context, options.seconds))
        except LiveChainError as error:
            return str(error)
        except (PinError, ValueError):
            return f"{place.host} at {place}: got a certificate that can't be read"

    def places(host: str) -> tuple[Place | str, ...]:
        try:
            return places_of(host, options.named)
        except LiveChainError as error:
            return (str(error),)

    try:
        found = dict(zip(wanted, pool.map(places, wanted), strict=True))
        tasks = {
            host: [each if isinstance(each, str) else pool.submit(look, each) for each in where]
            for host, where in found.items()
        }
        probes = {}
        for host, started in tasks.items():
            seen = [each if isinstance(each, str) else each.result() for each in started]
            results = tuple(each for each in seen if isinstance(each, ProbeResult))
            troubles = tuple(each for each in seen if isinstance(each, str))
            probes[host] = Probe(host, results, troubles)
        return probes
    finally:
        # Left at once by Ctrl-C: hundreds of silent servers would have to be waited for otherwise.
        pool.shutdown(wait=False, cancel_futures=True)


def _result_of(live: LiveChain) -> ProbeResult:
    """Return what a chain says; raises PinError or ValueError when a certificate can't be read."""
    shown = live.verified or live.sent
    if not shown:
        raise ValueError("no certificate")
    certificates = [x509.load_der_x509_certificate(each) for each in shown]
    return ProbeResult(
        chain=tuple(map(pin_of_certificate, shown)),
        not_after=certificates[0].not_valid_after_utc.timestamp(),
        fault=live.fault,
        place=str(live.place),
        subjects=tuple(map(subject_of, certificates)),
    )


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


PROTECTION: Final = "PR-C03"
KEY: Final = "live:pins.expiry_days"

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
        protection=PROTECTION,
        key=KEY,
        state=state,
        at=at,
        target=f"api:{api}",
        source=f"watchword pins check {__version__}",
        environment=environment,
        loopback=bool(places) and all(map(_is_loopback, places)),
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


def _is_loopback(place: str) -> bool:
    return ip_address(place.rpartition(":")[0].strip("[]")).is_loopback


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
