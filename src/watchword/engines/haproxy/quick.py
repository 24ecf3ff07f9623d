"""Write the rules by which most requests pass: all that is asked of them at once, and nothing on what is wrong.

HAProxy has no jump over rules.  So a request of the plainest kind, with a token that was verified before, meets
these first, which let it go on to the API; whatever they don't let pass meets the rules behind them, which ask
everything again, one by one, and find the reason.  These rules take nothing for granted that those would ask.
"""

from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import names, proofs, rates, tokens
from watchword.engines.haproxy.text import WHOLE, found, rule
from watchword.engines.places import EngineOptions
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER, Rate
from watchword.tokens.interface import TokenExpectation
from watchword.vocabulary import Proof

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
    yield from (each.replace(WHOLE, f"{QUICK} {WHOLE}") for each in rates.rate_rules(rate))
    yield rule("allow", f"{QUICK} {WHOLE}")


def _standing(options: EngineOptions, minimums: "list[str]") -> tuple[list[str], list[str]]:
    """Return rules, and the conditions of which one has to hold: on state, instance, level and version."""
    revoked = f"{{ var(txn.sub),map({options.path(names.REVOKED)}) -m found }}"
    each = f"{tokens.enough()} !{revoked} !{{ stopping }}"
    if not minimums:
        return [], [each]
    limited = tokens.limited(minimums)
    made = list(tokens.version_rules(minimums))
    return made, [f"!{limited} {each}", f"{limited} {each} {tokens.new_enough(options)}"]


def forget() -> Iterator[str]:
    """Yield the rules that take the results away from a request that nobody vouches for yet."""
    for name in RESULT_HEADERS:
        yield f"http-request del-header {name.decode()}"
