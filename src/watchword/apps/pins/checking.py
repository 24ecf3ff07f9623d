"""Hold what is live against what is published and what would be: every finding, and whether it is one to act on now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from watchword.apps.pins.bench import Bench
from watchword.apps.pins.drafting import draft_of, unpinned
from watchword.apps.pins.faults import PinsError
from watchword.apps.pins.looking import Look, Sight
from watchword.apps.pins.words import day, in_words
from watchword.pins.installed import matches
from watchword.pins.interface import HostPins, PinMode, PinRole, PinSet

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
    looks: Mapping[str, Look]
    published: Mapping[str, PinSet | None] = field(default_factory=dict)

    def of(self, *weights: Weight) -> tuple[Finding, ...]:
        """Return the findings of some weights."""
        return tuple(each for each in self.findings if each.weight in weights)


def check(
    bench: Bench,
    apps: tuple[str, ...],
    looks: Mapping[str, Look],
    now: float,
    within: int | None = None,
) -> Check:
    """Return what is found for some apps.

    :param looks: by host, what was seen.
    :param within: seconds; what expires before is bad and not just told.
    :raises PinsError, WorkspaceError: when the workspace or its log is damaged.
    """
    published = {app: bench.published(app) for app in apps}
    found: list[Finding] = []
    found += _roots(bench, now, within)
    found += _unlogged(bench, apps)
    for host in bench.file.pins.looked_at(apps, looks):
        found += _host(bench, looks.get(host, Look(host)), now, within)
    for app in apps:
        found += _app(bench, app, published[app], now, within)
        found += _live(app, published[app], looks)
    order = list(Weight)
    return Check(tuple(sorted(found, key=lambda each: order.index(each.weight))), looks, published)


def has_backup(entry: HostPins) -> bool:
    """Tell whether a host survives the loss of the key that it shows now, by the rule that publishing goes by."""
    authorities, current = entry.of(PinRole.CA), entry.of(PinRole.CURRENT)
    spare = entry.of(PinRole.NEXT, PinRole.BACKUP)
    return bool(spare) or len(authorities) >= MIN_AUTHORITIES or bool(authorities and current)


def _roots(bench: Bench, now: float, within: int | None) -> Iterator[Finding]:
    if not bench.lists:
        yield Finding(
            Weight.BAD,
            "roots-missing",
            "roots",
            "there is no root list, so that nothing can be published",
            "watchword pins root --help",
        )
        return
    roots = bench.lists[-1]
    left = roots.expires - now
    todo = f"offline: watchword pins root rotate roots-{roots.version}.json, then root accept"
    subject = f"root list {roots.version}"
    if left <= 0:
        text = f"expired {in_words(-left)} ago: apps take no new set until a new list is there"
        yield Finding(Weight.BAD, "roots-expired", subject, text, todo)
    elif within is not None and left < within:
        text = f"expires in {in_words(left)}, on {day(roots.expires)}"
        yield Finding(Weight.BAD, "roots-expire", subject, text, todo)


def _unlogged(bench: Bench, apps: tuple[str, ...]) -> Iterator[Finding]:
    """Find sets that no line of the log tells of: its end was cut off, or they weren't published by us."""
    steps = [each for each in bench.workspace.log.read() if each.action == "publish"]
    for app in apps:
        logged = {each.detail.get("version") for each in steps if each.subject == app}
        unlogged = [each for each in bench.workspace.set_versions(app) if each not in logged]
        if unlogged:
            text = f"the log tells nothing of version {unlogged[-1]}: was its end cut off, or is a part of it from a backup?"
            yield Finding(Weight.BAD, "log", app, text, "compare the log with a copy")


def _host(bench: Bench, look: Look, now: float, within: int | None) -> Iterator[Finding]:
    host = look.host
    keys = bench.pinned.of(bench.file.pins.standing_for(host))
    if not keys:
        todo = f"watchword pins add {host} --from-live --role current"
        yield Finding(Weight.WARN, "unpinned", host, "has no pinned key: nothing protects it", todo)
    for trouble in look.troubles:
        text = trouble.removeprefix(host).lstrip(": ")
        yield Finding(Weight.BAD, "unreachable", host, text)
    roles = {each.pin.spki: each.pin.role for each in keys}
    for sight in look.sights:
        yield from _sight(host, sight, roles, now, within)
    if len(look.leaves) > 1:
        text = f"shows {len(look.leaves)} different keys at {len(look.sights)} places"
        yield Finding(Weight.NOTE, "differs", host, text)


def _sight(
    host: str, sight: Sight, roles: Mapping[bytes, PinRole], now: float, within: int | None
) -> Iterator[Finding]:
    at = f"at {sight.place}"
    if sight.fault is not None:
        text = f"{at}: the chain doesn't hold: {sight.fault}"
        yield Finding(Weight.BAD, "chain", host, text, "an authority of your own: --cafile")
    left = sight.not_after - now
    if left <= 0:
        text = f"{at}: the certificate expired on {day(sight.not_after)}"
        yield Finding(Weight.BAD, "certificate-expired", host, text, "renew it, best with its key")
    elif within is not None and left < within:
        text = f"{at}: the certificate expires in {in_words(left)}, on {day(sight.not_after)}"
        todo = "renew it with the same key (certbot --reuse-key), or with the next one"
        yield Finding(Weight.BAD, "certificate-expires", host, text, todo)
    role = roles.get(sight.chain[0])
    if role in {PinRole.NEXT, PinRole.BACKUP}:
        text = f"{at}: shows the key that is pinned as {role}"
        yield Finding(Weight.WARN, "rotation", host, text, f"watchword pins rotate {host}")


def _app(
    bench: Bench, app: str, published: PinSet | None, now: float, within: int | None
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
        draft = draft_of(bench, app, now) if bench.lists else None
    except PinsError:
        draft = None
    if draft is not None and published is not None:
        changed = difference(published, draft)
        if changed:
            text = f"not published yet: {'; '.join(changed)}"
            yield Finding(Weight.NOTE, "draft", app, text, "watchword pins publish")
    for host in unpinned(bench, app) if published is not None else ():
        if published is not None and published.entry(host) is None:
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


def _live(app: str, published: PinSet | None, looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Find places whose chain no published pin matches: apps that enforce are locked out there now."""
    if published is None:
        return
    for host, look in looks.items():
        entry = published.entry(host)
        for sight in look.sights:
            if entry is None or matches(entry, sight.chain):
                continue
            enforced = entry.mode is PinMode.ENFORCE
            effect = "apps are LOCKED OUT there" if enforced else "apps report it"
            text = f"{app}: the key at {sight.place} isn't in version {published.version}: {effect}"
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
