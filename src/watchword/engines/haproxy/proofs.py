"""Write the rules that verify a session proof: what :mod:`watchword.tokens.proofs.session` checks, in its order.

``K`` and the signature are one HMAC each, made by HAProxy itself.
"""

import base64
from collections.abc import Iterator
from typing import Final

from watchword.encoding import length_prefixed
from watchword.engines.haproxy import text, tokens
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import WHOLE, argument, found, matches, rule, word
from watchword.engines.haproxy.tokens import PAYLOAD, SESSION_SIZES, epoch
from watchword.engines.interface import EngineOptions
from watchword.gate.interface import TOKEN_HEADER
from watchword.reasons import Reason
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.proofs.interface import (
    BODY_COMPONENT,
    COMPONENTS,
    LABEL,
    MAX_INPUT_BYTES,
    MAX_NONCE_CHARACTERS,
    MIN_NONCE_CHARACTERS,
    PROOF_LIFE_SECONDS,
    SESSION_ALGORITHM,
)
from watchword.tokens.proofs.session import KEY_LABEL

BODY_PATIENCE_SECONDS: Final = 10
START_SECONDS: Final = 2
"""Seconds that pass at most between a process' reading of the clock at its start, and the last request that the one
before it judged."""

_SKEW_SECONDS: Final = 2
"""By how much the date may leave HAProxy's steady clock behind before it counts as set."""

KEPT_BEYOND_SECONDS: Final = 2 * _SKEW_SECONDS + 2
"""How much longer than its life a used proof is kept: as long as a date that was set unseen can make it live."""

_BODY: Final = "{ var(txn.body) -m found }"
_NONCE: Final = f"[A-Za-z0-9_-]{{{MIN_NONCE_CHARACTERS},{MAX_NONCE_CHARACTERS}}}"
_KEY_ID: Final = r"[!#-\[\]-~]{1,128}"
_DIGEST: Final = r"^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$"
_SIGNATURE: Final = f"^{LABEL.decode()}=:[A-Za-z0-9+/]{{42}}[AEIMQUYcgkosw048]=:$"
_QUOTE: Final = argument('"')
_CREATED_AT: Final = len(LABEL + b"=(" + COMPONENTS + b");created=")
_SECONDS_CHARACTERS: Final = 10
_NONCE_AT: Final = _CREATED_AT + _SECONDS_CHARACTERS + len(';nonce="')
_PARAMETERS_AT: Final = len(LABEL) + 1
_SIGNED: Final = (
    """,concat('\n"@signature-params": ',txn.parameters),hmac(sha256,txn.session_key),base64"""
)
_RIGHT: Final = f"str('{LABEL.decode()}=:'),concat(,txn.mac,':'),secure_memcmp(txn.signature)"
_THUMBPRINT_CHARACTERS: Final = 43


def sizes() -> str:
    """Return the map from the size of a session's id to the four bytes that stand for it, in base64."""
    encoded = (base64.b64encode(size.to_bytes(4, "big")).decode() for size in SESSION_SIZES)
    return "".join(f"{size} {text}\n" for size, text in zip(SESSION_SIZES, encoded, strict=True))


def constants(expected: TokenExpectation) -> "dict[str, bytes]":
    """Return by name the fixed parts of what a session's key is made of.

    They hold bytes of 0, which no text of a configuration can.
    """
    head = KEY_LABEL + length_prefixed.join(expected.issuer.encode(), expected.audience.encode())
    return {
        "key_head": head,
        "key_middle": _THUMBPRINT_CHARACTERS.to_bytes(4, "big"),
        "key_end": b"\x01",
    }


def _input(components: bytes) -> str:
    """Return the expression for the one form of ``Signature-Input`` that covers these components."""
    fixed = (LABEL + b"=(" + components + b")").decode()
    fixed = fixed.replace("(", r"\(").replace(")", r"\)")
    return (
        rf'^{fixed};created=[0-9]{{10}};nonce="{_NONCE}"'
        rf';alg="{SESSION_ALGORITHM}";keyid="{_KEY_ID}"$'
    )


def proof_rules(
    expected: TokenExpectation, options: EngineOptions, *, known: bool, taken: bool
) -> Iterator[str]:
    """Yield the rules; afterwards ``txn.reason`` is set, or the request was made by the token's session.

    :param known: whether the session's key may be there already.
    :param taken: whether :func:`fields` were yielded before, and the fields are gone.
    """
    yield from _key(options, f"!{tokens.KEYED}" if known else WHOLE)
    if not taken:
        yield from fields()
    yield from _form()
    yield from _time(expected.leeway)
    yield from _mac()


