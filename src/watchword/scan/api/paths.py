"""Read paths, and tell by their words, tags and texts what an operation is for."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from watchword.scan.api.description import Kind, Operation, several, words_of

ANY: Final = "{}"
"""A segment with a parameter in it."""

MAX_PATH: Final = 2_000
"""How many characters of a path are looked at."""

_MAX_SEGMENTS: Final = 40
_MAX_TRIES: Final = 2_000
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}")
_VERSION: Final = re.compile(
    r"v\d{1,3}(?:[._-]\d{1,3})*(?:(?:alpha|beta)\d*)?|\d{4}-\d{2}(?:-\d{2})?", re.IGNORECASE
)
_MEANINGLESS: Final = frozenset({"api", "apis", "rest"})
_BLANK: Final = re.compile(
    r"\{[^{}]*\}|:\w+|%(?:\d+\$)?[sd@]|\$\w+|\d+|[0-9a-f]{8}-[0-9a-f-]{27}",
    re.IGNORECASE | re.ASCII,
)


def segments_of(path: str) -> tuple[str, ...]:
    """Return the segments of a described path; one with a parameter in it is :data:`ANY`."""
    bare = re.split(r"[?#]", path[:MAX_PATH], maxsplit=1)[0]
    parts = [part for part in bare.split("/") if part][:_MAX_SEGMENTS]
    return tuple(ANY if _PARAMETER.search(part) else part for part in parts)


def segments_in_app(path: str) -> tuple[str, ...]:
    """Return the segments of a path that an app names, with whatever its code puts values in as :data:`ANY`."""
    bare = re.split(r"[?#]", path[:MAX_PATH], maxsplit=1)[0]
    parts = [part for part in bare.split("/") if part][:_MAX_SEGMENTS]
    return tuple(ANY if _BLANK.fullmatch(part) or "{" in part else part for part in parts)


def literals(segments: Iterable[str]) -> Iterator[str]:
    """Yield the segments that say something: no parameter, no version."""
    return (each for each in segments if each != ANY and not _VERSION.fullmatch(each))


def path_words(segments: Iterable[str]) -> tuple[str, ...]:
    """Return the words of the literal segments, in order."""
    return tuple(word for each in literals(segments) for word in words_of(each))


def version_of(segments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return the version that a path names, and the path with ``{version}`` in its place; None if it names none."""
    for index, each in enumerate(segments):
        if _VERSION.fullmatch(each):
            return each, (*segments[:index], "{version}", *segments[index + 1 :])
    return None


def version_order(version: str) -> tuple[int, ...]:
    """Return a key that sorts versions: v2.7 before v4.0, v1beta before v1."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:6])
    early = -1 if re.search(r"alpha|beta", version, re.IGNORECASE) else 0
    return (*numbers[:1], early, *numbers[1:])


@dataclass(slots=True)
class _Node:
    below: dict[str, "_Node"] = field(default_factory=dict)
    ends: bool = False


class Routes:
    """Know the described paths, and tell whether a path of an app is one of them."""

    def __init__(self, paths: Iterable[tuple[tuple[str, ...], int]]) -> None:
        """Take paths, each with how many segments in front may be missing: apps keep them in a base URL."""
        self._root = _Node()
        self._heads: set[str] = set()
        for segments, base in paths:
            self._heads.update(each.lower() for each in segments[: base + 1] if each != ANY)
            for start in range(len(segments)):
                # By one segment alone anything could be meant, unless nothing that says anything is in front of it.
                alone = start < len(segments) - 1 or all(map(_says_nothing, segments[:start]))
                # What begins with a parameter would take anything.
                if start <= base or (alone and segments[start] != ANY):
                    self._add(segments[start:])

    def knows(self, segments: tuple[str, ...]) -> bool:
        """Tell whether a path of an app is described, or the beginning of one that is."""
        stack = [(self._root, 0)]
        for _ in range(_MAX_TRIES):
            if not stack:
                return False
            node, index = stack.pop()
            if index == len(segments):
                return True
            each = segments[index].lower()
            if each == ANY:
                stack.extend((below, index + 1) for below in node.below.values())
            else:
                stack.extend((node.below[k], index + 1) for k in (ANY, each) if k in node.below)
        return True

    def near(self, segments: tuple[str, ...]) -> bool:
        """Tell whether a path begins as described ones do, so that it's surely of this API."""
        return (
            bool(segments) and not _says_nothing(segments[0]) and segments[0].lower() in self._heads
        )

    def _add(self, segments: tuple[str, ...]) -> None:
        node = self._root
        for each in segments:
            node = node.below.setdefault(each.lower(), _Node())
        node.ends = True


