"""Tests of the rule on sockets without TLS."""

from tests.unit.scan.simulated import MAIN, PACKAGE, Body, Call, Class, running, simulated, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.raw_sockets import RULE

SOCKET = Call("java.net.Socket", "<init>")
CLEAN = {"sockets": Verdict.PROTECTED}


def test_plain_socket() -> None:
    """A plain socket is exposed, where it's opened."""
    assert verdicts(RULE, running(SOCKET)) == {f"{MAIN}.run": Verdict.EXPOSED}
    factory = Call("javax.net.SocketFactory", "createSocket")
    assert verdicts(RULE, running(factory)) == {f"{MAIN}.run": Verdict.EXPOSED}


def test_with_tls() -> None:
    """TLS over the socket, in the same class, or from the start is clean."""
    wraps = Call("javax.net.ssl.SSLSocketFactory", "createSocket")
    assert verdicts(RULE, running(wraps)) == CLEAN
    apart = Class(MAIN, (Body("open", (SOCKET,)), Body("wrap", (wraps,))))
    assert verdicts(RULE, simulated(apart)) == CLEAN


def test_what_is_no_connection() -> None:
    """A look at the phone's own ports, a class that extends Socket and a library's socket aren't the app's traffic."""
    assert verdicts(RULE, running(SOCKET, strings=("127.0.0.1",))) == CLEAN
    extends = Class(f"{PACKAGE}.S", (Body("<init>", (SOCKET,)),), extends="java.net.Socket")
    assert verdicts(RULE, simulated(extends)) == CLEAN
    library = Class("okhttp3.Connection", (Body("open", (SOCKET,)),))
    assert verdicts(RULE, simulated(library)) == CLEAN