def _key(options: EngineOptions, condition: str) -> Iterator[str]:
    """Yield the rules on the epoch's secret, and those that make the session's key."""
    secrets = options.path(text.SECRETS)
    yield rule(f"set-var(txn.held) var(txn.epoch),map({secrets})", condition)
    yield rule("set-var(txn.secret_ends) var(txn.held),field(1,:)", condition)
    lives = "{ var(txn.secret_ends),sub(txn.now) -m int gt 0 }"
    yield because(Reason.PROOF_EPOCH, f"{condition} !{lives}")
    # RFC 7638 section 3: the members that make the key, in this order, without white space.
    thumbprint = """str('{"crv":"P-256","kty":"EC",'),concat(,txn.xy),sha2(256),ub64enc"""
    yield rule(f"set-var(txn.jkt) {word(thumbprint)}", condition)
    size = f"var(txn.sid),length,map({options.path(text.SIZES)}),b64dec"
    parts = ("var(proc.key_head)", size, "var(txn.sid)", "var(proc.key_middle)", "var(txn.jkt)")
    joined = "".join(f"%[{part}]" for part in (*parts, "var(proc.key_end)"))
    yield rule(f"set-var-fmt(txn.of_key) {word('%{+bin}o' + joined)}", condition)
    yield rule("set-var(txn.secret) var(txn.held),field(2,:)", condition)
    yield rule("unset-var(txn.held)")
    made = f"{found('txn.secret')} {condition}"
    yield rule("set-var(txn.session_key) var(txn.of_key),hmac(sha256,txn.secret),base64", made)
    # A session's id of another form has no key, whatever came out; and a record without one would be shorter.
    yield from tokens.keep_session(f"{found('txn.secret')} {tokens.KEYED} {lives} {WHOLE}")
    yield rule("unset-var(txn.secret)")


def fields() -> Iterator[str]:
    """Yield the rules that take the proof's fields."""
    yield rule("set-var(txn.input) req.fhdr(signature-input)")
    yield rule("set-var(txn.signature) req.fhdr(signature)")


def _form() -> Iterator[str]:
    """Yield the rules on what is there, and on its one form."""
    yield rule(
        "set-var(txn.body) int(1)",
        "{ req.fhdr(transfer-encoding) -m found } or { req.fhdr(content-length) -m int gt 0 }",
    )
    yield rule("set-var(txn.digest) req.fhdr(content-digest)", _BODY)
    digested = matches("var(txn.digest)", "reg", _DIGEST)
    alone = f"{found('txn.signature')} !{{ req.fhdr(dpop) -m found }}"
    yield rule(
        "set-var(txn.formed) int(1)",
        f"!{_BODY} {matches('var(txn.input)', 'reg', _input(COMPONENTS))} {alone}",
    )
    covered = _input(COMPONENTS + BODY_COMPONENT)
    yield rule(
        "set-var(txn.formed) int(1)",
        f"{_BODY} {digested} {matches('var(txn.input)', 'reg', covered)} {alone}",
    )
    odd = f"!{found('txn.formed')}"
    yield because(Reason.PROOF_MISSING, f"{odd} !{found('txn.input')} !{found('txn.signature')}")
    yield because(Reason.PROOF_AMBIGUOUS, f"{odd} {{ req.fhdr(dpop) -m found }}")
    yield because(Reason.PROOF_MALFORMED, f"{odd} !{found('txn.input')}")
    yield because(Reason.PROOF_MALFORMED, f"{odd} !{found('txn.signature')}")
    yield because(Reason.PROOF_DIGEST, f"{odd} {_BODY} !{digested}")
    # What follows finds words for the log; whatever isn't formed is refused.
    comma = r'^(?:[^",]|"[^"]*")*,'
    loose = rf'^{LABEL.decode()}=\([^()]*\);created=[0-9]{{10}};nonce="{_NONCE}";alg="%s";keyid="{_KEY_ID}"$'
    small = f"{{ var(txn.input),length le {MAX_INPUT_BYTES} }}"
    yield because(Reason.PROOF_AMBIGUOUS, f"{odd} {matches('var(txn.input)', 'reg', comma)}")
    yield because(
        Reason.PROOF_COMPONENTS,
        f"{odd} {small} {matches('var(txn.input)', 'reg', loose % SESSION_ALGORITHM)}",
    )
    any_other = r"[!#-\[\]-~]{1,64}"
    yield because(
        Reason.PROOF_ALGORITHM,
        f"{odd} {small} {matches('var(txn.input)', 'reg', loose % any_other)}",
    )
    yield because(Reason.PROOF_MALFORMED, odd)
    # Whatever a body adds stands in front of the time.
    for at, body in ((_CREATED_AT, f"!{_BODY}"), (_CREATED_AT + len(BODY_COMPONENT), _BODY)):
        yield rule(f"set-var(txn.behind) var(txn.input),bytes({at})", f"{WHOLE} {body}")
    yield rule("set-var(txn.created) var(txn.behind),bytes(0,10)", WHOLE)
    for name, place in (("nonce", 2), ("keyid", 6)):
        reading = word(f"var(txn.behind),field({place},{_QUOTE})")
        yield rule(f"set-var(txn.{name}) {reading}", WHOLE)
    yield because(Reason.PROOF_KEY, "!{ var(txn.keyid),strcmp(txn.sid) eq 0 }")


