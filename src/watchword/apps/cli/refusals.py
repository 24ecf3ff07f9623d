"""Run ``watchword explain`` and ``watchword metrics``: what was refused, by the service and by engines, for a person to read.

Strangers chose some of it, and a terminal obeys none of that.
"""

import difflib
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

from watchword.adapters.engine_refusals import EngineRefusals, KeptRefusal, gate_refusals
from watchword.apps.problems import text_of
from watchword.apps.service.client import OperatorClient, state_of
from watchword.apps.settings.document import ENGINE_REFUSALS, GATE_REFUSALS, OPERATOR_SOCKET
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import hanging, printable, show
from watchword.encoding.phrases import moment as utc
from watchword.gate.tallies import CLAIMED, SYSTEM
from watchword.public_classes import PROBLEM_TYPE, PublicClass
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

_MAX_ID: Final = 64
"""Most characters of a request's id; what is sealed has twice as many."""

_OF_AN_ENGINE: Final = (
    "A ref as short as this is an engine's, or was cut. An engine's is known once its\n"
    "log was read: watchword audit ingest --engine NAME LOG"
)

_REQUEST_ID: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)
"""How engines number requests: nginx in 32 hex digits, Envoy, HAProxy and Caddy with a UUID."""

_IN_A_BODY: Final = re.compile(r"""["']ref["']\s*:\s*["']([^"']*)""")
"""The reference in the body of a refusal, or in the one line of it that was copied."""

_AROUND: Final = "\"'`,;\u201c\u201d\u2018\u2019"
"""What comes along with a reference that is copied out of JSON, a log or a mail, which makes quotes curly."""

LATEST: Final = 8
"""Refusals of each reason that are shown, as many as of the service's own."""

_UNTOLD: Final = "(not told)"


def explain_command(config: Path, *, ref: str | None, as_json: bool) -> None:
    """See ``watchword explain``."""
    ref = None if ref is None else _copied(ref)
    if ref is not None and (named := _named_class(ref) or _named_reason(ref)):
        _explain(named, as_json=as_json)
        return

    state = state_of(config)
    if ref is None:
        with OperatorClient(state / OPERATOR_SOCKET) as operator:
            refusals = operator.get("/v1/refusals")
        applications = _applications(state)
        if as_json:
            print_json(refusals | {"applications": applications})
            return
        show_refusals(refusals, every=True)
        show_applications(applications)
        return
    # What is sealed says more than a log, and can't be forged: the service is asked first, where one runs.
    ask = len(ref) > _MAX_ID and (state / OPERATOR_SOCKET).exists()
    found = None if ask else kept_refusals(state).find(ref)
    if found is None and _REQUEST_ID.fullmatch(ref):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"got {ref}, the id that an engine gave to a request, and no log that was read has it; "
            "read the engine's log: watchword audit ingest --engine NAME LOG",
        )
    if found is None:
        try:
            with OperatorClient(state / OPERATOR_SOCKET) as operator:
                _explain(operator.post("/v1/explain", {"ref": ref}), as_json=as_json)
        except (RefusedError, UnavailableError):
            found = kept_refusals(state).find(ref)
            if found is None:
                if len(ref) <= _MAX_ID:
                    click.echo(_OF_AN_ENGINE, err=True)
                raise
    if found is not None:
        _explain(shown_refusal(found), as_json=as_json)


def _copied(text: str) -> str:
    """Return the reference alone of what was pasted: with quotes, broken over lines, or a refusal's whole body.

    :raises click.UsageError: when nothing is left.
    """
    in_a_body = _IN_A_BODY.search(text)
    found = "".join((in_a_body[1] if in_a_body else text).split()).strip(_AROUND)
    if not found:
        raise click.UsageError("got an empty reference, expected the `ref` that the app shows.")
    return found


def _named_class(ref: str) -> dict[str, Any] | None:
    """Return what stands behind the public class of this name, which is all that a client is told; None for others."""
    name = ref.removeprefix(PROBLEM_TYPE)
    public = next((each for each in PublicClass if each.slug == name), None)
    if public is None:
        return None
    behind = [_shown(each) for each in Reason if each.public is public]
    return {"class": name, "status": public.status, "title": public.title, "reasons": behind}


def _shown(reason: Reason) -> dict[str, Any]:
    return {
        "reason": reason.code,
        "category": reason.category.value,
        "status": reason.public.status,
    }


