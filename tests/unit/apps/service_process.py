"""Run ``watchword up`` in a process of its own, in front of an API that answers what it was sent."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.unit.apps.forked_commands import command

from watchword.apps.settings.template import TEMPLATE

WATCHWORD = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]


class Upstream(BaseHTTPRequestHandler):
    """Answer every GET and POST with what the request carried."""

    def do_GET(self) -> None:
        """Answer with path, headers and body."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        told = {"path": self.path, "headers": dict(self.headers), "body": sent}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer as to a GET."""
        self.do_GET()

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@contextmanager
def upstream(answering: type[BaseHTTPRequestHandler] = Upstream) -> Iterator[int]:
    """Run an API and give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def configuration(tmp_path: Path, upstream_port: int, **replace: str) -> Path:
    """Write the template with free ports."""
    text = TEMPLATE
    for old, new in {
        "8440": str(free_port()),
        "8080": str(free_port()),
        "9000": str(upstream_port),
        **replace,
    }.items():
        text = text.replace(old, new)
    file = tmp_path / "watchword.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@contextmanager
def running(file: Path, *options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Run ``watchword up`` until it says where it listens."""
    process = subprocess.Popen(
        [*WATCHWORD, "-c", str(file), "up", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield (json.loads(line) if line else {}), process
    finally:
        process.kill()
        process.communicate()


def watchword(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command on the same file."""
    return command(Path.cwd(), "-c", str(file), *arguments)
