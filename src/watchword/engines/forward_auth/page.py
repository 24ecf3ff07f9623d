"""Write the page that lies beside the files: what each is for, and what is asked for which route."""

from collections.abc import Mapping, Sequence

from watchword.engines.forward_auth.demands import asks_for_proof
from watchword.gate.interface import GatePolicy
from watchword.vocabulary import Mode


def page(
    policy: GatePolicy, engine: str, files: Mapping[str, str], start: str, notes: Sequence[str]
) -> str:
    """Return the page, in Markdown.

    :param files: what each file is.
    :param start: the command that starts the engine.
    :param notes: sentences on what holds for this configuration.
    """
    lines = [
        f"# {engine} in front of {policy.api}",
        "",
        "Written by Watchword; changes made by hand are overwritten. Every request is judged by /authz, which",
        "follows the gate bundle itself. Start the engine as the user who runs Watchword:",
        "",
        f"    {start}",
        "",
        "| file | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {what} |" for name, what in files.items()),
        "",
        *(f"- {note}" for note in notes),
        "",
        "| route | methods | mode | level | proof | bodies |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for route in policy.routes:
        methods = ", ".join(sorted(route.methods)) or "any"
        refused = asks_for_proof(route) and route.mode is not Mode.MONITOR
        bodies = "refused: nobody compares them with their digest" if refused else "pass"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {bodies} |"
        )
    return "\n".join(lines) + "\n"
