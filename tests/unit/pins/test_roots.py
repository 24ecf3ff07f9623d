"""Test how root lists are signed and follow each other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pins.builders import NOW, key, roots, roots_data

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import MAX_ROOT_KEYS, MAX_ROOTS_BYTES, RootList
from watchword.pins.roots import (
    add_signature,
    read_roots,
    read_unverified,
    sign_roots,
    signers_of,
    unsigned,
)
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.jose import jwk_from_public_key


def refused(data: bytes, previous: RootList | None = None) -> Reason:
    """Return why a list is refused."""
    with pytest.raises(RefusedError) as caught:
        read_roots(data, previous)
    return caught.value.reason


def resigned(**changes: Any) -> bytes:
    """Return a first list with other members, signed by enough keys."""
    members = {**json.loads(base64url.decode(json.loads(roots_data())["payload"])), **changes}
    members = {name: value for name, value in members.items() if value is not ...}
    payload = base64url.encode(strict_json.dumps(members))
    data = strict_json.dumps({"payload": payload, "signatures": []})
    return sign_roots(data, [key("root1"), key("root2")])


def jwk(name: str) -> dict[str, str]:
    """Return a public key as it stands in a list."""
    return jwk_from_public_key(key(name).public)


def test_what_was_signed_is_read_back() -> None:
    """Versions, keys by thumbprint, threshold and floors."""
    found = read_roots(roots_data(floors={"clinic-android": 5}), None)
    assert found.version == 1
    assert found.threshold == 2
    assert set(found.keys) == {key(name).kid for name in ("root1", "root2", "root3")}
    assert set(found.pin_keys) == {key("pin1").kid, key("pin2").kid}
    assert found.floors == {"clinic-android": 5}
    assert found.expires > NOW


def test_signatures_are_added_one_by_one() -> None:
    """A list goes from one holder of a key to the next; until the threshold is met it counts for nothing."""
    data = roots_data(by=())
    assert signers_of(data, roots().keys) == frozenset()
    assert read_unverified(data).version == 1
    assert refused(data) is Reason.PINS_ROOTS_THRESHOLD
    data = add_signature(data, key("root2"))
    data = add_signature(data, key("root2"))
    assert signers_of(data, roots().keys) == {key("root2").kid}
    assert refused(data) is Reason.PINS_ROOTS_THRESHOLD
    assert read_roots(add_signature(data, key("root3")), None).version == 1


def test_next_list_needs_the_old_keys_and_the_new_ones() -> None:
    """Neither the old threshold nor the new one is enough alone (TUF 5.3.4)."""
    fresh: dict[str, Any] = {"keys": ("root4", "root5"), "version": 2}
    both = ("root1", "root2", "root4", "root5")
    assert read_roots(roots_data(by=both, **fresh), roots()).version == 2
    for by in (both[:2], both[2:], both[1:], both[:3], ("root1", "root4", "root5")):
        assert refused(roots_data(by=by, **fresh), roots()) is Reason.PINS_ROOTS_THRESHOLD


def test_lowered_threshold_is_the_old_lists_decision() -> None:
    """One key can't give itself the say: two of the old ones have to sign that one is enough."""
    assert (
        refused(roots_data(2, threshold=1, by=("root1",)), roots()) is Reason.PINS_ROOTS_THRESHOLD
    )
    second = read_roots(roots_data(2, threshold=1), roots())
    assert read_roots(roots_data(3, threshold=1, by=("root3",)), second).version == 3


def test_raised_threshold_holds_for_the_list_that_raises_it() -> None:
    """A list that its own keys couldn't have agreed on would be the last one ever."""
    data = roots_data(2, threshold=3)
    assert refused(data, roots()) is Reason.PINS_ROOTS_THRESHOLD
    assert read_roots(add_signature(data, key("root3")), roots()).threshold == 3


@pytest.mark.parametrize("version", [1, 3, 7])
def test_no_version_is_left_out_or_read_twice(version: int) -> None:
    """Each may have taken a key away."""
    assert refused(roots_data(version), roots()) is Reason.PINS_ROOTS_VERSION


def test_floors_only_grow() -> None:
    """Sets that stopped to count don't count again."""
    first = read_roots(roots_data(floors={"a": 5, "b": 2}), None)
    for floors in ({"a": 4, "b": 2}, {"a": 5}, {}):
        assert refused(roots_data(2, floors=floors), first) is Reason.PINS_ROOTS_VERSION
    assert read_roots(roots_data(2, floors={"a": 5, "b": 3, "c": 1}), first).floors["c"] == 1


def test_one_key_counts_once() -> None:
    """A signature that stands there twice is refused, as is a key that is listed twice."""
    document = json.loads(roots_data(by=("root1",)))
    document["signatures"] *= 2
    assert refused(strict_json.dumps(document)) is Reason.PINS_ROOTS_MALFORMED
    assert refused(resigned(keys=[jwk("root1"), jwk("root1")])) is Reason.PINS_ROOTS_MALFORMED


