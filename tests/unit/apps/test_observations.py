"""Observations as lines: written, signed, read back; what is wrong costs its own line alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.apps.observations.document import (
    MAX_DETAIL,
    MAX_LINE_BYTES,
    OBSERVATION_TYPE,
    ObservationError,
    Observers,
    from_json,
    read_lines,
    read_observations,
    sign,
    to_json,
    unsigned,
    verify,
)
from watchword.encoding import base64url
from watchword.gate.bundle import BUNDLE_TYPE
from watchword.observations import Claim, Observation, Review, SeenRoute, State, Vouched
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey
from watchword.vocabulary import Environment, Proof

AT = datetime(2026, 11, 25, 12, 30, 1, 250_000, tzinfo=UTC)
CI, EVE = (SigningKey(generate_private_key(SECP256R1())) for _ in range(2))
KEYS = {"ci": CI.public}
KNOWN = Observers.of(KEYS)

PLAIN = Observation(
    protection="PR-B01",
    key="live:shield.enforced_ratio",
    state=State.PROVEN,
    at=AT,
    target="api:clinic",
    source="drill 1.0",
    environment=Environment.PROD,
)
ROUTE = {"path": "/v1/**", "method": "GET", "proof": "session"}
REVIEWED = replace(
    PLAIN,
    state=State.REVIEWED,
    build="ab" * 32,
    generation="cd" * 32,
    loopback=True,
    detail="Größe 5",
    review=Review("Ada", "Bob", "ef" * 32, AT + timedelta(days=90)),
)


@pytest.mark.parametrize(
    "observation",
    [
        PLAIN,
        REVIEWED,
        replace(PLAIN, at=AT.replace(microsecond=0)),
        replace(PLAIN, route=SeenRoute("/v1/ärzte/**", "POST", Proof.DEVICE)),
    ],
)
def test_an_observation_survives_the_way_through_json(observation: Observation) -> None:
    """Written, signed or not, and read back it is the same, with who vouches for it."""
    assert from_json(json.loads(json.dumps(to_json(observation)))) == observation
    assert verify(sign(observation, CI), KNOWN) == Vouched(observation, "ci")
    claim = verify(unsigned(observation), KNOWN)
    assert isinstance(claim, Claim)
    assert claim.observation == observation


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"protection": ""}, "protection"),
        ({"protection": "PR-B01\n"}, "protection"),
        ({"protection": None}, "protection"),
        ({"key": "live: x"}, "key"),
        ({"key": "k" * 129}, "key"),
        ({"state": "stale"}, "state"),
        ({"state": "fine"}, "state"),
        ({"state": ["proven"]}, "state"),
        ({"at": "2026-11-25T12:00:00+01:00"}, "at"),
        ({"at": "2026-11-25 12:00:00Z"}, "at"),
        ({"at": "2026-13-25T12:00:00Z"}, "at"),
        ({"at": "0000-01-01T00:00:00Z"}, "at"),
        ({"at": "2026-11-25T12:00:60Z"}, "at"),
        ({"at": 1_795_500_000}, "at"),
        ({"target": "clinic"}, "target"),
        ({"target": "api:Clinic"}, "target"),
        ({"target": "web:clinic"}, "target"),
        ({"source": " "}, "source"),
        ({"source": "a\x1b[31m"}, "source"),
        ({"source": "s" * 201}, "source"),
        ({"detail": "d" * (MAX_DETAIL + 1)}, "detail"),
        ({"detail": "two\nlines"}, "detail"),
        ({"environment": "staging"}, "environment"),
        ({"loopback": 1}, "loopback"),
        ({"build": "AB" * 32}, "build"),
        ({"build": None}, "build"),
        ({"generation": "ab"}, "generation"),
        ({"likelihood": 3}, "'likelihood'"),
        ({"state": "reviewed"}, "review"),
        ({"review": {}}, "review"),
        ({"route": None}, "route"),
        ({"route": "/v1"}, "route"),
        ({"route": {}}, "route.method"),
        ({"route": {**ROUTE, "path": "v1"}}, "route.path"),
        ({"route": {**ROUTE, "path": "/" + "v" * 2000}}, "route.path"),
        ({"route": {**ROUTE, "path": "/a\x1b"}}, "route.path"),
        ({"route": {**ROUTE, "method": "get"}}, "route.method"),
        ({"route": {**ROUTE, "method": "G" * 17}}, "route.method"),
        ({"route": {**ROUTE, "proof": "none"}}, "route.proof"),
        ({"route": {**ROUTE, "mode": "off"}}, "route.'mode'"),
        ({"route": ROUTE, "target": "app:clinic"}, "route"),
    ],
)
def test_a_member_that_is_wrong_is_named(changes: dict[str, Any], where: str) -> None:
    """Kind, length, spelling and unknown members: each is a fault that names its member."""
    with pytest.raises(ObservationError) as told:
        from_json({**to_json(PLAIN), **changes})
    assert told.value.where == where


@pytest.mark.parametrize("name", ["reviewer", "author", "artifact", "expires"])
def test_a_review_needs_all_of_it(name: str) -> None:
    """A review without one of its members, or with one more, isn't read."""
    members = to_json(REVIEWED)
    with pytest.raises(ObservationError) as told:
        from_json({**members, "review": {**members["review"], "more": 1}})
    assert "more" in told.value.where
    del members["review"][name]
    with pytest.raises(ObservationError) as told:
        from_json(members)
    assert told.value.where == f"review.{name}"


