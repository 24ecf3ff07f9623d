"""Find the hosts, URLs and API paths that an app names, and tell its own from those of libraries and of standards.

A comment, a licence, a message that says where to read on, a link that a reader may follow, the name of a schema: none of these is ever asked by
the app itself.  Where nothing tells, an address counts as asked.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from watchword.encoding.cache import cached_for_last
from watchword.encoding.tables import read_table
from watchword.scan.app import App, Framework, Method
from watchword.scan.interface import Location
from watchword.scan.libraries import of_framework
from watchword.scan.secrets.corpus import Group, Joined, Origin, groups_of, is_own_class, places_of
from watchword.scan.secrets.detection import detect
from watchword.scan.texts.lexer import Language, Lexed, Lexer, Span

_AROUND: Final = 1_000
"""Characters before and behind an address that are looked at."""

_MOST_USERS: Final = 8
"""Methods that load one string and are asked what they do with it."""

_NAMES: Final = re.compile(
    r"(?i)[$@](?:schema|id|ref|context|type|vocab|namespace)|xmlns(?::[\w.-]+)?|(?:xsi:)?(?:nonamespace)?schema_?(?:location|uri)|(?:target)?namespace(?:_?ur[il])?|itemtype|cite"
    r"|licen[cs]e(?:_?url)?|homepage|documentation|rdf:(?:about|resource|datatype)|longdesc"
)
"""Names of attributes, keys and settings whose value names or explains something."""

_NAME_BEFORE: Final = re.compile(r"[\w:.@$-]{1,60}\s{0,9}\Z")
_HELD: Final = re.compile(r"""\s{0,9}\\?["']?[^"'<>]*\Z""")
_TAG: Final = re.compile(r"<([!?\w:.-]{1,60})")
_LINKS: Final = frozenset(("a", "area"))
_RELATION: Final = re.compile(
    r"(?i)\brel\s*=\s*[\"']?(?:canonical|licen[cs]e|author|help|alternate|next|prev|profile|me)\b"
)
_KEY: Final = re.compile(r"""["']?([\w$@:.-]{1,60})["']?\s{0,9}:\s{0,9}["'`]\Z""")
_TOLD: Final = re.compile(
    r"(?:\b(?:\w*Error|\w*Exception|invariant|warning|deprecate\w*)|\bconsole\.\w{1,10}|(?:Element|Attribute|Name)NS|[Nn]amespace\w{0,20})\s{0,9}\(\s{0,9}[\"'`]\Z"
)
_JOINED: Final = re.compile(r"""((?:[^"'`\\\n]|\\.){0,100}\s)["'`]\s{0,60}\+\s{0,60}["'`]\Z""")
_SETTING: Final = re.compile(
    r"""\s*(?:-\s+)?(?:export\s+)?(?:["']?([\w.$@\[\]-]{0,80})["']?\s*[=:]|([^=\n]{1,80}) =)\s*\\?["']?\Z"""
)
_VALUE_BEFORE: Final = re.compile(r"""(?:[=:(,\[{]\s?\\?["']|url\(\\?["']?|=)\Z""")
_MORE_WORDS: Final = re.compile(
    r"""[.,;:!?)'"\\]{0,3}\s+(?!(?:https?|wss?)://|HTTP/\d)[A-Za-z]{2,}"""
)
_ADDRESSES_BEFORE: Final = re.compile(r"(?:(?:https?|wss?)://\S{1,200}\s{1,9})+\Z")
"""Further ones of a list, which make no sentence."""

_ITEM: Final = re.compile(r"""\s*-\s+["']?""")
_METHOD: Final = re.compile(r"\s*(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+")
_SPACED: Final = re.compile(r"\s|\\[nrt]")
_TAKE_NAMES: Final = re.compile(
    r"[gs]etFeature|getAttributeValue|setPrefix|require|getElementsByTagNameNS|\w+(?:NS|Namespace\w*|PrefixMapping)"
)
"""Methods each argument of which may be the name of a schema or a feature."""

_TAKE_NAME_FIRST: Final = re.compile(r"[gs]et(?:Property|Attribute\w*|NamedItem\w*)")
_XML_CLASSES: Final = (
    "org.w3c.",
    "org.xml.",
    "org.xmlpull.",
    "javax.xml.",
    "org.jdom",
    "org.dom4j.",
    "org.ksoap2.serialization.",
)


class Purposes:
    """Tell of the addresses of one group of texts what they are for."""

    def __init__(self, app: App, group: Group, lexer: Lexer) -> None:
        """Take the group; nothing of it is read before an address of it is asked for."""
        self._app = app
        self._group = group
        self._lexer = lexer
        self._lexed: Lexed | None = None

    def called(self, index: int, start: int, end: int) -> bool:
        """Tell whether the app may ask an address.

        :param index: of the text in the group; ``start`` and ``end`` of the address in the text.
        """
        group = self._group
        text = group.texts[index]
        if group.origin is Origin.TEXT:
            if not self._lexer.looks():
                return True
            if self._lexed is None:
                self._lexed = self._lexer.lexed(group.places[index].file, text)
            return _called_in_file(self._lexed, start, end)
        if group.named:
            value = group.named[index].value
            shift = len(text) - len(value) - 1
            return not _NAMES.fullmatch(group.named[index].name) and _called_in(
                value, start - shift, end - shift
            )
        return _called_in(text, start, end) and not self._names_something(text)

    def _names_something(self, text: str) -> bool:
        """Tell whether code hands a string to nothing but what takes names of schemas or of features."""
        code = self._app.code
        if code is None:
            return False
        users = code.users(text)
        return 0 < len(users) <= _MOST_USERS and all(
            _only_names(code.arguments(by), text, code.strings_of(by).count(text)) for by in users
        )


def _only_names(
    calls: Sequence[tuple[Method, Sequence[str | int | None]]], text: str, loaded: int
) -> bool:
    """Tell whether a method hands a text, which it loads so often, to nothing but what takes names."""
    takers = [(callee, given) for callee, given in calls if text in given]
    return len(takers) >= loaded and all(
        _takes_name(callee, is_first=given[0] == text) for callee, given in takers
    )


def _takes_name(callee: Method, *, is_first: bool) -> bool:
    if callee.name == "<init>":
        return callee.cls.startswith(_XML_CLASSES)
    if _TAKE_NAMES.fullmatch(callee.name):
        return True
    return is_first and _TAKE_NAME_FIRST.fullmatch(callee.name) is not None


def _called_in_file(found: Lexed, start: int, end: int) -> bool:
    if found.language is Language.PROSE:
        return False
    span, begin, close = found.at(start)
    if span is Span.COMMENT:
        return False
    if span is Span.LITERAL:
        before = found.text[max(0, begin - 120) : begin]
        key = _KEY.search(before)
        if (key is not None and _NAMES.fullmatch(key[1])) or _TOLD.search(before):
            return False
        if _ends_a_sentence(before):
            return False
        begin, close = max(begin, start - _AROUND), min(close, end + _AROUND)
    elif found.language is Language.MARKUP and "<" in found.text[max(0, start - _AROUND) : start]:
        low, high = max(0, start - _AROUND), end + _AROUND
        return _called_in_markup(found.text[low:high], start - low, end - low)
    elif found.language is not Language.STRINGS:
        setting = _SETTING.fullmatch(found.text, begin, start)
        if found.language is Language.SETTINGS and _ITEM.fullmatch(found.text, begin, start):
            return True
        if setting is not None:
            return not _NAMES.fullmatch(setting[1] or setting[2])
    return _called_in(found.text[begin:close], start - begin, end - begin)


def _ends_a_sentence(before: str) -> bool:
    """Tell whether a literal continues one that holds words, to which it's added: ``"See here: " + "http://..."``."""
    joined = _JOINED.search(before)
    return joined is not None and bool(joined[1].strip())


def _called_in_markup(text: str, start: int, end: int) -> bool:
    """Tell of an address in an element's attributes or in its text, by the text around it."""
    opened, closed = text.rfind("<", 0, start), text.rfind(">", 0, start)
    if opened > closed:
        return _called_in_tag(text[opened:start], text[start : text.find(">", start)])
    if closed < 0:
        return _called_in(text, start, end)
    tag = _TAG.match(text, opened)
    if tag is not None and tag[1].lower() in _LINKS:
        return False
    stop = text.find("<", end)
    return _called_in(
        text[closed + 1 : stop if stop >= 0 else len(text)], start - closed - 1, end - closed - 1
    )


def _called_in_tag(before: str, behind: str) -> bool:
    tag, equals = _TAG.match(before), before.rfind("=")
    attribute = _NAME_BEFORE.search(before, max(0, equals - 70), equals) if equals > 0 else None
    if tag is None or attribute is None or not _HELD.match(before, equals + 1):
        return True
    name, held = tag[1].lower(), attribute[0].strip().lower()
    if _NAMES.fullmatch(held) or (name in _LINKS and held.endswith("href")):
        return False
    if name == "meta":
        return "refresh" in (before + behind).lower()
    return not (name == "link" and _RELATION.search(before + behind))


def _called_in(text: str, start: int, end: int) -> bool:
    """Tell of a text by itself, such as a literal or a line, whether the address in it is its value, or a part of a sentence."""
    before, behind = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    before = _ADDRESSES_BEFORE.sub("", before)
    if _METHOD.fullmatch(before):
        return True
    opened = before.rfind("<")
    if opened > before.rfind(">") and _TAG.match(before, opened):
        return _called_in_tag(before[opened:], behind.partition(">")[0])
    if _MORE_WORDS.match(behind):
        return False
    if not before.strip():
        return "\n" not in before or not text.isprintable()
    return _VALUE_BEFORE.search(before) is not None or _SPACED.search(before) is None


_LISTS = read_table("watchword.scan", "addresses.toml")
_TOP, _REVERSED = frozenset(_LISTS["top"]), frozenset(_LISTS["reversed"])
_STANDARDS, _FILES = tuple(_LISTS["standards"]), tuple(_LISTS["files"])
_SUFFIXES = tuple(_LISTS["suffixes"])
_SERVICES = dict(_LISTS["services"])
_SITES = tuple(_LISTS["sites"])
_RESERVED, _HOSTING = frozenset(_LISTS["reserved"]), frozenset(_LISTS["hosting"])

MOST = 20_000
"""How many addresses of one app are told; a list of hosts, such as a blocker's, has more."""

_REST = re.compile(
    r"(?:[^\s/@\"'<>]{1,100}@)?([\w.-]{1,253}|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(\\?/[^\s\"'<>\\^`|]{0,2000}(?:\\/[^\s\"'<>\\^`|]{0,200}){0,20})?",
    re.ASCII,
)
_SCHEMES = ("https", "http", "wss", "ws")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,15}", re.ASCII)
_PATH = re.compile(
    r"/?(?:(?:api|rest|v\d{1,2}|graphql|oauth2?|rpc)(?=/|$|\?))(?:/[\w{}.:~%@-]+)*/?(?:\?[\w={}&%.-]*)?",
    re.ASCII | re.IGNORECASE,
)
_ROOTED = re.compile(r"/[A-Za-z][\w{}.:~-]*(?:/[\w{}.:~-]+)*/?", re.ASCII)
_FIRST = frozenset("/aArRvVgGoO")
_NAMESPACE = re.compile(r"^(?:schemas?|ns|xmlns|www\.w3)\.")
_INTERNAL = re.compile(
    r"(?:^|[.-])(?:dev|devel|development|stage|staging|stg|test|testing|qa|uat|preprod|sandbox|internal|intranet|corp|lan|local|beta)\d{0,2}(?=[.-]|$)"
)


