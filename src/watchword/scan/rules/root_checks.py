"""See whether the app looks for signs of a rooted phone."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Finding
from watchword.scan.rule_parts import AndroidRule, Look, Marks, checked, places

_FOLDERS: Final = (
    "/sbin/",
    "/system/bin/",
    "/system/xbin/",
    "/system/sbin/",
    "/vendor/bin/",
    "/su/bin/",
    "/data/local/",
    "/data/local/bin/",
    "/data/local/xbin/",
    "/system/sd/xbin/",
    "/system/bin/failsafe/",
    "/system/bin/.ext/",
    "/system/usr/we-need-root/",
    "/cache/",
    "/data/",
    "/dev/",
)

_MARKS: Final = Marks(
    strong=frozenset(
        {
            *(f"{folder}su" for folder in _FOLDERS),
            "/system/bin/.ext/.su",
            "/system/usr/we-need-root/su-backup",
            "/system/app/Superuser.apk",
            "/system/app/Superuser",
            "/system/app/SuperSU",
            "/system/app/SuperSU.apk",
            "/system/app/superuser.apk",
            "Superuser.apk",
            "/system/etc/init.d/99SuperSUDaemon",
            "/dev/com.koushikdutta.superuser.daemon/",
            "/system/xbin/daemonsu",
            "/system/xbin/busybox",
            "/sbin/magisk",
            "/sbin/.magisk",
            "/data/adb/magisk",
            "/cache/magisk.log",
            "magisk",
            "magiskhide",
            "/system/xbin/which",
            "which su",
            *(f"{folder}which su" for folder in ("/system/bin/", "/system/xbin/")),
            "/data/adb/magisk.db",
            "/data/adb/modules",
            "/data/adb/ksu",
            "me.weishu.kernelsu",
            "io.github.huskydg.magisk",
            "io.github.vvb2060.magisk",
            "com.topjohnwu.magisk",
            "com.noshufou.android.su",
            "com.noshufou.android.su.elite",
            "com.thirdparty.superuser",
            "eu.chainfire.supersu",
            "com.koushikdutta.superuser",
            "com.yellowes.su",
            "com.kingroot.kinguser",
            "com.kingo.root",
            "com.koushikdutta.rommanager",
            "com.zachspong.temprootremovejb",
            "com.ramdroid.appquarantine",
            "com.devadvance.rootcloak",
        }
    ),
    weak=frozenset(
        {
            "test-keys",
            "su",
            "busybox",
            "which",
            "PATH",
            "ro.secure",
            "ro.debuggable",
            "ro.build.tags",
            "rw",
            "mount",
            *_FOLDERS,
        }
    ),
    native=re.compile(r"/su$|/su\b(?![./\w])|superuser\.apk|magisk|supersu", re.IGNORECASE),
    hints=("/su", "superuser.apk", "magisk", "supersu"),
)
_NAMED: Final = ("com.scottyab.rootbeer.RootBeer", "com.scottyab.rootbeer.RootBeerNative")


def _see(look: Look) -> Iterator[Finding]:
    found = [
        look.protected(cls, f"The app asks {cls}, a library of root checks.", at=places(uses))
        for cls in _NAMED
        if (uses := look.calls(cls))
    ]
    yield from checked(look, _MARKS, "signs of root", found=found)


RULE = AndroidRule(
    id="root-checks",
    title="Checks for root",
    techniques=("MT-A04",),
    protections={"PR-A04": "scan:static.root_checks"},
    todo="Have the server decide by attested integrity of the device; a check in the app is hooked away in minutes.",
    blind="It sees that code loads such signs, not whether it acts on what it finds. Checks whose strings are encrypted, and those in a "
    "bundle, aren't seen; a renamed library that only reports root may be taken for one.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    see=_see,
)