def _says_nothing(segment: str) -> bool:
    return bool(_VERSION.fullmatch(segment)) or segment.lower() in _MEANINGLESS


_SIGN_IN: Final = several(
    "login signin logon signon signup register registration authenticate auth otp passcode totp mfa 2fa forgot"
    " forget forgotpassword forgetpassword resetpassword passwordreset recover recovery token refreshtoken session"
    " verify verification activate activation magiclink"
)
_PUBLIC: Final = several(
    "health healthz live livez liveness ready readyz readiness ping status version heartbeat login signin oauth authorize jwk"
    " jwksjson wellknown doc swagger swaggerjson openapi openapijson openid robot favicon term privacy imprint verify"
)
_STAFF: Final = several(
    "admin administrator administration superadmin sysadmin internal management backoffice staff superuser debug actuator"
    " moderator ops"
)
_STAFF_TAGS: Final = several(
    "admin administrator administration superadmin sysadmin backoffice staff superuser moderator"
)
_STAFF_TEXT: Final = re.compile(
    r"\b(?:only (?:for )?(?:admin|administrator|moderator)s?|(?:admin|administrator|moderator)s?(?: only)\b)",
    re.IGNORECASE,
)
_CHANGES: Final = re.compile(
    r"(?:create|delete|remove|drop|reset|purge|populate|wipe|truncate|seed|restore)(?![ds](?:$|[^a-z]))",
    re.IGNORECASE,
)
_CODES: Final = several("coupon voucher giftcard promocode promo")
_TRIES: Final = several("validate apply redeem check use")


def signs_in(operation: Operation) -> bool:
    """Tell whether an operation takes a password or a code from somebody who isn't signed in yet."""
    if operation.method not in {"POST", "PUT", "PATCH"} or not operation.access.anonymous:
        return False
    if operation.last & _SIGN_IN:
        return True
    asks = any(Kind.SECRET in each.kinds for each in operation.asked)
    return operation.method == "POST" and asks and not for_staff(operation)


def tries_codes(operation: Operation) -> bool:
    """Tell whether an operation says of a voucher's code whether it's worth something."""
    return bool(operation.words & _CODES and operation.words & _TRIES)


def for_staff(operation: Operation) -> bool:
    """Tell whether an operation is for administrators or operators, by its path, a tag or its text."""
    if is_public(operation):
        return False
    return bool(
        operation.words & _STAFF
        or operation.about & _STAFF_TAGS
        or _STAFF_TEXT.search(operation.text)
    )


def is_public(operation: Operation) -> bool:
    """Tell whether everybody may know what an operation reads: the entrance, probes, keys, texts."""
    said = [each for each in literals(operation.segments) if each.lower() not in {"api", "rest"}]
    if operation.method in {"GET", "HEAD", "OPTIONS"} and ANY not in operation.segments:
        return not said or bool(operation.last & _PUBLIC)
    return False


def changes_by_reading(operation: Operation) -> bool:
    """Tell whether an operation that reads by its method changes something by its name."""
    last = next(iter(reversed(tuple(literals(operation.segments)))), "")
    return operation.reads and bool(_CHANGES.match(last))
