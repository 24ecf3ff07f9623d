"""Make requests that are nearly right: odd claims under a genuine signature, odd proofs, fields, paths and bodies."""

import base64
import hashlib
import json
import random  # noqa: TID251 - the same requests each time.
from collections.abc import Callable
from typing import Final

from tests.system.engines.haproxy import oddities
from tests.system.engines.haproxy.drafts import (
    SESSION,
    STRANGER,
    Draft,
    assembled,
    compact,
    genuine,
    members_of,
)
from tests.unit.engines.envoy.rig import OTHER_KEY, SECRET, TOKEN_KEY
from tests.unit.gate.proofs import session_key
from tests.unit.gate.simulators import SoftwareSigner

from watchword.tokens.interface import TOKEN_TYPE


def odd_claim(draft: Draft) -> None:
    """Give one claim another value, or take it away, or add one."""
    chance = draft.chance
    members = members_of(draft)
    name = chance.choice(
        (*oddities.NAMES, "new", "$.exp", "app.id", "cnf.jwk", "exp\u0000", "Exp", " exp")
    )
    value = chance.choice((*oddities.TEXTS, *oddities.LONG_TEXTS, *oddities.VALUES))
    within = chance.choice(
        (members, members, members["app"], members["cnf"], members["cnf"]["jwk"])
    )
    if within is members["app"]:
        name = chance.choice(("id", "ver", "sub", "x"))
    elif within is members["cnf"]["jwk"]:
        name = chance.choice(("kty", "crv", "x", "y", "d", "exp"))
    if chance.random() < 0.2:
        within.pop(name, None)
    elif name in {"iat", "exp", "nbf"} and chance.random() < 0.7:
        around = draft.now + chance.choice((0, 300))
        within[name] = around + chance.choice((-90, -40, -20, 0, 20, 40, 300, 900, 4000))
    elif name == "ver":
        within[name] = chance.choice(
            (
                "1.2",
                "1.2.2",
                "1.10",
                "2",
                "01.2.3",
                "1.2.3-b",
                "1.2.3\n",
                "1..2",
                "1" * 19,
                "1.2.3.0.0.0.0.0",
                "",
            )
        )
    elif name == "sid":
        within[name] = "".join(
            chance.choice("aZ09_- .\u00e9") for _ in range(chance.choice((1, 15, 16, 64, 65)))
        )
    else:
        within[name] = value
    draft.token = assembled(compact(members), TOKEN_KEY)


def spelled_claims(draft: Draft) -> None:
    """Spell the JSON otherwise: white space, numbers, escapes, doubled and moved names, bytes that aren't UTF-8."""
    chance = draft.chance
    text = compact(members_of(draft)).decode()
    members = members_of(draft)
    for _ in range(chance.choice((1, 1, 2))):
        way = chance.randrange(10)
        if way == 0:
            name = chance.choice(("iat", "exp", "epo"))
            spelled = chance.choice(oddities.SPELLED).format(now=draft.now, later=draft.now + 200)
            text = text.replace(f'"{name}":{members[name]}', f'"{name}":{spelled}')
        elif way == 1:
            at = chance.randrange(len(text))
            text = (
                text[:at]
                + chance.choice((" ", "\t", "\n", "\r", "\v", "\u00a0", ",", '"', "\\", "}", "{"))
                + text[at:]
            )
        elif way == 2:
            name = chance.choice(oddities.NAMES)
            other = chance.choice(
                ("1", '"x"', '"hardware"', "null", json.dumps(members.get(name, 1)))
            )
            text = chance.choice(
                (f'{{"{name}":{other},{text[1:]}', f'{text[:-1]},"{name}":{other}}}')
            )
        elif way == 3:
            name = chance.choice(("exp", "sub", "lvl", "new"))
            where = chance.choice(('"app":{', '"cnf":{', '"jwk":{'))
            text = text.replace(
                where,
                f'{where}"{name}":{chance.choice(("1", "9999999999", chr(34) + "x" + chr(34)))},',
            )
        elif way == 4:
            name = chance.choice(oddities.NAMES)
            text = text.replace(f'"{name}"', f'"\\u00{ord(name[0]):02x}{name[1:]}"', 1)
        elif way == 5:
            text = f'{text[:-1]},"new":"\\"exp\\":1,\\"lvl\\":\\"hardware\\""}}'
        elif way == 6:
            order = list(members.items())
            chance.shuffle(order)
            text = json.dumps(dict(order), separators=chance.choice(((",", ":"), (", ", ": "))))
        elif way == 7:
            depth = chance.choice((3, 7, 8, 9, 60))
            text = f'{text[:-1]},"new":{"[" * depth}{"]" * depth}}}'
        elif way == 8:
            text = (
                chance.choice(("\ufeff", " ", "\n", "[", ""))
                + text
                + chance.choice(("\n", " ", "]", "\0", ",", "{}"))
            )
        else:
            text = text.replace(
                "pairwise",
                chance.choice(
                    ("p\\u0061irwise", "p\\/", "p\u00e4", "p\\n", "#p", "p'", "p;q", "p%20")
                ),
            )
    payload = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        at = chance.randrange(len(payload))
        payload = payload[:at] + bytes([chance.randrange(256)]) + payload[at + 1 :]
    draft.token = assembled(payload, TOKEN_KEY)


