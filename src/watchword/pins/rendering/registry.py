"""List the formats: one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from watchword.pins.interface import PinSet
from watchword.pins.rendering import android, ios, okhttp, trustkit, typescript
from watchword.pins.rendering.interface import Format, LeftOut, RenderError
from watchword.pins.sets import payload_of

FORMATS: Final[Mapping[str, Format]] = {
    each.name: each
    for each in (
        android.FORMAT,
        ios.FORMAT,
        okhttp.FORMAT,
        trustkit.FORMAT,
        typescript.FORMAT,
    )
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """Hold a file, what it is called, and what of the set it doesn't say."""

    file: str
    text: str
    left_out: tuple[LeftOut, ...]


def render(name: str, pin_set: PinSet) -> Rendered:
    """Return a set in a format.

    Only what every reader takes is written: names of hosts, apps and URLs are in the one form that sets have, so that
    nothing in them can end a string, a comment or an element.

    :raises RenderError: for a format that isn't there, or that this set can't be written in.
    :raises MalformedError: with ``pins.set_malformed`` for a set that nobody would read.
    """
    chosen = FORMATS.get(name)
    if chosen is None:
        raise RenderError(f"got format {name[:40]!r}, expected one of {', '.join(FORMATS)}")
    payload_of(pin_set)
    return Rendered(chosen.file, chosen.render(pin_set), chosen.left_out(pin_set))
