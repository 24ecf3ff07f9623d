"""Whoever follows for nginx starts it again when it dies, takes one over that runs, and ends its own."""

import os
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.unit.engines.envoy.rig import bundle_of, token, until
from tests.unit.engines.forward_auth.rig import ROUTES, NginxStand, nginx_before_api

from watchword.apps.engines.nginx import NginxAuthz, NginxError
from watchword.apps.engines.process import EngineProcessError
from watchword.engines.interface import Endpoint
from watchword.reasons import WatchwordError


def master(rig: NginxStand) -> int:
    """Return the process id of the running master."""
    return int(Path(rig.options.path("nginx.pid")).read_text("utf-8"))


def answers(rig: NginxStand) -> bool:
    """Tell whether anybody takes connections where clients come in."""
    listen = rig.options.listen
    family = socket.AF_UNIX if listen.socket else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(listen.socket or (listen.host, listen.port)) == 0


def test_one_that_dies_is_started_again_after_a_pause() -> None:
    """Its pause is told; a second follower takes over what runs, and doesn't end it."""
    seconds = [100.0]
    with nginx_before_api() as rig:
        told: list[str] = []
        again = NginxAuthz(
            rig.options, None, runs=True, notify=told.append, monotonic=lambda: seconds[0]
        )
        again.keep_running()
        again.stop()
        assert rig.send(token=token()).status == 200
        assert rig.running is not None
        rig.running.stop()
        until(lambda: not Path(rig.options.path("nginx.pid")).exists())
        again.keep_running()
        until(lambda: Path(rig.options.path("nginx.pid")).exists())
        seconds[0] += 5
        again.keep_running()
        first = master(rig)
        os.killpg(first, signal.SIGKILL)

        def died() -> bool:
            again.keep_running()
            return bool(told)

        until(died)
        assert "it is started again in 0.5 s" in told[0]
        # Its workers were killed too, and hold the address until they are gone.
        until(lambda: not answers(rig))
        again.keep_running()
        assert master(rig) == first
        seconds[0] += 0.6
        again.keep_running()
        until(lambda: Path(rig.options.path("nginx.pid")).read_text("utf-8") != f"{first}\n")
        until(lambda: rig.send(token=token()).status == 200)
        again.stop()
        assert not Path(rig.options.path("nginx.pid")).exists()


def test_one_that_isnt_there_is_said_so(tmp_path: Path) -> None:
    """By the name that was given."""
    with nginx_before_api() as rig, pytest.raises(NginxError, match="--binary"):
        NginxAuthz(rig.options, tmp_path / "none", runs=True, notify=print)


def test_one_that_cant_run_is_said_so() -> None:
    """An address that is taken, and one that ends at once: nobody tries for ever."""
    with nginx_before_api() as rig:
        seconds = [1.0]
        elsewhere = replace(rig.options, directory=rig.options.directory + "-none")
        taken = NginxAuthz(elsewhere, None, runs=True, notify=print)
        with pytest.raises(WatchwordError, match="--listen"):
            taken.keep_running()
        free = replace(elsewhere, listen=Endpoint("127.0.0.1", free_port()))
        hopeless = NginxAuthz(free, None, runs=True, notify=print, monotonic=lambda: seconds[0])

        def ended() -> bool:
            try:
                hopeless.keep_running()
            except EngineProcessError as error:
                assert "at once" in str(error)  # noqa: PT017 - it takes a moment to end.
                return True
            return False

        until(ended)


@pytest.mark.parametrize("unix", [False, True])
def test_a_master_that_is_killed_leaves_no_workers_and_no_address(*, unix: bool) -> None:
    """They would serve on, keep the address from the next nginx, and hear of no other configuration."""
    seconds = [100.0]
    with nginx_before_api() as rig:
        assert rig.running is not None
        rig.running.stop()
        if unix:
            at = Endpoint(socket=str(rig.directory / "in.sock"))
            rig.options = replace(rig.options, listen=at)
        told: list[str] = []
        again = NginxAuthz(rig.options, None, True, told.append, monotonic=lambda: seconds[0])
        rig.running = again
        assert rig.follower().step()
        again.keep_running()
        until(lambda: answers(rig))
        seconds[0] += 5
        again.keep_running()
        first = master(rig)
        os.kill(first, signal.SIGKILL)

        def died() -> bool:
            again.keep_running()
            return bool(told)

        until(died)
        until(lambda: not answers(rig))
        seconds[0] += 1
        again.keep_running()
        until(lambda: answers(rig))
        assert len(told) == 1
        again.stop()
        assert not answers(rig)


def test_a_check_that_could_not_be_made_is_made_again(tmp_path: Path) -> None:
    """An nginx that can't be started for a moment has rejected nothing: the push isn't lost."""
    binary = tmp_path / "nginx"
    with nginx_before_api() as rig:
        running = rig.running
        binary.write_text("no program")
        rig.running = NginxAuthz(rig.options, binary, runs=False, notify=rig.told.append)
        rig.publish(bundle_of(ROUTES, generation=2))
        follower = rig.follower()
        rig.running = running
        assert not follower.step()
        assert "can't check its files" in rig.told[-1]
        binary.unlink()
        binary.symlink_to(shutil.which("nginx") or "/usr/sbin/nginx")
        assert follower.step()
        assert "generation-2" in Path(rig.options.path("nginx.conf")).read_text("utf-8")
