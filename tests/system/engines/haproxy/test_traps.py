"""Send the real HAProxy what its documented ways of checking would let pass."""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.haproxy.rig import BUNDLE, Rig, haproxy_before_api, take_proofs
from tests.unit.engines.envoy.rig import SECRET, TOKEN_KEY, claims, request, token, until
from tests.unit.gate.proofs import Prover, session_key
from tests.unit.gate.simulators import SoftwareSigner

from watchword.adapters.system import SystemClock
from watchword.encoding import base64url, strict_json
from watchword.engines.haproxy import text as names
from watchword.gate.hygiene import CLIENT_SIDE
from watchword.gate.interface import Rate
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.service import claims_to_json


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one HAProxy for all tests of this module."""
    with haproxy_before_api(tmp_path_factory.mktemp("traps")) as running:
        yield running


@pytest.fixture(autouse=True)
def ready(rig: Rig) -> None:
    """Undo what a reload by hand in another test left behind: it knows of no table that was handed on."""
    take_proofs(rig)


def now() -> int:
    """Return the second that it is."""
    return int(SystemClock().timestamp())


def signed(members: dict[str, Any]) -> bytes:
    """Return a token that says anything, signed by the service's key."""
    return jose.assemble(strict_json.dumps(members), TOKEN_TYPE, TOKEN_KEY).encode()


def changed(**changes: Any) -> bytes:
    """Return a token of which some members are others, or missing where they are None."""
    members = {**claims_to_json(claims()), **changes}
    return signed({name: value for name, value in members.items() if value is not None})


def test_genuine_token_passes_once_verified_and_again(rig: Rig) -> None:
    """The API is told who is there, each time."""
    sent = token()
    for _ in range(2):
        assert rig.send(b"/v1/a", b"Watchword_Level: forged", token=sent).status == 200
        seen = rig.api.seen[-1]
        assert seen.values(b"watchword-instance") == [claims().subject.encode()]
        assert seen.values(b"watchword-level") == [b"hardware"]
        assert seen.values(b"watchword-app") == [claims().app_id.encode()]
        assert not seen.values(b"watchword-token")
        assert not seen.values(b"watchword_level")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "token.malformed"),
        ({"exp": "9999999999"}, "token.malformed"),
        ({"iat": None}, "token.malformed"),
        ({"aud": ["https://a.example", "x"]}, "token.malformed"),
        ({"aud": "https://other.example"}, "token.audience"),
        ({"iss": "https://other.example"}, "token.issuer"),
        ({"env": "lab"}, "token.environment"),
        ({"lvl": "godlike"}, "token.malformed"),
        ({"epo": 2**40 + 1}, "token.malformed"),
        ({"sub": "a\r\nwatchword-level: hardware"}, "token.malformed"),
        ({"sub": "#comment"}, "token.malformed"),
        ({"new": {"exp": 1}}, "token.malformed"),
    ],
)
def test_signed_token_with_odd_claims_is_refused(
    rig: Rig, changes: dict[str, Any], reason: str
) -> None:
    """HAProxy reads members by path: the first that it finds, of whatever type."""
    assert rig.reason(rig.send(token=changed(**changes))) == reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"}", b"}\0"),
        (b"}", b"}\0,"),
        (b"}", b',"new":[[[[[[[[]]]]]]]]}'),
        (b"}", b',"new":1' + b"0" * 19 + b"}"),
        (b"}", b',"new":1e400}'),
        (b"}", b',"new":"\xff"}'),
        (b"}", b',"new\xe4":1}'),
        (b"}", b',"new":"\xed\xa0\x80"}'),
        (b"}", b',"new":"\\ud800"}'),
        (b"}", b',"exp":9999999999}'),
    ],
)
def test_signed_claims_that_are_no_strict_json_are_refused(
    rig: Rig, before: bytes, after: bytes
) -> None:
    """A text ends for HAProxy with the first byte of 0; the rest is what the gate's reader refuses."""
    payload = strict_json.dumps(claims_to_json(claims())).removesuffix(before) + after
    sent = jose.assemble(payload, TOKEN_TYPE, TOKEN_KEY).encode()
    assert rig.reason(rig.send(token=sent)) == "token.malformed"