def test_signature_of_another_list_or_key_counts_for_nothing() -> None:
    """Signatures are over this payload, and under the key that their header names."""
    genuine, other = json.loads(roots_data()), json.loads(roots_data(expires=NOW + 5))
    mixed = {"payload": genuine["payload"], "signatures": other["signatures"]}
    assert refused(strict_json.dumps(mixed)) is Reason.PINS_ROOTS_THRESHOLD
    headers = [each["protected"] for each in genuine["signatures"]]
    for each, header in zip(genuine["signatures"], reversed(headers), strict=True):
        each["protected"] = header
    assert refused(strict_json.dumps(genuine)) is Reason.PINS_ROOTS_THRESHOLD


def test_signature_of_a_stranger_changes_nothing() -> None:
    """It neither counts nor spoils the others."""
    data = add_signature(roots_data(), key("stranger"))
    assert read_roots(data, None).version == 1
    data = sign_roots(roots_data(by=("root1",)), [key("stranger"), key("pin1")])
    assert refused(data) is Reason.PINS_ROOTS_THRESHOLD


def test_signature_made_for_a_pin_set_is_none_of_a_list() -> None:
    """The type in the header parts them."""
    payload = json.loads(roots_data())["payload"]
    signatures = []
    for name in ("root1", "root2"):
        protected = jose.header_segment(key(name).kid, "watchword-pins+jwt")
        signature = base64url.encode(key(name).sign(f"{protected}.{payload}".encode()))
        signatures.append({"protected": protected, "signature": signature})
    data = strict_json.dumps({"payload": payload, "signatures": signatures})
    assert refused(data) is Reason.PINS_ROOTS_MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"ver": ...},
        {"ver": 0},
        {"ver": True},
        {"exp": -1},
        {"exp": 1.5},
        {"threshold": 0},
        {"threshold": 4},
        {"keys": []},
        {"keys": {}},
        {"keys": ["x"]},
        {"keys": [{"kty": "EC"}]},
        {"keys": [{**jwk("root1"), "kid": "x"}]},
        {"keys": [{**jwk("root1"), "y": jwk("root2")["y"]}]},
        {"keys": [jwk(f"k{at}") for at in range(MAX_ROOT_KEYS + 1)]},
        {"pin_keys": []},
        {"pin_keys": [jwk("pin1"), jwk("pin1")]},
        {"pin_keys": [jwk("root1")]},
        {"floors": []},
        {"floors": {"a b": 1}},
        {"floors": {"a": 0}},
        {"floors": {"a": "1"}},
        {"floors": {f"a{at}": 1 for at in range(201)}},
    ],
)
def test_every_member_is_held_to_its_form(changes: dict[str, Any]) -> None:
    """Unknown members, thresholds that can't be met, keys off the curve, a root key that is a pin key too."""
    assert refused(resigned(**changes)) is Reason.PINS_ROOTS_MALFORMED


def test_list_that_nobody_would_read_is_never_made() -> None:
    """The threshold can be met by the keys."""
    with pytest.raises(MalformedError):
        unsigned(
            version=1,
            expires=NOW,
            keys=[key("root1").public],
            threshold=2,
            pin_keys=[key("pin1").public],
        )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"payload":1,"signatures":[]}',
        b'{"payload":"","signatures":[]}',
        b'{"payload":"e30","signatures":{}}',
        b'{"payload":"e30","signatures":[1]}',
        b'{"payload":"e30","signatures":[{"protected":1,"signature":""}]}',
        b'{"payload":"e30","signatures":[{"protected":"","signature":"","header":{}}]}',
        b'{"payload":"!","signatures":[]}',
        b'{"payload":"e30","signatures":[' + b",".join([b"{}"] * 33) + b"]}",
        b" " * (MAX_ROOTS_BYTES + 1),
        roots_data().replace(b'"payload"', b'"payload":"e30","payload"', 1),
    ],
)
def test_malformed_documents_are_refused_as_such(data: bytes) -> None:
    """Nothing is read of a document that isn't in the one form."""
    assert refused(data) is Reason.PINS_ROOTS_MALFORMED
    with pytest.raises(MalformedError):
        read_unverified(data)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_mutated_lists_are_refused_and_raise_nothing_foreign(at: int, noise: bytes) -> None:
    """No change of a byte leaves a list that is taken."""
    data = roots_data()
    at %= len(data)
    mutated = data[:at] + noise + data[at + len(noise) :]
    if mutated != data:
        with pytest.raises(RefusedError) as caught:
            read_roots(mutated, None)
        assert caught.value.reason.code.startswith("pins.roots_")


def test_largest_list_fits() -> None:
    """As many keys as allowed, each of which signed."""
    names = [f"k{at}" for at in range(MAX_ROOT_KEYS)]
    data = roots_data(by=names, keys=names, threshold=16, pin_keys=[f"p{n}" for n in names])
    assert read_roots(data, None).threshold == MAX_ROOT_KEYS
