"""Decide as an installed app does: which root lists and sets it takes, and which connections it uses.

Whatever is refused changes nothing: what was trusted before is trusted after.  Nothing that arrives over the network can
take pins away for good but a newer set, signed by a key that a threshold of offline keys named.

Two states of a kept set count for less than its words.  *Expired*: no newer one came until the hard expiry, so that somebody may be
keeping newer ones back (a freeze).  *Withdrawn*: a later root list no longer names the key that signed it, or raised the floor above
it, as after the loss of a pin key; its words may be a thief's.  Hosts with pins in either don't become unpinned: they
fall back on the authorities that the app was built with, or on the platform's, are reported, and get no secrets.

What ships with a version of an app is a file in its package, a JSON object with exactly::

    app, app_version
    floor        the lowest version of a set that it takes
    roots        the root list of its day, as it was signed
    set          the pin set of its day, as it was signed; null for none
    authorities  by host: pins of the authorities that it falls back on, base64url

It is trusted because the package is: only what it holds can be wrong, by a build that took another file or half of one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import (
    MAX_CHAIN,
    MAX_HOSTS,
    MAX_PINS,
    MAX_ROOTS_BYTES,
    MAX_SET_BYTES,
    PIN_BYTES,
    AfterExpiry,
    Basis,
    Builtin,
    HostPins,
    Installed,
    Judgement,
    PinMode,
    PinRole,
    PinSet,
    RootList,
    read_host,
)
from watchword.pins.roots import check_roots, read_roots, read_unverified
from watchword.pins.sets import MAX_VERSION, read_app, read_set, read_under_any, whole_number
from watchword.reasons import Reason, RefusedError, WatchwordError

DAY: Final = 86_400
"""Seconds of a day."""

MAX_SKEW: Final = DAY
"""Seconds that a phone's clock may be behind the clock that a set was issued by."""

MAX_LIFETIME: Final = 400 * DAY
"""Most seconds from issue to hard expiry: how long a freeze can last, whatever an operator wrote (RFC 7469 section 4.1)."""


def fresh(builtin: Builtin) -> Installed:
    """Return what an installation trusts before it has fetched anything."""
    return _with(Installed(builtin, builtin.roots, None, 0), builtin.first)


def floor_of(builtin: Builtin, roots: RootList) -> int:
    """Return the lowest version of a set that an app version takes under a root list."""
    return max(builtin.floor, roots.floors.get(builtin.app, 1))


def is_withdrawn(pin_set: PinSet, roots: RootList) -> bool:
    """Tell whether a set counts no more under a root list: its key is gone, or the floor is above it."""
    return pin_set.key not in roots.pin_keys or pin_set.version < roots.floors.get(pin_set.app, 1)


def accept_roots(installed: Installed, data: bytes, now: float) -> Installed:  # noqa: ARG001 - the clock has no say, see below.
    """Return what is trusted once the next root list was read.

    An expired list is walked through (TUF 5.3.10): an app that was away for a year must get past it to a newer one.
    It just authorises no set.  Where the list withdraws the kept set, the highest version seen is forgotten
    (TUF 5.3.11): a thief may have signed 2^53 - 1, and no genuine set would ever be newer.  From then on the list's floor guards.

    :raises RefusedError: as :func:`watchword.pins.roots.read_roots` does.
    """
    return _with(replace(installed, roots=read_roots(data, installed.roots)), installed.set)


def take_roots(installed: Installed, roots: RootList, signers: Collection[str]) -> Installed:
    """Return what :func:`accept_roots` does for a list whose signatures by these keys hold; nothing is verified here.

    :raises RefusedError: as :func:`watchword.pins.roots.check_roots` does.
    """
    check_roots(roots, installed.roots, signers)
    return _with(replace(installed, roots=roots), installed.set)


