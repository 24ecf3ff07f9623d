"""Write Android's network security config (API 24 and later; developer.android.com, "Network security configuration")."""

from collections.abc import Iterator

from watchword.pins.interface import HostPins, PinMode, PinSet
from watchword.pins.rendering.interface import (
    Format,
    LeftOut,
    covers,
    enforced,
    header,
    is_closed,
    last_day,
    reported,
)
from watchword.pins.rendering.xml_text import comment

_CLOSED = "{host}: stays pinned after the expiry, as the set says, so that it has no expiration here. The platform can't close it altogether."


def render(pin_set: PinSet) -> str:
    """Return the file.

    The platform compares each pin with every certificate of the verified chain, whatever its role.  Of two entries for a
    host the longer name holds, as in a set.
    """
    return "".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>\n',
            comment(header(pin_set)),
            "<network-security-config>\n",
            *_entries(pin_set),
            "</network-security-config>\n",
        ]
    )


def left_out(pin_set: PinSet) -> tuple[LeftOut, ...]:
    """Return the hosts in report mode: the platform refuses or does nothing, and reports nothing."""
    return reported(pin_set)


def _entries(pin_set: PinSet) -> Iterator[str]:
    for entry in pin_set.hosts:
        if entry.mode is PinMode.ENFORCE:
            yield from _pinned(pin_set, entry)
        else:
            yield from _unpinned(pin_set, entry)


def _pinned(pin_set: PinSet, entry: HostPins) -> Iterator[str]:
    expiration = f' expiration="{last_day(pin_set)}"'
    if is_closed(entry):
        yield comment([_CLOSED.format(host=entry.host)], "    ")
        expiration = ""
    yield _begin(entry)
    yield f"        <pin-set{expiration}>\n"
    for pin in entry.pins:
        digest = str(pin).removeprefix("sha256/")
        yield comment([pin.role.value], "            ")
        yield f'            <pin digest="SHA-256">{digest}</pin>\n'
    yield "        </pin-set>\n"
    yield "    </domain-config>\n"


def _unpinned(pin_set: PinSet, entry: HostPins) -> Iterator[str]:
    """Yield what keeps a host in report mode from being pinned; an entry only where one above it would speak for it."""
    yield comment([f"Not pinned here, {entry.host}: {_why(pin_set, entry)}."], "    ")
    if any(covers(each, {entry.host}) for each in enforced(pin_set)):
        yield _begin(entry)
        yield "    </domain-config>\n"


def _why(pin_set: PinSet, entry: HostPins) -> str:
    """Return why a host isn't pinned."""
    return next(each.why for each in left_out(pin_set) if each.host == entry.host)


def _begin(entry: HostPins) -> str:
    below = "true" if entry.include_subdomains else "false"
    return (
        '    <domain-config cleartextTrafficPermitted="false">\n'
        f'        <domain includeSubdomains="{below}">{entry.host}</domain>\n'
        "        <trust-anchors>\n"
        '            <certificates src="system" />\n'
        "        </trust-anchors>\n"
    )


FORMAT = Format(
    "android",
    "network_security_config.xml",
    "Android's network security config, res/xml",
    render,
    left_out,
)
