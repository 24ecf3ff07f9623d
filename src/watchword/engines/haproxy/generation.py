"""Write the whole configuration of one HAProxy from the gate bundle of one API."""

import base64
import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.engines.haproxy import (
    hygiene,
    names,
    proofs,
    quick,
    rates,
    recall,
    replies,
    tokens,
    versions,
)
from watchword.engines.haproxy.claims import PAYLOAD, SAFE
from watchword.engines.haproxy.page import page
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
from watchword.engines.interface import EngineFile, EngineFileKind
from watchword.engines.keys import living_keys
from watchword.engines.places import EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import PROOF_FIELDS
from watchword.gate.interface import TOKEN_HEADER
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens import strict_jws
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS
from watchword.vocabulary import Mode, Proof

_SUBJECT: Final = re.compile(SAFE)
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
    files = [_file(names.SECRETS, _secrets(bundle, rows), EngineFileKind.PRIVATE)]
    files += [_file(names.key_file(key.kid), _pem(key)) for key in keys]
    files += [
        _file(names.KEYS, _keys(keys)),
        _file(names.REVOKED, _revoked(bundle)),
        _file(names.STATE, state(bundle.generation, names.COLD)),
        _file(names.ROUTES, "".join(f"{line}\n" for line in lines(bundle.policy, rows))),
        _file(names.PAYLOAD, f"{PAYLOAD}\n"),
        _file(names.VERSIONS, "".join(f"{line}\n" for line in _versions(rows))),
        _file(names.SIZES, proofs.sizes()),
        _file(names.WAITING, proofs.WAITING),
        _file(names.RECALL, recall.SCRIPT),
        _file(names.CONFIG, _config(bundle, options, rows, keys), EngineFileKind.ROOT),
        _file("README.md", page(bundle.policy, options, rows), EngineFileKind.PAGE),
    ]
    return files


def start(options: EngineOptions) -> str:
    """Return the command that starts HAProxy, with what it logs where the options say."""
    master = f"{options.path(names.MASTER_SOCKET)},mode,600"
    command = f"haproxy -W -S {master} -f {options.path(names.CONFIG)}"
    return command if options.access_log == "/dev/stdout" else f"{command} >> {options.access_log}"


def state(generation: int, of_proofs: str) -> str:
    """Return the map that tells a process which generation it has, and what its table of used proofs is."""
    return f"{names.GENERATION} {generation}\n{names.PROOFS} {of_proofs}\n"


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


def _revoked(bundle: GateBundle) -> str:
    """Return the subjects; one that no list can hold is one that no token may have here."""
    return "".join(f"{each} 1\n" for each in sorted(bundle.revoked) if _SUBJECT.fullmatch(each))


def _end(verify_until: float | None) -> int:
    """Return the whole second from which on something is refused; never later than asked."""
    return _NO_END if verify_until is None else min(math.floor(verify_until), _NO_END)


def _pem(key: VerificationKey) -> str:
    return key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _keys(keys: Sequence[VerificationKey]) -> str:
    lines = (
        f"{strict_jws.header_segment(key.kid, TOKEN_TYPE)} {key.kid}:{_end(key.verify_until)}\n"
        for key in keys
    )
    return "".join(lines)


def _versions(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for app, minimum in row.route.minimum_versions.items():
            yield versions.line(row.number, app, minimum)


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
            indented((f"bind {word('unix@' + options.path(names.PEERS_SOCKET))} mode 600",)),
            indented((f"server {names.LOCAL_PEER}",)),
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
    yield f"log stdout format raw local0 {replies.LOG_LEVEL}"
    yield f"localpeer {names.LOCAL_PEER}"
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
    yield f"lua-load-per-thread {word(options.path(names.RECALL))}"
    if any(row.proves for row in rows):
        # What the process before this one took was made no later.
        yield f"set-var proc.newest date({bundle.policy.expectation.leeway})"
        yield from (f"set-var proc.{name} int(0)" for name in ("skew", "horizon"))
        waiting, state_map = options.path(names.WAITING), options.path(names.STATE)
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
        f"log-format {word(replies.LOG_FORMAT)}",
        f"error-log-format {word(replies.ERROR_LOG_FORMAT)}",
        "option log-separate-errors",
    )
    yield from replies.own_answers()