def _time(leeway: int) -> Iterator[str]:
    """Yield the rules on when a proof was made.

    Written so that what is compared is never below 0 where the rule holds: a pattern of -1 and less holds for
    every number.
    """
    early = f"var(txn.now),add({leeway}),sub(txn.created)"
    yield because(Reason.PROOF_EARLY, f"!{{ {early} -m int ge 0 }}")
    late = f"var(txn.created),add({PROOF_LIFE_SECONDS + leeway}),sub(txn.now)"
    yield because(Reason.PROOF_EXPIRED, f"!{{ {late} -m int gt 0 }}")


def _mac() -> Iterator[str]:
    """Yield the rules that make the signature by the session's key, and compare it."""
    yield rule("set-var(txn.authority) req.fhdr(host),lower", WHOLE)
    yield rule("set-var(txn.query) query", WHOLE)
    parameters = f"var(txn.input),bytes({_PARAMETERS_AT})"
    yield rule(f"set-var(txn.parameters) {word(parameters)}", WHOLE)
    digest = """,concat('\n"content-digest": ',txn.digest)"""
    yield rule(f"set-var(txn.mac) {word(_base() + _SIGNED)}", f"{WHOLE} !{_BODY}")
    yield rule(f"set-var(txn.mac) {word(_base() + digest + _SIGNED)}", f"{WHOLE} {_BODY}")
    yield rule(f"set-var(txn.right) {word(_RIGHT)}", WHOLE)
    # Without one, what is compared with would be an empty one.
    yield because(Reason.PROOF_SIGNATURE, f"{WHOLE} !{found('txn.mac')}")
    wrong = "!{ var(txn.right) -m bool }"
    formed = matches("var(txn.signature)", "reg", _SIGNATURE)
    yield because(Reason.PROOF_MALFORMED, f"{wrong} {WHOLE} !{formed}")
    yield because(Reason.PROOF_SIGNATURE, wrong)
    # Nothing behind sees a key, or the signature that would have been right.
    for name in ("session_key", "record", "noted", "mac"):
        yield rule(f"unset-var(txn.{name})")


def _base() -> str:
    """Return the expression for the lines in front of the digest's (RFC 9421 section 2.5)."""
    return (
        f"""str('"{TOKEN_HEADER.decode()}": '),concat(,txn.token,'\n"@method": ')"""
        """,concat(,txn.method,'\n"@authority": '),concat(,txn.authority,'\n"@path": ')"""
        """,concat(,txn.path,'\n"@query": ?'),concat(,txn.query)"""
    )


_SKEW: Final = rule("set-var(txn.skew) date,lua.watchword_skew")
# Of right proofs alone: whoever could date one at will would have all others refused.  Added to, it is a number.
_NEWEST: Final = rule("set-var(proc.newest,iflt) var(txn.created),add(0)", "{ sc1_tracked }")
_YOUNG: Final = "{ var(txn.created),sub(proc.horizon) -m int gt 0 }"


