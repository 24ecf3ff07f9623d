"""Run a real Envoy with the smallest configuration around the script, and an API behind it."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic  # noqa: TID251 - a real Envoy is waited for in real time.
from typing import Any, NamedTuple

from tests.ports import free_port
from tests.system.engines.envoy.signatures import AUDIENCE, HOST, ISSUER

ENVOY = Path(sys.executable).with_name("envoy")
LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3."
FILTERS = "type.googleapis.com/envoy.extensions.filters.http."


class Answer(NamedTuple):
    """Hold an answer: status, head (as text) and body."""

    status: int
    head: str
    body: bytes

    @property
    def seen(self) -> dict[str, Any]:
        """Return what the API saw of the request."""
        seen: dict[str, Any] = json.loads(self.body)
        return seen


class Api:
    """Answer each request with what arrived, as JSON."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._server))
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                self.requests += 1
                fields = [line.partition(": ")[::2] for line in head[1:] if line]
                body = json.dumps({"line": head[0], "headers": fields}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def configuration(
    *, script: str, jwks: str, api_port: int, folder: Path, **listener: Any
) -> dict[str, Any]:
    """Return a bootstrap: token check, script, router; ``/session`` and ``/device`` say what they need.

    The listener comes from a file, so that a test can replace it.
    """
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock")}}},
        "dynamic_resources": {
            "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(folder / "xds" / "lds.json"),
                    "watched_directory": {"path": str(folder / "xds")},
                },
            }
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "api",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": "api",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _at(api_port)}}]}],
                    },
                }
            ]
        },
    }


