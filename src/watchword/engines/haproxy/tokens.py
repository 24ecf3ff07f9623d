"""Write the rules that check a token: what :mod:`watchword.tokens.service` checks, in its order.

The signature is verified once in :data:`VERDICT_SECONDS`; what is remembered is keyed by a digest of the whole
token and of the generation, so that nothing outlives a push, and ends with the token and with its key.
"""

from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import names
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import argument, found, matches, rule, word
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

_B64: Final = "[A-Za-z0-9_-]"
FORM: Final = (
    rf"^(?=.{{1,{MAX_TOKEN_BYTES}}}$){_B64}+\.(?:{_B64}{{4}})*+(?:{_B64}[AQgw]|{_B64}{{2}}[AEIMQUYcgkosw048])?"
    rf"(?<!\.)\.{_B64}{{85}}[AQgw]$"
)
"""Matches three segments of canonical base64url, of which the last has 64 bytes.

A longer signature made ``jwt_verify`` write beyond its buffer before HAProxy 3.0.12 and its like, so that this
is looked at first.
"""

_WHOLE: Final = "!{ var(txn.reason) -m found }"
_PLAIN: Final = r'"[^"\\]*"'
_LAYOUT: Final = (
    rf'\{{"iss":{_PLAIN},"aud":{_PLAIN},"sub":{_PLAIN},"iat":[0-9]+,"exp":[0-9]+,"jti":{_PLAIN},"env":{_PLAIN},'
    rf'"app":\{{"id":{_PLAIN}(?:,"ver":{_PLAIN})?\}},"lvl":"[a-z]+"'
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
    yield rule(f"set-var(txn.left) var(txn.id),table_gpt(0,{names.VERDICTS}),sub(txn.now)")
    for at, name in ((1, "cut"), (2, "size")):
        lookup = f"var(txn.id),table_gpt({at},{names.VERDICTS})"
        yield rule(f"set-var(txn.{name}) {lookup}", "{ var(txn.left) -m int gt 0 }")


KNOWN: Final = (
    "{ var(txn.left) -m int gt 0 } { var(txn.cut) -m int gt 0 } { var(txn.size) -m int gt 0 }"
)
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
        yield rule("set-var(txn.payload) var(txn.token),field(2,.),ub64dec", _WHOLE)
        yield from _claims(expected, options)
        for name, claim in (("sub", "sub"), ("app", "id"), ("level", "lvl")):
            # A subject is written into the log, where a line break would end the line.
            yield rule(f"set-var(txn.{name}) {text_of(claim)}", _WHOLE)
        yield from _remembering()
        if whole:
            yield rule("set-var(txn.rest) var(txn.payload)", _WHOLE)
    else:
        yield from _remembered(keys, whole=whole)
    yield because(
        Reason.TOKEN_INSTANCE_REVOKED,
        f"{{ var(txn.sub),map({options.path(names.REVOKED)}) -m found }}",
    )


def _remembered(keys: "tuple[VerificationKey, ...]", *, whole: bool) -> Iterator[str]:
    """Yield the rules that read the claims of a token that was verified before, and is laid out as ours are."""
    if whole:
        yield rule("set-var(txn.payload) var(txn.token),field(2,.),ub64dec")
        yield rule("set-var(txn.head) var(txn.payload),bytes(0,txn.size)")
        # None of what is read later stands in front of that.
        yield rule("set-var(txn.rest) var(txn.payload),bytes(txn.size)")
    else:
        # Where the first segments of all keys are of one length, nobody has to look for their end.
        sizes = {len(strict_jws.header_segment(key.kid, TOKEN_TYPE)) for key in keys}
        start = "field(2,.),bytes(0" if len(sizes) != 1 else f"bytes({sizes.pop() + 1}"
        yield rule(f"set-var(txn.head) var(txn.token),{start},txn.cut),ub64dec,bytes(0,txn.size)")
    for name, at in (("sub", _SUBJECT_AT), ("app", _APP_AT), ("level", -2)):
        quoted = f"var(txn.head),field({at},{argument(chr(34))})"
        yield rule(f"set-var(txn.{name}) {word(quoted)}")
    for name in ("sub", "app"):
        # A table that gave something else away would say that nobody is there.
        yield because(Reason.TOKEN_MALFORMED, f"!{{ var(txn.{name}),length gt 0 }}")


def text_of(name: str, within: str = "payload") -> str:
    """Return the expression for the text of a claim, once :data:`.claims.PAYLOAD` matched.

    No name of ours is there twice then, at whatever depth, so that it needn't be looked for by its path: that
    takes a tenth of the time.
    """
    whole = rf'(?s)^.*?"{name}"[ \t\r\n]*:[ \t\r\n]*"([^"]*)".*$'
    return word(f"var(txn.{within}),regsub({argument(whole)},{argument(chr(92) + '1')})")


def _query(path: str, kind: str = "") -> str:
    return f"var(txn.payload),json_query({argument(path)}{f',{kind}' if kind else ''})"


def _signature(keys: "tuple[VerificationKey, ...]", options: EngineOptions) -> Iterator[str]:
    yield because(Reason.TOKEN_MALFORMED, f"{_WHOLE} !{matches('var(txn.token)', 'reg', FORM)}")
    path = options.path(names.KEYS)
    yield rule(f"set-var(txn.key) {word(f'var(txn.token),field(1,.),map({path})')}", f"{_WHOLE}")
    yield because(Reason.TOKEN_KEY_UNKNOWN, f"!{found('txn.key')}")
    yield rule("set-var(txn.key_ends) var(txn.key),field(2,:)")
    yield because(Reason.TOKEN_KEY_RETIRED, "!{ var(txn.key_ends),sub(txn.now) -m int gt 0 }")
    for key in keys:
        # The algorithm is ours, never the token's: its header is one of the two or three that we know.
        check = f"var(txn.token),jwt_verify(ES256,{options.path(names.key_file(key.kid))})"
        yield rule(
            f"set-var(txn.signed) {word(check)}",
            f"{_WHOLE} {matches('var(txn.key),field(1,:)', 'str', key.kid)}",
        )
    yield because(Reason.TOKEN_SIGNATURE, f"{_WHOLE} !{{ var(txn.signed) -m int eq 1 }}")


def _claims(expected: TokenExpectation, options: EngineOptions) -> Iterator[str]:
    payload = options.path(names.PAYLOAD)
    malformed = Reason.TOKEN_MALFORMED
    yield because(malformed, f"{_WHOLE} !{{ var(txn.payload) -m reg -f {word(payload)} }}")
    # Each is where it belongs, and not in an object that nobody knows.
    for path in ("$.sub", "$.jti", "$.sid", "$.epo", "$.lvl", "$.app.id", "$.cnf.jwk.x"):
        yield because(malformed, f"{_WHOLE} !{{ {word(_query(path))} -m found }}")
    for name in ("iat", "exp", "nbf"):
        yield rule(f"set-var(txn.{name}) {word(_query(f'$.{name}', argument('int')))}", f"{_WHOLE}")
    # Negative numbers in a pattern don't compare; so each side is made one that is at least 0.
    yield rule("set-var(txn.life) var(txn.exp),sub(txn.iat)")
    yield because(malformed, f"!{{ var(txn.life) -m int 1:{MAX_LIFETIME_SECONDS} }}")
    for name in ("iat", "exp"):
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
    that.  A token that is laid out otherwise than ours are is verified each time.
    """
    yield rule(f"set-var(txn.until) var(txn.now),add({VERDICT_SECONDS})", _WHOLE)
    for name in ("ends", "key_ends"):
        yield rule(
            f"set-var(txn.until) var(txn.{name})",
            f"{_WHOLE} {{ var(txn.{name}),sub(txn.until) -m int lt 0 }}",
        )
    laid_out = f"{_WHOLE} {matches('var(txn.payload)', 'reg', f'^{_LAYOUT}')}"
    first = argument(chr(92) + "1")
    head = f"var(txn.payload),regsub({argument(f'(?s)^({_LAYOUT}).*$')},{first}),length"
    yield rule(f"set-var(txn.size) {word(head)}", laid_out)
    fresh = f"{_WHOLE} {found('txn.size')}"
    yield rule("set-var(txn.cut) var(txn.size),add(2),div(3),mul(4)", fresh)
    yield rule(f"track-sc0 var(txn.id) table {names.VERDICTS}", fresh)
    # The end last: whoever sees it sees the rest.
    for at, name in ((1, "cut"), (2, "size"), (0, "until")):
        yield rule(f"sc-set-gpt({at},0) var(txn.{name})", fresh)


def standing_rules(options: EngineOptions, minimums: "list[str]") -> Iterator[str]:
    """Yield the rules on level and version.

    :param minimums: number of a row and an app, with a colon between, where a lowest version is set.
    """
    enough = [
        f"{needed.rank}:{got.value}" for needed in Level for got in Level if got.satisfies(needed)
    ]
    asked = "var(txn.row),field(3,:),concat(:,txn.level)"
    yield because(Reason.GATE_LEVEL, f"{_WHOLE} !{matches(asked, 'str', *enough)}")
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
