"""Write the rules that check a token: what :mod:`watchword.tokens.service` checks, in its order.

The signature is verified once in :data:`VERDICT_SECONDS`; what is remembered is keyed by a digest of the whole
token and of the generation, so that nothing outlives a push, and ends with the token and with its key.
"""

import re
from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import names
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import WHOLE, argument, found, matches, rule, word
from watchword.engines.places import EngineOptions
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens import strict_jws
from watchword.tokens.claims import MAX_TIME
from watchword.tokens.interface import (
    MAX_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
    TOKEN_TYPE,
    TokenExpectation,
)
from watchword.vocabulary import Level

VERDICT_SECONDS: Final = 30
"""How long a verified token isn't verified again; its end and its instance are looked at each time."""

_COORDINATE_CHARACTERS: Final = 43
"""Characters of each coordinate of a key (RFC 7518 section 6.2.1.2)."""

_SIGNATURE_CHARACTERS: Final = 86
_SIZES: Final = 4096
"""More than a payload can have of bytes."""

_TURN: Final = 2**32 // _SIZES
"""Seconds are remembered modulo this: far more than a verdict lives."""

_B64: Final = "[A-Za-z0-9_-]"
FORM: Final = (
    rf"^(?=.{{1,{MAX_TOKEN_BYTES}}}$){_B64}+\.(?:{_B64}{{4}})*+(?:{_B64}[AQgw]|{_B64}{{2}}[AEIMQUYcgkosw048])?"
    rf"(?<!\.)\.{_B64}{{85}}[AQgw]$"
)
"""Matches three segments of canonical base64url, of which the last has 64 bytes.

A longer signature made ``jwt_verify`` write beyond its buffer before HAProxy 3.0.12 and its like, so that this
is looked at first.
"""

_PLAIN: Final = r'"[^"\\]*"'
_HEAD: Final = (
    rf'\{{"iss":{_PLAIN},"aud":{_PLAIN},"sub":{_PLAIN},"iat":[0-9]+,"exp":[0-9]+,"jti":{_PLAIN},"env":{_PLAIN},'
    rf'"app":\{{"id":{_PLAIN}(?:,"ver":{_PLAIN})?\}},"lvl":"[a-z]+"'
)
_KEY_BEGINS: Final = ',"cnf":{"jwk":{"kty":"EC","crv":"P-256",'
_COORDINATES: Final = len('"x":"","y":""}') + 2 * _COORDINATE_CHARACTERS
_SESSION_BEGINS: Final = '},"sid":"'
SESSION_SIZES: Final = range(16, 65)
"""Characters of a session's id; ours have 22."""

_SESSION_ID: Final = rf"[A-Za-z0-9_-]{{{SESSION_SIZES.start},{SESSION_SIZES.stop - 1}}}"
_B64_43: Final = rf"{_B64}{{{_COORDINATE_CHARACTERS}}}"
_LAYOUT: Final = (
    rf'({_HEAD}){re.escape(_KEY_BEGINS)}"x":"{_B64_43}","y":"{_B64_43}"\}}'
    rf'{re.escape(_SESSION_BEGINS)}{_SESSION_ID}","epo":[0-9]+[,}}]'
)
"""How a payload begins as the service writes it (:func:`watchword.tokens.claims.claims_to_json`)."""

_SUBJECT_AT: Final = 12
_APP_AT: Final = 30
"""Where subject and app stand between the quotes of that."""

_TOKEN: Final = TOKEN_HEADER.decode()


def look(options: EngineOptions) -> Iterator[str]:
    """Yield the rules that set ``txn.left`` to the seconds for which the token needn't be verified again."""
    yield rule(f"set-var(txn.token) req.fhdr({_TOKEN})")
    # The generation is read before anything that belongs to it: what is found is filed under none that is newer.
    state = options.path(names.STATE)
    yield rule(f"set-var(txn.generation) str({names.GENERATION}),map({state})")
    yield rule("set-var(txn.id) var(txn.generation),concat(:,txn.token),sha2(256)")
    yield rule(f"set-var(txn.kept) var(txn.id),table_gpt(0,{names.VERDICTS})")
    # Below 0, too, the lowest bits are those of the difference modulo 2**20.
    left = f"var(txn.kept),div({_SIZES}),sub(txn.now),and({_TURN - 1})"
    yield rule(f"set-var(txn.left) {left}", "{ var(txn.kept) -m int gt 0 }")