def accept_set(installed: Installed, data: bytes, now: float) -> Installed:
    """Return what is trusted once a pin set was read; the same set again changes nothing.

    1. The installed root list hasn't expired (TUF 5.3.10).
    2. The set is signed by a pin key of that list, and is for this app.
    3. It may be read under that list: otherwise newer root lists have to be fetched first.
    4. It isn't below the floor of the app's version or of the root list.
    5. It is newer than all that was seen (rollback), or the kept one once more.
    6. It hasn't expired (freeze), wasn't issued in the future, and doesn't live longer than any set may.

    :raises RefusedError: with the reason of the first of these that doesn't hold.
    """
    _check_roots_live(installed.roots, now)
    return take_set(installed, read_set(data, installed.roots), now)


def take_set(installed: Installed, pin_set: PinSet, now: float) -> Installed:
    """Return what :func:`accept_set` does for a set that its ``key`` signed; the signature isn't verified here.

    :raises RefusedError: with the reason of the first condition that doesn't hold.
    """
    roots, builtin = installed.roots, installed.builtin
    _check_roots_live(roots, now)
    if pin_set.key not in roots.pin_keys:
        _refuse(Reason.PINS_SET_KEY, f"root list {roots.version} has no pin key {pin_set.key!r}")
    if pin_set.app != builtin.app:
        _refuse(Reason.PINS_SET_APP, f"got a set for {pin_set.app}, expected {builtin.app}")
    if pin_set.root_version > roots.version:
        _refuse(
            Reason.PINS_ROOTS_BEHIND,
            f"got root list {roots.version}, expected {pin_set.root_version} or a later one",
        )
    floor = floor_of(builtin, roots)
    if pin_set.version < floor:
        _refuse(Reason.PINS_SET_OLD, f"got version {pin_set.version}, expected {floor} or more")
    _check_newer(installed, pin_set)
    _check_times(pin_set, now)
    return _with(installed, pin_set)


def restored(builtin: Builtin, lists: Sequence[bytes], signed: bytes | None) -> Installed:
    """Return what an installation trusted when it was stopped, out of what its store kept.

    Everything is verified anew but for its age: an expired set still says which versions are too old, and forgetting it at a
    restart would let somebody who waits for one roll the app back.  After an update of the app, what the new package brought
    counts where it is newer; a set that the package's own root list withdraws is forgotten.

    :param lists: root lists that were accepted, in order; those that the package is past are passed over.
    :param signed: the set that was accepted last, None for none.
    :raises RefusedError: for a list or a set that doesn't verify, or is another app's.
    """
    installed = fresh(builtin)
    walked = [builtin.roots]
    for data in lists:
        if len(walked) > 1 or read_unverified(data).version > builtin.roots.version:
            installed = accept_roots(installed, data, 0)
            walked.append(installed.roots)
    pin_set = read_under_any(signed, walked) if signed is not None else None
    # A key that the package's list doesn't name may come with a later list that was walked: only what is read under none of
    # them is forgotten for its key.
    if pin_set is None or pin_set.version < builtin.roots.floors.get(pin_set.app, 1):
        return installed
    if pin_set.app != builtin.app:
        _refuse(Reason.PINS_SET_APP, f"got a set for {pin_set.app}, expected {builtin.app}")
    first = builtin.first
    if (
        first is not None
        and first.version >= pin_set.version
        and not is_withdrawn(first, installed.roots)
    ):
        return installed
    return _with(installed, pin_set)


def judge(installed: Installed, host: str, chain: Sequence[bytes], now: float) -> Judgement:
    """Decide on a connection before the first byte of a request is written.

    A host without an entry passes.  A pin of an authority matches any certificate of the chain but the leaf, as on iOS; all
    others match the leaf alone.  In report mode nothing is refused and nothing withheld: it changes nothing but what is
    told.  An empty chain matches nothing.

    :param host: the name that the connection was asked for, as A-labels; an address has no entry.
    :param chain: pins of the *verified* chain, the leaf first; what lies beyond :data:`MAX_CHAIN` isn't looked at.
    """
    kept = installed.set
    if kept is None:
        return Judgement(passes=True, basis=Basis.UNPINNED)
    chain = chain[:MAX_CHAIN]
    if is_withdrawn(kept, installed.roots):
        return _judge_withdrawn(installed, kept, host, chain)
    entry = kept.entry(host)
    if entry is None:
        return Judgement(passes=True, basis=Basis.UNPINNED, version=kept.version)
    if now < kept.hard_expiry:
        return _judge_pins(entry, chain, kept.version)
    if entry.mode is PinMode.REPORT:
        return Judgement(passes=True, basis=Basis.PLATFORM, report=True, version=kept.version)
    closed = entry.after_expiry is AfterExpiry.CLOSED
    return _fall_back(installed.builtin, host, entry, chain, kept.version, closed=closed)


