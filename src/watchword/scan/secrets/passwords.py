"""Find passwords, which have no form: the name says it, the value must look as if somebody had made it up."""

import re
from collections.abc import Iterable, Iterator

from watchword.scan.secrets import noise
from watchword.scan.secrets.corpus import Named
from watchword.scan.secrets.patterns import packaged

PASSWORD = "password"  # noqa: S105  (the name of a kind)
"""The kind of secret that a person made up."""

_NAME = re.compile(
    r"(?i)(?:.*[_. -]|.*(?-i:(?<=[a-z])(?=[A-Z])))?(?:password|passwd|passphrase|pass|pwd|secret)"
)
_VALUE = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])[!-~]{6,64}")
_TEMPLATE = re.compile(r"%[0-9$]*[sd]|\{[\w.]*\}|\$\{|<[a-z]|\\[nt]|://|^[@#?].*")


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


def made_up(password: str) -> bool:
    """Tell whether a password looks as if somebody had made it up for an account: letters and digits, and no placeholder."""
    return _VALUE.fullmatch(password) is not None and not _allowed(password)


def _allowed(value: str) -> bool:
    return any(allowed.holds(value, value) for allowed in packaged().allowed)
