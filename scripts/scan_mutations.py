"""Take out one rule of what counts as seen at a time, and run the tests of it: each must turn red.

``python -m scripts.scan_mutations`` runs all of them on copies of the source; words choose those whose names hold one. Exits with 1
where a mutant lives.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.drill_mutations.__main__ import mutated
from scripts.drill_mutations.mutation import Mutation

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/unit/scan/test_frameworks.py",
    "tests/unit/scan/test_outcome.py",
    "tests/unit/scan/rules/test_android_rules.py",
)
TIMEOUT_SECONDS = 600


class Mutant(NamedTuple):
    """Hold what is taken out, and the edit of one file below ``src/watchword/scan`` that does so."""

    name: str
    file: str
    before: str
    after: str


MUTANTS = (
    Mutant("a framework that a rule doesn't name is seen", "app.py", "if each.framework not in reads or each", "if each.framework in reads and each"),
    Mutant("strings are enough where calls are asked", "app.py", "each.depth.rank < reads[each.framework].rank", "each.depth.rank < min(1, reads[each.framework].rank)"),
    Mutant("unread code is as good as strings", "app.py", "each.depth.rank < reads[each.framework].rank", "each.depth.rank + 1 < reads[each.framework].rank"),
    Mutant("no code is hidden", "app.py", "if each.depth is not Depth.CALLS", "if False"),
    Mutant("code of which only strings were read isn't hidden", "app.py", "if each.depth is not Depth.CALLS", "if each.depth is Depth.UNREAD"),
    Mutant("an entry with a gap is read", "notes.py", "Depth.UNREAD if self.missed(where) else ", ""),
    Mutant("the later reader counts, not the deeper", "notes.py", "if depth.rank > self._depths.get(where, Depth.UNREAD).rank:", "if True:"),
    Mutant("frameworks aren't noted", "notes.py", "self._frameworks = tuple(frameworks)", "self._frameworks = ()"),
    Mutant("a look misses no code", "rule_kinds.py", "[*gaps, *map(str, self.app.coverage.unread(self.reads))]", "gaps"),
    Mutant("absent whatever was missed", "rule_kinds.py", 'if not self.whole:\n            return self.not_seen(subject, f"It', 'if False:\n            return self.not_seen(subject, f"It'),
    Mutant("clean whatever was missed", "rule_kinds.py", 'if not self.whole:\n            title = f"Nothing', 'if False:\n            title = f"Nothing'),
    Mutant("a rule for Android reads all", "rule_kinds.py", "RuleContext(self.id, app, self.parts, self.reads)", "RuleContext(self.id, app, self.parts, {each: Depth.UNREAD for each in Framework})"),
    Mutant("a rule for iOS reads all", "rule_kinds.py", "self._parts_of(app), self.reads)", "self._parts_of(app), {each: Depth.UNREAD for each in Framework})"),
    Mutant("unread code proves", "outcome.py", "if unread := unread_line(coverage, _reads(rule)):", 'if unread := "":'),
    Mutant("gaps prove", "outcome.py", "if gaps := coverage.gaps_of(*parts):", "if gaps := ():"),
    Mutant("readers that disagree prove", "outcome.py", 'different things." if disagreements else', 'different things." if False else'),
    Mutant("a rule that says nothing sees all", "outcome.py", 'getattr(rule, "reads", {})', 'getattr(rule, "reads", {each: Depth.UNREAD for each in Framework})'),
    Mutant("a rule that says no parts asks none", "outcome.py", 'getattr(rule, "parts", tuple(Part))', 'getattr(rule, "parts", ())'),
    Mutant("absent beside unread code", "outcome.py", "if coverage.unread(_reads(rule)):", "if False:"),
    Mutant("not seen beside good news proves", "outcome.py", "        *unseen,\n", ""),
    Mutant("what is only possible proves", "outcome.py", "firm = [each for each in there if _firm(each)]", "firm = there"),
    Mutant("the best of several rules decides", "outcome.py", "(State.BROKEN, State.ABSENT, None, State.PROVEN)", "(State.BROKEN, State.ABSENT, State.PROVEN, None)"),
    Mutant("hidden code leaves a report whole", "outcome.py", "or self.coverage.hidden", ""),
    Mutant("a rule keeps quiet of what it didn't see", "service.py", "if found and unread and not said:", "if False:"),
    Mutant("a rule's own absent is taken over", "service.py", "if unread and each.verdict is Verdict.ABSENT:", "if False:"),
    Mutant("a rule that says nothing has nothing to tell", "service.py", 'getattr(rule, "reads", {})', 'getattr(rule, "reads", dict.fromkeys(app.coverage.frameworks and type(app.coverage.frameworks[0].framework) or (), app.coverage.frameworks and type(app.coverage.frameworks[0].depth)("unread")))'),
    Mutant("a scan that ended before looked for all", "../adapters/app_package/package.py", "if found is None:", "if False:"),
    Mutant("scripts that the code shows are no code", "frameworks.py", "if scripts and self._engine.isdisjoint(scripts):", "if False:"),
    Mutant("a gap of its signature hides an executable", "frameworks.py", "if each.part is Part.NATIVE]", "]"),
    Mutant("marks of names aren't looked for", "frameworks.py", "if known.marks.fullmatch(place)", "if False"),
    Mutant("first bytes aren't looked at", "frameworks.py", "elif head[:4] in _MAGICS:", "elif False:"),
    Mutant("symbols aren't looked at", "frameworks.py", "if any(symbol.startswith(known.symbols) for symbol in native.symbols)", "if False"),
    Mutant("a framework whose code isn't found is read", "frameworks.py", "            default=Depth.UNREAD,\n", "            default=Depth.CALLS,\n"),
    Mutant("a framework is as deep as its best entry", "frameworks.py", "depth = min(", "depth = max("),
    Mutant("bytecode counts as a script", "frameworks.py", "_version(head) if hermes.is_hermes(head) else None", "None"),
    Mutant("packers aren't known", "frameworks.py", 'if pattern.fullmatch(place):\n                    return f"{name}, which', 'if False:\n                    return f"{name}, which'),
    Mutant("nothing lies behind DEX", "frameworks.py", "and more >= _LEAST_PAYLOAD", "and False"),
    Mutant("what is started and isn't there is no sign", "frameworks.py", "gone = [each for each in started if not _holds(code, each)]", "gone: list[str] = []"),
    Mutant("a component that isn't there is no gap", "frameworks.py", "self._notes.gap(Part.DEX, lost[0], why)", "pass"),
    Mutant("half of the components may be missing", "frameworks.py", "if lost and 2 * len(lost) >= len(declared):", "if False:"),
    Mutant("a native entrance is no sign", "frameworks.py", 'if method.name in {"onCreate", "attachBaseContext"}:', "if False:"),
    Mutant("nothing looks encrypted", "frameworks.py", "and _entropy(sample) >= _RANDOM_FROM", "and False"),
    Mutant("class loaders aren't looked for", "frameworks.py", "            if loaders:\n", "            if False:\n"),
    Mutant("native code is nobody's", "frameworks.py", "                mine.append(native)\n", "                pass\n"),
    Mutant("native code opens no connection", "frameworks.py", "return any(map(_CONNECTS.fullmatch, native.symbols)) or any(", "return False and any("),
    Mutant("a manifest without code is fine", "frameworks.py", 'self._notes.gap(Part.DEX, "AndroidManifest.xml", why)\n\n    def _missing', "pass\n\n    def _missing"),
    Mutant("a base is the whole app", "frameworks.py", "if manifest is not None and manifest.needs_splits:", "if False:"),
    Mutant("an executable that isn't there was read", "frameworks.py", "read = bool(files) and not any(", "read = not any("),
    Mutant("runs of characters are strings", "texts/reader.py", "if text.whole:", "if True:"),
)  # fmt: skip


def lives(mutant: Mutant) -> bool:
    """Tell whether the tests pass on a copy of the source with the edit."""
    with tempfile.TemporaryDirectory() as directory:
        edit = Mutation(mutant.name, f"scan/{mutant.file}", mutant.before, mutant.after, ())
        source = mutated(edit, Path(directory))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    # Another end than a failed test, such as one that can't be collected, shows nothing.
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{mutant.name}: {done.stdout.decode()[-2000:]}")
    return done.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants; 1 if any lives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    words = parser.parse_args(arguments).words
    alive = 0
    for mutant in MUTANTS:
        if words and not any(word in mutant.name for word in words):
            continue
        lived = lives(mutant)
        alive += lived
        print(f"{'LIVES' if lived else 'killed'}  {mutant.name} ({mutant.file})", flush=True)
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
