"""Change the Android SDK's rules in one thing each, and show that a test notices: ``python -m scripts.sdk.mutants``.

``sdk/android/mutants.toml`` has the changes.  One process compiles and tests all of them: most of a compiler's time is its start.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scripts.sdk import ROOT, TOOLS
from scripts.sdk.android import SOURCES, Build, jars_of, junit_classes, modules

TABLE: Final = SOURCES / "mutants.toml"
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


class Mutant(NamedTuple):
    """Hold one change: what stands once in a file below a module's ``src/main/kotlin``, and what is put in its place."""

    module: str
    file: str
    about: str
    old: str
    new: str

    @property
    def source(self) -> Path:
        """Return the file that it changes."""
        return SOURCES / self.module / "src" / "main" / "kotlin" / self.file


def mutants() -> list[Mutant]:
    """Return the table."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return [
        Mutant(module, row["file"], row["about"], row["old"], row["new"])
        for module, each in rows.items()
        for row in each
    ]


def _changed(chosen: Iterable[Mutant], place: Path) -> Iterable[tuple[str, Path]]:
    """Yield the name of each change and the file with it."""
    for index, mutant in enumerate(chosen):
        text = mutant.source.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(
                f"{mutant.file}: {mutant.about}: `{mutant.old}` doesn't stand there once"
            )
        file = place / str(index) / mutant.source.name
        file.parent.mkdir()
        file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        yield mutant.about, file


def run(module: str, chosen: Sequence[Mutant]) -> int:
    """Print what killed each change, and return how many are alive."""
    build = Build()
    compiler = [TOOLS / "kotlin" / f"{name}.jar" for name in ("kotlin-compiler", "kotlin-stdlib")]
    compiler += [TOOLS / "kotlin" / "kotlinx-coroutines-core-jvm.jar", *jars_of("junit")]
    # A changed file is compiled against all others as they are, and stands before them.
    shared = build.classpath(module)
    tests = [*shared, build.compiled_tests(module)]
    friends = [build.compiled(each) for each in (module, *modules()[module].needs)]
    seen = f"-Xfriend-paths={','.join(map(str, friends))}"
    options = [*_OPTIONS, "-module-name", f"watchword-{module}", seen]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        listed = place / "copies"
        unchanged = [(_UNCHANGED, chosen[0].source)] if chosen else []
        rows = [f"{name}\t{file}\n" for name, file in (*unchanged, *_changed(chosen, place))]
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
                    raise SystemExit(f"{module}: the tests fail without any change: {killer}")
                alive += killer == _ALIVE and name != _UNCHANGED
                sys.stdout.write(f"{module}: {name}: {killer}\n")
                sys.stdout.flush()
        if process.returncode:
            raise SystemExit(f"{module}: the run failed")
    return alive


def _joined(jars: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the table, or what of it has a word in its description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args(arguments)
    chosen = [
        each
        for each in mutants()
        if options.module in (None, each.module)
        and all(word in each.about for word in options.words)
    ]
    alive = sum(
        run(module, [each for each in chosen if each.module == module])
        for module in sorted({each.module for each in chosen})
    )
    sys.stdout.write(f"{len(chosen)} mutants, {alive} of them alive\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
