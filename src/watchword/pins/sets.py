"""Write pin sets as signed bytes, and read them back strictly; read the names of hosts: one spelling for each.

A compact JWS, ES256, of type ``watchword-pins+jwt``.  Its payload is a JSON object with exactly::

    app      name of the app
    ver      version, 1 and up
    iat, soft, hard    when it was issued, and when it expires softly and hard: seconds since 1970
    roots    the lowest root list that it may be read under
    hosts    by host: {"pins": {PIN: ROLE, …}, "mode": "report", "sub": true, "after": "closed"}
    reports  a URL; left out for none

PIN is base64url; ROLE is ``c`` (current), ``n`` (next), ``b`` (backup) or ``a`` (an authority's).  ``mode``,
``sub`` and ``after`` are left out for ``enforce``, ``false`` and ``open``, and stand there for nothing else, so that each set has one
spelling.  A member that isn't known is refused: it might be one that means less than the reader believes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import (
    MAX_HOSTS,
    MAX_PINS,
    MAX_SET_BYTES,
    PIN_BYTES,
    AfterExpiry,
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
    host_of_url,
    read_host,
)
from watchword.ports import Signer
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose


def reports_to_itself(pin_set: PinSet) -> bool:
    """Tell whether failures would be reported to a host that the set pins.

    Such a report fails by the same mismatch that it tells of.
    """
    return pin_set.reports is not None and pin_set.entry(host_of_url(pin_set.reports)) is not None


TYPE: Final = "watchword-pins+jwt"
"""Type of the JWS; nothing else that is signed has it (RFC 8725 section 3.11)."""

MAX_VERSION: Final = 2**53 - 1
"""Highest version: the last integer that JavaScript counts exactly."""

MAX_TIME: Final = 2**40
"""Latest time that is accepted, about the year 36,800."""

MAX_APP_CHARACTERS: Final = 128
"""Most characters of an app's name."""

_APP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MEMBERS: Final = {"app", "ver", "iat", "soft", "hard", "roots", "hosts"}
_HOST_MEMBERS: Final = {"pins", "mode", "sub", "after"}
_LETTERS: Final = {
    PinRole.CURRENT: "c",
    PinRole.NEXT: "n",
    PinRole.BACKUP: "b",
    PinRole.CA: "a",
}
_ROLES: Final = {letter: role for role, letter in _LETTERS.items()}
_REPORT: Final = PinMode.REPORT.value
_CLOSED: Final = AfterExpiry.CLOSED.value


@contextmanager
def malformed(reason: Reason, what: str = "") -> Iterator[None]:
    """Report what is malformed under the reason of the document in which it stands."""
    try:
        yield
    except MalformedError as error:
        raise error.as_reason(reason, what) from None


def whole_number(
    value: Any, name: str, most: int, refuse: Callable[[str], NoReturn], least: int = 1
) -> int:
    """Return a member that is a whole number within bounds; refuse what else it is."""
    # True is an int in Python, and would be version 1.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        refuse(f"expected {name} to be a whole number from {least} to {most}")
    return value


def sign_set(pin_set: PinSet, signer: Signer) -> bytes:
    """Return the set signed; its own ``key`` isn't looked at, the signer's id stands in the result.

    :raises MalformedError: with ``pins.set_malformed`` for a set that nobody would read.
    """
    payload = payload_of(pin_set)
    data = jose.assemble(payload, TYPE, signer).encode("ascii")
    if len(data) > MAX_SET_BYTES:
        _sets_refuse(f"got a set of {len(data)} bytes, expected at most {MAX_SET_BYTES}")
    return data


def payload_of(pin_set: PinSet) -> bytes:
    """Return what is signed of a set; raises MalformedError with ``pins.set_malformed`` for a set that nobody would read."""
    members: dict[str, Any] = {
        "app": pin_set.app,
        "ver": pin_set.version,
        "iat": pin_set.issued_at,
        "soft": pin_set.soft_expiry,
        "hard": pin_set.hard_expiry,
        "roots": pin_set.root_version,
        "hosts": {each.host: _written(each) for each in pin_set.hosts},
    }
    if pin_set.reports is not None:
        members["reports"] = pin_set.reports
    if len(members["hosts"]) != len(pin_set.hosts):
        _sets_refuse("got a host twice")
    _read(members, pin_set.key)
    return strict_json.dumps(members)


def read_set(data: bytes, roots: RootList) -> PinSet:
    """Return a pin set that a pin key of the root list signed.

    Says nothing of its age or version: :func:`watchword.pins.installed.accept_set` does.

    :raises RefusedError: with ``pins.set_malformed``, ``pins.set_key`` or ``pins.set_signature``.
    """
    if len(data) > MAX_SET_BYTES:
        _sets_refuse(f"got {len(data)} bytes, expected at most {MAX_SET_BYTES}")
    try:
        jws = jose.parse(data.decode("ascii"), TYPE, MAX_SET_BYTES)
    except UnicodeDecodeError:
        _sets_refuse("got bytes outside of ASCII")
    except MalformedError as error:
        raise error.as_reason(Reason.PINS_SET_MALFORMED) from None
    key = roots.pin_keys.get(jws.kid)
    if key is None:
        raise RefusedError.because(
            Reason.PINS_SET_KEY, f"root list {roots.version} has no pin key {jws.kid!r}"
        )
    if not jose.is_signed_by(key.key, jws.signature, jws.signing_input):
        raise RefusedError.because(Reason.PINS_SET_SIGNATURE, f"by the key {jws.kid!r}")
    with malformed(Reason.PINS_SET_MALFORMED):
        members = strict_json.loads(jws.payload, MAX_SET_BYTES)
    return _read(members, jws.kid)


