"""Show that a JWS has one spelling only, and that no attack on a parser gets past ours."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import SIGNER

from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.jose import assemble, parse

ATTACKS = Path(__file__).parents[4] / "shared/vectors/adversarial/jose/jwt_attacks_vectors.json"
TYP = "watchword+jwt"
PAYLOAD = b'{"iss":"https://watchword.example"}'


def compact(header: object, payload: bytes = PAYLOAD, signature: bytes = bytes(64)) -> str:
    """Put a JWS together from parts that may be wrong."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(base64url.encode(part) for part in (raw, payload, signature))


HEADER = {"alg": "ES256", "kid": "key-1", "typ": TYP}
GOOD = compact(HEADER)


def refused(untrusted: str) -> Reason:
    """Return the reason for which a text is refused."""
    with pytest.raises(MalformedError) as caught:
        parse(untrusted, TYP)
    return caught.value.reason


def test_parts_of_an_assembled_jws() -> None:
    """What was put together comes apart into the same parts."""
    text = assemble(PAYLOAD, TYP, SIGNER)
    jws = parse(text, TYP)
    assert (jws.kid, jws.payload) == (SIGNER.kid, PAYLOAD)
    assert jws.signing_input.decode() == text[: text.rindex(".")]
    assert len(jws.signature) == 64


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"alg": "none"},
        HEADER | {"alg": "None"},
        HEADER | {"alg": "HS256"},
        HEADER | {"alg": "es256"},
        HEADER | {"alg": ["ES256"]},
        HEADER | {"alg": None},
        HEADER | {"typ": "JWT"},
        HEADER | {"typ": "dpop+jwt"},
        HEADER | {"kid": ""},
        HEADER | {"kid": "k" * 65},
        HEADER | {"kid": ["key-1"]},
        HEADER | {"kid": None},
        HEADER | {"kid": 1},
        HEADER | {"crit": []},
        HEADER | {"crit": ["b64"], "b64": False},
        HEADER | {"jwk": {}},
        HEADER | {"jku": "https://evil.example"},
        HEADER | {"zip": "DEF"},
        {"alg": "ES256", "kid": "key-1"},
        {"alg": "ES256", "typ": TYP},
        {"kid": "key-1", "typ": TYP},
        [],
        "text",
        b"",
        b"\xef\xbb\xbf" + json.dumps(HEADER).encode(),
        json.dumps(HEADER).encode("utf-16"),
        b'{"alg":"none","alg":"ES256","kid":"key-1","typ":"watchword+jwt"}',
        b"\xff",
        b"[" * 900,
    ],
    ids=repr,
)
def test_crooked_headers(header: object) -> None:
    """A header says alg ES256, a key id and our type, each once, and nothing else."""
    assert refused(compact(header)) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "." * 2000,
        GOOD + "\n",
        " " + GOOD,
        GOOD + "=",
        GOOD + ".e30",
        GOOD.rpartition(".")[0],
        GOOD.replace(".", "..", 1),
        GOOD[:-1] + "B",  # Spare bits of the last character.
        GOOD[:-2] + "+/",
        GOOD.replace("A", "\u0410"),
        "A" * 2049,
        compact(HEADER, signature=bytes(63)),
        compact(HEADER, signature=bytes(65)),
        compact(HEADER, signature=b""),
        json.dumps({"protected": "e30", "payload": "e30", "signature": "e30"}),
    ],
    ids=range(17),
)
def test_crooked_texts(text: str) -> None:
    """Two texts never stand for one token, and nothing but three segments is read."""
    assert refused(text) is Reason.TOKEN_MALFORMED


def test_huge_input_costs_nothing() -> None:
    """Ten megabytes are refused by their length, before anything is decoded."""
    huge = f"{'A' * 10_000_000}.e30.e30"
    before = time.perf_counter()
    assert refused(huge) is Reason.TOKEN_MALFORMED
    assert time.perf_counter() - before < 0.05


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,90}"))
def test_any_text(text: str) -> None:
    """Nothing but MalformedError leaves the parser, whatever it is given."""
    assert refused(text) is Reason.TOKEN_MALFORMED


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="latin-1"))
def test_every_spelling_is_another_token(position: int, character: str) -> None:
    """A changed character is refused, or changes what was signed for or the signature."""
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    original = parse(GOOD, TYP)
    try:
        jws = parse(changed, TYP)
    except MalformedError:
        return
    assert (changed == GOOD) == (
        (jws.signing_input, jws.signature) == (original.signing_input, original.signature)
    )


@pytest.mark.skipif(not ATTACKS.exists(), reason="the shared vectors aren't there")
def test_collected_attacks() -> None:
    """What gets past the parser is well-formed: its key, signature or claims are what is wrong."""
    suite = json.loads(ATTACKS.read_text())
    later = ("claim", "exp", "nbf", "aud", "payload", "r=", "psychic", "kid", "dup claim", "alg ES")
    passed = []
    for name, case in suite["cases"].items():
        if case["must"] == "reject" and case["token"] is not None:
            try:
                parse(case["token"], "JWT")
            except RefusedError:
                continue
            passed.append(name)
    assert [name for name in passed if not name.startswith(later)] == []
