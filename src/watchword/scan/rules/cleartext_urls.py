"""See which addresses without TLS the app names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from watchword.scan.addresses import Address, Reach, addresses_of, in_native_code, reach_of
from watchword.scan.app import App, Depth, Framework, Method, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import RuleContext, places

_QUESTIONS = frozenset(
    ("startsWith", "equals", "equalsIgnoreCase", "contains", "indexOf", "lastIndexOf", "matches")
)
_SCHEMES = {"http": "https", "ws": "wss"}


@dataclass(frozen=True, slots=True)
class CleartextUrls:
    """Look for ``http://`` and ``ws://``, whole and as a begin that code puts addresses together from."""

    id: str = "cleartext-urls"
    title: str = "Addresses without TLS"
    techniques: tuple[str, ...] = ("MT-C03", "MT-C04", "MT-C07")
    protections: Mapping[str, str] = field(
        default_factory=lambda: {"PR-C01": "scan:static.cleartext"}
    )
    todo: str = "Name the host with https, and refuse cleartext in the network security config or by App Transport Security."
    blind: str = (
        "It can't tell whether an address is ever asked, or whether the system's configuration refuses it. It "
        "leaves out addresses in comments, licences, messages and links, and names of schemas. Native code's addresses "
        "without TLS are reported as not seen."
    )
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each host that is named without TLS and not with it too."""
        context = RuleContext(
            self.id, app, (Part.DEX, Part.RESOURCES, Part.ASSETS, Part.BUNDLE), self.reads
        )
        count = 0
        for finding in (*_hosts(context), *_begins(context)):
            count += 1
            yield finding
        native = sorted({each.host for each in in_native_code(app) if each.scheme in _SCHEMES})
        if native:
            title = f"Native code names {len(native)} hosts without TLS, such as {native[0]}: whether the app asks them isn't known."
            yield context.not_seen("native-urls", title)
        if not count and app.platform.value == "android" and app.code is None:
            yield context.not_seen("urls", "There is no code that could be read.")
        elif not count and app.coverage.unread(self.reads):
            yield context.not_seen(
                "urls", "None was found, but not all code was read that could name one."
            )


def _hosts(context: RuleContext) -> Iterator[Finding]:
    found = [each for each in addresses_of(context.app) if each.own and each.called]
    also = {(each.scheme, each.host, each.path) for each in found}
    by_host: dict[str, list[Address]] = {}
    for each in found:
        tls = _SCHEMES.get(each.scheme)
        # Standards and the phone itself need no TLS; who names both asks with TLS first.
        if tls is None or (tls, each.host, each.path) in also:
            continue
        if reach_of(each.host) in {Reach.PUBLIC, Reach.PRIVATE}:
            by_host.setdefault(each.host, []).append(each)
    for host, addresses in by_host.items():
        calls = any(each.path.strip("/") for each in addresses)
        yield context.exposed(
            host,
            f"The app names {host} without TLS: whoever is on the way reads and changes what passes.",
            Severity.MEDIUM if calls else Severity.LOW,
            at=[place for each in addresses for place in each.places],
            confidence=Confidence.LIKELY,
        )


def _begins(context: RuleContext) -> Iterator[Finding]:
    """Tell of code that puts an address together from ``http://`` and a host that it gets elsewhere."""
    if context.app.code is None:
        return
    for begin in ("http://", "ws://"):
        users: dict[str, list[Location]] = {}
        for by in context.users(begin):
            loaded = context.code.strings_of(by)
            # A static initialiser is given nothing: where it names the phone itself, that's where its address leads.
            to_phone = by.name == "<clinit>" and any(map(_is_phone, loaded))
            # Code that loads both only compares or completes what was typed.
            if begin.replace("://", "s://") in loaded or to_phone:
                continue
            if not _only_asks(context, by, begin):
                users.setdefault(by.cls, []).extend(places([by]))
        for cls, at in users.items():
            yield context.exposed(
                f"{begin}:{cls}",
                f"{cls} puts an address without TLS together, from {begin} and what it's given.",
                Severity.MEDIUM,
                at=at,
                confidence=Confidence.POSSIBLE,
            )


def _only_asks(context: RuleContext, by: Method, begin: str) -> bool:
    """Tell whether code hands a begin to nothing but what looks for it in another text."""
    asked = sum(
        callee.cls == "java.lang.String" and callee.name in _QUESTIONS and begin in given
        for callee, given in context.code.arguments(by)
    )
    return asked >= context.code.strings_of(by).count(begin)


def _is_phone(text: str) -> bool:
    """Tell whether a text is the phone's own name or number, by itself or with a port."""
    host = text.partition(":")[0]
    return host in {"localhost", "127.0.0.1"} and not text.removeprefix(host).strip(":0123456789")


RULE = CleartextUrls()
