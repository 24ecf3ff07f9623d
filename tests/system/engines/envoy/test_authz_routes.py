"""Show what goes over ``/authz``: the real Envoy asks the real forward auth on a Unix socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy.rig import (
    OTHER_KEY,
    TOKEN_KEY,
    Answer,
    Rig,
    bundle_of,
    envoy_before_api,
    request,
    route,
    token,
)
from tests.unit.gate.simulators import PublishedState

from watchword.adapters.http_server import serve
from watchword.adapters.replay.host import HostReplayStore
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.gateway.authz import AuthzApp
from watchword.engines.interface import Endpoint
from watchword.gate.bundle import GateBundle
from watchword.gate.service import Gate
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

BOTH = frozenset({"GET", "POST"})
ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR, level=Level.HARDWARE),
    route("/new/**", minimum_versions={"clinic-ios": "2.0"}),
    route("/pay/**", proof=Proof.SESSION, methods=BOTH, max_body=2_000_000),
    route("/sign/**", proof=Proof.DEVICE, methods=BOTH, max_body=1000, dpop=True),
    route("/v1/**", methods=BOTH),
]


class ShiftedClock(SystemClock):
    """Be ahead of the system's clock by some seconds."""

    ahead = 0.0

    def timestamp(self) -> float:
        """Return the seconds since 1970."""
        return super().timestamp() + self.ahead


@contextmanager
def authz(
    bundle: GateBundle, path: Path, store: Path, clock: SystemClock | None = None
) -> Iterator[None]:
    """Answer questions until the block ends."""
    state = PublishedState(
        keys={key.kid: key for key in (TOKEN_KEY.published(), OTHER_KEY.published())},
        policy=bundle.policy,
        secrets={secret.epoch: secret for secret in bundle.secrets},
        revoked=set(bundle.revoked),
    )
    gate = Gate(
        state,
        memory=MemoryReplayStore(),
        shared=HostReplayStore(store),
        entropy=SystemEntropy(),
    )
    app = AuthzApp(gate, style="envoy", clock=clock or SystemClock())
    loop = asyncio.new_event_loop()
    ready, ended = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with serve(app, uds=path):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


@contextmanager
def running(directory: Path, bundle: GateBundle, clock: SystemClock | None = None) -> Iterator[Rig]:
    """Run both."""
    directory.mkdir(exist_ok=True)
    path = directory / "authz.sock"
    with (
        authz(bundle, path, directory / "used.sqlite", clock),
        envoy_before_api(directory / "e", bundle, authz=Endpoint(socket=str(path))) as rig,
    ):
        yield rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run both for all cases that change nothing."""
    with running(tmp_path_factory.mktemp("a"), bundle_of(ROUTES)) as found:
        yield found


def nonce_of(answer: Answer) -> str:
    """Return the nonce that came with an answer; the header's case is lost, the nonce's isn't."""
    for line in answer.raw_head.splitlines():
        name, _, value = line.partition(": ")
        if name.lower() == "watchword-nonce":
            return value
    return ""


def results(rig: Rig) -> dict[bytes, bytes]:
    """Return what the API saw last of what is between client and gate."""
    ours = (b"watchword", b"signature", b"dpop")
    return {name: value for name, value in rig.api.seen[-1].fields if name.startswith(ours)}


VERIFIED = {
    b"watchword-instance": b"pairwise-subject-of-an-instance",
    b"watchword-level": b"hardware",
    b"watchword-app": b"clinic-ios",
}


@pytest.mark.parametrize(
    ("kind", "target", "size"),
    [("session", "/pay/1", 5), ("session", "/pay/1", 1_500_000), ("device", "/sign/1", 900)],
)
def test_a_body_reaches_the_api_as_it_was_proved_and_once(
    rig: Rig, kind: str, target: str, size: int
) -> None:
    """A body reaches the API as it was proved and once."""
    body = b"b" * size
    fields = proved(kind, prover(), method="POST", target=target, body=body)
    other = rig.send(target.encode(), *fields, method=b"POST", body=b"c" + body[1:])
    assert (other.status, other.slug) == (401, "proof-refused")
    assert rig.send(target.encode(), *fields, method=b"POST", body=body).status == 200
    assert rig.api.seen[-1].body == body
    assert results(rig) == VERIFIED
    again = rig.send(target.encode(), *fields, method=b"POST", body=body)
    assert (again.status, again.slug) == (401, "proof-used")
    assert b"application/problem+json" in again.head
    assert again.problem["ref"]


def test_a_body_over_the_limit_never_reaches_the_api(rig: Rig) -> None:
    """A body over the limit never reaches the API, whether it says its length or not."""
    body = b"b" * 1001
    fields = proved("device", prover(), method="POST", target="/sign/1", body=body)
    before = len(rig.api.seen)
    answer = rig.send(b"/sign/1", *fields, method=b"POST", body=body)
    assert (answer.status, answer.slug) == (413, "body-too-large")
    chunked = request(b"/sign/1", *fields, b"Transfer-Encoding: chunked", method=b"POST")
    answer = rig.raw(chunked + b"3e9\r\n" + body + b"\r\n0\r\n\r\n")
    assert (answer.status, answer.slug) == (413, "body-too-large")
    assert len(rig.api.seen) == before


