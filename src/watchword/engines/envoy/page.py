"""Write the page that lies beside the files: what each is for, and who judges which route."""

from collections.abc import Sequence

from watchword.engines.envoy.options import START_OPTIONS, EnvoyOptions
from watchword.engines.envoy.plan import PlannedRow, Way
from watchword.gate.interface import GatePolicy

_BY = {
    Way.OPEN: "nobody (mode off); cleaned",
    Way.TOKEN: "Envoy's token check",
    Way.PROOF: "Envoy's token check and the proof in Lua",
    Way.ASK: "Python, over /authz",
}


def page(
    policy: GatePolicy, options: EnvoyOptions, rows: Sequence[PlannedRow], used: Sequence[str]
) -> str:
    """Return the page, in Markdown."""
    lines = [
        f"# Envoy in front of {policy.api}",
        "",
        "Written by Watchword. `watchword gate envoy` keeps the files up to date; changes made by hand",
        "are overwritten. Start Envoy with:",
        "",
        f"    envoy -c {options.path('bootstrap.yaml')} {' '.join(START_OPTIONS)}",
        "",
        "| file | what it is |",
        "| --- | --- |",
        "| `bootstrap.yaml` | read once at the start: admin endpoint, limits, where the rest is |",
        "| `listeners.yaml` | where clients come in; how heads are read; the order of the filters |",
        "| `clusters.yaml` | the API, and Python where it is asked |",
        "| `routes.yaml` | what is ambiguous, then the route table in its order |",
        "| `filter-*.yaml` | one filter each; a change counts for the next request |",
        "| `endpoints-*.yaml` | where keys are lent to: addresses that were checked |",
        "| `lent-*.yaml` | mode 0600: a lent key each, overwritten when it is rotated or revoked |",
        "| `secrets-*` | mode 0600: gate secrets and revoked instances for the script in Lua |",
        "",
        f"Filters, in the order in which a request meets them: {', '.join(used) or 'none'}.",
        "",
        "| route | methods | mode | level | proof | judged by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        route = row.route
        methods = ", ".join(sorted(row.row.methods)) or "any"
        judged = _BY[row.way]
        if route.secret is not None:
            judged += f"; then {route.secret} is lent to {policy.edges[route.secret].host}"
        if row.with_body is None:
            judged += "; bodies are refused"
        elif row.with_body is not row.way:
            judged += f"; with a body: {_BY[row.with_body]}"
        if row.because:
            judged += f" ({row.because})"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {judged} |"
        )
    return "\n".join(lines) + "\n"
