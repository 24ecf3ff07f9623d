r"""Write the rules that check a token: what :mod:`watchword.tokens.service` checks, in its order.

The signature is verified once in :data:`VERDICT_SECONDS`; what is remembered is keyed by a digest of the whole
token and of the generation, so that nothing outlives a push, and ends with the token and with its key.

**What is kept** of verified tokens isn't read again from each request.  HAProxy's tables hold numbers alone.  A table of Lua, one in each thread, holds the claims that rules and API need
and the key of the session, filed as the verdict is: by the digest of the generation and the whole token.  It says
nothing on whether a token is good: it is asked where the table of verdicts said so.  A thread that lacks a record
reads the token once.  Only a verified token's is kept, so that nobody fills it with tokens that he made up.

A record is the second in which the session's secret ends, ten digits, a colon, and its key, 44 characters; then
level, app, subject, whom requests are counted by, when it was issued, and session with a quote between, which none of
them can hold.

**The form of the claims** is one regular expression of PCRE2.  HAProxy reads a member of a JSON object by its path and takes the first that it finds; it checks neither that
the text is JSON nor that a name is there once.  So the text is matched as a whole before any member is read:
JSON by its grammar (RFC 8259) and within the bounds of :mod:`watchword.encoding.strict_json`, without escapes
in names, each name of ours once, and each claim of the type and size that
:func:`watchword.tokens.service.claims_from_json` asks for.  What looks like a member inside of a
string has a backslash in front of a quote, so that it isn't taken for one.
"""

from collections.abc import Iterator
from typing import Final

from watchword.encoding.strict_json import MAX_DEPTH, MAX_DIGITS
from watchword.engines.haproxy import revocations, text
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import WHOLE, argument, found, matches, rule, word
from watchword.engines.interface import EngineOptions
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens.interface import (
    MAX_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
    TokenExpectation,
)
from watchword.tokens.service import MAX_NAME_CHARACTERS, MAX_TIME
from watchword.vocabulary import Environment, Level

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
    state = options.path(text.STATE)
    yield rule(f"set-var(txn.generation) str({text.GENERATION}),map({state})")
    yield rule("set-var(txn.id) var(txn.generation),concat(:,txn.token),sha2(256)")


