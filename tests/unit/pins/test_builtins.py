"""Test the file that a version of an app ships with: what is written is read, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.pins.builders import APP, HOST, entry, key, pin_set, pins, roots, roots_data, spki

from watchword.encoding import base64url, strict_json
from watchword.pins.installed import (
    MAX_BUILTIN_BYTES,
    BuiltinError,
    builtin_document,
    read_builtin,
)
from watchword.pins.interface import MAX_HOSTS, MAX_PINS, PinSet
from watchword.pins.sets import sign_set

PINNED = pin_set(7, entry(held=pins(ca="root")))


def document(held: PinSet | None = PINNED) -> dict[str, Any]:
    """Return the members of a file."""
    signed = None if held is None else sign_set(held, key("pin1"))
    return strict_json.loads(builtin_document(APP, "4.2.0", roots_data(), signed, held), 1 << 20)


def test_what_is_written_is_read() -> None:
    """Root list, set, floor and the authorities that the set pins."""
    found = read_builtin(strict_json.dumps(document()))
    assert (found.app, found.app_version, found.floor) == (APP, "4.2.0", 7)
    assert found.roots == roots()
    assert found.first == PINNED
    assert found.authorities == {HOST: frozenset({spki("root")})}


def test_a_version_without_a_set() -> None:
    """Nothing is pinned before the first fetch, and any version is taken."""
    found = read_builtin(strict_json.dumps(document(None)))
    assert (found.first, found.floor, found.authorities) == (None, 1, {})


def _set(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda members: members.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda members: members.pop("floor"), "expected exactly"),
        (_set("more", 1), "expected exactly"),
        (_set("app", "a/b"), "expected an app"),
        (_set("app", "another-app"), "expected one for another-app"),
        (_set("app_version", ""), "app_version"),
        (_set("app_version", "1" * 65), "app_version"),
        (_set("app_version", 4), "app_version"),
        (_set("floor", 0), "floor"),
        (_set("floor", True), "floor"),
        (_set("floor", 8), "from 8 on"),
        (_set("floor", 2**53), "floor"),
        (_set("roots", []), "expected roots"),
        (_set("roots", {}), "pins.roots_malformed"),
        (_set("roots", strict_json.loads(roots_data(by=("root1",)), 1 << 20)), "threshold"),
        (_set("set", 7), "set to be text or null"),
        (_set("set", "é"), "ASCII"),
        (_set("set", sign_set(PINNED, key("stranger")).decode()), "pins.set_key"),
        (_set("authorities", []), "expected authorities"),
        (_set("authorities", {"Api.Example.com": []}), "pins.host_malformed"),
        (_set("authorities", {HOST: []}), "list of 1 to"),
        (_set("authorities", {HOST: "abc"}), "list of 1 to"),
        (_set("authorities", {HOST: [1]}), "32 bytes"),
        (_set("authorities", {HOST: ["AAAA"]}), "32 bytes"),
        (_set("authorities", {HOST: [base64url.encode(spki("a"))] * (MAX_PINS + 1)}), "list of"),
        (_set("authorities", {f"h{n}.example": [] for n in range(MAX_HOSTS + 1)}), "at most"),
    ],
)
def test_anything_else_is_no_such_file(
    change: Callable[[dict[str, Any]], object], told: str
) -> None:
    """Each fault of a build is one error of ours that says what was expected."""
    members = document()
    change(members)
    with pytest.raises(BuiltinError, match=told):
        read_builtin(strict_json.dumps(members))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b" " * (MAX_BUILTIN_BYTES + 1)])
def test_bytes_that_are_no_object(data: bytes) -> None:
    """An empty, a cut and an endless file."""
    with pytest.raises(BuiltinError):
        read_builtin(data)