class Reach(StrEnum):
    """Say where a host is."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class Address:
    """Hold one address as the app names it.

    :param scheme: ``https``, ``http``, ``wss``, ``ws``, or empty for a bare host.
    :param path: empty for none; without its query, which may hold a secret.
    :param own: whether the app's own code or its resources name it, not only a library.
    :param called: whether it stands where something may ask it; one in a comment, a licence or a sentence, a link that a reader may
        follow and the name of a schema are not asked.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    own: bool
    called: bool = True
    places: tuple[Location, ...] = field(default=(), compare=False)


@cached_for_last
def addresses_of(app: App) -> tuple[Address, ...]:
    """Return all URLs and bare hosts, each once, in a stable order; the last app's are remembered for the next rule."""
    merged: dict[Address, tuple[Location, ...]] = {}
    lexer = Lexer({each.file: each.kind for each in app.texts})
    for group in groups_of(app):
        for address in _in_group(app, group, lexer):
            if len(merged) >= MOST:
                break
            merged[address] = tuple(dict.fromkeys((*merged.get(address, ()), *address.places)))
    return tuple(
        replace(each, places=places)
        for each, places in sorted(merged.items(), key=lambda item: _order(item[0]))
    )


def in_native_code(app: App) -> tuple[Address, ...]:
    """Return the addresses that the app's own native code names; what of them a library that is linked into it brought isn't known."""
    files = {
        file
        for each in app.coverage.frameworks
        if each.framework in {Framework.NATIVE, Framework.NATIVE_NETWORK}
        for file in each.entries
    }
    return tuple(
        each
        for each in addresses_of(app)
        if not each.own
        and any(place.file in files for place in each.places)
        and reach_of(each.host) in {Reach.PUBLIC, Reach.PRIVATE}
    )


