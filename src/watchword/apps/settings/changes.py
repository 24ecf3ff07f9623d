"""Say what a change of ``watchword.yaml`` does: whether a running service takes it over, and whether it widens what is let in.

:data:`SETTINGS` is the one table.  A setting that it doesn't know needs a restart and widens: whoever adds one to the
schema decides here what it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from watchword.apps.settings.document import Path_
from watchword.apps.settings.faults import join, shown
from watchword.apps.settings.load import WholeFile
from watchword.apps.settings.schema import EnrolmentsConfig, FileConfig
from watchword.apps.settings.sections import Config, LimitConfig, RateConfig, RouteConfig
from watchword.gate.hygiene import CompiledRoute, compile_route
from watchword.gate.interface import Rate
from watchword.policy.interface import AllOf, Policy, Rule, is_at_least
from watchword.vocabulary import Mode, Proof


class When(StrEnum):
    """Say when a change comes into force.

    ``live``: a running service and its gates take it over.  ``restart``: the next start of the service does.
    ``commands``: nothing that runs reads it.
    """

    LIVE = "live"
    RESTART = "restart"
    COMMANDS = "commands"


Widens = Callable[[Any, Any], bool]
"""Tell of the value before and the value after whether more is let in, believed or sent out; None stands for neither."""


def never(_before: Any, _after: Any) -> bool:
    """Tell of what lets nobody in, whatever it says."""
    return False


def always(_before: Any, _after: Any) -> bool:
    """Tell of what has no order, or of what nobody has looked at: any change counts."""
    return True


def added(before: Any, _after: Any) -> bool:
    """Tell of an entry that wasn't there."""
    return before is None


def removed(_before: Any, after: Any) -> bool:
    """Tell of an entry that is there no more."""
    return after is None


def more(before: Iterable[Any] | None, after: Iterable[Any] | None) -> bool:
    """Tell of a list of what is let in or believed."""
    return not set(after or ()) <= set(before or ())


def fewer(before: Iterable[Any] | None, after: Iterable[Any] | None) -> bool:
    """Tell of a list of what is refused."""
    return more(after, before)


def more_by_name(
    before: Mapping[str, Iterable[str]] | None, after: Mapping[str, Iterable[str]] | None
) -> bool:
    """Tell of lists by name."""
    old = before or {}
    return any(more(old.get(name), each) for name, each in (after or {}).items())


def higher(before: float | None, after: float | None) -> bool:
    """Tell of a number that bounds what is let in; None is no bound."""
    return before is not None and (after is None or after > before)


def longer(before: int | None, after: int | None) -> bool:
    """Tell of a time for which something counts; None takes another setting's, and may be longer."""
    return before is None or after is None or after > before


def lower(before: float | None, after: float | None) -> bool:
    """Tell of a number that asks for something; None asks for nothing."""
    return higher(after, before)


def older(before: str | int | None, after: str | int | None) -> bool:
    """Tell of a lowest version."""
    return before is not None and (after is None or not is_at_least(str(after), str(before)))


