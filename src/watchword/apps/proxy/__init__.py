"""Stand in front of an API: the built-in reverse proxy."""

from watchword.apps.proxy.asgi import ProxyApp, Timeouts

__all__ = ["ProxyApp", "Timeouts"]