def is_fresh(installed: Installed, now: float) -> bool:
    """Tell whether there's no need to look for a newer set: the kept one counts and isn't past its soft expiry."""
    kept = installed.set
    return kept is not None and not is_withdrawn(kept, installed.roots) and now < kept.soft_expiry


def reason_of(judgement: Judgement) -> Reason | None:
    """Return why a connection isn't used, None if it is."""
    if judgement.passes:
        return None
    return Reason.PINS_MISMATCH if judgement.mismatch else Reason.PINS_CLOSED


def matches(entry: HostPins, chain: Sequence[bytes]) -> bool:
    """Tell whether a chain holds a pinned key where its role has it."""
    for pin in entry.pins:
        if pin.spki in (chain[1:] if pin.role is PinRole.CA else chain[:1]):
            return True
    return False


def _judge_pins(entry: HostPins, chain: Sequence[bytes], version: int) -> Judgement:
    if matches(entry, chain):
        return Judgement(passes=True, basis=Basis.PINS, version=version)
    enforced = entry.mode is PinMode.ENFORCE
    return Judgement(
        passes=not enforced,
        basis=Basis.PINS,
        report=True,
        withhold=enforced,
        mismatch=True,
        version=version,
    )


def _judge_withdrawn(
    installed: Installed, kept: PinSet, host: str, chain: Sequence[bytes]
) -> Judgement:
    """Decide under a set whose words may be a thief's: only what makes the app more careful is taken from it.

    It doesn't close a host, or a thief could close them all until a genuine set arrives; and its report mode keeps no secret flowing.
    What shipped with the app is believed.
    """
    first = installed.builtin.first
    shipped = first.entry(host) if first is not None else None
    entries = [entry for entry in (shipped, kept.entry(host)) if entry is not None]
    if not entries:
        return Judgement(passes=True, basis=Basis.UNPINNED, version=kept.version)
    if all(entry.mode is PinMode.REPORT for entry in entries):
        return Judgement(
            passes=True, basis=Basis.PLATFORM, report=True, withhold=True, version=kept.version
        )
    closed = (
        shipped is not None
        and shipped.mode is PinMode.ENFORCE
        and shipped.after_expiry is AfterExpiry.CLOSED
    )
    return _fall_back(installed.builtin, host, entries[0], chain, kept.version, closed=closed)


def _fall_back(
    builtin: Builtin,
    host: str,
    entry: HostPins,
    chain: Sequence[bytes],
    version: int,
    *,
    closed: bool,
) -> Judgement:
    """Decide without pins: refuse where the operator chose that, else ask the authorities of the build, else the platform."""
    basis, passes, mismatch = Basis.PLATFORM, True, False
    authorities = builtin.authorities.get(host.lower().rstrip(".")) or builtin.authorities.get(
        entry.host
    )
    if closed:
        basis, passes = Basis.PINS, False
    elif authorities:
        basis, passes = Basis.BUILTIN_AUTHORITIES, any(key in authorities for key in chain[1:])
        mismatch = not passes
    return Judgement(
        passes=passes, basis=basis, report=True, withhold=True, mismatch=mismatch, version=version
    )


def _check_roots_live(roots: RootList, now: float) -> None:
    if now >= roots.expires:
        _refuse(Reason.PINS_ROOTS_EXPIRED, f"root list {roots.version}")