KNOWN: Final = (
    f"{{ var(txn.id),table_gpt(0,{text.VERDICTS}),sub(txn.now) -m int 1:{VERDICT_SECONDS} }}"
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

    :param known: whether the token was verified before; what is kept of it was looked for then.
    :param whole: whether claims behind the level are read too.
    """
    absent = f"!{THERE}" if known else WHOLE
    if not known:
        yield because(Reason.TOKEN_MISSING, f"!{found('txn.token')}")
        yield from _signature(keys, options)
    yield rule(f"set-var(txn.payload) {PAYLOAD}", absent)
    if not known:
        yield from _claims(expected, options)
    for name, claim in (("sub", "sub"), ("app", "id"), ("level", "lvl")):
        # A subject is written into the log, where a line break would end the line.
        yield rule(f"set-var(txn.{name}) {text_of(claim)}", absent)
    if known:
        yield rule(f"set-var(txn.iat) {word(_query('$.iat', argument('int')))}", absent)
    # By the device, where the token names it: instances of one device share its rate.
    yield rule("set-var(txn.counted) var(txn.sub)", absent)
    named = matches("var(txn.payload)", "reg", r'"dev"[ \t\r\n]*:')
    yield rule(f"set-var(txn.counted) {text_of('dev')}", f"{absent} {named}")
    if not known:
        yield from _remembering()
    yield from keep(absent)
    if whole:
        yield from _session(f"!{KEYED}" if known else WHOLE)
    yield from revocations.look(options)
    # Without these two nobody knows whether it is revoked, or cut.
    for name in (revocations.DIGEST, "txn.iat"):
        yield because(Reason.GATE_STATE_UNAVAILABLE, f"{WHOLE} !{found(name)}")
    yield because(Reason.TOKEN_INSTANCE_REVOKED, revocations.REVOKED)
    yield from revocations.look_for_cuts(options)
    yield because(Reason.TOKEN_EXPIRED, revocations.CUT)


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
    """Return the expression for the text of a claim, once :data:`PAYLOAD_FORM` matched.

    No name of ours is there twice then, at whatever depth, so that it needn't be looked for by its path: that
    takes a tenth of the time.
    """
    whole = rf'(?s)^.*?"{name}"[ \t\r\n]*:[ \t\r\n]*"([^"]*)".*$'
    return word(f"var(txn.payload),regsub({argument(whole)},{argument(chr(92) + '1')})")


def _query(path: str, kind: str = "") -> str:
    return f"var(txn.payload),json_query({argument(path)}{f',{kind}' if kind else ''})"


def _signature(keys: "tuple[VerificationKey, ...]", options: EngineOptions) -> Iterator[str]:
    yield because(Reason.TOKEN_MALFORMED, f"{WHOLE} !{matches('var(txn.token)', 'reg', FORM)}")
    path = options.path(text.KEYS)
    yield rule(f"set-var(txn.key) {word(f'var(txn.token),field(1,.),map({path})')}", f"{WHOLE}")
    yield because(Reason.TOKEN_KEY_UNKNOWN, f"!{found('txn.key')}")
    yield rule("set-var(txn.key_ends) var(txn.key),field(2,:)")
    yield because(Reason.TOKEN_KEY_RETIRED, "!{ var(txn.key_ends),sub(txn.now) -m int gt 0 }")
    for key in keys:
        # The algorithm is ours, never the token's: its header is one of the two or three that we know.
        check = f"var(txn.token),jwt_verify(ES256,{options.path(text.key_file(key.kid))})"
        yield rule(
            f"set-var(txn.signed) {word(check)}",
            f"{WHOLE} {matches('var(txn.key),field(1,:)', 'str', key.kid)}",
        )
    yield because(Reason.TOKEN_SIGNATURE, f"{WHOLE} !{{ var(txn.signed) -m int eq 1 }}")


def _claims(expected: TokenExpectation, options: EngineOptions) -> Iterator[str]:
    payload = options.path(text.PAYLOAD)
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
    yield rule(f"track-sc0 var(txn.id) table {text.VERDICTS}", WHOLE)
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
    return f"{{ var(txn.row_app),concat(:,txn.version) -m reg -f {word(options.path(text.VERSIONS))} }}"


def results(condition: str) -> Iterator[str]:
    """Yield the rules that tell the API who is there."""
    for header, name in zip(RESULT_HEADERS, ("sub", "level", "app"), strict=True):
        yield rule(f"set-header {header.decode()} %[var(txn.{name})]", condition)


_MOST_KEPT: Final = 32_768
"""Records of a thread before the older ones go; as many again are kept of those."""

_SECOND: Final = 10
_KEY: Final = 44
_NONE: Final = "0" * _SECOND + ":" + "-" * _KEY
_CLAIMS_AT: Final = len(_NONE)
_FILED: Final = "var(txn.id),hex"
"""What is filed: Lua is given text, which ends with the first byte of 0, and a digest may hold one anywhere."""

_QUOTE: Final = argument('"')

THERE: Final = found("txn.record")
"""A condition: a record was found."""

KEYED: Final = found("txn.session_key")
"""A condition: the session's key and id are those of the record, and its secret hasn't ended."""


def recalled(*, session: bool) -> Iterator[str]:
    """Yield the rules that read the claims of a token that was verified before, where a record is there.

    :param session: whether the session's key and id are read too.
    """
    yield rule(f"set-var(txn.record) {_FILED},lua.watchword_recall")
    for at, name in enumerate(("level", "app", "sub", "counted", "iat"), 1):
        yield rule(f"set-var(txn.{name}) {_claim(at)}")
    if session:
        lives = "{ var(txn.record),field(1,:),sub(txn.now) -m int gt 0 }"
        yield rule(f"set-var(txn.session_key) var(txn.record),bytes({_SECOND + 1},{_KEY})", lives)
        yield rule(f"set-var(txn.sid) {_claim(6)}")


def _claim(at: int) -> str:
    return word(f"var(txn.record),bytes({_CLAIMS_AT}),field({at},{_QUOTE})")


def keep(condition: str) -> Iterator[str]:
    """Yield the rules that keep the claims of a token without a session's key."""
    yield from _keep(_NONE, "", condition)


def keep_session(condition: str) -> Iterator[str]:
    """Yield the rules that keep the claims with the session's key, and when its secret ends."""
    yield from _keep(
        "%[var(txn.secret_ends)]:%[var(txn.session_key)]", "%[var(txn.sid)]", condition
    )


def _keep(before: str, behind: str, condition: str) -> Iterator[str]:
    claims = (
        '%[var(txn.level)]"%[var(txn.app)]"%[var(txn.sub)]"%[var(txn.counted)]"%[var(txn.iat)]"'
    )
    # Not under the name by which a record is known: the condition may be that there is none.
    yield rule(f"set-var-fmt(txn.noted) {word(before + claims + behind)}", condition)
    kept = f"{_FILED},concat(,txn.noted),lua.watchword_keep"
    yield rule(f"set-var(txn.kept) {kept}", condition)


SCRIPT: Final = f"""-- Keeps what was read of verified tokens: each thread for itself, and no more than so many.
local young, old, count = {{}}, {{}}, 0

core.register_converters("watchword_recall", function(id)
  local found = young[id] or old[id]
  if found then return found end
end)

-- The first 64 signs are what it is filed under.
core.register_converters("watchword_keep", function(told)
  if #told < 64 then return end
  local id = told:sub(1, 64)
  -- One without a key has nothing to tell where another one is.
  if told:byte(65) == 48 and (young[id] or old[id]) then return end
  if count >= {_MOST_KEPT} then young, old, count = {{}}, young, 0 end
  if young[id] == nil then count = count + 1 end
  young[id] = told:sub(65)
end)
"""


_W: Final = r"[ \t\r\n]*+"
_NEXT: Final = r"[\x80-\xbf]"
_UTF_8: Final = (
    # RFC 3629 section 4; expressions are matched byte by byte.
    rf"[\xc2-\xdf]{_NEXT}|\xe0[\xa0-\xbf]{_NEXT}|[\xe1-\xec\xee\xef]{_NEXT}{{2}}|\xed[\x80-\x9f]{_NEXT}"
    rf"|\xf0[\x90-\xbf]{_NEXT}{{2}}|[\xf1-\xf3]{_NEXT}{{3}}|\xf4[\x80-\x8f]{_NEXT}{{2}}"
)
_NAME: Final = rf'"(?:[^"\\\x00-\x1f\x80-\xff]|{_UTF_8})*+"'
_ESCAPE: Final = r'\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9A-Fa-f]{4}|u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})'
_STRING: Final = rf'"(?:[^"\\\x00-\x1f\x80-\xff]|{_UTF_8}|{_ESCAPE})*+"'
_MORE_DIGITS: Final = MAX_DIGITS - 1
# With an exponent of two digits, no number is beyond what a float holds.
_NUMBER: Final = rf"-?+(?:0|[1-9][0-9]{{0,{_MORE_DIGITS}}}+)(?![0-9])(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]{{1,2}}+(?![0-9]))?+"
_SCALAR: Final = f"(?:{_STRING}|{_NUMBER}|true|false|null)"


def _nested(inner: str) -> str:
    """Return the expression for an object or a list of what ``inner`` matches, or for that itself."""
    member = f"{_NAME}{_W}:{_W}{inner}{_W}"
    return (
        rf"(?:{inner}|\{{{_W}(?:{member}(?:,{_W}{member})*+)?+\}}"
        rf"|\[{_W}(?:{inner}{_W}(?:,{_W}{inner}{_W})*+)?+\])"
    )


# The outermost object is one level.
_DEPTHS: Final = MAX_DEPTH - 1
_VALUES: Final = f"(?<v0>{_SCALAR})" + "".join(
    f"(?<v{depth}>{_nested(f'(?&v{depth - 1})')})" for depth in range(1, _DEPTHS + 1)
)
_MEMBER: Final = f"{_NAME}{_W}:{_W}(?&v{_DEPTHS}){_W}"
_NAMES: Final = (
    *("iss", "aud", "sub", "iat", "exp", "nbf", "jti", "env", "app", "id", "ver", "lvl"),
    *("cnf", "jwk", "kty", "crv", "x", "y", "sid", "epo", "bnd", "dev"),
)
# Where there is an escape, what is behind it isn't counted.
_TEXT: Final = rf'"(?:[^"\\]{{1,{MAX_NAME_CHARACTERS}}}+"|[^"\\]{{0,{MAX_NAME_CHARACTERS}}}+\\)'
SAFE: Final = rf"(?!#)[!#-\[\]-~]{{1,{MAX_NAME_CHARACTERS}}}+"
"""Matches the subjects that a token may have here: no others are looked for in the list of revoked ones."""

_SAFE: Final = f'"{SAFE}"'
_WHOLE: Final = rf"(?:0|[1-9][0-9]{{0,12}}+){_W}[,}}]"
_COORDINATE: Final = '"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"'


def _has(name: str, value: str) -> str:
    return f'(?=.*?"{name}"{_W}:{_W}{value})'


def _may_have(name: str, value: str) -> str:
    return f'(?!.*?"{name}"{_W}:{_W}(?!{value}))'


def _one_of(values: "list[str]") -> str:
    return f'"(?:{"|".join(values)})"'


_JWK: Final = (
    rf'\{{(?:{_W}"(?:kty"{_W}:{_W}"EC"|crv"{_W}:{_W}"P-256"|[xy]"{_W}:{_W}{_COORDINATE}){_W}'
    rf"(?:,|(?=\}}))){{4}}\}}"
)

PAYLOAD_FORM: Final = "".join(
    (
        f"(?s)^(?(DEFINE){_VALUES})",
        rf'(?!.*?"(?<n>{"|".join(_NAMES)})"{_W}:.*?"\k<n>"{_W}:)',
        *(_has(name, _TEXT) for name in ("iss", "aud", "jti", "sid")),
        *(_has(name, _SAFE) for name in ("sub", "id")),
        *(_has(name, _WHOLE) for name in ("iat", "exp", "epo")),
        _has("env", _one_of([each.value for each in Environment])),
        _has("lvl", _one_of([each.value for each in Level])),
        _has("jwk", _JWK),
        *(_may_have(name, _TEXT) for name in ("ver", "bnd")),
        _may_have("dev", _SAFE),
        _may_have("nbf", _WHOLE),
        rf"{_W}\{{{_W}{_MEMBER}(?:,{_W}{_MEMBER})*+\}}{_W}$",
    )
)
"""Matches the payload of a token whose claims can be read by their paths."""
