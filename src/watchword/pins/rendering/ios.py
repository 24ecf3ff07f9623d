"""Write the part of an Info.plist that pins on iOS 14 and later (Apple, NSPinnedDomains)."""

from typing import Any

from watchword.pins.interface import HostPins, Pin, PinRole, PinSet
from watchword.pins.rendering.interface import (
    Format,
    LeftOut,
    enforced,
    header,
    reported,
    without_those_below,
)
from watchword.pins.rendering.xml_text import property_list

_BOTH = "pins of authorities and of own keys: iOS would ask for one of each, where the set asks for one of either"
_BELOW = "a host below {host} isn't pinned here, and iOS can't leave out a single one"
_FOREVER = "iOS knows no expiry: what stands here holds for as long as this version of the app is used. Keep the backup's key."


def render(pin_set: PinSet) -> str:
    """Return the file; to be merged into the app's Info.plist."""
    domains = {entry.host: _domain(entry, pin_set) for entry in _pinned(pin_set)}
    notes = [f"Not pinned here, {each}." for each in left_out(pin_set)]
    return property_list(
        {"NSAppTransportSecurity": {"NSPinnedDomains": domains}},
        [*header(pin_set), _FOREVER, *notes],
    )


def left_out(pin_set: PinSet) -> tuple[LeftOut, ...]:
    """Return what iOS can't express: report mode, either of two kinds of pins, an exception below a name."""
    hosts = _hosts_left_out(pin_set)
    names = {each.host for each in hosts}
    return (*hosts, *without_those_below(_pinned(pin_set), names, _BELOW))


def _hosts_left_out(pin_set: PinSet) -> tuple[LeftOut, ...]:
    mixed = (LeftOut(each.host, _BOTH) for each in enforced(pin_set) if _is_mixed(each))
    return (*reported(pin_set), *mixed)


def _pinned(pin_set: PinSet) -> tuple[HostPins, ...]:
    return tuple(each for each in enforced(pin_set) if not _is_mixed(each))


def _is_mixed(entry: HostPins) -> bool:
    return 0 < len(entry.of(PinRole.CA)) < len(entry.pins)


def _domain(entry: HostPins, pin_set: PinSet) -> dict[str, Any]:
    kind = "NSPinnedCAIdentities" if entry.of(PinRole.CA) else "NSPinnedLeafIdentities"
    below = f"*.{entry.host}" not in {each.host for each in left_out(pin_set)}
    return {
        "NSIncludesSubdomains": entry.include_subdomains and below,
        kind: [{"SPKI-SHA256-BASE64": _base64(pin)} for pin in entry.pins],
    }


def _base64(pin: Pin) -> str:
    return str(pin).removeprefix("sha256/")


FORMAT = Format(
    "ios", "PinnedDomains.plist", "NSPinnedDomains for an iOS app's Info.plist", render, left_out
)
