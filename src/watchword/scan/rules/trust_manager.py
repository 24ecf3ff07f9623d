"""See whether code of the app takes any certificate, or any name in it."""

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Final

from watchword.scan.app import ManagedMethod, Method, Op, Part
from watchword.scan.frameworks import OFFLINE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, places

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


# Names of .NET by learn.microsoft.com/dotnet/api (system.net.http.httpclienthandler, system.net.security), read on 2026-11-29.
_SETTERS: Final = (
    ".set_ServerCertificateCustomValidationCallback",
    ".set_ServerCertificateValidationCallback",
    ".set_RemoteCertificateValidationCallback",
)
_CALLBACKS: Final = (
    "System.Net.Security.RemoteCertificateValidationCallback..ctor",
    "System.Func`5..ctor",
)
_ANY_IN_DOTNET: Final = (
    "System.Net.Http.HttpClientHandler.get_DangerousAcceptAnyServerCertificateValidator"
)
_JAVA_IN_DOTNET: Final = {
    "Javax.Net.Ssl.IHostnameVerifier": "Verify",
    "Javax.Net.Ssl.IX509TrustManager": "CheckServerTrusted",
}
_HANDLER_IN_DOTNET: Final = "Android.Webkit.SslErrorHandler"


def _check(context: RuleContext) -> Iterator[Finding]:
    found = [*_managers(context), *_verifiers(context), *_allow_all(context), *_web_views(context)]
    found += _in_dotnet(context)
    yield from found
    if not found:
        yield context.clean(
            "checks",
            "The platform's check of certificates and names is in force, as far as code tells.",
        )


def _managers(context: RuleContext) -> Iterator[Finding]:
    for cls in sorted(set(chain.from_iterable(map(context.code.implementers, _MANAGERS)))):
        for method in context.code.methods(cls):
            if method.name == "checkServerTrusted" and _refuses_nothing(context, method):
                title = (
                    f"{cls} takes any server's certificate: its checkServerTrusted refuses nothing."
                )
                yield _accepts(context, method, title)


def _accepts(context: RuleContext, method: Method, title: str) -> Finding:
    at = places([method])
    if context.own(method.cls):
        sure = Confidence.POSSIBLE if context.unsure(method) else Confidence.LIKELY
        return context.exposed(method.cls, title, Severity.HIGH, at=at, confidence=sure)
    # A library has it for whoever asks; the app may never do.
    return context.info(method.cls, f"In a library: {title}", Severity.LOW, at=at)


def _refuses_nothing(context: RuleContext, method: Method) -> bool:
    body = context.code.body(method)
    if not body or "throw" in body:
        return False
    return all(each.cls in _HARMLESS for each in context.code.calls_of(method))


def _verifiers(context: RuleContext) -> Iterator[Finding]:
    for interface in (_VERIFIER, *_APACHE_VERIFIERS):
        for cls in context.code.implementers(interface):
            for method in context.code.methods(cls):
                if method.name == "verify" and _same_answer(context, method):
                    title = f"{cls} takes a certificate of any name: its verify doesn't look."
                    yield _accepts(context, method, title)


def _same_answer(context: RuleContext, method: Method) -> bool:
    """Tell whether a method answers without a look; a lambda's class hands on to one that does, or doesn't."""
    body = context.code.body(method)
    if not body or "throw" in body or any(each.startswith("if-") for each in body):
        return False
    if any(each.name in _COMPARES for each in context.code.calls_of(method)):
        return False
    calls = [each for each in context.code.calls_of(method) if each.cls not in _HARMLESS]
    if method.descriptor.endswith(")V"):
        return not calls
    if not calls:
        return any(each.startswith("const") for each in body)
    (first, *more) = calls
    inner = context.code.body(first)
    return (
        not more
        and bool(inner)
        and not context.code.calls_of(first)
        and not any(each.startswith(("if-", "throw", "iget", "sget")) for each in inner)
        and any(each.startswith("const") for each in inner)
    )


