"""Compile the Android SDK's modules, each once, and run their tests by JUnit.

``sdk/android/modules.toml`` says what there is.  A jar is named by the hash of all that it was made of, under ``build/sdk/android/``:
whoever asks for it again, in whichever process, gets the file that is there.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from scripts.sdk import ROOT, TOOLS, SdkError
from scripts.sdk.tools import alone

SOURCES: Final = ROOT / "sdk" / "android"
OUT: Final = ROOT / "build" / "sdk" / "android"
_KOTLIN: Final = TOOLS / "kotlin"
_REPORTER: Final = Path(__file__).parent / "TestReport.java"

_JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx1g")
_KOTLINC: Final = (
    "-no-stdlib",
    "-no-reflect",
    "-jvm-target",
    "11",
    "-Xjdk-release=11",
    # The level of OkHttp's newest release: an app that can use that can use this.
    "-language-version",
    "2.2",
    "-api-version",
    "2.2",
    "-Werror",
)
_JAVAC: Final = (
    "--release",
    "11",
    "-proc:none",
    "-Xlint:all,-options",
    "-Werror",
    "-encoding",
    "UTF-8",
)


class Module(NamedTuple):
    """Hold what ``modules.toml`` says of a module; its head says what each field means."""

    name: str
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    compiled_with: tuple[str, ...] = ()
    tested_with: tuple[str, ...] = ()
    artifact: str | None = None


class Outcome(NamedTuple):
    """Hold how one JUnit test ended.

    :param test: the class without its package, and the method.
    :param status: `passed`, `failed` or `skipped`.
    :param message: of a failure: its message and where it arose.
    """

    test: str
    status: str
    message: str


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((SOURCES / "modules.toml").read_text(encoding="utf-8"))


@cache
def modules() -> Mapping[str, Module]:
    """Return the modules by name, each after those that it needs."""
    found = {
        name: Module(
            name,
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in said.items()
            },
        )
        for name, said in _table()["modules"].items()
        if (SOURCES / name / "src" / "main").is_dir()
    }
    for at, each in enumerate(found.values()):
        for other in each.needs:
            if other not in list(found)[:at]:
                raise SdkError(
                    f"modules.toml: {each.name}: needs {other}, which must stand above it"
                )
    return found


def jars_of(library: str) -> list[Path]:
    """Return the jars of a library of others.

    :raises SdkError: where one is missing.
    """
    jars = [ROOT / jar for jar in _table()["libraries"][library]["jars"]]
    for jar in jars:
        if not jar.is_file():
            raise SdkError(f"{jar}: missing: run make sdk-tools")
    return jars


def _known(names: Iterable[str], variant: str) -> list[Path]:
    """Return the jars of modules, with what they need, and of libraries, in the order in which they are named."""
    found: list[Path] = []
    for name in names:
        if name not in modules():
            found += jars_of(name)
            continue
        found += [compiled(name, variant), *_known(modules()[name].needs, variant)]
    return list(dict.fromkeys(found))


def variants(name: str) -> tuple[str, ...]:
    """Return the libraries that a module is compiled against one after the other; one empty name where there is no choice."""
    return modules()[name].libraries or ("",)


def _variant(name: str, wanted: str) -> str:
    """Return the variant of a module for who uses it: the wanted one, or its first."""
    return wanted if wanted in variants(name) else variants(name)[0]


def compiled(name: str, variant: str = "") -> Path:
    """Return the jar of a module, compiled if it isn't there.

    :param variant: the library that it is compiled against; empty: the first.
    :raises SdkError: with the compiler's words.
    """
    module, variant = modules()[name], _variant(name, variant)
    shared = _known([*module.needs, *module.compiled_with, *filter(None, [variant])], variant)
    friends = [compiled(other, variant) for other in module.needs]
    label = f"{name}-{variant}" if variant else name
    return _jar(label, SOURCES / name / "src" / "main", shared, friends, strict=name != "stubs")


def tests_of(name: str, variant: str = "") -> Path:
    """Return the jar of a module's tests, compiled if it isn't there."""
    main = compiled(name, variant)
    shared = classpath(name, variant)
    label = f"{name}-{variant}-test" if variant else f"{name}-test"
    friends = [main, *(compiled(other, variant) for other in modules()[name].needs)]
    return _jar(label, SOURCES / name / "src" / "test", shared, friends, strict=False)


def classpath(name: str, variant: str = "") -> list[Path]:
    """Return what a module's tests are compiled and run with, but these tests: the module first."""
    module, variant = modules()[name], _variant(name, variant)
    names = [name, *filter(None, [variant]), *module.compiled_with, *module.tested_with]
    return _known([*names, "kotlin-stdlib", "junit"], variant)


