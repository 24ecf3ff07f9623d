"""Show a person what engines refused; strangers chose some of it, and a terminal obeys none of that."""

from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.terminal.paragraphs import hanging, printable, show

if TYPE_CHECKING:
    from watchword.adapters.engine_refusals import EngineRefusals, KeptRefusal
    from watchword.apps.settings.schema import ServiceConfig

LATEST: Final = 8
"""Refusals of each reason that are shown, as many as of the service's own."""

_UNTOLD: Final = "(not told)"


def kept_refusals(service: "ServiceConfig") -> "EngineRefusals":
    """Return what was read of engines' logs."""
    from watchword.adapters.engine_refusals import EngineRefusals

    return EngineRefusals(service.engine_refusals)


def shown_refusal(kept: "KeptRefusal") -> dict[str, Any]:
    """Return a refusal as JSON has it, in the form of what a sealed reference says, and with more."""
    refusal, reason = kept.refusal, kept.refusal.reason
    reasons = [] if reason is None else [reason]
    return {
        "at": refusal.at.isoformat(),
        "where": refusal.route,
        "reasons": [
            {"reason": each.code, "category": each.category.value, "status": each.public.status}
            for each in reasons
        ],
        "engine": kept.engine,
        "ref": refusal.ref,
        "status": refusal.status,
        "details": refusal.details,
        "method": refusal.method,
        "instance": refusal.instance,
        "client": refusal.client,
        "milliseconds": refusal.milliseconds,
    }


def show_kept(explained: dict[str, Any]) -> None:
    """Print what stands before the reasons of an engine's refusal."""
    where = explained["where"] or "no route"
    status = f", HTTP {explained['status']}" if explained["status"] else ""
    click.echo(
        printable(f"Refused at {explained['at']} by {where} ({explained['engine']}{status}):")
    )
    for name in ("method", "client", "instance"):
        if explained[name]:
            show(hanging(f"  {name}: {explained[name]}"))
    if not explained["reasons"]:
        told = explained["details"] or "nothing"
        show(
            hanging(
                f"  The engine names no reason; it says: {told}. Where it asked Python, the ref in "
                "the answer's body is a sealed one: explain that."
            )
        )


def engine_document(kept: "EngineRefusals") -> dict[str, Any]:
    """Return counts and the latest refusals as JSON has them."""
    return {
        "counts": [
            {"engine": engine, "reason": reason, "where": route, "count": count}
            for engine, reason, route, count in kept.counts()
        ],
        "samples": [shown_refusal(each) for each in kept.latest(LATEST)],
    }


def show_engines(document: dict[str, Any]) -> None:
    """Print the counters of engines, most frequent first, and the latest of each reason."""
    if not document["counts"]:
        return
    click.echo("Refused by engines, as far as their logs were read:")
    for entry in document["counts"]:
        reason = entry["reason"] or _UNTOLD
        where = f"{entry['where'] or 'no route'} ({entry['engine']})"
        click.echo(printable(f"{entry['count']:>10}  {reason:<34} {where}"))
    click.echo("Latest of each reason:")
    for sample in document["samples"]:
        codes = ", ".join(each["reason"] for each in sample["reasons"]) or sample["details"]
        where = f"{sample['where'] or 'no route'} ({sample['engine']})"
        click.echo(printable(f"  {sample['at'][:19]}  {where}"))
        click.echo(printable(f"      {codes or _UNTOLD}  ref {sample['ref'] or 'none'}"))
