"""Show that a signed request passes as it was signed, and that nothing else does: session and device alike."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.tokens.proofs.prover import (
    ADA,
    BODY,
    COMPONENTS,
    EVE,
    GET,
    LEEWAY,
    NOW,
    POST,
    base_of,
    digest_of,
)

from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs import content_digest, device, session
from watchword.tokens.proofs.interface import (
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
    signature_base,
)

KINDS = ("session", "device")
VERIFY: dict[str, Callable[..., VerifiedProof]] = {
    "session": session.verify,
    "device": device.verify,
}
KEYS = ADA.keys


def reason_of(
    kind: str,
    request: SignedRequest,
    headers: ProofHeaders,
    keys: ProofKeys = KEYS,
    now: float = NOW,
) -> Reason:
    """Return the reason for which a proof is refused."""
    with pytest.raises(RefusedError) as refused:
        VERIFY[kind](request, headers, keys, LEEWAY, now)
    return refused.value.reason


def with_parameters(kind: str, parameters: str, request: SignedRequest = GET) -> Reason:
    """Return the reason for which rightly signed parameters are refused."""
    return reason_of(kind, request, ADA.sign(kind, request, parameters))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", [GET, POST, GET._replace(query=b""), GET._replace(path=b"/")])
def test_a_right_proof_says_what_was_signed(kind: str, request_: SignedRequest) -> None:
    """Nonce, creation and body digest come out."""
    proof = VERIFY[kind](request_, ADA.sign(kind, request_), KEYS, LEEWAY, NOW)
    digest = request_.content_digest
    assert proof == (
        b"bm9uY2Utb2YtYS10ZXN0",
        NOW,
        None if digest is None else content_digest.read(digest),
        None,
    )


@pytest.mark.parametrize("request_", [GET, POST])
def test_the_base_is_that_of_the_rfc(request_: SignedRequest) -> None:
    """What is signed equals the lines that were written by hand."""
    parameters = ADA.parameters("session", request_)
    signature_input = b"watchword=" + parameters.encode()
    base = signature_base(request_, signature_input)
    assert base == base_of(request_, parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_doubled_proofs(kind: str) -> None:
    """No proof, half of one, another kind of one, and two."""
    good = ADA.sign(kind, GET)
    dpop = ADA.dpop(GET).dpop
    none = ProofHeaders(None, None, None)
    assert reason_of(kind, GET, none) is Reason.PROOF_MISSING
    assert reason_of(kind, GET, ProofHeaders(None, None, dpop)) is Reason.PROOF_MISSING
    assert reason_of(kind, GET, good._replace(signature=None)) is Reason.PROOF_MALFORMED
    assert reason_of(kind, GET, good._replace(signature_input=None)) is Reason.PROOF_MALFORMED
    assert reason_of(kind, GET, good._replace(dpop=dpop)) is Reason.PROOF_AMBIGUOUS
    assert reason_of(kind, GET, good._replace(signature=None, dpop=dpop)) is Reason.PROOF_AMBIGUOUS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["other", "watchword", "Watchword"])
def test_second_labels(kind: str, other: str) -> None:
    """A second member in either header is refused, before or behind ours."""
    good = ADA.sign(kind, GET)
    assert good.signature_input is not None
    assert good.signature is not None
    name = other.encode()
    for separator in (b", ", b","):
        second = name + b"=()"
        both = (good.signature_input, second)
        for members in (both, both[::-1]):
            headers = good._replace(signature_input=separator.join(members))
            assert reason_of(kind, GET, headers) is Reason.PROOF_AMBIGUOUS
        for value in (b"=:AAAA:", good.signature[len(b"watchword") :]):
            members = (good.signature, name + value)
            headers = good._replace(signature=separator.join(members))
            assert reason_of(kind, GET, headers) is Reason.PROOF_AMBIGUOUS
    long = good._replace(signature_input=good.signature_input + b", " + good.signature_input * 3)
    assert reason_of(kind, GET, long) is Reason.PROOF_AMBIGUOUS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "components",
    [
        "",
        '"@method"',
        '"@method" "watchword-token" "@authority" "@path" "@query"',
        COMPONENTS.replace('"@query"', '"@target-uri"'),
        COMPONENTS.removesuffix(' "@query"'),
        COMPONENTS + ' "@query"',
        COMPONENTS + ' "date"',
        COMPONENTS + ' "@scheme"',
        COMPONENTS + ' "content-digest"',
        COMPONENTS.replace('"watchword-token"', '"watchword-token";sf'),
        COMPONENTS.replace('"@method"', '"@method";req'),
        COMPONENTS.replace('"watchword-token"', '"watchword-token";bs'),
        COMPONENTS.replace('"@query"', '"@query-param";name="page"'),
        COMPONENTS + ' "content-digest";key="sha-256"',
        COMPONENTS + ' "signature";key="other"',
    ],
)
def test_other_components(kind: str, components: str) -> None:
    """What is covered is the protocol's, once each, in its order, without parameters."""
    parameters = ADA.parameters(kind, GET, components=components)
    assert with_parameters(kind, parameters) is Reason.PROOF_COMPONENTS


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_without_a_covered_digest(kind: str) -> None:
    """A request with a body covers its digest, and one without can't."""
    uncovered = ADA.parameters(kind, POST, components=COMPONENTS)
    assert with_parameters(kind, uncovered, POST) is Reason.PROOF_COMPONENTS
    # The proof of a request without a body, moved to one with a body.
    assert reason_of(kind, POST, ADA.sign(kind, GET)) is Reason.PROOF_COMPONENTS
    assert reason_of(kind, GET, ADA.sign(kind, POST)) is Reason.PROOF_COMPONENTS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"sha-512=:" + base64.b64encode(bytes(64)) + b":",
        digest_of(BODY).replace(b"sha-256", b"SHA-256"),
        digest_of(BODY).replace(b"sha-256", b"sha256"),
        digest_of(BODY) + b", " + digest_of(BODY),
        digest_of(BODY) + b", sha-512=:AAAA:",
        b"sha-512=:AAAA:, " + digest_of(BODY),
        digest_of(BODY) + b";a=1",
        b" " + digest_of(BODY),
        digest_of(BODY) + b"\n",
        digest_of(BODY).replace(b"=:", b"=: ", 1),
        digest_of(BODY).replace(b"=:", b"=", 1),
        digest_of(b"another body")[:-3] + b"B=:",
        b"sha-256=:" + base64.b64encode(bytes(31)) + b":",
        b"sha-256=:" + base64.b64encode(bytes(33)) + b":",
        b"sha-256=:" + base64.urlsafe_b64encode(b"\xff" * 32) + b":",
        b"sha-256=:" + base64.b64encode(bytes(32)).rstrip(b"=") + b":",
        digest_of(BODY) * 3,
        b"sha-256=:" + b"A" * 8192,
    ],
)
def test_crooked_digests(kind: str, header: bytes) -> None:
    """A body has exactly one SHA-256, in its one text."""
    request = POST._replace(content_digest=header)
    assert reason_of(kind, request, ADA.sign(kind, request)) is Reason.PROOF_DIGEST


