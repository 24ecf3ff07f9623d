"""Stand in front of an API: the built-in reverse proxy."""

from watchword.apps.proxy.asgi import ProxyApp
from watchword.apps.proxy.exchange import Timeouts
from watchword.apps.proxy.lending import Lender

__all__ = ["Lender", "ProxyApp", "Timeouts"]
