"""Change the SDKs' rules in one thing each, and show that a test notices: ``python -m scripts.sdk.mutants``.

``sdk/android/mutants.toml`` and ``sdk/ios/mutants.toml`` have the changes.  Of Kotlin one process compiles and tests all of them: most of
a compiler's time is its start.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from scripts.sdk import ROOT, TOOLS, SdkError, ios_mutants
from scripts.sdk.android import Build, jars_of, junit_classes, modules
from scripts.sdk.mutant_rows import TABLES, Mutant, mutants

_ALIVE: Final = "alive"
_UNCHANGED: Final = "unchanged"
_OPTIONS: Final = (
    "-no-stdlib",
    "-no-reflect",
    "-jvm-target",
    "11",
    "-language-version",
    "2.2",
    "-api-version",
    "2.2",
)
"""As `scripts.sdk.android` compiles, but that a mutant may have warnings."""


def _changed(chosen: Iterable[Mutant], place: Path) -> Iterable[tuple[str, Path]]:
    """Yield the name of each change and the file with it."""
    for index, mutant in enumerate(chosen):
        file = place / str(index) / mutant.source.name
        file.parent.mkdir()
        file.write_text(mutant.changed(), encoding="utf-8")
        yield mutant.about, file


def run(module: str, chosen: Sequence[Mutant]) -> int:
    """Print what killed each change, and return how many are alive with each library that the module is compiled against."""
    alive = list(chosen)
    for variant in modules()[module].variants:
        if alive:
            alive = _run_with(module, variant, alive)
    return len(alive)


def _run_with(module: str, variant: str, chosen: Sequence[Mutant]) -> list[Mutant]:
    """Print what killed each change with one library, and return those that are alive with it."""
    label = modules()[module].label(variant)
    build = Build()
    compiler = [TOOLS / "kotlin" / f"{name}.jar" for name in ("kotlin-compiler", "kotlin-stdlib")]
    compiler += [TOOLS / "kotlin" / "kotlinx-coroutines-core-jvm.jar", *jars_of("junit")]
    # A changed file is compiled against all others as they are, and stands before them.
    shared = build.classpath(module, variant)
    tests = [*shared, build.compiled_tests(module, variant)]
    friends = [build.compiled(each, variant) for each in (module, *modules()[module].needs)]
    seen = f"-Xfriend-paths={','.join(map(str, friends))}"
    options = [*_OPTIONS, "-module-name", f"watchword-{module}", seen]
    alive = set()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        listed = place / "copies"
        copies = [(_UNCHANGED, chosen[0].source), *_changed(chosen, place)]
        rows = [f"{name}\t{file}\n" for name, file in copies]
        listed.write_text("".join(rows), encoding="utf-8")
        command = ["java", "-ea", "-XX:+UseSerialGC", "-Xmx1500m", f"-Dwatchword.root={ROOT}"]
        command += [f"-Djava.io.tmpdir={place}", "-cp", _joined(compiler)]
        command += [str(Path(__file__).parent / "mutator" / "Mutator.java"), str(listed)]
        command += [_joined(shared), _joined(tests), " ".join(options), *junit_classes(module)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place) as process:
            assert process.stdout is not None
            for line in process.stdout:
                name, _, killer = line.rstrip("\n").partition("\t")
                if name == _UNCHANGED and killer != _ALIVE:
                    raise SystemExit(f"{label}: the tests fail without any change: {killer}")
                if killer == _ALIVE:
                    alive.add(name)
                sys.stdout.write(f"{label}: {name}: {killer}\n")
                sys.stdout.flush()
        if process.returncode:
            raise SystemExit(f"{label}: the run failed")
    return [each for each in chosen if each.about in alive]


def _joined(jars: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the table, or what of it has a word in its description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdk", choices=TABLES)
    parser.add_argument("--module")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args(arguments)
    chosen = [
        each
        for each in mutants()
        if options.sdk in (None, each.sdk)
        and options.module in (None, each.module)
        and all(word in each.about for word in options.words)
    ]
    kotlin = [each for each in chosen if each.sdk == "android"]
    alive = sum(
        run(module, [each for each in kotlin if each.module == module])
        for module in sorted({each.module for each in kotlin})
    )
    swift = [each for each in chosen if each.sdk == "ios"]
    alive += _run_swift(swift) if swift else 0
    sys.stdout.write(f"{len(chosen)} mutants, {alive} of them alive\n")
    return 1 if alive else 0


def _run_swift(chosen: Sequence[Mutant]) -> int:
    alive = 0
    try:
        for mutant, killer in ios_mutants.run(chosen):
            alive += killer == ios_mutants.ALIVE
            sys.stdout.write(f"{mutant.module}: {mutant.about}: {killer}\n")
            sys.stdout.flush()
    except SdkError as error:
        raise SystemExit(str(error)) from None
    return alive


if __name__ == "__main__":
    sys.exit(main())
