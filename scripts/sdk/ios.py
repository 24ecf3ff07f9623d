"""Build the iOS SDK's package on Linux in both of Swift's language modes, and run its tests.

What is compiled lies in ``build/sdk/ios/``, a directory for each way to build it: SwiftPM compiles anew what changed, whoever asks.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from scripts.sdk import ROOT, SdkError
from scripts.sdk.android import Outcome
from scripts.sdk.tools import alone

SOURCES: Final = ROOT / "sdk" / "ios"
OUT: Final = ROOT / "build" / "sdk" / "ios"
TESTS: Final = "WatchwordKitPackageTests.xctest"

_RACE: Final = "ThreadSanitizer: "
_NOISE: Final = re.compile(r"\x1b\[[0-9;]*m")
_SUITE: Final = re.compile(r"^(?:@\w[^\n]*\s)?(?:\w+ )*(?:struct|class|actor|extension|enum) (\w+)")
_TEST: Final = re.compile(r"@Test\b")
_FUNCTION: Final = re.compile(r"\bfunc (\w+)")


class Way(NamedTuple):
    """Hold a way to build the package.

    :param name: of its directory.
    :param options: what SwiftPM is told.
    :param configuration: `debug`, which tests need, or `release`.
    """

    name: str
    options: tuple[str, ...]
    configuration: str = "debug"


# A package for tools of 5.9 is compiled as Swift 5 unless the last word is another's.
SWIFT_5: Final = Way("swift-5", ("-Xswiftc", "-warnings-as-errors"))
SWIFT_6: Final = Way(
    "swift-6",
    (
        "--sanitize",
        "thread",
        "-Xswiftc",
        "-swift-version",
        "-Xswiftc",
        "6",
        "-Xswiftc",
        "-warnings-as-errors",
    ),
)
"""Also with the thread sanitizer: one build shows both."""

RELEASE: Final = Way("release", (), "release")


def built(
    way: Way, *, out: Path = OUT, product: str | None = None, package: Path = SOURCES
) -> Path:
    """Return the directory with what was built: everything with its tests, or one product alone.

    :param package: the Swift package, where it isn't the SDK's own.
    :raises SdkError: with the compiler's words, a warning's too.
    """
    asked = ("--product", product) if product else ("--build-tests",)
    with alone(out / f"{way.name}.lock"):
        return _build(way, out, package, *asked)


def _build(way: Way, out: Path, package: Path, *asked: str) -> Path:
    place = out / way.name
    done = subprocess.run(
        [
            "swift",
            "build",
            "--package-path",
            str(package),
            "--scratch-path",
            str(place),
            "--configuration",
            way.configuration,
            *way.options,
            *asked,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    said = _NOISE.sub("", done.stdout + done.stderr)
    if done.returncode or "warning: " in said:
        name = package.relative_to(ROOT)
        raise SdkError(f"{name} as {way.name}: {_complaints(said)}")
    return place / way.configuration


def environment() -> dict[str, str]:
    """Return what SwiftPM runs with.

    :raises SdkError: where there is no Swift.
    """
    if not shutil.which("swift"):
        raise SdkError("expected swift: install swiftlang (Debian: apt install swiftlang)")
    return {**os.environ, "NO_COLOR": "1"}


def tool(name: str) -> Path:
    """Return a program of Swift's toolchain, which Debian keeps beside the compiler.

    :raises SdkError: where it isn't there.
    """
    found = Path(os.path.realpath(shutil.which("swift") or "swift")).parent / name
    if not found.exists():
        raise SdkError(f"{found}: missing: install swiftlang (Debian: apt install swiftlang)")
    return found


def _complaints(said: str) -> str:
    """Return what a compiler complains of, each complaint once; all that it said where none is found."""
    found = re.findall(r"^(?:/.*: )?(?:error|warning): .*$", said, re.MULTILINE)
    return "\n".join(dict.fromkeys(found)) or said.strip()


def run(
    way: Way, wanted: Sequence[str] = (), seconds: float | None = None, *, out: Path = OUT
) -> list[Outcome]:
    """Build the package, run its tests and return how each ended.

    :param wanted: regular expressions of tests; none: all.
    :param seconds: after which a run that doesn't end is stopped.
    :raises SdkError: where it doesn't compile, the run fails as a whole, or the thread sanitizer finds a race.
    """
    return run_tests(built(way, out=out) / TESTS, wanted, seconds)


def run_tests(
    program: Path, wanted: Sequence[str] = (), seconds: float | None = None
) -> list[Outcome]:
    """Run the tests of a built program; as `run` does."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [str(program), "--testing-library", "swift-testing"]
        chosen = [word for each in wanted for word in ("--filter", each)]
        try:
            done = subprocess.run(
                [*command, "--xunit-output", str(report), *chosen],
                capture_output=True,
                text=True,
                check=False,
                errors="replace",
                cwd=place,
                timeout=seconds,
                env=environment(),
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
            raise SdkError(
                f"the tests: no end in {seconds:.0f} s; unfinished: {', '.join(unfinished(said))}"
            ) from None
        text = report.read_text(encoding="utf-8") if report.exists() else ""
    said = done.stdout + done.stderr
    if _RACE in said:
        raise SdkError(f"the thread sanitizer:\n{said[said.index(_RACE) :][:20_000]}")
    found = outcomes(text)
    failed = any(each.status == "failed" for each in found)
    if not found or bool(done.returncode) != failed:
        unknown = f"exit {done.returncode}; unfinished: {', '.join(unfinished(said))}"
        raise SdkError(f"the tests: {unknown}\n{said[-4_000:]}")
    return found


def unfinished(said: str) -> list[str]:
    """Return the tests that started and of which no end was told."""
    said = _NOISE.sub("", said)
    started = re.findall(r"\bTest (\w+)\(.*?\) started\.", said)
    ended = set(re.findall(r"\bTest (\w+)\(.*?\) (?:passed|failed|skipped)", said))
    return [each for each in dict.fromkeys(started) if each not in ended]


def outcomes(report: str) -> list[Outcome]:
    """Return how each test of a run's report ended; none where the run died while it was written."""
    try:
        root = ET.fromstring(report)
    except ET.ParseError:
        return []
    found = []
    for case in root.iter("testcase"):
        suite = case.get("classname", "").partition(".")[2]
        name = case.get("name", "").partition("(")[0]
        failures = [each.get("message") or each.text or "" for each in case.iter("failure")]
        skipped = case.find("skipped") is not None
        status = "failed" if failures else "skipped" if skipped else "passed"
        found.append(Outcome("/".join(filter(None, (suite, name))), status, "\n".join(failures)))
    return found


def declared(folder: Path = SOURCES / "Tests") -> list[str]:
    """Return the tests that stand in the sources, as `run` names them: the suite at the margin, a stroke, the function."""
    return [
        test
        for file in sorted(folder.rglob("*.swift"))
        for test in _declared(file.read_text(encoding="utf-8"))
    ]


def _declared(text: str) -> list[str]:
    found: list[str] = []
    suite, wanted = "", False
    for line in text.splitlines():
        if line.startswith("}"):
            suite = ""
        code = line.partition("//")[0]
        if at_margin := _SUITE.match(code):
            suite = at_margin[1]
        wanted = wanted or bool(_TEST.search(code))
        if wanted and (function := _FUNCTION.search(code)):
            found.append(f"{suite}/{function[1]}" if suite else function[1])
            wanted = False
    return found
