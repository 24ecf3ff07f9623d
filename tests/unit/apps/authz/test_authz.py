"""An engine is told of a request what the middleware would do with it; nobody else is told anything."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.apps.asgi_client import Answer, Recorder, call
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.gate.simulators import (
    AUDIENCE,
    CLAIMS,
    EXPECTATION,
    ISSUER,
    NOW,
    VERDICT_SIGNER,
    PublishedState,
    SilentState,
    policy,
    published,
    token,
)

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.apps.gateway.authz import AuthzApp, Credential, VerdictRequired, VerdictSigned
from watchword.gate.interface import VERDICT_HEADER
from watchword.gate.service import Gate
from watchword.gate.signed_verdict import target_of, verify
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.vocabulary import Environment, Level

SECRET = b"0123456789abcdef0123456789abcdef"
LAB = PublishedState(
    policy=replace(policy(), expectation=replace(EXPECTATION, environment=Environment.LAB))
)
GOOD = (b"watchword-token", token(environment=Environment.LAB).encode())
HOST = (b"host", b"clinic.example")


class VerdictKeys:
    """Know the key of the API's gates."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return it by its id."""
        return VERDICT_SIGNER.published() if kid == VERDICT_SIGNER.kid else None


def authz(style: str = "original", **options: object) -> AuthzApp:
    """Return forward auth over a gate of the lab, which tells its reasons."""
    gate = Gate(LAB, memory=MemoryReplayStore())
    return AuthzApp(gate, style=style, clock=StoppedClock(), **options)  # type: ignore[arg-type]


