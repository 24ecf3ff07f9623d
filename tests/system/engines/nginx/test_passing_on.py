"""Hold nginx to what happens around the decision: what the API gets twice, what stands in a log, what a rate counts."""

import contextlib
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.nginx.bench import bench
from tests.system.engines.nginx.rig import EMPTY, nginx_before_api
from tests.unit.adapters.loopback import end_listening
from tests.unit.engines.envoy.rig import bundle_of, read_answer, request, route, token, until

from watchword.engines.lua import part
from watchword.gate.interface import Rate
from watchword.vocabulary import Mode, Proof

ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/pay/**", proof=Proof.SESSION),
    route("/v1/**"),
]


class Fickle:
    """Be an API that answers once on each connection, and ends it upon the next request that it has read."""

    def __init__(self) -> None:
        """Listen, in a thread."""
        self.lines: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as read, contextlib.suppress(OSError):
            for answers in (True, False):
                line = read.readline().strip()
                while read.readline().strip():
                    pass
                if not line:
                    return
                self.lines.append(line)
                if answers:
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    def close(self) -> None:
        """Listen no more."""
        end_listening(self._listening)


def elsewhere(directory: Path, port: int) -> None:
    """Send what passes to another API."""
    path = directory / "nginx.conf"
    text = path.read_text("utf-8")
    path.write_text(
        re.sub(r"(server )127\.0\.0\.1:\d+(;\s+keepalive)", rf"\g<1>127.0.0.1:{port}\2", text)
    )


@pytest.fixture
def fickle() -> Iterator[Fickle]:
    """Run such an API."""
    api = Fickle()
    yield api
    api.close()


def test_what_may_not_be_repeated_reaches_the_api_once(tmp_path: Path, fickle: Fickle) -> None:
    """One proof is one request: nginx repeats what it takes for harmless, and a method that it doesn't know."""
    target = b"/pay/%41x?a=%zz"
    with nginx_before_api(
        tmp_path, bundle_of(ROUTES), workers=1, then=lambda files: elsewhere(files, fickle.port)
    ) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        for method, times in ((b"GET", 2), (b"POST", 1), (b"BUY", 1), (b"M-SEARCH", 1)):
            # A connection to the API is kept from here on.
            until(lambda: rig.raw(EMPTY).status == 200)
            fickle.lines.clear()
            fields = proved("session", prover(), target=target.decode(), method=method.decode())
            answer = rig.raw(request(target, *fields, method=method))
            assert fickle.lines == [method + b" " + target + b" HTTP/1.1"] * times
            assert answer.status == (200 if times > 1 else 502)
            if times == 1:
                assert rig.reason(answer) == "gate.upstream"
                assert rig.log()[-1]["method"] == method.decode()


def test_no_log_has_a_query_where_the_api_is_gone_or_the_script_broken(tmp_path: Path) -> None:
    """What nginx writes for a request has the request line beside it: it writes nothing for one."""

    def breaks(directory: Path) -> None:
        elsewhere(directory, free_port())
        path = directory / "gate.lua"
        planted = 'if target.path == "/open/broken" then error("planted " .. target.query) end'
        text = path.read_text("utf-8")
        assert "\n    if route.mode ==" in text.partition("local route = target.route\n")[2]
        assert "if route.mode ==" not in text.partition("local route = target.route\n")[0]
        path.write_text(text.replace("if route.mode ==", planted + " if route.mode ==", 1))

    held = token()
    with nginx_before_api(tmp_path, bundle_of(ROUTES), workers=1, then=breaks) as rig:
        until(lambda: rig.raw(EMPTY).status == 502)
        fields = [b"Referer: https://a.example/?secret=referer"]
        answer = rig.send(b"/v1/x?secret=query", *fields, token=held)
        assert rig.reason(answer) == "gate.upstream"
        assert rig.reason(rig.send(b"/v1/x?secret=query", token=held + b"x")) == "token.malformed"
        bad = b"Transfer-Encoding: chunked\r\n\r\nnonsense"
        rig.raw(request(b"/open/x?secret=query", bad, method=b"POST"))
        assert rig.send(b"/open/broken?of-the-fault", *fields, token=held).status == 500
        until(lambda: "planted" in rig.errors())
        for name in ("access.log", "error.log", "out.log"):
            text = (tmp_path / name).read_text("utf-8", "replace")
            assert "secret=" not in text, name
            assert held.decode()[:60] not in text, name
            assert "GET /" not in text, name


def test_a_route_that_watches_is_closed_where_it_cannot_report(tmp_path: Path) -> None:
    """What nobody would hear of doesn't pass, and the operator hears of that."""

    def breaks(directory: Path) -> None:
        path = directory / "gate.lua"
        text = path.read_text("utf-8")
        start = "local function note(reason, details)"
        assert start in text
        path.write_text(text.replace(start, start + ' error("planted")'))

    rows = [*ROUTES, route("/watched", mode=Mode.MONITOR)]
    with nginx_before_api(tmp_path, bundle_of(rows), workers=1, then=breaks) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        seen = len(rig.api.seen)
        assert rig.send(b"/watched?secret=query").status == 500
        until(lambda: "planted" in rig.errors())
        assert "secret=" not in rig.errors()
        assert len(rig.api.seen) == seen


def test_a_reload_under_load_refuses_no_proof_and_takes_none_twice(tmp_path: Path) -> None:
    """Old workers and new ones know of the same used proofs; a connection that ends is opened again."""
    with nginx_before_api(tmp_path, bundle_of(ROUTES)) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        ending = threading.Event()
        met: list[tuple[int, int]] = []

        def sends() -> None:
            instance = prover()
            while not ending.is_set():
                data = request(b"/pay/x", *proved("session", instance, target="/pay/x"))
                with rig.connect() as kept:
                    for _ in range(5):
                        with contextlib.suppress(OSError):
                            kept.sendall(data)
                        met.append((read_answer(kept).status, rig.raw(data).status))
                        data = request(b"/pay/x", *proved("session", instance, target="/pay/x"))
                        if not met[-1][0]:
                            break

        threads = [threading.Thread(target=sends) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            before = set(rig.workers())
            rig.process.send_signal(signal.SIGHUP)
            until(lambda before=before: bool(set(rig.workers()) - before))  # type: ignore[misc]
        ending.set()
        for thread in threads:
            thread.join()
    # A kept connection may end between two requests; its proof was never taken then, and the copy is the first.
    assert set(met) <= {(200, 401), (0, 200)}
    assert (200, 401) in met


def test_a_rate_counts_what_passes_when_it_does(tmp_path: Path) -> None:
    """Bodies that are held back until there are many of them are no way around it."""
    bundle = bundle_of(ROUTES, rate=Rate(2, 1))
    with nginx_before_api(tmp_path, bundle, workers=1) as rig:
        until(lambda: rig.raw(EMPTY).status == 200)
        held = []
        for number in range(4):
            for _ in range(2):
                fields = proved("session", prover(), target="/pay/x", method="POST", body=b"xy")
                connection = rig.connect()
                data = request(b"/pay/x", *fields, method=b"POST", body=b"xy")
                connection.sendall(data[:-1])
                held.append(connection)
            # The one worker has read these heads when it answers, and more than a second goes by to the next.
            until(lambda: rig.raw(EMPTY).status == 200)
            if number < 3:
                threading.Event().wait(1.1)
        for connection in held:
            connection.sendall(b"y")
        statuses = sorted(read_answer(connection).status for connection in held)
        for connection in held:
            connection.close()
        assert statuses.count(200) < len(held)
        assert set(statuses) == {200, 429}


def test_instances_are_forgotten_also_where_a_request_costs_less_than_a_millisecond(
    tmp_path: Path,
) -> None:
    """Else the dictionary would be full for ever once enough of them had come by."""

    def small(directory: Path) -> None:
        path = directory / "nginx.conf"
        text = path.read_text("utf-8")
        path.write_text(text.replace("watchword_rate 32m", "watchword_rate 64k"))

    bundle = bundle_of(ROUTES, rate=Rate(5000, 1))
    with (
        nginx_before_api(tmp_path, bundle, workers=1, then=small) as rig,
        rig.connect() as connection,
    ):
        until(lambda: rig.raw(EMPTY).status == 200)
        for number in range(700):
            connection.sendall(request(b"/v1/x", token=token(subject=f"instance-{number}")))
            assert read_answer(connection).status == 200, number


_LOCKS = """
local C = ffi.C
local one, other = C.mmap(nil, 4096, 3, 0x21, -1, 0), C.mmap(nil, 4096, 3, 0x21, -1, 0)
return function(body)
  system.make_lock(one)
  system.make_lock(other)
  local said = {}
  -- As a thread of another container does that has the same number.
  C.pthread_mutex_lock(one)
  said[1] = tostring(system.lock(one))
  C.pthread_mutex_unlock(one)
  said[2] = tostring(system.lock(one))
  -- As after an error that threw before it was given back.
  said[3] = tostring(system.lock(one))
  system.unlock(one)
  said[4] = tostring(system.lock(other))
  system.unlock(other)
  return table.concat(said, " ")
end
"""


def test_a_lock_that_a_stranger_of_the_same_number_has_is_not_ours(tmp_path: Path) -> None:
    """Two containers that share the table of used proofs may each have a process of one number."""
    script = "\n".join((part("nginx/01_start"), part("system"), _LOCKS))
    with bench(tmp_path, script) as running:
        assert running.ask(b"") == b"false true true true"
