"""Read the Android SDK's artifacts as Gradle would, and build them twice."""

import hashlib
import io
import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from scripts.sdk import android, apk
from scripts.sdk.package import package, version
from tests.conftest import Once

SHIPPED = {name: module for name, module in android.modules().items() if module.artifact}
POM = "{http://maven.apache.org/POM/4.0.0}"
JAVA_11 = 55


@pytest.fixture(scope="module")
def repository(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Maven repository with all artifacts."""

    def made() -> str:
        place = tmp_path_factory.mktemp("maven")
        package(android.Build(), place)
        return str(place)

    return Path(once("sdk-android", made))


def _file(repository: Path, module: str, ending: str) -> Path:
    name = f"watchword-{module}"
    place = repository / "dev" / "watchword" / name / version()
    return place / f"{name}-{version()}{ending}"


def _classes(file: Path) -> dict[str, bytes]:
    data = file.read_bytes()
    if file.suffix == ".aar":
        with zipfile.ZipFile(file) as archive:
            data = archive.read("classes.jar")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".class")}


@pytest.mark.parametrize("module", SHIPPED)
def test_only_own_classes_ship(repository: Path, module: str) -> None:
    """None of the stubs, of the tests, of another module; and all are for Java 11, which Android's dexer takes."""
    found = _classes(_file(repository, module, f".{SHIPPED[module].artifact}"))
    assert found
    tests = {each.stem for each in android.SOURCES.glob("*/src/test/**/*.kt")}
    assert tests
    for name, data in found.items():
        assert name.startswith("dev/watchword/"), name
        assert name.rpartition("/")[2].removesuffix(".class").partition("$")[0] not in tests, name
        assert int.from_bytes(data[6:8], "big") == JAVA_11, name
    others = [other for other in SHIPPED if other != module]
    for other in others:
        theirs = _classes(_file(repository, other, f".{SHIPPED[other].artifact}"))
        assert not found.keys() & theirs.keys(), other


@pytest.mark.parametrize(
    "module", [name for name, each in SHIPPED.items() if each.artifact == "aar"]
)
def test_archive_has_what_android_reads(repository: Path, module: str) -> None:
    """The manifest states the oldest phone; rules for shrinking are there."""
    with zipfile.ZipFile(_file(repository, module, ".aar")) as archive:
        names = set(archive.namelist())
        manifest = archive.read("AndroidManifest.xml").decode()
    wanted = {"AndroidManifest.xml", "classes.jar", "proguard.txt", "R.txt", "res/"}
    assert names == wanted
    assert 'android:minSdkVersion="24"' in manifest


@pytest.mark.parametrize("module", SHIPPED)
def test_rules_for_shrinking_ship(repository: Path, module: str) -> None:
    """Where R8 looks for them: in an AAR by its own name, in a jar by the module's; and an app's build takes these."""
    written = android.SOURCES / module / "consumer-rules.pro"
    kind = SHIPPED[module].artifact
    place = "proguard.txt" if kind == "aar" else f"META-INF/proguard/watchword-{module}.pro"
    with zipfile.ZipFile(_file(repository, module, f".{kind}")) as archive:
        found = {
            name: archive.read(name)
            for name in archive.namelist()
            if name == "proguard.txt" or name.startswith("META-INF/proguard/")
        }
    assert found == ({place: written.read_bytes()} if written.is_file() else {})
    if written.is_file():
        assert written.read_text(encoding="utf-8") in apk.shipped_rules(android.Build(), module)


def test_the_sample_takes_no_rule_of_what_it_lacks() -> None:
    """Those of its artifacts alone: test instances' would fail a build that has them."""
    rules = "".join(apk.shipped_rules(android.Build(), apk.SAMPLE))
    assert "isOneShot" in rules
    assert "TestInstance" not in rules


@pytest.mark.parametrize("module", SHIPPED)
def test_pom_names_what_is_needed(repository: Path, module: str) -> None:
    """Artifacts of ours at the same version, each of which is there; others at theirs."""
    root = ET.fromstring(_file(repository, module, ".pom").read_text(encoding="utf-8"))
    assert root.findtext(f"{POM}artifactId") == f"watchword-{module}"
    assert root.findtext(f"{POM}version") == version()
    assert root.findtext(f"{POM}description")
    needed = {
        str(each.findtext(f"{POM}artifactId")): each for each in root.iter(f"{POM}dependency")
    }
    own = {name for name in needed if name.startswith("watchword-")}
    assert own == {f"watchword-{other}" for other in SHIPPED[module].needs}
    assert {"kotlin-stdlib"} <= needed.keys() - own
    for name in own:
        other, each = name.removeprefix("watchword-"), needed[name]
        assert each.findtext(f"{POM}version") == version()
        ending = each.findtext(f"{POM}type") or "jar"
        assert _file(repository, other, f".{ending}").is_file()


@pytest.mark.parametrize("module", SHIPPED)
def test_sources_are_beside_it(repository: Path, module: str) -> None:
    """A debugger finds each file by its package."""
    folder = android.SOURCES / module / "src" / "main"
    with zipfile.ZipFile(_file(repository, module, "-sources.jar")) as archive:
        assert sorted(archive.namelist()) == sorted(
            each.relative_to(folder / each.relative_to(folder).parts[0]).as_posix()
            for each in folder.rglob("*")
            if each.suffix in {".kt", ".java"}
        )


def test_built_twice_the_bytes_agree(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another directory, time zone, language and mask of rights change nothing."""
    for name, value in {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        again = package(android.Build(tmp_path / "build"), tmp_path / "maven")
    finally:
        os.umask(before)
    assert len(again) == 3 * len(SHIPPED)
    for file in again:
        first = repository / file.relative_to(tmp_path / "maven")
        assert _digest(file) == _digest(first), file.name


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
