"""Say what there is of secrets, in lines for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from watchword.apps.cli.fetched import duration
from watchword.apps.cli.paragraphs import hanging

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def time_of(seconds: float) -> str:
    """Return a span in its largest unit, such as ``3d``."""
    whole = max(int(seconds), 0)
    for size, letter in _UNITS:
        if whole >= size:
            return f"{whole // size}{letter}"
    return "0s"


def ago(at: str | None, now: datetime) -> str:
    """Return how long ago something was."""
    return (
        "-" if at is None else f"{time_of((now - datetime.fromisoformat(at)).total_seconds())} ago"
    )


def until(at: str, now: datetime) -> str:
    """Return in how long something is."""
    return f"in {time_of((datetime.fromisoformat(at) - now).total_seconds())}"


def told(done: str, secret: Mapping[str, Any]) -> str:
    """Return what was done, and where the secret goes from now on."""
    return f"{done}: version {secret['version']}. {in_use(secret)}"


def in_use(secret: Mapping[str, Any]) -> str:
    """Return what is in use of a secret now."""
    counting = {each["state"]: each["version"] for each in secret["versions"]}
    if "current" not in counting:
        return "No version counts now."
    way = "Gates add" if secret["edge"] else "Instances get"
    return f"{way} version {counting['current']}."


def rows(found: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each secret in a listing."""
    for each in found["secrets"]:
        current = [row for row in each["versions"] if row["state"] == "current"]
        made = ago(current[0]["made_at"], now) if current else "-"
        version = str(current[0]["version"]) if current else "-"
        state = each["state"] if each["configured"] else f"{each['state']}, not in the file"
        yield (each["name"], _way(each), state, version, made, _used_by(each))


def table(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield lines of a table; the last column may grow."""
    every = [heads, *cells]
    widths = [max(len(row[column]) for row in every) for column in range(len(heads) - 1)]
    for row in every:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*padded, row[-1])).rstrip()


def lines(secret: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield what there is of one secret."""
    yield f"{secret['name']}: {secret['state']}"
    if not secret["configured"]:
        yield "  watchword.yaml names it no more: nothing uses it; revoke it to erase it"
    if secret["edge"]:
        yield from _edge(secret["edge"])
    if secret["deliver"]:
        rule = secret["deliver"]
        apps = ", ".join(rule["apps"])
        lease = duration(rule["lease"])
        yield from hanging(f"  sealed to {apps} at level {rule['level']}, for {lease} at a time")
    for each in secret["routes"]:
        yield from hanging(f"  added by {each['api']} on {each['path']}")
    yield from version_lines(secret["versions"], now)


def version_lines(versions: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """Yield a line for each version, the newest first."""
    if not versions:
        yield "  no version yet"
    for each in reversed(versions):
        line = f"  version {each['version']}  {each['state']:<8}  made {ago(each['made_at'], now)}"
        if each["revoked_at"] is not None:
            line += f", revoked {ago(each['revoked_at'], now)}"
        elif each["state"] == "overlap" and each["until"] is not None:
            line += f", ends {until(each['until'], now)}"
        elif each["state"] == "ended" and each["until"] is not None:
            line += f", ended {ago(each['until'], now)}"
        yield line


def use_lines(found: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield who uses which version."""
    if found["trouble"]:
        yield from hanging(f"What calls were made with isn't known now: {found['trouble']}")
    for version in reversed(found["versions"]):
        yield from version_lines([version], now)
        number, used = version["version"], False
        for use in _uses(found, number, now):
            used = True
            yield from hanging(f"    {use}", further=2)
        if not used and not found["trouble"]:
            yield "    nobody that we know of"
    for number in _forgotten(found):
        yield f"  version {number}  forgotten: so many newer ones came that it is kept no more"
        for use in _uses(found, number, now):
            yield from hanging(f"    {use}", further=2)
    if not found["versions"]:
        yield "  no version yet"


def _forgotten(found: Mapping[str, Any]) -> list[int]:
    """Return the versions that instances or gates still have, though the service keeps them no more."""
    had = {each["version"] for each in (*found["leases"], *found["gates"])}
    return sorted(had - {each["version"] for each in found["versions"]}, reverse=True)


def _uses(found: Mapping[str, Any], number: int, now: datetime) -> Iterator[str]:
    for gate in found["gates"]:
        if gate["version"] == number:
            yield f"gate of {gate['api']} adds it (told in generation {gate['generation']})"
    for call in found["calls"] or ():
        if call["version"] == number:
            yield f"last call with it {ago(call['last_at'], now)}"
    for lease in found["leases"]:
        if lease["version"] != number:
            continue
        who = f"{lease['app']} {lease['app_version'] or '(version unknown)'}"
        ends = until(lease["latest_expiry"], now)
        if lease["leases"]:
            yield f"{_instances(lease['leases'])} of {who}; the last lease ends {ends}"
        if lease["withdrawn"]:
            count = _instances(lease["withdrawn"])
            yield f"{count} of {who}, revoked meanwhile: it may be on the phone still, to be forgotten {ends}"


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _way(secret: Mapping[str, Any]) -> str:
    if secret["edge"]:
        return "edge"
    return "sealed" if secret["deliver"] else "nowhere"


def _used_by(secret: Mapping[str, Any]) -> str:
    if secret["deliver"]:
        return ", ".join(secret["deliver"]["apps"])
    places = [f"{each['api']} {each['path']}" for each in secret["routes"]]
    if not places:
        return "no route"
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _edge(edge: Mapping[str, Any]) -> Iterator[str]:
    methods, paths = ", ".join(edge["methods"]), ", ".join(edge["paths"])
    yield from hanging(f"  lent to {edge['origin']} for {methods} {paths}")
    way = "in place of the placeholder" if edge["replaces"] else "overwriting what is"
    yield from hanging(f"  {way} in the {edge['place']} {edge['in']}")
    for each in edge["allowances"]:
        what = f"{each['calls']} calls" if each["calls"] is not None else f"{each['spend']} units"
        yield f"  at most {what} of one instance in {duration(each['seconds'])}"
