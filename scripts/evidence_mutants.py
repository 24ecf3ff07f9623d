"""Change the rules of evidence in one thing each, and show that a test notices: ``python -m scripts.evidence_mutants``.

Each row takes a check out of a copy of the package, or turns it round, and runs the tests that hold it.  A mutant that
they pass is a rule that nobody holds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_AT_ONCE: Final = 2

PLAN: Final = ("tests/unit/plan/test_evidence_on_routes.py", "tests/unit/plan/test_evidence.py")
DRILL: Final = ("tests/unit/drill/test_findings_by_route.py", "tests/unit/drill/test_findings.py")
ROWS: Final = ("tests/unit/apps/test_enforcement.py",)
SAMPLES: Final = ("tests/unit/apps/drill/test_samples_on_routes.py",)
LINES: Final = ("tests/unit/apps/test_observations.py",)
EVIDENCE: Final = "plan/evidence.py"
FINDINGS: Final = "drill/findings.py"


@dataclass(frozen=True)
class Mutant:
    """Hold one change of the source: what stands there once, and what is put in its place.

    :param tests: files that have to notice.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS: Final = (
    # Which statements name what they saw.
    Mutant(EVIDENCE, 'if row is None:\n        return f"The file', 'if row is None and False:\n        return f"The file', PLAN),
    Mutant(EVIDENCE, "if row.proof != route.proof:", "if False:", PLAN),
    Mutant(EVIDENCE, "elsewhen = elsewhen or _off_the_table(seen, circumstances)", "pass", PLAN),
    Mutant(EVIDENCE, "if not seen.key.startswith(OF_A_ROUTE):", "if True:", PLAN),
    Mutant(EVIDENCE, "return \"It doesn't say of which route it is: look again and record.\"", 'return ""', PLAN),
    Mutant(EVIDENCE, "if not row.enforced:\n", "if False:\n", PLAN),
    Mutant(EVIDENCE, "if seen.key in BY_A_PROOF and not row.proved:", "if False:", PLAN),
    Mutant(EVIDENCE, "if seen.key in BY_A_PROOF and not row.proved:", "if not row.proved:", PLAN),
    Mutant(EVIDENCE, 'if row is None or not seen.key.startswith(OF_A_ROUTE):\n        return ""', 'if True:\n        return ""', PLAN),
    Mutant(EVIDENCE, "past = bool(elsewhen) and _names_what_it_saw(seen)", "past = bool(elsewhen)", PLAN),
    Mutant(EVIDENCE, "if past and seen.route is not None and _row(seen, circumstances) is None:", "if seen.route is not None and _row(seen, circumstances) is None:", PLAN),
    Mutant(EVIDENCE, "if past and seen.route is not None and _row(seen, circumstances) is None:", "if False:", PLAN),
    Mutant(EVIDENCE, "return None if lost and judged.bearing is _Bearing.PRESENT else seen.route", "return seen.route", PLAN),
    Mutant(EVIDENCE, "return None if lost and judged.bearing is _Bearing.PRESENT else seen.route", "return None", PLAN),
    Mutant(EVIDENCE, "(*whole.get(key, ()), *own.get(key, ()))", "own.get(key, ())", PLAN),
    Mutant(EVIDENCE, "for key in {**whole, **own}", "for key in own", PLAN),
    Mutant(EVIDENCE, "if found.state not in _WORTHLESS or not alike:", "if not alike:", PLAN),
    Mutant(EVIDENCE, "if found.state not in _WORTHLESS or not alike:", "if True:", PLAN),
    Mutant(EVIDENCE, "if age > circumstances.max_age:", "if False:", PLAN),
    Mutant(EVIDENCE, "if seen.environment is not Environment.PROD:", "if False:", PLAN),
    Mutant(EVIDENCE, "if seen.loopback:", "if False:", PLAN),
    Mutant(EVIDENCE, "if seen.key not in protection.evidence:", "if False:", PLAN),
    Mutant(EVIDENCE, "if current is None or got == current:", "if True:", PLAN),
    # For which assets what is seen may be relied on.
    Mutant(EVIDENCE, "if each.state.counts and row is not None:", "if row is not None:", PLAN),
    Mutant(EVIDENCE, "bad_on |= {r for r in table if r.path == route.path and r.decides(route.method)}", "pass", PLAN),
    Mutant(EVIDENCE, "r.path == route.path and r.decides(route.method)", "r.path == route.path", PLAN),
    Mutant(EVIDENCE, "r.path == route.path and r.decides(route.method)", "r.decides(route.method)", PLAN),
    Mutant(EVIDENCE, "return bool(own) and all(map(self._counts_on, own))", "return all(map(self._counts_on, own))", PLAN),
    Mutant(EVIDENCE, "return bool(own) and all(map(self._counts_on, own))", "return bool(own) and any(map(self._counts_on, own))", PLAN),
    Mutant(EVIDENCE, 'own = [row for row in rows if f"api:{row.api}" == place]', "own = list(rows)", PLAN),
    Mutant(EVIDENCE, "return bool(seen) and seen >= frozenset(row.methods)", "return bool(seen)", PLAN),
    Mutant(EVIDENCE, "return bool(seen) and seen >= frozenset(row.methods)", "return seen >= frozenset(row.methods)", PLAN),
    Mutant(EVIDENCE, "return place in self.bad and not self._counts_on_all(place, rows)", "return False", PLAN),
    Mutant(EVIDENCE, "return place in self.bad and not self._counts_on_all(place, rows)", "return place in self.bad", PLAN),
    Mutant(EVIDENCE, 'if any(row in self.bad_on for row in rows if f"api:{row.api}" == place):', "if False:", PLAN),
    Mutant(EVIDENCE, "there = all(self._counts_at", "there = any(self._counts_at", PLAN),
    Mutant(EVIDENCE, "frozenset(covered - leaning)", "frozenset(covered)", PLAN),
    Mutant(EVIDENCE, "for row in asset.rows if asset.routes and Actor.USER in asset.actors else ():", "for row in asset.rows if Actor.USER in asset.actors else ():", PLAN),
    Mutant(EVIDENCE, "if not (row.enforced and row.proved and firm):", "if not (row.enforced and firm):", PLAN),
    Mutant(EVIDENCE, "if not (row.enforced and row.proved and firm):", "if not (row.proved and firm):", PLAN),
    # Which row of the file decides.
    Mutant("plan/interface.py", "if each.path == path and each.decides(method)", "if each.path == path", PLAN),
    Mutant("plan/interface.py", "return not own or method in own or", "return True or", PLAN + ROWS),
    Mutant("plan/interface.py", "return self.mode == Mode.ENFORCE", "return self.mode != Mode.OFF", PLAN + ROWS),
    Mutant("plan/interface.py", "return self.proof in {Proof.SESSION, Proof.DEVICE}", "return self.proof != Proof.BEARER", PLAN + ROWS),
    Mutant("apps/settings/plan.py", "if matched.covers(wanted):\n                return", "if matched.covers(wanted):\n                pass", ROWS),
    Mutant("apps/settings/plan.py", "if matched.covers(wanted):\n                return", "return", ROWS),
    Mutant("apps/settings/plan.py", "if row.mode != Mode.OFF or", "if row.enforced or", ROWS),
    Mutant("apps/settings/plan.py", "frozenset() if methods is None else _SOME", "frozenset()", ROWS),
    Mutant("apps/settings/plan.py", "or not all(isinstance(word, str) for word in words) or", "or", ROWS),
    # What a drill says of which route.
    Mutant(FINDINGS, "if each in {route, None} or not (apart or each in lax)", "if True", DRILL),
    Mutant(FINDINGS, "if each in {route, None} or not (apart or each in lax)", "if each == route", DRILL),
    Mutant(FINDINGS, "if each in {route, None} or not (apart or each in lax)", "if each in {route, None} or not apart", DRILL),
    Mutant(FINDINGS, "if each in {route, None} or not (apart or each in lax)", "if each in {route, None} or each not in lax", DRILL),
    Mutant(FINDINGS, "if found.state is State.PROVEN and Verdict.STOPPED not in ends:", "if False:", DRILL),
    Mutant(FINDINGS, "and route.proof is Proof.BEARER and found.state not in _BAD:", "and False:", DRILL),
    Mutant(FINDINGS, "and route.proof is Proof.BEARER and found.state not in _BAD:", "and route.proof is Proof.BEARER:", DRILL),
    Mutant(FINDINGS, "State.ABSENT if Verdict.ABSENT in ends else None", "None", DRILL),
    Mutant(FINDINGS, "if not (table.tried and judge.key.startswith(OF_A_ROUTE)):", "if True:", DRILL),
    Mutant(FINDINGS, "if not (table.tried and judge.key.startswith(OF_A_ROUTE)):", "if not table.tried:", DRILL),
    Mutant(FINDINGS, "and not each.login and (each.mode is not Mode.OFF or each.assets)", "and not each.login", DRILL),
    Mutant(FINDINGS, "if mode is not Mode.ENFORCE)", "if mode is Mode.OFF)", DRILL),
    Mutant(FINDINGS, "if left_out or not self.complete:", "if left_out:", DRILL),
    Mutant(FINDINGS, "if unsure or absent:", "if unsure:", DRILL),
    Mutant("drill/judgements.py", "routes[seen] = worst([ended, routes.get(seen, ended)])", "routes[seen] = ended", DRILL),
    Mutant("drill/interface.py", "for some in (enforced, fitting):", "for some in (fitting,):", DRILL),
    Mutant("drill/interface.py", "if each.mode is not Mode.OFF or each.assets) or found", "if each.mode is not Mode.OFF) or found", DRILL),
    Mutant("drill/attacks/token_alone.py", "    if sample.assets:\n", "    if False:\n", DRILL),
    # What is asked for, recorded and read.
    Mutant("apps/drill/run.py", "        route=route,\n", "", DRILL),
    Mutant("apps/drill/run.py", "for route in finding.routes or (None,)", "for route in (finding.routes or (None,))[:1]", DRILL),
    Mutant("apps/drill/harness.py", "if route.mode is Mode.OFF and living and not asked:", "if False:", SAMPLES),
    Mutant("apps/drill/harness.py", "if request.method in _SAFE:", "if True:", SAMPLES),
    Mutant("apps/drill/harness.py", "if each.routes and row in each.rows", "if row in each.rows", SAMPLES),
    Mutant("apps/drill/run.py", "if before.generation != after.generation:", "if False:", SAMPLES),
    Mutant("apps/drill/run.py", "if before.enforced.routes != tuple(routes):", "if False:", SAMPLES),
    Mutant("apps/drill/run.py", "if before.enforced != after.enforced:", "if False:", SAMPLES),
    Mutant("apps/observations/document.py", '_route(members["route"], members["target"]) if "route" in members else None', "None", LINES),
    Mutant("apps/observations/document.py", 'if not target.startswith("api:"):', "if False:", LINES),
)  # fmt: skip


def killed(mutant: Mutant) -> bool:
    """Tell whether a test fails under a mutant.

    :raises ValueError: where the source hasn't what is to be changed.
    """
    with tempfile.TemporaryDirectory() as place:
        package = Path(place) / "watchword"
        shutil.copytree(ROOT / "src" / "watchword", package, ignore=shutil.ignore_patterns("*.pyc"))
        file = package / mutant.file
        text = file.read_text("utf-8")
        if mutant.old not in text:
            raise ValueError(f"{mutant.file} has no {mutant.old!r}")
        file.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        options = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--no-header")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *mutant.tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
        )
    return done.returncode == 1


def run(mutants: Sequence[Mutant]) -> int:
    """Run them all, print how each ended, and return 1 where one lives."""
    ends = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for mutant, dead in zip(mutants, pool.map(killed, mutants), strict=True):
            ends.append(dead)
            word = "killed" if dead else "LIVES"
            print(f"{word:<8}{mutant.file}: {mutant.old!r} -> {mutant.new!r}", flush=True)
    print(f"{sum(ends)} of {len(ends)} killed")
    return 0 if all(ends) else 1


if __name__ == "__main__":
    sys.exit(run(MUTANTS))
