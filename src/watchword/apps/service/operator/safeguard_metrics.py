"""Measure what guards the service where its store can't."""

from collections.abc import Iterator

from watchword.adapters.metrics import Metric
from watchword.apps.service.context import ServiceContext


def safeguard_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics of the clock, of what the audit trail lacks, and of the space that is set aside."""
    guards = context.safeguards
    yield Metric(
        "watchword_audit_entries_owed",
        "gauge",
        "Audit entries of what was done though they couldn't be written; they follow when they can.",
        {(): float(context.store.owed)},
    )
    if guards.watch is not None:
        yield Metric(
            "watchword_clock_jump_seconds",
            "gauge",
            "By how much the clock jumped since the start, below 0 where it is behind.",
            {(): guards.watch.look()},
        )
    if guards.reserve is not None:
        yield Metric(
            "watchword_reserve_held",
            "gauge",
            "1 while space is set aside for revocations on a full disk, else 0.",
            {(): float(guards.reserve.is_held)},
        )