KNOWN: Final = f"{{ var(txn.left) -m int 1:{VERDICT_SECONDS} }}"
"""A condition: the token was verified under this generation, hasn't ended, and is laid out as ours are."""


def token_rules(
    expected: TokenExpectation,
    keys: "tuple[VerificationKey, ...]",
    options: EngineOptions,
    *,
    known: bool,
    whole: bool,
) -> Iterator[str]:
    """Yield the rules; afterwards ``txn.reason`` is set, or the token's claims hold.

    :param known: whether the token was verified before.
    :param whole: whether claims behind the level are read too.
    """
    if not known:
        yield because(Reason.TOKEN_MISSING, f"!{found('txn.token')}")
        yield from _signature(keys, options)
        yield rule("set-var(txn.payload) var(txn.token),field(2,.),ub64dec", WHOLE)
        yield from _claims(expected, options)
        for name, claim in (("sub", "sub"), ("app", "id"), ("level", "lvl")):
            # A subject is written into the log, where a line break would end the line.
            yield rule(f"set-var(txn.{name}) {text_of(claim)}", WHOLE)
        yield from _remembering()
        if whole:
            for name in ("x", "y", "sid"):
                yield rule(f"set-var(txn.{name}) {text_of(name)}", WHOLE)
            key = """str('"x":"'),concat(,txn.x,'","y":"'),concat(,txn.y,'"}')"""
            yield rule(f"set-var(txn.xy) {word(key)}", WHOLE)
            # The end alone matches in front of a last line feed too.
            form = rf"^{_SESSION_ID}$(?!\n)"
            yield because(Reason.TOKEN_MALFORMED, f"!{matches('var(txn.sid)', 'reg', form)}")
            # A whole number, since the payload matched; it is the same text as in the map.
            epoch = argument(r'(?s)^.*?"epo"[ \t\r\n]*:[ \t\r\n]*([0-9]+).*$')
            read = f"var(txn.payload),regsub({epoch},{argument(chr(92) + '1')})"
            yield rule(f"set-var(txn.epoch) {word(read)}", WHOLE)
    else:
        yield from _remembered(keys, whole=whole)
    yield because(
        Reason.TOKEN_INSTANCE_REVOKED,
        f"{{ var(txn.sub),map({options.path(names.REVOKED)}) -m found }}",
    )


def _remembered(keys: "tuple[VerificationKey, ...]", *, whole: bool) -> Iterator[str]:
    """Yield the rules that read the claims of a token that was verified before, and is laid out as ours are."""
    yield rule(f"set-var(txn.size) var(txn.kept),and({_SIZES - 1})")
    if whole:
        yield from _payload(keys)
        source = "payload"
        at = len(_KEY_BEGINS)
        yield rule(f"set-var(txn.rest) var(txn.payload),bytes(txn.size),bytes({at})")
        yield rule(f"set-var(txn.xy) var(txn.rest),bytes(0,{_COORDINATES})")
        session = f"var(txn.rest),bytes({_COORDINATES + len(_SESSION_BEGINS)})"
        yield rule(f"set-var(txn.sid) {word(f'{session},{_quoted(1)}')}")
        epoch = f"{session},{_quoted(4)},word(1,{argument(':,}')})"
        yield rule(f"set-var(txn.epoch) {word(epoch)}")
    else:
        yield rule("set-var(txn.cut) var(txn.size),add(2),div(3),mul(4)")
        size = _first_segment(keys)
        start = "field(2,.),bytes(0" if size is None else f"bytes({size + 1}"
        yield rule(f"set-var(txn.head) var(txn.token),{start},txn.cut),ub64dec")
        source = "head"
    # Counted from the front, the level's place would depend on whether there is a version.
    level = f"bytes(0,txn.size),field(-2,{argument(chr(34))})"
    for name, reading in (
        ("sub", _quoted(_SUBJECT_AT)),
        ("app", _quoted(_APP_AT)),
        ("level", level),
    ):
        yield rule(f"set-var(txn.{name}) {word(f'var(txn.{source}),{reading}')}")