def test_digest_is_written_as_it_is_read() -> None:
    """What is written comes back, and only 32 bytes are written."""
    for byte in range(256):
        digest = bytes([byte]) * 32
        assert content_digest.read(content_digest.write(digest).encode()) == digest
    with pytest.raises(ValueError, match="31 bytes"):
        content_digest.write(bytes(31))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["hmac-sha256", "ecdsa-p256-sha256", "ed25519", "rsa-pss-sha512", "none", "HMAC-SHA256"]
)
def test_other_algorithms(kind: str, name: str) -> None:
    """The route says which algorithm it is: a proof of the other kind is none."""
    parameters = ADA.parameters(kind, GET, alg=name)
    if parameters == ADA.parameters(kind, GET):
        VERIFY[kind](GET, ADA.sign(kind, GET, parameters), KEYS, LEEWAY, NOW)
    else:
        assert with_parameters(kind, parameters) is Reason.PROOF_ALGORITHM


def test_one_kind_never_passes_for_the_other() -> None:
    """Also where a session proof is signed by the device's public key, as algorithm confusion does."""
    for kind, other in (KINDS, KINDS[::-1]):
        assert reason_of(kind, GET, ADA.sign(other, GET)) is Reason.PROOF_ALGORITHM
    confused = ADA.parameters("device", GET)
    keys = replace(KEYS, session_key=KEYS.thumbprint[:32])
    forged = replace(ADA, session_key=KEYS.thumbprint[:32]).sign("session", GET, confused)
    assert reason_of("device", GET, forged, keys) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_others(kind: str) -> None:
    """A thief's own key, under its own name and under that of the victim."""
    assert reason_of(kind, GET, EVE.sign(kind, GET)) is Reason.PROOF_KEY
    stolen = EVE.sign(kind, GET, ADA.parameters(kind, GET))
    assert reason_of(kind, GET, stolen) is Reason.PROOF_SIGNATURE
    for name in ("", "c2Vzc2lvbg", ADA.session_id.upper(), ADA.session_id + "A"):
        expected = Reason.PROOF_KEY if name else Reason.PROOF_MALFORMED
        assert with_parameters(kind, ADA.parameters(kind, GET, keyid=name)) is expected


