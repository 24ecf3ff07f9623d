"""Write the rules that judge requests and count them, and the page beside the files: what each is for, and what a route asks.

**By which most requests pass.**  HAProxy has no jump over rules.  So a request of the plainest kind, with a token that was verified before, meets
these first, which let it go on to the API; whatever they don't let pass meets the rules behind them, which ask
everything again, one by one, and find the reason.  These rules take nothing for granted that those would ask.

**The rate of an instance**, as :class:`watchword.gate.limits.RateLimiter` counts it.  A bucket is the instant from which on it is full again.  Threads can count in HAProxy's tables, and can't change
a number that they read; so the instant is made of two: an instant that is written only while the bucket is
full, and how many requests passed since.  Of all who count, each sees another count: exactly as many pass as
there is room for.  Milliseconds are counted modulo 2**32, and differences are far below half of that.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.encoding import strict_json
from watchword.engines.haproxy import hygiene, proofs, revocations, text, tokens
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.plan import AMBIGUOUS, Row, lines, plan
from watchword.engines.haproxy.text import (
    WHOLE,
    constant,
    found,
    indented,
    matches,
    rule,
    unguarded,
    word,
)
from watchword.engines.haproxy.tokens import PAYLOAD_FORM, SAFE
from watchword.engines.interface import EngineFile, EngineFileKind, EngineOptions, living_keys
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import PROOF_FIELDS
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER, GatePolicy, Rate
from watchword.gate.limits import BUCKET_CAPACITY
from watchword.gate.revocations import digested
from watchword.ports import VerificationKey
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, PublicClass
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE, TokenExpectation
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS
from watchword.vocabulary import Mode, Proof


def page(policy: GatePolicy, options: EngineOptions, rows: Sequence[Row]) -> str:
    """Return the page, in Markdown."""
    lines = [
        f"# HAProxy in front of {policy.api}",
        "",
        "Written by Watchword. `watchword gate follow --engine haproxy` keeps the files and a running",
        "HAProxy up to date; changes made by hand are overwritten. Start it with:",
        "",
        f"    haproxy -W -S {options.path(text.MASTER_SOCKET)},mode,600 -f {options.path(text.CONFIG)}",
        "",
        "It logs refusals as JSON lines to its standard output. Reload it by nothing but the follower: that",
        "hands the table of used proofs on before the new process takes one.",
        "",
        "| file | what it is |",
        "| --- | --- |",
        f"| `{text.CONFIG}` | the rules, in the order in which a request meets them |",
        f"| `{text.ROUTES}` | the route table in its order: method and path, and what is asked there |",
        f"| `{text.KEYS}`, `key-*.pem` | public token keys, and when each retires |",
        f"| `{text.SECRETS}` | mode 0600: gate secrets by epoch |",
        f"| `{text.REVOKED}`, `{text.REVOKED_SINCE}` | digests of revoked instances, and their key |",
        f"| `{text.CUTS}` | which tokens don't count though they haven't ended |",
        f"| `{text.STATE}` | the generation, and whether used proofs of before are known |",
        f"| `{text.PAYLOAD}`, `{text.VERSIONS}` | the form of claims, and of versions that are high enough |",
        f"| `{text.SIZES}`, `{text.WAITING}` | for session proofs: lengths, waiting for a table, and a clock that nobody sets |",
        f"| `{text.MASTER_SOCKET}` | mode 0600: whoever can open it can change and read everything |",
        "",
        "| route | methods | mode | level | proof | asked |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        route = row.route
        methods = ", ".join(sorted(row.compiled.methods)) or "any"
        asked = "nothing; cleaned" if route.mode is Mode.OFF else "token"
        if row.proves:
            asked += f" and proof; bodies up to {row.max_body} bytes, of announced length"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {asked} |"
        )
    return "\n".join(lines) + "\n"


_NO_END: Final = 9_999_999_999
"""The last second that ten digits hold."""

_HEAD_BYTES: Final = 48 * 1024
"""Room for 16 KiB of fields, path and query of 8 KiB each, and what is added."""

_VERDICT_TABLE: Final = (
    f"stick-table type binary len 32 size 200k expire {tokens.VERDICT_SECONDS}s store gpt(1)"
)
_HOT_BYTES: Final = 16 * 1024 * 1024
_PEERS: Final = "watchword"


class _Known(Enum):
    """Say what is known of a request's token, and whether the request is read in one way at first sight."""

    NOTHING = ""
    ODDLY = "-odd"
    ORDINARY = "-known"


