"""Rehearse an example: run the real service beside it, and send the app on simulated phones."""

import contextlib
import random  # noqa: TID251 - jitter.
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import WatchwordClient
from watchword.lab import PHONES, InstalledAndroidApp, PhoneSetup

SIGNER = bytes.fromhex("4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718")
"""The digest of the clinic's signing key, as the examples' watchword.yaml names it."""


@contextlib.contextmanager
def running(configuration: Path, directory: Path) -> Iterator[Settings]:
    """Run ``watchword up`` on a free port, with a copy of an example's configuration."""
    file = on_a_free_port(configuration, directory)
    watchword = Path(sys.executable).with_name("watchword")
    command = [str(watchword), "-c", str(file), "up", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        assert service.stdout.readline()  # It says where it listens when it does.
        yield load_settings(file)
        service.terminate()


def on_a_free_port(configuration: Path, directory: Path) -> Path:
    """Copy an example's configuration so that its service listens on a port that nobody else has; return the copy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = directory / "watchword.yaml"
    file.write_text(configuration.read_text().replace("8440", str(port)))
    return file


def app_on(kind: str, settings: Settings, audience: str) -> WatchwordClient:
    """Return the app on a simulated Android phone of this kind."""
    authorities = load_or_create(settings.service.state_dir, SystemEntropy())
    phone = PHONES[kind].build(
        InstalledAndroidApp("com.example.clinic", (SIGNER,)),
        PhoneSetup(authorities, SystemClock(), name=f"{kind}-{random.random()}"),
    )
    return WatchwordClient(
        settings.service.issuer,
        "clinic-android",
        phone,
        [audience],
        clock=time.time,  # noqa: TID251
        jitter=random.random,
    )


class _Server(ThreadingMixIn, WSGIServer):
    """Serve each connection on a thread of its own, as production servers do."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(application: Callable[[dict[str, Any], Any], Iterable[bytes]]) -> Iterator[str]:
    """Serve a WSGI application over HTTP; give its URL."""
    with _Server(("127.0.0.1", 0), _Quiet) as server:
        server.set_app(application)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
