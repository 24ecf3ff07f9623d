"""Read the whole of ``watchword.yaml``: its settings, its plan, or all faults at once, with those between well-formed parts."""

import ipaddress
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from watchword.extras import needs

with needs("config"):
    from pydantic_core import ErrorDetails

from watchword.apps.settings.document import Inconsistency, Path_, mapping_at
from watchword.apps.settings.faults import ConfigurationError, Fault, shown
from watchword.apps.settings.pins import between_pins
from watchword.apps.settings.plan import FOR_THE_PLAN_ALONE, PlanSettings, plan_of
from watchword.apps.settings.plan_section import likelihoods
from watchword.apps.settings.schema import (
    MAX_ROUTES,
    AddConfig,
    AndroidAppConfig,
    ApiConfig,
    EdgeConfig,
    FileConfig,
    GatesConfig,
    PaceConfig,
    SecretConfig,
    SecretsConfig,
    ServiceConfig,
    Settings,
    TrustConfig,
)
from watchword.apps.settings.sections import (
    Address,
    Config,
    Configuration,
    RouteConfig,
    address,
    seconds,
)
from watchword.apps.settings.template import EXAMPLE_DIGEST, EXAMPLE_TEAM_ID
from watchword.broker.interface import MAX_HELD_ANSWER
from watchword.gate.hygiene import compile_route, shadowed
from watchword.gate.injection import asks_for_part, may_go_on, may_hold_key
from watchword.gate.interface import RATE, Route
from watchword.policy.interface import Policy
from watchword.tokens.interface import MAX_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS
from watchword.vocabulary import Level, Mode, Proof

Fields = Mapping[str, Any]
"""The well-formed fields of one section."""


@dataclass(frozen=True, slots=True)
class Readable:
    """Hold the well-formed parts of a file that may have faults elsewhere.

    :param apps: all that stands under ``apps``, by name.
    """

    environment: str | None
    service: Fields
    trust: Fields
    apps: Mapping[str, Any]
    apis: Mapping[str, Fields]
    gates: Fields = field(default_factory=dict)


def inconsistencies(parts: Readable) -> Iterator[Inconsistency]:
    """Yield what is wrong between parts that are each well formed."""
    yield from _service(parts)
    if parts.environment == "prod" and "lab" in (parts.trust.get("anchors") or ()):
        # Anyone can make lab phones; trusting them in production opens every route.
        yield ("trust", "anchors"), "lab in environment prod", "vendors only"
    if parts.environment == "prod":
        yield from _examples_left(parts.apps)
    for name, app in parts.apps.items():
        if isinstance(app, dict):
            yield from _play(("apps", name, "play_integrity"), app)
            yield from _in_the_clear(("apps", name, "receipts"), "server", app.get("receipts"))
    yield from _in_the_clear(("trust", "revocation"), "url", parts.trust.get("revocation"))
    for name, api in parts.apis.items():
        yield from _api(("apis", name), api, parts)
    yield from _gates(parts)
    yield from _twice(parts)