def generate(bundle: GateBundle, options: EngineOptions, now: float) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :param now: seconds since 1970; keys that are retired by then are left out.
    :raises UnsupportedError: on what HAProxy can't do exactly as the gate does.
    """
    rows = plan(bundle, options)
    keys = living_keys(bundle.keys, now)
    listed = digested(bundle).parts()
    files = [_file(text.SECRETS, _secrets(bundle, rows), EngineFileKind.PRIVATE)]
    files += [_file(text.key_file(key.kid), _pem(key)) for key in keys]
    files += [
        _file(text.KEYS, _keys(keys)),
        _file(text.REVOKED, revocations.buckets(listed)),
        _file(text.REVOKED_SINCE, revocations.since(listed)),
        _file(text.CUTS, revocations.cuts(bundle.cuts, SAFE)),
        _file(text.STATE, state(bundle.generation, text.COLD)),
        _file(text.ROUTES, "".join(f"{line}\n" for line in lines(bundle.policy, rows))),
        _file(text.PAYLOAD, f"{PAYLOAD_FORM}\n"),
        _file(text.VERSIONS, "".join(f"{line}\n" for line in _versions(rows))),
        _file(text.SIZES, proofs.sizes()),
        _file(text.WAITING, proofs.WAITING),
        _file(text.RECALL, tokens.SCRIPT),
        _file(text.CONFIG, _config(bundle, options, rows, keys), EngineFileKind.ROOT),
        _file("README.md", page(bundle.policy, options, rows), EngineFileKind.PAGE),
    ]
    return files


def start(options: EngineOptions) -> str:
    """Return the command that starts HAProxy, with what it logs where the options say."""
    master = f"{options.path(text.MASTER_SOCKET)},mode,600"
    command = f"haproxy -W -S {master} -f {options.path(text.CONFIG)}"
    return command if options.access_log == "/dev/stdout" else f"{command} >> {options.access_log}"


def state(generation: int, of_proofs: str) -> str:
    """Return the map that tells a process which generation it has, and what its table of used proofs is."""
    return f"{text.GENERATION} {generation}\n{text.PROOFS} {of_proofs}\n"


def _file(name: str, content: str, kind: EngineFileKind = EngineFileKind.PART) -> EngineFile:
    return EngineFile(name, kind, content)


def _secrets(bundle: GateBundle, rows: Sequence[Row]) -> str:
    """Return by epoch when its tokens end, and the secret; nothing where no route looks at proofs."""
    if not any(row.proves for row in rows):
        return ""
    lines = (
        f"{each.epoch} {_end(each.verify_until)}:{base64.b64encode(each.secret).decode('ascii')}\n"
        for each in bundle.secrets
    )
    return "".join(lines)


def _end(verify_until: float | None) -> int:
    """Return the whole second from which on something is refused; never later than asked."""
    return _NO_END if verify_until is None else min(math.floor(verify_until), _NO_END)


def _pem(key: VerificationKey) -> str:
    return key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _keys(keys: Sequence[VerificationKey]) -> str:
    lines = (
        f"{jose.header_segment(key.kid, TOKEN_TYPE)} {key.kid}:{_end(key.verify_until)}\n"
        for key in keys
    )
    return "".join(lines)


def _versions(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for app, minimum in row.route.minimum_versions.items():
            yield text.line(row.number, app, minimum)


def _config(
    bundle: GateBundle,
    options: EngineOptions,
    rows: Sequence[Row],
    keys: tuple[VerificationKey, ...],
) -> str:
    policy = bundle.policy
    return "".join(
        (
            f"# HAProxy in front of {policy.api}, written by Watchword. Start it with:\n",
            f"# {start(options)}\n\n",
            "global\n",
            indented(_global(bundle, options, rows)),
            f"\npeers {_PEERS}\n",
            "    # A process that is started in place of this one learns its tables here.\n",
            indented((f"bind {word('unix@' + options.path(text.PEERS_SOCKET))} mode 600",)),
            indented((f"server {text.LOCAL_PEER}",)),
            "\ndefaults\n",
            indented(_defaults()),
            *_tables(bundle, rows),
            "\nfrontend watchword\n",
            indented(_frontend(options, rows)),
            "\nbackend refused\n",
            indented(_refused(bundle)),
            *_backends(bundle, options, rows, keys),
        )
    )


def _global(bundle: GateBundle, options: EngineOptions, rows: Sequence[Row]) -> Iterator[str]:
    if options.user != "root":
        yield f"user {word(options.user)}"
    yield f"log stdout format raw local0 {LOG_LEVEL}"
    yield f"localpeer {text.LOCAL_PEER}"
    yield "hard-stop-after 30m"
    yield "# Heads as large as the gate takes them, and bodies as large as a proof's may be."
    body = max((row.max_body for row in rows if row.proves), default=0)
    yield f"tune.bufsize {_HEAD_BYTES + body}"
    yield "# Buffers are kept by each thread, and not given back after each request."
    yield f"tune.memory.hot-size {_HOT_BYTES}"
    yield "tune.http.maxhdr 128"
    yield "# What is matched differs in each request: to remember it costs more than to match it."
    yield "tune.pattern.cache-size 0"
    yield "set-var proc.started date()"
    for name, value in proofs.constants(bundle.policy.expectation).items():
        yield f"set-var proc.{name} {word(constant(value))}"
    yield f"lua-load-per-thread {word(options.path(text.RECALL))}"
    if any(row.proves for row in rows):
        # What the process before this one took was made no later.
        yield f"set-var proc.newest date({bundle.policy.expectation.leeway})"
        yield from (f"set-var proc.{name} int(0)" for name in ("skew", "horizon"))
        waiting, state_map = options.path(text.WAITING), options.path(text.STATE)
        yield f"lua-load-per-thread {word(waiting)} {word(state_map)}"


def _defaults() -> Iterator[str]:
    yield from (
        "mode http",
        "option dontlognull",
        "option http-keep-alive",
        "timeout connect 5s",
        "timeout client 60s",
        "timeout server 60s",
        "timeout http-request 5s",
        "timeout http-keep-alive 60s",
        "retries 0",
        f"log-format {word(LOG_FORMAT)}",
        f"error-log-format {word(ERROR_LOG_FORMAT)}",
        "option log-separate-errors",
    )
    yield from own_answers()


def _tables(bundle: GateBundle, rows: Sequence[Row]) -> Iterator[str]:
    life = PROOF_LIFE_SECONDS + 2 * bundle.policy.expectation.leeway + 1
    life += proofs.KEPT_BEYOND_SECONDS
    yield f"\n# Tokens that were verified.\nbackend {text.VERDICTS}\n"
    yield indented((_VERDICT_TABLE,))
    if any(row.proves for row in rows):
        yield f"\n# Proofs that were used; when it is full, none is taken.\nbackend {text.USED}\n"
        kept = f"size 1m expire {life}s nopurge peers {_PEERS}"
        yield indented((f"stick-table type binary len 32 {kept} store gpc0",))
    rate = bundle.policy.rate
    if rate is not None:
        yield f"\n# What instances sent.\nbackend {table_name(rate)}\n"
        yield indented((rate_table(rate, _PEERS),))


def _frontend(options: EngineOptions, rows: Sequence[Row]) -> Iterator[str]:
    listen = options.listen
    yield f"bind {word(f'unix@{listen.socket}' if listen.socket else listen.address)}"
    yield "log global"
    yield "option disable-h2-upgrade"
    # The connection says where a client comes from; what he says himself is removed.
    yield "option forwardfor"
    yield rule("set-log-level silent")
    yield f"http-after-response set-log-level {LOG_LEVEL} if {{ status ge 400 }}"
    yield rule("set-var(txn.now) date")
    yield from tokens.look(options)
    yield ""
    yield "# Whether a request can be read in one way at first sight."
    yield from hygiene.look()
    yield ""
    yield "# The first row that matches decides; an API serves nothing that its table doesn't name."
    routes = options.path(text.ROUTES)
    for name in ("method", "path"):
        yield rule(f"set-var(txn.{name}) {name}")
    row = f"var(txn.method),concat(,txn.path),map_reg({routes})"
    yield rule(f"set-var(txn.row) {word(row)}", hygiene.readable())
    for proof in (Proof.BEARER, Proof.SESSION):
        if _judged(rows, proof):
            modes = (Mode.ENFORCE, Mode.MONITOR)
            asked = " ".join(f"{mode.value}:{proof.value}:" for mode in modes)
            asked = f"{{ var(txn.row) -m beg {asked} }}"
            known = f"{asked} {tokens.KNOWN}"
            yield f"use_backend {proof.value}{_Known.ORDINARY.value} if !{hygiene.ODD} {known}"
            yield f"use_backend {proof.value}{_Known.ODDLY.value} if {hygiene.ODD} {known}"
            yield f"use_backend {proof.value} if {asked}"
    if any(row.route.mode is Mode.OFF for row in rows):
        yield f"use_backend open if {{ var(txn.row) -m beg {Mode.OFF.value}: }}"
    yield "default_backend refused"


def _judged(rows: Sequence[Row], proof: Proof) -> Sequence[Row]:
    return [row for row in rows if row.route.proof is proof and row.route.mode is not Mode.OFF]


def _refused(bundle: GateBundle) -> Iterator[str]:
    yield from _cleaning(bundle)
    yield "# By other spellings the path belongs to rows of which none is the strictest."
    yield hygiene.because(Reason.GATE_ROUTE_AMBIGUOUS, f"{{ var(txn.row) -m beg {AMBIGUOUS} }}")
    yield "# What has a row, and no backend, can't be; it is refused all the same."
    yield hygiene.because(Reason.GATE_ROUTE_UNKNOWN, "TRUE")
    yield from refusals(bundle.policy.rate)


def _cleaning(bundle: GateBundle) -> Iterator[str]:
    """Yield the rules on requests that aren't read in one way at first sight, and on the process' state."""
    yield "# Requests that can be read in two ways are refused, whatever their route says."
    yield from hygiene.reasons(folds=not bundle.policy.case_sensitive)
    yield from _state()
    yield "# What is never the client's to say."
    yield from hygiene.removals()


def _state() -> Iterator[str]:
    # Whoever told it that another process judges now may have died before.
    closed = f"{{ stopping }} or {matches('var(txn.generation)', 'str', text.CLOSED)}"
    yield hygiene.because(Reason.GATE_STATE_UNAVAILABLE, closed)
    # No row watches what was refused so far, and lets it pass; a rate that is used up is the row's to watch.
    refused = f"{found('txn.reason')} !{matches('var(txn.reason)', 'str', Reason.GATE_RATE.code)}"
    yield rule("unset-var(txn.row)", refused)


def _backends(
    bundle: GateBundle,
    options: EngineOptions,
    rows: Sequence[Row],
    keys: tuple[VerificationKey, ...],
) -> Iterator[str]:
    token = f"http-request del-header {TOKEN_HEADER.decode()}"
    if any(row.route.mode is Mode.OFF for row in rows):
        yield "\nbackend open\n"
        refused = refusals(bundle.policy.rate)
        yield indented((*_cleaning(bundle), *refused, token, *_server(options)))
    for proof in (Proof.BEARER, Proof.SESSION):
        chosen = _judged(rows, proof)
        for known in _Known if chosen else ():
            yield f"\nbackend {proof.value}{known.value}\n"
            lines = _judging(bundle, options, chosen, keys, proof, known)
            yield indented(lines if known is _Known.NOTHING else unguarded(lines))


def _judging(
    bundle: GateBundle,
    options: EngineOptions,
    rows: Sequence[Row],
    keys: tuple[VerificationKey, ...],
    proof: Proof,
    known: _Known,
) -> Iterator[str]:
    policy = bundle.policy
    minimums = [f"{row.number}:{app}" for row in rows for app in row.route.minimum_versions]
    ordinary, remembered = known is _Known.ORDINARY, known is not _Known.NOTHING
    if remembered:
        yield from tokens.recalled(session=proof is Proof.SESSION)
    if ordinary:
        yield "# Most requests go on to the API here."
        yield from quick_rules(proof, policy.expectation, options, minimums, policy.rate)
        yield "# Something is wrong, or not plain: all is asked again, one by one."
        yield from forget()
        yield from _state()
    else:
        yield from _cleaning(bundle)
    yield "# The token."
    yield from tokens.token_rules(
        policy.expectation, keys, options, known=remembered, whole=proof is Proof.SESSION
    )
    yield from tokens.standing_rules(options, minimums)
    if proof is Proof.SESSION:
        yield "# The proof."
        yield from proofs.proof_rules(policy.expectation, options, known=remembered, taken=ordinary)
        yield from proofs.body_rules(options)
        yield from proofs.claim_rules(policy.expectation.leeway, options)
    if policy.rate is not None:
        yield "# The rate."
        yield from rate_rules(policy.rate)
    yield "# What the API is told, and what it never sees."
    yield f"http-request del-header {TOKEN_HEADER.decode()}"
    if proof is Proof.SESSION:
        for name in sorted(PROOF_FIELDS):
            yield f"http-request del-header {name.decode()}"
    yield from tokens.results(WHOLE)
    yield rule("allow", WHOLE)
    watched = [row for row in rows if row.route.mode is Mode.MONITOR]
    if watched:
        watching = f"{{ var(txn.row) -m beg {Mode.MONITOR.value}: }}"
        yield "# A watching row lets pass what it would refuse, and says so in the log."
        # An instance that is turned away for its level was verified; where a proof is asked for, it wasn't yet.
        told = [Reason.GATE_RATE.code]
        if proof is Proof.BEARER:
            told += [Reason.GATE_LEVEL.code, Reason.GATE_APP_VERSION.code]
        yield from tokens.results(f"{watching} {{ var(txn.reason) -m str {' '.join(told)} }}")
        yield rule(f"set-log-level {LOG_LEVEL}", watching)
        yield named(watching)
        yield rule("allow", watching)
    yield from refusals(policy.rate)
    yield from _server(options)


def _server(options: EngineOptions) -> Iterator[str]:
    upstream = options.upstream
    where = f"unix@{upstream.socket}" if upstream.socket else upstream.address
    line = f"server api {word(where)}"
    if options.tls:
        host = word(upstream.host)
        line += f" ssl verify required ca-file @system-ca verifyhost {host} sni {word(f'str({upstream.host})')}"
    yield line


QUICK: Final = found("txn.quick")
_SOUND: Final = found("txn.sound")


def quick_rules(
    proof: Proof,
    expected: TokenExpectation,
    options: EngineOptions,
    minimums: "list[str]",
    rate: Rate | None,
) -> Iterator[str]:
    """Yield the rules, behind those that looked for what is known of the token.

    Whatever they don't let pass has lost the fields that the API isn't shown, and has results that
    :func:`forget` takes away.
    """
    yield f"http-request del-header {TOKEN_HEADER.decode()}"
    yield from tokens.results("")
    made, passes = _standing(options, minimums)
    yield from made
    if proof is Proof.SESSION:
        yield from (rule("set-var(txn.sound) int(1)", each) for each in passes)
        yield from proofs.quick_rules(expected, options, _SOUND)
        passes = [proofs.FIRST]
    if rate is None:
        yield from (rule("allow", each) for each in passes)
        return
    yield from (rule("set-var(txn.quick) int(1)", each) for each in passes)
    yield from (each.replace(WHOLE, f"{QUICK} {WHOLE}") for each in rate_rules(rate))
    yield rule("allow", f"{QUICK} {WHOLE}")


def _standing(options: EngineOptions, minimums: "list[str]") -> tuple[list[str], list[str]]:
    """Return rules, and the conditions of which one has to hold: on state, instance, level and version."""
    made = [*revocations.look(options), *revocations.look_for_cuts(options)]
    known = f"{found(revocations.DIGEST)} {found('txn.iat')}"
    counts = f"{known} !{revocations.REVOKED} !{revocations.CUT}"
    each = f"{tokens.enough()} {counts} !{{ stopping }}"
    if not minimums:
        return made, [each]
    limited = tokens.limited(minimums)
    made += tokens.version_rules(minimums)
    return made, [f"!{limited} {each}", f"{limited} {each} {tokens.new_enough(options)}"]


def forget() -> Iterator[str]:
    """Yield the rules that take the results away from a request that nobody vouches for yet."""
    for name in RESULT_HEADERS:
        yield f"http-request del-header {name.decode()}"


_TURN: Final = 2**32
_HALF: Final = 2**31
_ROUNDING_MS: Final = 1


def table_name(rate: Rate) -> str:
    """Return the name of the table of buckets; a rate of other numbers begins anew, in another table."""
    return f"{text.RATES}_{rate.requests}_{rate.seconds}"


def rate_table(rate: Rate, peers: str) -> str:
    """Return the table of buckets: what is idle for so long is full, and may be forgotten."""
    seconds = rate.seconds + -(-rate.seconds // rate.requests)
    return (
        f"stick-table type binary len 32 size {BUCKET_CAPACITY} expire {seconds}s nopurge "
        f"peers {peers} store gpc(1),gpt(1)"
    )


def rate_rules(rate: Rate) -> Iterator[str]:
    """Yield the rules; afterwards ``txn.reason`` is set, or the request is counted."""
    whole_ms = rate.seconds * 1000
    most = whole_ms - whole_ms // rate.requests + _ROUNDING_MS
    counted = "{ sc2_tracked }"
    yield rule("set-var(txn.bucket) var(txn.counted),sha2(256)", WHOLE)
    yield rule(f"track-sc2 var(txn.bucket) table {table_name(rate)}", WHOLE)
    # To let pass whom the table has no room for would switch the limit off for a crowd.
    yield because(Reason.GATE_RATE, f"{WHOLE} !{counted}")
    yield rule(f"set-var(txn.clock) date(0,ms),mod({_TURN})", WHOLE)
    # Read in this order: whoever sees a later count sees the instant that was written before it.
    yield rule("set-var(txn.passed) sc_get_gpc(0,2)", WHOLE)
    yield rule("set-var(txn.since) sc_get_gpt(0,2)", WHOLE)
    yield from _ahead(rate)
    full = f"{WHOLE} {{ var(txn.ahead) -m int ge {_HALF} }}"
    fresh = f"{WHOLE} {{ var(txn.passed) -m int eq 0 }} {{ var(txn.since) -m int eq 0 }}"
    yield from _begin(full, 0)
    yield from _begin(fresh, 0)
    # A clock that went back finds buckets that are full later than they can be: they count as empty.
    yield from _begin(f"{WHOLE} {{ var(txn.ahead) -m int gt {whole_ms + _ROUNDING_MS} }}", whole_ms)
    yield because(Reason.GATE_RATE, f"{WHOLE} {{ var(txn.ahead) -m int gt {most} }}")
    yield rule("set-var(txn.passed) sc_inc_gpc(0,2)", WHOLE)
    yield from _ahead(rate)
    over = f"{WHOLE} {{ var(txn.ahead) -m int gt {whole_ms + _ROUNDING_MS} }}"
    yield because(Reason.GATE_RATE, f"{over} {{ var(txn.ahead) -m int lt {_HALF} }}")


def _ahead(rate: Rate) -> Iterator[str]:
    """Yield the rules that find how far ahead a bucket is full; 2**31 and more is behind."""
    yield rule(
        f"set-var(txn.spent) var(txn.passed),mul({rate.seconds * 1000}),div({rate.requests}),mod({_TURN})",
        WHOLE,
    )
    yield rule(
        f"set-var(txn.ahead) var(txn.since),add(txn.spent),add({_TURN}),sub(txn.clock),mod({_TURN})",
        WHOLE,
    )


def _begin(condition: str, ahead: int) -> Iterator[str]:
    """Yield the rules that write when a bucket is full."""
    yield rule(
        f"set-var(txn.since) var(txn.clock),add({_TURN + ahead}),sub(txn.spent),mod({_TURN})",
        condition,
    )
    # 0 says that nothing was written yet.
    yield rule("set-var(txn.since) int(1)", f"{condition} {{ var(txn.since) -m int eq 0 }}")
    yield rule("sc-set-gpt(0,2) var(txn.since)", condition)
    yield rule(f"set-var(txn.ahead) int({ahead})", condition)


def retry_after(rate: Rate) -> str:
    """Return the expression for the seconds after which there is room again."""
    whole_ms = rate.seconds * 1000
    room = whole_ms - whole_ms // rate.requests
    return f"var(txn.ahead),sub({room}),add(999),div(1000)"


RETRY_SECONDS: Final = 1
"""After which a client may try again where something isn't there for a moment."""

