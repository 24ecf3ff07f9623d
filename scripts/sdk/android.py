"""Compile the Android SDK's modules, each once, and run their tests by JUnit.

``sdk/android/modules.toml`` says what there is.  A jar is named by the hash of all that it was made of, under ``build/sdk/android/``:
whoever asks for it again, in whichever process, gets the file that is there.
"""

import hashlib
import os
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
KOTLIN: Final = TOOLS / "kotlin"
_REPORTER: Final = "reporter"

JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx1g")
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
    needs: tuple[str, ...]
    libraries: tuple[str, ...]
    compiled_with: tuple[str, ...]
    tested_with: tuple[str, ...]
    artifact: str | None
    about: str
    folder: Path
    sources: tuple[str, ...]
    tests: str

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the libraries that it is compiled against one after the other; one empty name where there is none."""
        return self.libraries or ("",)

    def label(self, variant: str) -> str:
        """Return the name of its build with a library."""
        return f"{self.name}-{variant}" if len(self.libraries) > 1 else self.name


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
    """Return the modules by name, each after those that it needs.

    :raises SdkError: where one needs what stands below it.
    """
    found: dict[str, Module] = {}
    lists = ("needs", "libraries", "compiled_with", "tested_with")
    for name, said in _table()["modules"].items():
        folder = (SOURCES / said.get("folder", name)).resolve()
        if not (folder / "src" / "main").is_dir():
            continue
        needs, libraries, compiled, tested = (tuple(said.get(key, ())) for key in lists)
        artifact, about = said.get("artifact"), said.get("about", "")
        sources = tuple(said.get("sources", ("main",)))
        tests = said.get("tests", "test")
        module = Module(
            name, needs, libraries, compiled, tested, artifact, about, folder, sources, tests
        )
        for other in module.needs:
            if other not in found:
                raise SdkError(f"modules.toml: {name}: needs {other}, which must stand above it")
        found[name] = module
    return found


def jars_of(name: str) -> list[Path]:
    """Return the jars of a library of others.

    :raises SdkError: where one is missing.
    """
    jars = [ROOT / jar for jar in _table()["libraries"][name]["jars"]]
    for jar in jars:
        if not jar.is_file():
            raise SdkError(f"{jar}: missing: run make sdk-tools")
    return jars


def coordinates(name: str) -> str:
    """Return how a library of others is named in a POM: group, artifact and version."""
    return str(_table()["libraries"][name]["coordinates"])


def junit_classes(name: str) -> list[str]:
    """Return the classes with a module's tests: those whose file is named so."""
    module = modules()[name]
    folder = module.folder / "src" / module.tests / "kotlin"
    found = sorted(folder.rglob("*Test.kt"))
    return [".".join(each.relative_to(folder).with_suffix("").parts) for each in found]


