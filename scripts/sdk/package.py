"""Package the Android SDK's modules as a Maven repository: an AAR or a jar, its POM and its sources, whose bytes depend on these alone."""

import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.sdk import ROOT, android

GROUP: Final = "dev.watchword"
REPOSITORY: Final = android.OUT / "maven"
_POM: Final = "http://maven.apache.org/POM/4.0.0"
_OF_AAR: Final = "proguard.txt"
_OF_JARS: Final = "META-INF/proguard/"


def version() -> str:
    """Return the project's version, as its package has it."""
    text = (ROOT / "src" / "watchword" / "__init__.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(found)


def semantic_version() -> str:
    """Return it as npm, CocoaPods and SwiftPM order versions: by Semantic Versioning, which has a hyphen before what isn't released."""
    return re.sub(r"\.dev(\d+)$", r"-dev.\1", version())


def package(build: android.Build, repository: Path = REPOSITORY) -> list[Path]:
    """Write every artifact that ships into a Maven repository in a directory, and return the files.

    :raises SdkError: where a module doesn't compile.
    """
    return [
        file
        for module in android.modules().values()
        if module.artifact
        for file in _written(module, build.compiled(module.name), repository)
    ]


def _written(module: android.Module, compiled: Path, repository: Path) -> list[Path]:
    name = f"watchword-{module.name}"
    place = repository.joinpath(*GROUP.split("."), name, version())
    place.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{version()}"
    shipped = place / f"{stem}.{module.artifact}"
    android.zipped(shipped, artifact(module, compiled))
    sources = place / f"{stem}-sources.jar"
    folder = android.SOURCES / module.name / "src" / "main"
    android.zipped(
        sources,
        {
            each.relative_to(root).as_posix(): each.read_bytes()
            for root in (folder / "kotlin", folder / "java")
            for each in root.rglob("*")
            if each.is_file()
        },
    )
    pom = place / f"{stem}.pom"
    pom.write_bytes(_pom(module))
    return [shipped, sources, pom]


def artifact(module: android.Module, compiled: Path) -> dict[str, bytes]:
    """Return the files of what ships of a module: of its AAR, or of its jar."""
    return _aar(module, compiled) if module.artifact == "aar" else _jar(module, compiled)


def shrinking_rules(files: Mapping[str, bytes]) -> list[str]:
    """Return the rules that an artifact's files bring for who shrinks an app with it."""
    return [
        data.decode()
        for name, data in files.items()
        if name == _OF_AAR or name.startswith(_OF_JARS)
    ]


def _jar(module: android.Module, compiled: Path) -> dict[str, bytes]:
    """Return a jar's files: the classes, and the module's rules where R8 looks for those of a jar."""
    with zipfile.ZipFile(compiled) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rules = android.SOURCES / module.name / "consumer-rules.pro"
    if rules.is_file():
        files[f"{_OF_JARS}watchword-{module.name}.pro"] = rules.read_bytes()
    return files


def _aar(module: android.Module, compiled: Path) -> dict[str, bytes]:
    """Return an AAR's files: those that http://tools.android.com/tech-docs/new-build-system/aar-format (read 2026-11-29) asks for.

    ``proguard.txt`` holds the rules for who shrinks an app that has it.
    """
    folder = android.SOURCES / module.name
    return {
        "AndroidManifest.xml": (folder / "src" / "main" / "AndroidManifest.xml").read_bytes(),
        "classes.jar": compiled.read_bytes(),
        _OF_AAR: (folder / "consumer-rules.pro").read_bytes(),
        "R.txt": b"",
        "res/": b"",
    }


def _pom(module: android.Module) -> bytes:
    """Return a POM: what the module needs at which version, its own at the same one."""
    project = ET.Element("project", {"xmlns": _POM})
    said = {
        "modelVersion": "4.0.0",
        "groupId": GROUP,
        "artifactId": f"watchword-{module.name}",
        "version": version(),
        "packaging": str(module.artifact),
        "name": f"watchword-{module.name}",
        "description": module.about,
    }
    for key, value in said.items():
        ET.SubElement(project, key).text = value
    licence = ET.SubElement(ET.SubElement(project, "licenses"), "license")
    ET.SubElement(licence, "name").text = "Apache-2.0"
    ET.SubElement(licence, "url").text = "https://www.apache.org/licenses/LICENSE-2.0.txt"
    own = [f"{GROUP}:watchword-{other}:{version()}" for other in module.needs]
    others = [android.coordinates(each) for each in (*module.libraries[:1], "kotlin-stdlib")]
    dependencies = ET.SubElement(project, "dependencies")
    for each in (*own, *others):
        dependency = ET.SubElement(dependencies, "dependency")
        for key, value in zip(("groupId", "artifactId", "version"), each.split(":"), strict=True):
            ET.SubElement(dependency, key).text = value
        if each in own and android.modules()[module.needs[own.index(each)]].artifact == "aar":
            ET.SubElement(dependency, "type").text = "aar"
        ET.SubElement(dependency, "scope").text = "compile"
    ET.indent(project)
    return f"{ET.tostring(project, 'unicode')}\n".encode()
