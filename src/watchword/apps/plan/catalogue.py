"""List techniques and protections, tell one in words, or hold their ids against other catalogues."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import hanging, printable, show

if TYPE_CHECKING:
    from watchword.apps.plan.upstream import Upstream
    from watchword.plan.interface import Catalogue, Protection, Technique


@click.command(epilog="Example: watchword plan catalogue PR-B01")
@click.argument("entry", metavar="[ID]", required=False)
@click.option(
    "--own",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the techniques: and protections: of this YAML file; left out, of the one that plan: catalogue: names.",
)
@click.option("--check", is_flag=True, help="Hold the ids against the files named.")
@click.option(
    "--stix",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="An ATT&CK bundle, mobile or enterprise, as STIX 2 in JSON; may be given again.",
)
@click.option(
    "--maswe",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="The directory of MASWE's pages, or a JSON list of its aliases.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an entry.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    entry: str | None,
    own: Path | None,
    check: bool,
    stix: tuple[Path, ...],
    maswe: Path | None,
    as_json: bool,
) -> None:
    """Show what attackers do and what protects against it: all of it, or ID in words.

    With --check: say which ids of ATT&CK and MASWE that it names are unknown or retired in the files that are
    named; without a file, which aliases MASWE 1.0.0 doesn't have.

    Exit code 0: shown, or every id checked is known.  1: some aren't.  2: wrong usage, or a file has
    faults.
    """
    from watchword.apps.settings.plan import configured_catalogue, read_catalogue

    if (stix or maswe) and not check:
        raise click.UsageError("--stix and --maswe say which ids there are: they go with --check")
    if check and entry:
        raise click.UsageError("--check looks at the whole catalogue, so that it takes no ID")
    config: Path = ctx.obj or Path("watchword.yaml")
    if own is None and (own := configured_catalogue(config)) is not None:
        click.echo(printable(f"note: with the entries of {own}, which {config} names"), err=True)
    catalogue = read_catalogue(own)
    if check:
        from watchword.apps.plan.upstream import maswe_1_0_0, read_upstream

        upstream = read_upstream(stix, maswe) if stix or maswe else maswe_1_0_0()
        good = _check(catalogue, upstream, as_json=as_json)
        ctx.exit(0 if good else EXIT_REFUSED)
    if entry:
        _show(catalogue, _find(catalogue, entry), as_json=as_json)
    else:
        _list(catalogue, as_json=as_json)


def _find(catalogue: "Catalogue", entry: str) -> "Technique | Protection":
    """Return the entry of an id, in whatever case it is written.

    :raises click.BadParameter: when there is none.
    """
    from watchword.plan.catalogue.naming import nearest_id, same_id

    known = [*catalogue.techniques, *catalogue.protections]
    key = same_id(entry, known)
    if key is None:
        near = nearest_id(entry, known)
        hint = f"did you mean {near}? " if near else ""
        message = f"got {entry[:60]!r}, expected an id; {hint}Without ID all are listed."
        raise click.BadParameter(message, param_hint="ID")
    return catalogue.techniques.get(key) or catalogue.protections[key]


def _show(catalogue: "Catalogue", found: "Technique | Protection", *, as_json: bool) -> None:
    from watchword.apps.plan import catalogue_view
    from watchword.plan.interface import Technique

    if as_json:
        print_json(catalogue_view.as_json(found))
    elif isinstance(found, Technique):
        show(catalogue_view.technique_in_words(catalogue, found))
    else:
        show(catalogue_view.protection_in_words(catalogue, found))


def _list(catalogue: "Catalogue", *, as_json: bool) -> None:
    from watchword.apps.plan import catalogue_view

    if not as_json:
        show(catalogue_view.listed(catalogue))
        return
    for technique in catalogue.techniques.values():
        print_json(catalogue_view.as_json(technique))
    for protection in catalogue.protections.values():
        print_json(catalogue_view.as_json(protection))


def _check(catalogue: "Catalogue", upstream: "Upstream", *, as_json: bool) -> bool:
    """Print each id that isn't known upstream; tell whether there is none."""
    from watchword.plan.catalogue.references import names_used, unknown_names

    unknown = unknown_names(catalogue, upstream.live)
    for each in unknown:
        retired = each.name in upstream.retired.get(each.catalogue, ())
        state = "retired" if retired else "unknown"
        if as_json:
            members = {"catalogue": each.catalogue, "id": each.name, "state": state}
            print_json({**members, "entries": each.entries})
            continue
        line = f"{state}  {each.catalogue}  {each.name}, named by {', '.join(each.entries)}"
        show(hanging(line))
    used = names_used(catalogue)
    counts = [f"{other}: {len(used.get(other, ()))}" for other in sorted(upstream.live)]
    left = [other for other in used if other not in upstream.live]
    summary = f"ids checked: {', '.join(counts)}; {len(unknown)} unknown or retired"
    click.echo(summary, err=as_json)
    if left:
        click.echo(
            f"not checked, since no file says which there are: {', '.join(left)}", err=as_json
        )
    return not unknown