def test_a_token_of_an_epoch_that_the_gate_does_not_hold() -> None:
    """Session proofs are refused, device proofs go on."""
    keys = replace(KEYS, session_key=None)
    assert keys.session_mac is None
    assert reason_of("session", GET, ADA.sign("session", GET), keys) is Reason.PROOF_EPOCH
    assert device.verify(GET, ADA.sign("device", GET), keys, LEEWAY, NOW).created == NOW


def test_the_kept_beginning_of_a_mac_is_one_token_s() -> None:
    """Whichever token a request carries is what its proof must cover, also where another one's is kept."""
    keys = replace(KEYS, token=GET.token)
    other = GET._replace(token=GET.token[:-1] + b"x")
    for request in (GET, other):
        assert session.verify(request, ADA.sign("session", request), keys, LEEWAY, NOW)
    assert reason_of("session", other, ADA.sign("session", GET), keys) is Reason.PROOF_SIGNATURE
    assert reason_of("session", GET, ADA.sign("session", other), keys) is Reason.PROOF_SIGNATURE


@pytest.mark.parametrize("kind", KINDS)
def test_the_window(kind: str) -> None:
    """A proof lives from created - leeway until created + 60 + leeway, to the instant."""
    good = ADA.sign(kind, GET)
    for now in (NOW - LEEWAY, NOW, NOW + 60 + LEEWAY - 0.001):
        assert VERIFY[kind](GET, good, KEYS, LEEWAY, now).created == NOW
    assert reason_of(kind, GET, good, now=NOW - LEEWAY - 0.001) is Reason.PROOF_EARLY
    assert reason_of(kind, GET, good, now=NOW + 60 + LEEWAY) is Reason.PROOF_EXPIRED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (";created", "; created"),
        (";created", ";Created"),
        (f"created={NOW}", f"created=-{NOW}"),
        (f"created={NOW}", f"created={NOW}.0"),
        (f"created={NOW}", f"created=0{NOW}"),
        (f"created={NOW}", f'created="{NOW}"'),
        (f";created={NOW}", ""),
        (f";created={NOW}", f";created={NOW};created={NOW}"),
        (f";created={NOW}", f";created={NOW};expires={NOW + 9}"),
        (f";created={NOW}", f";expires={NOW + 9}"),
        (';nonce="bm9uY2Utb2YtYS10ZXN0"', ""),
        ('"bm9uY2Utb2YtYS10ZXN0"', "bm9uY2Utb2YtYS10ZXN0"),
        ('"bm9uY2Utb2YtYS10ZXN0"', '"bm9uY2Utb2YtYS1"'),
        ('"bm9uY2Utb2YtYS10ZXN0"', '"' + "n" * 65 + '"'),
        ('"bm9uY2Utb2YtYS10ZXN0"', '"bm9uY2Utb2YtYS1+/w"'),
        ('"bm9uY2Utb2YtYS10ZXN0"', '"bm9uY2Utb2YtYS10ZXN\\"0"'),
        (';alg="', ';tag="x";alg="'),
        (';keyid="', ';keyid="x";keyid="'),
        (");created", ") ;created"),
        ('" "@method"', '"  "@method"'),
        ('" "@method"', '"\t"@method"'),
        ('("watch', '( "watch'),
        ('"@query")', '"@query" )'),
        ('"@method"', '"@Method"'),
        ('"@method"', "@method"),
        ('"@method"', ":QG1ldGhvZA==:"),
    ],
)
def test_other_spellings(kind: str, old: str, new: str) -> None:
    """Unknown, doubled, missing and reordered parameters, white space, other types: all are refused."""
    parameters = ADA.parameters(kind, GET)
    assert old in parameters
    assert with_parameters(kind, parameters.replace(old, new, 1)) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
def test_reordered_parameters(kind: str) -> None:
    """The order of RFC examples and of other libraries isn't ours."""
    head, created, *rest = ADA.parameters(kind, GET).split(";")
    for order in ([*rest, created], [rest[0], created, *rest[1:]], [created, *rest[::-1]]):
        assert with_parameters(kind, ";".join([head, *order])) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
