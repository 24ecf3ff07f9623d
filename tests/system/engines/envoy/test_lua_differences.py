"""Hold Envoy's script to Python's verification: the same request, the same reason."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.engines.envoy.proxy import Api, Envoy
from tests.system.engines.envoy.signatures import (
    AUDIENCE,
    COMPONENTS,
    HOST,
    ISSUER,
    Issuer,
    Phone,
    clock,
)

from watchword.engines.envoy.script import ScriptOptions, render_secrets, script
from watchword.reasons import RefusedError
from watchword.tokens.proofs import device, session
from watchword.tokens.proofs.interface import GateSecret, ProofHeaders, ProofKeys, SignedRequest

ISSUES = Issuer()
LEEWAY = 30
RETIRED, PREPARED = 2, 3
Fields = dict[str, str]


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    """Run one Envoy whose gate holds an active, a retired and a prepared epoch."""
    folder: Path = tmp_path_factory.mktemp("envoy")
    private = folder / "secrets"
    ISSUES.secrets.update({RETIRED: b"r" * 32, PREPARED: b"p" * 32})
    held = [
        GateSecret(1, ISSUES.secrets[1]),
        GateSecret(RETIRED, ISSUES.secrets[RETIRED], clock() - 1.0),
        GateSecret(PREPARED, ISSUES.secrets[PREPARED]),
    ]
    private.write_text(
        render_secrets(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=ISSUES.keys,
            secrets=held,
        )
    )
    private.chmod(0o600)
    options = ScriptOptions(
        "shop", str(private), leeway=LEEWAY, replay_directory=str(folder), cached_tokens=4
    )
    api = Api()
    try:
        running = Envoy(folder, api, jwks=ISSUES.jwks, script=script(options), workers=2)
        try:
            yield running
        finally:
            running.stop()
    finally:
        api.close()


def python_reason(kind: str, phone: Phone, fields: Fields, target: str) -> str:
    """Return what Python says of a request without a body; empty where it passes."""
    path, _, query = target.partition("?")
    request = SignedRequest(
        fields["Watchword-Token"].encode(),
        b"GET",
        HOST.encode(),
        path.encode(),
        query.encode(),
        None,
    )
    signature_input, signature = fields.get("Signature-Input"), fields.get("Signature")
    headers = ProofHeaders(
        None if signature_input is None else signature_input.encode(),
        None if signature is None else signature.encode(),
        None,
    )
    keys = ProofKeys(
        session_id=phone.session.encode(),
        thumbprint=phone.thumbprint.encode(),
        jwk=phone.claims["cnf"]["jwk"],
        device_key=phone.key.public_key(),
        session_key=phone.session_key,
    )
    verify = session.verify if kind == "session" else device.verify
    try:
        verify(request, headers, keys, LEEWAY, clock())
    except RefusedError as error:
        return str(error.reason.code)
    return ""


def _input(change: Callable[[str], str]) -> Callable[[Fields], None]:
    def spoil(fields: Fields) -> None:
        fields["Signature-Input"] = change(fields["Signature-Input"])

    return spoil


def _signature(change: Callable[[str], str]) -> Callable[[Fields], None]:
    def spoil(fields: Fields) -> None:
        fields["Signature"] = change(fields["Signature"])

    return spoil


def _other_last_character(text: str) -> str:
    """Change bits that decode to nothing: the same bytes in another spelling."""
    at = len(text.rstrip("=:")) - 1
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:at] + letters[letters.index(text[at]) + 1] + text[at + 1 :]


SPOILED: dict[str, Callable[[Fields], object]] = {
    "untouched": lambda fields: None,
    "no input": lambda fields: fields.pop("Signature-Input"),
    "no signature": lambda fields: fields.pop("Signature"),
    "neither": lambda fields: (fields.pop("Signature"), fields.pop("Signature-Input")),
    "empty input": _input(lambda text: ""),
    "long input": _input(lambda text: text + "x" * 400),
    "other label": _input(lambda text: text.replace("watchword=", "sig1=", 1)),
    "second label": _input(lambda text: text + ", other=()"),
    "two blanks": _input(lambda text: text.replace(" ", "  ", 1)),
    "nothing covered": _input(lambda text: text.replace(COMPONENTS, "()")),
    "fewer covered": _input(lambda text: text.replace(' "@query"', "")),
    "more covered": _input(lambda text: text.replace('"@query"', '"@query" "date"')),
    "digest covered": _input(lambda text: text.replace('"@query"', '"@query" "content-digest"')),
    "other order": _input(lambda text: text.replace('"@path" "@query"', '"@query" "@path"')),
    "parameter": _input(lambda text: text.replace('"@query"', '"@query";req')),
    "parameter with value": _input(lambda text: text.replace('"@query"', '"@query";a=12;b="c"')),
    "broken parameter": _input(lambda text: text.replace('"@query"', '"@query";=1')),
    "upper case": _input(lambda text: text.replace('"@path"', '"@Path"')),
    "unquoted": _input(lambda text: text.replace('"@path"', "@path")),
    "short created": _input(lambda text: text.replace("created=1", "created=", 1)),
    "created in letters": _input(lambda text: text.replace("created=1", "created=a", 1)),
    "two faults": _input(lambda text: text.replace("sha256", "sha512").replace(' "@query"', "")),
    "algorithm": _input(lambda text: text.replace("sha256", "sha512")),
    "odd algorithm": _input(lambda text: text.replace('alg="', 'alg="[x]!')),
    "blank in algorithm": _input(lambda text: text.replace('alg="', 'alg="x y')),
    "no algorithm": _input(lambda text: text.replace(";alg=", ";arg=")),
    "key id": _input(lambda text: text[:-2] + '~"'),
    "odd key id": _input(lambda text: text[:-2] + '/[]"'),
    "no key id": _input(lambda text: text[: text.index('keyid="') + 7] + '"'),
    "more behind": _input(lambda text: text + ";tag=x"),
    "nonce": _input(lambda text: text.replace('nonce="', 'nonce="A')),
    "dot in nonce": _input(lambda text: text.replace('nonce="', 'nonce=".')),
    "short nonce": _input(lambda text: text.replace(text.split('nonce="')[1][:12], "", 1)),
    "long nonce": _input(lambda text: text.replace('nonce="', 'nonce="' + "x" * 64)),
    "cut signature": _signature(lambda text: text[:-5] + ":"),
    "long signature": _signature(lambda text: text[:-1] + "AAAA:"),
    "bare signature": _signature(lambda text: text[len("watchword=:") : -1]),
    "other signature label": _signature(lambda text: text.replace("watchword", "watchwerd")),
    "second signature": _signature(lambda text: text + ", other=:AA==:"),
    "empty signature": _signature(lambda text: ""),
    "base64url": _signature(lambda text: text[:20] + "_" + text[21:]),
    "comma in it": _signature(lambda text: text[:20] + "," + text[21:]),
    "no padding": _signature(lambda text: text.replace("=:", "A:").replace("wordA:", "word=:")),
    "another spelling": _signature(_other_last_character),
    "one character": _signature(lambda text: text[:20] + "AB"[text[20] == "A"] + text[21:]),
    "first character": _signature(lambda text: text[:11] + "AB"[text[11] == "A"] + text[12:]),
    "cut and other key": lambda fields: (
        _signature(lambda text: text[:-5] + ":")(fields),
        _input(lambda text: text[:-2] + '~"')(fields),
    ),
}


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
@pytest.mark.parametrize("name", SPOILED)
def test_both_say_the_same(envoy: Envoy, kind: str, path: str, name: str) -> None:
    """Both refuse for the same reason, with the same fault first; or both accept."""
    phone = Phone(ISSUES)
    for created in (clock(), clock() - 200, clock() + 200):
        fields = phone.proof(kind, target=path + "?q", created=created)
        SPOILED[name](fields)
        expected = python_reason(kind, phone, fields, path + "?q")
        answer = envoy.send(path + "?q", fields)
        assert (answer.status == 200) == (expected == "")
        if expected:
            assert envoy.reason() == expected


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
def test_a_proof_of_others_is_refused(envoy: Envoy, kind: str, path: str) -> None:
    """Another session's key, token or proof is of no use."""
    phone, other = Phone(ISSUES), Phone(ISSUES)
    mixed = other.proof(kind, target=path, token=phone.token)
    assert envoy.send(path, mixed).status == 401
    assert envoy.reason() == "proof.key"
    own, key = (phone.session, other.session_key), phone.key
    phone.session_key, phone.key = own[1], other.key
    assert envoy.send(path, phone.proof(kind, target=path)).status == 401
    assert envoy.reason() == "proof.signature"
    phone.key = key


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
def test_epochs_decide_over_session_proofs_alone(envoy: Envoy, kind: str, path: str) -> None:
    """A retired epoch and an unknown one are refused, a prepared one passes."""
    for epoch, passes in ((PREPARED, True), (RETIRED, False), (9, False)):
        answer = envoy.send(path, Phone(ISSUES, epoch=epoch).proof(kind, target=path))
        assert (answer.status == 200) == (passes or kind == "device")
        if answer.status != 200:
            assert envoy.reason() == "proof.epoch"


