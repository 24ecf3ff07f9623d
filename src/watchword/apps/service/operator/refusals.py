"""Answer requests on refusals and counters."""

from datetime import UTC, datetime

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.gate.references import MAX_REFERENCE_CHARACTERS, open_any


async def list_refusals(context: ServiceContext, _request: Request) -> Response:
    """Return the counters, and the latest refusals of each reason."""
    counts = context.refusal_log.counts()
    return json_response(
        200,
        {
            "counts": [
                {"reason": reason.code, "where": where, "count": count}
                for (reason, where), count in sorted(counts.items(), key=lambda item: -item[1])
            ],
            "samples": [
                {
                    "at": sample.at.isoformat(),
                    "where": sample.where,
                    "refusals": [
                        {"reason": refusal.reason.code, "detail": refusal.detail}
                        for refusal in sample.refusals
                    ],
                }
                for sample in context.refusal_log.samples()
            ],
        },
    )


async def explain(context: ServiceContext, request: Request) -> Response:
    """Open the reference of a refusal."""
    require_members(request.members, "ref")
    reference = text_member(request.members, "ref", MAX_REFERENCE_CHARACTERS)
    sealed = open_any(reference, context.publisher.reference_keys())
    return json_response(
        200,
        {
            "at": datetime.fromtimestamp(sealed.at, UTC).isoformat(),
            "where": sealed.route,
            "reasons": [
                {
                    "reason": reason.code,
                    "category": reason.category.value,
                    "status": reason.public.status,
                }
                for reason in sealed.reasons
            ],
        },
    )


async def show_metrics(context: ServiceContext, _request: Request) -> Response:
    """Return the counters in the Prometheus text format."""
    # Its library is imported by the first scrape: a service that nobody scrapes starts sooner.
    from watchword.adapters.metrics import (  # noqa: PLC0415
        MEDIA_TYPE,
        Metric,
        exposition,
    )
    from watchword.apps.service.operator.limit_metrics import limit_metrics  # noqa: PLC0415
    from watchword.apps.service.operator.pin_metrics import pin_metrics  # noqa: PLC0415
    from watchword.apps.service.operator.safeguard_metrics import (  # noqa: PLC0415
        safeguard_metrics,
    )
    from watchword.apps.service.operator.secret_metrics import secret_metrics  # noqa: PLC0415
    from watchword.apps.service.operator.vendors import vendor_metrics  # noqa: PLC0415

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
    faults = Metric(
        "watchword_gate_bundle_fault",
        "gauge",
        "1 while the gate in this process can't follow its bundle (its log says why), else 0.",
        {(("api", api),): float(fault() is not None) for api, fault in context.gate_faults.items()},
    )
    further = (
        *vendor_metrics(context),
        *pin_metrics(context),
        *secret_metrics(context),
        *limit_metrics(context),
        *safeguard_metrics(context),
    )
    return Response(
        200,
        exposition([answers, refusals, faults, *further]),
        ((b"content-type", MEDIA_TYPE),),
    )