def older_by_app(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> bool:
    """Tell of lowest versions by app."""
    new = after or {}
    return any(older(each, new.get(app)) for app, each in (before or {}).items())


def turned_on(before: bool | None, after: bool | None) -> bool:
    """Tell of a switch that lets more in."""
    return bool(after) and not before


def told_apart(_before: str, after: str) -> bool:
    """Tell of paths that differ by case alone: where they are told apart, other spellings are judged by weaker rows."""
    return after == "sensitive"


def weaker_level(before: Any, after: Any) -> bool:
    """Tell of a level that is asked for."""
    return bool(after.rank < before.rank)


_PROOFS: Final = (Proof.BEARER, Proof.SESSION, Proof.DEVICE)
_MODES: Final = (Mode.OFF, Mode.MONITOR, Mode.CANARY, Mode.ENFORCE)


def weaker_proof(before: Proof, after: Proof) -> bool:
    """Tell of a proof that is asked for."""
    return _PROOFS.index(after) < _PROOFS.index(before)


def weaker_mode(before: Mode | str, after: Mode | str) -> bool:
    """Tell of the mode of a route or of a limit."""
    return _MODES.index(Mode(after)) < _MODES.index(Mode(before))


def changed_or_removed(before: Any, _after: Any) -> bool:
    """Tell of a demand that has no order: only one that wasn't there asks for more."""
    return before is not None


def faster(before: RateConfig | None, after: RateConfig | None) -> bool:
    """Tell of a rate; None is no limit."""
    if before is None or after is None:
        return before is not None
    return _is_faster(before.build(), after.build())


def _is_faster(old: Rate, new: Rate) -> bool:
    """Tell whether more is let in, at once or in the long run."""
    at_once = new.requests > old.requests
    return at_once or new.requests * old.seconds > old.requests * new.seconds


def more_from_address(before: RateConfig | None, after: RateConfig | None) -> bool:
    """Tell of how many may enrol from one address; what is left out is our own."""
    old, new = EnrolmentsConfig(address=before).build(), EnrolmentsConfig(address=after).build()
    return _is_faster(old.address, new.address)


def more_of_app(before: RateConfig | None, after: RateConfig | None) -> bool:
    """Tell of how many of an app may enrol; what is left out is our own."""
    old, new = EnrolmentsConfig(app=before).build(), EnrolmentsConfig(app=after).build()
    return _is_faster(old.app, new.app)


def looser_policy(before: Policy, after: Policy) -> bool:
    """Tell of an appraisal policy; what isn't plainly as strict counts as looser.

    Plainly as strict is a policy that grants no other level, each by all rules of before and maybe more.
    """
    if after.unchecked - before.unchecked or after.renew_by_key_for > before.renew_by_key_for:
        return True
    return any(
        level not in before.levels or not _holds_all(_rules(before.levels[level]), _rules(rule))
        for level, rule in after.levels.items()
    )


def _holds_all(before: Sequence[Rule], after: Sequence[Rule]) -> bool:
    return all(rule in after for rule in before)


def _rules(rule: Rule) -> Sequence[Rule]:
    return rule.rules if isinstance(rule, AllOf) else (rule,)


class Setting(NamedTuple):
    """Hold what a change of one setting does.

    :param whole: whether what stands in it is looked at as one value; it has no rows of its own then.
    """

    when: When
    widens: Widens
    whole: bool = False


_LIVE, _RESTART, _COMMANDS = When.LIVE, When.RESTART, When.COMMANDS
_ELSEWHERE: Final = Setting(_RESTART, always)
"""A place, a key or a party that is believed: a start opens it, and any other one may be the wrong one."""

_UNHURRIED: Final = Setting(_RESTART, never)

_SERVICE: Final[Mapping[str, Setting]] = {
    "version": _ELSEWHERE,
    "environment": _ELSEWHERE,
    "service.issuer": _ELSEWHERE,
    "service.listen": _ELSEWHERE,
    "service.token_lifetime": Setting(_LIVE, higher),
    "service.store": _ELSEWHERE,
    "service.postgres": _ELSEWHERE,
    "service.postgres.password": _ELSEWHERE,
    "service.postgres.node": _ELSEWHERE,
    "service.postgres.direct": _ELSEWHERE,
    "service.postgres.authorities": _ELSEWHERE,
    "service.postgres.certificate": _ELSEWHERE,
    "service.postgres.key": _ELSEWHERE,
    "service.postgres.connections": _UNHURRIED,
    "service.postgres.master_key": _ELSEWHERE,
    "service.postgres.master_key.file": _ELSEWHERE,
    "service.postgres.master_key.env": _ELSEWHERE,
    "service.postgres.master_key.transit": _ELSEWHERE,
    "service.postgres.other_master_key": _ELSEWHERE,
    "service.postgres.other_master_key.file": _ELSEWHERE,
    "service.postgres.other_master_key.env": _ELSEWHERE,
    "service.postgres.other_master_key.transit": _ELSEWHERE,
    # A cloned key that renews by tickets is noticed up to a day later.
    "service.tickets": Setting(_RESTART, turned_on),
    "service.state": _ELSEWHERE,
    "service.trusted_proxies": Setting(_RESTART, more),
    "service.enrolments.address": Setting(_LIVE, more_from_address, whole=True),
    "service.enrolments.app": Setting(_LIVE, more_of_app, whole=True),
    "service.enrolments.pace": Setting(_RESTART, removed),
    "service.enrolments.pace.floor": Setting(_RESTART, faster, whole=True),
    "service.enrolments.pace.most": Setting(_RESTART, faster, whole=True),
    "service.enrolments.pace.doubles": Setting(_RESTART, lower),
    "service.retention.unused": _UNHURRIED,
    # An instance that is forgotten may enrol anew by the key with which it was revoked.
    "service.retention.revoked": Setting(_RESTART, lower),
    "trust": _ELSEWHERE,
    "trust.anchors": Setting(_RESTART, more),
    "trust.revocation_lists": Setting(_RESTART, fewer),
    "trust.revocation": _ELSEWHERE,
    "trust.revocation.fetch": _ELSEWHERE,
    "trust.revocation.url": _ELSEWHERE,
    "trust.revocation.max_age": Setting(_RESTART, higher),
    "trust.formats": Setting(_RESTART, more),
    "records": _UNHURRIED,
    "records.keep": _UNHURRIED,
    "records.max_megabytes": _UNHURRIED,
    "gates": Setting(_RESTART, added),
    "gates.listen": _ELSEWHERE,
    "gates.certificate": _ELSEWHERE,
    "gates.key": _ELSEWHERE,
    "gates.client_ca": _ELSEWHERE,
    "gates.clients": Setting(_RESTART, more_by_name),
    "policy": Setting(_LIVE, looser_policy),
    "plan": Setting(_COMMANDS, never, whole=True),
    "drill.*": _ELSEWHERE,
    "drill.*.target": Setting(_COMMANDS, never),
    "drill.*.service": Setting(_COMMANDS, never),
    "drill.*.upstream": Setting(_COMMANDS, never),
    "drill.*.consent": _ELSEWHERE,
    "drill.*.service_consent": _ELSEWHERE,
    "drill.*.headers": Setting(_COMMANDS, never),
    "drill.*.headers_file": Setting(_COMMANDS, never),
    "drill.*.requests": Setting(_COMMANDS, never, whole=True),
    "pins": Setting(_RESTART, always, whole=True),
}

_SECRETS: Final[Mapping[str, Setting]] = {
    "secrets": _ELSEWHERE,
    "secrets.store": _ELSEWHERE,
    "secrets.master_key": _ELSEWHERE,
    "secrets.master_key.file": _ELSEWHERE,
    "secrets.master_key.env": _ELSEWHERE,
    "secrets.master_key.transit": _ELSEWHERE,
    "secrets.openbao": _ELSEWHERE,
    "secrets.openbao.url": _ELSEWHERE,
    "secrets.openbao.token": _ELSEWHERE,
    "secrets.openbao.mount": _ELSEWHERE,
    "secrets.openbao.path": _ELSEWHERE,
    "secrets.openbao.transit": _ELSEWHERE,
    "secrets.openbao.ca": _ELSEWHERE,
    "secrets.openbao.timeout": _UNHURRIED,
    "secrets.signing": _ELSEWHERE,
    "secrets.usage.store": _ELSEWHERE,
    "secrets.usage.url": _ELSEWHERE,
    "secrets.usage.password": _ELSEWHERE,
    "secrets.keys.*": Setting(_RESTART, added),
    "secrets.keys.*.edge": Setting(_RESTART, always, whole=True),
    "secrets.keys.*.deliver": Setting(_RESTART, always, whole=True),
}

_APPS: Final[Mapping[str, Setting]] = {
    "apps.*": Setting(_RESTART, added),
    "apps.*.platform": _ELSEWHERE,
    "apps.*.team_id": _ELSEWHERE,
    "apps.*.bundle_id": _ELSEWHERE,
    "apps.*.app_attest": _ELSEWHERE,
    "apps.*.minimum_version": Setting(_LIVE, older),
    "apps.*.platforms": Setting(_LIVE, more),
    "apps.*.distribution": Setting(_LIVE, always),
    "apps.*.receipts": _ELSEWHERE,
    "apps.*.receipts.key_id": _ELSEWHERE,
    "apps.*.receipts.key": _ELSEWHERE,
    "apps.*.receipts.server": _ELSEWHERE,
    "apps.*.receipts.share": Setting(_RESTART, lower),
    "apps.*.package": _ELSEWHERE,
    "apps.*.signing_digests": Setting(_LIVE, more),
    "apps.*.play_integrity": _ELSEWHERE,
    "apps.*.play_integrity.decryption_key": _ELSEWHERE,
    "apps.*.play_integrity.verification_key": _ELSEWHERE,
    "apps.*.play_integrity.service_account": _ELSEWHERE,
}

_APIS: Final[Mapping[str, Setting]] = {
    "apis.*": Setting(_RESTART, added),
    "apis.*.audience": _ELSEWHERE,
    "apis.*.apps": Setting(_LIVE, more),
    "apis.*.token_lifetime": Setting(_LIVE, longer),
    "apis.*.upstream": _ELSEWHERE,
    "apis.*.listen": _ELSEWHERE,
    "apis.*.authz": Setting(_RESTART, always, whole=True),
    "apis.*.signed_verdict": _ELSEWHERE,
    "apis.*.replay.mode": _ELSEWHERE,
    "apis.*.replay.store": _ELSEWHERE,
    "apis.*.replay.url": _ELSEWHERE,
    "apis.*.replay.password": _ELSEWHERE,
    "apis.*.rate": Setting(_LIVE, faster, whole=True),
    "apis.*.limits.*": Setting(_LIVE, removed),
    "apis.*.limits.*.name": Setting(_LIVE, always),
    "apis.*.limits.*.kind": Setting(_LIVE, always),
    "apis.*.limits.*.requests": Setting(_LIVE, higher),
    "apis.*.limits.*.per": Setting(_LIVE, lower),
    "apis.*.limits.*.routes": Setting(_LIVE, always),
    "apis.*.limits.*.below": Setting(_LIVE, always),
    "apis.*.limits.*.mode": Setting(_LIVE, weaker_mode),
    "apis.*.binding_header": Setting(_LIVE, changed_or_removed),
    "apis.*.device_for_session": Setting(_LIVE, turned_on),
    "apis.*.case": Setting(_LIVE, told_apart),
    "apis.*.routes.*": Setting(_LIVE, always),
    "apis.*.routes.*.path": Setting(_LIVE, always),
    "apis.*.routes.*.methods": Setting(_LIVE, always),
    "apis.*.routes.*.level": Setting(_LIVE, weaker_level),
    "apis.*.routes.*.proof": Setting(_LIVE, weaker_proof),
    "apis.*.routes.*.mode": Setting(_LIVE, weaker_mode),
    # A canary that is there no more gave way to another mode, which says by itself what that means.
    "apis.*.routes.*.canary": Setting(_LIVE, never),
    "apis.*.routes.*.canary.share": Setting(_LIVE, lower),
    "apis.*.routes.*.canary.from_versions": Setting(_LIVE, always),
    "apis.*.routes.*.canary.budget": Setting(_LIVE, lower),
    "apis.*.routes.*.dpop": Setting(_LIVE, turned_on),
    "apis.*.routes.*.max_body": Setting(_LIVE, higher),
    "apis.*.routes.*.minimum_versions": Setting(_LIVE, older_by_app),
    "apis.*.routes.*.secret": Setting(_LIVE, always),
}

SETTINGS: Final[Mapping[str, Setting]] = {**_SERVICE, **_SECRETS, **_APPS, **_APIS}
"""By the place of a setting, with ``*`` for names and positions: what its change does.

A section that may be left out has a row of its own, and so has each entry of a mapping or of a list of sections: for when
it comes or goes.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one setting that says something else than before.

    :param path: as it stands in the file: of a row that is gone, its position before.
    :param before: as people read it, without any secret.
    :param because: why a row of a table widens where its values don't say so; empty otherwise.
    """

    path: Path_
    before: str
    after: str
    when: When
    widens: bool
    because: str = ""

    def __str__(self) -> str:
        """Return it in one line."""
        why = f" ({self.because})" if self.because else ""
        return f"{join(self.path)}: {self.before} -> {self.after}{why}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "path": join(self.path),
            "before": self.before,
            "after": self.after,
            "when": self.when.value,
            "widens": self.widens,
            "because": self.because,
        }


