"""Find the rows of the table, and refuse what HAProxy can't do exactly as the gate does."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.engines.interface import EngineOptions, UnsupportedError
from watchword.engines.paths import (
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
_INJECTION: Final = "guard the API with the built-in proxy or Envoy"


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
    if bundle.canaries is not None:
        raise UnsupportedError(
            policy.api,
            "canary keys",
            "they are known by a keyed digest alone, which HAProxy's rules can't look for",
            _PYTHON,
        )
    _check_values(bundle, options)
    return check(policy, options)


def check(policy: GatePolicy, options: EngineOptions) -> tuple[Row, ...]:
    """Return the rows of a table that HAProxy can carry out.

    :raises UnsupportedError: where it can't.
    """
    _check_api(policy, options)
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
        (
            policy.device_for_session,
            "device_for_session",
            "HAProxy takes session proofs with an HMAC alone, and would refuse the phones that are told to sign",
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
            "HAProxy's admin socket would show the key that is injected",
            _INJECTION,
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
