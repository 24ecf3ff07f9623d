"""Hold the real nginx to what the corpus can't show: pushes, faults, and what stands in its logs."""

import json
import os
import re
import secrets  # noqa: TID251 - a real nginx gets real randomness.
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.nginx.rig import EMPTY, Rig, nginx_before_api
from tests.unit.engines.envoy.rig import (
    OTHER_KEY,
    SECRET,
    TOKEN_KEY,
    bundle_of,
    read_answer,
    request,
    route,
    token,
    until,
)
from tests.unit.gate.simulators import CLAIMS, EXPECTATION

from watchword.adapters.system import SystemClock
from watchword.gate.hygiene import CLIENT_SIDE, read_path
from watchword.gate.interface import Rate
from watchword.gate.revocations import digest_of
from watchword.gate.service import binding_of
from watchword.reasons import Refusal
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS
from watchword.vocabulary import Level, Mode, Proof

ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/hw/*", level=Level.HARDWARE),
    route("/pay", proof=Proof.SESSION, max_body=200_000),
    route("/sign", proof=Proof.DEVICE),
    route("/watched", mode=Mode.MONITOR, level=Level.HARDWARE),
    route("/watched-pay", mode=Mode.MONITOR, proof=Proof.SESSION),
    route("/watched-hw", mode=Mode.MONITOR, proof=Proof.SESSION, level=Level.HARDWARE),
    route("/v1/**", minimum_versions={CLAIMS.app_id: "1.0"}),
]
LIFE = PROOF_LIFE_SECONDS + EXPECTATION.leeway
RESULTS = (b"watchword-instance", b"watchword-level", b"watchword-app")
CLIENT_NAMES = [name.lower().encode() for name in (*CLIENT_SIDE, "X-Forwarded-Whatever")]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one nginx with four workers for all cases that change nothing."""
    with nginx_before_api(tmp_path_factory.mktemp("n"), bundle_of(ROUTES), workers=4) as running:
        yield running


def test_a_refusal_is_a_problem_and_its_reference_leads_to_the_log(rig: Rig) -> None:
    """What a stranger learns is the class; the operator finds the rest by the reference."""
    answer = rig.send(b"/hw/1?secret=query", token=token(level=Level.SOFTWARE))
    assert (answer.status, answer.slug) == (403, "level-insufficient")
    assert list(answer.problem) == ["ref", "status", "title", "type"]
    assert b"cache-control: no-store" in answer.head
    assert b"content-type: application/problem+json" in answer.head
    assert rig.reason(answer) == "gate.level"
    (line,) = (line for line in rig.log() if line["ref"] == answer.problem["ref"])
    assert set(line) == {
        *("time", "ref", "route", "status", "reason", "details"),
        *("method", "instance", "claimed", "client", "milliseconds"),
    }
    assert (line["route"], line["status"], line["instance"]) == ("/hw/*", 403, CLAIMS.subject)
    assert isinstance(line["milliseconds"], int)


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (request(b"/v1/x"), 401, "token-required"),
        (b"GET /v1/x HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "request-malformed"),
        (b"nonsense\r\n\r\n", 400, "request-malformed"),
        (request(b"/v1/../../x"), 400, "request-malformed"),
        (request(b"/v1/" + b"a" * 9000), 431, "headers-too-large"),
        (request(b"/v1/" + b"a" * 50_000), 431, "headers-too-large"),
        (request(b"/v1/x", b"A: " + b"a" * 50_000), 431, "headers-too-large"),
        (request(b"/v1/x", b"Content-Length: 200000000"), 413, "body-too-large"),
        (request(b"/v1/x", method=b"TRACE"), 403, "route-refused"),
        (request(b"/;watchword"), 403, "route-refused"),
        (request(b"/%3Bwatchword-names"), 403, "route-refused"),
        (request(b"/open/x", b"A"), 400, "request-malformed"),
        (request(b"/open/x", b"Watchword.Token: a"), 400, "request-malformed"),
    ],
)
def test_whoever_refuses_refuses_alike(rig: Rig, data: bytes, status: int, slug: str) -> None:
    """The refusals of nginx itself are worded as the gate's."""
    answer = rig.raw(data)
    assert (answer.status, answer.slug) == (status, slug)
    assert answer.problem["status"] == status
    assert (b"www-authenticate: watchword" in answer.head) is (status == 401)


def test_the_api_sees_no_token_no_proof_and_one_result_each(rig: Rig) -> None:
    """Whatever a client calls by these names is removed."""
    faked = [
        b"%s: faked" % name.replace(b"-", sign)
        for name in (*RESULTS, b"watchword-verdict", b"watchword-api", *CLIENT_NAMES)
        for sign in (b"-", b"_", b".")
    ]
    instance = prover()
    for part in (faked[at : at + 80] for at in range(0, len(faked), 80)):
        fields = proved("session", instance, target="/pay")
        answer = rig.send(b"/pay", *fields, *part)
        assert answer.status == 200, rig.log()[-1]
        seen = rig.api.seen[-1]
        names = [re.sub(rb"[_.]", b"-", name) for name, _ in seen.fields]
        assert not {b"watchword-token", b"signature", b"signature-input"} & set(names)
        assert all(names.count(name) == 1 for name in RESULTS)
        assert [seen.values(name) for name in RESULTS] == [
            [CLAIMS.subject.encode()],
            [CLAIMS.level.value.encode()],
            [CLAIMS.app_id.encode()],
        ]
        assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert b"faked" not in b"".join(value for _, value in seen.fields)


def test_blanks_in_connection_cost_no_more_than_letters(tmp_path: Path) -> None:
    """An expression that looks from each of 8000 blanks at all behind it would take a worker a third of a second."""

    def spent() -> int:
        """Return the nanoseconds of processor time that the worker had."""
        return int(Path(f"/proc/{worker}/schedstat").read_text("ascii").split()[0])

    with nginx_before_api(tmp_path, bundle_of(ROUTES), workers=1) as rig:
        # The socket is open before the worker is forked, and a busy machine takes its time in between.
        until(lambda: len(rig.workers()) == 1)
        (worker,), taken = rig.workers(), list[int]()
        for inside in (b"a" * 8000, b" " * 8000):
            before = spent()
            for _ in range(5):
                assert rig.send(b"/open/x", b"Connection: a" + inside + b"a").status == 400
            taken.append(spent() - before)
    # 400 times as much, before; letters cost about as much as blanks.
    assert taken[1] < 40 * taken[0]


def test_watching_routes_report_and_vouch_for_nobody_unproved(rig: Rig) -> None:
    """A low level is told to the API, a missing proof leaves nobody to tell of."""
    assert rig.send(b"/watched", token=token(level=Level.SOFTWARE)).status == 200
    assert rig.api.seen[-1].values(b"watchword-level") == [b"software"]
    assert rig.send(b"/watched-pay", token=token()).status == 200
    assert not any(rig.api.seen[-1].values(name) for name in RESULTS)
    fields = proved("session", prover(level=Level.SOFTWARE), target="/watched-hw")
    assert rig.send(b"/watched-hw", *fields).status == 200
    assert not any(rig.api.seen[-1].values(name) for name in RESULTS)
    until(lambda: {"gate.level", "proof.missing"} <= {line["reason"] for line in rig.log()})
    (line,) = (line for line in rig.log() if line["reason"] == "proof.missing")
    assert (line["status"], line["details"]) == (200, "watchword_watched")


@pytest.mark.parametrize("size", [0, 1, 60_000, 150_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_compared_wherever_nginx_keeps_them(
    rig: Rig, size: int, *, chunked: bool
) -> None:
    """In memory, in a file, in chunks: what the proof covers passes, and one bit more doesn't."""
    body = secrets.token_bytes(size)
    for changed in (False, True):
        if not size and (changed or not chunked):
            continue
        sent = bytes([body[0] ^ 1]) + body[1:] if changed else body
        fields = proved("session", prover(), target="/pay", method="POST", body=body)
        head = [*fields, b"Transfer-Encoding: chunked"] if chunked else fields
        framed = (b"%x\r\n%b\r\n" % (size, sent) if size else b"") + b"0\r\n\r\n"
        data = request(b"/pay", *head, method=b"POST", body=b"" if chunked else sent)
        answer = rig.raw(data + framed if chunked else data)
        assert answer.status == (401 if changed else 200), rig.log()[-1]
        if not changed:
            assert rig.api.seen[-1].body == body


@pytest.mark.parametrize("kind", ["session", "device"])
def test_of_parallel_copies_one_passes(rig: Rig, kind: str) -> None:
    """Four workers know of each other's used proofs."""
    target = "/pay" if kind == "session" else "/sign"
    data = request(target.encode(), *proved(kind, prover(), target=target))
    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(answer.status for answer in pool.map(rig.raw, [data] * 16))
    assert statuses == [200, *[401] * 15]


def test_what_ends_while_a_body_is_waited_for_lets_nobody_in(tmp_path: Path) -> None:
    """Its proof, its epoch, its instance: asked again when the body is there."""
    bundle = bundle_of(ROUTES)
    body = b"a body that takes its time"
    with nginx_before_api(tmp_path, bundle, workers=1) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)

        def reason(meanwhile: Callable[[], object], **how: object) -> str:
            fields = proved("session", prover(), target="/pay", method="POST", body=body, **how)
            data = request(b"/pay", *fields, method=b"POST", body=body)
            with rig.connect() as connection:
                connection.sendall(data[: -len(body)])
                # The one worker has read the head when it answers another connection.
                assert rig.raw(EMPTY).status == 200
                meanwhile()
                connection.sendall(body)
                answer = read_answer(connection)
            return rig.reason(answer) if answer.status != 200 else ""

        assert reason(lambda: None) == ""
        created = int(SystemClock().timestamp()) - LIFE + 1
        ended = created + LIFE + 1
        assert reason(
            lambda: until(lambda: SystemClock().timestamp() >= ended), created=created
        ) == ("proof.expired")

        def push(generation: int, **changes: Any) -> None:
            pushed = replace(bundle, generation=generation, **changes)
            # A row of its own shows that the worker has it.
            row = route(f"/seen-{generation}", mode=Mode.OFF)
            policy = replace(bundle.policy, routes=(*bundle.policy.routes, row))
            rig.publish(replace(pushed, policy=policy))
            until(lambda: rig.send(f"/seen-{generation}".encode()).status == 200)

        assert reason(lambda: push(2, secrets=())) == "proof.epoch"
        push(3)
        assert reason(lambda: push(4, revoked=frozenset({CLAIMS.subject}))) == (
            "token.instance_revoked"
        )


def test_tokens_are_held_to_the_header_that_they_are_bound_to(tmp_path: Path) -> None:
    """Once, as it was bound, and under no second spelling that the API might read."""
    bound = token(binding=binding_of(b"user 1"))
    own = b"X-Session: user 1"
    cases = [
        (bound, [own], True),
        (bound, [], False),
        (bound, [b"X-Session: user 2"], False),
        (bound, [own, own], False),
        (bound, [own, b"X_Session: user 2"], False),
        (bound, [b"X_Session: user 1"], False),
        (bound, [own, b"Connection: x-session"], False),
        (token(), [own], False),
    ]
    bundle = bundle_of(ROUTES, binding_header=b"x-session")
    with nginx_before_api(tmp_path, bundle, workers=1) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        for held, fields, good in cases:
            answer = rig.send(b"/v1/x", *fields, token=held)
            assert (answer.status == 200) is good, fields
            named = any(field.startswith(b"Connection") for field in fields)
            expected = "request.framing" if named else "token.binding"
            assert good or rig.reason(answer) == expected
        assert rig.send(b"/watched", token=bound).status == 200
        assert not any(rig.api.seen[-1].values(name) for name in RESULTS)


@pytest.mark.parametrize("digest", [None, b"sha-512=:AAAA:", b"sha-256=:AAAA:"])
def test_a_body_without_its_digest_is_refused_for_that(rig: Rig, digest: bytes | None) -> None:
    """Before a byte of it is read."""
    fields = proved("session", prover(), target="/pay", method="POST")
    more = [] if digest is None else [b"Content-Digest: " + digest]
    answer = rig.send(b"/pay", *fields, *more, method=b"POST", body=b"x")
    assert rig.reason(answer) == "proof.digest"


def test_no_secret_stands_in_a_log_or_in_what_others_may_read(rig: Rig) -> None:
    """Tokens, proofs, keys and queries: in no log, and secrets in the private file alone."""
    instance = prover()
    fields = proved("session", instance, target="/pay?secret=query")
    assert rig.send(b"/pay?secret=other", *fields).status == 401
    assert rig.send(b"/pay?secret=query", *fields).status == 200
    until(lambda: any(line["reason"] == "proof.signature" for line in rig.log()))
    directory = rig.directory
    assert (directory / "gate-state").stat().st_mode & 0o777 == 0o600
    for name in ("access.log", "error.log", "out.log", "gate.lua", "nginx.conf"):
        text = (directory / name).read_text("utf-8", "replace")
        for secret in (instance.token, SECRET.secret.hex(), "secret=", instance.key.hex()):
            assert secret not in text, name


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "/",
                "a",
                ".",
                "%",
                "2",
                "5",
                "e",
                "E",
                "f",
                ";",
                "?x",
                "\\",
                "%2e",
                "%C3%A9",
                "%00",
                "%2f",
                "%25",
                "%C2%85",
                "%ed%a0%80",
                "~",
                "#",
                "*",
                "//",
                "%41",
            ]
        ),
        max_size=8,
    ).map(lambda parts: "/open/" + "".join(parts))
)
def test_paths_are_read_as_the_gate_reads_them(rig: Rig, target: str) -> None:
    """What the gate can read in one way below the route passes, and nothing else does."""
    path = target.partition("?")[0].encode()
    segments = read_path(path)
    good = not isinstance(segments, Refusal) and segments[0] == "open"
    answer = rig.raw(request(target.encode(), b"Connection: close"))
    assert (answer.status == 200) is good
    if good:
        assert rig.api.seen[-1].line == b"GET %b HTTP/1.1" % target.encode()


def test_pushes_reach_open_connections(tmp_path: Path) -> None:
    """A revoked instance, a removed key, another route: at the next request of the same connection."""
    first = bundle_of(ROUTES)
    with nginx_before_api(tmp_path, first) as rig, rig.connect() as connection:

        def status(target: bytes = b"/v1/x", **how: object) -> int:
            connection.sendall(request(target, **{"token": token(), **how}))  # type: ignore[arg-type]
            return read_answer(connection).status

        assert status() == 200
        rig.publish(replace(first, generation=2, revoked=frozenset({CLAIMS.subject})))
        assert until(lambda: status() == 401) < 5
        rig.publish(replace(first, generation=3))
        until(lambda: status() == 200)
        rig.publish(replace(first, generation=4, keys=(OTHER_KEY.published(),)))
        until(lambda: status() == 401)
        assert status(token=token(OTHER_KEY)) == 200
        rig.publish(replace(bundle_of([route("/v2")]), generation=5))
        until(lambda: status(b"/v2") == 200)
        assert status() == 403
        ended = replace(TOKEN_KEY.published(), verify_until=SystemClock().timestamp() + 2)
        rig.publish(replace(bundle_of(ROUTES), generation=6, keys=(ended,)))
        # Nobody writes anything more: the key ends by itself, also for a token that was verified before.
        held = token()
        until(lambda: status(token=held) == 401)
        wanted = {"token.instance_revoked", "token.key_unknown", "token.key_retired"}
        until(lambda: wanted <= {line["reason"] for line in rig.log()})


def test_what_one_worker_refuses_none_lets_pass(tmp_path: Path) -> None:
    """They look for pushes each in its own time, but whoever takes one tells the others."""
    bundle = bundle_of(ROUTES)

    def look_seldom(directory: Path) -> None:
        path = directory / "gate.lua"
        path.write_text(path.read_text("utf-8").replace("look_seconds = 0.2", "look_seconds = 2"))

    good = request(b"/v1/x", token=token())
    with (
        nginx_before_api(tmp_path, bundle, workers=4, then=look_seldom) as rig,
        ThreadPoolExecutor(16) as pool,
    ):

        def statuses() -> set[int]:
            return {answer.status for answer in pool.map(rig.raw, [good] * 32)}

        until(lambda: statuses() == {200})
        started = SystemClock().timestamp()
        until(lambda: SystemClock().timestamp() - started > 1)
        # Two that start later look at other times than the first ones.
        for worker in rig.workers()[:2]:
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(rig.workers()) == 4 and statuses() == {200})
        rig.publish(replace(bundle, generation=2, revoked=frozenset({CLAIMS.subject})))
        until(lambda: 401 in statuses())
        assert statuses() == {401}


def test_what_is_broken_changes_nothing(tmp_path: Path) -> None:
    """A file that is cut, older, empty, of other members or for others to read is told and not taken."""
    bundle = replace(bundle_of(ROUTES), generation=5)
    with nginx_before_api(tmp_path, bundle, workers=1) as rig:
        good = (tmp_path / "gate-state").read_bytes()
        members = json.loads(good.partition(b"\n")[0])

        def file(digests: bytes = b"", **changes: object) -> bytes:
            return b"%b\n%b\nend\n" % (json.dumps({**members, **changes}).encode(), digests)

        key = members["revoked"]["key"]
        of_subject = b"%016x" % digest_of(bytes.fromhex(key), CLAIMS.subject)
        base = {"key": key, "base": "0" * 16, "count": 1}
        broken = [
            (good[:-30], 0o600),
            (good[:-1], 0o600),
            (b"", 0o600),
            (file(of_subject + b" ", generation=4), 0o600),
            (file(of_subject), 0o600),
            (file(of_subject[:-1] + b" "), 0o600),
            (file(of_subject + b" ", revoked={**base, "key": key[:-2], "base": ""}), 0o600),
            (file(of_subject + b" ", revoked=base), 0o600),
            (file(of_subject + b" ", revoked={**base, "base": "../../../x"}), 0o600),
            (file(routes=[{}]), 0o600),
            (file(keys=[{"kid": "a", "head": "b"}]), 0o600),
            (good.replace(CLAIMS.issuer.encode(), b"https://other.example"), 0o644),
        ]
        until(lambda: rig.raw(EMPTY).status == 200)
        for told, (content, mode) in enumerate(broken):
            rig.write_state(content, mode)
            until(lambda told=told: rig.errors().count("changes nothing") > told)  # type: ignore[misc]
            assert rig.send(token=token()).status == 200
        (tmp_path / "gate-state").unlink()
        until(lambda: rig.errors().count("changes nothing") > len(broken))
        assert rig.send(token=token()).status == 200
        for line in rig.errors().splitlines():
            assert SECRET.secret.hex() not in line
        rig.publish(replace(bundle, generation=6, revoked=frozenset({CLAIMS.subject})))
        until(lambda: rig.send(token=token()).status == 401)


def test_before_the_first_state_nobody_passes(tmp_path: Path) -> None:
    """Without a file every route is closed, also one that is open; with one they open."""
    bundle = bundle_of(ROUTES)

    def hide(directory: Path) -> None:
        (directory / "gate-state").unlink()

    with nginx_before_api(tmp_path, bundle, then=hide) as rig:
        answer = rig.raw(EMPTY)
        assert (answer.status, answer.slug) == (503, "unavailable")
        assert b"retry-after: 5" in answer.head
        rig.publish(bundle)
        until(lambda: rig.raw(EMPTY).status == 200)


@pytest.mark.parametrize(
    ("broken", "becomes"),
    [
        (
            "local headers, more = get_headers(",
            'error("planted") local headers, more = get_headers(',
        ),
        ("function self.access()", 'function self.access() error("planted")'),
        ("local public = REFUSALS[reason]", 'error("planted") local public = REFUSALS[reason]'),
    ],
)
def test_an_error_in_the_script_lets_nobody_through(
    tmp_path: Path, broken: str, becomes: str
) -> None:
    """Wherever it throws: in the decision, around it, or in the refusal."""

    def plant(directory: Path) -> None:
        path = directory / "gate.lua"
        text = path.read_text("utf-8")
        assert broken in text
        path.write_text(text.replace(broken, becomes))

    with nginx_before_api(tmp_path, bundle_of(ROUTES), workers=1, then=plant) as rig:
        for data in (request(b"/v1/x", token=b"a.b.c"), request(b"/v1/x")):
            answer = rig.raw(data)
            assert answer.status == 500
            assert b"planted" not in answer.body
            assert b"lua" not in answer.body
        assert rig.api.seen == []


def test_rate_is_exact_over_workers_and_outlives_tokens(tmp_path: Path) -> None:
    """Forty at once over four workers: as many pass as the policy says, and the rest waits."""
    bundle = bundle_of(ROUTES, rate=Rate(20, 3600))
    with nginx_before_api(tmp_path, bundle, workers=4) as rig:
        data = [request(b"/v1/x", token=token()) for _ in range(40)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(rig.raw, data))
        assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 20
        refused = next(answer for answer in answers if answer.status == 429)
        wait = re.search(rb"retry-after: (\d+)", refused.head)
        assert wait is not None
        assert 150 < int(wait[1]) <= 180
        assert rig.reason(refused) == "gate.rate"
        assert rig.send(token=token(subject="another-instance")).status == 200


def test_instances_of_one_device_share_its_rate(tmp_path: Path) -> None:
    """Enrolling again brings no new rate; who is of no known device has his own, whatever he says of himself."""
    bundle = bundle_of(ROUTES, rate=Rate(4, 3600))
    with nginx_before_api(tmp_path, bundle, workers=2) as rig:
        names = ["a", "b", "c"] * 2
        sent = [token(subject=name, device="device-1") for name in names]
        answers = [rig.send(token=each).status for each in (*sent, *sent)]
        assert answers == [200] * 4 + [429] * 8
        assert rig.send(token=token(subject="d", device="device-2")).status == 200
        assert [rig.send(token=token(subject="a")).status for _ in range(5)] == [200] * 4 + [429]
        assert rig.reason(rig.send(token=token(device="two words"))) == "token.malformed"
