"""Hold consents to what their owner wrote, and runs to the key that he agreed to."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchword.drill.consent import (
    MAX_BYTES,
    RUN_SECONDS,
    RUN_TYPE,
    Consent,
    ConsentError,
    ConsentFault,
    allowed,
    read_consent,
    refuse_unlisted,
    sign_run,
    verify_run,
    written_consent,
)
from watchword.drill.wire import Part
from watchword.encoding import strict_json
from watchword.reasons import MalformedError
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey, jwk_from_public_key

KEY, OTHER = (SigningKey.from_scalar(bytes(31) + bytes([number])) for number in (1, 2))
JWK = jwk_from_public_key(KEY.public)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
API = "https://api.example"
MEMBERS: dict[str, Any] = {
    "v": 1,
    "key": KEY.kid,
    "origin": API,
    "attacks": ["proof-replayed", "token-expired"],
    "rate": 10,
    "expires": "2026-12-01T12:00:00Z",
}
GIVEN = Consent(
    key=KEY.kid,
    origin=API,
    attacks=frozenset({"proof-replayed", "token-expired"}),
    rate=10,
    expires=datetime(2026, 12, 1, 12, tzinfo=UTC),
)


def document(**changes: Any) -> bytes:
    """Return a document that differs in these members; None takes one out."""
    members = {**MEMBERS, **changes}
    return strict_json.dumps({name: value for name, value in members.items() if value is not None})


def assert_no_consent(data: bytes) -> None:
    """See that this is no consent."""
    with pytest.raises(ConsentError) as caught:
        read_consent(data)
    assert caught.value.fault is ConsentFault.DOCUMENT
    assert str(caught.value).isascii()


def test_a_consent_is_read() -> None:
    """Each member says what it says; the gate alone where no part is named."""
    assert read_consent(document()) == GIVEN
    assert read_consent(document(attacks=["*"])).attacks is None
    parts = read_consent(document(parts=["upstream", "service"])).parts
    assert parts == {Part.UPSTREAM, Part.SERVICE}


@pytest.mark.parametrize("name", MEMBERS)
def test_nothing_is_taken_for_granted(name: str) -> None:
    """A member that is left out has no default that agrees to something."""
    assert_no_consent(document(**{name: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"v": 1.0},
        {"v": "1"},
        {"key": "x"},
        {"key": KEY.kid + "="},
        {"key": [KEY.kid]},
        {"key": "*" * 43},
        {"origin": "*"},
        {"origin": "https://*.example"},
        {"origin": "https://API.example"},
        {"origin": "https://api.example/"},
        {"origin": "https://api.example:443"},
        {"origin": "http://api.example:80"},
        {"origin": "https://api.example:99999"},
        {"origin": "https://a@api.example"},
        {"origin": "https://api.example\n"},
        {"origin": "api.example"},
        {"origin": "ftp://api.example"},
        {"origin": ["https://api.example"]},
        {"attacks": "*"},
        {"attacks": []},
        {"attacks": ["*", "token-expired"]},
        {"attacks": ["token-expired", "token-expired"]},
        {"attacks": ["Token"]},
        {"attacks": [1]},
        {"attacks": [["*"]]},
        {"attacks": {"*": 1}},
        {"attacks": [f"a{number}" for number in range(201)]},
        {"rate": 0},
        {"rate": 51},
        {"rate": -1},
        {"rate": 10.0},
        {"rate": True},
        {"rate": "10"},
        {"rate": 10**18},
        {"expires": "2026-12-01"},
        {"expires": "2026-12-01T12:00:00"},
        {"expires": "2026-12-01T12:00:00+00:00"},
        {"expires": "2026-12-01T12:00:00+14:00"},
        {"expires": "2026-12-01T12:00:00.5Z"},
        {"expires": "2026-13-01T12:00:00Z"},
        {"expires": "2026-12-01T24:00:01Z"},
        {"expires": "0000-01-01T00:00:00Z"},
        {"expires": 1796126400},
        {"parts": []},
        {"parts": ["*"]},
        {"parts": ["gate", "gate"]},
        {"parts": "gate"},
        {"parts": [["gate"]]},
        {"parts": ["gate", "service", "upstream", "gate"]},
        {"also": 1},
        {"redirect": "https://evil.example"},
    ],
    ids=str,
)
def test_a_document_with_a_fault_agrees_to_nothing(changes: dict[str, Any]) -> None:
    """Other types, spellings, bounds and members are refused as a whole."""
    assert_no_consent(document(**changes))


def test_a_document_is_bounded_and_strict() -> None:
    """Too long, nested, doubled, not an object, not UTF-8: nothing of it counts."""
    good = document()
    assert_no_consent(good + b" " * (MAX_BYTES - len(good) + 1))
    assert_no_consent(b'{"v":' * 500 + b"1" + b"}" * 500)
    assert_no_consent(b"[" * 4000)
    assert_no_consent(good[:-1] + b',"origin":"https://evil.example"}')
    assert_no_consent(good[:-1] + b',"\\u006frigin":"https://evil.example"}')
    assert_no_consent(b"[" + good + b"]")
    assert_no_consent(good + good)
    assert_no_consent(good.decode().encode("utf-16"))
    assert_no_consent(b"\xef\xbb\xbf" + good)
    assert_no_consent(good.replace(b"10", b"NaN"))
    assert_no_consent(b"")
    assert read_consent(good + b" " * (MAX_BYTES - len(good))) == GIVEN


@given(st.binary(max_size=300))
@example(b"{" * 9)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever a target serves, there is an error of ours or a consent."""
    with pytest.raises(ConsentError):
        read_consent(data)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*MEMBERS, "parts"]), _JSON | st.text("*gateh ps:/.0-9TZ\n", max_size=30))
