"""Measure the service: answers, refusals, vendors, pins, secrets, limits and safeguards, as Prometheus reads them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.metrics import MEDIA_TYPE, Metric, exposition
from watchword.apps.service.app import Response
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.operator_secrets import version_states


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


def tally_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield what the gates of this process counted and decide nothing by; nothing where nothing was."""
    claimed: Counter[tuple[tuple[str, str], ...]] = Counter()
    tokens: dict[tuple[tuple[str, str], ...], float] = {}
    findings: dict[tuple[tuple[str, str], ...], float] = {}
    for api, tally in context.gate_tallies.items():
        for (_, status), count in tally.claimed().items():
            claimed[("api", api), ("status", status)] += count
        for (system, outcome), count in tally.systems().items():
            of = (("api", api), ("os", system))
            if outcome == "token":
                tokens[of] = count
            else:
                findings[(*of, ("outcome", outcome))] = count
    if claimed:
        yield Metric(
            "watchword_claimed_status_total",
            "counter",
            "Requests in which an app said why it sends no token; anybody can say it, and nothing is decided by it.",
            claimed,
        )
    if tokens:
        yield Metric(
            "watchword_gate_tokens_total",
            "counter",
            "Tokens that were verified for the first time, by the system that they state.",
            tokens,
        )
    if findings:
        yield Metric(
            "watchword_gate_findings_total",
            "counter",
            "Requests in which something was found, by the system of their token: refused, or reported and let pass.",
            findings,
        )


def pin_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics where anything is pinned."""
    pins, now = context.pins, context.clock.timestamp()
    if not pins.apps:
        return
    published = {app: found.pin_set for app in pins.apps if (found := pins.newest(app)) is not None}
    yield _gauge(
        "service_pins_set_version",
        "Version of the pin set that is handed out, by app.",
        {(("app", app),): float(each.version) for app, each in published.items()},
    )
    yield _gauge(
        "service_pins_soft_expiry_seconds",
        "Seconds until apps look for a newer set at every start, by app; below 0 since then.",
        {(("app", app),): each.soft_expiry - now for app, each in published.items()},
    )
    yield _gauge(
        "service_pins_hard_expiry_seconds",
        "Seconds until the set is enforced no more, by app; below 0 since then.",
        {(("app", app),): each.hard_expiry - now for app, each in published.items()},
    )
    roots = pins.roots
    if roots is not None:
        yield _gauge(
            "service_pins_roots_expiry_seconds",
            "Seconds until no new set is believed any more: a newer root list is needed before.",
            {(): roots.expires - now},
        )
    yield _gauge(
        "service_pins_fault",
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


def safeguard_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics of the clock, of what the audit trail lacks, and of the space that is set aside."""
    guards = context.safeguards
    yield _gauge(
        "audit_entries_owed",
        "Audit entries of what was done though they couldn't be written; they follow when they can.",
        {(): float(context.store.pending)},
    )
    if guards.watch is not None:
        yield _gauge(
            "clock_jump_seconds",
            "By how much the clock jumped since the start, below 0 where it is behind.",
            {(): guards.watch.look()},
        )
    if guards.reserve is not None:
        yield _gauge(
            "reserve_held",
            "1 while space is set aside for revocations on a full disk, else 0.",
            {(): float(guards.reserve.is_held)},
        )


