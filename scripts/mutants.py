"""Mutate recorded evidence in at least 270,000 ways and print what became of it: ``make mutants``.

Exits 1 if anything was accepted that says something else than the evidence it was made of.  ``same`` counts
what says the same, ``without`` what says the same but for a receipt that isn't believed.
``--overlook REASON`` runs a verifier that overlooks one reason, to show that the run can fail.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.unit.attestation import recorded
from tests.unit.attestation.mutant_runs import (
    Run,
    android_cases,
    apple_cases,
    assertion_cases,
    forged_android,
    forged_apple,
    forged_assertions,
    has_issuer_cache,
    issuer_cache,
    run_android,
    run_apple,
    run_assertions,
    run_leaked,
)
from tests.unit.attestation.mutants import Tally, overlooking

from watchword.attestation.registry import examine
from watchword.reasons import Reason

LEAST = 270_000


def main() -> None:
    """Run, print the tables; exit 1 as said above."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__)
    parser.add_argument("--positions", type=int, default=32, help="flipped bits of each region")
    parser.add_argument("--step", type=int, default=1, help="run each STEP-th mutant only")
    parser.add_argument("--forged", action="store_true", help="leave recorded evidence alone")
    parser.add_argument("--overlook", help="a reason's code, for example attestation.binding")
    arguments = parser.parse_args()
    reason = Reason.from_code(arguments.overlook) if arguments.overlook else None
    if arguments.overlook and reason is None:
        parser.error("there is no such reason")
    verifier = examine if reason is None else overlooking(reason)
    run = Run(arguments.positions, arguments.step, verifier)
    total = wrong = 0
    real = recorded.are_here() and not arguments.forged
    for title, tally in _runs(run, real):
        total += tally.made.total()
        wrong += tally.wrong.total()
        show(title, tally)
    print(f"\n{total:,} mutants, {wrong:,} accepted wrongly")
    if real and total < LEAST and arguments.step == 1:
        print(f"that is fewer than {LEAST:,}")
        sys.exit(1)
    sys.exit(wrong > 0)


def _runs(run: Run, real: bool) -> list[tuple[str, Tally]]:
    if not real:
        print("recorded evidence isn't here, or isn't wanted: forged evidence is mutated instead")
        return [
            ("Android chains, forged", run_android(*forged_android(), run)),
            ("App Attest attestations, forged", run_apple(*forged_apple(), run)),
            ("App Attest assertions, forged", run_assertions(forged_assertions(), run)),
            ("Android chains by leaked keys, forged", run_leaked(run)),
        ]
    runs: list[tuple[str, Tally]] = []
    caches = [None, issuer_cache()] if has_issuer_cache() else [None]
    for cache in caches:
        known = "issuers verified each time" if cache is None else "issuers remembered"
        trust = recorded.trust(cache)
        runs.append((f"Android chains, {known}", run_android(android_cases(), trust, run)))
        runs.append((f"App Attest attestations, {known}", run_apple(apple_cases(), trust, run)))
        leaked = run_leaked(run, remembered=cache is not None)
        runs.append((f"Android chains by leaked keys, forged, {known}", leaked))
    runs.append(("App Attest assertions", run_assertions(assertion_cases(), run)))
    return runs


def show(title: str, tally: Tally) -> None:
    """Print a tally as a table."""
    names = ("mutants", "refused", "same", "without", "WRONG")
    print(f"\n{title}\n  {'class':42}{''.join(f'{name:>10}' for name in names)}")
    for kind in sorted(tally.made, key=lambda kind: (kind in tally.unsigned, kind)):
        counts = (tally.made[kind], tally.same[kind], tally.without[kind], tally.wrong[kind])
        _line(kind, counts, "  not signed" if kind in tally.unsigned else "")
    totals = (tally.made, tally.same, tally.without, tally.wrong)
    _line("in all", [counter.total() for counter in totals], "")


def _line(kind: str, counts: Sequence[int], mark: str) -> None:
    made, same, without, wrong = counts
    shown = (made, made - same - without - wrong, same, without, wrong)
    print(f"  {kind:42}{''.join(f'{count:>10,}' for count in shown)}{mark}")


if __name__ == "__main__":
    main()