def test_seven_levels_within_the_claims_pass(rig: Rig) -> None:
    """As deep as the gate's reader goes, and a pair of surrogates."""
    members = {**claims_to_json(claims()), "new": [[[[[[["\U0001f600", 10**18, -1.5e-99]]]]]]]}
    escaped = json.dumps(members).encode()
    for payload in (strict_json.dumps(members), escaped):
        sent = jose.assemble(payload, TOKEN_TYPE, TOKEN_KEY).encode()
        assert rig.send(token=sent).status == 200


@pytest.mark.parametrize(
    "changes",
    [{"new": 'a "quoted" \u00e9 text'}, {"new": [1, {"a": None}, -1.5e3]}, {"bnd": "\u00e9" * 9}],
)
def test_claims_that_nobody_knows_do_no_harm(rig: Rig, changes: dict[str, Any]) -> None:
    """A newer service may say more (RFC 7519 section 4)."""
    assert rig.send(token=changed(**changes)).status == 200


@pytest.mark.parametrize(
    ("issued", "lives", "reason"),
    [(-400, -120, "token.expired"), (120, 400, "token.early"), (-10, 86_400, "token.malformed")],
)
def test_times_are_compared_on_the_right_side_of_zero(
    rig: Rig, issued: int, lives: int, reason: str
) -> None:
    """A pattern below zero holds for every number, without a warning."""
    sent = changed(iat=now() + issued, exp=now() + lives)
    assert rig.reason(rig.send(token=sent)) == reason


@pytest.mark.parametrize("created", [-120, -91, 31, 120, -500_000_000, 500_000_000])
def test_stale_and_future_proofs_are_refused(rig: Rig, created: int) -> None:
    """The same trap, for the time of a proof."""
    wanted = "proof.expired" if created < 0 else "proof.early"
    fields = prover().session(target="/pay/now", created=now() + created)
    sent = request(b"/pay/now", *(name + b": " + value for name, value in fields[1:]))
    assert rig.reason(rig.raw(sent)) == wanted


@pytest.mark.parametrize("characters", [87, 88, 2048, 5000])
def test_long_signatures_never_reach_the_verification(rig: Rig, characters: int) -> None:
    """One of 21,830 characters made it write beyond its buffer; whatever isn't 86 is refused for its form."""
    head, payload, _ = token().split(b".")
    answer = rig.send(token=b".".join((head, payload, b"A" * characters)))
    assert rig.reason(answer) == "token.malformed"


def test_signature_of_21830_characters_is_refused_and_everything_goes_on(rig: Rig) -> None:
    """It is more than a field may have."""
    head, payload, _ = token().split(b".")
    answer = rig.send(token=b".".join((head, payload, b"A" * 21_830)))
    assert answer.status in {400, 431}
    assert rig.send(token=token()).status == 200


def test_remembered_verdict_is_for_the_whole_token(rig: Rig) -> None:
    """A signature that was verified stands under another payload."""
    genuine = token()
    assert rig.send(token=genuine).status == 200
    head, _, signature = genuine.split(b".")
    other = base64url.encode(strict_json.dumps(claims_to_json(claims(subject="somebody-else"))))
    answer = rig.send(token=b".".join((head, other.encode(), signature)))
    assert rig.reason(answer) == "token.signature"


def test_remembered_verdict_ends_with_the_token(rig: Rig) -> None:
    """The table keeps entries for longer than the token lives."""
    leeway = BUNDLE.policy.expectation.leeway
    sent = changed(iat=now() - 100, exp=now() - leeway + 2)
    assert rig.send(token=sent).status == 200
    until(lambda: rig.send(token=sent).status == 401)
    assert rig.reason(rig.send(token=sent)) == "token.expired"


