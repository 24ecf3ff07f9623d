"""Write the page that lies beside the files: what each is for, and what is asked on which route."""

from collections.abc import Sequence

from watchword.engines.haproxy import names
from watchword.engines.haproxy.plan import Row
from watchword.engines.places import EngineOptions
from watchword.gate.interface import GatePolicy
from watchword.vocabulary import Mode


def page(policy: GatePolicy, options: EngineOptions, rows: Sequence[Row]) -> str:
    """Return the page, in Markdown."""
    lines = [
        f"# HAProxy in front of {policy.api}",
        "",
        "Written by Watchword. `watchword gate follow --engine haproxy` keeps the files and a running",
        "HAProxy up to date; changes made by hand are overwritten. Start it with:",
        "",
        f"    haproxy -W -S {options.path(names.MASTER_SOCKET)},mode,600 -f {options.path(names.CONFIG)}",
        "",
        "It logs refusals as JSON lines to its standard output. Reload it by nothing but the follower: that",
        "hands the table of used proofs on before the new process takes one.",
        "",
        "| file | what it is |",
        "| --- | --- |",
        f"| `{names.CONFIG}` | the rules, in the order in which a request meets them |",
        f"| `{names.ROUTES}` | the route table in its order: method and path, and what is asked there |",
        f"| `{names.KEYS}`, `key-*.pem` | public token keys, and when each retires |",
        f"| `{names.SECRETS}` | mode 0600: gate secrets by epoch |",
        f"| `{names.REVOKED}` | subjects of revoked instances |",
        f"| `{names.STATE}` | the generation, and whether used proofs of before are known |",
        f"| `{names.PAYLOAD}`, `{names.VERSIONS}` | the form of claims, and of versions that are high enough |",
        f"| `{names.SIZES}`, `{names.WAITING}` | for session proofs: lengths, waiting for a table, and a clock that nobody sets |",
        f"| `{names.MASTER_SOCKET}` | mode 0600: whoever can open it can change and read everything |",
        "",
        "| route | methods | mode | level | proof | asked |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        route = row.route
        methods = ", ".join(sorted(row.compiled.methods)) or "any"
        asked = "nothing; cleaned" if route.mode is Mode.OFF else "token"
        if row.proves:
            asked += f" and proof; bodies up to {row.max_body} bytes, of announced length"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {asked} |"
        )
    return "\n".join(lines) + "\n"
