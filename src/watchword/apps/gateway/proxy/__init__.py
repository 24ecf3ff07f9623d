"""Stand in front of an API: the built-in reverse proxy."""

from watchword.apps.gateway.proxy.asgi import ProxyApp
from watchword.apps.gateway.proxy.exchange import Timeouts
from watchword.apps.gateway.proxy.injection import Injector

__all__ = ["Injector", "ProxyApp", "Timeouts"]
