"""Run what stands behind the example: the clinic's API, and a third party that bills whoever's key it's shown.

The third party speaks TLS under a certificate of its own authority (``assistant-ca.pem``) and takes the keys in
``provider-keys.txt``, one a line, as its customers' console would have them.
"""

import hmac
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from watchword.adapters.system import SystemEntropy
from watchword.broker.honeytokens import RANDOM_BYTES, make_honeytoken
from watchword.lab.channel_authorities import ChannelAuthorities

KEYS = Path("provider-keys.txt")


def new_key() -> str:
    """Return a key in the form of a well-known provider of language models; it opens nothing anywhere else."""
    return make_honeytoken("openai", SystemEntropy().token_bytes(RANDOM_BYTES)).value


class Answering(BaseHTTPRequestHandler):
    """Answer JSON, and keep quiet about it."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: dict[str, object]) -> None:
        """Send an answer."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        raw = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name.
        """Print nothing."""


class Clinic(Answering):
    """The API behind the gate."""

    def do_GET(self) -> None:
        """Answer a reading."""
        self.answer(200, {"patient": 17, "diagnosis": "J45.0"})


class Assistant(Answering):
    """The third party: it answers whoever shows a key, for anything that the key opens."""

    def do_POST(self) -> None:
        """Answer a question, for a fee."""
        if self._key_is_good():
            self.answer(200, {"answer": "Drink more water.", "path": self.path})

    def do_GET(self) -> None:
        """Show the account of the key's owner."""
        if self._key_is_good():
            self.answer(200, {"invoices": "all of them", "path": self.path})

    def _key_is_good(self) -> bool:
        shown = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        good = any(hmac.compare_digest(shown, each) for each in KEYS.read_text().split())
        if not good:
            self.answer(401, {"error": "no such key"})
        return good


def assistant() -> ThreadingHTTPServer:
    """Return the third party, listening, with a certificate for localhost."""
    web = ChannelAuthorities(SystemEntropy().token_bytes(32)).web
    identity = Path("assistant.pem")
    identity.touch(mode=0o600)
    identity.write_bytes(web.server("assistant", ["localhost"]).pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    identity.unlink()
    server = ThreadingHTTPServer(("127.0.0.1", 9443), Assistant)
    # Whoever waits for this file finds a server that listens.
    Path("assistant-ca.pem").write_bytes(web.root_pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def main() -> None:
    """Make the first key where there is none, and serve both until somebody ends it."""
    if not KEYS.exists():
        KEYS.touch(mode=0o600)
        KEYS.write_text(new_key() + "\n")
    try:
        clinic = ThreadingHTTPServer(("127.0.0.1", 9000), Clinic)
        third_party = assistant()
    except OSError as error:
        sys.exit(f"can't listen at port 9000 or 9443: {error.strerror}")
    threading.Thread(target=third_party.serve_forever, daemon=True).start()
    clinic.serve_forever()


if __name__ == "__main__":
    main()