def _examples_left(apps: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Find what ``watchword init`` wrote and nobody replaced: no real phone would pass."""
    for name in apps:
        app = mapping_at(apps, name)
        if app.get("team_id") == EXAMPLE_TEAM_ID:
            path: Path_ = ("apps", name, "team_id")
            yield path, shown(EXAMPLE_TEAM_ID), "your team id instead of the example's"
        digests = app.get("signing_digests")
        for index, digest in enumerate(digests if isinstance(digests, list) else ()):
            if digest == EXAMPLE_DIGEST:
                path = ("apps", name, "signing_digests", index)
                yield path, shown(digest), "your certificate's digest instead of the example's"


def _in_the_clear(path: Path_, member: str, section: Any) -> Iterator[Inconsistency]:
    """Find a vendor's address that anybody on the way could answer for."""
    url = section.get(member) if isinstance(section, dict) else None
    if not isinstance(url, str) or not url.startswith("http://"):
        return
    try:
        host = urlsplit(url).hostname or ""
        private = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private:
        yield (*path, member), shown(url), "an https:// URL, or one of this machine's own"


def _play(path: Path_, app: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Find a way to open Play Integrity tokens that isn't whole, or two of them."""
    play = app.get("play_integrity")
    if not isinstance(play, dict):
        return
    given = {name for name, value in play.items() if value is not None}
    keys = given & {"decryption_key", "verification_key"}
    if len(keys) == 1:
        missing = "verification_key" if "decryption_key" in keys else "decryption_key"
        yield path, f"{keys.pop()} alone", f"{missing} beside it"
    elif keys and "service_account" in given:
        # With keys of our own nobody asks Google, so that the account would never be used.
        yield path, "keys and a service_account", "one of both"
    elif not keys and "service_account" not in given:
        yield path, "neither keys nor a service_account", "one of both"


def _service(parts: Readable) -> Iterator[Inconsistency]:
    issuer = parts.service.get("issuer")
    yield from _lifetime(("service",), parts.service)
    if parts.environment == "lab":
        yield from _loopback(("service", "listen"), parts.service.get("listen"))
    secure = not isinstance(issuer, str) or urlsplit(issuer).scheme == "https"
    yield from _postgres(parts.service)
    if parts.environment == "prod" and not secure:
        # Apps would send their evidence, and receive their tokens, in the clear.
        yield ("service", "issuer"), shown(issuer), "an https:// URL in environment prod"
    yield from _pace(mapping_at(mapping_at(parts.service, "enrolments"), "pace"))


def _pace(pace: Fields) -> Iterator[Inconsistency]:
    """Find a ramp that goes down."""
    if {"floor", "most"} <= pace.keys():
        rates = PaceConfig.model_validate(pace).build()
        if rates.most < rates.floor:
            path = ("service", "enrolments", "pace", "most")
            yield path, shown(pace["most"]), "as many as floor, or more"


def _lifetime(path: Path_, section: Fields) -> Iterator[Inconsistency]:
    lifetime = section.get("token_lifetime")
    allowed = range(MIN_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS + 1)
    if isinstance(lifetime, str) and seconds(lifetime) not in allowed:
        yield (*path, "token_lifetime"), shown(lifetime), "30s to 1h"


def _postgres(service: Fields) -> Iterator[Inconsistency]:
    """Find ways to speak to a PostgreSQL that nobody names, or half a client's certificate."""
    ways = service.get("postgres")
    if not isinstance(ways, dict):
        return
    if service.get("store") in (None, "sqlite"):
        yield (
            ("service", "postgres"),
            "postgres",
            "store: postgresql://user@host/database beside it",
        )
    pair = [name for name in ("certificate", "key") if ways.get(name) is not None]
    if len(pair) == 1:
        yield ("service", "postgres"), f"{pair[0]} alone", "certificate and key, or none of both"
    for name in ("master_key", "other_master_key"):
        if isinstance(ways.get(name), dict):
            yield from _placed(("service", "postgres", name), ways[name])
    if ways.get("other_master_key") is not None and ways.get("master_key") is None:
        yield ("service", "postgres"), "other_master_key alone", "master_key beside it"


def _placed(path: Path_, keeper: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Find a master key that is nowhere, or in two places."""
    given = [each for each in ("file", "env", "transit") if keeper.get(each) is not None]
    if len(given) != 1:
        yield path, " and ".join(given) or "nothing", "one of file, env and transit"


def _api(path: Path_, api: Fields, parts: Readable) -> Iterator[Inconsistency]:
    for index, app in enumerate(api.get("apps") or ()):
        if app not in parts.apps:
            known = ", ".join(sorted(parts.apps)) or "none is there yet"
            yield (*path, "apps", index), shown(app), f"an app under apps: {known}"
    yield from _routes((*path, "routes"), api.get("routes"))
    yield from _lifetime(path, api)
    yield from _proofs(path, api)
    yield from _authz((*path, "authz"), api.get("authz"), parts.environment)
    if parts.environment == "lab":
        yield from _loopback((*path, "listen"), api.get("listen"))
    if {"listen", "upstream"} <= api.keys():
        if api["listen"] and not api["upstream"]:
            yield (*path, "listen"), "listen without upstream", "an upstream for the proxy"
        if api["upstream"] and not api["listen"]:
            yield (*path, "upstream"), "upstream without listen", "a listen address for the proxy"
        if api["listen"] and api["upstream"] == f"http://{api['listen']}":
            # Every request would go round in circles until no connection is left.
            yield (*path, "upstream"), shown(api["upstream"]), "the API, not the proxy itself"


def _gates(parts: Readable) -> Iterator[Inconsistency]:
    """Find gates of other machines that were to get the bundle of an API that isn't there."""
    for client, apis in (parts.gates.get("clients") or {}).items():
        for index, api in enumerate(apis):
            if api not in parts.apis:
                known = ", ".join(sorted(parts.apis)) or "none is there yet"
                path: Path_ = ("gates", "clients", client, index)
                yield path, shown(api), f"an API under apis: {known}"
    if parts.environment == "lab":
        yield from _loopback(("gates", "listen"), parts.gates.get("listen"))


def _routes(path: Path_, routes: Any) -> Iterator[Inconsistency]:
    """Find patterns that no request can have, and routes that an earlier one takes all from.

    A rule that never applies is a rule that somebody relies on.
    """
    if not isinstance(routes, list) or len(routes) > MAX_ROUTES:
        return
    table = []
    for index, written in enumerate(routes):
        route = Route(
            name=str(index),
            pattern=written["path"],
            methods=frozenset(written.get("methods") or ()),
            level=Level.HARDWARE,
            proof=Proof.BEARER,
            mode=Mode.ENFORCE,
        )
        try:
            compile_route(route)
        except ValueError:
            yield (*path, index, "path"), shown(route.pattern), "a path that a request can have"
        else:
            table.append(route)
    for later, earlier in shadowed(table):
        index = int(later.name)
        got = f"{shown(later.pattern)}, which never matches"
        expected = f"it before routes[{earlier.name}] {shown(earlier.pattern)}, which takes all"
        yield (*path, index, "path"), got, expected


def _proofs(path: Path_, api: Fields) -> Iterator[Inconsistency]:
    """Find settings of proofs, replay and canary that say nothing where they stand."""
    apps = api.get("apps") or ()
    for index, route in enumerate(api.get("routes") or ()):
        if not isinstance(route, dict):
            continue
        here = (*path, "routes", index)
        if route.get("dpop") and route.get("proof", "bearer") != "device":
            yield (*here, "dpop"), "dpop", "proof: device beside it"
        if (route.get("mode") == "canary") is not isinstance(route.get("canary"), dict):
            if route.get("mode") == "canary":
                yield (*here, "canary"), "no share", "canary: {share: 5} beside mode: canary"
            else:
                yield (*here, "canary"), "canary", "mode: canary beside it"
        for member in (("minimum_versions",), ("canary", "from_versions")):
            for app in mapping_at(route, *member):
                if app not in apps:
                    expected = f"one of its apps: {', '.join(apps)}"
                    yield (*here, member[0]), shown(app), expected
    replay = api.get("replay")
    if isinstance(replay, dict):
        shares = replay.get("mode") == "shared" and replay.get("store") == "valkey"
        if shares is not bool(replay.get("url")):
            expected = "url exactly beside mode: shared and store: valkey"
            yield (*path, "replay"), "url" if replay.get("url") else "no url", expected


def _authz(path: Path_, authz: Any, environment: str | None) -> Iterator[Inconsistency]:
    """Find a forward-auth listener that anybody could ask: each answer is a verdict for the asking."""
    if not isinstance(authz, dict):
        return
    files = {name for name in ("certificate", "key", "client_ca") if authz.get(name)}
    if 0 < len(files) < 3:
        yield path, f"{', '.join(sorted(files))} alone", "certificate, key and client_ca"
    if authz.get("listen"):
        if not files and not authz.get("credential"):
            expected = "credential, or certificate, key and client_ca, or no listen"
            yield (*path, "listen"), "an address that anybody may ask", expected
        if environment == "lab":
            yield from _loopback((*path, "listen"), authz["listen"])
    elif files:
        yield path, "certificate, key and client_ca without listen", "listen beside them"


def _loopback(path: Path_, listen: str | None) -> Iterator[Inconsistency]:
    """Hold the lab to this machine: its phones can be made by anyone who reaches it."""
    if listen is not None and not address(listen).is_loopback:
        expected = "a loopback address in environment lab, such as 127.0.0.1:8080"
        yield path, shown(listen), expected


def _twice(parts: Readable) -> Iterator[Inconsistency]:
    """Find audiences and addresses that are used twice."""
    audiences: dict[str, str] = {}
    addresses: dict[Address, str] = {}
    if parts.service.get("listen"):
        addresses[address(parts.service["listen"])] = "service"
    gates = parts.gates.get("listen")
    if gates and addresses.setdefault(address(gates), "gates") != "gates":
        yield ("gates", "listen"), shown(gates), "not the address of the service again"
    for name, api in parts.apis.items():
        audience, listen = api.get("audience"), api.get("listen")
        if audience and audiences.setdefault(audience, name) != name:
            # A token for one API would open the other.
            expected = f"not that of {audiences[audience]!r} again"
            yield ("apis", name, "audience"), shown(audience), expected
        asked = mapping_at(api, "authz").get("listen")
        for place, taken in ((("listen",), listen), (("authz", "listen"), asked)):
            user = name if place == ("listen",) else f"{name} authz"
            if taken and addresses.setdefault(address(taken), user) != user:
                expected = f"not the address of {addresses[address(taken)]!r} again"
                yield ("apis", name, *place), shown(taken), expected


def between_sections(
    written: FileConfig, data: Mapping[str, Any], policy: Policy | None
) -> Iterator[Inconsistency]:
    """Yield what is wrong in a file whose sections are all well formed.

    :param data: its plain values.
    :param policy: None where that section has faults.
    """
    yield from _misplaced(written, data)
    for name in written.drill:
        if name not in written.apis:
            yield ("drill", name), repr(name), f"an API of this file: {', '.join(written.apis)}"
    if written.pins is not None:
        yield from between_pins(written.pins, data["pins"], written.apps)
    yield from _secrets(written)
    yield from _limits(written.apis)
    if policy is not None:
        yield from _unreachable(written.apis, policy)


def _unreachable(apis: Mapping[str, ApiConfig], policy: Policy) -> Iterator[Inconsistency]:
    """Find the routes that need a level which the policy grants to nobody, nor a higher one."""
    highest = max(policy.levels, key=lambda level: level.rank)
    for name, api in apis.items():
        for index, route in enumerate(api.routes):
            if route.mode is not Mode.OFF and not highest.satisfies(route.level):
                path = ("apis", name, "routes", index, "level")
                got = f"{shown(route.level.value)}, which the policy grants to nobody"
                yield path, got, f"at most {highest.value}, or a policy that grants it"


def _misplaced(written: FileConfig, data: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Find what can't be used where it is on this machine; a state directory may be missing, it is made."""
    trouble = _state_trouble(written.service.state)
    if trouble is not None:
        got = shown(data["service"].get("state", ServiceConfig.model_fields["state"].default))
        yield ("service", "state"), f"{got}: {trouble[0]}", trouble[1]
    for index, entry in enumerate(written.trust.revocation_lists if written.trust else ()):
        try:
            with entry.open("rb"):
                pass
        except OSError as error:
            path: Path_ = ("trust", "revocation_lists", index)
            got = shown(data["trust"]["revocation_lists"][index])
            yield path, f"{got}: {error.strerror}", "a file that can be read"
    for name, app in written.apps.items():
        play = app.play_integrity if isinstance(app, AndroidAppConfig) else None
        for key, file in play or ():
            # Whether it can be read concerns the service alone.
            if file is not None and not file.exists():
                path = ("apps", name, "play_integrity", key)
                got = shown(data["apps"][name]["play_integrity"][key])
                yield path, f"{got}: no such file", "a file from the Play Console or Cloud"


def _state_trouble(directory: Path) -> tuple[str, str] | None:
    """Return what is wrong with the directory and what was expected, None if nothing is."""
    try:
        path = directory.resolve()
        for parent in (path, *path.parents):
            if parent.exists():
                if not parent.is_dir():
                    return f"{parent.name} is a file", "a directory, or a place to make one"
                break
    except OSError as error:
        return error.strerror or "an unusable path", "a directory, or a place to make one"
    except RuntimeError:  # Python 3.11 and 3.12 report a loop of links that way.
        return "a loop of symbolic links", "a directory, or a place to make one"
    return None


def _limits(apis: Mapping[str, ApiConfig]) -> Iterator[Inconsistency]:
    """Yield what is wrong between limits, routes and apps: a limit that never holds is one that somebody relies on."""
    for name, api in apis.items():
        paths = {route.path for route in api.routes}
        seen: set[str] = set()
        for index, limit in enumerate(api.limits):
            here: Path_ = ("apis", name, "limits", index)
            if limit.name in seen or limit.name == RATE:
                # The API's own `rate` is counted under that name.
                taken = "again" if limit.name in seen else "as a limit's name"
                yield (*here, "name"), f"{limit.name} {taken}", "another name"
            seen.add(limit.name)
            for at, path in enumerate(limit.routes or ()):
                if path not in paths:
                    expected = "the path of one of its routes, as it is written there"
                    yield (*here, "routes", at), shown(path), expected
            for app in limit.below:
                if app not in api.apps:
                    expected = f"one of its apps: {', '.join(api.apps)}"
                    yield (*here, "below"), shown(app), expected


def _secrets(written: FileConfig) -> Iterator[Inconsistency]:
    """Find what is wrong between keys, apps and the routes that inject them."""
    keys = {} if written.secrets is None else written.secrets.keys
    if written.secrets is not None:
        yield from _kept(written.secrets, written)
    ways = written.service.postgres
    for key in ("master_key", "other_master_key") if ways is not None else ():
        found = getattr(ways, key)
        transit = found is not None and found.transit is not None
        if transit and (written.secrets is None or written.secrets.openbao is None):
            yield (
                ("service", "postgres", key),
                "transit",
                "where OpenBao is beside it: secrets.openbao",
            )
    for name, secret in keys.items():
        yield from _secret(("secrets", "keys", name), secret, written)
    injected = [name for name, secret in keys.items() if secret.edge]
    for api_name, api in written.apis.items():
        for index, route in enumerate(api.routes):
            if route.secret is not None:
                yield from _route(("apis", api_name, "routes", index), api, route, injected)


def _kept(written: SecretsConfig, whole: FileConfig) -> Iterator[Inconsistency]:
    """Find a store that isn't whole, or that says two things."""
    keeper, environment = written.master_key, whole.environment
    needs = written.store == "openbao" or written.signing or (keeper and keeper.transit)
    if needs and written.openbao is None:
        yield ("secrets", "openbao"), "nothing", "where OpenBao is: url and token"
    if written.openbao is not None and environment == "prod":
        parts = urlsplit(written.openbao.url)
        if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            # The token and every value would cross the network in the clear.
            where = ("secrets", "openbao", "url")
            yield where, shown(written.openbao.url), "an https:// URL, or one of this machine's own"
    if keeper is not None:
        yield from _placed(("secrets", "master_key"), dict(keeper))
        if written.store == "openbao":
            yield ("secrets", "master_key"), "master_key", "none: OpenBao encrypts what it keeps"
    elif (
        written.store == "file"
        and environment == "prod"
        and written.keys
        and whole.service.sealing is None
    ):
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


def _one_of(path: Path_, expected: str, **given: object) -> Iterator[Inconsistency]:
    """Find two members of which a section has both or neither."""
    there = [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        yield path, " and ".join(there) or f"neither {' nor '.join(given)}", expected


def _secret(path: Path_, secret: SecretConfig, written: FileConfig) -> Iterator[Inconsistency]:
    edge, deliver = secret.edge, secret.deliver
    # What is on the device needn't be injected, and what never leaves the server must not be on it.
    expected = "one of both: edge (added by the gate) or deliver (sealed to the app)"
    yield from _one_of(path, expected, edge=edge, deliver=deliver)
    for index, app in enumerate(deliver.apps if deliver is not None else ()):
        if app not in written.apps:
            known = ", ".join(written.apps)
            yield (*path, "deliver", "apps", index), shown(app), f"an app of this file: {known}"
    if edge is not None:
        yield from _edge_faults((*path, "edge"), edge, written.environment)


def _edge_faults(here: Path_, edge: EdgeConfig, environment: str) -> Iterator[Inconsistency]:
    """Find a key without one place, in a place that isn't its own, or for an origin that it mustn't reach."""
    expected = "one of both, such as add: {header: Authorization, prefix: 'Bearer '}"
    yield from _one_of(here, expected, add=edge.add, replace=edge.replace)
    for member, where in (("add", edge.add), ("replace", edge.replace)):
        if where is None:
            continue
        expected = "one of both: where the key stands"
        yield from _one_of((*here, member), expected, header=where.header, query=where.query)
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


def _header_faults(here: Path_, edge: EdgeConfig) -> Iterator[Inconsistency]:
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


def _prefix_faults(here: Path_, add: AddConfig) -> Iterator[Inconsistency]:
    """Find what would stand in front of a key in the query, or would run into the key."""
    if add.query is not None:
        yield here, shown(add.prefix), "none: the key stands in the query"
    elif add.prefix[-1].isalnum():
        # YAML drops the blank of an unquoted `Bearer `; each call would then be refused by the third party.
        yield here, shown(add.prefix), f"a blank at its end, in quotes: {shown(add.prefix + ' ')}"


def _route(
    path: Path_, api: ApiConfig, route: RouteConfig, injected: Collection[str]
) -> Iterator[Inconsistency]:
    """Find a route that would inject a key to whoever isn't verified, or that can't be forwarded."""
    if route.secret not in injected:
        known = ", ".join(injected) or "none is there yet"
        yield (*path, "secret"), shown(route.secret), f"a key of secrets.keys with edge: {known}"
    if route.mode != "enforce":
        expected = "enforce: a key is sent to verified instances alone; watch your other routes"
        yield (*path, "mode"), shown(route.mode.value), expected
    stem = route.path.removesuffix("/**")
    if stem == route.path or "*" in stem or not stem:
        expected = "a path such as /maps/**: what stands for ** is the path at the key's origin"
        yield (*path, "path"), shown(route.path), expected
    if api.upstream is None:
        yield (*path, "secret"), "an API without upstream", "listen and upstream: the proxy adds it"


def load_settings(file: Path) -> Settings:
    """Read and validate a configuration file.

    :raises ConfigurationError: with every fault at once; nothing was started.
    """
    return settings_of(Configuration.read(file))


@dataclass(frozen=True, slots=True)
class Checked:
    """Hold what a file without faults comes to; at least one of both is there.

    :param settings: None for a file that is written for the plan alone.
    :param plan: None where there is no plan section.
    :param missing: the keys that `watchword up` would need beside it.
    """

    settings: Settings | None
    plan: PlanSettings | None
    missing: tuple[str, ...] = ()


def check_file(file: Path) -> Checked:
    """Read the whole file: settings, plan, or both.

    :raises ConfigurationError: with every fault of the file; where it has none and a catalogue of
        the user's own has some, with those.
    """
    read = Configuration.read(file)
    data = read.data
    # A misspelt key among them is a fault of the plan's file, not a sign of a whole one.
    alone = "plan" in data and not data.keys() & (
        FileConfig.model_fields.keys() - FOR_THE_PLAN_ALONE
    )
    settings: Settings | None = None
    plan: PlanSettings | None = None
    faults: dict[tuple[str, int | None], Fault] = {}
    elsewhere: ConfigurationError | None = None
    if not alone:
        try:
            settings = settings_of(read)
        except ConfigurationError as error:
            faults = {(fault.path, fault.line): fault for fault in error.faults}
    if alone or data.get("plan") is not None:
        try:
            plan = plan_of(read)
        except ConfigurationError as error:
            if error.file == file:
                # Both views find what is wrong with the section's shape.
                faults = {(fault.path, fault.line): fault for fault in error.faults} | faults
            else:
                elsewhere = error
    if faults:
        raise ConfigurationError(file, list(faults.values()))
    if elsewhere is not None:
        raise elsewhere
    required = (name for name, field in FileConfig.model_fields.items() if field.is_required())
    return Checked(settings, plan, tuple(name for name in required if name not in data))


@dataclass(frozen=True, slots=True)
class WholeFile:
    """Hold a file without faults: as it is written, and what is made of it.

    :param data: its plain values.
    :param policy: what its section means.
    """

    data: Mapping[str, Any] = field(repr=False)
    written: FileConfig = field(repr=False)
    policy: Policy
    settings: Settings = field(repr=False)


def settings_of(file: Configuration) -> Settings:
    """Return the settings of a file that was read.

    :raises ConfigurationError: with every fault at once.
    """
    return whole_of(file).settings


def whole_of(file: Configuration) -> WholeFile:
    """Return a file that was read, and what is made of it.

    :raises ConfigurationError: with every fault at once.
    """
    document = file.document
    faults = [*document.faults]
    faults += document.located(likelihoods(file.data.get("plan"), ("plan",)))
    written, errors = file.validated(FileConfig, document.data)
    faults += file.untold(errors, {fault.path for fault in faults}, FileConfig)
    # A plan and pins are read without a policy, whose rules are thirty modules.
    from watchword.apps.settings.policy import read_policy  # noqa: PLC0415

    policy, in_policy = read_policy(file.data.get("policy"))
    faults += document.located(inconsistencies(_readable(file.data, errors)))
    faults += document.located(in_policy)
    if written is not None:
        faults += document.located(between_sections(written, file.data, policy))
    if written is None or policy is None or faults:
        raise ConfigurationError(file.file, faults)
    settings = written.build(file.file.resolve(), policy)
    return WholeFile(file.data, written, policy, settings)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    from watchword.apps.settings.policy import add_policy_schema  # noqa: PLC0415

    schema = FileConfig.model_json_schema()
    add_policy_schema(schema)
    # What was written against the schema may refer to its parts, which have had these names from the start.
    named: dict[str, Any] = json.loads(
        re.sub(r"\b([A-Z]\w+)Config\b", r"Written\1", json.dumps(schema))
    )
    return named


def _readable(data: Mapping[str, Any], errors: Sequence[ErrorDetails]) -> Readable:
    """Return the parts that are well formed, so that faults between them show at once too."""
    environment = data.get("environment")
    bad = [each["loc"] for each in errors]

    def fields(model: type[Config], *where: str) -> Fields:
        """Return each field of a section that is well formed, or its default; the rest are left out."""
        section, depth = mapping_at(data, *where), len(where)
        wrong: set[Any] = {at[depth] for at in bad if at[:depth] == where and len(at) > depth}
        for name, each in model.model_fields.items():
            if each.is_required() and name not in section:
                wrong.add(name)
        return {
            name: section.get(name, each.default)
            for name, each in model.model_fields.items()
            if name not in wrong
        }

    return Readable(
        environment=environment if environment in ("prod", "lab") else None,
        service=fields(ServiceConfig, "service"),
        trust=fields(TrustConfig, "trust"),
        apps=mapping_at(data, "apps"),
        apis={name: fields(ApiConfig, "apis", name) for name in mapping_at(data, "apis")},
        gates=fields(GatesConfig, "gates"),
    )