@pytest.mark.parametrize(("kind", "path"), [("session", "/api"), ("device", "/device")])
def test_bad_tokens_are_refused(envoy: Envoy, kind: str, path: str) -> None:
    """A forged, expired or incomplete token is refused, also where its proof is true."""
    good = Phone(ISSUES)
    assert envoy.send(path, good.proof(kind, target=path)).status == 200
    head, payload, signature = good.token.split(".")
    tokens = [
        f"{head}.{payload}.{signature[:-2]}AA",
        f"{head}.{payload[:-1]}.{signature}",
        f"{head}.{payload}.",
        f"{head}.{payload}",
        "x" * 3000,
        Phone(Issuer(), sub=good.claims["sub"]).token,
    ]
    phones = [
        Phone(ISSUES, sid=None),
        Phone(ISSUES, sid="short"),
        Phone(ISSUES, exp=clock() - 100),
        Phone(ISSUES, exp=None),
        Phone(ISSUES, aud="https://other.example"),
        Phone(ISSUES, iss="https://other.example"),
        Phone(ISSUES, cnf={}),
        Phone(ISSUES, sub="a\nb"),
    ]
    for token in tokens:
        assert envoy.send(path, good.proof(kind, target=path, token=token)).status == 401
    for phone in phones:
        assert envoy.send(path, phone.proof(kind, target=path)).status in {401, 403}
    assert envoy.stat("http.edge.lua.errors") == 0


