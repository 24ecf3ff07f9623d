"""nginx keeps a verdict while nothing changed that it rests on, and not a moment longer."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.envoy.rig import bundle_of, read_answer, request, token, until
from tests.unit.engines.forward_auth.rig import ROUTES, SERVICE, NginxStand, nginx_before_api
from tests.unit.gate.simulators import CLAIMS

from watchword.adapters.gate_bundle.chain_file import append_lines, chain_path, write_chain
from watchword.apps.engines.nginx import NginxAuthz
from watchword.engines.interface import EngineOptions
from watchword.engines.nginx_authz import MARKER_PREFIX
from watchword.engines.registry import ENGINES
from watchword.gate.chain import delta_to_line, snapshot_to_line, tip_of
from watchword.gate.cuts import Cut
from watchword.gate.revocations import digest_of
from watchword.vocabulary import Level
from watchword_conformance.deployment import BUNDLE_FILE

REVOKED = frozenset({CLAIMS.subject})


@pytest.fixture
def rig() -> Iterator[NginxStand]:
    """Run nginx in memory, where it keeps verdicts."""
    with nginx_before_api() as running:
        yield running


def kept_files(rig: NginxStand) -> list[Path]:
    """Return the verdicts that nginx keeps."""
    return [path for path in Path(rig.options.path("kept")).rglob("*") if path.is_file()]


def test_only_the_same_request_of_the_same_token_needs_no_question(rig: NginxStand) -> None:
    """With nobody there to be asked, what was kept passes with its results; everything else is unavailable."""
    held = token()
    first = rig.send(b"/v1/patients?a=1", token=held)
    proved = rig.send(b"/proved/x", token=held)
    open_to_all = rig.send(b"/open/x", token=held)
    low = rig.send(b"/strong/x", token=token(level=Level.SOFTWARE))
    assert [each.status for each in (first, proved, open_to_all, low)] == [200, 401, 200, 403]
    until(lambda: len(kept_files(rig)) == 1)
    rig.stop_authz()
    rig.api.seen.clear()
    forged = (b"Watchword-Level: hardware", b"Watchword-Instance: me")
    again = rig.send(b"/v1/patients?a=1", *forged, token=held)
    assert (again.status, len(rig.api.seen)) == (200, 1)
    assert rig.api.seen[0].values(b"watchword-instance") == [CLAIMS.subject.encode()]
    assert rig.api.seen[0].values(b"watchword-level") == [CLAIMS.level.value.encode()]
    assert rig.api.seen[0].values(b"watchword-token") == []
    asked = [
        rig.send(b"/v1/patients?a=2", token=held),
        rig.send(b"/v1/patients", token=held),
        rig.send(b"/proved/x", token=held),
        rig.send(b"/open/x", token=held),
        rig.send(b"/v1/patients?a=1", token=token(token_id="another")),
        rig.send(b"/v1/patients?a=1", token=held + b"A"),
        rig.send(b"/v1/patients?a=1"),
        rig.send(b"/v1/patients?a=1", token=held, method=b"POST"),
        rig.send(b"/v1/patients?a=1", token=held, host=b"other.example"),
        rig.send(b"/v1/patients?a=1", b"Watchword-Token: " + held, token=held),
        rig.send(b"/v1/patients?a=1", b"Signature: watchword=:AA==:", token=held),
        rig.send(b"/v1/patients?a=1", b"Signature-Input: watchword=()", token=held),
        rig.send(b"/v1/patients?a=1", b"DPoP: x", token=held),
        rig.send(b"/v1/patients?a=1", b"Content-Digest: x", token=held),
        rig.send(b"/v1/patients?a=1", b"X-Original-Generation: 1", token=held),
        rig.send(b"/v1/patients?a=1", b"A: " + b"a" * 7000, b"B: " + b"b" * 7000, token=held),
        rig.raw(request(b"/v1/patients?a=1", b"Connection: authorization", token=held)),
    ]
    assert [each.status for each in asked] == [503] * len(asked)
    assert {each.slug for each in asked} == {"unavailable"}
    assert b"retry-after: 5" in asked[0].head
    assert len(rig.api.seen) == 1


def test_parts_of_a_request_cant_move_between_parts_of_the_key(rig: NginxStand) -> None:
    """A request that spells the same key in another way is another request, or none."""
    held = token()
    assert rig.send(b"/v1/a", token=held).status == 200
    until(lambda: len(kept_files(rig)) == 1)
    rig.stop_authz()
    moved = (
        b"GET /v1/a HTTP/1.1\r\nHost: clinic.example /v1/a\r\nWatchword-Token: %b\r\n\r\n" % held
    )
    early = b"GET  clinic.example /v1/a HTTP/1.1\r\nHost: x\r\nWatchword-Token: %b\r\n\r\n" % held
    absolute = (
        b"GET http://clinic.example/v1/a HTTP/1.1\r\nHost: clinic.example\r\n"
        b"Watchword-Token: %b\r\n\r\n" % held
    )
    assert [rig.raw(raw).status for raw in (moved, early, absolute)] == [400, 400, 400]
    assert rig.send(b"/v1/a", token=held).status == 200


def test_a_push_empties_what_is_kept_on_open_connections_too(rig: NginxStand) -> None:
    """The worker of the old configuration serves on, and asks again from the push on."""
    held = token()
    follower = rig.follower()
    assert follower.step()
    with rig.connect() as connection:

        def status() -> int:
            """Return 0 once the worker has closed it, which it may since it ends."""
            try:
                connection.sendall(request(b"/v1/patients", token=held))
            except ConnectionError:
                return 0
            return read_answer(connection).status

        assert status() == 200
        until(lambda: len(kept_files(rig)) == 1)
        rig.publish(bundle_of(ROUTES, generation=2, revoked=REVOKED))
        until(follower.step)
        # What a worker of either configuration kept counts no more, so that only /authz is waited for.
        until(lambda: status() in {401, 0})
        assert status() in {401, 0}
    assert rig.send(b"/v1/patients", token=held).status == 401
    assert {path.name for path in Path(rig.options.directory).glob(f"{MARKER_PREFIX}*")} == {
        f"{MARKER_PREFIX}2"
    }
    assert rig.told == []


def test_a_line_of_the_chain_empties_what_is_kept_too(rig: NginxStand) -> None:
    """A revocation, and a cut: from the step on at which it is known, every request is asked about."""
    held, path = token(), chain_path(rig.directory / BUNDLE_FILE)
    first = bundle_of(ROUTES, generation=2)
    snapshot = snapshot_to_line(first, b"k" * 12, b"", SERVICE)
    stamp = write_chain(path, [snapshot])
    follower = rig.follower()
    assert follower.step()
    until(lambda: rig.send(token=held).status == 200 and len(kept_files(rig)) > 0)
    rig.stop_authz()
    assert rig.send(token=held).status == 200
    gone = delta_to_line(
        first,
        replace(first, generation=3),
        tip_of(snapshot),
        [digest_of(b"k" * 12, CLAIMS.subject)],
        SERVICE,
    )
    stamp = append_lines(path, [gone], stamp)
    until(follower.step)
    until(lambda: rig.send(token=held).status == 503)
    assert Path(rig.options.path(f"{MARKER_PREFIX}3")).is_symlink()
    cut = replace(first, generation=4, cuts=(Cut(None, None, 1),))
    line = delta_to_line(replace(first, generation=3), cut, tip_of(gone), [], SERVICE)
    append_lines(path, [line], stamp)
    until(follower.step)
    assert Path(rig.options.path(f"{MARKER_PREFIX}4")).is_symlink()
    assert rig.send(token=held).status == 503


def test_without_the_file_of_its_generation_nothing_kept_is_used(rig: NginxStand) -> None:
    """Whoever removes it needs no reload: it is looked for with each request."""
    held = token()
    assert rig.send(token=held).status == 200
    until(lambda: len(kept_files(rig)) == 1)
    rig.stop_authz()
    assert rig.send(token=held).status == 200
    Path(rig.options.path(f"{MARKER_PREFIX}1")).unlink()
    assert rig.send(token=held).status == 503


def test_a_configuration_that_nginx_rejects_changes_nothing(rig: NginxStand) -> None:
    """It is told, the one before stays, and nothing is kept by it."""
    held, follower = token(), rig.follower()
    assert follower.step()
    before = Path(rig.options.path("nginx.conf")).read_bytes()
    follower._options = replace(rig.options, user="nobody-of-this-name")
    rig.publish(bundle_of(ROUTES, generation=2))
    until(lambda: bool(follower.step() or rig.told))
    assert "nginx doesn't take its files" in rig.told[0]
    assert Path(rig.options.path("nginx.conf")).read_bytes() == before
    assert rig.send(token=held).status == 200
    assert kept_files(rig) == []


def test_who_stops_to_follow_leaves_nothing_that_counts(rig: NginxStand) -> None:
    """It goes on and asks about every request: nobody would tell it of a push."""
    held = token()
    assert rig.send(token=held).status == 200
    until(lambda: len(kept_files(rig)) == 1)
    rig.stop_authz()
    assert rig.send(token=held).status == 200
    NginxAuthz(rig.options, None, runs=False, notify=rig.told.append).stop()
    assert rig.send(token=held).status == 503


def take_and_be_killed(options: EngineOptions, configuration: str) -> None:
    """Bring files to nginx in another process, which is killed when it has."""
    program = (
        "import os, sys\n"
        "from watchword.apps.engines.nginx import NginxAuthz\n"
        "from watchword.engines.interface import EngineFile, EngineFileKind\n"
        "from watchword.engines.interface import Endpoint, EngineOptions\n"
        "options = eval(sys.argv[1])\n"
        "follower = NginxAuthz(options, None, False, print)\n"
        "follower.take([EngineFile('nginx.conf', EngineFileKind.ROOT, sys.stdin.read())])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", program, repr(options)]
    done = subprocess.run(command, input=configuration.encode(), check=False)
    assert done.returncode == -9


def test_who_is_killed_leaves_nothing_that_counts(rig: NginxStand) -> None:
    """Nobody had time to remove the file; the next follower makes it count again."""
    held = token()
    assert rig.send(token=held).status == 200
    until(lambda: len(kept_files(rig)) == 1)
    rig.stop_authz()
    assert rig.send(token=held).status == 200
    take_and_be_killed(rig.options, Path(rig.options.path("nginx.conf")).read_text("utf-8"))
    until(lambda: rig.send(token=held).status == 503)
    assert Path(rig.options.path(f"{MARKER_PREFIX}1")).is_symlink()
    assert rig.follower().step()
    assert rig.send(token=held).status == 200


def test_files_that_nginx_was_not_told_of_are_loaded_by_the_next_follower(
    rig: NginxStand,
) -> None:
    """One was killed between writing and loading: what is on disk says nothing of what nginx has."""
    generate = ENGINES["nginx-authz"].generate
    assert generate is not None
    moved = replace(rig.options, upstream=replace(rig.options.upstream, port=9))
    (configuration,) = [
        file for file in generate(bundle_of(ROUTES), moved, 0) if file.name == "nginx.conf"
    ]
    Path(rig.options.path("nginx.conf")).write_text(configuration.content, "utf-8")
    assert rig.send(token=token()).status == 200
    running, rig.options = rig.running, moved
    rig.running = NginxAuthz(moved, None, runs=False, notify=rig.told.append)
    follower = rig.follower()
    rig.running = running
    assert follower.step()
    until(lambda: rig.send(token=token()).status == 502)
