"""Tests of the rule on checks of certificates."""

import pytest
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, running, simulated, verdicts

from watchword.scan.app import App
from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.trust_manager import RULE

CLS = f"{PACKAGE}.Net"
CLEAN = {"checks": Verdict.PROTECTED}
LOG = Call("android.util.Log", "d")
REAL = Call("javax.net.ssl.X509TrustManager", "checkServerTrusted")


def _manager(*calls: Call, mnemonics: tuple[str, ...], cls: str = CLS) -> App:
    body = Body("checkServerTrusted", calls, mnemonics=mnemonics)
    client = Body("checkClientTrusted")
    return simulated(Class(cls, (body, client), implements=("javax.net.ssl.X509TrustManager",)))


def _verifier(*calls: Call, mnemonics: tuple[str, ...], others: tuple[Body, ...] = ()) -> App:
    body = Body("verify", calls, mnemonics=mnemonics, descriptor="(Ljava/lang/String;)Z")
    verifier = "javax.net.ssl.HostnameVerifier"
    return simulated(Class(CLS, (body, *others), implements=(verifier,)))


@pytest.mark.parametrize(
    ("calls", "mnemonics", "accepts"),
    [
        ((), ("return-void",), True),
        ((LOG,), ("invoke-static", "return-void"), True),
        ((REAL,), ("invoke-interface", "return-void"), False),
        ((), ("if-nez", "new-instance", "throw", "return-void"), False),
        ((), (), False),
    ],
    ids=["empty", "logs", "hands-on", "throws", "no-body"],
)
def test_manager(calls: tuple[Call, ...], mnemonics: tuple[str, ...], accepts: bool) -> None:
    """A trust manager that refuses nothing is told from one that hands on or throws, and from an abstract one."""
    expected = {CLS: Verdict.EXPOSED} if accepts else CLEAN
    assert verdicts(RULE, _manager(*calls, mnemonics=mnemonics)) == expected


def test_manager_of_a_library() -> None:
    """What a library has for whoever asks is told, and doesn't count."""
    app = _manager(mnemonics=("return-void",), cls="okhttp3.internal.Trusting")
    assert verdicts(RULE, app)["okhttp3.internal.Trusting"] is Verdict.INFO


def test_manager_that_was_renamed() -> None:
    """A renamed class may be a library's: it's exposed, and less sure."""
    found = list(RULE.run(_manager(mnemonics=("return-void",), cls="a.b.c")))
    assert [(each.verdict, each.confidence) for each in found] == [
        (Verdict.EXPOSED, Confidence.POSSIBLE)
    ]


@pytest.mark.parametrize(
    ("calls", "mnemonics", "accepts"),
    [
        ((), ("const/4", "return"), True),
        ((Call("java.lang.String", "equals"),), ("invoke-virtual", "move-result", "return"), False),
        ((Call("x.y.Check", "ok"),), ("const/4", "invoke-virtual", "move-result", "return"), False),
        ((), ("const/4", "if-eqz", "const/4", "return"), False),
    ],
    ids=["constant", "compares", "hands-on", "decides"],
)
def test_verifier(calls: tuple[Call, ...], mnemonics: tuple[str, ...], accepts: bool) -> None:
    """A verifier that gives one answer is told from one that looks."""
    expected = {CLS: Verdict.EXPOSED} if accepts else CLEAN
    assert verdicts(RULE, _verifier(*calls, mnemonics=mnemonics)) == expected


@pytest.mark.parametrize("name", ["equals", "equalsIgnoreCase", "endsWith", "contains"])
def test_verifier_that_compares(name: str) -> None:
    """A verifier that returns what a comparison with a constant says looks, though it never branches."""
    compares = Call("java.lang.String", name)
    body = ("const-string", "invoke-virtual", "move-result", "return")
    assert verdicts(RULE, _verifier(compares, mnemonics=body)) == CLEAN


def test_verifier_of_a_lambda() -> None:
    """A lambda's class hands on to a method that gives one answer."""
    inner = Body("lambda$0", mnemonics=("const/4", "return"), descriptor="()Z")
    call = Call(CLS, "lambda$0", descriptor="()Z")
    app = _verifier(call, mnemonics=("invoke-static", "move-result", "return"), others=(inner,))
    assert verdicts(RULE, app) == {CLS: Verdict.EXPOSED}


@pytest.mark.parametrize(
    ("inner", "more"),
    [
        (("const/4", "return"), (Call("x.y.Check", "ok"),)),
        (("const/4", "if-eqz", "return"), ()),
        ((), ()),
    ],
    ids=["asks-more", "decides", "unknown"],
)
def test_lambda_that_looks(inner: tuple[str, ...], more: tuple[Call, ...]) -> None:
    """A lambda that asks more than one method, or one that decides or isn't seen, isn't taken for one that doesn't look."""
    body = Body("lambda$0", mnemonics=inner, descriptor="()Z")
    call = Call(CLS, "lambda$0", descriptor="()Z")
    handed = ("invoke-static", "move-result", "return")
    assert verdicts(RULE, _verifier(call, *more, mnemonics=handed, others=(body,))) == CLEAN


def test_allow_all() -> None:
    """Apache's verifier of any name is exposed, made or taken from its field."""
    made = running(Call("org.apache.http.conn.ssl.AllowAllHostnameVerifier", "<init>"))
    assert Verdict.EXPOSED in verdicts(RULE, made).values()
    call = Call("org.apache.http.conn.ssl.SSLSocketFactory", "setHostnameVerifier")
    assert verdicts(RULE, running(call)) == CLEAN
    taken = running(call, strings=("ALLOW_ALL_HOSTNAME_VERIFIER",))
    assert verdicts(RULE, taken) == {"ALLOW_ALL_HOSTNAME_VERIFIER": Verdict.EXPOSED}
    # Where the library is built in, its field has that name in every app.
    library = Class("org.apache.http.conn.ssl.SSLSocketFactory")
    caller = Class(CLS, (Body("run", (call,)),))
    built_in = simulated(caller, library, strings=("ALLOW_ALL_HOSTNAME_VERIFIER",))
    assert verdicts(RULE, built_in) == CLEAN


@pytest.mark.parametrize(
    ("names", "sure"),
    [(("proceed",), Confidence.CERTAIN), (("proceed", "cancel"), Confidence.POSSIBLE)],
)
def test_browser_view(names: tuple[str, ...], sure: Confidence) -> None:
    """A view that goes on after a refused certificate is exposed; one that may also stop is less sure."""
    calls = tuple(Call("android.webkit.SslErrorHandler", name) for name in names)
    app = simulated(Class(CLS, (Body("onReceivedSslError", calls),)))
    assert [(each.verdict, each.confidence) for each in RULE.run(app)] == [(Verdict.EXPOSED, sure)]
    stops = simulated(
        Class(
            CLS, (Body("onReceivedSslError", (Call("android.webkit.SslErrorHandler", "cancel"),)),)
        )
    )
    assert verdicts(RULE, stops) == CLEAN