def _first_segment(keys: "tuple[VerificationKey, ...]") -> int | None:
    """Return the length of the first segment, where it is the same with all keys: nobody looks for its end then."""
    sizes = {len(strict_jws.header_segment(key.kid, TOKEN_TYPE)) for key in keys}
    return sizes.pop() if len(sizes) == 1 else None


def _payload(keys: "tuple[VerificationKey, ...]") -> Iterator[str]:
    """Yield the rules that decode the payload of a token whose form was looked at before."""
    size = _first_segment(keys)
    if size is None:
        yield rule("set-var(txn.payload) var(txn.token),field(2,.),ub64dec")
        return
    around = size + len("..") + _SIGNATURE_CHARACTERS
    yield rule(f"set-var(txn.between) var(txn.token),length,sub({around})")
    yield rule(f"set-var(txn.payload) var(txn.token),bytes({size + 1},txn.between),ub64dec")


def _quoted(at: int) -> str:
    return f"field({at},{argument(chr(34))})"


def text_of(name: str) -> str:
    """Return the expression for the text of a claim, once :data:`.claims.PAYLOAD` matched.

    No name of ours is there twice then, at whatever depth, so that it needn't be looked for by its path: that
    takes a tenth of the time.
    """
    whole = rf'(?s)^.*?"{name}"[ \t\r\n]*:[ \t\r\n]*"([^"]*)".*$'
    return word(f"var(txn.payload),regsub({argument(whole)},{argument(chr(92) + '1')})")


def _query(path: str, kind: str = "") -> str:
    return f"var(txn.payload),json_query({argument(path)}{f',{kind}' if kind else ''})"


def _signature(keys: "tuple[VerificationKey, ...]", options: EngineOptions) -> Iterator[str]:
    yield because(Reason.TOKEN_MALFORMED, f"{WHOLE} !{matches('var(txn.token)', 'reg', FORM)}")
    path = options.path(names.KEYS)
    yield rule(f"set-var(txn.key) {word(f'var(txn.token),field(1,.),map({path})')}", f"{WHOLE}")
    yield because(Reason.TOKEN_KEY_UNKNOWN, f"!{found('txn.key')}")
    yield rule("set-var(txn.key_ends) var(txn.key),field(2,:)")
    yield because(Reason.TOKEN_KEY_RETIRED, "!{ var(txn.key_ends),sub(txn.now) -m int gt 0 }")
    for key in keys:
        # The algorithm is ours, never the token's: its header is one of the two or three that we know.
        check = f"var(txn.token),jwt_verify(ES256,{options.path(names.key_file(key.kid))})"
        yield rule(
            f"set-var(txn.signed) {word(check)}",
            f"{WHOLE} {matches('var(txn.key),field(1,:)', 'str', key.kid)}",
        )
    yield because(Reason.TOKEN_SIGNATURE, f"{WHOLE} !{{ var(txn.signed) -m int eq 1 }}")


def _claims(expected: TokenExpectation, options: EngineOptions) -> Iterator[str]:
    payload = options.path(names.PAYLOAD)
    malformed = Reason.TOKEN_MALFORMED
    # A text ends for HAProxy with the first byte of 0, and so would what is looked at.
    yield rule("set-var(txn.bytes) var(txn.token),field(2,.),length,mul(3),div(4)", WHOLE)
    yield because(malformed, f"{WHOLE} !{{ var(txn.payload),length,sub(txn.bytes) -m int eq 0 }}")
    yield because(malformed, f"{WHOLE} !{{ var(txn.payload) -m reg -f {word(payload)} }}")
    # Each is where it belongs, and not in an object that nobody knows.
    for path in ("$.sub", "$.jti", "$.sid", "$.epo", "$.lvl", "$.app.id", "$.cnf.jwk.x"):
        yield because(malformed, f"{WHOLE} !{{ {word(_query(path))} -m found }}")
    for name in ("iat", "exp", "nbf", "epo"):
        yield rule(f"set-var(txn.{name}) {word(_query(f'$.{name}', argument('int')))}", f"{WHOLE}")
    # Negative numbers in a pattern don't compare; so each side is made one that is at least 0.
    yield rule("set-var(txn.life) var(txn.exp),sub(txn.iat)")
    yield because(malformed, f"!{{ var(txn.life) -m int 1:{MAX_LIFETIME_SECONDS} }}")
    for name in ("iat", "exp", "epo"):
        yield because(malformed, f"!{{ var(txn.{name}) -m int 0:{MAX_TIME} }}")
    yield because(malformed, f"{found('txn.nbf')} !{{ var(txn.nbf) -m int 0:{MAX_TIME} }}")
    for path, value, reason in (
        ("$.iss", expected.issuer, Reason.TOKEN_ISSUER),
        ("$.aud", expected.audience, Reason.TOKEN_AUDIENCE),
        ("$.env", expected.environment.value, Reason.TOKEN_ENVIRONMENT),
    ):
        yield because(reason, f"!{matches(_query(path), 'str', value)}")
    leeway = expected.leeway
    yield rule(f"set-var(txn.ends) var(txn.exp),add({leeway})")
    yield because(Reason.TOKEN_EXPIRED, "!{ var(txn.ends),sub(txn.now) -m int gt 0 }")
    for name in ("iat", "nbf"):
        begun = f"{{ var(txn.now),add({leeway}),sub(txn.{name}) -m int ge 0 }}"
        there = f"{found('txn.nbf')} " if name == "nbf" else ""
        yield because(Reason.TOKEN_EARLY, f"{there}!{begun}")


