"""`watchword plan workshop` as a process: who gets in, what raw requests do to it, and how it ends."""

import http.client
import json
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.machine import patience
from tests.unit.apps.service_process import WATCHWORD

EXAMPLE = Path("examples/api-key-script.yaml")


class Running:
    """Hold a workshop that runs."""

    def __init__(self, file: Path) -> None:
        """Start it, and come in."""
        self.file = file
        self.process = subprocess.Popen(
            [*WATCHWORD, "-c", str(file), "plan", "workshop", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], patience(30))
        assert ready, "it didn't say where it is"
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.url = str(told["url"])
        self.port = urlsplit(self.url).port or 0
        status, headers, _ = self.asked("GET", f"/?{urlsplit(self.url).query}", {})
        assert status == 303
        self.cookie = headers["set-cookie"].partition(";")[0]

    def asked(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(30))
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def page(self, path: str) -> tuple[int, bytes]:
        """Ask for a page as somebody who is in."""
        status, _, body = self.asked("GET", path, {"cookie": self.cookie})
        return status, body

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return what comes until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), patience(30)) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
        return received

    def ended(self, number: signal.Signals) -> tuple[int, str]:
        """Tell it to end, and return its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=patience(30))
        return self.process.returncode, errors


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Run a workshop on the seed's example."""
    file = tmp_path / "watchword.yaml"
    shutil.copy(EXAMPLE, file)
    made = Running(file)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()


def test_raw_requests_are_refused_and_the_next_page_is_there(running: Running) -> None:
    """Nothing that a socket can say gets in, ends it, or shows where in the code it was."""
    host = f"Host: 127.0.0.1:{running.port}\r\n"
    cookie = f"Cookie: {running.cookie}\r\n"
    close = "Connection: close\r\n"
    origin = f"Origin: http://127.0.0.1:{running.port}\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    refused = [
        f"GET / HTTP/1.1\r\nHost: attacker.example\r\n{cookie}{close}\r\n",
        f"GET http://attacker.example/ HTTP/1.1\r\nHost: attacker.example\r\n{cookie}{close}\r\n",
        f"GET / HTTP/1.1\r\n{host}Host: attacker.example\r\n{cookie}{close}\r\n",
        f"GET / HTTP/1.0\r\n{cookie}\r\n",
        f"GET / HTTP/1.1\r\n{host}{close}\r\n",
        f"POST /undo HTTP/1.1\r\n{host}{cookie}{close}{form}Content-Length: 0\r\n\r\n",
        f"POST /undo HTTP/1.1\r\n{host}{cookie}{close}{origin}{form}Content-Length: 0\r\n\r\n",
        f"POST /undo HTTP/1.1\r\n{host}{cookie}{close}{origin}{form}Content-Length: 99999999999\r\n\r\n",
        f"PUT / HTTP/1.1\r\n{host}{cookie}{close}{origin}Content-Length: 0\r\n\r\n",
        f"GET /{'a' * 1_000_000} HTTP/1.1\r\n{host}{cookie}{close}\r\n",
        "\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
    ]
    for request in refused:
        answer = running.raw(request.encode("latin-1"))
        assert not answer or answer.split(b" ", 2)[1].startswith(b"4"), request[:80]
        assert b"Traceback" not in answer
    # A body that never comes: the connection is given up by the sender.
    with socket.create_connection(("127.0.0.1", running.port), patience(30)) as connection:
        connection.sendall(
            f"POST /undo HTTP/1.1\r\n{host}{cookie}{origin}{form}Content-Length: 500\r\n\r\ncsrf=".encode()
        )
    head = running.raw(f"HEAD /assets HTTP/1.1\r\n{host}{cookie}{close}\r\n".encode())
    assert head.startswith(b"HTTP/1.1 200")
    assert head.endswith(b"\r\n\r\n")

    status, body = running.page("/assets")
    assert status == 200
    assert b"backend-records" in body
    code, errors = running.ended(signal.SIGTERM)
    assert (code, errors) == (0, "")


def test_many_silent_connections_keep_nobody_out(running: Running) -> None:
    """Heads that never end are cut off, and pages are served beside them."""
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(300)]
    try:
        for each in silent:
            each.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert running.page("/assets")[0] == 200
    finally:
        for each in silent:
            each.close()


def test_a_second_workshop_of_a_file_is_told_where_the_first_is(running: Running) -> None:
    """It says the address without the key; another file's workshop says that a port is taken."""

    def started(file: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*WATCHWORD, "-c", str(file), "plan", "workshop", "--no-browser", *options],
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )

    second = started(running.file)
    assert second.returncode == 2
    assert f"open already at http://127.0.0.1:{running.port}/" in second.stderr
    assert "key=" not in second.stderr

    other = running.file.with_name("other.yaml")
    shutil.copy(EXAMPLE, other)
    taken = started(other, "--port", str(running.port))
    assert taken.returncode == 1
    assert "taken by another process" in taken.stderr
    assert running.page("/assets")[0] == 200


def test_each_end_is_there_and_the_plan_is_printed(running: Running) -> None:
    """Chromium prints the page for management, in a directory that is gone afterwards."""
    before = set(Path(tempfile.gettempdir()).glob("watchword-pdf-*"))
    for name in (
        "plan.md",
        "tickets-github.json",
        "tickets-jira.csv",
        "plan.cdx.json",
        "record.md",
    ):
        status, body = running.page(f"/ends/{name}")
        assert status == 200
        assert body
    status, body = running.page("/ends/management.pdf")
    assert status == 200
    assert body.startswith(b"%PDF-")
    assert set(Path(tempfile.gettempdir()).glob("watchword-pdf-*")) <= before


def test_the_same_ends_are_there_without_the_workshop(tmp_path: Path) -> None:
    """`watchword plan` writes the tickets and the page for management."""

    def plan(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*WATCHWORD, "-c", str(EXAMPLE), "plan", *options],
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )

    github, jira = plan("--tickets", "github"), plan("--tickets", "jira")
    assert json.loads(github.stdout)[0]["title"].startswith("[PR-")
    assert jira.stdout.startswith('"Summary","Description"')
    page = tmp_path / "plan.html"
    assert plan("--management", str(page)).returncode == 0
    assert "What to protect first" in page.read_text("utf-8")
    page.write_text("somebody's own", encoding="utf-8")
    assert plan("--management", str(page)).returncode == 2
    assert page.read_text("utf-8") == "somebody's own"
    assert plan("--tickets", "jira", "--json").returncode == 2