def _jar(
    label: str, folder: Path, shared: Sequence[Path], friends: Sequence[Path], *, strict: bool
) -> Path:
    """Return the jar of a folder's sources and resources, made if it isn't there.

    :param friends: the jars whose `internal` names these sources see.
    :param strict: every public name states that it is public, and its type.
    """
    sources = sorted(each for each in folder.rglob("*") if each.suffix in {".kt", ".java"})
    if not sources:
        raise SdkError(f"{folder}: expected sources in Kotlin or Java, got none")
    resources = sorted(each for each in (folder / "resources").rglob("*") if each.is_file())
    shared = list(dict.fromkeys([*shared, *jars_of("kotlin-stdlib")]))
    options = [*_KOTLINC, "-module-name", f"watchword-{label}"]
    options += ["-Xexplicit-api=strict"] if strict else []
    said = hashlib.sha256(repr((options, _JAVAC, [path.name for path in friends])).encode())
    for file in (*sources, *resources, *shared, _KOTLIN / "kotlin-compiler.jar"):
        inside = file.is_relative_to(folder)
        said.update(f"\0{file.relative_to(folder) if inside else file.name}\0".encode())
        said.update(_digest(file, file.stat().st_mtime_ns))
    made = OUT / label / f"{said.hexdigest()[:20]}.jar"
    with alone(OUT / f"{label}.lock"):
        if not made.exists():
            made.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=OUT) as place:
                classes = Path(place) / "classes"
                classes.mkdir()
                _compile(sources, classes, shared, [*options, *_friendly(friends)])
                for file in resources:
                    target = classes / file.relative_to(folder / "resources")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
                zipped(
                    Path(place) / "made.jar",
                    {
                        each.relative_to(classes).as_posix(): each.read_bytes()
                        for each in classes.rglob("*")
                        if each.is_file()
                    },
                )
                (Path(place) / "made.jar").replace(made)
            _forget(made)
        os.utime(made)
    return made


@cache
def _digest(file: Path, changed: int) -> bytes:
    del changed  # It is there so that a changed file is read again.
    return hashlib.sha256(file.read_bytes()).digest()


def _friendly(friends: Sequence[Path]) -> list[str]:
    return [f"-Xfriend-paths={','.join(map(str, friends))}"] if friends else []


def _forget(newest: Path) -> None:
    """Keep the three jars of a module that were used last: branches change, disks don't grow."""
    stale = sorted(newest.parent.glob("*.jar"), key=lambda each: each.stat().st_mtime)[:-3]
    for each in stale:
        each.unlink()


def _compile(
    sources: Sequence[Path], classes: Path, shared: Sequence[Path], options: Sequence[str]
) -> None:
    """Compile Kotlin first, which reads the Java beside it, then that Java."""
    path = os.pathsep.join(map(str, shared))
    if any(each.suffix == ".kt" for each in sources):
        compiler = os.pathsep.join(map(str, sorted(_KOTLIN.glob("*.jar"))))
        main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
        command = ["java", *_JVM, "-cp", compiler, main, *options]
        _run([*command, "-cp", path, "-d", str(classes), *map(str, sources)])
    if java := [str(each) for each in sources if each.suffix == ".java"]:
        _run(["javac", *_JAVAC, "-cp", f"{path}{os.pathsep}{classes}", "-d", str(classes), *java])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        said = (done.stderr + done.stdout).replace(f"{ROOT}/", "")
        raise SdkError(f"it doesn't compile:\n{said.strip()}")


def zipped(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on names and contents alone."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files, key=lambda each: (not each.startswith("META-INF/"), each)):
            entry = zipfile.ZipInfo(name, (1980, 2, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)


def test_classes(name: str) -> list[str]:
    """Return the classes with a module's tests: those whose file is named so."""
    folder = SOURCES / name / "src" / "test" / "kotlin"
    found = sorted(folder.rglob("*Test.kt"))
    return [".".join(each.relative_to(folder).with_suffix("").parts) for each in found]


def tested(name: str, classes: Sequence[str], variant: str = "") -> list[Outcome]:
    """Run test classes of a module and return how each test ended.

    :raises SdkError: where the run itself failed.
    """
    reporter = _jar_of_reporter()
    path = [tests_of(name, variant), *classpath(name, variant), reporter]
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report"
        command = [
            "java",
            "-ea",
            *_JVM,
            f"-Dwatchword.root={ROOT}",
            "-cp",
            os.pathsep.join(map(str, path)),
        ]
        done = subprocess.run(
            [*command, "TestReport", str(report), *classes],
            capture_output=True,
            text=True,
            check=False,
            cwd=place,
        )
        lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    if done.returncode or not lines:
        raise SdkError(f"{name}: the tests can't be run:\n{done.stderr}{done.stdout}".strip())
    return [Outcome(*map(unquote_plus, line.split(" "))) for line in lines]


def _jar_of_reporter() -> Path:
    folder = OUT / "reporter-sources"
    with alone(OUT / "reporter-sources.lock"):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(_REPORTER, folder / _REPORTER.name)
    return _jar("reporter", folder, jars_of("junit"), (), strict=False)