def _remembering() -> Iterator[str]:
    """Yield the rules that keep a verdict, until the earliest of what ends it.

    Beside its end, a verdict says where in the payload the level ends: what the API is told stands in front of
    that, and what a proof is verified with right behind.  A token that is laid out otherwise than ours are is
    verified each time.
    """
    yield rule(f"set-var(txn.until) var(txn.now),add({VERDICT_SECONDS})", WHOLE)
    for name in ("ends", "key_ends"):
        yield rule(
            f"set-var(txn.until) var(txn.{name})",
            f"{WHOLE} {{ var(txn.{name}),sub(txn.until) -m int lt 0 }}",
        )
    laid_out = f"{WHOLE} {matches('var(txn.payload)', 'reg', f'^{_LAYOUT}')}"
    first = argument(chr(92) + "1")
    head = f"var(txn.payload),regsub({argument(f'(?s)^{_LAYOUT}.*$')},{first}),length"
    yield rule(f"set-var(txn.size) {word(head)}", laid_out)
    fresh = f"{WHOLE} {found('txn.size')}"
    kept = f"var(txn.until),and({_TURN - 1}),mul({_SIZES}),add(txn.size)"
    yield rule(f"set-var(txn.kept) {kept}", fresh)
    yield rule(f"track-sc0 var(txn.id) table {names.VERDICTS}", fresh)
    # One number, so that nobody reads the half of it.
    yield rule("sc-set-gpt(0,0) var(txn.kept)", fresh)


def standing_rules(options: EngineOptions, minimums: "list[str]") -> Iterator[str]:
    """Yield the rules on level and version.

    :param minimums: number of a row and an app, with a colon between, where a lowest version is set.
    """
    enough = [
        f"{needed.rank}:{got.value}" for needed in Level for got in Level if got.satisfies(needed)
    ]
    asked = "var(txn.row),field(3,:),concat(:,txn.level)"
    yield because(Reason.GATE_LEVEL, f"{WHOLE} !{matches(asked, 'str', *enough)}")
    if not minimums:
        return
    yield rule("set-var(txn.row_app) var(txn.row),field(4,:),concat(:,txn.app)")
    asked = matches("var(txn.row_app)", "str", *minimums)
    payload = "set-var(txn.payload,ifnotexists) var(txn.token),field(2,.),ub64dec"
    yield rule(payload, asked)
    yield rule(f"set-var(txn.version) {word(_query('$.app.ver'))}", asked)
    yield because(
        Reason.GATE_APP_VERSION,
        f"{asked} !{{ var(txn.row_app),concat(:,txn.version) -m reg -f {word(options.path(names.VERSIONS))} }}",
    )


def results(condition: str) -> Iterator[str]:
    """Yield the rules that tell the API who is there."""
    for header, name in zip(RESULT_HEADERS, ("sub", "level", "app"), strict=True):
        yield rule(f"set-header {header.decode()} %[var(txn.{name})]", condition)