def _allow_all(context: RuleContext) -> Iterator[Finding]:
    for cls in _ALLOW_ALL:
        uses = context.calls(cls, "<init>")
        if uses:
            title = f"The code makes a verifier that takes a certificate of any name: {cls}."
            yield context.exposed(cls, title, Severity.HIGH, at=places(uses))
    uses = context.calls(_APACHE_FACTORY, "setHostnameVerifier")
    # Where the library is built in, the name of its field is there without anybody's using it.
    if (
        uses
        and _ALLOW_ALL_FIELD in context.code.strings
        and _APACHE_FACTORY not in context.code.classes
    ):
        title = f"The code sets {_ALLOW_ALL_FIELD}, which takes a certificate of any name."
        yield context.exposed(
            _ALLOW_ALL_FIELD, title, Severity.HIGH, at=places(uses), confidence=Confidence.LIKELY
        )


def _web_views(context: RuleContext) -> Iterator[Finding]:
    for use in context.calls("android.webkit.SslErrorHandler", "proceed"):
        stops = any(
            each.cls == "android.webkit.SslErrorHandler" and each.name == "cancel"
            for each in context.code.calls_of(use.by)
        )
        asks = stops or use.by.name != "onReceivedSslError"
        how = "on some answer" if asks else "always"
        yield context.exposed(
            use.by.cls,
            f"{use.by.cls} has a browser view go on after a certificate that was refused, {how}.",
            Severity.HIGH,
            at=(Location(cls=use.by.cls, member=use.by.name),),
            confidence=Confidence.POSSIBLE if asks else Confidence.CERTAIN,
        )


def _in_dotnet(context: RuleContext) -> Iterator[Finding]:
    """Look at code of .NET, which asks by callbacks (System.Net.Http and System.Net.Security), or by Java's interfaces under other names."""
    every = [each for assembly in context.app.assemblies for each in assembly.methods]
    # Of several methods of one name, which differ by what they take, the one that always says yes may be meant.
    every.sort(key=lambda each: each.answer == 1)
    methods = {f"{each.method.cls}.{each.method.name}": each for each in every}
    for assembly in context.app.assemblies:
        java = {cls: _JAVA_IN_DOTNET.get(interface) for cls, interface in assembly.implements}
        for each in assembly.methods:
            how = _accepting(each, methods) or _as_java(each, java.get(each.method.cls))
            if how:
                at = Location(assembly.file, each.method.cls, each.method.name)
                title = f"{each.method} {how}."
                yield context.exposed(
                    str(each.method), title, Severity.HIGH, at=[at], confidence=Confidence.LIKELY
                )


def _accepting(each: ManagedMethod, methods: Mapping[str, ManagedMethod]) -> str:
    """Say how a method of .NET has any certificate taken; empty where it doesn't."""
    named = {step.what for step in each.steps if step.op is Op.CALL}
    if _ANY_IN_DOTNET in named:
        return "takes any server's certificate, by a validator that is named dangerous"
    if f"{_HANDLER_IN_DOTNET}.Proceed" in named and f"{_HANDLER_IN_DOTNET}.Cancel" not in named:
        return "has a browser view go on after a certificate that was refused, always"
    sets = any(name.endswith(_SETTERS) for name in named)
    for step, after in pairwise(each.steps):
        if step.op is Op.METHOD and after.op is Op.NEW and after.what in _CALLBACKS:
            callback = methods.get(step.what)
            typed = after.what == _CALLBACKS[0]
            if callback is not None and callback.answer == 1 and (sets or typed):
                return f"takes any server's certificate: its callback {callback.method} always says yes"
    return ""


def _as_java(each: ManagedMethod, name: str | None) -> str:
    """Say how a method of .NET that stands for one of Java's refuses nothing; empty where it may."""
    if name is None or each.method.name.rpartition(".")[2] != name:
        return ""
    if each.answer == 1:
        return "takes a certificate of any name: it always says yes"
    return "takes any server's certificate: it refuses nothing" if each.empty else ""


RULE = AndroidRule(
    id="trust-manager",
    title="Checks of the server's certificate switched off",
    techniques=("MT-C03", "MT-C04"),
    protections={"PR-C02": "scan:static.trust_manager"},
    todo="Remove the class and leave the platform's check in force. For a server under your own authority, name that "
    "authority in the network security config.",
    blind="It recognises a check that looks at nothing, not one that looks wrongly. If a verifier always gives one "
    "answer, it takes that answer to be yes. It doesn't see checks in native code or in a bundle. In .NET code it "
    "reports callbacks that always say yes, and nothing else.",
    parts=(Part.DEX,),
    reads=OFFLINE,
    check=_check,
)