def test_strangers_key_and_algorithm_are_refused(rig: Rig) -> None:
    """What a token says of itself chooses nothing but one of our keys."""
    stranger = SoftwareSigner(TOKEN_KEY.kid, derive_private_key(99, SECP256R1()))
    assert rig.reason(rig.send(token=token(stranger))) == "token.signature"
    unknown = SoftwareSigner("another", derive_private_key(99, SECP256R1()))
    assert rig.reason(rig.send(token=token(unknown))) == "token.key_unknown"
    _, payload, signature = token().split(b".")
    none = base64url.encode(b'{"alg":"none","kid":"token-1","typ":"watchword+jwt"}').encode()
    assert rig.reason(rig.send(token=b".".join((none, payload, signature)))) == (
        "token.key_unknown"
    )


@pytest.mark.parametrize("size", [16, 22, 23, 43, 64])
def test_session_ids_of_each_size_make_the_key_of_the_protocol(rig: Rig, size: int) -> None:
    """Bytes of 0 stand between the names that the key is made of, which no text of a configuration holds."""
    session = "s" * size
    key = session_key(session, SECRET.secret)
    payer = Prover(token=token(session_id=session).decode(), session_id=session, key=key)
    sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
    assert rig.raw(sent).status == 200
    assert rig.reason(rig.raw(sent)) == "proof.replayed"


@pytest.mark.parametrize("size", [1, 15, 65])
def test_other_session_ids_are_refused(rig: Rig, size: int) -> None:
    """There is no length for them."""
    session = "s" * size
    key = session_key(session, SECRET.secret)
    payer = Prover(token=token(session_id=session).decode(), session_id=session, key=key)
    answer = rig.raw(request(b"/pay/now", *proved("session", payer, target="/pay/now")))
    assert rig.reason(answer) == "token.malformed"


def test_body_is_the_one_that_the_proof_covers(rig: Rig) -> None:
    """Whole, of its length, and none that wasn't announced."""
    good = b'{"amount": 1}'
    assert rig.pay(body=good, method="POST").status == 200
    assert rig.api.seen[-1].body == good
    sent = rig.payment(body=good, method="POST")
    assert rig.reason(rig.raw(sent.replace(b"1}", b"9}"))) == "proof.body"
    assert rig.raw(sent).status == 200
    assert rig.reason(rig.raw(sent)) == "proof.replayed"
    large = b"x" * 65_537
    assert rig.reason(rig.pay(body=large, method="POST")) == "request.body_too_large"
    assert rig.pay(body=large[:65_536], method="POST").status == 200


def test_mac_under_another_form_of_the_same_key_is_refused(rig: Rig) -> None:
    """Names joined without their lengths, as an older form of the key had them."""
    payer = prover()
    payer.key = hmac.digest(SECRET.secret, b"watchword/session/v1session-of-the-test\x01", "sha256")
    sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
    assert rig.reason(rig.raw(sent)) == "proof.signature"


def test_watching_route_passes_and_says_why_in_the_log(rig: Rig) -> None:
    """Nobody is vouched for."""
    before = len(rig.log())
    assert rig.send(b"/watched/x", token=changed(exp=None)).status == 200
    assert not rig.api.seen[-1].values(b"watchword-instance")
    until(lambda: len(rig.log()) > before)
    assert rig.log()[-1]["reason"] == "token.malformed"
    assert rig.log()[-1]["status"] == 200


def test_refusal_looks_as_from_every_enforcement_point(rig: Rig) -> None:
    """RFC 9457, with a reference to the log, and nothing to learn from."""
    answer = rig.send(b"/v1/x?secret=query")
    assert answer.status == 401
    assert list(answer.problem) == ["ref", "status", "title", "type"]
    assert answer.slug == "token-required"
    for header in (
        b"content-type: application/problem+json",
        b"cache-control: no-store",
        b"www-authenticate: watchword",
    ):
        assert header in answer.head
    assert rig.reason(answer) == "token.missing"
    assert set(rig.log()[-1]) == {
        *("time", "ref", "route", "status", "reason", "details"),
        *("method", "instance", "client", "milliseconds"),
    }


