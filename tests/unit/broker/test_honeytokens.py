"""Make canaries that scanners take for keys, and find them wherever a request carries one."""

import base64
import hmac
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.broker.honeytokens import (
    KINDS,
    MAX_CANDIDATES,
    RANDOM_BYTES,
    digest,
    make_honeytoken,
    spot,
)
from watchword.broker.interface import HoneytokenWatch
from watchword.scan.secrets import structure

KEY = bytes(range(32))
OTHER = "x" * 40
FORMS = {
    "aws": ("aws-access-token", r"AKIA[Q-Z2-7][A-Z2-7]{15}"),
    "generic": (None, r"[0-9A-Za-z]{40}"),
    "github": ("github-pat", r"ghp_[0-9A-Za-z]{36}"),
    "google": (None, r"AIzaSy[0-9A-Za-z_-]{33}"),
    "openai": (None, r"sk-proj-[\w-]{74}T3BlbkFJ[\w-]{73}\w"),
    "stripe": (None, r"sk_live_51[0-9A-Za-z]{97}"),
}


def made(kind: str, number: int = 1) -> str:
    """Return the canary of this number."""
    randomness = hmac.digest(KEY, str(number).encode(), "sha512") * 3
    return make_honeytoken(kind, randomness[:RANDOM_BYTES]).value


PLANTED = {kind: made(kind) for kind in KINDS}
WATCH = HoneytokenWatch(KEY, {digest(KEY, value): kind for kind, value in PLANTED.items()})


@pytest.mark.parametrize("kind", KINDS)
@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_a_canary_has_the_form_of_its_kind(kind: str, randomness: bytes) -> None:
    """Alphabet, length, prefix, and the checksum where there is one: no tool sorts it out."""
    rule, form = FORMS[kind]
    canary = make_honeytoken(kind, randomness)
    assert re.fullmatch(form, canary.value, re.ASCII)
    if rule is not None:
        assert structure.holds(rule, canary.value)
    if kind == "aws":
        assert 10**11 <= (structure.aws_account(canary.value) or 0) < 10**12
    assert (canary.beside is None) == (kind != "aws")
    assert canary.value not in repr(canary)


@pytest.mark.parametrize("kind", KINDS)
def test_canaries_differ(kind: str) -> None:
    """A thousand of one kind, and each place takes all of its characters."""
    values = {made(kind, number) for number in range(1000)}
    assert len(values) == 1000
    varied = [set(column) for column in zip(*values, strict=True)]
    assert sum(len(each) > 25 for each in varied) >= 15


def test_randomness_of_another_length_is_refused() -> None:
    """Less would make canaries that can be guessed."""
    with pytest.raises(ValueError, match="expected 160"):
        make_honeytoken("generic", bytes(RANDOM_BYTES - 1))
    with pytest.raises(KeyError):
        make_honeytoken("unknown", bytes(RANDOM_BYTES))


def test_digest_is_keyed() -> None:
    """HMAC-SHA256 of the value, as RFC 2104 has it: without the key nobody tries keys against it."""
    assert digest(KEY, "value") == hmac.new(KEY, b"value", "sha256").digest()
    assert digest(KEY[::-1], "value") != digest(KEY, "value")