def _check_newer(installed: Installed, pin_set: PinSet) -> None:
    if pin_set.version > installed.seen:
        return
    if pin_set.version < installed.seen:
        _refuse(
            Reason.PINS_SET_OLD,
            f"got version {pin_set.version}, expected {installed.seen} or a later one",
        )
    kept = installed.set
    # The same content under another pin key is the same set: keys are exchanged by signing anew.
    if kept is None or replace(kept, key=pin_set.key) != pin_set:
        _refuse(Reason.PINS_SET_DIFFERS, f"got another version {pin_set.version} than the one seen")


def _check_times(pin_set: PinSet, now: float) -> None:
    if now >= pin_set.hard_expiry:
        _refuse(
            Reason.PINS_SET_EXPIRED, f"version {pin_set.version}, {now - pin_set.hard_expiry:.0f} s"
        )
    if pin_set.issued_at > now + MAX_SKEW:
        _refuse(
            Reason.PINS_SET_EARLY,
            f"got a set issued {pin_set.issued_at - now:.0f} s from now, expected at most {MAX_SKEW} s",
        )
    lifetime = pin_set.hard_expiry - pin_set.issued_at
    if lifetime > MAX_LIFETIME:
        _refuse(
            Reason.PINS_SET_LIFETIME,
            f"got {lifetime / DAY:.0f} days, expected at most {MAX_LIFETIME // DAY}",
        )


def _with(installed: Installed, pin_set: PinSet | None) -> Installed:
    """Return it with this set kept, and the version seen that follows from it."""
    counts = pin_set is not None and not is_withdrawn(pin_set, installed.roots)
    return replace(installed, set=pin_set, seen=pin_set.version if pin_set and counts else 0)


def _refuse(reason: Reason, detail: str) -> NoReturn:
    raise RefusedError.because(reason, detail)


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
        _builtin_refuse("expected exactly app, app_version, floor, roots, set and authorities")
    app, app_version = read_app(members["app"]), members["app_version"]
    if not isinstance(app_version, str) or not 0 < len(app_version) <= MAX_APP_VERSION:
        _builtin_refuse(f"expected app_version to be text of 1 to {MAX_APP_VERSION} characters")
    floor, written, signed = members["floor"], members["roots"], members["set"]
    whole_number(floor, "floor", MAX_VERSION, _builtin_refuse)
    if not isinstance(written, dict) or not isinstance(signed, str | None):
        _builtin_refuse("expected roots to be a root list, and set to be text or null")
    if signed is not None and not signed.isascii():
        _builtin_refuse("expected set to be ASCII")
    # Spaced or ordered otherwise it's the same list: what was signed of it is one string.
    roots = read_roots(strict_json.dumps(written), None)
    first = None if signed is None else read_set(signed.encode("ascii"), roots)
    if first is not None and (first.app != app or first.version < floor):
        _builtin_refuse(
            f"got version {first.version} of a set for {first.app}, expected one for {app} from {floor} on"
        )
    return Builtin(app, app_version, roots, floor, first, _authorities(members["authorities"]))


def _authorities(value: Any) -> dict[str, frozenset[bytes]]:
    if not isinstance(value, dict) or len(value) > MAX_HOSTS:
        _builtin_refuse(f"expected authorities to be an object of at most {MAX_HOSTS} hosts")
    return {read_host(host): _pins(host, pins) for host, pins in value.items()}


def _pins(host: str, value: Any) -> frozenset[bytes]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_PINS:
        _builtin_refuse(f"{host}: expected a list of 1 to {MAX_PINS} pins")
    found = [base64url.decode(pin) if isinstance(pin, str) else b"" for pin in value]
    if any(len(pin) != PIN_BYTES for pin in found):
        _builtin_refuse(f"{host}: expected each pin to be {PIN_BYTES} bytes in base64url")
    return frozenset(found)


def _builtin_refuse(detail: str) -> NoReturn:
    raise BuiltinError(detail)
