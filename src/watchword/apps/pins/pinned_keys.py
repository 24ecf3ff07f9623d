"""Read and write the pinned keys by host, as they stand in the workspace's pins.yaml."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from watchword.apps.pins.faults import PinsError
from watchword.apps.settings.document import Document, parse_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.written_pins import PinnedHost
from watchword.apps.settings.written_types import Written
from watchword.pins.interface import MAX_HOSTS, MAX_PINS, Pin, PinRole
from watchword.pins.spki import PinError, read_pin

MAX_NOTE: Final = 200

_HEAD: Final = """\
# Pinned keys by host. `watchword pins add`, `remove` and `rotate` edit this file; comments of your own don't outlive them.
# role  current: the server shows it now; next: a planned swap brings it; backup: lies offline; ca: an authority's
"""


class _WrittenKey(Written):
    pin: Annotated[str, Field(max_length=200)]
    role: Literal["current", "next", "backup", "ca"]
    note: Annotated[str, Field(max_length=MAX_NOTE)] = ""


class _WrittenKeys(Written):
    version: Literal[1]
    hosts: Annotated[
        dict[PinnedHost, Annotated[list[_WrittenKey], Field(max_length=MAX_PINS)]],
        Field(max_length=MAX_HOSTS),
    ] = {}  # noqa: RUF012 - pydantic copies defaults.


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """Hold a pinned key; the note is for people: where it came from."""

    pin: Pin
    note: str = ""


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """Hold the pinned keys of all hosts."""

    hosts: Mapping[str, tuple[PinnedKey, ...]] = field(default_factory=dict)

    def of(self, host: str) -> tuple[PinnedKey, ...]:
        """Return the keys of a host, possibly none."""
        return self.hosts.get(host, ())

    def with_keys(self, host: str, keys: tuple[PinnedKey, ...]) -> "PinnedKeys":
        """Return these, with other keys for one host; without any it is dropped."""
        others = {name: each for name, each in self.hosts.items() if name != host or keys}
        return replace(self, hosts={**others, **({host: keys} if keys else {})})

    def adding(self, host: str, key: PinnedKey) -> "PinnedKeys":
        """Return these and one more; one that is pinned already takes the new role.

        :raises PinsError: when there are too many.
        """
        others = tuple(each for each in self.of(host) if each.pin.spki != key.pin.spki)
        if len(others) >= MAX_PINS:
            raise PinsError(f"{host}: got {len(others) + 1} keys, expected at most {MAX_PINS}")
        if host not in self.hosts and len(self.hosts) >= MAX_HOSTS:
            raise PinsError(f"got {len(self.hosts) + 1} hosts, expected at most {MAX_HOSTS}")
        return self.with_keys(host, (*others, key))


def parse_pinned(file: Path, data: bytes) -> PinnedKeys:
    """Return what the file says.

    :raises ConfigurationError: with every fault of it, and its line.
    """
    document = parse_document(file, data)
    faults = list(document.faults)
    try:
        written = _WrittenKeys.model_validate(document.data)
    except ValidationError as error:
        told = {each.path for each in faults}
        faults += [each for each in _translated(document, error) if each.path not in told]
        raise ConfigurationError(file, faults) from None
    hosts: dict[str, tuple[PinnedKey, ...]] = {}
    for host, keys in written.hosts.items():
        found: list[PinnedKey] = []
        for index, each in enumerate(keys):
            path = ("hosts", host, index, "pin")
            try:
                pin = Pin(read_pin(each.pin), PinRole(each.role))
            except PinError as error:
                faults.append(
                    Fault(join(path), document.line(path), shown(each.pin), _expected(error))
                )
                continue
            if any(pin.spki == other.pin.spki for other in found):
                faults.append(
                    Fault(join(path), document.line(path), "the same key again", "each key once")
                )
            found.append(PinnedKey(pin, each.note))
        hosts[host] = tuple(found)
    if faults:
        raise ConfigurationError(file, faults)
    return PinnedKeys(hosts)


def pinned_document(keys: PinnedKeys) -> bytes:
    """Return the file's text, hosts in order of their names."""
    lines = [_HEAD, "version: 1\n", "hosts:\n" if keys.hosts else "hosts: {}\n"]
    order = list(PinRole)
    for host in sorted(keys.hosts):
        lines.append(f"  {host}:\n")
        for each in sorted(keys.hosts[host], key=lambda key: order.index(key.pin.role)):
            lines.append(f"    - pin: {each.pin}\n      role: {each.pin.role.value}\n")
            if each.note:
                # A JSON string of printable ASCII is one of YAML's too.
                lines.append(f"      note: {json.dumps(each.note[:MAX_NOTE])}\n")
    return "".join(lines).encode()


def _translated(document: Document, error: ValidationError) -> Iterator[Fault]:
    for details in error.errors(include_url=False):
        path = tuple(part for part in details["loc"] if part != "[key]")
        told = details["msg"].removeprefix("Input should be ")
        expected = str(details.get("ctx", {}).get("expected") or told)
        yield Fault(join(path), document.line(path), shown(details["input"]), expected)


def _expected(error: PinError) -> str:
    return error.detail.partition("expected ")[2] or "a SHA-256 in base64 or hexadecimal"
