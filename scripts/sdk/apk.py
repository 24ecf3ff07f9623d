"""Shrink code for Android by R8, and build the sample app as a signed APK with Debian's tools."""

import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.sdk import SdkError, android, package
from scripts.sdk.tools import DEX
from tests.unit.scan.fixtures import tools

OLDEST: Final = 24
"""The API level of the oldest phone."""

SAMPLE: Final = "sample"

# This OkHttp is the JVM's: it names providers of TLS that it does without where they aren't there.
_OKHTTP: Final = "-dontwarn okhttp3.**"


def shrunk(build: android.Build, module: str, rules: str, variant: str = "") -> bytes:
    """Return an app's code as R8 leaves it: what isn't reached is gone, what is left is renamed.

    :param module: the app; what it needs is taken with it.
    :param rules: what is reached from outside, as ProGuard writes it.
    :param variant: the library that it is compiled against.
    :raises SdkError: where d8.jar isn't there, or R8 refuses.
    """
    if not DEX.is_file():
        raise SdkError(f"{DEX}: missing: run make sdk-dex")
    stubs = build.compiled("stubs")
    others = set(android.jars_of("junit")) | {stubs}
    program = [each for each in build.classpath(module, variant) if each not in others]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file = place / "rules.pro"
        file.write_text(
            "\n".join([rules, _OKHTTP, *_embedded(program), *shipped_rules(build, module)]),
            encoding="utf-8",
        )
        home = Path(os.path.realpath("/usr/bin/java")).parents[1]
        given = (home, stubs, android.KOTLIN / "annotations-13.0.jar")
        libraries = [word for each in given for word in ("--lib", str(each))]
        options = ["--release", "--min-api", str(OLDEST), "--pg-conf", str(file)]
        r8 = [
            "java",
            *android.JVM,
            "-cp",
            str(DEX),
            "com.android.tools.r8.R8",
            *options,
            *libraries,
        ]
        done = subprocess.run(
            [*r8, "--output", str(place), *map(str, program)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.partition("Compilation failed")[0].strip()
            raise SdkError(f"R8 refuses {module}:\n{said}")
        return (place / "classes.dex").read_bytes()


def _embedded(jars: Sequence[Path]) -> list[str]:
    """Return the rules that jars bring for who shrinks an app with them."""
    found = []
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            names = [each for each in archive.namelist() if each.startswith("META-INF/proguard/")]
            found += [archive.read(each).decode() for each in names]
    return found


def shipped_rules(build: android.Build, module: str) -> list[str]:
    """Return the rules in the artifacts of a module and of those that it needs: what an app's own build finds there.

    :raises SdkError: where one doesn't compile.
    """
    found = android.modules()[module]
    rules = [rule for other in found.needs for rule in shipped_rules(build, other)]
    if found.artifact:
        rules += package.shrinking_rules(package.artifact(found, build.compiled(module)))
    return list(dict.fromkeys(rules))


def sample(build: android.Build, out: Path) -> Path:
    """Build the sample app, shrunk, aligned and signed by a key that is made for it; return the APK.

    :param out: a directory for it and for the key.
    :raises SdkError: where a tool isn't there, or refuses.
    """
    sources = android.SOURCES / SAMPLE / "src" / "main"
    out.mkdir(parents=True, exist_ok=True)
    apk = out / f"watchword-{SAMPLE}.apk"
    try:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            compiled, linked, kept = place / "res.zip", place / "linked.apk", place / "kept.pro"
            tools.run("aapt2", "compile", "--dir", sources / "res", "-o", compiled)
            link = ("aapt2", "link", "-I", tools.FRAMEWORK, "--proguard", kept)
            manifest = ("--manifest", sources / "AndroidManifest.xml")
            tools.run(*link, *manifest, "-o", linked, compiled)
            code = shrunk(build, SAMPLE, kept.read_text(encoding="utf-8"))
            tools.added(linked, {"classes.dex": code})
            tools.signed(linked, apk, tools.key_store(out, "ec"), ("v2", "v3"))
    except tools.ToolError as error:
        raise SdkError(str(error)) from None
    return apk
