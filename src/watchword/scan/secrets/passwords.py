"""Find passwords, which have no form: the name says it, the value must look as if somebody had made it up."""

import re
from collections.abc import Iterable, Iterator, Sequence

from watchword.scan.app import App, Method
from watchword.scan.interface import Location
from watchword.scan.secrets import noise
from watchword.scan.secrets.corpus import Named, is_own_class
from watchword.scan.secrets.patterns import packaged

COMPARED = "compared-secret"
"""The kind of secret that code compares with what somebody types in."""

PASSWORD = "password"  # noqa: S105  (the name of a kind)
"""The kind of secret that a person made up."""

_FIELDS = (
    "android.widget.EditText",
    "android.widget.AutoCompleteTextView",
    "androidx.appcompat.widget.AppCompatEditText",
    "com.google.android.material.textfield.TextInputEditText",
)
_STEPS = 3
"""Calls between reading a field and comparing it: as a text, without spaces around it, in small letters."""

_EQUALS = {
    "java.lang.String": frozenset(("equals", "equalsIgnoreCase", "contentEquals")),
    "java.lang.Object": frozenset(("equals",)),
    "kotlin.jvm.internal.Intrinsics": frozenset(("areEqual",)),
    "android.text.TextUtils": frozenset(("equals",)),
}
_CODE = re.compile(r"[!-~]{6,64}")
_NAME = re.compile(
    r"(?i)(?:.*[_. -]|.*(?-i:(?<=[a-z])(?=[A-Z])))?(?:password|passwd|passphrase|pass|pwd|secret)"
)
_VALUE = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])[!-~]{6,64}")
_TEMPLATE = re.compile(r"%[0-9$]*[sd]|\{[\w.]*\}|\$\{|<[a-z]|\\[ntu]|://|^[@#?].*")


def passwords_of(named: Iterable[Named]) -> Iterator[tuple[Named, str]]:
    """Yield names and values of what looks like a password."""
    for each in named:
        if not _NAME.fullmatch(each.name) or not _VALUE.fullmatch(each.value):
            continue
        if _TEMPLATE.search(each.value) or noise.is_identifier(each.value, each.name):
            continue
        if noise.is_constant(each.value) or _allowed(each.value):
            continue
        yield each, each.value


def compared_of(app: App) -> Iterator[tuple[str, Location]]:
    """Yield the constants that an app's own code compares with what somebody types in: a code, a password, a way in."""
    if app.code is None:
        return
    typed = {use.by: None for field in _FIELDS for use in app.code.calls(field, "getText")}
    for by in typed:
        if not is_own_class(app, by.cls):
            continue
        calls = app.code.arguments(by)
        for index, (callee, given) in enumerate(calls):
            before = calls[max(0, index - _STEPS) : index]
            if callee.name not in _EQUALS.get(callee.cls, ()) or not any(map(_asks, before)):
                continue
            for text in given:
                if isinstance(text, str) and _CODE.fullmatch(text):
                    yield text, Location("", by.cls, by.name)


def _asks(call: tuple[Method, Sequence[str | int | None]]) -> bool:
    return call[0].cls in _FIELDS and call[0].name == "getText"


def made_up(password: str) -> bool:
    """Tell whether a password looks as if somebody had made it up for an account: letters and digits, and no placeholder."""
    return _VALUE.fullmatch(password) is not None and not _allowed(password)


def _allowed(value: str) -> bool:
    return any(allowed.holds(value, value) for allowed in packaged().allowed)