def setting_at(place: str) -> Setting:
    """Return what a change of a setting does."""
    return SETTINGS.get(place, _ELSEWHERE)


def changes_between(before: WholeFile, after: WholeFile) -> tuple[Change, ...]:
    """Return each setting by which two files differ in meaning, in the order of the schema."""
    found: list[Change] = []
    for name in FileConfig.model_fields:
        if name == "policy":
            if before.policy != after.policy:
                found.append(_change((name,), name, before.policy, after.policy))
        else:
            old, new = getattr(before.written, name), getattr(after.written, name)
            found += _differences((name,), name, old, new)
    return tuple(found)


def _differences(path: Path_, place: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if place == "apis.*.routes":
        yield from _of_routes(path, before, after)
    elif place == "apis.*.limits":
        yield from _of_limits(path, before, after)
    elif setting_at(place).whole:
        yield _change(path, place, before, after)
    elif isinstance(before, Config) and type(before) is type(after):
        for name in type(before).model_fields:
            old, new = getattr(before, name), getattr(after, name)
            yield from _differences((*path, name), f"{place}.{name}", old, new)
    elif f"{place}.*" in SETTINGS:
        for name in {**before, **after}:
            old, new = before.get(name), after.get(name)
            here = (*path, name)
            if old is None or new is None or type(old) is not type(new):
                # Another platform under the name of before is another app.
                yield _change(here, f"{place}.*", old if new is None else None, new)
            else:
                yield from _differences(here, f"{place}.*", old, new)
    else:
        yield _change(path, place, before, after)


def _change(path: Path_, place: str, before: Any, after: Any) -> Change:
    setting = setting_at(place)
    widens = setting.widens(before, after)
    return Change(path, _said(before), _said(after), setting.when, widens)


def _said(value: Any) -> str:
    """Return a value as people read it: of a section only that it is one, since some hold what isn't for a log."""
    if isinstance(value, Policy):
        return value.name
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Config):
        return "a mapping"
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return shown(", ".join(value))
    plain = value is None or isinstance(value, str | int | float | dict | list)
    return shown(value if plain else str(value))