def test_a_chunked_body_is_proved_too(rig: Rig) -> None:
    """A chunked body is proved too, and one that isn't the proved one is refused."""
    fields = proved("session", prover(), method="POST", target="/pay/1", body=b"abc")
    chunked = request(b"/pay/1", *fields, b"Transfer-Encoding: chunked", method=b"POST")
    assert rig.raw(chunked + b"3\r\nabd\r\n0\r\n\r\n").slug == "proof-refused"
    assert rig.raw(chunked + b"3\r\nabc\r\n0\r\n\r\n").status == 200
    assert rig.api.seen[-1].body == b"abc"


def test_dpop_is_taken_where_it_is_allowed(rig: Rig) -> None:
    """DPoP is taken where it is allowed, once, and for its own token and URL."""
    instance = prover()
    fields = proved("dpop", instance, url="https://clinic.example/sign/1")
    assert rig.send(b"/sign/2", *fields).slug == "proof-refused"
    assert rig.send(b"/sign/1", *fields).status == 200
    assert results(rig) == VERIFIED
    assert rig.send(b"/sign/1", *fields).slug == "proof-used"
    elsewhere = proved("dpop", instance, url="https://clinic.example/pay/1")
    assert rig.send(b"/pay/1", *elsewhere).status == 401


def test_a_watched_route_lets_pass_and_vouches_for_nobody_it_did_not_identify(rig: Rig) -> None:
    """A watched route lets pass and vouches for nobody it did not identify."""
    assert rig.send(b"/watched/1", b"Watchword-Level: hardware").status == 200
    assert not {name: value for name, value in results(rig).items() if value}
    assert rig.send(b"/watched/1", token=token()).status == 200
    assert results(rig) == VERIFIED
    body = b"x" * 100_000
    assert rig.send(b"/watched/1", method=b"POST", body=body).status == 200
    assert rig.api.seen[-1].body == body


def test_an_old_version_is_refused_where_a_newer_one_is_asked(rig: Rig) -> None:
    """An old version is refused where a newer one is asked."""
    assert rig.send(b"/new/1", token=token()).status == 403
    assert rig.send(b"/new/1", token=token(app_version="2.0.1")).status == 200
    assert rig.send(b"/new/1").slug == "token-required"


def test_shared_replay_counts_what_another_gate_took(tmp_path: Path) -> None:
    """Shared replay counts what another gate took: two Envoys, two gates, one store."""
    bundle = bundle_of(ROUTES, replay=ReplayMode.SHARED)
    store = tmp_path / "used.sqlite"
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    with (
        authz(bundle, one, store),
        authz(bundle, two, store),
        envoy_before_api(tmp_path / "1", bundle, authz=Endpoint(socket=str(one))) as first,
        envoy_before_api(tmp_path / "2", bundle, authz=Endpoint(socket=str(two))) as second,
    ):
        for kind, target in (("session", "/pay/1"), ("device", "/sign/1")):
            fields = proved(kind, prover(), target=target)
            assert first.send(target.encode(), *fields).status == 200
            assert second.send(target.encode(), *fields).slug == "proof-used"


def test_a_nonce_of_the_gate_reaches_the_client(tmp_path: Path) -> None:
    """A nonce of the gate reaches the client, with a refusal, and with the API's answer when it ages."""
    clock = ShiftedClock()
    with running(tmp_path, bundle_of(ROUTES, replay=ReplayMode.AFFINE), clock) as rig:
        instance = prover()
        refused = rig.send(b"/pay/1", *proved("session", instance, target="/pay/1"))
        assert (refused.status, refused.slug) == (401, "proof-nonce")
        given = nonce_of(refused)
        assert len(given) == 30
        fields = proved("session", instance, target="/pay/1", nonce=f"{given}own-part-of-client")
        assert rig.send(b"/pay/1", *fields).status == 200
        assert rig.send(b"/pay/1", *fields).slug == "proof-used"
        clock.ahead = 200
        late = int(clock.timestamp())
        fields = proved(
            "session", instance, target="/pay/1", nonce=f"{given}other-part-of-it", created=late
        )
        passed = rig.send(b"/pay/1", *fields)
        assert passed.status == 200
        assert nonce_of(passed) not in {"", given}


def test_nobody_passes_while_python_does_not_answer(tmp_path: Path) -> None:
    """Nobody passes while Python does not answer; what Envoy judges itself goes on."""
    nobody = Endpoint(socket=str(tmp_path / "nobody.sock"))
    with envoy_before_api(tmp_path / "e", bundle_of(ROUTES), authz=nobody) as rig:
        answer = rig.send(b"/watched/1", token=token())
        assert (answer.status, answer.slug) == (503, "unavailable")
        fields = proved("session", prover(), method="POST", target="/pay/1", body=b"x")
        assert rig.send(b"/pay/1", *fields, method=b"POST", body=b"x").slug == "unavailable"
        assert rig.api.seen == []
        assert rig.send(b"/pay/1", *proved("session", prover(), target="/pay/1")).status == 200
        thief = replace(prover(), key=b"k" * 32)
        assert rig.send(b"/pay/1", *proved("session", thief, target="/pay/1")).status == 401