def _tables(bundle: GateBundle, rows: Sequence[Row]) -> Iterator[str]:
    life = PROOF_LIFE_SECONDS + 2 * bundle.policy.expectation.leeway + 1
    life += proofs.KEPT_BEYOND_SECONDS
    yield f"\n# Tokens that were verified.\nbackend {names.VERDICTS}\n"
    yield indented((_VERDICT_TABLE,))
    if any(row.proves for row in rows):
        yield f"\n# Proofs that were used; when it is full, none is taken.\nbackend {names.USED}\n"
        kept = f"size 1m expire {life}s nopurge peers {_PEERS}"
        yield indented((f"stick-table type binary len 32 {kept} store gpc0",))
    rate = bundle.policy.rate
    if rate is not None:
        yield f"\n# What instances sent.\nbackend {rates.table_name(rate)}\n"
        yield indented((rates.rate_table(rate, _PEERS),))


def _frontend(options: EngineOptions, rows: Sequence[Row]) -> Iterator[str]:
    listen = options.listen
    yield f"bind {word(f'unix@{listen.socket}' if listen.socket else listen.address)}"
    yield "log global"
    yield "option disable-h2-upgrade"
    # The connection says where a client comes from; what he says himself is removed.
    yield "option forwardfor"
    yield rule("set-log-level silent")
    yield f"http-after-response set-log-level {replies.LOG_LEVEL} if {{ status ge 400 }}"
    yield rule("set-var(txn.now) date")
    yield from tokens.look(options)
    yield ""
    yield "# Whether a request can be read in one way at first sight."
    yield from hygiene.look()
    yield ""
    yield "# The first row that matches decides; an API serves nothing that its table doesn't name."
    routes = options.path(names.ROUTES)
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
    yield from replies.refusals(bundle.policy.rate)


def _cleaning(bundle: GateBundle) -> Iterator[str]:
    """Yield the rules on requests that aren't read in one way at first sight, and on the process' state."""
    yield "# Requests that can be read in two ways are refused, whatever their route says."
    yield from hygiene.reasons(folds=not bundle.policy.case_sensitive)
    yield from _state()
    yield "# What is never the client's to say."
    yield from hygiene.removals()


def _state() -> Iterator[str]:
    # Whoever told it that another process judges now may have died before.
    closed = f"{{ stopping }} or {matches('var(txn.generation)', 'str', names.CLOSED)}"
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
        refusals = replies.refusals(bundle.policy.rate)
        yield indented((*_cleaning(bundle), *refusals, token, *_server(options)))
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
        yield from recall.look(session=proof is Proof.SESSION)
    if ordinary:
        yield "# Most requests go on to the API here."
        yield from quick.quick_rules(proof, policy.expectation, options, minimums, policy.rate)
        yield "# Something is wrong, or not plain: all is asked again, one by one."
        yield from quick.forget()
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
        yield from rates.rate_rules(policy.rate)
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
        yield rule(f"set-log-level {replies.LOG_LEVEL}", watching)
        yield replies.named(watching)
        yield rule("allow", watching)
    yield from replies.refusals(policy.rate)
    yield from _server(options)


def _server(options: EngineOptions) -> Iterator[str]:
    upstream = options.upstream
    where = f"unix@{upstream.socket}" if upstream.socket else upstream.address
    line = f"server api {word(where)}"
    if options.tls:
        host = word(upstream.host)
        line += f" ssl verify required ca-file @system-ca verifyhost {host} sni {word(f'str({upstream.host})')}"
    yield line