_REASONS: Final = (
    *(each for each in Reason if each.code.startswith(("token.", "proof."))),
    *(Reason.REQUEST_MALFORMED, Reason.REQUEST_HEADERS_TOO_LARGE, Reason.REQUEST_HOST),
    *(Reason.REQUEST_FRAMING, Reason.REQUEST_HEADER_DUPLICATED, Reason.REQUEST_PATH_AMBIGUOUS),
    *(
        Reason.REQUEST_LENGTH_REQUIRED,
        Reason.REQUEST_BODY_TOO_LARGE,
        Reason.GATE_PROTOCOL,
        Reason.GATE_ROUTE_UNKNOWN,
        Reason.GATE_ROUTE_AMBIGUOUS,
    ),
    *(Reason.GATE_LEVEL, Reason.GATE_APP_VERSION, Reason.GATE_RATE, Reason.GATE_REPLAY_FULL),
    *(Reason.GATE_REPLAY_UNAVAILABLE, Reason.GATE_STATE_UNAVAILABLE),
)

LOG_LEVEL: Final = "err"
"""Of all that is logged; HAProxy's notices on itself, which are no JSON, are less, and so left out."""


def _log_format(moment: str) -> str:
    return (
        f"%{{+json}}o %(time)[{moment},ms_utime(%Y-%m-%dT%H:%M:%S.%3NZ)] %(ref)[var(txn.ref)] "
        + _FIELDS
    )


