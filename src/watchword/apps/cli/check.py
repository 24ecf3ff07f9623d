"""Run ``watchword check``: say what the file means."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from watchword.apps.key_files import require_key_files, require_private_state
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import Checked, check_file
from watchword.apps.settings.pins import PinsConfig
from watchword.apps.settings.plan import PlanSettings
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import show, wrapped
from watchword.attestation.interface import AndroidApp, AppRegistration
from watchword.encoding.phrases import duration
from watchword.gate.interface import Route
from watchword.gate.spellings import Outcome, meetings
from watchword.pins.interface import PinMode
from watchword.plan.evidence import shut_routes, weak_routes
from watchword.vocabulary import Distribution, Environment, Level, Mode, Proof

_HTTPS: Final = 443
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"http": 80, "https": 443}
_TEXT_AT: Final = 15
_MOST_SPELLINGS: Final = 12
_MOST_ROWS: Final = 2
_FOR_TESTERS: Final = frozenset({Distribution.TESTFLIGHT, Distribution.DEVELOPMENT})


def check_command(ctx: click.Context, *, as_json: bool, fail_on: tuple[str, ...]) -> None:
    """See ``watchword check``."""
    file: Path = ctx.obj
    try:
        checked = check_file(file)
        if checked.settings is not None:
            _require_formats(checked.settings)
            require_key_files(checked.settings)
            require_private_state(checked.settings)
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [fault.as_dict() for fault in error.faults]
        # Settings name the file by its absolute path; a catalogue of the user's own is another one.
        place = file if error.file == file.resolve() else error.file
        print_json({"file": str(place), "ok": False, "faults": faults})
        ctx.exit(EXIT_USAGE)
    assets = () if checked.plan is None else checked.plan.assets.values()
    weak = [str(each) for each in weak_routes(assets)]
    shut = [str(each) for each in shut_routes(assets)]
    if as_json:
        good = {"file": str(file), "ok": True, "faults": []}
        missing = {"missing_for_up": list(checked.missing)} if checked.missing else {}
        meant = {} if checked.settings is None else {"apis": _meant(checked.settings)}
        routes = {} if checked.plan is None else {"weak_routes": weak, "shut_routes": shut}
        notes = list(_all_notes(checked))
        print_json({**good, **missing, "notes": notes, **meant, **routes})
    else:
        if checked.settings is not None:
            _show(checked.settings)
        if checked.plan is not None:
            _show_plan(file, checked, checked.plan)
        for each in weak:
            _notify("weak route", each)
        for each in shut:
            _notify("shut route", each)
    if weak and fail_on:
        ctx.exit(EXIT_REFUSED)


def _require_formats(settings: "Settings") -> None:
    """See to it that the operator's own formats can be loaded; raises ConfigurationError."""
    if settings.formats:
        # What verifies evidence stands beside it, and few bring formats of their own.
        from watchword.apps.compose.vendors import formats_of  # noqa: PLC0415

        formats_of(settings)


def _notify(name: str, text: str) -> None:
    """Print a line that may be longer than the terminal is wide."""
    show(wrapped(text, first=f"  {name}", indent=_TEXT_AT))


def _meant(settings: "Settings") -> dict[str, Any]:
    """Return by API what its table means for paths in other spellings."""
    return {
        api.name: {
            "case": "sensitive" if api.case_sensitive else "insensitive",
            "spellings": [
                {
                    "of": each.rival.name,
                    "under": each.row.name,
                    "outcome": each.outcome.value,
                }
                for each in meetings(api.routes, api.limits)
                if not api.case_sensitive
            ],
        }
        for api in settings.apis.values()
    }


