"""Run mutants of the iOS SDK: compile the changed file alone, link it with all else that was built, and run the tests until one fails.

A file compiles in seconds where SwiftPM would compile all that sees it.  So a change stays within a function: what other files see of
its file is as it was.
"""

import contextlib
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts.sdk import SdkError, ios
from scripts.sdk.mutant_rows import Mutant

ALIVE: Final = "alive"
_FAILED: Final = re.compile(r"Test (\w+\([^)]*\)|\"[^\"]*\") (?:recorded an issue|failed)")
_LISTED: Final = "WatchwordKitPackageTests.product/Objects.LinkFileList"
_LEAST_SECONDS: Final = 60.0


def run(chosen: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant with what killed it, or `ALIVE`.

    :raises SdkError: where the tests fail without any change, or a change doesn't compile.
    """
    debug = ios.built(ios.SWIFT_5)
    start = time.monotonic()
    if (killer := killed(debug / ios.TESTS, None)) != ALIVE:
        raise SdkError(f"the tests fail without any change: {killer}")
    # A change may make what was bounded endless; a slow machine makes the tests no slower than this.
    patience = max(_LEAST_SECONDS, 5 * (time.monotonic() - start))
    with tempfile.TemporaryDirectory() as folder:
        for mutant in chosen:
            program = _linked(debug, mutant, Path(folder))
            yield mutant, killed(program, patience)


def _linked(debug: Path, mutant: Mutant, place: Path) -> Path:
    """Return the tests' program with one file changed."""
    changed = place / mutant.source.name
    changed.write_text(mutant.changed(), encoding="utf-8")
    made = place / f"{mutant.source.name}.o"
    others = sorted(set(mutant.folder.rglob("*.swift")) - {mutant.source})
    modules = f"-fmodule-map-file={ios.SOURCES / 'Shims' / 'COpenSSL' / 'module.modulemap'}"
    compiler: list[str | Path] = [
        ios.tool("swift-frontend"),
        "-frontend",
        "-c",
        "-primary-file",
        changed,
        *others,
    ]
    compiler += ["-module-name", mutant.target, "-package-name", "ios", "-parse-as-library"]
    compiler += ["-DDEBUG", "-DSWIFT_PACKAGE"]
    compiler += ["-I", debug / "Modules", "-module-cache-path", debug / "ModuleCache"]
    compiler += ["-Onone", "-enable-testing", "-swift-version", "5", "-Xcc", modules, "-o", made]
    _done(mutant, compiler)
    own = f"/{mutant.target}.build/{mutant.source.name}.o"
    objects = (debug / _LISTED).read_text(encoding="utf-8").splitlines()
    if sum(each.endswith(own) for each in objects) != 1:
        raise SdkError(f"{debug / _LISTED}: expected one object that ends with {own}")
    program, listed = place / "tests", place / "objects"
    linked = [str(made) if each.endswith(own) else each for each in objects]
    listed.write_text("\n".join(linked), encoding="utf-8")
    _done(
        mutant,
        ["swiftc", "-use-ld=lld", f"@{listed}", "-emit-executable", "-o", program, "-lcrypto"],
    )
    return program


def _done(mutant: Mutant, command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SdkError(
            f"{mutant.about}: it doesn't compile, so that it shows nothing:\n{done.stderr}"
        )


def killed(program: Path, patience: float | None) -> str:
    """Run the tests until one fails; return it, how the run died, or `ALIVE`.

    :param patience: seconds after which a run that doesn't end counts as one that failed.
    """
    command = [str(program), "--testing-library", "swift-testing"]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=ios.environment()
        ) as tests,
    ):
        end = time.monotonic() + patience if patience else None
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                tests.wait(0.25)
            said.seek(0)
            text = said.read()
            if found := _FAILED.search(text):
                tests.kill()
                return found[1]
            if tests.returncode is not None:
                break
            if end and time.monotonic() > end:
                tests.kill()
                return f"no end: {', '.join(ios.unfinished(text)[:3])}"
    if tests.returncode:
        name = signal.Signals(-tests.returncode).name if tests.returncode < 0 else tests.returncode
        return f"{name}: {', '.join(ios.unfinished(text)[:3])}"
    return ALIVE