def odd_token(draft: Draft) -> None:
    """Mutate the token itself."""
    chance = draft.chance
    sent = draft.token or b""
    way = chance.randrange(9)
    if way == 0:
        at = chance.randrange(max(len(sent), 1))
        sent = sent[:at] + bytes([chance.choice(b"AQgwZ_-.=+/ ,\xe9")]) + sent[at + 1 :]
    elif way == 1:
        sent = chance.choice(
            (sent + b"=", sent + b".", b"." + sent, sent[:-1], sent + b"A", b"", sent.upper())
        )
    elif way == 2:
        sent = assembled(
            compact(members_of(draft)),
            chance.choice((STRANGER, OTHER_KEY, SoftwareSigner("token-3"))),
        )
    elif way == 3:
        sent = chance.choice(
            (b"Bearer " + sent, sent + b", " + sent, b'"' + sent + b'"', b"\t" + sent + b" ")
        )
    elif way == 4:
        head, payload, signature = (sent.split(b".") * 3)[:3]
        bits = chance.choice((head, payload, signature))
        sent = sent.replace(bits, bits[:-1] + bytes([chance.choice(b"ABCDQRghwx")]))
    elif way == 5:
        head, payload, signature = (sent.split(b".") * 3)[:3]
        sent = (
            head
            + b"."
            + payload
            + b"."
            + signature[: chance.choice((84, 85, 86))]
            + b"A" * chance.randrange(4)
        )
    elif way == 6:
        members = members_of(draft)
        members["new"] = "x" * chance.choice((700, 800, 820, 830, 840, 900))
        sent = assembled(compact(members), TOKEN_KEY)
    elif way == 7:
        draft.token = None
        return
    else:
        head = base64.urlsafe_b64encode(
            chance.choice(
                (
                    b'{"alg":"none","kid":"token-1","typ":"%b"}',
                    b'{"kid":"token-1","alg":"ES256","typ":"%b"}',
                    b'{"alg":"ES256"}',
                )
            ).replace(b"%b", TOKEN_TYPE.encode())
        ).rstrip(b"=")
        sent = head + b"." + b".".join(sent.split(b".")[1:])
    draft.token = sent


def odd_proof(draft: Draft) -> None:  # noqa: C901 - one case a way.
    """Mutate a proof: its structured field, its time, what it covers, its key and body."""
    chance = draft.chance
    draft.target = b"/pay/now" + chance.choice((b"", b"?", b"?a=b"))
    draft.proves = True
    way = chance.randrange(12)
    if way == 0:
        draft.created += chance.choice(
            (-100, -91, -89, -60, -20, 20, 29, 31, 100, 10**9, -(10**9), 10**10, -draft.now)
        )
    elif way == 1:
        size = chance.choice((0, 1, 15, 16, 64, 65))
        draft.nonce = (draft.nonce[6:] + "Az_-9" * 13)[:size]
    elif way == 2:
        bad = chance.choice(
            (b'"', b"\\", b" ", b",", b";", b"=", b"(", b")", b"\t", b"\xe9", b"a", b":")
        )
        at = chance.randrange(200)
        draft.input_edit = lambda text: text[:at] + bad + text[at:]
    elif way == 3:
        old, new = chance.choice(
            (
                (b"created=", b"created= "),
                (b'"@query"', b'"@query";req'),
                (b' "@query"', b""),
                (b'"@method" "@authority"', b'"@authority" "@method"'),
                (b";alg=", b";expires=9999999999;alg="),
                (b'"hmac-sha256"', b'"ecdsa-p256-sha256"'),
                (b'"hmac-sha256"', b"hmac-sha256"),
                (b";keyid", b"; keyid"),
                (b"created=", b"created=0"),
                (b'nonce="', b'nonce=":'),
                (b")", b"),other=()"),
            )
        )
        draft.input_edit = lambda text: text.replace(old, new, 1)
    elif way == 4:
        old, new = chance.choice(
            ((b"=:", b"="), (b":", b""), (b"watchword", b"other"), (b"=:", b"=: "), (b"A", b"B"))
        )
        draft.signature_edit = lambda text: text.replace(old, new, 1)
    elif way == 5:
        edit = chance.choice((b", other=:AAAA:", b"\t", b" ", b";x", b"=", b"\xff"))
        draft.signature_edit = lambda text: text + edit
    elif way == 6:
        name = chance.choice(("watchword-token", "@method", "@authority", "@path", "@query"))
        draft.signed[name] = chance.choice(
            (b"", b"?", b"GET", b"/pay/now", b"clinic.example", b"?a=b\n")
        )
    elif way == 7:
        draft.key = chance.choice(
            (b"", SECRET.secret, bytes(32), session_key("another-session", SECRET.secret))
        )
    elif way == 8:
        draft.key_id = chance.choice(
            ("", "x", SESSION + "x", SESSION.upper(), 'a"b', "\u00e9", "x" * 129)
        )
    elif way == 9:
        draft.method = chance.choice((b"POST", b"GET", b"DELETE"))
        draft.body = b"b" * chance.choice((0, 1, 100, 20_000, 65_536, 65_537, 70_000))
        draft.chunked = chance.random() < 0.2
        other = base64.b64encode(hashlib.sha256(b"other").digest())
        if chance.random() < 0.4:
            draft.digest = chance.choice(
                (
                    b"sha-256=:" + other + b":",
                    b"sha-512=:AAAA:",
                    b"",
                    b"sha-256=:" + other + b":, sha-512=:AA==:",
                    b"x",
                )
            )
    elif way == 10:
        draft.lines.append(
            chance.choice(
                (
                    b"DPoP: x",
                    b"Signature: watchword=:AAAA:",
                    b"Content-Digest: x",
                    b"signature_input: x",
                )
            )
        )
    else:
        draft.proves = False
        draft.lines += chance.sample(
            (b"Signature-Input: x", b"Signature: watchword=:x:", b"DPoP: x.y.z"),
            chance.randrange(3),
        )