def _spellings(api: "ApiSettings") -> Iterator[str]:
    """Yield what becomes of paths in other spellings, a line for each row and outcome."""
    if api.case_sensitive:
        yield "case     sensitive: a path in other letters is another path"
        return
    words = {
        Outcome.JUDGED: "judges",
        Outcome.REFUSED: "refuses",
        Outcome.REPORTED: "reports",
    }
    found: dict[tuple[Outcome, str], list[str]] = {}
    for each in meetings(api.routes, api.limits):
        found.setdefault((each.outcome, each.rival.pattern), []).append(each.row.pattern)
    if found:
        yield "case     insensitive: any case and Unicode form of a path counts"
    for (outcome, pattern), under in list(found.items())[:_MOST_SPELLINGS]:
        word = words[outcome]
        rows = ", ".join(under[:_MOST_ROWS])
        more = f" and {len(under) - _MOST_ROWS} more" if len(under) > _MOST_ROWS else ""
        if outcome is Outcome.JUDGED:
            yield f"{word:<8} {pattern}: its other spellings too, in place of {rows}{more}"
        else:
            yield f"{word:<8} other spellings of {pattern} under {rows}{more}: neither is stricter"
    if len(found) > _MOST_SPELLINGS:
        yield f"         and {len(found) - _MOST_SPELLINGS} more rows: see --json"


def _show_plan(file: Path, checked: "Checked", plan: "PlanSettings") -> None:
    """Print what the plan is made from, and what the file lacks to start something."""
    if checked.settings is None:
        click.echo(f"{file.name} is good for `watchword plan`: a file for the plan alone.")
        click.echo(f"  environment  {plan.environment.value}")
    assets, paths = len(plan.model.assets), len(plan.model.paths)
    click.echo(
        f"  plan         {assets} asset{'' if assets == 1 else 's'}, "
        f"{paths} attack path{'' if paths == 1 else 's'}"
    )
    for line in plan.model.cut:
        _notify("note", line)
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
        _notify("app", f"{app.id} ({app.platform.value}){_beside(settings, app.id)}")
    for api in settings.apis.values():
        where = f"{api.listen} -> {api.upstream}" if api.listen else "guarded by a middleware"
        _notify("api", f"{api.name}: {where}, tokens for {api.audience}")
        for route in api.routes:
            methods = ",".join(sorted(route.methods)) or "any method"
            needs = "" if route.mode.value == "off" else f", {_asked(route)}"
            adds = "" if route.secret is None else f", adds {route.secret}"
            click.echo(f"    {route.mode.value:<8} {route.pattern} ({methods}{needs}{adds})")
        for line in _spellings(api):
            click.echo(f"    {line}")
    for line in _secrets(settings):
        _notify("secret", line)
    if settings.pins is not None:
        click.echo(f"  pins         {_pinned(settings.pins)}")
    for line in _notes(settings):
        _notify("note", line)


def _asked(route: "Route") -> str:
    """Return what a route asks for that refuses or reports."""
    bound = f"{route.proof.value} + dpop" if route.dpop else route.proof.value
    return f"proof {bound}, level {route.level.value}"


def _all_notes(checked: "Checked") -> Iterator[str]:
    """Yield what stands as a note for people: of the settings, then of the plan."""
    if checked.settings is not None:
        yield from _notes(checked.settings)
    if checked.plan is not None:
        yield from checked.plan.model.cut


def _notes(settings: "Settings") -> Iterator[str]:
    """Yield what is allowed, and most likely not meant."""
    if settings.path.stat().st_mode & stat.S_IWOTH:
        yield (
            f"anybody on this machine can change {settings.path.name} and switch routes off; "
            f"chmod o-w {settings.path.name}"
        )
    yield from _addresses(settings)
    issuer, listen = urlsplit(settings.service.issuer), settings.service.listen
    if issuer.hostname in _LOOPBACK and (issuer.port or _PORTS[issuer.scheme]) != listen.port:
        yield (
            f"service.issuer is {settings.service.issuer}, and the service listens on {listen}: "
            "phones ask at the issuer's port"
        )
    for api in settings.apis.values():
        if api.routes and all(route.mode is Mode.OFF for route in api.routes):
            yield f"every route of {api.name} is off: nothing is checked there, and everybody is served"
    yield from _lifetimes(settings)
    for app in settings.apps.values():
        if test_builds := _mixed(settings, app):
            yield (
                f"{app.id} takes {', '.join(test_builds)} builds beside those of the App Store"
                " in production: an app of its own for testers keeps them apart"
            )
    for name in _unreached(settings):
        yield (
            f"{name} takes Play Integrity, and every route wants level hardware: "
            "such phones enrol and are served nothing"
        )


