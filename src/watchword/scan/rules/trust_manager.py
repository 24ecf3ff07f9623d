"""See whether code of the app takes any certificate, or any name in it."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.frameworks import OFFLINE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_parts import AndroidRule, Look, places

_MANAGERS: Final = ("javax.net.ssl.X509TrustManager", "javax.net.ssl.X509ExtendedTrustManager")
_VERIFIER: Final = "javax.net.ssl.HostnameVerifier"
_APACHE_VERIFIERS: Final = (
    "org.apache.http.conn.ssl.X509HostnameVerifier",
    "org.apache.http.conn.ssl.AbstractVerifier",
)
_ALLOW_ALL: Final = (
    "org.apache.http.conn.ssl.AllowAllHostnameVerifier",
    "org.apache.http.conn.ssl.NoopHostnameVerifier",
)
_ALLOW_ALL_FIELD: Final = "ALLOW_ALL_HOSTNAME_VERIFIER"
_APACHE_FACTORY: Final = "org.apache.http.conn.ssl.SSLSocketFactory"

_HARMLESS: Final = (
    "android.util.Log",
    "java.io.PrintStream",
    "java.lang.Object",
    "java.lang.String",
    "java.lang.StringBuilder",
    "java.security.cert.X509Certificate",
    "kotlin.jvm.internal.Intrinsics",
    "timber.log.Timber",
)
"""Classes that refuse nothing: a check that calls only these checks nothing."""

_COMPARES: Final = frozenset(
    {"contains", "endsWith", "equals", "equalsIgnoreCase", "matches", "regionMatches", "startsWith"}
)
"""Methods of strings whose answer a verifier may return as it is."""


def _see(look: Look) -> Iterator[Finding]:
    found = [*_managers(look), *_verifiers(look), *_allow_all(look), *_web_views(look)]
    yield from found
    if not found:
        yield look.clean(
            "checks",
            "The platform's check of certificates and names is in force, as far as code tells.",
        )


def _managers(look: Look) -> Iterator[Finding]:
    for cls in sorted(set(chain.from_iterable(map(look.code.implementers, _MANAGERS)))):
        for method in look.code.methods(cls):
            if method.name == "checkServerTrusted" and _refuses_nothing(look, method):
                title = (
                    f"{cls} takes any server's certificate: its checkServerTrusted refuses nothing."
                )
                yield _accepts(look, method, title)


def _accepts(look: Look, method: Method, title: str) -> Finding:
    at = places([method])
    if look.own(method.cls):
        sure = Confidence.POSSIBLE if look.unsure(method) else Confidence.LIKELY
        return look.exposed(method.cls, title, Severity.HIGH, at=at, confidence=sure)
    # A library has it for whoever asks; the app may never do.
    return look.told(method.cls, f"In a library: {title}", Severity.LOW, at=at)


def _refuses_nothing(look: Look, method: Method) -> bool:
    body = look.code.body(method)
    if not body or "throw" in body:
        return False
    return all(each.cls in _HARMLESS for each in look.code.calls_of(method))


def _verifiers(look: Look) -> Iterator[Finding]:
    for interface in (_VERIFIER, *_APACHE_VERIFIERS):
        for cls in look.code.implementers(interface):
            for method in look.code.methods(cls):
                if method.name == "verify" and _same_answer(look, method):
                    title = f"{cls} takes a certificate of any name: its verify doesn't look."
                    yield _accepts(look, method, title)


def _same_answer(look: Look, method: Method) -> bool:
    """Tell whether a method answers without a look; a lambda's class hands on to one that does, or doesn't."""
    body = look.code.body(method)
    if not body or "throw" in body or any(each.startswith("if-") for each in body):
        return False
    if any(each.name in _COMPARES for each in look.code.calls_of(method)):
        return False
    calls = [each for each in look.code.calls_of(method) if each.cls not in _HARMLESS]
    if method.descriptor.endswith(")V"):
        return not calls
    if not calls:
        return any(each.startswith("const") for each in body)
    (first, *more) = calls
    inner = look.code.body(first)
    return (
        not more
        and bool(inner)
        and not look.code.calls_of(first)
        and not any(each.startswith(("if-", "throw", "iget", "sget")) for each in inner)
        and any(each.startswith("const") for each in inner)
    )


def _allow_all(look: Look) -> Iterator[Finding]:
    for cls in _ALLOW_ALL:
        uses = look.calls(cls, "<init>")
        if uses:
            title = f"The code makes a verifier that takes a certificate of any name: {cls}."
            yield look.exposed(cls, title, Severity.HIGH, at=places(uses))
    uses = look.calls(_APACHE_FACTORY, "setHostnameVerifier")
    # Where the library is built in, the name of its field is there without anybody's using it.
    if uses and _ALLOW_ALL_FIELD in look.code.strings and _APACHE_FACTORY not in look.code.classes:
        title = f"The code sets {_ALLOW_ALL_FIELD}, which takes a certificate of any name."
        yield look.exposed(
            _ALLOW_ALL_FIELD, title, Severity.HIGH, at=places(uses), confidence=Confidence.LIKELY
        )


def _web_views(look: Look) -> Iterator[Finding]:
    for use in look.calls("android.webkit.SslErrorHandler", "proceed"):
        stops = any(
            each.cls == "android.webkit.SslErrorHandler" and each.name == "cancel"
            for each in look.code.calls_of(use.by)
        )
        asks = stops or use.by.name != "onReceivedSslError"
        how = "on some answer" if asks else "always"
        yield look.exposed(
            use.by.cls,
            f"{use.by.cls} has a browser view go on after a certificate that was refused, {how}.",
            Severity.HIGH,
            at=(Location(cls=use.by.cls, member=use.by.name),),
            confidence=Confidence.POSSIBLE if asks else Confidence.CERTAIN,
        )


RULE = AndroidRule(
    id="trust-manager",
    title="Checks of the server's certificate switched off",
    techniques=("MT-C03", "MT-C04"),
    protections={"PR-C02": "scan:static.trust_manager"},
    todo="Take the class out and leave the platform's check in force; for a server under an authority of one's own, name the "
    "authority in the network security config.",
    blind="It tells a check that looks at nothing, not one that looks wrongly; of a verifier that always gives one answer it takes "
    "that answer to be yes; checks in native code or in a bundle aren't seen.",
    parts=(Part.DEX,),
    reads=OFFLINE,
    see=_see,
)
