"""Turn a check into metrics: what an alert needs, with few labels."""

from watchword.adapters.metrics import Metric
from watchword.apps.pins.bench import Bench
from watchword.apps.pins.checking import Check, Weight, has_backup
from watchword.pins.installed import matches

MARK = "# HELP watchword_pins_"
"""What tells a file of these metrics from another."""


def metrics_of(bench: Bench, found: Check, now: float) -> list[Metric]:
    """Return the gauges of a check; times in seconds since 1970, as Prometheus compares them with ``time()``."""
    sights = [(host, sight) for host, look in found.looks.items() for sight in look.sights]
    published = {app: each for app, each in found.published.items() if each is not None}
    pinned: dict[tuple[tuple[str, str], ...], float] = {}
    for app, each in published.items():
        for host, sight in sights:
            entry = each.entry(host)
            if entry is not None:
                labels = (("app", app), ("host", host), ("place", sight.place))
                pinned[labels] = float(matches(entry, sight.chain))
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
                (("host", host), ("place", sight.place)): float(sight.not_after)
                for host, sight in sights
            },
        ),
        (
            "unreachable",
            "Places of a host that showed no certificate.",
            {(("host", host),): float(len(look.troubles)) for host, look in found.looks.items()},
        ),
        (
            "roots_expiry_timestamp_seconds",
            "When the newest root list expires.",
            {(): float(bench.lists[-1].expires)} if bench.lists else {},
        ),
    ]
    return [
        Metric(f"watchword_pins_{name}", "gauge", text, values) for name, text, values in gauges
    ]