def _of_limits(
    path: Path_, before: Sequence[LimitConfig], after: Sequence[LimitConfig]
) -> Iterator[Change]:
    """Yield what differs between limits of one name; their order means nothing."""
    old = {each.name: (index, each) for index, each in enumerate(before)}
    new = {each.name: (index, each) for index, each in enumerate(after)}
    for name in {**old, **new}:
        if name not in new:
            yield _change((*path, old[name][0]), "apis.*.limits.*", old[name][1], None)
        elif name not in old:
            yield _change((*path, new[name][0]), "apis.*.limits.*", None, new[name][1])
        else:
            index, limit = new[name]
            yield from _differences((*path, index), "apis.*.limits.*", old[name][1], limit)


class _Row(NamedTuple):
    position: int
    config: RouteConfig
    compiled: CompiledRoute

    @property
    def match(self) -> tuple[str, frozenset[str]]:
        return self.config.path, self.compiled.methods

    @property
    def said(self) -> str:
        return f"{' '.join(self.config.methods or ())} {self.config.path}".strip()


def _rows(routes: Sequence[RouteConfig]) -> list[_Row]:
    return [
        _Row(index, each, compile_route(each.build("", index))) for index, each in enumerate(routes)
    ]


_ROUTE: Final = "apis.*.routes.*"


