"""Write the rules that check a token: what :mod:`watchword.tokens.service` checks, in its order.

The signature is verified once in :data:`VERDICT_SECONDS`; what is remembered is keyed by a digest of the whole
token and of the generation, so that nothing outlives a push, and ends with the token and with its key.
"""

from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import names, recall
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import WHOLE, argument, found, matches, rule, word
from watchword.engines.places import EngineOptions
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens.interface import (
    MAX_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
    TokenExpectation,
)
from watchword.tokens.service import MAX_TIME
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

SESSION_SIZES: Final = range(16, 65)
"""Characters of a session's id; ours have 22."""

_SESSION_ID: Final = rf"[A-Za-z0-9_-]{{{SESSION_SIZES.start},{SESSION_SIZES.stop - 1}}}"
_TOKEN: Final = TOKEN_HEADER.decode()
PAYLOAD: Final = "var(txn.token),field(2,.),ub64dec"


def look(options: EngineOptions) -> Iterator[str]:
    """Yield the rules that set ``txn.id``, under which it is remembered that a token was verified."""
    yield rule(f"set-var(txn.token) req.fhdr({_TOKEN})")
    # The generation is read before anything that belongs to it: what is found is filed under none that is newer.
    state = options.path(names.STATE)
    yield rule(f"set-var(txn.generation) str({names.GENERATION}),map({state})")
    yield rule("set-var(txn.id) var(txn.generation),concat(:,txn.token),sha2(256)")


KNOWN: Final = (
    f"{{ var(txn.id),table_gpt(0,{names.VERDICTS}),sub(txn.now) -m int 1:{VERDICT_SECONDS} }}"
)
"""A condition: the token was verified under this generation, not long ago, and hasn't ended."""


def token_rules(
    expected: TokenExpectation,
    keys: "tuple[VerificationKey, ...]",
    options: EngineOptions,
    *,
    known: bool,
    whole: bool,
) -> Iterator[str]:
    """Yield the rules; afterwards ``txn.reason`` is set, or the token's claims hold.

    :param known: whether the token was verified before; what :mod:`.recall` has of it was looked for then.
    :param whole: whether claims behind the level are read too.
    """
    absent = f"!{recall.THERE}" if known else WHOLE
    if not known:
        yield because(Reason.TOKEN_MISSING, f"!{found('txn.token')}")
        yield from _signature(keys, options)
    yield rule(f"set-var(txn.payload) {PAYLOAD}", absent)
    if not known:
        yield from _claims(expected, options)
    for name, claim in (("sub", "sub"), ("app", "id"), ("level", "lvl")):
        # A subject is written into the log, where a line break would end the line.
        yield rule(f"set-var(txn.{name}) {text_of(claim)}", absent)
    # By the device, where the token names it: instances of one device share its rate.
    yield rule("set-var(txn.counted) var(txn.sub)", absent)
    named = matches("var(txn.payload)", "reg", r'"dev"[ \t\r\n]*:')
    yield rule(f"set-var(txn.counted) {text_of('dev')}", f"{absent} {named}")
    if not known:
        yield from _remembering()
    yield from recall.keep(absent)
    if whole:
        yield from _session(f"!{recall.KEYED}" if known else WHOLE)
    yield because(
        Reason.TOKEN_INSTANCE_REVOKED,
        f"{{ var(txn.sub),map({options.path(names.REVOKED)}) -m found }}",
    )


def _session(condition: str) -> Iterator[str]:
    """Yield the rules that read what a session's key is made of."""
    yield rule(f"set-var(txn.payload,ifnotexists) {PAYLOAD}", condition)
    for name in ("x", "y", "sid"):
        yield rule(f"set-var(txn.{name}) {text_of(name)}", condition)
    key = """str('"x":"'),concat(,txn.x,'","y":"'),concat(,txn.y,'"}')"""
    yield rule(f"set-var(txn.xy) {word(key)}", condition)
    # The end alone matches in front of a last line feed too.
    form = rf"^{_SESSION_ID}$(?!\n)"
    yield because(Reason.TOKEN_MALFORMED, f"{condition} !{matches('var(txn.sid)', 'reg', form)}")
    yield epoch(condition)


def epoch(condition: str) -> str:
    """Return the rule that reads the epoch of a payload that matched: a whole number, the same text as in the map."""
    whole = argument(r'(?s)^.*?"epo"[ \t\r\n]*:[ \t\r\n]*([0-9]+).*$')
    read = f"var(txn.payload),regsub({whole},{argument(chr(92) + '1')})"
    return rule(f"set-var(txn.epoch) {word(read)}", condition)


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
    """Yield the rules that remember when a token is to be verified again: with the earliest of what ends it."""
    yield rule(f"set-var(txn.until) var(txn.now),add({VERDICT_SECONDS})", WHOLE)
    for name in ("ends", "key_ends"):
        yield rule(
            f"set-var(txn.until) var(txn.{name})",
            f"{WHOLE} {{ var(txn.{name}),sub(txn.until) -m int lt 0 }}",
        )
    yield rule(f"track-sc0 var(txn.id) table {names.VERDICTS}", WHOLE)
    yield rule("sc-set-gpt(0,0) var(txn.until)", WHOLE)


def enough() -> str:
    """Return a condition: the token's level is at least the row's."""
    pairs = [
        f"{needed.rank}:{got.value}" for needed in Level for got in Level if got.satisfies(needed)
    ]
    return matches("var(txn.row),field(3,:),concat(:,txn.level)", "str", *pairs)


def standing_rules(options: EngineOptions, minimums: "list[str]") -> Iterator[str]:
    """Yield the rules on level and version.

    :param minimums: number of a row and an app, with a colon between, where a lowest version is set.
    """
    yield because(Reason.GATE_LEVEL, f"{WHOLE} !{enough()}")
    if not minimums:
        return
    yield from version_rules(minimums)
    yield because(Reason.GATE_APP_VERSION, f"{limited(minimums)} !{new_enough(options)}")


def version_rules(minimums: "list[str]") -> Iterator[str]:
    """Yield the rules that read the version, where the row asks for a lowest one of this app."""
    yield rule("set-var(txn.row_app) var(txn.row),field(4,:),concat(:,txn.app)")
    asked = limited(minimums)
    yield rule(f"set-var(txn.payload,ifnotexists) {PAYLOAD}", asked)
    yield rule(f"set-var(txn.version) {word(_query('$.app.ver'))}", asked)


def limited(minimums: "list[str]") -> str:
    """Return a condition: of this app, the row asks for a lowest version."""
    return matches("var(txn.row_app)", "str", *minimums)


def new_enough(options: EngineOptions) -> str:
    """Return a condition: the version is at least the lowest one."""
    return f"{{ var(txn.row_app),concat(:,txn.version) -m reg -f {word(options.path(names.VERSIONS))} }}"


def results(condition: str) -> Iterator[str]:
    """Yield the rules that tell the API who is there."""
    for header, name in zip(RESULT_HEADERS, ("sub", "level", "app"), strict=True):
        yield rule(f"set-header {header.decode()} %[var(txn.{name})]", condition)