def basic(user: str, password: str) -> bytes:
    """Return credentials as RFC 7617 writes them."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


CANARY = PLANTED["stripe"]
ESCAPED = "".join(f"%{ord(each):02x}" for each in CANARY)
FOUND_IN_HEADERS = {
    "bare": (b"x-api-key", CANARY.encode()),
    "as CGI spells it": (b"x_api_key", CANARY.encode()),
    "half as CGI spells it": (b"x-goog_api-key", CANARY.encode()),
    "blanks around": (b"x-api-key", b"  " + CANARY.encode() + b"\t"),
    "Bearer": (b"authorization", b"Bearer " + CANARY.encode()),
    "bearer in capitals": (b"authorization", b"BEARER   " + CANARY.encode()),
    "another scheme": (b"authorization", b'Token token="' + CANARY.encode() + b'"'),
    "AWS": (b"authorization", f"AWS4-HMAC-SHA256 Credential={CANARY}/20260101/x".encode()),
    "a list": (b"api-key", b"other,another , " + CANARY.encode() + b",more"),
    "Basic, as the user": (b"authorization", basic(CANARY, "")),
    "Basic, as the password": (b"authorization", basic("user", CANARY)),
    "Basic without padding": (b"authorization", basic(CANARY, "pass").rstrip(b"=")),
    "Basic in small letters": (b"authorization", b"basic  " + basic(CANARY, "p")[6:]),
}
FOUND_IN_QUERIES = {
    "only": f"key={CANARY}",
    "last": f"a=b&c&=&api_key={CANARY}",
    "capitals in the name": f"API_Key={CANARY}&a=b",
    "an escaped name": f"%6bey={CANARY}",
    "a name all of escapes": f"a=b&%61%70%69%6B%65%79={CANARY}",
    "an escaped value": f"token={ESCAPED}",
    "behind a semicolon": f"a=b;token={CANARY}",
    "twice": f"key={OTHER}&key={CANARY}",
    "within a value": f"key=Bearer+{CANARY}",
}


@pytest.mark.parametrize("how", FOUND_IN_HEADERS)
def test_it_is_found_in_headers(how: str) -> None:
    """However a client writes a key there; beside other fields, and in the second of one name."""
    name, value = FOUND_IN_HEADERS[how]
    assert spot(WATCH, [(name, value)], b"") == "stripe"
    fields = [(b"host", b"a.example"), (name, OTHER.encode()), (name, value), (b"accept", b"*/*")]
    assert spot(WATCH, fields, b"q=1") == "stripe"


@pytest.mark.parametrize("how", FOUND_IN_QUERIES)
def test_it_is_found_in_queries(how: str) -> None:
    """However a client writes a parameter."""
    assert spot(WATCH, [(b"host", b"a.example")], FOUND_IN_QUERIES[how].encode()) == "stripe"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found(kind: str) -> None:
    """In a header and in a parameter, by its own name."""
    value = PLANTED[kind].encode()
    assert spot(WATCH, [(b"authorization", b"Bearer " + value)], b"") == kind
    assert spot(WATCH, [], b"access_token=" + value) == kind


NOT_FOUND: Mapping[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "nothing": ([], ""),
    "another key": ([(b"authorization", b"Bearer " + OTHER.encode())], f"key={OTHER}"),
    "another header": ([(b"x-note", CANARY.encode())], ""),
    "another parameter": ([], f"note={CANARY}&monkey2={CANARY}"),
    "the end of a longer name": ([], f"monkey={CANARY}"),
    "a part of it": ([(b"x-api-key", CANARY[:-1].encode())], ""),
    "more than it": ([(b"x-api-key", CANARY.encode() + b"x")], ""),
    "in other letters": ([(b"x-api-key", CANARY.swapcase().encode())], ""),
    "without a name": ([], CANARY),
    "broken base64": ([(b"authorization", b"Basic A")], ""),
}


@pytest.mark.parametrize("case", NOT_FOUND)
def test_nothing_else_is_taken_for_it(case: str) -> None:
    """No request of a genuine app is refused for what looks like a canary."""
    headers, query = NOT_FOUND[case]
    assert spot(WATCH, headers, query.encode()) is None


def test_other_places_can_be_watched() -> None:
    """Names of a partner's own; the usual ones aren't looked into then."""
    watch = HoneytokenWatch(KEY, WATCH.digests, ("x-partner",), ("Partner-Key",))
    assert spot(watch, [(b"x-partner", CANARY.encode())], b"") == "stripe"
    assert spot(watch, [], f"partner-key={CANARY}".encode()) == "stripe"
    assert spot(watch, [(b"x-api-key", CANARY.encode())], f"key={CANARY}".encode()) is None
    nowhere = HoneytokenWatch(KEY, WATCH.digests, (), ())
    assert spot(nowhere, [(b"x-api-key", CANARY.encode())], f"key={CANARY}".encode()) is None


class Counting(dict[bytes, str]):
    """Count how often it is asked."""

    asked = 0

    def get(self, key: bytes, default: str | None = None) -> str | None:  # type: ignore[override]
        """Count and answer."""
        self.asked += 1
        return super().get(key, default)


@pytest.mark.parametrize("at", range(4))
def test_a_canary_costs_what_another_key_costs(at: int) -> None:
    """Wherever it stands, as many comparisons are made as without one: no answer comes sooner."""
    counts = []
    for value in (CANARY, "y" * len(CANARY)):
        watch = HoneytokenWatch(KEY, Counting(WATCH.digests))
        keys = [OTHER] * 4
        keys[at] = value
        fields = [(b"authorization", f"Bearer {keys[0]}".encode()), (b"api-key", keys[1].encode())]
        found = spot(watch, fields, f"key={keys[2]}&token={keys[3]}".encode())
        assert found == ("stripe" if value == CANARY else None)
        counts.append(watch.digests.asked)  # type: ignore[attr-defined]
    assert counts == [4, 4]


def test_work_is_bounded() -> None:
    """A request full of keys is compared so often and no more."""
    watch = HoneytokenWatch(KEY, Counting(WATCH.digests))
    many = ",".join(f"key-number-{number:06}" for number in range(400))
    assert (
        spot(watch, [(b"api-key", many.encode())] * 50, b"&".join([b"key=" + b"z" * 20] * 400))
        is None
    )
    assert watch.digests.asked == MAX_CANDIDATES  # type: ignore[attr-defined]


@given(
    st.lists(st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"host"]), st.binary())),
    st.binary() | st.text("key=&;%6b5zA").map(str.encode),
)
def test_no_bytes_raise(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Whatever a stranger sends, it is looked at and nothing is found."""
    assert spot(WATCH, headers, query) is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(KINDS))
def test_it_is_found_between_any_bytes(before: bytes, after: bytes, kind: str) -> None:
    """As long as what stands around it can't belong to a key."""
    value = before + b" " + PLANTED[kind].encode() + b" " + after
    assert spot(WATCH, [(b"authorization", value)], b"") == kind
