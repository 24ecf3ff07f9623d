"""Read the network security config as the system takes it (``XmlConfigSource`` in Android's sources)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from watchword.scan.android.elements import AndroidFormatError, Element, Kind
from watchword.scan.android.resources import Reader
from watchword.scan.app import DomainConfig, NetworkConfig, PinSet
from watchword.scan.defaults import USER_AUTHORITIES

_PIN_DIGEST: Final = "SHA-256"


@dataclass(frozen=True, slots=True)
class _Anchors:
    """Hold which authorities are trusted."""

    user: bool
    custom: bool


@dataclass(frozen=True, slots=True)
class _Inherited:
    """Hold what a ``domain-config`` says for those within it."""

    cleartext: bool | None
    anchors: _Anchors
    pins: PinSet | None


def read_network_config(file: str, root: Element, target: int, read: Reader) -> NetworkConfig:
    """Return a network security config, what is inherited filled in.

    A domain's ``cleartext`` stays None where neither its config nor one around it says anything: then the base's counts.  Its
    anchors are those that count for it, the base's and the system's default included.

    :param target: the app's targetSdk, on which defaults depend.
    :raises AndroidFormatError: if it isn't one.
    """
    if root.name != "network-security-config":
        raise AndroidFormatError("its outermost element isn't <network-security-config>")
    default = _Anchors(user=target < USER_AUTHORITIES.target, custom=False)
    base: DomainConfig | None = None
    for element in root.named("base-config"):
        anchors = _anchors(element) or default
        base = DomainConfig(
            domains=(),
            cleartext=read.flag(element, "cleartextTrafficPermitted"),
            user_anchors=anchors.user,
            pin_set=None,
            custom_anchors=anchors.custom,
        )
    if base is not None:
        default = _Anchors(base.user_anchors, base.custom_anchors)
    debug = [_anchors(element) for element in root.named("debug-overrides")]
    return NetworkConfig(
        file=file,
        base=base,
        domains=tuple(_domains(root, _Inherited(None, default, None), read)),
        debug_user_anchors=any(each is not None and each.user for each in debug),
    )


def _domains(root: Element, inherited: _Inherited, read: Reader) -> Iterator[DomainConfig]:
    """Yield the domain configs, one within another after it."""
    waiting = [(element, inherited) for element in root.named("domain-config")][::-1]
    while waiting:
        element, around = waiting.pop()
        cleartext = read.flag(element, "cleartextTrafficPermitted")
        own = _Inherited(
            cleartext=around.cleartext if cleartext is None else cleartext,
            anchors=_anchors(element) or around.anchors,
            pins=_pins(element, read) or around.pins,
        )
        names = tuple(
            (each.text.strip().lower(), bool(read.flag(each, "includeSubdomains")))
            for each in element.named("domain")
        )
        yield DomainConfig(
            domains=names,
            cleartext=own.cleartext,
            user_anchors=own.anchors.user,
            pin_set=own.pins,
            custom_anchors=own.anchors.custom,
        )
        waiting.extend([(child, own) for child in element.named("domain-config")][::-1])


def _anchors(element: Element) -> _Anchors | None:
    """Return which authorities a config names; None if it doesn't say."""
    stated = user = custom = False
    for anchors in element.named("trust-anchors"):
        stated = True
        for certificates in anchors.named("certificates"):
            value = certificates.attributes.get("src")
            if value is None:
                continue
            if value.kind is Kind.STRING:
                user = user or value.text == "user"
                custom = custom or value.text not in ("user", "system")
            else:
                custom = True
    return _Anchors(user, custom) if stated else None


def _pins(element: Element, read: Reader) -> PinSet | None:
    found: PinSet | None = None
    for each in element.named("pin-set"):
        pins = []
        for pin in each.named("pin"):
            if read.text(pin, "digest") == _PIN_DIGEST:
                pins.append("".join(pin.text.split()))
            else:
                read.gap(f"a pin whose digest isn't {_PIN_DIGEST}, which the system refuses")
        found = PinSet(tuple(pins), read.text(each, "expiration"))
    return found
