"""See whether the app looks for tools that hook it."""

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
            "frida",
            "frida-server",
            "frida-agent",
            "frida-gadget",
            "fridaserver",
            "gum-js-loop",
            "linjector",
            "re.frida.server",
            "xposed",
            "de.robv.android.xposed.XposedBridge",
            "de.robv.android.xposed.XposedHelpers",
            "de.robv.android.xposed.installer",
            "de.robv.android.xposed",
            "XposedBridge",
            "XposedBridge.jar",
            "com.saurik.substrate",
            "com.saurik.substrate.MS$2",
            "io.va.exposed",
            "org.meowcat.edxposed.manager",
            "LSPosed",
            "org.lsposed.manager",
            "/data/local/tmp/frida-server",
            "libfrida",
            "libfrida-gadget",
            "/data/local/tmp/re.frida.server",
        }
    ),
    weak=frozenset(
        {
            "gmain",
            "substrate",
            "/proc/self/maps",
            "/proc/self/task",
            "27042",
            "27047",
            ":69A2",
            "com.android.internal.os.ZygoteInit",
        }
    ),
    native=re.compile(r"frida|xposed|gum-js-loop|com\.saurik\.substrate|linjector", re.IGNORECASE),
    hints=("frida", "xposed", "gum-js-loop", "com.saurik.substrate", "linjector"),
)


def _see(look: Look) -> Iterator[Finding]:
    yield from checked(look, _MARKS, "tools that hook")


RULE = AndroidRule(
    id="hook-checks",
    title="Checks for hooking tools",
    techniques=("MT-A07", "MT-A12"),
    # What a hooking tool meets, only a run can show: no static finding is evidence for PR-A05.
    protections={},
    todo="Run the app under such a tool and see what it does; let nothing depend on the app's own answer.",
    blind="It sees that code loads such names, not whether it acts on them. Encrypted strings and scans of ports by number aren't seen.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    see=_see,
)
