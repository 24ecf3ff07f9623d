"""Write Kotlin that builds OkHttp's ``CertificatePinner``."""

from collections.abc import Iterator

from watchword.pins.interface import HostPins, PinSet
from watchword.pins.rendering.interface import (
    Format,
    LeftOut,
    enforced,
    header,
    is_closed,
    reported,
    without_those_below,
)

_BELOW = "a host below {host} isn't pinned here, and OkHttp can't leave out a single one"

_BODY = """\
package watchword.pins

import okhttp3.CertificatePinner

object WatchwordPins {{
    const val APP = "{app}"
    const val VERSION = {version}L
    const val HARD_EXPIRY_SECONDS = {hard}L

    /**
     * Return the pinner for now. OkHttp knows no expiry: build the client anew when this time has passed,
     * or when a newer set was delivered.
     */
    fun certificatePinner(nowSeconds: Long = System.currentTimeMillis() / 1000): CertificatePinner {{
        val builder = CertificatePinner.Builder()
{always}        if (nowSeconds < HARD_EXPIRY_SECONDS) {{
{until}        }}
        return builder.build()
    }}
}}
"""


def render(pin_set: PinSet) -> str:
    """Return the file.

    OkHttp compares each pin with every certificate of the chain, whatever its role, and takes the pins of all patterns that match a host.
    """
    below = {each.host for each in left_out(pin_set)}
    closed: list[tuple[str, HostPins]] = []
    opened: list[tuple[str, HostPins]] = []
    for entry in enforced(pin_set):
        added = closed if is_closed(entry) else opened
        added.append((entry.host, entry))
        if entry.include_subdomains and f"*.{entry.host}" not in below:
            # An OkHttp that doesn't know this pattern pins the host alone; that is why it stands there by itself.
            added.append((f"**.{entry.host}", entry))
    body = _BODY.format(
        app=pin_set.app,
        version=pin_set.version,
        hard=pin_set.hard_expiry,
        always="".join(
            line for pattern, entry in closed for line in _added(pattern, entry, " " * 8)
        ),
        until="".join(
            line for pattern, entry in opened for line in _added(pattern, entry, " " * 12)
        ),
    )
    notes = [f"Not pinned here, {each}." for each in left_out(pin_set)]
    return "".join(f"// {line}\n" for line in (*header(pin_set), *notes)) + body


def left_out(pin_set: PinSet) -> tuple[LeftOut, ...]:
    """Return what OkHttp can't express: report mode, and an exception below a name."""
    hosts = reported(pin_set)
    names = {each.host for each in hosts}
    return (*hosts, *without_those_below(enforced(pin_set), names, _BELOW))


def _added(pattern: str, entry: HostPins, indent: str) -> Iterator[str]:
    yield f"{indent}builder.add(\n"
    yield f'{indent}    "{pattern}",\n'
    for pin in entry.pins:
        yield f'{indent}    "{pin}", // {pin.role.value}\n'
    yield f"{indent})\n"


FORMAT = Format(
    "okhttp", "WatchwordPins.kt", "Kotlin for OkHttp's CertificatePinner", render, left_out
)