def test_no_secret_is_in_the_configuration_or_the_log(rig: Rig) -> None:
    """Gate secrets are in the one private file; tokens, proofs and queries nowhere."""
    sent, paid = token(), rig.payment()
    rig.send(b"/v1/x?word-of-a-query", token=sent + b"x")
    rig.raw(paid)
    rig.raw(paid)
    secret = base64.b64encode(SECRET.secret).decode()
    for path in rig.directory.iterdir():
        if path.is_file():
            holds = secret in path.read_text("utf-8")
            assert holds is (path.name == names.SECRETS)
            assert not holds or path.stat().st_mode & 0o077 == 0
    log = (rig.directory.parent / "access.log").read_text("utf-8")
    for hidden in (sent.decode(), "word-of-a-query", secret, prover().session_id):
        assert hidden not in log
    assert rig.directory.stat().st_mode & 0o077 == 0
    assert (rig.directory / names.MASTER_SOCKET).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), 200),
        (
            (
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
            200,
        ),
        ((b"Connection: Upgrade", b"Upgrade: h2c, foo/2"), 403),
        ((b"Connection: Upgrade", b"Upgrade: foo/2"), 403),
        ((b"Connection: upgrade, x-own", b"X-Own: 1", b"Upgrade: websocket"), 400),
        ((b"Connection: x-own", b"X-Own: 1"), 400),
        ((b"Connection: te, keep-alive", b"TE: trailers"), 200),
    ],
)
def test_no_tunnel_is_opened_and_no_field_named_that_stays(
    rig: Rig, fields: tuple[bytes, ...], status: int
) -> None:
    """Behind an upgrade to HTTP/2 nothing would be checked, and nobody would end a WebSocket."""
    assert rig.send(b"/v1/x", *fields, token=token()).status == status
    if status == 200:
        assert not {name for name, _ in rig.api.seen[-1].fields} & {b"te", b"upgrade"}


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x", b"/watched/x"])
def test_nobody_says_himself_where_he_comes_from(rig: Rig, target: bytes) -> None:
    """Under any spelling, and in the name of Connection: the connection says it, and nobody else."""
    names_ = [name.lower().encode() for name in (*CLIENT_SIDE, "X-Forwarded-Whatever")]
    forged = [
        name.replace(b"-", sign) + b": 6.6.6.6"
        for name in names_
        for sign in (b"-", b"_", b".", b"~")
    ]
    parts = [forged[at : at + 80] for at in range(0, len(forged), 80)]
    for fields in (*parts, [b"Connection: close, X-Rewrite-URL", forged[-1]], []):
        assert rig.send(target, *fields, token=token()).status == 200
        seen = rig.api.seen[-1]
        assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert not [field for field in seen.fields if field[1] == b"6.6.6.6"]
    assert rig.send(target, b"Connection: X-Forwarded-For", token=token()).status == 400


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x", b"/watched/x", b"/pay/now"])
@pytest.mark.parametrize("coding", [b"chunked", b"CHUNKED"])
def test_a_body_in_chunks_is_asked_for_again_with_its_length(
    rig: Rig, target: bytes, coding: bytes
) -> None:
    """HAProxy would hand its trailers on, and servers take them for fields or for a request."""
    before = len(rig.api.seen)
    head = request(target, b"Transfer-Encoding: " + coding, method=b"POST", token=token())
    trailers = b"x: y\r\nget: /admin HTTP/1.1\r\nwatchword-level: hardware\r\n\r\n"
    answer = rig.raw(head + b"5\r\nhello\r\n0\r\n" + trailers)
    assert (answer.status, answer.slug) == (411, "length-required")
    ref = answer.problem["ref"]
    until(lambda: any(line["ref"] == ref for line in rig.log()))
    (line,) = [line for line in rig.log() if line["ref"] == ref]
    assert line["reason"] == Reason.REQUEST_LENGTH_REQUIRED.code
    assert len(rig.api.seen) == before
    if target != b"/pay/now":
        assert rig.send(target, method=b"POST", body=b"hello", token=token()).status == 200
        assert rig.api.seen[-1].body == b"hello"


