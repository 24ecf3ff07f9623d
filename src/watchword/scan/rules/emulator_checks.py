"""See whether the app looks for an emulator."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Finding
from watchword.scan.rule_parts import AndroidRule, Look, Marks, checked

_MARKS: Final = Marks(
    strong=frozenset(
        {
            "goldfish",
            "ranchu",
            "Genymotion",
            "genymotion",
            "Android SDK built for x86",
            "Android SDK built for x86_64",
            "sdk_x86",
            "vbox86p",
            "vbox86",
            "nox",
            "ttVM_x86",
            "bluestacks",
            "/dev/socket/qemud",
            "/dev/qemu_pipe",
            "/system/lib/libc_malloc_debug_qemu.so",
            "/sys/qemu_trace",
            "/system/bin/qemu-props",
            "ro.kernel.qemu",
            "sdk_gphone",
            "sdk_gphone64",
            "sdk_gphone64_arm64",
            "sdk_gphone64_x86_64",
            "sdk_gphone_x86",
            "sdk_gphone_x86_64",
            "emulator64_arm64",
            "emulator64_x86_64",
            "sdk_google",
            "google_sdk",
            "/dev/socket/genyd",
            "/dev/socket/baseband_genyd",
            "15555215554",
            "e21833235b6eef10",
        }
    ),
    weak=frozenset(
        {
            "generic",
            "generic_x86",
            "unknown",
            "Emulator",
            "emulator",
            "sdk",
            "Droid4X",
            "000000000000000",
            "310260000000000",
            "simulator",
        }
    ),
    native=re.compile(
        r"/dev/qemu_pipe|/dev/socket/qemud|ro\.kernel\.qemu|genymotion|goldfish", re.IGNORECASE
    ),
    hints=("qemu", "genymotion", "goldfish"),
)


def _see(look: Look) -> Iterator[Finding]:
    yield from checked(look, _MARKS, "signs of an emulator")


RULE = AndroidRule(
    id="emulator-checks",
    title="Checks for emulators",
    techniques=("MT-A05", "MT-A06"),
    # What an emulator meets, only a run can show: no static finding is evidence for PR-A07.
    protections={},
    todo="Have the server decide by attested hardware; an emulator's signs are easily changed.",
    blind="It sees that code loads such signs, not whether it acts on them; libraries that look only to draw faster may count.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    see=_see,
)