def pace_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics where enrolments are paced."""
    if context.paced is None:
        return
    views = context.paced.pace.view()
    yield _gauge(
        "enrolment_pace",
        "Instances a second that may enrol now, by app.",
        {(("app", app),): view.rate for app, view in views.items()},
    )
    yield _gauge(
        "enrolment_waiting",
        "Places in the line that weren't called yet, by app; busy: those of addresses that ask often.",
        {
            (("app", app), ("line", line)): float(count)
            for app, view in views.items()
            for line, count in zip(("first", "busy"), view.waiting, strict=True)
        },
    )
    yield _gauge(
        "enrolment_pace_held",
        "1 while errors of a vendor keep the pace from growing, else 0.",
        {(("app", app),): float(view.slowed) for app, view in views.items()},
    )
    yield Metric(
        "watchword_enrolment_places_total",
        "counter",
        "Challenges that were asked for to enrol, since the start: given at once, to one who was called, or later; "
        "and places that counted as none, since they had ended or weren't ours.",
        {
            (("app", app), ("outcome", outcome)): float(count)
            for app, view in views.items()
            for outcome, count in view.outcomes.items()
        },
    )


def expiry_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield how many instances were dropped."""
    yield Metric(
        "watchword_instances_expired_total",
        "counter",
        "Instances that were dropped by this process since the start: unused or revoked for too long, or what was left of "
        "deleted ones.",
        {(("why", why),): float(count) for why, count in context.expiry.dropped.items()},
    )


def secret_metrics(context: ServiceContext) -> Iterator[Metric]:
    """Yield the metrics where any secret is kept; none holds a value or a part of one."""
    yield from _canaries(context)
    keeper, now = context.secrets.keeper, context.clock.timestamp()
    if keeper is None:
        return
    yield _gauge(
        "secrets_store_fault",
        "1 while the secrets' backend can't be used (the log says why), else 0.",
        {(): float(keeper.trouble is not None or keeper.read_at is None)},
    )
    if keeper.read_at is None:
        return
    yield _gauge(
        "secrets_store_read_age_seconds",
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
        "secrets_version",
        "Number of the version that is injected or delivered now, by secret; 0 for none.",
        {
            (("secret", name),): float(current[name].number if name in current else 0)
            for name in {*context.secrets.names, *states}
        },
    )
    yield _gauge(
        "secrets_version_age_seconds",
        "Seconds since that version was added, by secret.",
        {(("secret", name),): now - each.made_at for name, each in current.items()},
    )
    yield _gauge(
        "secrets_versions",
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
            yield _gauge(
                "canaries_planted",
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
        yield _gauge(
            "receipts_due",
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
        yield _gauge(
            "revocation_list_age_seconds",
            "Seconds since the vendor's server last vouched for the status list.",
            {(): age.total_seconds()},
        )
    yield _gauge(
        "revocation_list_known",
        "1 while the status list is recent enough to answer, else 0.",
        {(): float(status_list.is_known(context.clock.now()))},
    )
    yield _gauge(
        "revocation_list_entries",
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
    yield _gauge(
        "revocation_last_fetch",
        "1 for what came of the last attempt to fetch the status list.",
        {} if last is None else {(("outcome", last),): 1.0},
    )


def exposed(context: ServiceContext) -> Response:
    """Return every counter in the Prometheus text format."""
    refusals = Metric(
        "watchword_refusals_total",
        "counter",
        "Refusals by reason and place since the start.",
        {
            (("reason", reason.code), ("where", where)): count
            for (reason, where), count in context.refusal_log.counts().items()
        },
    )
    answers = Metric(
        "watchword_service_answers_total",
        "counter",
        "Answers of the service by route and status since the start.",
        {
            (("route", route), ("status", str(status))): count
            for (route, status), count in context.answers.items()
        },
    )
    faults = _gauge(
        "gate_bundle_fault",
        "1 while the gate in this process can't follow its bundle (its log says why), else 0.",
        {(("api", api),): float(fault() is not None) for api, fault in context.gate_faults.items()},
    )
    further = (
        *vendor_metrics(context),
        *pin_metrics(context),
        *secret_metrics(context),
        *limit_metrics(context),
        *tally_metrics(context),
        *safeguard_metrics(context),
        *pace_metrics(context),
        *expiry_metrics(context),
    )
    return Response(
        200,
        exposition([answers, refusals, faults, *further]),
        ((b"content-type", MEDIA_TYPE),),
    )


def _gauge(name: str, text: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> Metric:
    return Metric(f"watchword_{name}", "gauge", text, values)
