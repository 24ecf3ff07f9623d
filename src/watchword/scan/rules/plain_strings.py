"""See whether the strings of the app's own code can be read as they stand."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_HEADERS
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext

_ADDRESS: Final = re.compile(r"https?://\w.*|/[a-z][\w-]*(?:/[\w{}.-]+)+", re.DOTALL)
_SCRAMBLED: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/_-]{12,}={0,2}", re.DOTALL)
"""What looks like base64 or hex."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")

_HEAD: Final = 120
"""How many characters of a string are looked at: it may be long, and made to take long."""

_FEW: Final = 5

_SAMPLE: Final = 500
"""How many strings are enough to judge by."""


def _check(context: RuleContext) -> Iterator[Finding]:
    readable = scrambled = 0
    for text in _loaded(context):
        plain = _readable(text[:_HEAD])
        readable += plain
        scrambled += not plain and _scrambled(text[:_HEAD])
    title = f"{counted(readable, 'string', 'strings')} of the app's own code can be read as they stand, {scrambled:,} look scrambled."
    if scrambled >= _FEW and scrambled > 3 * readable:
        yield context.protected("strings", title, confidence=Confidence.POSSIBLE)
    elif readable >= _FEW:
        yield context.absent("strings", title, Severity.LOW)
    elif context.whole:
        yield context.info("strings", title)
    else:
        yield context.not_seen("strings", title)


def _loaded(context: RuleContext) -> set[str]:
    """Return what the app's own code loads, up to a sample that is large enough."""
    texts: set[str] = set()
    for cls in context.own_classes():
        for method in context.code.methods(cls):
            texts.update(context.code.strings_of(method))
        if len(texts) > _SAMPLE:
            break
    return texts


def _readable(text: str) -> bool:
    """Tell whether a text is an address, a path, or several words."""
    if _CONTROL.search(text):
        return False
    words = [each for each in text.split(" ") if len(each) > 1 and each.strip(".,:;!?'").isalpha()]
    return len(words) > 1 or _ADDRESS.fullmatch(text) is not None


def _scrambled(text: str) -> bool:
    return bool(_CONTROL.search(text) or _SCRAMBLED.fullmatch(text))


RULE = AndroidRule(
    id="plain-strings",
    title="Strings that can be read",
    techniques=("MT-A02", "MT-A03"),
    protections={"PR-A02": "scan:static.plain_strings"},
    todo="Put nothing into the app that may not be read; encryption of strings only delays.",
    blind="It goes by looks. It doesn't count resources, and what is encrypted in the package is plain in memory.",
    parts=(Part.DEX,),
    reads=NATIVE_HEADERS,
    check=_check,
)
