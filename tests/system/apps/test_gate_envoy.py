"""Show ``watchword gate config`` and ``watchword gate envoy`` as an operator meets them."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from tests.ports import free_port
from tests.unit.apps.service_process import configuration, running, upstream, watchword
from tests.unit.engines.envoy.followers import comm, following
from tests.unit.engines.envoy.rig import admin, until

SESSION = {"proof: bearer\n": "proof: session\n        methods: [GET]\n"}


def test_a_phone_passes_envoy_and_nobody_else(tmp_path: Path) -> None:
    """A phone passes Envoy with its proof, nobody else does, and the end is clean."""
    with upstream() as port, running(configuration(tmp_path, port, **SESSION)):
        file = tmp_path / "watchword.yaml"
        with following(file, tmp_path / "e", free_port()) as edge:
            until(lambda: edge.status() == 401, 15)
            served = watchword(file, "lab", "request", "genuine-iphone", edge.url, "--json")
            assert served.returncode == 0, served.stderr
            assert "watchword-level" in served.stdout.lower()
            assert httpx.get(f"http://127.0.0.1:{edge.port}/health").status_code == 200
            edge.process.send_signal(signal.SIGTERM)
            assert edge.process.wait(10) == 0
            assert edge.status() == 0
        assert [line for line in edge.lines if line.startswith("Wrote generation")]
        assert any(f"clients come in at 127.0.0.1:{edge.port}" in line for line in edge.lines)


def test_a_script_can_follow_along(tmp_path: Path) -> None:
    """With --json each event is one object: what was written, and where clients come in."""
    with upstream() as port, running(configuration(tmp_path, port)):
        with following(tmp_path / "watchword.yaml", tmp_path / "e", free_port(), "--json") as edge:
            until(lambda: edge.status() == 401, 15)
        events = [json.loads(line) for line in edge.lines if line.startswith("{")]
        assert events[0]["generation"] > 0
        assert {"envoy": "started", "listen": f"127.0.0.1:{edge.port}"} in events


def test_envoy_outlives_its_control_plane_and_the_next_one_takes_it_over(tmp_path: Path) -> None:
    """Envoy outlives its control plane, killed; the next one takes it over, and mends it when it dies."""
    with upstream() as port, running(configuration(tmp_path, port)):
        file = tmp_path / "watchword.yaml"
        listen = free_port()
        with following(file, tmp_path / "e", listen) as first:
            until(lambda: first.status() == 401, 15)
            envoy = first.envoy()
            first.process.kill()
            first.process.wait()
            assert first.status() == 401
            with following(file, tmp_path / "e", listen) as second:
                until(lambda: any("taken over" in line for line in second.lines), 15)
                assert second.envoy() == envoy
                listed = watchword(file, "lab", "request", "genuine-android", second.url, "--json")
                assert listed.returncode == 0, listed.stderr
                os.kill(envoy, signal.SIGKILL)
                until(lambda: any("started again in 0.5 s" in line for line in second.lines), 15)
                until(lambda: second.status() == 401, 15)
                os.kill(second.envoy(), signal.SIGKILL)
                until(lambda: any("started again in 1 s" in line for line in second.lines), 15)
                until(lambda: second.status() == 401, 15)
                last = second.envoy()
            assert comm(last) == ""


def test_what_envoy_rejects_is_put_right_on_disk(tmp_path: Path) -> None:
    """What Envoy rejects is put right on disk, and told."""
    with upstream() as port, running(configuration(tmp_path, port)):
        file = tmp_path / "watchword.yaml"
        directory = tmp_path / "e"
        with following(file, directory, free_port()) as edge:
            until(lambda: edge.status() == 401, 15)
            good = (directory / "routes.yaml").read_bytes()

            def rejected() -> bool:
                new = directory / "new"
                new.write_text("resources: [{", "utf-8")
                new.replace(directory / "routes.yaml")
                try:
                    until(lambda: (directory / "routes.yaml").read_bytes() == good, 2)
                except AssertionError:
                    return False  # What is good isn't known in the first two seconds.
                return True

            until(rejected, 15)
            assert edge.status() == 401
            assert any("Envoy rejected its configuration" in line for line in edge.lines)
            edge.process.send_signal(signal.SIGINT)
            assert edge.process.wait(10) == 1


def test_config_alone_is_enough_for_a_start_by_hand(tmp_path: Path) -> None:
    """Config alone writes what Envoy needs, and says how to go on; before a bundle, what is missing."""
    with upstream() as port:
        file = configuration(tmp_path, port)
        options = ("gate", "config", "--engine", "envoy", "-o", str(tmp_path / "e"))
        early = watchword(file, *options)
        assert early.returncode == 3
        assert "`watchword up` or `watchword gate pull` writes it" in early.stderr
        assert not (tmp_path / "e").exists()
        with running(file):
            done = watchword(file, *options)
            told = json.loads(watchword(file, *options, "--json").stdout)
        told_of_root = os.geteuid() == 0
        assert (done.returncode, done.stderr.count("\n")) == (0, told_of_root)
        assert told["start"] in done.stdout
        assert set(told["files"]) <= {path.name for path in (tmp_path / "e").iterdir()}
        assert (tmp_path / "e").stat().st_mode & 0o777 == 0o700
        assert {"bootstrap.yaml", "README.md"} <= {path.name for path in (tmp_path / "e").iterdir()}


@pytest.mark.parametrize(
    ("more", "said", "code"),
    [
        (["--envoy", "/no/such/envoy"], "/no/such/envoy: isn't there", 1),
        (["--api", "shop"], "got 'shop', expected one of: clinic", 1),
        (["--listen", "nowhere"], "--listen: got 'nowhere', expected unix:PATH or HOST:PORT", 1),
        (["--authz", "127.0.0.1:1"], "name its Unix socket", 1),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(
    tmp_path: Path, more: list[str], said: str, code: int
) -> None:
    """What is wrong is said with the way out, and nothing is written."""
    file = configuration(tmp_path, 9)
    found = watchword(file, "gate", "envoy", "-o", str(tmp_path / "e"), "--run", *more)
    assert (found.returncode, found.stdout) == (code, "")
    assert said in found.stderr
    assert not (tmp_path / "e").exists()


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    """An address that is taken is said: Envoy would share it with the proxy of ``up``."""
    with upstream() as port, running(configuration(tmp_path, port)):
        file = tmp_path / "watchword.yaml"
        found = watchword(file, "gate", "envoy", "-o", str(tmp_path / "e"), "--run")
        assert found.returncode == 1
        assert "Name another address with --listen" in found.stderr


def test_admin_answers_on_its_socket_alone(tmp_path: Path) -> None:
    """Admin answers on its socket, mode 0600, in a directory of mode 0700."""
    with upstream() as port, running(configuration(tmp_path, port)):
        file = tmp_path / "watchword.yaml"
        with following(file, tmp_path / "e", free_port()) as edge:
            until(lambda: edge.status() == 401, 15)
            place = edge.directory / "admin.sock"
            assert place.stat().st_mode & 0o777 == 0o600
            assert b"LIVE" in admin(str(place), "/ready")
