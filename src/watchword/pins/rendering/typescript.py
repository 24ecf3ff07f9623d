"""Write a typed constant and its lookup for TypeScript, such as React Native's."""

from collections.abc import Iterator

from watchword.encoding import strict_json
from watchword.pins.interface import HostPins, PinSet
from watchword.pins.rendering.interface import Format, LeftOut, header

_TYPES = """\
export type PinMode = "report" | "enforce";
export type PinRole = "current" | "next" | "backup" | "ca";

export interface Pin {
  /** Base64 of the SHA-256 of a SubjectPublicKeyInfo. */
  readonly spki: string;
  /** Of `ca` in any certificate of the chain but the leaf, else in the leaf alone. */
  readonly role: PinRole;
}

export interface HostPins {
  readonly mode: PinMode;
  readonly includeSubdomains: boolean;
  readonly afterExpiry: "open" | "closed";
  readonly pins: readonly Pin[];
}

export interface PinSet {
  readonly app: string;
  readonly version: number;
  /** Seconds since 1970, as the next two. */
  readonly issuedAt: number;
  readonly softExpiry: number;
  readonly hardExpiry: number;
  /** Where mismatches are reported. */
  readonly reports: string | null;
  /** A map, so that no name of a host is one of an object's own members. */
  readonly hosts: ReadonlyMap<string, HostPins>;
}
"""

_LOOKUP = """\

/** Return the entry for a host: its own, else that of the nearest name above it which includes it. */
export function pinsOf(host: string, set: PinSet = PIN_SET): HostPins | undefined {
  let name = host.toLowerCase().replace(/\\.+$/, "");
  const own = set.hosts.get(name);
  if (own !== undefined) {
    return own;
  }
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".")) {
    name = name.slice(dot + 1);
    const found = set.hosts.get(name);
    if (found !== undefined && found.includeSubdomains) {
      return found;
    }
  }
  return undefined;
}
"""


def render(pin_set: PinSet) -> str:
    """Return the file."""
    head = "".join(f"// {line}\n" for line in header(pin_set))
    return "".join([head, _TYPES, "\n", *_constant(pin_set), _LOOKUP])


def left_out(_pin_set: PinSet) -> tuple[LeftOut, ...]:
    """Return nothing: it says all that the set says."""
    return ()


def _constant(pin_set: PinSet) -> Iterator[str]:
    yield "export const PIN_SET: PinSet = {\n"
    yield f"  app: {_text(pin_set.app)},\n"
    yield f"  version: {pin_set.version},\n"
    yield f"  issuedAt: {pin_set.issued_at},\n"
    yield f"  softExpiry: {pin_set.soft_expiry},\n"
    yield f"  hardExpiry: {pin_set.hard_expiry},\n"
    yield f"  reports: {'null' if pin_set.reports is None else _text(pin_set.reports)},\n"
    yield "  hosts: new Map<string, HostPins>([\n"
    for entry in pin_set.hosts:
        yield from _entry(entry)
    yield "  ]),\n};\n"


def _entry(entry: HostPins) -> Iterator[str]:
    yield f"    [{_text(entry.host)}, {{\n"
    yield f"      mode: {_text(entry.mode.value)},\n"
    yield f"      includeSubdomains: {'true' if entry.include_subdomains else 'false'},\n"
    yield f"      afterExpiry: {_text(entry.after_expiry.value)},\n"
    yield "      pins: [\n"
    for pin in entry.pins:
        spki = str(pin).removeprefix("sha256/")
        yield f"        {{ spki: {_text(spki)}, role: {_text(pin.role.value)} }},\n"
    yield "      ],\n    }],\n"


def _text(text: str) -> str:
    """Return a literal: a string of JSON is one of TypeScript's."""
    return strict_json.dumps({"": text}).decode("utf-8")[len('{"":') : -1]


FORMAT = Format(
    "typescript",
    "watchwordPins.ts",
    "a typed constant and its lookup in TypeScript",
    render,
    left_out,
)
