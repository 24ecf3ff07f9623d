"""Show keys, published sets and app versions."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import print_json

if TYPE_CHECKING:
    from watchword.apps.pins.bench import Bench
    from watchword.pins.interface import PinSet


@click.command(epilog="Example: watchword pins show --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, /, *, as_json: bool) -> None:
    """Show which keys are pinned, what is published for each app, and which app versions are out there."""
    from watchword.apps.cli.paragraphs import show
    from watchword.apps.pins.bench import open_bench

    bench = open_bench(config)
    if as_json:
        print_json(_members(bench))
        return
    show(_lines(bench))


def _members(bench: "Bench") -> dict[str, Any]:
    published = {app: bench.published(app) for app in bench.file.pins.apps}
    return {
        "roots": bench.lists[-1].version if bench.lists else None,
        "hosts": {
            host: {
                "apps": list(each.apps),
                "mode": each.mode.value,
                "keys": [
                    {"pin": str(key.pin), "role": key.pin.role.value, "note": key.note}
                    for key in bench.pinned.of(host)
                ],
            }
            for host, each in bench.file.pins.hosts.items()
        },
        "published": {app: None if each is None else _set(each) for app, each in published.items()},
        "releases": [
            {
                "app": each.app,
                "version": each.app_version,
                "floor": each.floor,
                "roots": each.roots.version,
            }
            for each in bench.fleet()
        ],
    }


def _set(published: "PinSet") -> dict[str, Any]:
    return {
        "version": published.version,
        "issued_at": published.issued_at,
        "soft_expiry": published.soft_expiry,
        "hard_expiry": published.hard_expiry,
        "hosts": {
            each.host: {"mode": each.mode.value, "pins": [str(pin) for pin in each.pins]}
            for each in published.hosts
        },
    }


def _lines(bench: "Bench") -> Iterator[str]:
    from watchword.apps.pins.words import day
    from watchword.encoding.wording import counted

    for host, each in bench.file.pins.hosts.items():
        yield f"{host}  {each.mode.value}, {', '.join(each.apps)}"
        keys = bench.pinned.of(host)
        for key in keys:
            yield f"  {key.pin.role.value:<8} {key.pin}  {key.note}".rstrip()
        if not keys:
            yield f"  no key yet: watchword pins add {host} --from-live --role current"
    for host in bench.pinned.hosts:
        if host not in bench.file.pins.hosts:
            yield f"{host}  has keys, but isn't under pins.hosts: nothing of it is published"
    for app in bench.file.pins.apps:
        found = bench.published(app)
        if found is None:
            yield f"{app}: nothing published yet"
            continue
        yield (
            f"{app}: version {found.version}, {counted(len(found.hosts), 'host')}, apps look again from {day(found.soft_expiry)} on, "
            f"enforced until {day(found.hard_expiry)}"
        )
    for release in bench.fleet():
        yield f"{release.app} {release.app_version}: ships with list {release.roots.version}, floor {release.floor}"
    if bench.lists:
        roots = bench.lists[-1]
        yield f"root list {roots.version}: {roots.threshold} of {len(roots.keys)} sign, expires {day(roots.expires)}"
    else:
        yield "no root list yet: watchword pins root --help"
