"""Draft a plan from an API description or a threat model."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable, wrapped

if TYPE_CHECKING:
    from watchword.apps.plan.drafting import Drafted

_EXAMPLES: Final = """\b
Examples:
  watchword plan init
  watchword plan init --openapi openapi.yaml --api clinic
  watchword plan init --otm threat-model.otm.json -o draft.yaml
"""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STDOUT: Final = Path("-")


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Accept a name as ``watchword.yaml`` takes it."""
    if value is not None and not _NAME.fullmatch(value):
        expected = "lower-case letters, digits and hyphens, such as clinic"
        raise click.BadParameter(f"got {printable(value[:60])!r}, expected {expected}")
    return value


def _once(_ctx: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> Path | None:
    """Accept one file: of two the last alone would be drafted, and the other's assets be missed by nobody."""
    if len(value) > 1:
        expected = (
            "one file: draft each with an --api and an -o of its own, then copy them together"
        )
        raise click.BadParameter(f"got {len(value)} of {parameter.opts[0]}, expected {expected}")
    return value[0] if value else None


@click.command(epilog=_EXAMPLES, short_help="Draft what to protect, from an API description.")
@click.option(
    "--openapi",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_once,
    metavar="FILE",
    help="OpenAPI 3 or Swagger 2, JSON or YAML: drafts assets and routes.",
)
@click.option(
    "--otm",
    type=click.Path(path_type=Path),
    multiple=True,
    callback=_once,
    metavar="FILE",
    help="Open Threat Model, as Threat Dragon exports it: imports assets and threats.",
)
@click.option(
    "--api",
    metavar="NAME",
    callback=_name,
    help="Name of the API under apis:; left out, made from the description's title.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("watchword-plan.yaml"),
    show_default=True,
    metavar="FILE",
    help="Where to write it; - for the standard output. Nothing is overwritten.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was drafted as JSON too.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    openapi: Path | None,
    otm: Path | None,
    api: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Draft a plan: assets, where they live, and what an attacker may be after.

    Without --openapi and --otm it writes a commented plan to start from. With both, assets of the
    same name become one. It is only a draft: each impact in it is a guess that you have to set.
    watchword.yaml is never changed.

    Exit code 0: written.  2: a file has faults, or the one to write is there already.  3: it
    can't be written.
    """
    from watchword.apps.plan.drafting import draft_plan, write_new

    drafted = draft_plan(openapi, otm, api)
    to_stdout = output == _STDOUT
    if not to_stdout:
        write_new(output, drafted.text)
    elif not as_json:
        click.echo(drafted.text, nl=False)
    if as_json:
        print_json(_as_dict(drafted, None if to_stdout else output))
    config: Path = ctx.obj or Path("watchword.yaml")
    for line in _summary(drafted, None if to_stdout else output, config):
        for part in wrapped(line):
            click.echo(part, err=True)


def _summary(drafted: "Drafted", written: Path | None, config: Path) -> list[str]:
    """Return what was read, drafted and left out, and what to do next."""
    from watchword.plan.drafts.interface import counted

    draft = drafted.draft
    lines = []
    if draft.assets:
        routes = counted(len(draft.routes), "routes")
        made = counted(len(draft.assets), "assets")
        more = f" and {routes} for {drafted.api}" if draft.routes else ""
        lines.append(f"Read {', '.join(draft.read)}; drafted {made}{more}.")
    if draft.threats:
        mapped = sum(threat.technique is not None for threat in draft.threats)
        lines.append(f"{mapped} of {len(draft.threats)} different threats are techniques here.")
    lines += [f"Left out: {each}." for each in draft.left_out]
    where = "the text above" if written is None else str(written)
    if written is not None:
        lines.append(f"Wrote {written}.")
    lines.append(f"Next: set each impact and say why in {where}.")
    if config.exists():
        routes = ", and its routes under `apis:`" if draft.routes else ""
        lines.append(
            f"{config} stays as it is: copy the assets into its section `plan:`, or the section "
            f"whole where it has none{routes}. Then `watchword plan`."
        )
    elif written is not None:
        lines.append(f"Then `watchword -c {written} plan`.")
    return lines


def _as_dict(drafted: "Drafted", written: Path | None) -> dict[str, Any]:
    """Return the draft for scripts."""
    draft = drafted.draft
    return {
        "file": None if written is None else str(written),
        "api": drafted.api,
        "read": draft.read,
        "assets": [
            {
                "name": asset.id,
                "kind": asset.kind,
                "impact": asset.impact,
                "lives_in": sorted(asset.lives_in),
                "traits": sorted(asset.traits),
                "actors": sorted(asset.actors),
                "routes": asset.routes,
                "notes": asset.notes,
            }
            for asset in draft.assets
        ],
        "routes": [
            {"path": route.path, "about": route.about, "actors": sorted(route.actors)}
            for route in draft.routes
        ],
        "threats": [
            {
                "name": threat.name,
                "technique": threat.technique,
                "assets": threat.assets,
                "count": threat.count,
            }
            for threat in draft.threats
        ],
        "notes": draft.notes,
        "left_out": draft.left_out,
    }