def test_any_member_is_read_or_refused(name: str, value: Any) -> None:
    """Any value in a member's place is refused, or read as what can be written again."""
    try:
        consent = read_consent(strict_json.dumps({**MEMBERS, name: value}))
    except ConsentError:
        return
    assert read_consent(written_consent(consent)) == consent


@given(
    st.none() | st.frozensets(st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True), min_size=1),
    st.integers(1, 50),
    st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1)),  # noqa: DTZ001 - the zone follows.
    st.frozensets(st.sampled_from(Part), min_size=1),
)
def test_what_is_written_is_read(
    attacks: frozenset[str] | None, rate: int, expires: datetime, parts: frozenset[Part]
) -> None:
    """A consent that was printed says the same when it is served."""
    at = expires.replace(microsecond=0, tzinfo=UTC)
    consent = Consent(KEY.kid, API, attacks, rate, at, parts)
    assert read_consent(written_consent(consent)) == consent


def test_what_nobody_could_read_is_not_written() -> None:
    """A consent with a fault is found where it is made."""
    with pytest.raises(ConsentError):
        written_consent(replace(GIVEN, rate=51))


def refused(consent: Consent, origin: str = API, key: str = KEY.kid, part: Part = Part.GATE) -> str:
    """Return the fault for which a consent doesn't permit this."""
    with pytest.raises(ConsentError) as caught:
        allowed(consent, origin, key, part, NOW)
    return caught.value.fault


def test_a_consent_permits_what_it_says() -> None:
    """Attacks, rate and end are handed on."""
    found = allowed(GIVEN, API, KEY.kid, Part.GATE, NOW)
    assert (found.attacks, found.rate, found.expires) == (GIVEN.attacks, 10, GIVEN.expires)
    refuse_unlisted(found, ["token-expired"])
    refuse_unlisted(allowed(replace(GIVEN, attacks=None), API, KEY.kid, Part.GATE, NOW), ["any"])


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://api.example",
        "https://api.example:8443",
        "https://api.example.evil.example",
        "https://i.api.example",
    ],
)
def test_a_copied_consent_agrees_to_nothing(origin: str) -> None:
    """Another host, port or scheme serves a document that isn't about it."""
    assert refused(GIVEN, origin=origin) is ConsentFault.ORIGIN


def test_a_consent_is_for_one_key_and_some_parts() -> None:
    """Another drill's key, and a part that isn't named, are refused."""
    assert refused(GIVEN, key=OTHER.kid) is ConsentFault.KEY
    assert refused(GIVEN, part=Part.SERVICE) is ConsentFault.PART
    assert refused(GIVEN, part=Part.UPSTREAM) is ConsentFault.PART


def test_a_consent_ends() -> None:
    """At its end it is over; one that would hold for longer than a month is none."""
    second = timedelta(seconds=1)
    month = timedelta(days=31)
    assert refused(replace(GIVEN, expires=NOW)) is ConsentFault.EXPIRED
    assert refused(replace(GIVEN, expires=NOW - month)) is ConsentFault.EXPIRED
    assert refused(replace(GIVEN, expires=NOW + month + second)) is ConsentFault.TOO_FAR
    for ahead in (second, month):
        allowed(replace(GIVEN, expires=NOW + ahead), API, KEY.kid, Part.GATE, NOW)


