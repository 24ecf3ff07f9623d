"""Reach Unix sockets by paths of any length."""

from watchword.adapters.unix_socket.path import MAX_ADDRESS_BYTES, SocketPath

__all__ = ["MAX_ADDRESS_BYTES", "SocketPath"]