@pytest.mark.parametrize("name", ["protection", "key", "state", "at", "target", "source"])
def test_what_is_needed_is_asked_for(name: str) -> None:
    """Each needed member that is missing is named."""
    members = to_json(PLAIN)
    del members[name]
    with pytest.raises(ObservationError) as told:
        from_json(members)
    assert told.value.where == name


def test_an_unknown_key_makes_a_claim() -> None:
    """What somebody else signed is read, and nobody vouches for it."""
    claim = verify(sign(PLAIN, EVE), KNOWN)
    assert isinstance(claim, Claim)
    assert claim.observation == PLAIN


def test_a_signature_that_does_not_hold_leaves_nothing() -> None:
    """A changed payload under a known key isn't even a claim of what stands there."""
    header, _, signature = sign(PLAIN, CI).split(".")
    other = sign(replace(PLAIN, target="api:other"), EVE).split(".")[1]
    with pytest.raises(ObservationError):
        verify(f"{header}.{other}.{signature}", KNOWN)
    # A header that names a known key over another's signature fares no better.
    payload, forged = sign(PLAIN, EVE).split(".")[1:]
    with pytest.raises(ObservationError):
        verify(f"{jose.header_segment(CI.kid, OBSERVATION_TYPE)}.{payload}.{forged}", KNOWN)


def test_another_type_is_no_observation() -> None:
    """What the same key signed as something else doesn't pass, whatever it says."""
    payload = unsigned(PLAIN).encode()
    for typ in (BUNDLE_TYPE, "JWT", "jwt"):
        with pytest.raises(ObservationError):
            verify(jose.assemble(payload, typ, CI), KNOWN)


def test_a_signed_text_that_is_no_observation_is_a_fault() -> None:
    """A signature doesn't excuse what it signs."""
    for payload in (b"[]", b"{}", b'{"protection":"PR-B01"}', b"\xff"):
        with pytest.raises(ObservationError):
            verify(jose.assemble(payload, OBSERVATION_TYPE, CI), KNOWN)


def test_a_faulty_line_costs_no_other(tmp_path: Path) -> None:
    """Faults come with the numbers of their lines; empty lines and CRLF are no faults."""
    file = tmp_path / "observations.jsonl"
    lines = [
        sign(PLAIN, CI),
        "",
        '{"protection": "PR-B01"}',
        unsigned(REVIEWED) + "\r",
        "x" * (MAX_LINE_BYTES + 1),
        sign(REVIEWED, EVE),
        "a.b.c",
    ]
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    reading = read_observations(file, KEYS)
    assert [each.observation for each in reading.vouched] == [PLAIN]
    assert [each.observation for each in reading.claims] == [REVIEWED, REVIEWED]
    assert [each.line for each in reading.faults] == [3, 5, 7, 8]
    assert reading.notes == ()


@pytest.mark.parametrize("whole", [sign(PLAIN, CI), unsigned(REVIEWED)])
def test_a_line_that_was_cut_off_is_a_note(whole: str) -> None:
    """Wherever a writer was killed: the lines before are there, and his own is no fault."""
    data = whole.encode()
    for cut in range(1, len(data)):
        reading = read_lines(data + b"\n" + data[:cut], KEYS)
        assert len(reading.vouched) + len(reading.claims) == 1
        assert reading.faults == ()
        assert [each.line for each in reading.notes] == [2]
    reading = read_lines(data + b"\n" + data, KEYS)
    assert len(reading.vouched) + len(reading.claims) == 2
    assert reading.notes == ()


def test_no_file_and_an_empty_file_hold_nothing(tmp_path: Path) -> None:
    """Before the first observation there is none, and that is no error."""
    file = tmp_path / "observations.jsonl"
    assert read_observations(file, KEYS) == read_lines(b"", KEYS)
    file.touch()
    assert read_observations(file, KEYS) == read_lines(b"", KEYS)


SEEDS = [sign(PLAIN, CI).encode(), unsigned(REVIEWED).encode(), sign(REVIEWED, EVE).encode()]


@settings(max_examples=300)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    """Arbitrary bytes give faults or notes, and never a vouched statement."""
    reading = read_lines(data, KEYS)
    assert reading.vouched == ()
    assert all(each.text.isprintable() for each in reading.faults)


@settings(max_examples=300)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_mutated_lines_are_never_vouched_for(seed: bytes, edits: list[tuple[int, int]]) -> None:
    """A signed line with bytes exchanged is a fault, unless it is the same line again."""
    mutated = bytearray(seed)
    for place, value in edits:
        mutated[place % len(mutated)] = value
    for each in read_lines(bytes(mutated) + b"\n", KEYS).vouched:
        assert bytes(mutated).strip() == SEEDS[0]
        assert each == Vouched(PLAIN, "ci")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(name=st.sampled_from([*to_json(REVIEWED), "x"]), value=JSON, inside=st.booleans())
def test_any_value_of_a_member_is_read_or_refused(name: str, value: Any, inside: bool) -> None:
    """Whatever JSON stands in a member: an observation that writes the same, or a fault."""
    members = to_json(REVIEWED)
    if inside:
        members["review"][name] = value
    else:
        members[name] = value
    try:
        seen = from_json(members)
    except ObservationError as error:
        assert error.where  # noqa: PT017 - any other error fails the test.
        return
    assert from_json(to_json(seen)) == seen


def test_thumbprints_name_observers() -> None:
    """A signature names its key by RFC 7638, which is how an observer is found."""
    header = json.loads(base64url.decode(sign(PLAIN, CI).split(".", maxsplit=1)[0]))
    assert header == {"alg": "ES256", "kid": CI.kid, "typ": OBSERVATION_TYPE}
    assert KNOWN.by_kid[CI.kid][0] == "ci"
