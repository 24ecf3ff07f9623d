"""Listen for an engine's questions, in one of the three ways that nobody else can ask."""

from contextlib import AsyncExitStack

import structlog

from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.tls import require_tls_files
from watchword.apps.gateway.authz.application import AuthzApp
from watchword.apps.gateway.authz.callers import Credential
from watchword.apps.settings import ApiSettings, Settings
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog

_log = structlog.get_logger()


async def serve_authz(
    stack: AsyncExitStack,
    settings: Settings,
    api: ApiSettings,
    gate: Gate,
    *,
    refusal_log: RefusalLog,
    clock: Clock,
    entropy: Entropy,
) -> str:
    """Answer questions about one API until the stack is left; return where, for people.

    :raises WatchwordError: when the credential can't be read or the address can't be taken.
    :raises ValueError: for an API without ``authz``.
    """
    ways = api.authz
    if ways is None:
        raise ValueError(f"{api.name} has no authz section")
    app = AuthzApp(
        gate,
        style=ways.style,
        clock=clock,
        credential=None if ways.credential is None else Credential.read(ways.credential),
        signs=api.signed_verdict,
        refusal_log=refusal_log,
        entropy=entropy,
    )
    if ways.tls is not None:
        require_tls_files(*ways.tls)
    if ways.listen is None:
        server = HttpServer(app, uds=settings.service.authz_socket(api.name))
    else:
        server = HttpServer(app, host=ways.listen.host, port=ways.listen.port, tls=ways.tls)
    await server.start()
    stack.push_async_callback(server.stop)
    _log.info("authz ready", api=api.name, listen=server.address, style=ways.style)
    return server.address