def hosts_of(app: App) -> tuple[str, ...]:
    """Return the public and internal hosts that an app itself names, sorted; those of standards and the phone's own are left out."""
    hosts = {
        each.host
        for each in addresses_of(app)
        if each.own and reach_of(each.host) in {Reach.PUBLIC, Reach.PRIVATE}
    }
    return tuple(sorted(hosts))


def paths_of(app: App) -> tuple[str, ...]:
    """Return the API paths that an app itself names, sorted, each beginning with a slash and without its query."""
    return tuple(sorted(path_places(app)))


def path_places(app: App) -> dict[str, tuple[Location, ...]]:
    """Return by API path where the app names it; a path that is a secret, such as a webhook's, is told as one and not here."""
    found: dict[str, tuple[Location, ...]] = {}
    secrets = [hit.secret.lower() for hit in detect(app)]
    joined, whole = "\0".join(secrets), frozenset(secrets)
    for each in addresses_of(app):
        if not each.own or not each.path.strip("/") or _elsewhere(each.host):
            continue
        lower = each.path.lower()
        if f"{each.host}{lower}" not in joined and whole.isdisjoint(lower.split("/")):
            found.setdefault(each.path, each.places)
    if app.code is None:
        return found
    for text in app.code.strings:
        path = _path(text)
        if path is None:
            continue
        users = app.code.users(text)
        own = any(is_own_class(app, by.cls) for by in users)
        # Annotations of HTTP clients hold paths that no method loads: those are told by their form alone.
        if own or (not users and _PATH.fullmatch(text)):
            found.setdefault(path, places_of(app, text))
    return found


