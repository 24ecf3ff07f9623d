"""Write the configuration of TrustKit for an Info.plist; the values of its ``kTSK…`` constants are the names in it."""

from typing import Any

from watchword.pins.interface import HostPins, Pin, PinMode, PinSet
from watchword.pins.rendering.interface import (
    Format,
    LeftOut,
    RenderError,
    header,
    is_closed,
    last_day,
)
from watchword.pins.rendering.xml_text import property_list

_FEWEST = 2
"""Fewest pins of a host: with less TrustKit ends the app at its start."""

_CLOSED = "{host}: stays pinned after the expiry, as the set says, so that it has no TSKExpirationDate. TrustKit can't close it altogether."


def render(pin_set: PinSet) -> str:
    """Return the file; to be merged into the app's Info.plist, beside TrustKit's global settings, which are yours.

    :raises RenderError: for a host with less than two pins.
    """
    for entry in pin_set.hosts:
        if len(entry.pins) < _FEWEST:
            raise RenderError(
                f"{entry.host}: got {len(entry.pins)} pin, expected {_FEWEST} or more: with less, TrustKit ends the app at its start"
            )
    domains = {entry.host: _domain(entry, pin_set) for entry in pin_set.hosts}
    notes = [_CLOSED.format(host=each.host) for each in pin_set.hosts if is_closed(each)]
    return property_list(
        {"TSKConfiguration": {"TSKPinnedDomains": domains}}, [*header(pin_set), *notes]
    )


def left_out(_pin_set: PinSet) -> tuple[LeftOut, ...]:
    """Return nothing: TrustKit reports too."""
    return ()


def _domain(entry: HostPins, pin_set: PinSet) -> dict[str, Any]:
    domain: dict[str, Any] = {
        "TSKEnforcePinning": entry.mode is PinMode.ENFORCE,
        "TSKIncludeSubdomains": entry.include_subdomains,
        "TSKPublicKeyHashes": [_base64(pin) for pin in entry.pins],
        # Without it TrustKit sends each report to a server of its makers' too.
        "TSKDisableDefaultReportUri": True,
    }
    if not is_closed(entry):
        domain["TSKExpirationDate"] = last_day(pin_set)
    if pin_set.reports is not None:
        domain["TSKReportUris"] = [pin_set.reports]
    return domain


def _base64(pin: Pin) -> str:
    return str(pin).removeprefix("sha256/")


FORMAT = Format(
    "trustkit", "TrustKit.plist", "TrustKit's configuration for an Info.plist", render, left_out
)
