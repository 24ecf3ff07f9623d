"""See whether the app's own code opens sockets without TLS."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.frameworks import OFFLINE
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, places

_SOCKET: Final = "java.net.Socket"
_TLS: Final = (
    "javax.net.ssl.SSLSocketFactory",
    "javax.net.ssl.SSLSocket",
    "javax.net.ssl.SSLContext",
)
_PLAIN_FACTORY: Final = "javax.net.SocketFactory"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _check(context: RuleContext) -> Iterator[Finding]:
    uses = [
        use
        for use in (
            *context.calls(_SOCKET, "<init>"),
            *context.calls("java.nio.channels.SocketChannel", "open"),
            *context.calls(_PLAIN_FACTORY, "createSocket"),
        )
        # A class that extends Socket calls its constructor too.
        if context.code.superclass(use.by.cls) != _SOCKET
    ]
    found = False
    for by in dict.fromkeys(use.by for use in uses):
        if _local(context, by) or _wrapped(context, by):
            continue
        found = True
        title = f"{by} opens a socket and speaks without TLS."
        sure = Confidence.POSSIBLE if context.unsure(by) else Confidence.LIKELY
        yield context.exposed(str(by), title, Severity.HIGH, at=places([by]), confidence=sure)
    if not found:
        yield context.clean("sockets", "The app's own code opens no sockets without TLS.")


def _local(context: RuleContext, by: Method) -> bool:
    """Tell whether a method speaks to the phone itself, such as a look for a tool's port."""
    return bool(_LOOPBACK & set(context.code.strings_of(by)))


def _wrapped(context: RuleContext, by: Method) -> bool:
    """Tell whether the class puts TLS over its sockets."""
    return any(
        each.cls in _TLS
        for method in context.code.methods(by.cls)
        for each in context.code.calls_of(method)
    )


RULE = AndroidRule(
    id="raw-sockets",
    title="Sockets without TLS",
    techniques=("MT-C03", "MT-C04"),
    protections={"PR-C01": "scan:static.cleartext"},
    todo="Take the socket from SSLSocketFactory and check the host's name, or use an HTTP client.",
    blind="It goes by the class that opens the socket. It doesn't see TLS that another class puts over it, or sockets "
    "of native code.",
    parts=(Part.DEX,),
    reads=OFFLINE,
    check=_check,
)