def clock_rules() -> Iterator[str]:
    """Yield the rules that refuse what a clock that was set back would make young again.

    The table forgets by a steady clock, and the date says how old a proof is.  How far both are apart is found with the
    first proof.  Where the date was set back, whatever was
    made no later than the newest proof that was ever taken may have been forgotten: it is refused for good.
    """
    yield _SKEW
    back = f"{{ var(proc.skew),sub(txn.skew) -m int gt {_SKEW_SECONDS} }}"
    # In this order: whoever finds the skew of now finds the horizon too.
    yield rule("set-var(proc.horizon,iflt) var(proc.newest)", back)
    ahead = f"{{ var(txn.skew),sub(proc.skew) -m int gt {_SKEW_SECONDS} }}"
    for condition in (back, ahead):
        yield rule("set-var(proc.skew) var(txn.skew)", condition)
    yield because(Reason.PROOF_REPLAYED, f"{WHOLE} !{_YOUNG}")


def quick_rules(expected: TokenExpectation, options: EngineOptions, sound: str) -> Iterator[str]:
    """Yield the rules that count a right proof up: of a request without a body, where the session's key is there.

    They ask what :func:`proof_rules` and :func:`claim_rules` ask.  The fields are gone afterwards.
    """
    yield from fields()
    yield "http-request del-header signature"
    yield "http-request del-header signature-input"
    yield rule(f"set-var(txn.created) var(txn.input),bytes({_CREATED_AT},{_SECONDS_CHARACTERS})")
    yield rule(f"set-var(txn.named) var(txn.input),bytes({_NONCE_AT})")
    yield rule(f"set-var(txn.nonce) {word(f'var(txn.named),field(1,{_QUOTE})')}")
    yield rule("set-var(txn.authority) req.fhdr(host),lower")
    yield rule("set-var(txn.query) query")
    yield rule(f"set-var(txn.parameters) var(txn.input),bytes({_PARAMETERS_AT})")
    yield rule(f"set-var(txn.mac) {word(_base() + _SIGNED)}")
    # Whatever stands behind the nonce is what the session's own proofs have there.
    behind = f"""var(txn.nonce),concat('";alg="{SESSION_ALGORITHM}";keyid="',txn.sid,'"')"""
    life = PROOF_LIFE_SECONDS + 2 * expected.leeway - 1
    holds = (
        sound,
        found("txn.mac"),
        "!{ req.fhdr(content-length) -m int gt 0 }",
        matches("var(txn.input)", "reg", _input(COMPONENTS)),
        f"{{ {word(f'{behind},strcmp(txn.named)')} eq 0 }}",
        # Made neither too early nor too long ago; a number below 0 is in no range that begins with it.
        f"{{ var(txn.now),add({expected.leeway}),sub(txn.created) -m int 0:{life} }}",
        f"{{ {word(_RIGHT)} -m bool }}",
        f"{{ str({text.PROOFS}),map({options.path(text.STATE)}) -m str {text.READY} }}",
        found("txn.steady"),
    )
    yield _SKEW
    # The clock wasn't set, and nothing that was made later was forgotten.
    # Added to, since no pattern may begin below zero.
    drift = f"var(txn.skew),sub(proc.skew),add({_SKEW_SECONDS})"
    still = f"{{ {drift} -m int 0:{2 * _SKEW_SECONDS} }}"
    yield rule("set-var(txn.steady) int(1)", f"{still} {_YOUNG}")
    used = "track-sc1 var(txn.sid),concat(.,txn.nonce),sha2(256)"
    yield rule(f"{used} table {text.USED}", " ".join(holds))
    yield _NEWEST


FIRST: Final = "{ sc1_tracked } { sc_inc_gpc0(1) eq 1 }"
"""A condition: the proof was right, and of all who count it up, this request is the first."""