def test_sixteen_copies_at_once_have_one_winner(rig: Rig) -> None:
    """Of all threads one counts the proof first."""
    for _ in range(5):
        sent = rig.payment()
        before = len(rig.api.seen)

        async def copies(sent: bytes = sent) -> None:
            async def one() -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", rig.options.listen.port)
                writer.write(sent)
                await reader.readline()
                writer.close()

            await asyncio.gather(*(one() for _ in range(16)))

        asyncio.run(copies())
        assert len(rig.api.seen) == before + 1


def test_full_table_of_used_proofs_takes_none(rig: Rig) -> None:
    """It keeps what it has; a proof that it can't remember doesn't pass."""
    config = rig.directory / names.CONFIG
    text = config.read_text("utf-8")
    assert "size 1m expire" in text
    config.write_text(text.replace("size 1m expire", "size 2 expire"), "utf-8")
    try:
        assert rig.master.ask("reload").startswith("Success=1")
        take_proofs(rig)
        reasons = [
            "" if (answer := rig.pay()).status == 200 else rig.reason(answer) for _ in range(8)
        ]
        assert reasons[-1] == "gate.replay_full"
        assert reasons.count("") <= 2
        assert rig.pay().status == 503
    finally:
        config.write_text(text, "utf-8")
        assert rig.master.ask("reload").startswith("Success=1")
        take_proofs(rig)


def test_full_table_of_verdicts_verifies_again(rig: Rig) -> None:
    """More tokens than it holds cost time, and nothing else."""
    config = rig.directory / names.CONFIG
    text = config.read_text("utf-8")
    config.write_text(text.replace("size 200k expire 30s", "size 2 expire 30s"), "utf-8")
    try:
        assert rig.master.ask("reload").startswith("Success=1")
        tokens = [token(token_id=f"token-{number}") for number in range(6)]
        assert [rig.send(token=each).status for each in tokens * 2] == [200] * 12
        assert rig.send(token=tokens[0][:-4] + b"AAAA").status == 401
    finally:
        config.write_text(text, "utf-8")
        assert rig.master.ask("reload").startswith("Success=1")


def test_instances_of_one_device_share_its_rate(rig: Rig) -> None:
    """Enrolling again brings no new rate, also where tokens are known by then; who is of no known device has his own."""
    rig.push(policy=replace(BUNDLE.policy, rate=Rate(4, 3600)))
    try:
        sent = [token(subject=f"of-one-device-{name}", device="device-1") for name in "abc" * 2]
        answers = [rig.send(token=each).status for each in (*sent, *sent)]
        assert answers == [200] * 4 + [429] * 8
        assert rig.send(token=token(subject="of-another", device="device-2")).status == 200
        alone = token(subject="of-one-device-a", app_id="dev")
        assert [rig.send(token=alone).status for _ in range(5)] == [200] * 4 + [429]
        assert rig.reason(rig.send(token=token(device="two words"))) == "token.malformed"
    finally:
        rig.push(policy=BUNDLE.policy)
        take_proofs(rig)


def test_rate_is_held_and_refills_evenly(rig: Rig) -> None:
    """A burst of all, then one whenever there is room for one; a refused request takes nothing."""
    rig.push(policy=replace(BUNDLE.policy, rate=Rate(4, 2)))
    try:
        sent = token(subject="somebody-in-a-hurry")
        answers = [rig.send(token=sent) for _ in range(5)]
        assert [each.status for each in answers[:4]] == [200] * 4
        while answers[-1].status == 200:
            # A slow machine lets room come back meanwhile.
            answers.append(rig.send(token=sent))
        over = answers[-1]
        assert over.slug == "rate-limited"
        assert b"retry-after: 1" in over.head
        assert rig.reason(over) == "gate.rate"
        until(lambda: rig.send(token=sent).status == 200)
        assert rig.send(token=token(subject="somebody-else")).status == 200
    finally:
        rig.push(policy=BUNDLE.policy)
