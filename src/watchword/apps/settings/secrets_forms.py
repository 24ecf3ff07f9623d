"""Turn the ``secrets`` section as written into rules, and find faults between its parts and the routes."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.document import Path_
from watchword.apps.settings.faults import shown
from watchword.apps.settings.validated_secrets import (
    EdgeSettings,
    MasterKeySettings,
    OpenBaoSettings,
    SecretsSettings,
    UsageSettings,
)
from watchword.apps.settings.written_apis import WrittenApi, WrittenRoute
from watchword.apps.settings.written_secrets import (
    WrittenAdd,
    WrittenEdge,
    WrittenMasterKey,
    WrittenOpenBao,
    WrittenSecret,
    WrittenSecrets,
)
from watchword.apps.settings.written_types import seconds
from watchword.broker.interface import (
    MAX_HELD_ANSWER,
    Allowance,
    DeliveryRule,
    EdgeRule,
    Place,
    PlaceKind,
)
from watchword.gate.lending import asks_for_part, may_go_on, may_hold_key
from watchword.vocabulary import Level

_HTTPS: Final = 443


def secrets_settings(base: Path, state_dir: Path, written: WrittenSecrets) -> SecretsSettings:
    """Return the settings of the section.

    :param base: directory of the file.
    :param state_dir: where a master key is made that the file doesn't place.
    """
    usage = written.usage
    return SecretsSettings(
        master_key=None
        if written.store == "openbao"
        else _master_key(base, state_dir, written.master_key),
        openbao=None if written.openbao is None else _openbao(base, written.openbao),
        in_openbao=written.store == "openbao",
        signing=written.signing,
        usage=UsageSettings(
            usage.url, None if usage.password is None else (base / usage.password).resolve()
        ),
        edges={
            name: EdgeSettings(
                _edge(name, secret.edge),
                None if secret.edge.ca is None else (base / secret.edge.ca).resolve(),
            )
            for name, secret in written.keys.items()
            if secret.edge is not None
        },
        deliveries={
            name: DeliveryRule(
                name,
                frozenset(secret.deliver.apps),
                Level(secret.deliver.level),
                seconds(secret.deliver.lease),
            )
            for name, secret in written.keys.items()
            if secret.deliver is not None
        },
    )


def _master_key(base: Path, state_dir: Path, written: WrittenMasterKey | None) -> MasterKeySettings:
    if written is None:
        return MasterKeySettings(file=state_dir / "master.key")
    file = None if written.file is None else (base / written.file).resolve()
    return MasterKeySettings(file, written.env, written.transit)


def _openbao(base: Path, written: WrittenOpenBao) -> OpenBaoSettings:
    return OpenBaoSettings(
        url=written.url,
        token=(base / written.token).resolve(),
        mount=written.mount,
        path=written.path,
        transit=written.transit,
        ca=None if written.ca is None else (base / written.ca).resolve(),
        timeout=seconds(written.timeout),
    )


def _edge(name: str, edge: WrittenEdge) -> EdgeRule:
    parts = urlsplit(edge.origin)
    assert parts.hostname is not None  # An origin has a host.
    allowances = []
    if edge.quota is not None:
        allowances.append(Allowance(seconds(edge.quota.per), calls=edge.quota.calls))
    if edge.spend is not None:
        allowances.append(Allowance(seconds(edge.spend.per), spend=edge.spend.most))
    return EdgeRule(
        secret=name,
        host=parts.hostname.lower().removesuffix("."),
        port=parts.port or _HTTPS,
        patterns=tuple(edge.paths),
        methods=frozenset(edge.methods),
        place=_place(edge),
        allowances=tuple(allowances),
        cost=1 if edge.spend is None else edge.spend.cost,
        private=edge.private,
        seconds=float(seconds(edge.timeout)),
        max_answer=edge.max_answer,
        headers=frozenset(each.lower() for each in edge.headers),
        reflects=edge.reflects == "maybe",
    )


def _place(edge: WrittenEdge) -> Place:
    where = edge.add or edge.replace
    assert where is not None  # The section has exactly one of both.
    header = where.header is not None
    name = (where.header or "").lower() if header else where.query or ""
    kind = PlaceKind.HEADER if header else PlaceKind.QUERY
    if edge.replace is not None:
        return Place(kind, name, placeholder=edge.replace.placeholder)
    return Place(kind, name, edge.add.prefix if edge.add is not None else "")


def between_secrets(
    written: WrittenSecrets | None,
    apis: Mapping[str, WrittenApi],
    apps: Collection[str],
    environment: str,
) -> Iterator[Inconsistency]:
    """Yield what is wrong between parts that are each well formed."""
    if written is not None:
        yield from _kept(written, environment)
        for name, secret in written.keys.items():
            yield from _secret(("secrets", "keys", name), secret, apps, environment)
    lent = {} if written is None else {n: s for n, s in written.keys.items() if s.edge}
    for api_name, api in apis.items():
        for index, route in enumerate(api.routes):
            if route.secret is not None:
                yield from _route(("apis", api_name, "routes", index), api, route, lent)


def _kept(written: WrittenSecrets, environment: str) -> Iterator[Inconsistency]:
    """Find a store that isn't whole, or that says two things."""
    keeper = written.master_key
    needs = written.store == "openbao" or written.signing or (keeper and keeper.transit)
    if needs and written.openbao is None:
        yield ("secrets", "openbao"), "nothing", "where OpenBao is: url and token"
    if written.openbao is not None and environment == "prod":
        host = urlsplit(written.openbao.url).hostname
        if written.openbao.url.startswith("http://") and host not in {
            "127.0.0.1",
            "::1",
            "localhost",
        }:
            # The token and every value would cross the network in the clear.
            where = ("secrets", "openbao", "url")
            yield where, shown(written.openbao.url), "an https:// URL, or one of this machine's own"
    if keeper is not None:
        given = [each for each in ("file", "env", "transit") if getattr(keeper, each) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "nothing"
            yield ("secrets", "master_key"), got, "one of file, env and transit"
        if written.store == "openbao":
            yield ("secrets", "master_key"), "master_key", "none: OpenBao encrypts what it keeps"
    elif written.store == "file" and environment == "prod" and written.keys:
        # Beside the values, on the same disk, a key protects no backup of it.
        expected = "where the master key is: {file: PATH}, {env: NAME} or {transit: KEY}"
        yield ("secrets", "master_key"), "nothing", expected
    usage = written.usage
    if (usage.store == "valkey") is not bool(usage.url):
        got = "url" if usage.url else "no url"
        yield ("secrets", "usage"), got, "url beside store: valkey, and only there"
    if usage.url and not _is_without_password(usage.url):
        expected = "redis://host:6379, with the password in a file: password"
        yield ("secrets", "usage", "url"), "an address that can't be used", expected


def _is_without_password(url: str) -> bool:
    """Tell whether a Valkey's URL can be read, and holds nothing that a listing mustn't show."""
    try:
        parts = urlsplit(url)
        found = parts.password is None and parts.port != 0
    except ValueError:
        found = False
    return found


def _secret(
    path: Path_, secret: WrittenSecret, apps: Collection[str], environment: str
) -> Iterator[Inconsistency]:
    edge, deliver = secret.edge, secret.deliver
    if (edge is None) is (deliver is None):
        # What is on the device needn't be lent, and what never leaves the server must not be on it.
        got = "neither edge nor deliver" if edge is None else "edge and deliver"
        yield path, got, "one of both: edge (added by the gate) or deliver (sealed to the app)"
    for index, app in enumerate(deliver.apps if deliver is not None else ()):
        if app not in apps:
            known = ", ".join(apps)
            yield (*path, "deliver", "apps", index), shown(app), f"an app of this file: {known}"
    if edge is not None:
        yield from _edge_faults((*path, "edge"), edge, environment)


def _edge_faults(here: Path_, edge: WrittenEdge, environment: str) -> Iterator[Inconsistency]:
    """Find a key without one place, in a place that isn't its own, or for an origin that it mustn't reach."""
    if (edge.add is None) is (edge.replace is None):
        got = "neither add nor replace" if edge.add is None else "add and replace"
        expected = "one of both, such as add: {header: Authorization, prefix: 'Bearer '}"
        yield here, got, expected
    for member, where in (("add", edge.add), ("replace", edge.replace)):
        if where is None:
            continue
        if (where.header is None) is (where.query is None):
            got = "neither header nor query" if where.header is None else "header and query"
            yield (*here, member), got, "one of both: where the key stands"
        if where.header is not None and not _is_of_a_key(where.header.lower()):
            expected = "one for the key alone, such as X-Api-Key"
            yield (*here, member, "header"), shown(where.header), expected
    if edge.add is not None and edge.add.prefix:
        yield from _prefix_faults((*here, "add", "prefix"), edge.add)
    if edge.private and environment == "prod":
        # Through it a request could reach what only this network may.
        yield (*here, "private"), "true", "false in environment prod"
    yield from _header_faults(here, edge)
    if edge.reflects != "never" and edge.max_answer > MAX_HELD_ANSWER:
        expected = f"at most {MAX_HELD_ANSWER}, or reflects: never: answers are held and searched"
        yield (*here, "max_answer"), shown(edge.max_answer), expected
    if edge.spend is not None and edge.spend.cost > edge.spend.most:
        got = f"{edge.spend.cost} for one call, and {edge.spend.most} for all"
        yield (*here, "spend"), got, "most of at least one call's cost, or no call ever passes"
    if {"CONNECT", "TRACE"} & set(edge.methods):
        yield (*here, "methods"), shown(edge.methods), "no CONNECT and no TRACE"


def _header_faults(here: Path_, edge: WrittenEdge) -> Iterator[Inconsistency]:
    """Find headers for which the gate would refuse the whole policy, and with it every request."""
    for index, name in enumerate(edge.headers):
        if not may_go_on(name.lower()):
            yield (*here, "headers", index), shown(name), "a header that may go to a third party"
        elif edge.reflects != "never" and asks_for_part(name.lower()):
            expected = "none that asks for a part of an answer, or reflects: never"
            yield (*here, "headers", index), shown(name), expected


def _is_of_a_key(name: str) -> bool:
    """Tell whether a key may stand in a header; ``Content-Type`` says what a body is."""
    return may_hold_key(name) and name != "content-type"


def _prefix_faults(here: Path_, add: WrittenAdd) -> Iterator[Inconsistency]:
    """Find what would stand in front of a key in the query, or would run into the key."""
    if add.query is not None:
        yield here, shown(add.prefix), "none: the key stands in the query"
    elif add.prefix[-1].isalnum():
        # YAML drops the blank of an unquoted `Bearer `; each call would then be refused by the third party.
        yield here, shown(add.prefix), f"a blank at its end, in quotes: {shown(add.prefix + ' ')}"


def _route(
    path: Path_, api: WrittenApi, route: WrittenRoute, lent: Mapping[str, WrittenSecret]
) -> Iterator[Inconsistency]:
    """Find a route that would lend a key to whoever isn't verified, or that can't be forwarded."""
    if route.secret not in lent:
        known = ", ".join(lent) or "none is there yet"
        yield (*path, "secret"), shown(route.secret), f"a key of secrets.keys with edge: {known}"
    if route.mode != "enforce":
        expected = "enforce: a key is lent to verified instances alone; watch your other routes"
        yield (*path, "mode"), shown(route.mode), expected
    stem = route.path.removesuffix("/**")
    if stem == route.path or "*" in stem or not stem:
        expected = "a path such as /maps/**: what stands for ** is the path at the key's origin"
        yield (*path, "path"), shown(route.path), expected
    if api.upstream is None:
        yield (*path, "secret"), "an API without upstream", "listen and upstream: the proxy adds it"
