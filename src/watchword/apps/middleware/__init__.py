"""Guard an ASGI application in its own process.

::

    app.add_middleware(WatchwordMiddleware, gate=gate_from("watchword.yaml", api="clinic"))
"""

from watchword.apps.middleware.asgi import WatchwordMiddleware
from watchword.apps.middleware.gates import gate_from

__all__ = ["WatchwordMiddleware", "gate_from"]
