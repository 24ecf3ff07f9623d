"""Write and read what a version of an app ships with: the file that goes into its package.

A JSON object with exactly::

    app, app_version
    floor        the lowest version of a set that it takes
    roots        the root list of its day, as it was signed
    set          the pin set of its day, as it was signed; null for none
    authorities  by host: pins of the authorities that it falls back on, base64url

It is trusted because the package is: only what it holds can be wrong, by a build that took another file or half of one.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import (
    MAX_HOSTS,
    MAX_PINS,
    MAX_ROOTS_BYTES,
    MAX_SET_BYTES,
    PIN_BYTES,
    Builtin,
    PinRole,
    PinSet,
    read_host,
)
from watchword.pins.roots import read_roots
from watchword.pins.sets import MAX_VERSION, read_app, read_set, whole_number
from watchword.reasons import RefusedError, WatchwordError

MAX_BUILTIN_BYTES: Final = MAX_ROOTS_BYTES + 2 * MAX_SET_BYTES
"""Most bytes of the file."""

MAX_APP_VERSION: Final = 64
"""Most characters of an app's version."""

_MEMBERS: Final = {"app", "app_version", "floor", "roots", "set", "authorities"}


class BuiltinError(WatchwordError):
    """Report a file that isn't what a version of an app ships with."""


def builtin_document(
    app: str, app_version: str, roots: bytes, first: bytes | None, pin_set: PinSet | None
) -> bytes:
    """Return the file for a version of an app.

    The authorities are those that the set pins: what was good enough to be pinned is what the app falls back on.

    :param roots: the newest root list, as it was signed.
    :param first: the newest set, as it was signed, and ``pin_set`` what it says.
    """
    authorities: dict[str, list[str]] = {}
    for entry in pin_set.hosts if pin_set is not None else ():
        pins = [pin.text for pin in entry.of(PinRole.CA)]
        if pins:
            authorities[entry.host] = pins
    members = {
        "app": app,
        "app_version": app_version,
        "floor": pin_set.version if pin_set is not None else 1,
        "roots": strict_json.loads(roots, MAX_ROOTS_BYTES),
        "set": None if first is None else first.decode("ascii"),
        "authorities": authorities,
    }
    return strict_json.dumps(members) + b"\n"


def read_builtin(data: bytes) -> Builtin:
    """Return what a version of an app ships with; the root list and the set in it are verified.

    :raises BuiltinError: for anything else than such a file.
    """
    try:
        return _read(strict_json.loads(data, MAX_BUILTIN_BYTES))
    except RefusedError as error:
        raise BuiltinError(str(error)) from None


def _read(members: Mapping[str, Any]) -> Builtin:
    if members.keys() != _MEMBERS:
        _refuse("expected exactly app, app_version, floor, roots, set and authorities")
    app, app_version = read_app(members["app"]), members["app_version"]
    if not isinstance(app_version, str) or not 0 < len(app_version) <= MAX_APP_VERSION:
        _refuse(f"expected app_version to be text of 1 to {MAX_APP_VERSION} characters")
    floor, written, signed = members["floor"], members["roots"], members["set"]
    whole_number(floor, "floor", MAX_VERSION, _refuse)
    if not isinstance(written, dict) or not isinstance(signed, str | None):
        _refuse("expected roots to be a root list, and set to be text or null")
    # Spaced or ordered otherwise it's the same list: what was signed of it is one string.
    roots = read_roots(strict_json.dumps(written), None)
    first = None if signed is None else read_set(_ascii(signed), roots)
    if first is not None and (first.app != app or first.version < floor):
        _refuse(
            f"got version {first.version} of a set for {first.app}, expected one for {app} from {floor} on"
        )
    return Builtin(app, app_version, roots, floor, first, _authorities(members["authorities"]))


def _authorities(value: Any) -> dict[str, frozenset[bytes]]:
    if not isinstance(value, dict) or len(value) > MAX_HOSTS:
        _refuse(f"expected authorities to be an object of at most {MAX_HOSTS} hosts")
    return {read_host(host): _pins(host, pins) for host, pins in value.items()}


def _pins(host: str, value: Any) -> frozenset[bytes]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_PINS:
        _refuse(f"{host}: expected a list of 1 to {MAX_PINS} pins")
    found = [base64url.decode(pin) if isinstance(pin, str) else b"" for pin in value]
    if any(len(pin) != PIN_BYTES for pin in found):
        _refuse(f"{host}: expected each pin to be {PIN_BYTES} bytes in base64url")
    return frozenset(found)


def _ascii(text: str) -> bytes:
    if not text.isascii():
        _refuse("expected set to be ASCII")
    return text.encode("ascii")


def _refuse(detail: str) -> NoReturn:
    raise BuiltinError(detail)