def _elsewhere(host: str) -> bool:
    """Tell whether a host is one of others, so that what lies below it is no path of the app's own API."""
    return reach_of(host) is Reach.STANDARD or _below(host, _SITES) or service_of(host) is not None


def _below(host: str, domains: Sequence[str]) -> bool:
    return any(host == known or host.endswith(f".{known}") for known in domains)


def reach_of(host: str) -> Reach:
    """Tell where a host is, by its name or number alone."""
    bare = host.strip("[]")
    try:
        number = ipaddress.ip_address(bare)
    except ValueError:
        number = None
    if number is not None:
        if number.is_loopback or bare in {"0.0.0.0", "10.0.2.2", "10.0.3.2"}:  # noqa: S104
            return Reach.LOOPBACK
        return Reach.PRIVATE if number.is_private else Reach.PUBLIC
    if bare == "localhost" or bare.endswith(".localhost"):
        return Reach.LOOPBACK
    if _below(bare, _STANDARDS):
        return Reach.STANDARD
    if _NAMESPACE.match(bare) or "." not in bare:
        return Reach.STANDARD
    # A top-level domain such as .dev is anybody's, unless it's reserved.
    name, _, top = bare.rpartition(".")
    return Reach.PRIVATE if top in _RESERVED or _INTERNAL.search(name) else Reach.PUBLIC


