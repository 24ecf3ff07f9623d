"""Build the apps that the scan's speed is measured on, where none lies beside the clone."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path

from tests.unit.scan.elf_builders import Library
from tests.unit.scan.fixtures import tools
from tests.unit.scan.fixtures.smali import SmaliClass, loads, method

SHARED = Path(__file__).parents[2] / "shared" / "apps" / "InsecureBankv2.apk"
"""A real app of 3 MB, which isn't part of the project."""

_MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.fixture.large">
  <uses-sdk android:minSdkVersion="24" android:targetSdkVersion="35"/>
  <application android:label="large" android:allowBackup="false">
    <activity android:name="com.fixture.large.p0.C0" android:exported="true">
      <intent-filter><action android:name="android.intent.action.MAIN"/>
      <category android:name="android.intent.category.LAUNCHER"/></intent-filter>
    </activity>
  </application>
</manifest>"""
_PLATFORM = (
    "Landroid/util/Log;->w(Ljava/lang/String;Ljava/lang/String;)I",
    "Ljava/lang/String;->valueOf(I)Ljava/lang/String;",
    "Ljava/lang/System;->currentTimeMillis()J",
    "Ljava/util/Collections;->emptyList()Ljava/util/List;",
)
_MEGABYTE = 1 << 20


def small_app(folder: Path) -> Path:
    """Return an app of about 3 MB: the one beside the clone, or one that is built."""
    if SHARED.is_file():
        return SHARED
    return _app(folder / "small", code=(3_000,), assets=1, natives=(1, 0))


def large_app(folder: Path) -> Path:
    """Return an app of about 60 MB: five DEX files, native libraries, assets."""
    return _app(folder / "large", code=(3_300,) * 5, assets=20, natives=(14, 14))


def _app(folder: Path, *, code: tuple[int, ...], assets: int, natives: tuple[int, int]) -> Path:
    """Build an app.

    :param code: classes of each DEX file.
    :param assets: megabytes that look like images; a third as much is JSON.
    :param natives: megabytes of native libraries: of any bytes, and of text.
    """
    values = "<resources><string name='app'>Large</string></resources>"
    tools.write_tree(folder, {"AndroidManifest.xml": _MANIFEST, "res/values/strings.xml": values})
    package = tools.linked(folder)
    dice = random.Random(f"of {folder.name}")
    words = [
        "".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 9))) for _ in range(5_000)
    ]
    for number, count in enumerate(code):
        smali = folder / f"part{number}" / "smali"
        classes = _classes(random.Random(f"{folder.name} {number}"), words, number, count)
        tools.write_tree(smali, {each.path: each.text() for each in classes})
        name = f"classes{number + 1 if number else ''}.dex"
        tools.added(package, {name: tools.assembled(smali)})
    seeds = iter(range(1_000))
    files = {f"assets/images/{index}.webp": _random(next(seeds)) for index in range(assets)}
    for index in range(max(1, assets // 3)):
        rows = [{"id": at, "title": _text(dice, words, 12)} for at in range(9_000)]
        files[f"assets/data/{index}.json"] = json.dumps(rows, indent=1).encode()
    opaque, textual = natives
    for index in range(opaque):
        files[f"lib/arm64-v8a/librandom{index}.so"] = Library(content=_random(next(seeds))).data()
    for index in range(textual):
        names = (_text(dice, words, 3).replace(" ", "_") for _ in range(40_000))
        content = b"\0".join(name.encode() for name in names)
        files[f"lib/arm64-v8a/libtext{index}.so"] = Library(content=content).data()
    tools.added(package, files)
    out = folder / "app.apk"
    tools.signed(package, out, tools.key_store(folder, "ec"), ("v2", "v3"))
    return out


def _classes(dice: random.Random, words: list[str], part: int, count: int) -> Iterator[SmaliClass]:
    """Yield classes of six methods that load strings and call each other and the platform."""
    for number in range(count):
        owner = "com.fixture.large" if number % 3 == 0 else f"org.vendor{part}.{words[number % 97]}"
        name = f"{owner}.p{part}.C{number}"
        members = []
        for index in range(6):
            lines: list[str] = []
            for at in range(4):
                texts = _text(dice, words, 1 + (index + at) % 5)
                lines += loads(f"{texts} {number}")
                callee = f"Lorg/library{part}/{words[(number + at) % 97]}/p{part}/C{number};->m{at}(Ljava/lang/String;)V"
                lines.append(f"invoke-virtual {{v1, v0}}, {callee}")
                lines.append(f"const/16 v2, 0x{(number + index + at) % 0x7FFF:x}")
                lines.append("if-eqz v2, :end")
            lines.append(f"invoke-static/range {{v0 .. v1}}, {_PLATFORM[index % 4]}")
            lines.append(":end")
            members.append(method(f"m{index}(Ljava/lang/String;)V", *lines, registers=4))
        field = f'.field public static final TAG:Ljava/lang/String; = "{words[number % 5000]}{number}"\n'
        yield SmaliClass(name, field + "".join(members))


def _text(dice: random.Random, words: list[str], count: int) -> str:
    return " ".join(dice.choices(words, k=count))


def _random(seed: int) -> bytes:
    """Return a megabyte of bytes that don't compress."""
    return random.Random(seed).randbytes(_MEGABYTE)
