"""Read the names of hosts: one spelling for each, so that no two entries can be meant for one host."""

import re
from typing import Final, NoReturn

from watchword.pins.interface import PinSet
from watchword.pins.spki import PinError
from watchword.reasons import Reason

MAX_NAME: Final = 253
"""Most characters of a name (RFC 1035 section 2.3.4)."""

MAX_URL: Final = 512
"""Most characters of the URL that failures are reported to."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ADDRESS: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A name that ends in a number is an address to every URL parser (WHATWG URL section 3.5)."""

_URL: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>/[!$&(-;=?-Z_a-z~%]*)?"
)


def read_host(text: str) -> str:
    """Return a host name that is in the one form that pin sets have: lower case, A-labels.

    No address, port, wildcard or final dot: each is a second way to name something, or
    something that no certificate's name is compared with in the same way everywhere.

    :raises PinError: with ``pins.host_malformed``.
    """
    if len(text) > MAX_NAME:
        _refuse(f"got a host of {len(text)} characters, expected at most {MAX_NAME}")
    if not _NAME.fullmatch(text):
        _refuse(f"got the host {text!r}, expected a name in lower case, other scripts as xn--…")
    if _ADDRESS.fullmatch(text):
        _refuse(f"got the address {text}, expected a name: addresses aren't pinned")
    return text


def host_of_url(url: str) -> str:
    """Return the host of a URL that failures may be reported to: https, no user, no fragment.

    :raises PinError: with ``pins.host_malformed``.
    """
    found = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if found is None or not 0 < int(found["port"] or 443) < 1 << 16:
        _refuse(f"got a URL of {len(url)} characters, expected https://HOST/… of at most {MAX_URL}")
    return read_host(found["host"])


def reports_to_itself(pin_set: PinSet) -> bool:
    """Tell whether failures would be reported to a host that the set pins.

    Such a report fails by the same mismatch that it tells of.
    """
    return pin_set.reports is not None and pin_set.entry(host_of_url(pin_set.reports)) is not None


def _refuse(detail: str) -> NoReturn:
    raise PinError.because(Reason.PINS_HOST_MALFORMED, detail)
