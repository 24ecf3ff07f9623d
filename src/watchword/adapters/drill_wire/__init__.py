"""Carry a drill's requests: to the addresses that were agreed to, and to no other."""

from watchword.adapters.drill_wire.consent_fetch import FETCH_SECONDS, fetch_consent
from watchword.adapters.drill_wire.drill_key import (
    DrillKeyError,
    read_drill_jwk,
    read_drill_key,
    write_drill_key,
)
from watchword.adapters.drill_wire.exchange import UnsendableError
from watchword.adapters.drill_wire.origin import AddressError, AddressFault, Origin, parse_target
from watchword.adapters.drill_wire.resolver import Resolver, resolve, system_resolver
from watchword.adapters.drill_wire.wire import HttpWire

__all__ = [
    "AddressError",
    "AddressFault",
    "DrillKeyError",
    "FETCH_SECONDS",
    "HttpWire",
    "Origin",
    "Resolver",
    "UnsendableError",
    "fetch_consent",
    "parse_target",
    "read_drill_jwk",
    "read_drill_key",
    "resolve",
    "system_resolver",
    "write_drill_key",
]
