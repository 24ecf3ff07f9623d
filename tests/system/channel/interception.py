"""Start a real mitmproxy from its own virtual environment, and see what it reads."""

import json
import queue
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from watchword.lab.channel_authorities import WebAuthority

ROOT = Path(__file__).resolve().parents[3]
MITMDUMP = ROOT / ".venv" / "mitmproxy" / "bin" / "mitmdump"
ADDON = Path(__file__).with_name("interception_addon.py")
_START_SECONDS = 60
_READ_SECONDS = 20


@dataclass
class Interceptor:
    """Be somebody on the way whose authority the client trusts: as a CONNECT proxy, and in the place of a server.

    :ivar captured: API keys that it read, in order.
    """

    authority: WebAuthority
    upstream_trust: Path
    upstream: str
    directory: Path
    captured: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start it; returns when it listens."""
        if not MITMDUMP.exists():
            raise FileNotFoundError(f"{MITMDUMP} is missing: run scripts/setup")
        (self.directory / "mitmproxy-ca.pem").write_bytes(self.authority.root_and_key_pem)
        command = [
            str(MITMDUMP),
            "--quiet",
            *("--set", f"confdir={self.directory}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={self.upstream_trust}"),
            *("--set", "connection_strategy=lazy"),
            # Two servers at port 0 must differ in their address, or it takes them for one.
            *("--mode", "regular@127.0.0.2:0"),
            *("--mode", f"reverse:{self.upstream}@127.0.0.1:0"),
            *("-s", str(ADDON)),
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._arrived = threading.Condition()
        self._listening: dict[str, int] = {}
        self._output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._arrived:
            up = self._arrived.wait_for(
                lambda: self._listening or self._process.poll() is not None, _START_SECONDS
            )
        if not up or not self._listening:
            self.close()
            raise RuntimeError(f"mitmproxy didn't start: {''.join(self._output)}")

    @property
    def proxy(self) -> str:
        """Return the URL of the CONNECT proxy."""
        port = next(port for spec, port in self._listening.items() if spec.startswith("regular"))
        return f"http://127.0.0.2:{port}"

    @property
    def in_place(self) -> str:
        """Return the URL at which it stands in the server's place."""
        port = next(port for spec, port in self._listening.items() if spec.startswith("reverse"))
        return f"https://localhost:{port}/patients"

    def waits_for(self, key: str) -> bool:
        """Tell whether it read this key, within some seconds; what it read before is in ``captured`` by then too."""
        with self._arrived:
            return self._arrived.wait_for(lambda: key in self.captured, _READ_SECONDS)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(line)
        with self._arrived:
            self._arrived.notify_all()

    def _take(self, line: str) -> None:
        try:
            members = json.loads(line)
        except ValueError:
            self._output.append(line)
            return
        with self._arrived:
            self._listening |= members.get("listening", {})
            if "captured" in members:
                self.captured.append(members["captured"])
            self._arrived.notify_all()
