"""Find the rows of the table, and refuse what HAProxy can't do exactly as the gate does."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.engines.interface import Difference, Divergence, EngineOptions, UnsupportedError
from watchword.engines.paths import (
    UNICODE_SPELLINGS,
    SpellingCase,
    Spellings,
    row_expression,
    spellings_of,
)
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import CompiledRoute, compile_routes
from watchword.gate.interface import GatePolicy, Route
from watchword.vocabulary import Mode, Proof, ReplayMode

MAX_HELD_BODY: Final = 64 * 1024
"""Most bytes of a body that is held until its digest was compared; a larger one is refused."""

AMBIGUOUS: Final = "ambiguous:"
"""Stands in the map of routes where none of a path's rows is the strictest."""

_PLAIN_NAME: Final = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?")
_PLAIN_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._~@+=-]{1,4096}")
_PLAIN_TEXT: Final = re.compile(r"[!-&(-~]{1,256}")
_MAX_RATE_SECONDS: Final = 1_000_000
_PYTHON: Final = "guard the API with the middleware, the built-in proxy, --engine nginx-authz, or Envoy with /authz"
_SIGNATURES: Final = (
    "guard the API with the middleware, the built-in proxy, --engine nginx, or Envoy"
)
_LENDING: Final = "guard the API with the built-in proxy or Envoy"


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row of the table with its number, by which rules know it."""

    number: int
    compiled: CompiledRoute

    @property
    def route(self) -> Route:
        """Return the row as it was written."""
        return self.compiled.route

    @property
    def proves(self) -> bool:
        """Tell whether a session proof is looked at."""
        return self.route.proof is Proof.SESSION and self.route.mode is not Mode.OFF

    @property
    def max_body(self) -> int:
        """Return the most bytes of a body under a proof, which a GET may have too (RFC 9110 section 9.3.1)."""
        return min(self.route.max_body, MAX_HELD_BODY)

    @property
    def asked(self) -> str:
        """Return what is asked of the row's requests."""
        route = self.route
        asked = (
            route.mode.value,
            route.proof.value,
            str(route.level.rank),
            str(self.number),
            str(self.max_body),
            route.name,
        )
        return ":".join(asked)

    def line(self) -> str:
        """Return the row's line in the map of routes: what method and path must be, and what is asked then.

        The method stands right in front of the path, whose first sign is a slash.
        """
        return f"{self._expression(self.compiled.methods)} {self.asked}"

    def _expression(self, methods: frozenset[str], more: str = "") -> str:
        named = "|".join(sorted(methods)) or "[A-Z-]+"
        return f"^(?:{named}){more}(?:{row_expression(self.compiled)})$"

    def spelled(self, case: SpellingCase, spellings: Spellings, rows: Sequence["Row"]) -> str:
        """Return the line of some of the row's paths that are another row's by another spelling."""
        more = "".join(f"(?={each}$)" for each in spellings.expressions(case))
        # A row further up has taken its own paths already.
        more += "".join(
            f"(?!{row_expression(rival.row)}$)"
            for rival in case.rivals
            if rival.position > self.number
        )
        asked = AMBIGUOUS if case.judge is None else rows[case.judge].asked
        return f"{self._expression(case.methods(self.compiled), more)} {asked}"