class Build:
    """Hold what was compiled in a directory, and compile what isn't there yet.

    :param out: the directory; several processes may share it.
    """

    def __init__(self, out: Path = OUT) -> None:
        self.out = out

    def compiled(self, name: str, variant: str = "") -> Path:
        """Return the jar of a module.

        :param variant: the library that it is compiled against; one that it doesn't know, or none: its first.
        :raises SdkError: with the compiler's words.
        """
        module, variant = _of(name, variant)
        names = [*module.needs, *module.compiled_with, *filter(None, [variant])]
        shared = [*self._jars(names, variant), *jars_of("kotlin-stdlib")]
        friends = [self.compiled(other, variant) for other in module.needs]
        strict = module.artifact is not None
        label = module.label(variant)
        folders = [module.folder / "src" / each for each in module.sources]
        return self._jar(label, name, folders, shared, friends, strict=strict)

    def compiled_tests(self, name: str, variant: str = "") -> Path:
        """Return the jar of a module's tests."""
        module, variant = _of(name, variant)
        friends = [self.compiled(other, variant) for other in (name, *module.needs)]
        label = f"{module.label(variant)}-test"
        shared = self.classpath(name, variant)
        folder = module.folder / "src" / module.tests
        return self._jar(label, f"{name}-test", [folder], shared, friends, strict=False)

    def classpath(self, name: str, variant: str = "") -> list[Path]:
        """Return what a module's tests are compiled and run with, but these tests: the module first."""
        module, variant = _of(name, variant)
        names = [name, *filter(None, [variant]), *module.compiled_with, *module.tested_with]
        return self._jars([*names, "kotlin-stdlib", "junit"], variant)

    def program(self, folder: Path, name: str, variant: str = "") -> list[Path]:
        """Return what a program is run with, its own jar first.

        :param folder: its sources.
        :param name: the module that it is compiled and run with, and all that this needs.
        :raises SdkError: with the compiler's words.
        """
        shared = self.classpath(name, variant)
        return [self._jar("program", "program", [folder], shared, (), strict=False), *shared]

    def run_junit(
        self,
        name: str,
        classes: Sequence[str],
        variant: str = "",
        seconds: float | None = None,
    ) -> list[Outcome]:
        """Run test classes of a module and return how each test ended.

        :param seconds: after which a run that doesn't end is stopped.
        :raises SdkError: where the run itself failed.
        """
        folder = Path(__file__).parent / "junit"
        reporter = self._jar(_REPORTER, _REPORTER, [folder], jars_of("junit"), (), strict=False)
        path = [self.compiled_tests(name, variant), *self.classpath(name, variant), reporter]
        with tempfile.TemporaryDirectory() as place:
            report = Path(place) / "report"
            options = ["-ea", *JVM, f"-Dwatchword.root={ROOT}"]
            command = ["java", *options, "-cp", _joined(path), "TestReport", str(report), *classes]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, cwd=place, timeout=seconds
                )
            except subprocess.TimeoutExpired:
                raise SdkError(f"{name}: {', '.join(classes)}: no end in {seconds:.0f} s") from None
            lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
        if done.returncode or not lines:
            raise SdkError(f"{name}: the tests can't be run:\n{done.stderr}{done.stdout}".strip())
        return [Outcome(*map(unquote_plus, line.split(" "))) for line in lines]

    def _jars(self, names: Iterable[str], variant: str) -> list[Path]:
        """Return the jars of libraries and of modules with what these need, in the order in which they are named."""
        found: list[Path] = []
        for name in names:
            if name in modules():
                found.append(self.compiled(name, variant))
                found += self._jars(modules()[name].needs, variant)
            else:
                found += jars_of(name)
        return list(dict.fromkeys(found))

    def _jar(
        self,
        label: str,
        module: str,
        folders: Sequence[Path],
        shared: Sequence[Path],
        friends: Sequence[Path],
        *,
        strict: bool,
    ) -> Path:
        """Return the jar of the sources and resources of folders, made if it isn't there.

        :param label: the directory that it is kept in.
        :param module: what Kotlin calls it.
        :param friends: the jars whose `internal` names these sources see.
        :param strict: every public name states that it is public, and its type.
        """
        sources = [
            each
            for folder in folders
            for each in sorted(folder.rglob("*"))
            if each.suffix in {".kt", ".java"}
        ]
        if not sources:
            raise SdkError(f"{folders[0]}: expected sources in Kotlin or Java, got none")
        places = [folder / "resources" for folder in folders]
        resources = [
            each for place in places for each in sorted(place.rglob("*")) if each.is_file()
        ]
        options = [*_KOTLINC, "-module-name", f"watchword-{module}"]
        options += ["-Xexplicit-api=strict"] if strict else []
        said = hashlib.sha256(repr((options, _JAVAC, [path.name for path in friends])).encode())
        for file in (*sources, *resources, *shared, KOTLIN / "kotlin-compiler.jar"):
            name = next(
                (file.relative_to(each) for each in folders if file.is_relative_to(each)), file.name
            )
            said.update(f"\0{name}\0".encode() + _digest(file, file.stat().st_mtime_ns))
        made = self.out / label / f"{said.hexdigest()[:20]}.jar"
        with alone(self.out / f"{label}.lock"):
            if not made.exists():
                made.parent.mkdir(exist_ok=True)
                with tempfile.TemporaryDirectory(dir=self.out) as place:
                    classes = Path(place) / "classes"
                    classes.mkdir()
                    _compile(sources, classes, shared, [*options, *_friendly(friends)])
                    files = _inside(classes)
                    for each in places:
                        files |= _inside(each)
                    zipped(Path(place) / "made.jar", files)
                    (Path(place) / "made.jar").replace(made)
                _forget(made)
            os.utime(made)
        return made


def _of(name: str, variant: str) -> tuple[Module, str]:
    """Return a module, and the variant that is meant: the one that is named, or its first."""
    module = modules()[name]
    return module, variant if variant in module.variants else module.variants[0]


@cache
def _digest(file: Path, changed: int) -> bytes:
    del changed  # It is there so that a changed file is read again.
    return hashlib.sha256(file.read_bytes()).digest()


def _friendly(friends: Sequence[Path]) -> list[str]:
    return [f"-Xfriend-paths={','.join(map(str, friends))}"] if friends else []


def _forget(newest: Path) -> None:
    """Keep the three jars of a module that were used last: branches change, disks don't grow."""
    for each in sorted(newest.parent.glob("*.jar"), key=lambda each: each.stat().st_mtime)[:-3]:
        each.unlink()


def _compile(
    sources: Sequence[Path], classes: Path, shared: Sequence[Path], options: Sequence[str]
) -> None:
    """Compile Kotlin first, which reads the Java beside it, then that Java.

    :raises SdkError: with the compiler's words.
    """
    if any(each.suffix == ".kt" for each in sources):
        main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
        command = ["java", *JVM, "-cp", _joined(sorted(KOTLIN.glob("*.jar"))), main, *options]
        _run([*command, "-cp", _joined(shared), "-d", str(classes), *map(str, sources)])
    if java := [str(each) for each in sources if each.suffix == ".java"]:
        path = _joined([*shared, classes])
        _run(["javac", *_JAVAC, "-cp", path, "-d", str(classes), *java])


def _joined(jars: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        said = (done.stderr + done.stdout).replace(f"{ROOT}/", "")
        raise SdkError(f"it doesn't compile:\n{said.strip()}")


def _inside(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by their paths in it."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


def zipped(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on names and contents alone."""
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files, key=lambda each: (not each.startswith("META-INF/"), each)):
            entry = zipfile.ZipInfo(name, (1980, 2, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