def _of_routes(
    path: Path_, before: Sequence[RouteConfig], after: Sequence[RouteConfig]
) -> Iterator[Change]:
    """Yield what differs between two route tables, of which the first row that matches decides."""
    old, new = _unique(_rows(before)), _unique(_rows(after))
    kept = [match for match in old if match in new]
    if kept != [match for match in new if match in old]:
        yield _moved(path, old, new)
        return
    for match in kept:
        row = new[match]
        yield from _differences((*path, row.position), _ROUTE, old[match].config, row.config)
    for match, row in old.items():
        if match not in new:
            why = _why_gone_widens(row, list(new.values()))
            here = (*path, row.position)
            yield Change(here, row.said, "nothing", _LIVE, bool(why), why)
    for match, row in new.items():
        if match not in old:
            why = _why_new_widens(row, list(old.values()))
            here = (*path, row.position)
            yield Change(here, "nothing", row.said, _LIVE, bool(why), why)


def _unique(rows: Sequence[_Row]) -> dict[tuple[str, frozenset[str]], _Row]:
    found: dict[tuple[str, frozenset[str]], _Row] = {}
    for row in rows:
        # Of two that match alike the first decides.
        found.setdefault(row.match, row)
    return found


def _moved(path: Path_, old: Mapping[Any, _Row], new: Mapping[Any, _Row]) -> Change:
    before, after = f"{len(old)} routes", f"{len(new)} routes"
    return Change(path, before, after, _LIVE, widens=True, because="the order of its rows differs")