def lines(policy: GatePolicy, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the map of routes; the first line that fits decides.

    :raises UnsupportedError: for rows whose other spellings HAProxy can't know.
    """
    table = [row.compiled for row in rows]
    spellings = spellings_of(table, policy)
    for row, cases in zip(rows, spellings.cases, strict=True):
        for case in cases:
            yield row.spelled(case, spellings, rows)
        yield row.line()


def plan(bundle: GateBundle, options: EngineOptions) -> tuple[Row, ...]:
    """Return the rows.

    :raises UnsupportedError: on what HAProxy can't do exactly as the gate does.
    """
    policy = bundle.policy
    _check_api(policy, options)
    if bundle.canaries is not None:
        raise UnsupportedError(
            policy.api,
            "canary keys",
            "they are known by a keyed digest alone, which HAProxy's rules can't look for",
            _PYTHON,
        )
    _check_values(bundle, options)
    rows = tuple(Row(number, row) for number, row in enumerate(compile_routes(policy.routes)))
    for row in rows:
        _check_row(row.route)
    if any(row.proves for row in rows) and policy.replay is not ReplayMode.LOCAL:
        raise UnsupportedError(
            policy.api,
            f"replay {policy.replay.value}",
            "HAProxy remembers used proofs in its own process alone",
            f"use replay local with one HAProxy, or {_PYTHON}",
        )
    return rows


def _check_api(policy: GatePolicy, options: EngineOptions) -> None:
    found = [
        (
            policy.binding_header is not None,
            "binding_header",
            "HAProxy's rules don't compare a header with a claim's digest",
        ),
        (
            bool(policy.limits),
            "limits",
            "HAProxy counts in one bucket of an instance, not in several that agree",
        ),
        (options.signed_verdict, "signed verdict", "HAProxy can't sign what it found"),
        (
            policy.rate is not None and policy.rate.seconds > _MAX_RATE_SECONDS,
            "rate",
            f"HAProxy's counters hold milliseconds of {_MAX_RATE_SECONDS} s at most",
        ),
    ]
    for needed, setting, why in found:
        if needed:
            raise UnsupportedError(policy.api, setting, why, _PYTHON)


def _check_row(route: Route) -> None:
    if not _PLAIN_NAME.fullmatch(route.name):
        _refuse_name(route)
    if route.mode is Mode.OFF:
        return
    found = [
        (
            route.proof is Proof.DEVICE,
            "proof device" + (" with dpop" if route.dpop else ""),
            "HAProxy verifies signatures by keys that lie in files, not by the key in a token",
            _SIGNATURES,
        ),
        (
            route.mode is Mode.CANARY,
            "mode canary",
            "HAProxy knows no share of instances and no budget",
            _PYTHON,
        ),
        (
            route.secret is not None,
            f"secret {route.secret}",
            "HAProxy's admin socket would show the key that is lent",
            _LENDING,
        ),
    ]
    for needed, setting, why, remedy in found:
        if needed:
            raise UnsupportedError(route.name, setting, why, remedy)
    for app in route.minimum_versions:
        if not _PLAIN_TEXT.fullmatch(app):
            raise UnsupportedError(
                route.name,
                f"minimum_versions for {app!r}",
                "an app of this name has no place in HAProxy's rules",
                "name the app in visible ASCII without quotes",
            )


def _refuse_name(route: Route) -> None:
    raise UnsupportedError(
        route.name,
        "the row's name",
        "HAProxy's map holds names of 1 to 256 visible ASCII characters",
        "give the row another name",
    )


def _check_values(bundle: GateBundle, options: EngineOptions) -> None:
    """Refuse values that can't stand in a line of a map or a word of the configuration."""
    expected = bundle.policy.expectation
    values = [
        ("issuer", expected.issuer),
        ("audience", expected.audience),
    ]
    for name, value in values:
        if not _PLAIN_TEXT.fullmatch(value) or value.startswith("#"):
            raise UnsupportedError(
                bundle.policy.api,
                name,
                f"got {value!r}, which a list of HAProxy's can't hold",
                "use visible ASCII without quotes",
            )
    for key in bundle.keys:
        if not _PLAIN_KID.fullmatch(key.kid):
            raise UnsupportedError(
                bundle.policy.api,
                "a token key's id",
                f"got {key.kid!r}, which can't be part of a file's name",
                "rotate to a key that the service names itself",
            )
    if not options.directory.startswith("/") or not _PLAIN_PATH.fullmatch(options.directory):
        raise UnsupportedError(
            bundle.policy.api,
            "the directory",
            f"got {options.directory!r}, which HAProxy's rules can't name",
            "use an absolute path of letters, digits and ._~@+=-",
        )


_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "no-device-proofs",
        _D.STRICTER,
        "takes device proofs, and DPoP where a route says so",
        "writes no configuration for such a route",
        "it verifies signatures by keys that lie in files, not by the key in a token",
    ),
    Difference(
        "no-canary",
        _D.STRICTER,
        "enforces a route for a share of the instances and counts whom it would turn away",
        "writes no configuration for such a route",
        "it knows no share of instances and no budget",
    ),
    Difference(
        "row-behind",
        _D.ANSWER,
        "answers as the next row that matches says",
        "says that there is no row, where the next one is of a kind that it can't hold",
        "its table lacks that row",
    ),
    Difference(
        "unannounced-bodies",
        _D.STRICTER,
        "takes a body of chunks, and drops its trailers",
        "refuses it by 411 on every route; a client sends it again with a length",
        "it hands trailers on, which servers take for header fields, and nothing of it removes them",
    ),
    Difference(
        "unannounced-bodies-answer",
        _D.ANSWER,
        "says what is wrong with a request whose body comes in chunks",
        "says that its length must be announced",
        "it refuses such a body before it is there",
    ),
    Difference(
        "bodies-over-64-kib",
        _D.STRICTER,
        "takes bodies up to the row's max_body under a proof",
        "refuses more than 64 KiB by 413",
        "it holds a body in one buffer until its digest was compared",
    ),
    Difference(
        "new-replay-table",
        _D.STRICTER,
        "takes proofs that were made before it started",
        "refuses proofs that are older than its table of used ones, and those that are made within the clocks' leeway "
        "and two seconds behind that",
        "a table that was lost doesn't know what was used before; one that is handed over counts on",
    ),
    Difference(
        "process-that-ends",
        _D.STRICTER,
        "takes each new proof",
        "refuses by 503 the proof that arrives on a connection of a process that another one is replacing",
        "the table was handed over: what is claimed there now, nobody would know",
    ),
    Difference(
        "same-field-twice",
        _D.CLEANED,
        "refuses two Host or two Content-Length fields, also of the same value",
        "takes two of the same value for one, and the API sees one",
        "its parser does so before any rule",
    ),
    Difference(
        "length-beside-chunks",
        _D.CLEANED,
        "refuses Content-Length beside Transfer-Encoding",
        "drops the length, and closes the connection behind the request (RFC 9112 section 6.3)",
        "its parser does so before any rule",
    ),
    Difference(
        "tabs-in-request-line",
        _D.CLEANED,
        "refuses tabs between method, target and version",
        "takes them for blanks",
        "its parser does so before any rule",
    ),
    Difference(
        "coding-refused-by-422",
        _D.ANSWER,
        "refuses transfer codings beside chunked by 400",
        "refuses them by 422",
        "its parser does so before any rule",
    ),
    Difference(
        "connection-options",
        _D.STRICTER,
        "takes several Connection fields",
        "refuses more than one",
        "its rules read one of them at a time",
    ),
    Difference(
        "upgrade",
        _D.STRICTER,
        "hands an Upgrade to the API, and ends a WebSocket with what it was opened with",
        "refuses one to anything but WebSocket, and drops that one",
        "it would be a tunnel behind which nothing is checked, and nobody would end it",
    ),
    Difference(
        "odd-claims",
        _D.STRICTER,
        "takes a signed token with an escape in a claim's name or in sub and app.id, a claim's name twice in nested "
        "objects, an exponent of three digits, or more bytes than characters in a claim",
        "refuses it",
        "it reads members by their path, so that a name must stand for one thing in the whole text",
    ),
    Difference(
        "names-twice",
        _D.HARMLESS,
        "refuses a signed token in which a name that it doesn't know is there twice in one object",
        "looks at the names that it knows alone",
        "only the holder of the token key could make one, and what nobody reads decides nothing",
    ),
    Difference(
        "token-key-off-curve",
        _D.HARMLESS,
        "refuses a signed token whose cnf.jwk is no point of P-256",
        "doesn't look at that",
        "only the holder of the token key could make one, and no session key is derived from the point",
    ),
    Difference(
        "full-rates",
        _D.STRICTER,
        "lets instances beyond 200,000 share limits",
        "refuses them until others were idle for long enough",
        "its table takes no more, and whom it doesn't count it can't limit",
    ),
    Difference(
        "early-answers",
        _D.ANSWER,
        "gives every refusal a reference",
        "gives none to requests that its parser refuses",
        "it answers before a request has an id",
    ),
    UNICODE_SPELLINGS,
)
