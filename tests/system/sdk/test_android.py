"""Run the Android SDK's own tests, which JUnit has in Kotlin, and hold its sources to their form."""

import re
import subprocess

import pytest
from scripts.sdk import ROOT, TOOLS, SdkError, android
from tests.conftest import Once
from tests.machine import patience

CASES = [
    (name, variant, test)
    for name, module in android.modules().items()
    if not name.startswith("react-native")
    for variant in module.variants
    for test in android.junit_classes(name)
]
"""Each test class, with each library that its module is compiled against; React Native's are run with the rest of that module's."""


def assert_compiles(once: Once, module: str, variant: str) -> None:
    """Fail with the compiler's words, which are asked for once in a run, where a module or its tests don't compile."""

    def told() -> str:
        try:
            build = android.Build()
            build.compiled(module, variant)
            if android.junit_classes(module):
                build.compiled_tests(module, variant)
        except SdkError as error:
            return str(error)
        return ""

    if words := once(f"sdk-compiles-{module}-{variant}", told):
        pytest.fail(words, pytrace=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(filter(None, case)))
def test_junit(case: tuple[str, str, str], once: Once) -> None:
    """Every test of a class passes; of those that don't each is named, with what it said."""
    module, variant, test = case
    assert_compiles(once, module, variant)
    try:
        outcomes = android.Build().run_junit(module, [test], variant, patience(300))
    except SdkError as error:
        pytest.fail(str(error), pytrace=False)
    if failed := [each for each in outcomes if each.status != "passed"]:
        told = "\n\n".join(f"{each.test} {each.status}: {each.message}" for each in failed)
        pytest.fail(told, pytrace=False)


@pytest.mark.parametrize("module", android.modules())
def test_moduleassert_compiles(module: str, once: Once) -> None:
    """Without a warning, also where nothing tests it, and against each library that it is made for."""
    for variant in android.modules()[module].variants:
        assert_compiles(once, module, variant)


def test_sources_have_the_usual_form() -> None:
    """By ktlint's standard rules; ``java -jar .sdk/ktlint/ktlint -F "sdk/android/**/*.kt"`` mends most of it."""
    done = subprocess.run(
        ["java", "-jar", str(TOOLS / "ktlint" / "ktlint"), "--relative", "sdk/android/**/*.kt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_asserted_not_to_be_null() -> None:
    """What ships says what happens where a value is missing; ``!!`` doesn't."""
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in sorted(android.SOURCES.glob("*/src/main/**/*.kt"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"[\w)\]}]!!", line)
    ]
    assert found == []