def read_under_any(data: bytes, lists: Sequence[RootList]) -> PinSet | None:
    """Return a set by the newest of some root lists that names its key: the last may have withdrawn it; None if all did.

    :raises RefusedError: as :func:`read_set` does, but for an unknown key.
    """
    for roots in reversed(lists):
        try:
            return read_set(data, roots)
        except RefusedError as error:
            if error.reason is not Reason.PINS_SET_KEY:
                raise
    return None


def read_app(name: Any) -> str:
    """Return an app's name; raise MalformedError with ``pins.set_malformed`` for another thing."""
    if not isinstance(name, str) or not _APP.fullmatch(name):
        _sets_refuse(
            f"expected an app of 1 to {MAX_APP_CHARACTERS} letters, digits, dots and dashes"
        )
    return name


def _written(entry: HostPins) -> dict[str, Any]:
    if len({pin.spki for pin in entry.pins}) != len(entry.pins):
        _sets_refuse(f"{entry.host}: got a pin twice")
    members: dict[str, Any] = {"pins": {pin.text: _LETTERS[pin.role] for pin in entry.pins}}
    if entry.mode is not PinMode.ENFORCE:
        members["mode"] = entry.mode.value
    if entry.include_subdomains:
        members["sub"] = True
    if entry.after_expiry is not AfterExpiry.OPEN:
        members["after"] = entry.after_expiry.value
    return members


def _read(members: Mapping[str, Any], key: str) -> PinSet:
    """Return the set that a payload says; every byte of it counts."""
    if members.keys() - {"reports"} != _MEMBERS:
        _sets_refuse("expected exactly app, ver, iat, soft, hard, roots, hosts and perhaps reports")
    issued_at, soft, hard = (
        whole_number(members[name], name, MAX_TIME, _sets_refuse)
        for name in ("iat", "soft", "hard")
    )
    if not issued_at <= soft <= hard or issued_at == hard:
        _sets_refuse(
            "expected iat, soft and hard in this order, and some time between first and last"
        )
    hosts = members["hosts"]
    if not isinstance(hosts, dict) or len(hosts) > MAX_HOSTS:
        _sets_refuse(f"expected an object of at most {MAX_HOSTS} hosts")
    return PinSet(
        app=read_app(members["app"]),
        version=whole_number(members["ver"], "ver", MAX_VERSION, _sets_refuse),
        issued_at=issued_at,
        soft_expiry=soft,
        hard_expiry=hard,
        root_version=whole_number(members["roots"], "roots", MAX_VERSION, _sets_refuse),
        hosts=tuple(_entry(host, value) for host, value in hosts.items()),
        key=key,
        reports=_reports(members["reports"]) if "reports" in members else None,
    )


def _entry(host: str, value: Any) -> HostPins:
    with malformed(Reason.PINS_SET_MALFORMED):
        read_host(host)
    if not isinstance(value, dict) or "pins" not in value or value.keys() - _HOST_MEMBERS:
        _sets_refuse(f"{host}: expected pins, and perhaps mode, sub and after")
    pins = value["pins"]
    if not isinstance(pins, dict) or not 0 < len(pins) <= MAX_PINS:
        _sets_refuse(f"{host}: expected 1 to {MAX_PINS} pins")
    if value.get("mode", _REPORT) != _REPORT:
        _sets_refuse(f"{host}: expected the mode report, or none for enforce")
    if value.get("sub", True) is not True:
        _sets_refuse(f"{host}: expected sub true, or none")
    if value.get("after", _CLOSED) != _CLOSED:
        _sets_refuse(f"{host}: expected after closed, or none for open")
    if "sub" in value and "." not in host:
        _sets_refuse(f"{host}: names below a name without a dot aren't one operator's")
    return HostPins(
        host=host,
        mode=PinMode.REPORT if "mode" in value else PinMode.ENFORCE,
        pins=tuple(_pin(host, text, role) for text, role in pins.items()),
        include_subdomains="sub" in value,
        after_expiry=AfterExpiry.CLOSED if "after" in value else AfterExpiry.OPEN,
    )


def _pin(host: str, text: str, letter: Any) -> Pin:
    with malformed(Reason.PINS_SET_MALFORMED, host):
        spki = base64url.decode(text)
    if len(spki) != PIN_BYTES:
        _sets_refuse(f"{host}: got a pin of {len(spki)} bytes, expected {PIN_BYTES}")
    if not isinstance(letter, str) or letter not in _ROLES:
        _sets_refuse(f"{host}: expected one of {', '.join(_ROLES)} as a pin's role")
    return Pin(spki, _ROLES[letter])


def _reports(value: Any) -> str:
    if not isinstance(value, str):
        _sets_refuse("expected reports to be a URL")
    with malformed(Reason.PINS_SET_MALFORMED):
        host_of_url(value)
    return value


def _sets_refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PINS_SET_MALFORMED, detail)
