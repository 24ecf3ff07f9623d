"""Show every fault in the configuration, without starting anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.cli.console import EXIT_USAGE, print_json
from watchword.apps.cli.fetched import duration, fetched
from watchword.vocabulary import Level, Mode

if TYPE_CHECKING:
    from watchword.apps.settings import Settings
    from watchword.apps.settings.checking import Checked
    from watchword.apps.settings.plans import PlanSettings
    from watchword.apps.settings.validated import PinsSettings


_HTTPS: Final = 443


@click.command(epilog="Example: watchword -c staging.yaml check --json")
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show all faults in the file at once, with line, got and expected.

    Key files are read as `watchword up` reads them: run it as the service's user.

    Exit code 0: the file is good, and be it for `watchword plan` alone.  2: it has faults; nothing
    was started.
    """
    from watchword.apps.formats import formats_of
    from watchword.apps.key_files import require_key_files
    from watchword.apps.settings import ConfigurationError
    from watchword.apps.settings.checking import check_file

    file: Path = ctx.obj
    try:
        checked = check_file(file)
        if checked.settings is not None:
            formats_of(checked.settings)
            require_key_files(checked.settings)
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [fault.as_dict() for fault in error.faults]
        # Settings name the file by its absolute path; a catalogue of the user's own is another one.
        place = file if error.file == file.resolve() else error.file
        print_json({"file": str(place), "ok": False, "faults": faults})
        ctx.exit(EXIT_USAGE)
    if as_json:
        good = {"file": str(file), "ok": True, "faults": []}
        missing = {"missing_for_up": list(checked.missing)} if checked.missing else {}
        print_json({**good, **missing})
        return
    if checked.settings is not None:
        _show(checked.settings)
    if checked.plan is not None:
        _show_plan(file, checked, checked.plan)


def _show_plan(file: Path, checked: "Checked", plan: "PlanSettings") -> None:
    """Print what the plan is made from, and what the file lacks to start something."""
    if checked.settings is None:
        click.echo(f"{file.name} is good for `watchword plan`: a file for the plan alone.")
        click.echo(f"  environment  {plan.environment.value}")
    assets, paths = len(plan.model.assets), len(plan.model.paths)
    click.echo(
        f"  plan         {assets} asset{'' if assets == 1 else 's'}, "
        f"{paths} path{'' if paths == 1 else 's'}"
    )
    for line in plan.model.cut:
        click.echo(f"  note         {line}")
    if checked.settings is None:
        click.echo(f"  missing      {', '.join(checked.missing)}: `watchword up` needs them")


def _show(settings: "Settings") -> None:
    """Print what the file means, so that a person sees it was understood."""
    trusted = [
        name
        for name, trusts in (
            ("Apple and Google", settings.trust_vendors),
            ("lab", settings.trust_lab),
        )
        if trusts
    ]
    click.echo(f"{settings.path.name} is good.")
    click.echo(f"  environment  {settings.environment.value}, trusting {' and '.join(trusted)}")
    click.echo(f"  service      {settings.service.issuer}, listening on {settings.service.listen}")
    for line in fetched(settings):
        click.echo(f"  vendors      {line}")
    granted = sorted(settings.policy.levels, key=lambda level: -level.rank)
    levels = ", ".join(level.value for level in granted)
    click.echo(f"  policy       {settings.policy.name}, granting {levels}")
    if settings.formats:
        click.echo(f"  formats      {', '.join(settings.formats)}, beside the built-in ones")
    if (records := settings.records) is not None:
        space = f"at most {records.max_bytes // 10**6} MB"
        click.echo(f"  records      for {duration(records.keep)}, {space}")
    for app in settings.apps.values():
        click.echo(f"  app          {app.id} ({app.platform.value}){_beside(settings, app.id)}")
    for api in settings.apis.values():
        where = f"{api.listen} -> {api.upstream}" if api.listen else "guarded by a middleware"
        click.echo(f"  api          {api.name}: {where}, tokens for {api.audience}")
        for route in api.routes:
            methods = ",".join(sorted(route.methods)) or "any method"
            needs = "" if route.mode.value == "off" else f", level {route.level.value}"
            adds = "" if route.secret is None else f", adds {route.secret}"
            click.echo(f"    {route.mode.value:<8} {route.pattern} ({methods}{needs}{adds})")
    for line in _secrets(settings):
        click.echo(f"  secret       {line}")
    if settings.pins is not None:
        click.echo(f"  pins         {_pinned(settings.pins)}")
    for name in _unreached(settings):
        click.echo(
            f"  note         {name} takes Play Integrity, and every route wants level hardware: "
            "such phones enrol and are served nothing"
        )


def _secrets(settings: "Settings") -> Iterator[str]:
    """Yield which way each secret goes."""
    if (secrets := settings.secrets) is None:
        return
    for name, edge in secrets.edges.items():
        rule = edge.rule
        where = f"https://{rule.host}" + ("" if rule.port == _HTTPS else f":{rule.port}")
        calls = f"{','.join(sorted(rule.methods))} {' '.join(rule.patterns)}"
        used = any(each.secret == name for api in settings.apis.values() for each in api.routes)
        answers = (
            "answers held and searched" if rule.reflects else "answers stream (reflects: never)"
        )
        unused = "" if used else "; no route adds it yet"
        yield f"{name}: lent to {where} for {calls}; {answers}{unused}"
    for name, delivery in secrets.deliveries.items():
        yield f"{name}: sealed to {', '.join(sorted(delivery.apps))} for {duration(delivery.lease)}"


def _pinned(pins: "PinsSettings") -> str:
    """Say what is pinned how firmly, and where the keys stand."""
    from watchword.pins.interface import PinMode

    count, apps = len(pins.hosts), ", ".join(pins.apps)
    enforced = sum(each.mode is PinMode.ENFORCE for each in pins.hosts.values())
    said = f"{count} host{'' if count == 1 else 's'}, {enforced} of them enforced, for {apps}"
    if not pins.hosts:
        said = "no host yet"
    there = "keys in" if pins.directory.is_dir() else "run `watchword pins init`: nothing is at"
    return f"{said}; {there} {pins.directory}"


def _unreached(settings: "Settings") -> Iterator[str]:
    """Yield the apps whose Play Integrity tokens are good for nothing."""
    for name in settings.play:
        routes = [
            route
            for api in settings.apis.values()
            if name in api.apps
            for route in api.routes
            if route.mode is not Mode.OFF
        ]
        if routes and all(route.level is Level.HARDWARE for route in routes):
            yield name


def _beside(settings: "Settings", app: str) -> str:
    """Say how Play Integrity tokens of an app are opened, where any are taken."""
    play = settings.play.get(app)
    if play is None:
        return ""
    who = "decoded by Google" if play.service_account is not None else "opened by own keys"
    return f", Play Integrity {who}"