def body_rules(options: EngineOptions) -> Iterator[str]:
    """Yield the rules that wait for a body and compare it with the digest that the proof covers."""
    announced = f"{WHOLE} {_BODY}"
    too_large = Reason.REQUEST_BODY_TOO_LARGE
    yield rule("set-var(txn.most) var(txn.row),field(5,:)", announced)
    yield rule("set-var(txn.size) req.fhdr(content-length)", announced)
    yield because(too_large, f"{announced} !{{ var(txn.most),sub(txn.size) -m int ge 0 }}")
    yield f"http-request wait-for-body time {BODY_PATIENCE_SECONDS}s if {announced}"
    yield because(Reason.PROOF_BODY, f"{announced} !{{ req.body_len,sub(txn.size) -m int eq 0 }}")
    digest = "req.body,sha2(256),base64"
    yield rule(f"set-var(txn.of_body) {word(digest)}", announced)
    right = "str('sha-256=:'),concat(,txn.of_body,':'),secure_memcmp(txn.digest)"
    yield because(Reason.PROOF_BODY, f"{announced} !{{ {word(right)} -m bool }}")
    # A body may take its time: what ended meanwhile lets nobody in.
    yield rule(f"set-var(txn.payload,ifnotexists) {PAYLOAD}", announced)
    yield epoch(announced)
    yield rule("set-var(txn.now) date", announced)
    keys, secrets = options.path(text.KEYS), options.path(text.SECRETS)
    yield because(
        Reason.TOKEN_KEY_RETIRED,
        f"{announced} !{{ var(txn.token),field(1,.),map({keys}),field(2,:),sub(txn.now) -m int gt 0 }}",
    )
    yield because(
        Reason.TOKEN_INSTANCE_REVOKED,
        f"{announced} {{ var(txn.sub),map({options.path(text.REVOKED)}) -m found }}",
    )
    yield because(
        Reason.PROOF_EPOCH,
        f"{announced} !{{ var(txn.epoch),map({secrets}),field(1,:),sub(txn.now) -m int gt 0 }}",
    )


def claim_rules(leeway: int, options: EngineOptions) -> Iterator[str]:
    """Yield the rules that let each proof pass once."""
    state = options.path(text.STATE)
    # A process that ends has handed its table on: what it claimed now, nobody would know.
    yield because(Reason.GATE_REPLAY_UNAVAILABLE, f"{WHOLE} {{ stopping }}")
    know = f"set-var(txn.proofs) str({text.PROOFS}),map({state})"
    yield rule(know, WHOLE)
    syncing = f"{WHOLE} {{ var(txn.proofs) -m str {text.SYNCING} }}"
    yield rule("lua.watchword_wait", syncing)
    yield rule(know, syncing)
    yield rule("set-var(txn.now) date", WHOLE)
    late = f"var(txn.created),add({PROOF_LIFE_SECONDS + leeway}),sub(txn.now)"
    yield because(Reason.PROOF_EXPIRED, f"{WHOLE} !{{ {late} -m int gt 0 }}")
    cold = f"{WHOLE} {{ var(txn.proofs) -m str {text.COLD} }}"
    yield because(
        Reason.PROOF_REPLAYED, f"{cold} !{{ var(txn.created),sub(proc.started) -m int gt 0 }}"
    )
    # The process before this one took proofs whose time was still to come, by as much as clocks may differ.
    yield because(
        Reason.GATE_REPLAY_UNAVAILABLE,
        f"{cold} !{{ var(txn.created),sub(proc.started) -m int gt {START_SECONDS + leeway} }}",
    )
    yield because(
        Reason.GATE_REPLAY_UNAVAILABLE,
        f"{WHOLE} !{{ var(txn.proofs) -m str {text.READY} {text.COLD} }}",
    )
    yield from clock_rules()
    yield rule("set-var(txn.used) var(txn.sid),concat(.,txn.nonce),sha2(256)", WHOLE)
    yield rule(f"track-sc1 var(txn.used) table {text.USED}", WHOLE)
    yield because(Reason.GATE_REPLAY_FULL, f"{WHOLE} !{{ sc1_tracked }}")
    yield _NEWEST
    # Of all who count it up, one alone sees the first count; a table that took nothing counts 0.
    yield because(Reason.PROOF_REPLAYED, f"{WHOLE} !{{ sc_inc_gpc0(1) eq 1 }}")


WAITING: Final = f"""-- Holds a request back while the table of used proofs is handed over, which takes milliseconds.
local state = Map.new(select(1, ...), Map._str)
core.register_action("watchword_wait", {{ "http-req" }}, function(txn)
  for _ = 1, 400 do
    if state:lookup("{text.PROOFS}") ~= "{text.SYNCING}" then return end
    core.msleep(5)
  end
end, 0)

-- Says how far the date is from a clock that nobody sets, in seconds: that of the kernel, since HAProxy's own takes
-- a pause of all its threads for a clock that was set.  Read anew where time passed between both.
local uptime = io.open("/proc/uptime", "rb")
if uptime then uptime:setvbuf("no") end
local function steady()
  if not uptime then return core.now().sec end
  uptime:seek("set")
  return math.floor(tonumber(uptime:read(24):match("^%d+")))
end
core.register_converters("watchword_skew", function()
  while true do
    local before = os.time()
    local at = steady()
    local date = os.time()
    if date - before <= 1 and date >= before then return date - at end
  end
end)
"""