_LONGEST: Final = ((Proof.BEARER, 300), (Proof.SESSION, 1800))
"""How many seconds a token should live at most where routes take it by a proof; docs/token-lifetimes.md says why."""


def _lifetimes(settings: "Settings") -> Iterator[str]:
    """Yield the APIs whose tokens live longer than the weakest proof of their routes bears."""
    for api in settings.apis.values():
        lifetime = settings.token_lifetime(api)
        taken = {route.proof for route in api.routes if route.mode is not Mode.OFF}
        for proof, most in _LONGEST:
            if proof in taken and lifetime > most:
                yield (
                    f"tokens of {api.name} live {duration(lifetime)}, and it has routes with proof {proof.value}: "
                    f"{duration(most)} at most is advised, with token_lifetime under the API"
                )
                break


def _addresses(settings: "Settings") -> Iterator[str]:
    """Yield what is wrong with how clients' addresses are told: in production there is always a proxy, for TLS."""
    service = settings.service
    if settings.environment is Environment.LAB or service.trusted_proxies:
        return
    if service.listen.is_loopback:
        yield (
            "service.trusted_proxies is empty and the service listens on this machine alone: enrolments "
            "aren't limited by address. Name the proxy, such as 127.0.0.1"
        )
    else:
        yield (
            "service.trusted_proxies is empty: enrolments are limited by the address that connects. "
            "Behind a proxy with a public address all apps share one limit: name the proxy"
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
        yield f"{name}: sent to {where} for {calls}; {answers}{unused}"
    for name, delivery in secrets.deliveries.items():
        yield f"{name}: sealed to {', '.join(sorted(delivery.apps))} for {duration(delivery.lease)}"


def _pinned(pins: "PinsConfig") -> str:
    """Say what is pinned how firmly, and where the keys stand."""
    count, apps = len(pins.hosts), ", ".join(pins.apps)
    enforced = sum(each.mode is PinMode.ENFORCE for each in pins.hosts.values())
    said = f"{count} host{'' if count == 1 else 's'}, {enforced} of them enforced, for {apps}"
    if not pins.hosts:
        said = "no host yet"
    there = "keys in" if pins.directory.is_dir() else "run `watchword pins init`: nothing is at"
    return f"{said}; {there} {pins.directory}"


def _mixed(settings: "Settings", app: AppRegistration) -> list[str]:
    """Return the ways by which builds for testers come beside the store's, where that is production."""
    identity = app.identity
    if isinstance(identity, AndroidApp) or settings.environment is not Environment.PROD:
        return []
    ways = identity.distributed_by
    return sorted(ways & _FOR_TESTERS) if Distribution.APP_STORE in ways else []


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
    """Say where an iOS app runs and how it comes there; how Play Integrity tokens of an app are opened."""
    identity = settings.apps[app].identity
    if not isinstance(identity, AndroidApp):
        ways = ", ".join(sorted(identity.distributed_by))
        return f" on {', '.join(sorted(identity.platforms))}, distributed by {ways}"
    play = settings.play.get(app)
    if play is None:
        return ""
    who = "decoded by Google" if play.service_account is not None else "opened by own keys"
    return f", Play Integrity {who}"


def fetched(settings: "Settings") -> Iterator[str]:
    """Yield a line for each thing that is fetched, and one where revocations aren't known at all."""
    ways = settings.revocation
    if ways.fetch:
        yield f"status list from {ways.url}, known for {duration(ways.max_age)} after its last fetch"
    elif settings.trust_lab:
        yield "status list of the lab"
    elif ways.snapshots:
        yield f"no status list; {len(ways.snapshots)} snapshots are read at the start"
    else:
        yield "no status list: certificates that were revoked are accepted"
    for name, receipts in settings.receipts.items():
        yield f"receipts of {name} from {receipts.server}, signed by key {receipts.key_id}"
    for play in settings.play.values():
        if play.service_account is not None:
            yield f"verdicts on {play.package} from Google, by {play.service_account.name}"
