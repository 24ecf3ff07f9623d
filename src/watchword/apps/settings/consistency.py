"""Find faults between the sections of a file: unknown apps, shared ports, the lab's limits."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from watchword.apps.settings.document import Path_
from watchword.apps.settings.faults import shown
from watchword.apps.settings.template import EXAMPLE_DIGEST, EXAMPLE_TEAM_ID
from watchword.apps.settings.validated import Address
from watchword.apps.settings.written_apis import MAX_ROUTES
from watchword.apps.settings.written_types import seconds, split_address
from watchword.gate.interface import Route
from watchword.gate.routes import compile_route, shadowed
from watchword.tokens.interface import MAX_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS
from watchword.vocabulary import Level, Mode, Proof

Inconsistency = tuple[Path_, str, str]
"""Path, got, expected."""

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
    for name, app in apps.items():
        if not isinstance(app, dict):
            continue
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
    address = section.get(member) if isinstance(section, dict) else None
    if not isinstance(address, str) or not address.startswith("http://"):
        return
    try:
        host = urlsplit(address).hostname or ""
        private = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private:
        yield (*path, member), shown(address), "an https:// URL, or one of this machine's own"


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
    lifetime, issuer = parts.service.get("token_lifetime"), parts.service.get("issuer")
    allowed = range(MIN_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS + 1)
    if isinstance(lifetime, str) and seconds(lifetime) not in allowed:
        yield ("service", "token_lifetime"), shown(lifetime), "30s to 1h"
    if parts.environment == "lab":
        yield from _loopback(("service", "listen"), parts.service.get("listen"))
    secure = not isinstance(issuer, str) or urlsplit(issuer).scheme == "https"
    if parts.environment == "prod" and not secure:
        # Apps would send their evidence, and receive their tokens, in the clear.
        yield ("service", "issuer"), shown(issuer), "an https:// URL in environment prod"


def _api(path: Path_, api: Fields, parts: Readable) -> Iterator[Inconsistency]:
    for index, app in enumerate(api.get("apps") or ()):
        if app not in parts.apps:
            known = ", ".join(sorted(parts.apps)) or "none is there yet"
            yield (*path, "apps", index), shown(app), f"an app under apps: {known}"
    yield from _routes((*path, "routes"), api.get("routes"))
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
            got = "mode canary without canary" if route.get("mode") == "canary" else "canary"
            yield (*here, "canary"), got, "mode: canary, and canary: {share: PERCENT}"
        canary = route.get("canary")
        versions = canary.get("from_versions") if isinstance(canary, dict) else None
        for member, named in (
            ("minimum_versions", route.get("minimum_versions")),
            ("canary", versions),
        ):
            for app in named if isinstance(named, dict) else ():
                if app not in apps:
                    yield (*here, member), shown(app), f"one of its apps: {', '.join(apps)}"
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


def _loopback(path: Path_, address: str | None) -> Iterator[Inconsistency]:
    """Hold the lab to this machine: its phones can be made by anyone who reaches it."""
    if address is not None and not Address(*split_address(address)).is_loopback:
        expected = "a loopback address in environment lab, such as 127.0.0.1:8080"
        yield path, shown(address), expected


def _twice(parts: Readable) -> Iterator[Inconsistency]:
    """Find audiences and addresses that are used twice."""
    audiences: dict[str, str] = {}
    addresses: dict[tuple[str, int], str] = {}
    if parts.service.get("listen"):
        addresses[split_address(parts.service["listen"])] = "service"
    gates = parts.gates.get("listen")
    if gates and addresses.setdefault(split_address(gates), "gates") != "gates":
        yield ("gates", "listen"), shown(gates), "not the address of the service again"
    for name, api in parts.apis.items():
        audience, listen = api.get("audience"), api.get("listen")
        if audience and audiences.setdefault(audience, name) != name:
            # A token for one API would open the other.
            expected = f"not that of {audiences[audience]!r} again"
            yield ("apis", name, "audience"), shown(audience), expected
        authz = api.get("authz")
        asked = authz.get("listen") if isinstance(authz, dict) else None
        for place, taken in ((("listen",), listen), (("authz", "listen"), asked)):
            user = name if place == ("listen",) else f"{name} authz"
            if taken and addresses.setdefault(split_address(taken), user) != user:
                expected = f"not the address of {addresses[split_address(taken)]!r} again"
                yield ("apis", name, *place), shown(taken), expected
