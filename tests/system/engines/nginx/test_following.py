"""Bring bundles to a running nginx: a push is no reload, a reload is checked before, and who died is started again."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.system.engines.nginx.rig import EMPTY
from tests.unit.engines.envoy.rig import Api, Fronted, bundle_of, route, token, until
from tests.unit.gate.simulators import CLAIMS

from watchword.apps.engines import cli
from watchword.apps.engines.commands import RUNNING
from watchword.apps.engines.follower import EngineRejectedError
from watchword.apps.engines.nginx import Nginx
from watchword.engines.interface import Endpoint, EngineOptions, Files
from watchword.engines.nginx import generate
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle
from watchword.vocabulary import Mode, Proof

ROUTES = [route("/open/**", mode=Mode.OFF), route("/v1/**")]
BUNDLE = bundle_of(ROUTES)


class Followed:
    """Hold an nginx that is run as `watchword gate follow --run` does."""

    def __init__(self, directory: Path) -> None:
        """Prepare; nothing is written yet."""
        self.api = Api()
        self.told: list[str] = []
        self.now = 0.0
        self.options = EngineOptions(
            directory=str(directory),
            listen=Endpoint("127.0.0.1", free_port()),
            upstream=Endpoint("127.0.0.1", self.api.port),
            access_log=str(directory / "access.log"),
            replay_directory=str(directory),
        )
        self.engine = Nginx(self.options, None, True, self.told.append, lambda: self.now)

    def files(self, bundle: GateBundle) -> Files:
        """Return the files of a bundle."""
        return generate(bundle, self.options, 0.0)

    def run(self, bundle: GateBundle) -> None:
        """Take a bundle and wait until nginx serves."""
        self.engine.take(self.files(bundle))
        self.serve()

    def serve(self) -> None:
        """Look as the command does, until nginx serves."""

        def open_now() -> bool:
            self.now += 0.5
            self.engine.keep_running()
            try:
                return self.status(EMPTY) == 200
            except OSError:
                return False

        until(open_now)

    def status(self, data: bytes) -> int:
        """Return the status of an answer."""
        return Fronted(self.options, self.api).raw(data).status

    def master(self) -> int:
        """Return the process that is told to reload."""
        return int(Path(self.options.path("nginx.pid")).read_text())

    def workers(self) -> set[str]:
        """Return the processes that serve."""
        pid = self.master()
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """Run nothing yet; whatever runs is ended."""
    tmp_path.chmod(0o700)
    made = Followed(tmp_path)
    yield made
    made.engine.stop()
    made.api.shutdown()
    made.api.server_close()


def request_with_token() -> bytes:
    """Return a good request."""
    return b"GET /v1/x HTTP/1.1\r\nHost: a\r\nWatchword-Token: " + token() + b"\r\n\r\n"


def test_the_engine_is_known_by_its_name() -> None:
    """`watchword gate follow --engine nginx` brings files by this."""
    assert RUNNING["nginx"] is Nginx


def test_a_push_is_no_reload_and_another_script_is_one(followed: Followed) -> None:
    """The same workers refuse a revoked instance; a first route with a proof needs others."""
    followed.run(BUNDLE)
    workers = followed.workers()
    assert followed.status(request_with_token()) == 200
    followed.engine.take(
        followed.files(replace(BUNDLE, generation=2, revoked=frozenset({CLAIMS.subject})))
    )
    until(lambda: followed.status(request_with_token()) == 401)
    assert followed.workers() == workers
    proved = bundle_of([*ROUTES, route("/pay", proof=Proof.SESSION)], generation=3)
    followed.engine.take(followed.files(proved))
    until(lambda: not followed.workers() & workers)
    until(lambda: followed.status(request_with_token()) == 200)


def test_what_nginx_doesnt_take_changes_nothing(followed: Followed) -> None:
    """Neither the configuration, nor the script, nor what decides: nginx goes on with what it had."""
    followed.run(BUNDLE)
    directory = Path(followed.options.directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    for name in ("gate.lua", "nginx.conf"):
        broken = [
            replace(file, content=f"]] {file.content}") if file.name == name else file
            for file in followed.files(replace(BUNDLE, generation=2, keys=()))
        ]
        with pytest.raises(EngineRejectedError):
            followed.engine.take(broken)
    for name in ("gate.lua", "nginx.conf", "gate-state"):
        assert (directory / name).read_bytes() == before[name]
    assert followed.status(request_with_token()) == 200


def test_who_died_is_started_again_later_each_time(followed: Followed) -> None:
    """The master is killed twice; its workers are gone with it, or serve until they see it."""
    followed.run(BUNDLE)
    followed.now += 2
    followed.engine.keep_running()
    for _ in range(2):
        workers = followed.workers()
        os.kill(followed.master(), signal.SIGTERM)
        until(lambda workers=workers: not any(Path(f"/proc/{w}").exists() for w in workers))  # type: ignore[misc]
        until(lambda: _tells(followed))
        followed.told.clear()
        followed.serve()
    assert followed.status(request_with_token()) == 200


def _tells(followed: Followed) -> bool:
    followed.engine.keep_running()
    return any("started again" in line for line in followed.told)


def test_the_command_line_names_every_engine() -> None:
    """Help names them without importing one, and so by hand: they are those that there are."""
    assert list(cli.ENGINES) == sorted(ENGINES)
    assert list(cli.FOLLOWED) == sorted(name for name in ENGINES if ENGINES[name].follows)
    assert set(cli.FOLLOWED) == set(RUNNING)