def test_caps(kind: str) -> None:
    """Eight kilobytes are refused by their length."""
    long = ADA.parameters(kind, GET, keyid="k" * 8192)
    assert with_parameters(kind, long) is Reason.PROOF_MALFORMED
    good = ADA.sign(kind, GET)
    headers = good._replace(signature=b"watchword=:" + b"A" * 8192 + b":")
    assert reason_of(kind, GET, headers) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "mutate",
    [
        lambda text: text.replace(b"watchword", b"Watchword"),
        lambda text: text.replace(b"watchword", b"sig1"),
        lambda text: text.replace(b"=:", b"= :", 1),
        lambda text: text.replace(b"=:", b"=", 1),
        lambda text: text.rstrip(b"=:") + b":",
        lambda text: text[:-1] + b"=:",
        lambda text: text[:-6] + b"=:",
        lambda text: text + b";a=1",
        lambda text: text + b" ",
        lambda text: text + b"\n",
        lambda text: text[:20] + b"-" + text[21:],
        lambda text: text[:20] + b"_" + text[21:],
        lambda text: text[:20] + b"\n" + text[21:],
        lambda text: text[:20] + b"=" + text[21:],
        lambda text: text[:20] + b"\xc3" + text[21:],
        lambda text: b"",
        lambda text: text[:11] + b":",
    ],
    ids=range(17),
)
def test_crooked_signatures(kind: str, mutate: Callable[[bytes], bytes]) -> None:
    """One signature has one text: no other alphabet, padding, length or white space."""
    good = ADA.sign(kind, GET)
    assert good.signature is not None
    headers = good._replace(signature=mutate(good.signature))
    assert reason_of(kind, GET, headers) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
def test_spare_bits(kind: str) -> None:
    """The last character has one spelling: no second text for the same signature."""
    good = ADA.sign(kind, GET)
    assert good.signature is not None
    body, padding = good.signature[:-1].rstrip(b"="), good.signature.count(b"=") - 1
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    position = alphabet.index(body[-1:])
    other = body[:-1] + alphabet[position + 1 : position + 2] + b"=" * padding + b":"
    assert base64.b64decode(other[11:-1]) == base64.b64decode(good.signature[11:-1])
    assert reason_of(kind, GET, good._replace(signature=other)) is Reason.PROOF_MALFORMED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        (GET, {"token": b"eyJh.eyJp.c2lm"}),
        (GET, {"method": b"PUT"}),
        (GET, {"authority": b"api.clinic.example.evil"}),
        (GET, {"authority": b"api.clinic.example:443"}),
        (GET, {"path": b"/v1/patients/8"}),
        (GET, {"path": b"/v1/%70atients/7"}),
        (GET, {"path": b"/v1//patients/7"}),
        (GET, {"query": b""}),
        (GET, {"query": b"page=3&of=3"}),
        (GET, {"query": b"of=3&page=2"}),
        (POST, {"content_digest": digest_of(b"another body")}),
    ],
)
def test_another_request(kind: str, request_: SignedRequest, changes: dict[str, bytes]) -> None:
    """Everything that is covered is what was signed."""
    headers = ADA.sign(kind, request_)
    assert reason_of(kind, request_._replace(**changes), headers) is Reason.PROOF_SIGNATURE


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_any_changed_byte_is_refused(kind: str, data: st.DataObject) -> None:
    """No byte of request or proof can be another one."""
    request = data.draw(st.sampled_from([GET, POST]))
    headers = ADA.sign(kind, request)
    parts = {**request._asdict(), **headers._asdict()}
    name = data.draw(st.sampled_from([name for name, value in parts.items() if value]))
    at = data.draw(st.integers(0, len(parts[name]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != parts[name][at]))
    changed = {name: parts[name][:at] + bytes([byte]) + parts[name][at + 1 :]}
    if name in request._fields:
        request = request._replace(**changed)
    else:
        headers = headers._replace(**changed)
    assert reason_of(kind, request, headers).code.startswith("proof.")


@pytest.mark.parametrize("kind", KINDS)
@given(st.binary(max_size=600), st.binary(max_size=140), st.booleans())
def test_any_bytes(kind: str, signature_input: bytes, signature: bytes, bodied: bool) -> None:
    """Nothing but a refusal comes out, whatever the headers are."""
    headers = ProofHeaders(signature_input, signature, None)
    reason = reason_of(kind, POST if bodied else GET, headers)
    assert reason.code.startswith("proof.")


@pytest.mark.parametrize("kind", KINDS)
@given(st.text('"();=,:@-_. abcdtw019?\\', max_size=200))
def test_any_text_like_ours(kind: str, tail: str) -> None:
    """The classification of refusals takes whatever looks a little like a signature."""
    good = ADA.sign(kind, GET)
    for text in (b"watchword=", b"watchword=(", good.signature_input or b""):
        headers = good._replace(signature_input=text + tail.encode())
        if headers != good:
            assert reason_of(kind, GET, headers).code.startswith("proof.")


@pytest.mark.parametrize("kind", KINDS)
def test_line_breaks_make_no_second_reading(kind: str) -> None:
    """A digest that hides in the query, where a request without a body has its last line."""
    with_digest = ADA.sign(kind, POST)
    assert POST.content_digest is not None
    hidden = POST.query + b'\n"content-digest": ' + POST.content_digest
    smuggled = POST._replace(query=hidden, content_digest=None)
    assert reason_of(kind, smuggled, with_digest) is Reason.PROOF_COMPONENTS
