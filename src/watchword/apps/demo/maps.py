"""Serve the third party of the demo: a map service that bills whoever's key it's shown, over TLS as all of them."""

import hmac
import json
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watchword.adapters.http_server.mutual_tls import MutualTlsServer
from watchword.lab.channel_authorities import ChannelAuthorities
from watchword.ports import Entropy

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HOST: Final = "localhost"
"""The name in its certificate; a real one has a name of its own."""

AUTHORITY: Final = "maps-ca.pem"
"""File of the authority that vouches for it."""

_SEED_BYTES = 32
_KEY_BYTES = 24


@dataclass(slots=True)
class MapService:
    """Answer ``/geocode/...`` and ``/account``, to whoever shows a key that it gave out.

    :ivar keys: the keys that it takes.
    :ivar billed: how many calls it answered.
    :ivar refused: how many it refused for want of a key.
    :ivar headers: names of the headers of the last call.
    """

    keys: set[str] = field(default_factory=set, repr=False)
    billed: int = 0
    refused: int = 0
    headers: frozenset[str] = frozenset()

    def give_out(self, entropy: Entropy) -> str:
        """Return a new key, as the provider's console does; the older ones stay good."""
        key = f"maps-{entropy.token_bytes(_KEY_BYTES).hex()}"
        self.keys.add(key)
        return key

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        shown = headers.get("authorization", b"").removeprefix(b"Bearer ")
        self.headers = frozenset(headers)
        path, body = scope["path"], {"place": "Bad Homburg", "at": [50.2268, 8.6182]}
        if not any(hmac.compare_digest(shown, each.encode()) for each in self.keys):
            self.refused += 1
            status, body = 403, {"error": "no such key"}
        elif path == "/account":
            status, body = 200, {"invoices": "all of them"}
        elif path.startswith("/geocode/"):
            self.billed += 1
            status = 200
        else:
            status, body = 404, {"error": "no such path"}
        raw = json.dumps(body).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": raw})


def served_over_tls(
    service: MapService, directory: Path, entropy: Entropy
) -> tuple[MutualTlsServer, Path]:
    """Return a server for it, not started yet, and the file with the authority of its certificate.

    :param directory: gets both files; removed by whoever made it.
    """
    web = ChannelAuthorities(entropy.token_bytes(_SEED_BYTES)).web
    identity, authority = directory / "maps.pem", directory / AUTHORITY
    identity.write_bytes(web.server("maps", [HOST]).pem)
    identity.chmod(0o600)
    authority.write_bytes(web.root_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    return MutualTlsServer(service, tls=context, peer_state="demo.peer"), authority
