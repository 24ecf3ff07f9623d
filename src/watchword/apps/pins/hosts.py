"""Read the name of a server as people write it."""

from typing import Final

import idna

from watchword.apps.pins.faults import PinsError
from watchword.apps.settings.written_pins import HOST_EXPECTED
from watchword.pins import sets
from watchword.pins.spki import PinError

_MAX_SHOWN: Final = 100


def read_host(text: str) -> str:
    """Return a name as a pin set has it: lower case, A-labels, without a last dot.

    :raises PinsError: for an address, a port, a URL, a wildcard, and what is no name at all.
    """
    name = text.strip().rstrip(".").lower()
    if not name.isascii() and len(name) <= _MAX_SHOWN:
        try:
            # UTS 46 maps what people type to what is registered.
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            name = ""
    try:
        return sets.read_host(name)
    except PinError:
        shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
        raise PinsError(f"host: got {shown!r}, expected {HOST_EXPECTED}") from None
