"""Measure what vendors are asked beside the requests."""

from collections.abc import Iterator

from watchword.adapters.metrics import Metric
from watchword.apps.service.context import ServiceContext


def vendor_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics of what is configured."""
    yield Metric(
        "watchword_evidence_contradictions_total",
        "counter",
        "Verified evidence that contradicted itself, by the contradiction's name, since the start.",
        {(("name", name),): count for name, count in context.vendors.contradictions.items()},
    )
    yield from _status_list(context)
    signals = context.enrolment.signals
    yield Metric(
        "watchword_signals_total",
        "counter",
        "What policy told of instances that it let in or renewed, by reason, since the start.",
        {(("reason", reason.code),): count for reason, count in signals.items()},
    )
    rejudgement, receipts = context.vendors.rejudgement, context.vendors.receipts
    if rejudgement is not None:
        yield Metric(
            "watchword_instances_revoked_by_vendor_total",
            "counter",
            "Instances revoked since a certificate that vouched for them was, since the start.",
            {(): rejudgement.revoked},
        )
    if receipts is not None:
        yield Metric(
            "watchword_receipts_due",
            "gauge",
            "Receipts that the last round found due, by app; it looks at 100 at most.",
            {(("app", app),): receipts.due[app] for app in context.vendors.receipt_apps},
        )
        yield Metric(
            "watchword_receipts_total",
            "counter",
            "Receipts that Apple was asked for, by outcome, since the start.",
            {(("outcome", outcome),): count for outcome, count in receipts.outcomes.items()},
        )


def _status_list(context: ServiceContext) -> Iterator[Metric]:
    status_list = context.vendors.status_list
    if status_list is None:
        return
    age = status_list.age(context.clock.now())
    if age is not None:
        yield Metric(
            "watchword_revocation_list_age_seconds",
            "gauge",
            "Seconds since the vendor's server last vouched for the status list.",
            {(): age.total_seconds()},
        )
    yield Metric(
        "watchword_revocation_list_known",
        "gauge",
        "1 while the status list is recent enough to answer, else 0.",
        {(): float(status_list.is_known(context.clock.now()))},
    )
    yield Metric(
        "watchword_revocation_list_entries",
        "gauge",
        "Certificates on the status list, by the vendor's word for their status.",
        {(("status", status),): count for status, count in status_list.count_by_status().items()},
    )
    yield Metric(
        "watchword_revocation_fetches_total",
        "counter",
        "Attempts to fetch the status list, by outcome, since the start.",
        {(("outcome", outcome),): count for outcome, count in status_list.outcomes.items()},
    )
    last = status_list.last_outcome
    yield Metric(
        "watchword_revocation_last_fetch",
        "gauge",
        "1 for what came of the last attempt to fetch the status list.",
        {} if last is None else {(("outcome", last),): 1.0},
    )