def test_a_forgotten_token_check_lets_no_forged_token_in(envoy: Envoy) -> None:
    """Where nobody verified the token, its holder can't change it, nor can others make one."""
    for kind, path, reason in (
        ("session", "/unverified/session", "token.signature"),
        ("device", "/unverified/device", "token.missing"),
    ):
        phone = Phone(ISSUES)
        forged = Issuer().token({**phone.claims, "exp": clock() + 10**6})
        assert envoy.send(path, phone.proof(kind, target=path, token=forged)).status == 401
        assert envoy.reason() == reason
        true = envoy.send(path, phone.proof(kind, target=path))
        assert true.status == (200 if kind == "session" else 401)


def test_claims_of_other_makers_are_read(envoy: Envoy) -> None:
    """White space, escapes, arrays, nesting: what isn't used doesn't disturb."""
    phone = Phone(ISSUES, app={"id": "shop", "ver": 'ä"\\b\n', "x": [1, -2.5e3, [], {}, True]})
    for kind, path in (("session", "/api"), ("device", "/device")):
        assert envoy.send(path, phone.proof(kind, target=path)).status == 200


def test_paths_and_hosts_are_signed_as_they_are_sent(envoy: Envoy) -> None:
    """Another spelling of a target is another target; a host counts in lower case."""
    phone = Phone(ISSUES)
    for sent in ("//api", "/%61pi", "/x/../api", "/api/", "/api?", "/api#x"):
        answer = envoy.send(sent, phone.proof("session"))
        assert answer.status in {400, 401} or (sent == "/api?" and answer.status == 200)
    assert envoy.send(f"http://{HOST}/api", phone.proof("session")).status == 200
    assert envoy.send("http://other.example/api", phone.proof("session")).status == 401
    assert envoy.send("/api", phone.proof("session"), host=HOST.upper()).status == 200
    upper = phone.proof("session", authority=HOST.upper())
    assert envoy.send("/api", upper, host=HOST.upper()).status == 401
    two = [("Host", "other.example"), *phone.proof("session").items()]
    assert envoy.send("/api", two).status in {400, 401}


def test_long_headers_and_targets_decide_nothing(envoy: Envoy) -> None:
    """Eight KiB beside a true proof pass, eight KiB within it too where they are signed."""
    phone = Phone(ISSUES)
    more = {"X-Padding": "x" * 8192}
    assert envoy.send("/api", {**phone.proof("session"), **more}).status == 200
    long = "/api?" + "y" * 8192
    assert envoy.send(long, phone.proof("session", target=long)).status == 200
    assert envoy.send(long + "z", phone.proof("session", target=long)).status == 401


def test_more_tokens_than_places_pass_all_the_same(envoy: Envoy) -> None:
    """What was forgotten is read again, and what is in use moves on (four places here)."""
    phones = [Phone(ISSUES) for _ in range(11)]
    for _ in range(4):
        for phone in phones:
            assert envoy.send("/api", phones[0].proof("session")).status == 200
            assert envoy.send("/api", phone.proof("session")).status == 200
            assert envoy.send("/device", phone.proof("device", target="/device")).status == 200


def test_a_cause_is_logged_once_a_second(envoy: Envoy) -> None:
    """An operator sees why requests fail, in few lines."""
    for _ in range(20):
        assert envoy.send("/unset", Phone(ISSUES).proof("session", target="/unset")).status == 500
    lines = [line for line in envoy.log.splitlines() if "gate.internal" in line]
    assert 1 <= len(lines) <= 8
    assert "filter_context" in lines[0]
