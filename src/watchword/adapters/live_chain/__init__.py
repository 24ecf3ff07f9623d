"""Fetch the certificates that a server shows: one TLS handshake, no request."""

from watchword.adapters.live_chain.faults import AuthoritiesFileError, LiveChainError
from watchword.adapters.live_chain.fetching import (
    HANDSHAKE_SECONDS,
    LiveChain,
    fetch_chain,
    trusted,
)
from watchword.adapters.live_chain.places import Place, parse_resolve, places_of

__all__ = [
    "AuthoritiesFileError",
    "HANDSHAKE_SECONDS",
    "LiveChain",
    "LiveChainError",
    "Place",
    "fetch_chain",
    "parse_resolve",
    "places_of",
    "trusted",
]
