"""Read who may call an operation: security schemes and what asks for them."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.scan.api.description import Access, Aspect, Need, Parameter, Scheme, SchemeKind
from watchword.scan.api.references import Source, first, listed, mapping, text
from watchword.scan.api.words import plain, several, shown, with_pairs, words_of

MAX_SCHEMES: Final = 200
"""How many schemes of one description are looked at."""

_MAX_ALTERNATIVES: Final = 50
_MAX_SCOPES: Final = 200
_KEY: Final = several(
    "apikey clientid clientsecret clientkey appid appkey appsecret subscriptionkey accesskey authkey xkey functionkey"
)
_SESSION: Final = several("authorization auth session sessionid token jwt bearer")
_NO_CALLER: Final = several(
    "csrf xsrf device push fcm idempotency captcha recaptcha continuation page sync"
)
_HTTP: Final = {"basic": SchemeKind.BASIC, "bearer": SchemeKind.BEARER}
_FLOWS: Final = {"application": "clientCredentials", "accessCode": "authorizationCode"}
_PLAIN: Final = {
    "basic": SchemeKind.BASIC,
    "openIdConnect": SchemeKind.OAUTH,
    "mutualTLS": SchemeKind.CERTIFICATE,
}


def read_schemes(source: Source) -> dict[str, Scheme]:
    """Return the schemes that a description declares, by their names."""
    document = source.document
    declared = mapping(document.get("securityDefinitions")) or mapping(
        mapping(document.get("components")).get("securitySchemes")
    )
    found: dict[str, Scheme] = {}
    for name, given in declared.items():
        if len(found) >= MAX_SCHEMES:
            source.miss(Aspect.ACCESS, plain(name), f"security schemes beyond {MAX_SCHEMES}")
            break
        found[plain(name)] = _scheme(plain(name), mapping(source.resolve(given, Aspect.ACCESS)))
    return found


def read_access(
    operation: Mapping[Any, Any],
    parameters: tuple[Parameter, ...],
    schemes: Mapping[str, Scheme],
    source: Source,
    where: str,
) -> Access:
    """Return who may call an operation; by its own words, else by those for the whole description."""
    stated = "security" in operation
    given = operation["security"] if stated else source.document.get("security")
    if given is not None and not isinstance(given, list):
        source.miss(Aspect.ACCESS, where, "its security isn't a list")
        return Access(stated=stated, known=False)
    alternatives: list[tuple[Need, ...]] = []
    known = True
    if len(listed(given)) > _MAX_ALTERNATIVES:
        source.miss(Aspect.ACCESS, where, f"it has more than {_MAX_ALTERNATIVES} alternatives")
    for each in listed(given)[:_MAX_ALTERNATIVES]:
        if not isinstance(each, Mapping):
            source.miss(Aspect.ACCESS, where, "its security holds something else than a mapping")
            known = False
            continue
        alternatives.append(_needs(each, schemes, source, where))
    carried = _carried(parameters)
    if known and carried is not None and (not alternatives or () in alternatives):
        # OpenAPI 3 says that such a parameter means nothing; those who write one mean it.
        return Access(((Need(carried),),), stated, known)
    return Access(tuple(alternatives), stated, known)


def _needs(
    given: Mapping[Any, Any], schemes: Mapping[str, Scheme], source: Source, where: str
) -> tuple[Need, ...]:
    needs = []
    for name, scopes in first(given, _MAX_ALTERNATIVES):
        scheme = schemes.get(plain(name))
        if scheme is None or scheme.kind is SchemeKind.UNKNOWN:
            source.miss(Aspect.ACCESS, where, f"what {shown(name, 60)!r} asks for isn't described")
        told = tuple(shown(scope, 80) for scope in listed(scopes)[:_MAX_SCOPES])
        needs.append(Need(scheme or Scheme(shown(name, 60), SchemeKind.UNKNOWN), told))
    return tuple(needs)


def carrier_kind(name: str) -> SchemeKind:
    """Tell by the name of a header or parameter whether it says which client calls or which user."""
    words = with_pairs(words_of(name))
    if words & _NO_CALLER:
        return SchemeKind.UNKNOWN
    if words & _KEY:
        return SchemeKind.KEY
    return SchemeKind.SESSION if words & _SESSION else SchemeKind.UNKNOWN


def _carried(parameters: tuple[Parameter, ...]) -> Scheme | None:
    """Return the scheme that a parameter in a header amounts to."""
    for each in parameters:
        kind = carrier_kind(each.name)
        if each.place in {"header", "cookie"} and kind is not SchemeKind.UNKNOWN:
            return Scheme(each.name, kind, "parameter", each.name)
    return None


def _scheme(name: str, given: Mapping[Any, Any]) -> Scheme:
    shown_name = shown(name, 60)
    kind = text(given.get("type"))
    if kind in _PLAIN:
        urls: tuple[str, ...] = (
            (shown(given["openIdConnectUrl"]),) if text(given.get("openIdConnectUrl")) else ()
        )
        return Scheme(shown_name, _PLAIN[kind], urls=urls)
    if kind == "http":
        how = text(given.get("scheme")).lower()
        return Scheme(shown_name, _HTTP.get(how, SchemeKind.SESSION if how else SchemeKind.UNKNOWN))
    if kind == "apiKey":
        carrier, place = shown(given.get("name", ""), 80), text(given.get("in"))
        found = carrier_kind(carrier)
        if place == "cookie":
            found = SchemeKind.SESSION
        elif found is SchemeKind.UNKNOWN:
            # Its type says what it is where its name doesn't.
            found = SchemeKind.KEY
        return Scheme(shown_name, found, place, carrier)
    if kind == "oauth2":
        flow = text(given.get("flow"))
        flows = {_FLOWS.get(flow, flow): given} if flow else dict(first(given.get("flows"), 10))
        urls = tuple(
            shown(mapping(each)[key])
            for each in flows.values()
            for key in ("authorizationUrl", "tokenUrl", "refreshUrl")
            if text(mapping(each).get(key))
        )
        names = tuple(sorted(shown(each, 40) for each in flows))
        return Scheme(shown_name, SchemeKind.OAUTH, flows=names, urls=urls)
    return Scheme(shown_name, SchemeKind.UNKNOWN)
