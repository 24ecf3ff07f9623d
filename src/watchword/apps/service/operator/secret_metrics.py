"""Measure secrets: how old each is, what state its versions are in, how their backend is; and uses of canaries."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.metrics import Metric
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.operator.secret_view import version_states


def secret_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics where any secret is kept; none holds a value or a part of one."""
    yield from _canaries(context)
    keeper, now = context.secrets.keeper, context.clock.timestamp()
    if keeper is None:
        return
    yield _gauge(
        "store_fault",
        "1 while the secrets' backend can't be used (the log says why), else 0.",
        {(): float(keeper.trouble is not None or keeper.read_at is None)},
    )
    if keeper.read_at is None:
        return
    yield _gauge(
        "store_read_age_seconds",
        "Seconds since the secrets' backend last answered.",
        {(): now - keeper.read_at},
    )
    states = {name: version_states(keeper, each, now) for name, each in keeper.known().items()}
    current = {
        name: version
        for name, versions in states.items()
        for version, state in versions
        if state == "current"
    }
    yield _gauge(
        "version",
        "Number of the version that is lent or delivered now, by secret; 0 for none.",
        {
            (("secret", name),): float(current[name].number if name in current else 0)
            for name in {*context.secrets.names, *states}
        },
    )
    yield _gauge(
        "version_age_seconds",
        "Seconds since that version was added, by secret.",
        {(("secret", name),): now - each.made_at for name, each in current.items()},
    )
    yield _gauge(
        "versions",
        "Versions that are kept, by secret and state.",
        {
            (("secret", name), ("state", state)): float(count)
            for name, versions in states.items()
            for state, count in Counter(state for _, state in versions).items()
        },
    )


def _canaries(context: ServiceContext) -> Iterator[Metric]:
    canaries, alarms = context.secrets.canaries, context.secrets.alarms
    # A scrape must tell the rest also where one of the two files can't be read.
    with suppress(PrivateFileError):
        if canaries is not None and (planted := canaries.planted()):
            yield Metric(
                "watchword_canaries_planted",
                "gauge",
                "Canary keys that are recognised.",
                {(): float(len(planted))},
            )
    with suppress(PrivateFileError):
        if alarms is not None and (totals := alarms.totals()):
            yield Metric(
                "watchword_canary_uses_total",
                "counter",
                "Requests that carried a canary key, by its name; kept over restarts.",
                {(("canary", name),): count for name, count in totals.items()},
            )


def _gauge(name: str, text: str, values: dict[tuple[tuple[str, str], ...], float]) -> Metric:
    return Metric(f"watchword_secrets_{name}", "gauge", text, values)