_FIELDS: Final = (
    "%(route)[var(txn.row),field(6,:,0)] %(status)ST %(reason)[var(txn.reason)] %(details)tsc "
    "%(method)[var(txn.method)] %(instance)[var(txn.sub)] %(client)ci %(milliseconds)Ta"
)
LOG_FORMAT: Final = _log_format("request_date(ms)")
"""The fields that every engine writes; no query, token, proof or body is in them."""

ERROR_LOG_FORMAT: Final = _log_format("date(0,ms)")
"""The same where a request can't be parsed: it has no time of its own."""


def problem(public: PublicClass, reference: str) -> str:
    """Return a problem (RFC 9457); members in the order of their names."""
    members = {
        **({"ref": reference} if reference else {}),
        "status": public.status,
        "title": public.title,
        "type": PROBLEM_TYPE + public.slug,
    }
    return strict_json.dumps(members).decode()


def named(condition: str) -> str:
    """Return the rule that gives a request its reference; one that passes needs none, which costs as much as a rule."""
    return rule("set-var(txn.ref) uuid()", condition)


def refusals(rate: Rate | None) -> Iterator[str]:
    """Yield the rules that answer whatever has a reason."""
    yield named("{ var(txn.reason) -m found }")
    by_class: dict[PublicClass, list[str]] = {}
    for reason in _REASONS:
        by_class.setdefault(reason.public, []).append(reason.code)
    for public, codes in by_class.items():
        headers = "hdr cache-control no-store"
        if public is PublicClass.TOKEN_REQUIRED:
            headers += " hdr www-authenticate Watchword"
        if public is PublicClass.UNAVAILABLE:
            headers += f" hdr retry-after {RETRY_SECONDS}"
        if public is PublicClass.RATE_LIMITED:
            headers += (
                f" hdr retry-after {word(f'%[{retry_after(rate)}]') if rate else RETRY_SECONDS}"
            )
        text = word(problem(public, "%[var(txn.ref)]"))
        yield rule(
            f"return status {public.status} content-type {PROBLEM_MEDIA_TYPE} lf-string {text} {headers}",
            f"{{ var(txn.reason) -m str {' '.join(codes)} }}",
        )
    # Whatever has a reason that isn't named above is refused too.
    text = word(problem(PublicClass.INTERNAL, "%[var(txn.ref)]"))
    yield rule(
        f"return status 500 content-type {PROBLEM_MEDIA_TYPE} lf-string {text} hdr cache-control no-store",
        "{ var(txn.reason) -m found }",
    )


_OWN_ANSWERS: Final = {
    400: PublicClass.REQUEST_MALFORMED,
    408: PublicClass.REQUEST_TIMEOUT,
    413: PublicClass.BODY_TOO_LARGE,
    500: PublicClass.INTERNAL,
    501: PublicClass.REQUEST_MALFORMED,
    502: PublicClass.UPSTREAM_UNREACHABLE,
    503: PublicClass.UPSTREAM_UNREACHABLE,
    504: PublicClass.UPSTREAM_UNREACHABLE,
}


def own_answers() -> Iterator[str]:
    """Yield what HAProxy says where it answers before, or behind, all rules.

    Its parser answers before a request has an id, so that these have no reference.
    """
    for status, public in _OWN_ANSWERS.items():
        # A status of HAProxy's own is kept: it can't be changed here.
        text = word(problem(public, ""))
        yield (
            f"http-error status {status} content-type {PROBLEM_MEDIA_TYPE} string {text} "
            "hdr cache-control no-store"
        )
