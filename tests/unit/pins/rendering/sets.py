"""Hold the sets that are rendered in tests and in the documentation."""

from tests.unit.pins.builders import entry, pin_set, pins, spki

from watchword.pins.interface import AfterExpiry, Pin, PinMode, PinRole, PinSet

REPORTS = "https://reports.example.org/v1/pins/reports?a=1&b=2"


def authorities(*names: str) -> tuple[Pin, ...]:
    """Return pins of authorities."""
    return tuple(Pin(spki(name), PinRole.CA) for name in names)


PLAIN: PinSet = pin_set(7, entry(held=pins("A", "B", "C")))
"""One host of own keys, all three of them."""

WHOLE: PinSet = pin_set(
    8,
    entry(held=pins("A", "B", "C")),
    entry("cdn.example.net", held=authorities("R1", "R2"), include_subdomains=True),
    entry("img.cdn.example.net", PinMode.REPORT),
    entry("a---b--kva.example", after_expiry=AfterExpiry.CLOSED),
    entry("both.example.org", held=pins(ca="R3"), include_subdomains=True),
    app="clinic--android",
    reports=REPORTS,
)
"""Each thing that a set can say of a host, and names that could end a comment."""

DOCUMENTED: PinSet = pin_set(
    12,
    entry(held=pins("A", "B")),
    entry("cdn.example.net", held=authorities("R1", "R2"), include_subdomains=True),
    entry("new.example.com", PinMode.REPORT),
    reports="https://reports.example.org/v1/pins/reports",
)
"""The set of docs/pins-rendering.md."""
