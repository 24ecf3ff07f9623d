"""Guard an ASGI or WSGI application in its own process.

::

    app.add_middleware(WatchwordMiddleware, gate=gate_from("watchword.yaml", api="clinic"))  # FastAPI, Starlette
    app.wsgi_app = WatchwordWsgiMiddleware(app.wsgi_app, gate=gate_from("watchword.yaml", api="clinic"))  # Flask
"""

from watchword.extras import needs

with needs("config"):
    from watchword.apps.compose.gates import gate_from
    from watchword.apps.gateway.asgi import WatchwordMiddleware
    from watchword.apps.gateway.guard import require_claims, verified_claims
    from watchword.apps.gateway.wsgi import WatchwordWsgiMiddleware

__all__ = [
    "WatchwordMiddleware",
    "WatchwordWsgiMiddleware",
    "gate_from",
    "require_claims",
    "verified_claims",
]