def _named_reason(ref: str) -> dict[str, Any] | None:
    """Return the reason of this name; None where it is a reference, which looks like no reason."""
    codes = {each.code: each for each in Reason}
    if ref in codes:
        return {"reasons": [_shown(codes[ref])]}
    near = difflib.get_close_matches(ref, codes, n=1) if "." in ref else []
    if near:
        raise click.UsageError(f"{ref} is no reason; did you mean {near[0]}?")
    return None


def _explain(explained: dict[str, Any], *, as_json: bool) -> None:
    for reason in explained["reasons"]:
        reason["text"] = text_of(reason["reason"])
    if as_json:
        print_json(explained)
        return
    if "class" in explained:
        _show_class(explained)
        return
    if "engine" in explained:
        show_kept(explained)
    elif "at" in explained:
        click.echo(f"Refused at {explained['at']} by {explained['where'] or 'no route'}:")
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}  ({reason['category']}, HTTP {reason['status']})")
        show(hanging(f"    {reason['text']}", further=0))


def _show_class(explained: dict[str, Any]) -> None:
    """Print what a client is told, and which reasons it can't tell apart."""
    click.echo(f"{explained['class']}  (HTTP {explained['status']}): {explained['title']}.")
    show(
        hanging(
            "  That is all that a client is told. Which of these reasons it was stands in the `ref` of the "
            "same answer: watchword explain REF",
            further=2,
        )
    )
    for reason in explained["reasons"]:
        click.echo(f"  {reason['reason']}")


def metrics_command(config: Path, *, as_json: bool, prometheus: bool) -> None:
    """See ``watchword metrics``."""
    if as_json and prometheus:
        raise click.UsageError("--json and --prometheus don't go together.")

    state = state_of(config)
    try:
        with OperatorClient(state / OPERATOR_SOCKET) as operator:
            if prometheus:
                click.echo(operator.text("/metrics"), nl=False)
                return
            refusals = operator.get("/v1/refusals")
    except UnavailableError:
        # On a machine of gates alone no service runs, and what they counted is there all the same.
        if not as_json and not prometheus:
            applications = _applications(state)
            show_applications(applications)
            show_claimed(applications["claimed"])
            show_systems(applications["systems"])
        raise
    applications, engines = _applications(state), engine_document(kept_refusals(state))
    if as_json:
        print_json(refusals | {"applications": applications, "engines": engines})
        return
    show_refusals(refusals)
    show_applications(applications)
    show_engines(engines)
    parts = (refusals, applications, engines)
    show_claimed([each for part in parts for each in part.get("claimed", ())])
    show_systems([each for part in parts for each in part.get("systems", ())])


def show_refusals(refusals: dict[str, Any], *, every: bool = False) -> None:
    """Print the counters, most frequent first, and refusals, newest first.

    :param every: all that were kept, not only the latest of each reason.
    """
    if not refusals["counts"]:
        click.echo("No refusals since the start.")
        return
    for entry in refusals["counts"]:
        click.echo(f"{entry['count']:>10}  {entry['reason']:<34} {entry['where']}")
    samples = refusals["samples"]
    click.echo(
        f"Latest refusals, at most {LATEST} of each reason:" if every else "Latest of each reason:"
    )
    for sample in samples if every else _first_of_each(samples):
        click.echo(f"  {sample['at'][:19]}  {sample['where']}")
        for cause in sample["refusals"]:
            detail = f": {cause['detail']}" if cause["detail"] else ""
            click.echo(f"      {cause['reason']}{detail}")


def _first_of_each(samples: list[dict[str, Any]], member: str = "refusals") -> list[dict[str, Any]]:
    """Return the first sample of each kind: of the reason that it names first, None where it names none."""
    first: dict[str | None, dict[str, Any]] = {}
    for sample in samples:
        causes = sample[member]
        first.setdefault(causes[0]["reason"] if causes else None, sample)
    return list(first.values())


def _applications(state: Path) -> dict[str, Any]:
    return application_document(gate_refusals(state / GATE_REFUSALS))


def application_document(kept: "EngineRefusals") -> dict[str, Any]:
    """Return what gates inside applications counted as JSON has it, since their file was made."""
    return _counted(kept, "api") | {
        "samples": [
            {
                "api": each.engine,
                "at": utc(each.refusal.at),
                "where": each.refusal.route,
                "reason": None if each.refusal.reason is None else each.refusal.reason.code,
            }
            for each in kept.latest(1)
        ],
    }


