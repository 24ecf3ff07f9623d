"""Write the private file by which nginx decides: all that changes from push to push.

nginx reads its configuration only when it is told to, and open connections keep the old one.  So everything that
decides stands in this file, which each worker looks at several times a second.  It has three lines: a JSON object, the
revoked instances, and ``end``, which tells a whole file from one that was cut off.  Revoked instances stand apart since
there may be 300,000: as members of a list they would keep a worker from its requests for seconds.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from watchword.encoding import strict_json
from watchword.engines.paths import dots, separators
from watchword.engines.spellings import Spellings, spellings_of
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import GatePolicy, Rate
from watchword.gate.routes import CompiledRoute, compile_routes
from watchword.gate.spellings import fold
from watchword.ports import VerificationKey
from watchword.tokens import strict_jws
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.proofs.interface import GateSecret

MAX_STATE_BYTES: Final = 32 * 1024 * 1024
"""Most bytes that the script reads; a revoked instance takes about 50."""

_VERSION: Final = 1
_VISIBLE: Final = re.compile(r"[!-~]{1,256}")
"""What a token's subject may be (:mod:`watchword.tokens.service`)."""


def render(bundle: GateBundle) -> str:
    """Return the content of the private file; write it with mode 0600, whole or not at all.

    Whoever writes it holds it to :data:`MAX_STATE_BYTES`.

    :raises UnsupportedError: for rows whose other spellings the script can't know.
    """
    policy = bundle.policy
    expectation = policy.expectation
    table = compile_routes(policy.routes)
    spellings = spellings_of(table, policy)
    members: dict[str, Any] = {
        "v": _VERSION,
        "generation": bundle.generation,
        "issuer": expectation.issuer,
        "audience": expectation.audience,
        "environment": expectation.environment.value,
        "leeway": expectation.leeway,
        "keys": _keys(bundle.keys),
        "secrets": _secrets(bundle.secrets),
        "routes": _routes(table, spellings),
        "signs": _signs(policy, spellings),
        "rate": _rate(policy.rate),
        "binding_header": _header(policy.binding_header),
    }
    return f"{strict_json.dumps(members).decode()}\n{_names(bundle.revoked)}\nend\n"


def _keys(keys: Iterable[VerificationKey]) -> list[dict[str, str]]:
    """Return every key, also the retired ones: their tokens are refused for another reason than unknown ones."""
    found = []
    for key in keys:
        numbers = key.key.public_numbers()
        found.append(
            {
                "kid": key.kid,
                "head": strict_jws.header_segment(key.kid, TOKEN_TYPE),
                "point": f"{numbers.x:064x}{numbers.y:064x}",
                "ends": _end(key.verify_until),
            }
        )
    return found


def _secrets(secrets: Iterable[GateSecret]) -> list[dict[str, Any]]:
    return [
        {"epoch": each.epoch, "secret": each.secret.hex(), "ends": _end(each.verify_until)}
        for each in secrets
    ]


def _names(subjects: Iterable[str]) -> str:
    """Return subjects, each with a blank behind it; those that no token can have are left out."""
    return "".join(f"{name} " for name in sorted(subjects) if _VISIBLE.fullmatch(name))


def _end(until: float | None) -> str:
    """Return an end as text: the script takes numbers with a fraction for something that no claim has."""
    return "-" if until is None else f"{until:.3f}"


def _routes(table: Sequence[CompiledRoute], spellings: Spellings) -> list[dict[str, Any]]:
    """Return each row, with what becomes of its paths' other spellings; rows are numbered from 1, 0 is none."""
    return [
        {
            **_route(row),
            "spellings": [
                {
                    "rivals": [rival.position + 1 for rival in case.rivals],
                    "judge": 0 if case.judge is None else case.judge + 1,
                }
                for case in cases
                # The script folds such signs itself.
                if not case.depth
            ],
        }
        for row, cases in zip(table, spellings.cases, strict=True)
    ]


def _signs(policy: GatePolicy, spellings: Spellings) -> str:
    """Return the signs outside of ASCII that mean something, each with what it is folded to, in hexadecimal digits."""
    if policy.case_sensitive:
        return ""
    known = dict.fromkeys((*spellings.doubles, *separators(), *dots()))
    return "".join(
        f"{sign.encode('utf-8').hex()}={fold(sign).encode('utf-8').hex()} " for sign in known
    )


def _route(row: CompiledRoute) -> dict[str, Any]:
    route = row.route
    return {
        "name": route.name,
        "methods": sorted(row.methods),
        "segments": list(row.segments),
        "folded": [fold(segment) for segment in row.segments],
        "open_ended": row.open_ended,
        "level": route.level.value,
        "proof": route.proof.value,
        "dpop": route.dpop,
        "mode": route.mode.value,
        "max_body": route.max_body,
        "versions": dict(route.minimum_versions),
    }


def _header(name: bytes | None) -> str | None:
    return None if name is None else name.decode("ascii")


def _rate(rate: Rate | None) -> dict[str, int] | None:
    return None if rate is None else {"requests": rate.requests, "seconds": rate.seconds}
