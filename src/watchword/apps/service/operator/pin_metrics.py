"""Measure the pins that are handed out, and what apps report of them."""

from collections.abc import Iterator

from watchword.adapters.metrics import Metric
from watchword.apps.service.context import ServiceContext


def pin_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics where anything is pinned."""
    pins, now = context.pins, context.clock.timestamp()
    if not pins.apps:
        return
    published = {app: found.pin_set for app in pins.apps if (found := pins.newest(app)) is not None}
    yield _gauge(
        "set_version",
        "Version of the pin set that is handed out, by app.",
        {(("app", app),): float(each.version) for app, each in published.items()},
    )
    yield _gauge(
        "soft_expiry_seconds",
        "Seconds until apps look for a newer set at every start, by app; below 0 since then.",
        {(("app", app),): each.soft_expiry - now for app, each in published.items()},
    )
    yield _gauge(
        "hard_expiry_seconds",
        "Seconds until the set is enforced no more, by app; below 0 since then.",
        {(("app", app),): each.hard_expiry - now for app, each in published.items()},
    )
    roots = pins.roots
    if roots is not None:
        yield _gauge(
            "roots_expiry_seconds",
            "Seconds until no new set is believed any more: a newer root list is needed before.",
            {(): roots.expires - now},
        )
    yield _gauge(
        "fault",
        '1 while newer pins can\'t be handed out (the log says why), else 0; root lists under app="".',
        {(("app", app),): float(app in pins.faults) for app in {*pins.apps, ""}},
    )
    reports = context.pin_reports
    yield Metric(
        "watchword_service_pin_reports_total",
        "counter",
        "Reports of apps since the start, by host; mismatch: no pinned key was in the server's chain.",
        {
            (("app", app), ("host", host), ("mismatch", str(mismatch).lower())): count
            for (app, host, mismatch), count in reports.counts().items()
        },
    )
    yield Metric(
        "watchword_service_pin_reports_uncounted_total",
        "counter",
        "Reports that aren't counted by host since the start, by why.",
        {
            (("why", "unknown"),): reports.unknown,
            (("why", "too_many"),): reports.dropped,
        },
    )


def _gauge(name: str, text: str, values: dict[tuple[tuple[str, str], ...], float]) -> Metric:
    return Metric(f"watchword_service_pins_{name}", "gauge", text, values)
