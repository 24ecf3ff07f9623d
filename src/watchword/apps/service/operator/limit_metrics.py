"""Measure how often the limits of APIs are met."""

from collections.abc import Iterator

from watchword.adapters.metrics import Metric
from watchword.apps.service.context import ServiceContext


def limit_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield how often each limit was met, for the gates of this process; nothing where there is no limit."""
    values: dict[tuple[tuple[str, str], ...], float] = {
        (("api", api), ("limit", name), ("outcome", outcome)): float(count)
        for api, tallies in context.gate_limits.items()
        for name, tally in tallies().items()
        for outcome, count in (
            ("passed", tally.passed),
            ("refused", tally.refused),
            ("reported", tally.reported),
        )
    }
    if values:
        yield Metric(
            "watchword_limit_total",
            "counter",
            "Requests that a limit counted (passed), that were over it and refused, or over it and only reported.",
            values,
        )