def odd_fields(draft: Draft) -> None:
    """Add odd field lines, in front and behind."""
    chance = draft.chance
    for _ in range(chance.choice((1, 1, 2, 3))):
        line = chance.choice(oddities.LINES)
        if chance.random() < 0.3:
            line = line.swapcase()
        chance.choice((draft.before, draft.lines)).append(line)


def sized_fields(draft: Draft) -> None:
    """Come near the most fields, and the most bytes of one and of all."""
    chance = draft.chance
    way = chance.randrange(3)
    if way == 0:
        draft.lines += [b"x-%d: y" % each for each in range(chance.randrange(90, 104))]
    elif way == 1:
        draft.lines.append(
            b"x-long:" + b" " * chance.randrange(3) + b"a" * (8192 - 6 + chance.randrange(-3, 4))
        )
    else:
        size = sum(
            len(line.replace(b": ", b"", 1))
            for line in draft.raw().split(b"\r\n")[1:]
            if b":" in line
        )
        left = 16_384 - size + chance.randrange(-4, 5)
        draft.lines += [b"x-a: " + b"a" * 8_000, b"x-b: " + b"a" * max(left - 8_000 - 6, 0)]


def odd_path(draft: Draft) -> None:
    """Send another path, encoded in every way, or another form of target."""
    chance = draft.chance
    parts = [chance.choice(oddities.SEGMENTS) for _ in range(chance.choice((1, 2, 3, 4)))]
    first = chance.choice(
        (b"v1", b"pay", b"open", b"%76%31", b"watched", b"pa%79", b"caf%C3%A9", b"", b"deep")
    )
    path = b"/" + b"/".join([first, *parts]) + chance.choice((b"", b"", b"/", b"//", b"?", b"?x"))
    draft.target = chance.choice(
        (path,) * 12
        + (
            b"http://clinic.example" + path,
            b"//clinic.example" + path,
            b"*",
            path[1:],
            b"clinic.example:80",
        )
        + (b"/v1/" + b"a" * (8192 - 4 + chance.randrange(-1, 3)),)
    )


def odd_query(draft: Draft) -> None:
    """Send another query."""
    chance = draft.chance
    odd = bytes(
        chance.choice(b"ab=&?/%+;:@!$'()*,\"<>[]{}|\\^`~\xe9\xff#\x01 ")
        for _ in range(chance.randrange(12))
    )
    size = chance.choice((0, 0, 0, 8190, 8191, 8192, 8193))
    draft.target = draft.target.partition(b"?")[0] + b"?" + odd + b"a" * max(size - len(odd), 0)


def odd_line(draft: Draft) -> None:
    """Mutate method, version and host."""
    chance = draft.chance
    way = chance.randrange(3)
    if way == 0:
        draft.method = chance.choice(oddities.METHODS)
    elif way == 1:
        draft.version = chance.choice(
            (
                b"HTTP/1.0",
                b"HTTP/1.2",
                b"HTTP/2.0",
                b"HTTP/0.9",
                b"http/1.1",
                b"HTTP/1.1 ",
                b"HTTP/1.10",
            )
        )
    else:
        draft.host = chance.choice(oddities.HOSTS)


MUTATIONS: Final[tuple[Callable[[Draft], None], ...]] = (
    *(
        odd_claim,
        odd_claim,
        spelled_claims,
        spelled_claims,
        odd_token,
        odd_proof,
        odd_proof,
        odd_proof,
    ),
    *(odd_fields, odd_fields, sized_fields, odd_path, odd_path, odd_query, odd_line),
)


def drafted(chance: random.Random, now: int, serial: int) -> Draft:
    """Return a request with none, one or two mutations."""
    draft = genuine(chance, now, serial)
    for _ in range(chance.choice((0, 1, 1, 1, 1, 1, 2))):
        chance.choice(MUTATIONS)(draft)
    return draft