def _why_gone_widens(gone: _Row, rest: Sequence[_Row]) -> str:
    """Return why requests that a row took may be let in more easily without it; what no row takes is refused."""
    for row in rest:
        if _weaker(gone.config, row.config):
            return f"{row.said} asks for less than this row did"
    return ""


def _why_new_widens(row: _Row, before: Sequence[_Row]) -> str:
    """Return why requests that a row takes may be let in more easily than before."""
    if not any(each.compiled.covers(row.compiled) for each in before):
        return "some of its requests belonged to no row, and were refused"
    for each in before:
        if _weaker(each.config, row.config):
            return f"it asks for less than {each.said} does"
    return ""


def _weaker(before: RouteConfig, after: RouteConfig) -> bool:
    """Tell whether a row asks for less than another, in anything but its place."""
    here: Path_ = ()
    found = _differences(
        here,
        _ROUTE,
        before,
        after.model_copy(update={"path": before.path, "methods": before.methods}),
    )
    return any(each.widens for each in found)


def with_held_back(
    running: Mapping[str, Any], wanted: Mapping[str, Any], waiting: Iterable[Change]
) -> dict[str, Any]:
    """Return the plain values of a file in which what needs a restart stands as it runs.

    :param waiting: what of the change needs one.
    """
    data = deepcopy(dict(wanted))
    for change in waiting:
        *parents, last = change.path
        old: Any = running
        for part in parents:
            old = old.get(part) if isinstance(old, Mapping) else None
        inner: Any = data
        for part in parents:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        if isinstance(old, Mapping) and last in old:
            inner[last] = deepcopy(old[last])
        else:
            inner.pop(last, None)
    return data