def ask(
    app: AuthzApp,
    path: bytes = b"/authz",
    *,
    method: str = "GET",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Answer:
    """Put a question as an engine does."""
    return call(app, question(path, method=method, query=query, headers=headers))


def question(
    path: bytes = b"/authz",
    *,
    method: str = "GET",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> dict[str, object]:
    """Return the scope of a question."""
    return {
        "type": "http",
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
    }


def about(
    uri: bytes, *more: tuple[bytes, bytes], method: bytes = b"GET", prefix: bytes = b"x-original-"
) -> list[tuple[bytes, bytes]]:
    """Return the headers of a question in the style of nginx."""
    return [
        (b"host", b"authz"),
        (prefix + b"method", method),
        (prefix + b"uri", uri),
        (prefix + b"host", b"clinic.example"),
        *more,
    ]


def reasons(answer: Answer) -> list[str]:
    """Return why the answer is a refusal."""
    found: list[str] = json.loads(answer.body)["reasons"]
    return found


@pytest.mark.parametrize(
    ("style", "question"),
    [
        ("envoy", {"path": b"/authz/v1/patients", "query": b"q=1", "headers": [HOST, GOOD]}),
        ("original", {"headers": about(b"/v1/patients?q=1", GOOD)}),
        ("forwarded", {"headers": about(b"/v1/patients?q=1", GOOD, prefix=b"x-forwarded-")}),
    ],
)
def test_a_genuine_request_may_pass(style: str, question: dict[str, object]) -> None:
    """The engine gets 200 and the verified headers for the API."""
    answer = ask(authz(style), **question)  # type: ignore[arg-type]
    assert answer.status == 200
    assert answer.headers[b"watchword-instance"] == CLAIMS.subject.encode()
    assert answer.headers[b"watchword-level"] == b"hardware"
    assert answer.headers[b"watchword-app"] == b"clinic-ios"
    assert VERDICT_HEADER not in answer.headers


@pytest.mark.parametrize(
    ("question", "status", "reason"),
    [
        (about(b"/v1/patients"), 401, "token.missing"),
        (about(b"/elsewhere", GOOD), 403, "gate.route_unknown"),
        (about(b"/v1/../admin", GOOD), 400, "request.path_ambiguous"),
        (about(b"http://clinic.example/v1/patients", GOOD), 400, "request.path_ambiguous"),
        (about(b"/v1/patients", GOOD, GOOD), 400, "request.header_duplicated"),
        (about(b"/v1/patients", GOOD, (b"x-original-uri", b"/health")), 400, "request.malformed"),
        (about(b"/v1/patients", GOOD, (b"x_original_uri", b"/health")), 400, "request.malformed"),
        (about(b"/v1/patients", GOOD)[:3], 400, "request.malformed"),
        (about(b"/v1/patients", GOOD, method=b"get"), 400, "request.malformed"),
    ],
)
def test_a_refusal_is_the_answer(
    question: list[tuple[bytes, bytes]], status: int, reason: str
) -> None:
    """The same reasons as everywhere; a request that is named twice has no name."""
    answer = ask(authz(), headers=question)
    assert (answer.status, reasons(answer)[0]) == (status, reason)


def test_each_question_is_read_anew() -> None:
    """Of what was asked before by the same names no value is left, and no verdict."""
    app = authz()
    good = ask(app, headers=about(b"/v1/patients", GOOD))
    forged = ask(app, headers=about(b"/v1/patients", (GOOD[0], GOOD[1][:-4] + b"AAAA")))
    elsewhere = ask(app, headers=about(b"/elsewhere", GOOD))
    assert [each.status for each in (good, forged, elsewhere)] == [200, 401, 403]
    # One name in another spelling is another question.
    spelled = [(name.replace(b"-uri", b".uri"), value) for name, value in about(b"/health")]
    assert reasons(ask(app, headers=spelled)) == ["request.malformed"]
    assert ask(app, headers=about(b"/v1/patients", GOOD)).status == 200


@pytest.mark.parametrize("style", ["original", "forwarded"])
def test_names_without_end_are_refused(style: str) -> None:
    """Too many of them as too large a head, as everywhere."""
    many = [(b"x-%d-%b" % (at, b"n" * 3000), b"1") for at in range(6)]
    prefix = b"x-%b-" % style.encode()
    answer = ask(authz(style), headers=about(b"/v1/patients", GOOD, *many, prefix=prefix))
    assert (answer.status, reasons(answer)) == (431, ["request.headers_too_large"])
    assert ask(authz(style)).status == 400


def test_the_prefix_belongs_to_the_engine() -> None:
    """Without the prefix, or with something else grown to it, there is no original path."""
    app = authz("envoy")
    for path in (b"/v1/patients", b"/authz", b"/authzv1/patients"):
        answer = ask(app, path, headers=[HOST, GOOD])
        assert (answer.status, reasons(answer)) == (400, ["request.malformed"])


def test_an_open_route_makes_the_engine_remove_forged_headers() -> None:
    """Nobody was identified: the verified headers are empty, and so are the API's."""
    forged = (b"watchword-level", b"hardware")
    answer = ask(authz("original"), headers=about(b"/health", forged))
    assert answer.status == 200
    assert answer.headers[b"watchword-level"] == b""
    assert answer.headers[b"watchword-instance"] == b""


def test_only_the_engine_may_ask() -> None:
    """Without the credential, with another or with two, nothing is told of the request."""
    app = authz(credential=Credential(SECRET))
    known = (b"watchword-authz", SECRET)
    wrong = (b"watchword-authz", SECRET[:-1] + b"0")
    assert ask(app, headers=about(b"/v1/patients", GOOD, known)).status == 200
    for callers in ([], [wrong], [known, known], [known, wrong]):
        answer = ask(app, headers=about(b"/v1/patients", GOOD, *callers))
        assert (answer.status, reasons(answer)) == (403, [Reason.GATE_CALLER.code])
        assert b"watchword-level" not in answer.headers


def test_a_credential_comes_from_a_private_file(tmp_path: Path) -> None:
    """One that others can read, that is missing or that could be guessed is refused, and never shown."""
    file = tmp_path / "authz.secret"
    with pytest.raises(PrivateFileError, match="openssl"):
        Credential.read(file)
    file.write_bytes(SECRET + b"\n")
    os.chmod(file, 0o600)  # noqa: PTH101
    credential = Credential.read(file)
    assert credential.matches(SECRET)
    assert SECRET.decode() not in repr(credential)
    os.chmod(file, 0o644)  # noqa: PTH101
    with pytest.raises(PrivateFileError):
        Credential.read(file)
    for weak in (b"short", b"with space " * 4, "ä".encode() * 40):
        file.write_bytes(weak)
        os.chmod(file, 0o600)  # noqa: PTH101
        with pytest.raises(PrivateFileError) as caught:
            Credential.read(file)
        assert weak.decode() not in str(caught.value)


def test_before_the_first_bundle_nobody_passes() -> None:
    """Nor is a stranger told more than that."""
    app = AuthzApp(
        Gate(SilentState()), style="original", clock=StoppedClock(), credential=Credential(SECRET)
    )
    known = (b"watchword-authz", SECRET)
    assert ask(app, headers=about(b"/v1/patients", GOOD, known)).status == 503
    assert ask(app, headers=about(b"/v1/patients", GOOD)).status == 403


def test_the_api_can_tell_what_came_around_the_gate() -> None:
    """The verdict of /authz opens the request that it is about, at an API that asks for verdicts."""
    answer = ask(authz(signs=True), headers=about(b"/v1/patients?q=1", GOOD))
    verdict = answer.headers[VERDICT_HEADER]
    said = verify(
        verdict.decode(),
        issuer=ISSUER,
        audience=AUDIENCE,
        method="GET",
        target=target_of(b"/v1/patients", b"q=1"),
        keys=VerdictKeys(),
        now=NOW,
    )
    assert (said.subject, said.level) == (CLAIMS.subject, Level.HARDWARE)
    api = Recorder()
    guarded = VerdictRequired(
        api, keys=VerdictKeys(), issuer=ISSUER, audience=AUDIENCE, clock=StoppedClock()
    )
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/patients",
        "raw_path": b"/v1/patients",
        "query_string": b"q=1",
    }
    carried = (b"watchword-verdict", verdict)
    for headers, served in (
        ([carried], 1),
        ([], 0),
        ([carried, carried], 0),
        ([(b"watchword_verdict", verdict)], 0),
        ([(b"watchword-verdict", b"x")], 0),
    ):
        api.scopes.clear()
        answer = call(guarded, {**scope, "headers": headers})
        assert (len(api.scopes), answer.status) == (served, 200 if served else 403)
    call(guarded, {**scope, "query_string": b"q=2", "headers": [carried]})
    assert len(api.scopes) == served


def test_a_missing_verdict_has_a_reason() -> None:
    """None, two, and one under a name that only looks like it are all none."""
    guarded = VerdictRequired(
        Recorder(), keys=VerdictKeys(), issuer=ISSUER, audience=AUDIENCE, clock=StoppedClock()
    )
    refusal = guarded.check({"headers": [], "raw_path": b"/", "query_string": b"", "method": "GET"})
    assert refusal is not None
    assert refusal.reason is Reason.VERDICT_MISSING


def test_the_proxy_signs_for_the_api() -> None:
    """Behind the middleware each request carries one verdict, and says nobody where nobody is."""
    api = Recorder()
    signed = VerdictSigned(api, published(), StoppedClock())
    call(
        signed,
        {
            "type": "http",
            "method": "GET",
            "raw_path": b"/health",
            "query_string": b"",
            "headers": [],
        },
    )
    ((name, verdict),) = api.scopes[0]["headers"]
    assert name == VERDICT_HEADER
    said = verify(
        verdict.decode(),
        issuer=ISSUER,
        audience=AUDIENCE,
        method="GET",
        target=target_of(b"/health", b""),
        keys=VerdictKeys(),
        now=NOW,
    )
    assert (said.subject, said.level) == ("", Level.NONE)


@pytest.mark.parametrize(
    ("style", "asked"),
    [
        ("envoy", {"path": b"/authz/v1/patients", "headers": [HOST, GOOD]}),
        ("original", {"headers": about(b"/v1/patients", GOOD)}),
        ("original", {"path": b"/authz/told", "headers": about(b"/health")}),
        (
            "forwarded",
            {"path": b"/authz/bare", "headers": about(b"/health", prefix=b"x-forwarded-")},
        ),
    ],
)
def test_a_yes_names_its_api(style: str, asked: dict[str, object]) -> None:
    """Engines demand it: whoever else answers at the socket says yes with a 200 as well."""
    answer = ask(authz(style), **asked)  # type: ignore[arg-type]
    assert answer.status == 200
    assert answer.headers[b"watchword-api"] == b"clinic"


def test_a_question_of_another_api_is_refused() -> None:
    """An engine that can't look at an answer names the API in its question."""
    headers = about(b"/v1/patients", GOOD, prefix=b"x-forwarded-")
    app = authz("forwarded")
    assert ask(app, b"/authz/bare/clinic", headers=headers).status == 200
    for other in (b"another", b"", b"clinic/", b"CLINIC"):
        answer = ask(app, b"/authz/bare/" + other, headers=headers)
        assert reasons(answer) == [Reason.GATE_CALLER.code]


@pytest.mark.parametrize("path", [b"/authz/told", b"/authz/bare", b"/authz/bare/clinic"])
@pytest.mark.parametrize(
    "name", [b"x-forwarded-whatever", b"x.forwarded-for", b"x-rewrite.url", b"x.http-method"]
)
def test_what_an_engine_without_wildcards_cannot_remove_is_refused(
    path: bytes, name: bytes
) -> None:
    """A name that isn't on the one list, or is spelt otherwise, would reach the API as the client's own word."""
    style = "original" if path == b"/authz/told" else "forwarded"
    asked = about(b"/v1/patients", GOOD, prefix=f"x-{style}-".encode())
    assert ask(authz(style), path, headers=asked).status == 200
    answer = ask(authz(style), path, headers=[*asked, (name, b"me")])
    assert answer.status in {400, 403}
    told = json.dumps([value.decode() for value in answer.headers.values()]) + answer.body.decode()
    assert Reason.REQUEST_MALFORMED.code in told


@pytest.mark.parametrize("name", [b"x-rewrite.url", b"x.http-method-override"])
def test_a_disguise_that_nobody_looks_for_is_refused(name: bytes) -> None:
    """Caddy removes these by name alone; who comes from where it removes by any sign."""
    asked = about(b"/v1/patients", GOOD, prefix=b"x-forwarded-")
    assert ask(authz("forwarded"), headers=[*asked, (b"x.real-ip", b"1")]).status == 200
    assert reasons(ask(authz("forwarded"), headers=[*asked, (name, b"/x")])) == [
        Reason.REQUEST_MALFORMED.code
    ]
