"""Reach the third parties that keys are lent to: at checked addresses, and at no others."""

from watchword.adapters.edge_wire.backend import CheckedBackend
from watchword.adapters.edge_wire.resolving import (
    Resolver,
    SystemResolver,
    check_addresses,
    checked_addresses,
)

__all__ = ["CheckedBackend", "Resolver", "SystemResolver", "check_addresses", "checked_addresses"]