def test_an_attack_that_is_not_listed_is_refused() -> None:
    """Each attack that is asked for by name must be among those that were agreed to."""
    found = allowed(GIVEN, API, KEY.kid, Part.GATE, NOW)
    with pytest.raises(ConsentError) as caught:
        refuse_unlisted(found, ["token-expired", "credential-stuffing"])
    assert caught.value.fault is ConsentFault.ATTACK
    assert "credential-stuffing" in str(caught.value)


AT = 1_800_000_000.0


def test_a_run_names_itself() -> None:
    """The owner reads run, origin and times out of a header, with the public key alone."""
    header = sign_run(KEY, run="r" * 22, origin=API, now=AT + 0.9)
    run = verify_run(header, JWK, AT + 5, origin=API)
    assert (run.run, run.origin, run.iat, run.exp - run.iat) == ("r" * 22, API, AT, 600)


def assert_unsigned(header: str, now: float = AT, **options: Any) -> None:
    """See that a header isn't known to be of the drill."""
    with pytest.raises(ConsentError) as caught:
        verify_run(header, JWK, now, **options)
    assert caught.value.fault is ConsentFault.SIGNATURE


def test_a_run_that_is_not_signed_so() -> None:
    """Another key, another type, changed bytes, another time or origin: a stranger's request."""
    header = sign_run(KEY, run="r" * 22, origin=API, now=AT)
    assert_unsigned(sign_run(OTHER, run="r" * 22, origin=API, now=AT))
    assert_unsigned(header, AT + RUN_SECONDS + 61)
    assert_unsigned(header, AT - 61)
    assert_unsigned(header, origin="https://other.example")
    assert_unsigned(header + "x")
    assert_unsigned(header[:-3] + ("AAA" if header[-3:] != "AAA" else "BBB"))
    assert_unsigned("")
    assert_unsigned("a.b.c")
    assert_unsigned("x" * 100_000)
    head, _, signature = header.split(".")
    forged = sign_run(OTHER, run="r" * 22, origin=API, now=AT).split(".")[1]
    assert_unsigned(f"{head}.{forged[:-2]}AA.{signature}")
    with pytest.raises(MalformedError):
        verify_run(header, {}, AT)


@dataclass(frozen=True)
class Named:
    """Sign with one key under the name of another."""

    kid: str
    key: SigningKey

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self.key.sign(message)


@pytest.mark.parametrize(("name", "key"), [(KEY, OTHER), (OTHER, KEY)], ids=["key", "name"])
def test_a_key_and_its_name_belong_together(name: SigningKey, key: SigningKey) -> None:
    """The key's name in the header isn't what is verified, and isn't any name either."""
    assert_unsigned(sign_run(Named(name.kid, key), run="r" * 22, origin=API, now=AT))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": AT + RUN_SECONDS + 1},
        {"exp": int(AT) + RUN_SECONDS + 1},
        {"exp": int(AT)},
        {"exp": int(AT) - 1},
        {"iat": True},
        {"run": "short"},
        {"run": 1},
        {"origin": 1},
        {"admin": True},
        {"run": "a b c d e f\n"},
    ],
    ids=str,
)
def test_claims_that_the_drill_never_signs(claims: dict[str, Any]) -> None:
    """A leaked key signs what it likes; a signature that holds for longer is refused all the same."""
    good = {"run": "r" * 22, "origin": API, "iat": int(AT), "exp": int(AT) + RUN_SECONDS}
    payload = strict_json.dumps({**good, **claims})
    assert_unsigned(jose.assemble(payload, RUN_TYPE, KEY))
    verify_run(jose.assemble(strict_json.dumps(good), RUN_TYPE, KEY), JWK, AT)
    assert_unsigned(jose.assemble(strict_json.dumps(good), "watchword+jwt", KEY))


@given(st.text(max_size=200))
def test_any_header_is_refused(header: str) -> None:
    """What a stranger writes into a log ends in an error of ours."""
    assert_unsigned(header)


@pytest.mark.parametrize("run", ["", "short", "a" * 65, "a b c d e f", "run\r\nX: y"])
def test_a_run_id_has_no_odd_characters(run: str) -> None:
    """It stands in headers and logs."""
    with pytest.raises(ValueError, match="run id"):
        sign_run(KEY, run=run, origin=API, now=AT)


def test_the_page_shows_a_consent() -> None:
    """The document on the page for owners is one."""
    page = Path(__file__).parents[3] / "docs" / "drill-consent.md"
    text = page.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    assert read_consent(text.encode()).attacks is None
