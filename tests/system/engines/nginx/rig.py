"""Start the real nginx, with the files that are written for it, in front of an API that remembers what reached it."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.unit.engines.envoy.rig import Answer, Api, Fronted, until

from watchword.apps.engines.follower import write_files
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions
from watchword.engines.nginx import generate
from watchword.gate.bundle import GateBundle

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or "nginx"
EMPTY = b"GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Rig(Fronted):
    """Hold a running nginx."""

    options: EngineOptions
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def directory(self) -> Path:
        """Return where its files are."""
        return Path(self.options.directory)

    def publish(self, bundle: GateBundle) -> None:
        """Write what decides, as a push does; nginx is told nothing."""
        kinds = {EngineFileKind.BULK, EngineFileKind.PRIVATE}
        files = generate(bundle, self.options, 0.0)
        write_files(self.directory, [file for file in files if file.kind in kinds])

    def write_state(self, content: bytes, mode: int = 0o600) -> None:
        """Put something else in the place of what decides."""
        new = self.directory / ".state"
        new.write_bytes(content)
        new.chmod(mode)
        new.replace(self.directory / "gate-state")

    def send(self, target: bytes = b"/v1/x", *fields: bytes, **how: Any) -> Answer:
        """Send one request on a connection of its own."""
        return super().send(target, *fields, **how)

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def errors(self) -> str:
        """Return nginx's own log."""
        return (self.directory / "error.log").read_text("utf-8", "replace")


@contextlib.contextmanager
def nginx_before_api(
    directory: Path,
    bundle: GateBundle,
    *,
    workers: int = 2,
    then: Callable[[Path], object] = lambda _: None,
) -> Iterator[Rig]:
    """Run nginx in front of a new API until the block ends; ``then`` happens to its files before it starts."""
    api = Api()
    directory.chmod(0o700)
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", api.port),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    files = generate(bundle, options, 0.0)
    write_files(directory, files)
    written = directory / "nginx.conf"
    text = written.read_text("utf-8")
    written.write_text(text.replace("worker_processes auto;", f"worker_processes {workers};"))
    then(directory)
    with (directory / "out.log").open("wb") as log:
        command = [NGINX, "-c", str(written), "-e", str(directory / "error.log")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    rig = Rig(options, api, process)
    try:
        until(lambda: _listens(rig))
        yield rig
    finally:
        process.terminate()
        process.wait()
        api.shutdown()
        api.server_close()


def _listens(rig: Rig) -> bool:
    assert rig.process.poll() is None, (rig.directory / "out.log").read_text() + rig.errors()
    return rig.listens()