def _at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(*, script: str, jwks: str, port: int, log: Path) -> dict[str, Any]:
    """Return the listener as the content of an LDS file."""
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": jwks},
        "from_headers": [{"name": "Watchword-Token"}],
        "forward": True,
        "header_in_metadata": "watchword",
        "require_expiration": True,
        "clock_skew_seconds": 1,
        "jwt_cache_config": {"jwt_cache_size": 4096},
    }

    def route(prefix: str, proof: str) -> dict[str, Any]:
        context = {"proof": proof}
        return {
            "match": {"prefix": prefix},
            "route": {"cluster": "api"},
            "typed_per_filter_config": {
                "envoy.filters.http.lua": {"@type": LUA + "LuaPerRoute", "filter_context": context}
            },
        }

    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3"
                    ".FileAccessLog",
                    "path": str(log),
                    "log_format": {
                        "json_format": {
                            "ref": "%REQ(X-REQUEST-ID)%",
                            "reason": "%DYNAMIC_METADATA(watchword:reason)%",
                        }
                    },
                },
            }
        ],
        "route_config": {
            "request_headers_to_remove": ["watchword-token", "signature-input", "signature"],
            "virtual_hosts": [
                {
                    "name": "api",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/plain"},
                            "route": {"cluster": "api"},
                            "typed_per_filter_config": {
                                "envoy.filters.http.lua": {
                                    "@type": LUA + "LuaPerRoute",
                                    "disabled": True,
                                }
                            },
                        },
                        route("/device", "device"),
                        route("/unverified/device", "device"),
                        route("/wrong", "strongest"),
                        {"match": {"prefix": "/unset"}, "route": {"cluster": "api"}},
                        route("/", "session"),
                    ],
                }
            ],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.jwt_authn",
                "typed_config": {
                    "@type": FILTERS + "jwt_authn.v3.JwtAuthentication",
                    "providers": {"watchword": provider},
                    "rules": [
                        {"match": {"prefix": "/plain"}},
                        {"match": {"prefix": "/unverified"}},
                        {
                            "match": {"prefix": "/"},
                            "requires": {"provider_name": "watchword"},
                        },
                    ],
                },
            },
            {
                "name": "envoy.filters.http.lua",
                "typed_config": {
                    "@type": LUA + "Lua",
                    "default_source_code": {"inline_string": script},
                    "clear_route_cache": False,
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": FILTERS + "router.v3.Router"},
            },
        ],
    }
    resource = {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "edge",
        "address": _at(port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {"version_info": str(time.time_ns()), "resources": [resource]}


class Envoy:
    """Hold one running Envoy."""

    def __init__(
        self,
        folder: Path,
        api: Api,
        *,
        jwks: str,
        script: str,
        workers: int = 1,
        ready: bool = True,
    ) -> None:
        """Write its configuration and start it.

        :param ready: wait until it answers; else until it serves its admin socket.
        """
        self.folder, self.api, self.jwks, self.workers = folder, api, jwks, workers
        self.port = free_port()
        self.latest = Answer(0, "", b"")
        self.access_log = folder / "access.log"
        self.write(script)
        bootstrap = configuration(script=script, jwks=jwks, api_port=api.port, folder=folder)
        (folder / "bootstrap.json").write_text(json.dumps(bootstrap), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.start(ready=ready)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def write(self, script: str) -> None:
        """Replace the listener's file."""
        text = json.dumps(
            listener(script=script, jwks=self.jwks, port=self.port, log=self.access_log)
        )
        temporary = self.folder / "lds.new"
        temporary.write_text(text, encoding="utf-8")
        (self.folder / "xds").mkdir(exist_ok=True)
        temporary.rename(self.folder / "xds" / "lds.json")

    def start(self, *, ready: bool = True) -> None:
        """Start the process."""
        with (self.folder / "envoy.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(ENVOY),
                    *("-c", str(self.folder / "bootstrap.json")),
                    *("--concurrency", str(self.workers)),
                    "--disable-hot-restart",
                    *("-l", "warning"),
                ],
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: (self.folder / "admin.sock").exists() and self.admin("/ready") != "")
        if ready:
            wait_for(lambda: self.stat("listener_manager.total_listeners_active") == 1)
            wait_for(lambda: self.send("/plain").status == 200)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    @property
    def log(self) -> str:
        """Return what Envoy printed."""
        return (self.folder / "envoy.log").read_text(encoding="utf-8")

    def admin(self, path: str, method: str = "GET") -> str:
        """Return an answer of the admin interface; empty while there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.folder / "admin.sock"))
                connection.sendall(
                    f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode()
                )
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""

    def stat(self, name: str) -> int:
        """Return a counter or gauge, 0 if Envoy doesn't have it."""
        found = re.search(
            rf"^{re.escape(name)}: (\d+)", self.admin(f"/stats?filter={name}"), re.MULTILINE
        )
        return int(found[1]) if found else 0

    def raw(self, data: bytes) -> Answer:
        """Send bytes on a connection of their own; return the first answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            self.latest = read_answer(connection)
            return self.latest

    def send(
        self,
        target: str,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        method: str = "GET",
        host: str = HOST,
        body: bytes = b"",
    ) -> Answer:
        """Send one request on a connection of its own."""
        return self.raw(request(target, headers, method=method, host=host, body=body))

    def reason(self, ref: str = "") -> str:
        """Return the reason that the access log has for a refusal, by default for the latest one."""
        ref = ref or str(json.loads(self.latest.body)["ref"])
        deadline = monotonic() + 10
        while monotonic() < deadline:
            self.admin("/reopen_logs", "POST")
            for line in self.access_log.read_text(encoding="utf-8").splitlines():
                if ref in line and line.endswith("}"):
                    return str(json.loads(line)["reason"])
            time.sleep(0.01)
        raise AssertionError("the access log hasn't got it")


def request(
    target: str,
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    *,
    method: str = "GET",
    host: str = HOST,
    body: bytes = b"",
) -> bytes:
    """Return a request as bytes."""
    fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{n}: {v}" for n, v in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer that has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return Answer(0, "", data)
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    length = re.search(r"^content-length: (\d+)", text, re.MULTILINE | re.IGNORECASE)
    while length and len(body) < int(length[1]):
        chunk = connection.recv(65536)
        if not chunk:
            break
        body += chunk
    return Answer(int(text.split(" ")[1]), text, body)


def wait_for(condition: Any, seconds: float = 10) -> None:
    """Wait until a condition holds."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.01)