def service_of(host: str) -> str | None:
    """Return whose API that wants a key a host is; None for one that isn't known, and for the app's own server at a host of servers."""
    if not _HOSTING.isdisjoint(host.split(".")[:-2]):
        return None
    while host:
        if host in _SERVICES:
            return str(_SERVICES[host])
        # Names that begin with a dot stand for all below them.
        host = host[1:].partition(".")[2] and "." + host[1:].partition(".")[2]
    return None


def _order(address: Address) -> tuple[str, str, str, int, bool, bool]:
    each = address
    return (each.host, each.scheme, each.path, each.port or 0, each.own, each.called)


def _in_group(app: App, group: Group, lexer: Lexer) -> Iterator[Address]:
    joined = Joined(group.texts)
    purposes = Purposes(app, group, lexer)
    for scheme, start, match in _urls(joined.text):
        index = joined.index(match.start())
        host = match[1].lower().rstrip(".")
        if not _plausible(host):
            continue
        own, places = _whose(app, group, index)
        port = int(match[2][1:]) if match[2] else None
        path = (
            (match[3] or "").replace("\\/", "/").partition("?")[0].partition("#")[0].rstrip(".,;)")
        )
        begin = joined.bounds(index)[0]
        called = own and purposes.called(index, start - begin, match.end() - begin)
        yield Address(scheme, host, port, path, own, called, places)
    if group.origin in {Origin.TEXT, Origin.NATIVE}:
        return
    texts = [each.value for each in group.named] if group.named else group.texts
    for index, text in enumerate(texts):
        if "." in text and 6 <= len(text) <= 253 and _is_host(text):
            own, places = _whose(app, group, index)
            yield Address("", text, None, "", own, places=places)


def _urls(text: str) -> Iterator[tuple[str, int, re.Match[str]]]:
    """Yield schemes, their places and what stands behind ``://``: a search for that alone is ten times as fast as one for the schemes."""
    # Some that write JSON escape each slash.
    for mark in ("://", ":\\/\\/"):
        at = text.find(mark)
        while at >= 0:
            before = text[max(0, at - 5) : at].lower()
            scheme = next((each for each in _SCHEMES if before.endswith(each)), None)
            match = _REST.match(text, at + len(mark)) if scheme is not None else None
            if scheme is not None and match is not None:
                yield scheme, at - len(scheme), match
            at = text.find(mark, at + len(mark))


def _whose(app: App, group: Group, index: int) -> tuple[bool, tuple[Location, ...]]:
    if group.origin is not Origin.STRING:
        place = group.places[index]
        return group.origin is not Origin.NATIVE and not of_framework(place.file), (place,)
    users = app.code.users(group.texts[index]) if app.code is not None else ()
    return any(is_own_class(app, by.cls) for by in users), places_of(app, group.texts[index])


def _plausible(host: str) -> bool:
    """Tell whether what stands behind ``://`` is a host, and no remainder of a format."""
    return (
        host == "localhost" or host.startswith("[") or bool(re.search(r"[a-z0-9]\.[a-z0-9]", host))
    )


def _is_host(text: str) -> bool:
    """Tell whether a text by itself is a host: names of packages look the same the other way round."""
    if text[0].isdigit():
        try:
            return ipaddress.ip_address(text).is_private and text.count(".") == 3
        except ValueError:
            pass
    first, _, _ = text.partition(".")
    last = text.rpartition(".")[2]
    return last in _TOP and first not in _REVERSED and _HOST.fullmatch(text) is not None


def _path(text: str) -> str | None:
    """Return the API path that a text is, with its slash and without its query."""
    # One look at its first character spares nearly all strings of an app the patterns.
    if not 4 <= len(text) <= 200 or text[0] not in _FIRST or "/" not in text or "//" in text:
        return None
    if not _PATH.fullmatch(text) and not _ROOTED.fullmatch(text):
        return None
    path = "/" + text.partition("?")[0].strip("/")
    if path.endswith(_SUFFIXES):
        return None
    if any(path == root or path.startswith(f"{root}/") for root in _FILES):
        return None
    return path if path.count("/") > 1 or _ROOTED.fullmatch(text) else None