def show_applications(document: dict[str, Any]) -> None:
    """Print the counters of gates inside applications, most frequent first, and the latest of each reason."""
    if not document["counts"]:
        return
    click.echo("Counted by gates inside applications, since gates/refusals.db was made:")
    _show_counts(document, "api")
    for sample in document["samples"]:
        where = f"{sample['where'] or 'no route'} ({sample['api']})"
        reason = sample["reason"] or _UNTOLD
        click.echo(printable(f"  latest {sample['at'][:19]}  {reason:<26} {where}"))


def _counted(kept: "EngineRefusals", by: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was counted, and under this name by whom: refusals, claimed statuses, systems."""
    found: dict[str, list[dict[str, Any]]] = {"counts": [], "claimed": [], "systems": []}
    for who, code, route, count in kept.counts():
        if code.startswith(CLAIMED):
            status = code.removeprefix(CLAIMED)
            found["claimed"].append({by: who, "status": status, "where": route, "count": count})
        elif code.startswith(SYSTEM):
            system, _, outcome = code.removeprefix(SYSTEM).rpartition(".")
            entry = {by: who, "os": system, "outcome": outcome, "count": count}
            found["systems"].append(entry)
        else:
            found["counts"].append({by: who, "reason": code, "where": route, "count": count})
    return found


def show_claimed(entries: list[dict[str, Any]]) -> None:
    """Print what apps said of themselves where they sent no token, most frequent first."""
    if not entries:
        return
    click.echo("Claimed by apps that sent no token (anybody can; it decides nothing):")
    for entry in sorted(entries, key=lambda each: -each["count"]):
        where = f"{entry['where'] or 'no route'} ({_by(entry)})"
        click.echo(printable(f"{entry['count']:>10}  {entry['status']:<34} {where}"))


def show_systems(entries: list[dict[str, Any]]) -> None:
    """Print by system how many tokens were met, and how many requests were refused or only reported."""
    if not entries:
        return
    rows: dict[tuple[str, str], Counter[str]] = {}
    for entry in entries:
        rows.setdefault((_by(entry), entry["os"]), Counter())[entry["outcome"]] += entry["count"]
    click.echo("By system, as tokens state it:")
    for (who, system), counts in sorted(rows.items()):
        told = ", ".join(
            f"{counts[outcome]:,} {shown}"
            for outcome, shown in (
                ("token", "tokens"),
                ("refused", "requests refused"),
                ("reported", "only reported"),
            )
        )
        click.echo(printable(f"  {system:<14} {told} ({who})"))


def _by(entry: dict[str, Any]) -> str:
    return str(entry.get("api") or entry.get("engine"))


def _show_counts(document: dict[str, Any], by: str) -> None:
    for entry in document["counts"]:
        reason = entry["reason"] or _UNTOLD
        where = f"{entry['where'] or 'no route'} ({entry[by]})"
        click.echo(printable(f"{entry['count']:>10}  {reason:<34} {where}"))


def kept_refusals(state: Path) -> "EngineRefusals":
    """Return what was read of engines' logs, from a service's state directory."""
    return EngineRefusals(state / ENGINE_REFUSALS)


def shown_refusal(kept: "KeptRefusal") -> dict[str, Any]:
    """Return a refusal as JSON has it, in the form of what a sealed reference says, and with more."""
    refusal, reason = kept.refusal, kept.refusal.reason
    reasons = [] if reason is None else [reason]
    return {
        "at": utc(refusal.at),
        "where": refusal.route,
        "reasons": [_shown(each) for each in reasons],
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
    return _counted(kept, "engine") | {
        "samples": [shown_refusal(each) for each in kept.latest(LATEST)],
    }


def show_engines(document: dict[str, Any]) -> None:
    """Print the counters of engines, most frequent first, and the latest of each reason."""
    if not document["counts"]:
        return
    click.echo("Refused by engines, as far as their logs were read:")
    _show_counts(document, "engine")
    click.echo("Latest of each reason:")
    for sample in _first_of_each(document["samples"], "reasons"):
        codes = ", ".join(each["reason"] for each in sample["reasons"]) or sample["details"]
        where = f"{sample['where'] or 'no route'} ({sample['engine']})"
        click.echo(printable(f"  {sample['at'][:19]}  {where}"))
        click.echo(printable(f"      {codes or _UNTOLD}  ref {sample['ref'] or 'none'}"))
