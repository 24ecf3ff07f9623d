"""Read members of catalogue entries, shipped and users' own alike, and collect what is wrong with them."""

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from watchword.plan.catalogue.naming import nearest_id
from watchword.plan.catalogue.references import NAME_PATTERNS
from watchword.plan.interface import MAX_EFFORT, Effort, ModelFault

Where = tuple[str | int, ...]
Word = TypeVar("Word", bound=StrEnum)

MAX_TEXT: Final = 2000
"""Most characters of a text."""

MAX_NAME: Final = 200
MAX_ITEMS: Final = 50
"""Most entries of a list."""

MAX_STRENGTH: Final = 3

LIKELIHOOD_WORDS: Final = frozenset(
    ("likelihood", "probability", "frequency", "odds", "chance", "likely")
)
"""Members under which other tools keep a guess."""

EVIDENCE_KEY: Final = re.compile(r"[a-z]{1,20}:[a-z0-9_]+(?:[.-][a-z0-9_]+)*")

_MAX_SHOWN: Final = 60
_MAX_LISTED: Final = 16
_MAX_HINTS: Final = 50


class MemberReader:
    """Read values of strangers; each method returns None where it added a fault.

    :ivar faults: in the order in which they were found.
    """

    def __init__(self) -> None:
        """Begin without faults."""
        self.faults: list[ModelFault] = []
        self._hints = 0

    def fault(self, where: Where, got: str, expected: str) -> None:
        """Add a fault."""
        self.faults.append(ModelFault(where, got, expected))

    def nearest(self, word: str, known: Collection[str], what: str) -> str:
        """Return what was expected in place of a word, the one that may have been meant first.

        Looking for it takes time, so that only the first faults of many get a hint.

        :param what: names all that are known where they're too many to list: ``a technique's id``.
        """
        self._hints += 1
        close = nearest_id(word, known) if self._hints <= _MAX_HINTS else None
        listed = len(known) <= _MAX_LISTED
        every = ("" if close else "one of ") + ", ".join(sorted(known)) if listed else what
        if not close:
            return every
        return f"{close!r}? Known: {every}" if listed else f"{close!r}? Expected {every}"

    def mapping(self, value: object, where: Where) -> Mapping[str, Any] | None:
        """Read a mapping with text keys; other keys are faults and left out."""
        if not isinstance(value, Mapping):
            self.fault(where, shown(value), "a mapping")
            return None
        strange = [key for key in value if not isinstance(key, str)]
        for key in strange:
            self.fault((*where, shown(key)), "a key that isn't text", "a text key")
        return {key: value[key] for key in value if isinstance(key, str)}

    def text(self, value: object, where: Where, limit: int = MAX_TEXT) -> str | None:
        """Read a text of one paragraph; line ends and runs of spaces become single spaces."""
        if not isinstance(value, str):
            self.fault(where, shown(value), "a text")
            return None
        if len(value) > limit:
            self.fault(where, f"{len(value)} characters", f"at most {limit} characters")
            return None
        text = " ".join(value.split())
        if not text or not text.isprintable():
            self.fault(where, shown(value), "a text that can be printed, not an empty one")
            return None
        return text

    def items(self, value: object, where: Where) -> list[object] | None:
        """Read a list of at most :data:`MAX_ITEMS`."""
        if not isinstance(value, list):
            self.fault(where, shown(value), "a list")
            return None
        if len(value) > MAX_ITEMS:
            self.fault(where, f"{len(value)} entries", f"at most {MAX_ITEMS} entries")
            return None
        return value

    def texts(self, value: object, where: Where) -> tuple[str, ...] | None:
        """Read a list of texts, at least one."""
        items = self.items(value, where)
        if items == []:
            self.fault(where, "an empty list", "at least one text")
        read = [self.text(item, (*where, at)) for at, item in enumerate(items or ())]
        texts = tuple(text for text in read if text is not None)
        return texts if texts and len(texts) == len(read) else None

    def word(self, value: object, where: Where, words: type[Word]) -> Word | None:
        """Read one word of an enum."""
        known = [word.value for word in words]
        if isinstance(value, str) and value in known:
            return words(value)
        expected = "one of " + ", ".join(known)
        if isinstance(value, str):
            expected = self.nearest(value, known, expected)
        self.fault(where, shown(value), expected)
        return None

    def words(self, value: object, where: Where, words: type[Word]) -> frozenset[Word] | None:
        """Read a list of words of an enum, perhaps an empty one."""
        items = self.items(value, where)
        if items is None:
            return None
        read = [self.word(item, (*where, at), words) for at, item in enumerate(items)]
        found = frozenset(word for word in read if word is not None)
        return None if None in read else found

    def flag(self, value: object, where: Where) -> bool | None:
        """Read true or false."""
        if isinstance(value, bool):
            return value
        self.fault(where, shown(value), "true or false")
        return None

    def number(self, value: object, where: Where, low: int, high: int) -> int | None:
        """Read a whole number from ``low`` to ``high``."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(where, shown(value), f"a whole number from {low} to {high}")
        return None

    def effort(self, value: object, where: Where) -> int | None:
        """Read an effort: a class of it, or a number."""
        if isinstance(value, str) and value in Effort.__members__:
            return Effort[value].value
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_EFFORT:
            return value
        classes = ", ".join(f"{each.name} (= {each.value})" for each in Effort)
        self.fault(where, shown(value), f"{classes}, or a whole number from 1 to {MAX_EFFORT}")
        return None

    def ids(
        self, value: object, where: Where, known: Collection[str], what: str
    ) -> tuple[str, ...] | None:
        """Read a list of ids of entries, each once, sorted."""
        items = self.items(value, where)
        if items is None:
            return None
        read = [self.known_id(item, (*where, at), known, what) for at, item in enumerate(items)]
        found = sorted({item for item in read if item is not None})
        return None if None in read else tuple(found)

    def known_id(
        self, value: object, where: Where, known: Collection[str], what: str
    ) -> str | None:
        """Read the id of an entry that there is."""
        if isinstance(value, str) and value in known:
            return value
        expected = self.nearest(value, known, what) if isinstance(value, str) else what
        self.fault(where, shown(value), expected)
        return None

    def evidence(self, value: object, where: Where) -> tuple[str, ...] | None:
        """Read keys of observations, at least one."""
        texts = self.texts(value, where)
        bad = [
            at
            for at, text in enumerate(texts or ())
            if len(text) > MAX_NAME or not EVIDENCE_KEY.fullmatch(text)
        ]
        for at in bad:
            expected = "a key of observations, such as live:shield.enforced_ratio"
            self.fault((*where, at), shown((texts or ())[at]), expected)
        return None if bad else texts

    def names(
        self, value: object, where: Where, allowed: Collection[str]
    ) -> dict[str, tuple[str, ...]] | None:
        """Read ids in other catalogues, by catalogue."""
        written = self.mapping(value, where)
        before = len(self.faults)
        names: dict[str, tuple[str, ...]] = {}
        for other, ids in (written or {}).items():
            if other not in allowed:
                expected = self.nearest(other, allowed, "a catalogue's name")
                self.fault((*where, other), "an unknown catalogue", expected)
                continue
            texts = self.texts(ids, (*where, other)) or ()
            for at, text in enumerate(texts):
                if len(text) > MAX_NAME or not NAME_PATTERNS[other].fullmatch(text):
                    self.fault((*where, other, at), shown(text), _NAME_EXPECTED[other])
            names[other] = texts
        return None if written is None or len(self.faults) > before else names


_NAME_EXPECTED: Final = {
    "attack-enterprise": "an id such as T1552.001",
    "attack-mobile": "an id such as T1617, or M1002 for a mitigation",
    "d3fend": "an id such as D3-CP",
    "maswe": "an alias such as insecure-pinning, not a number",
    "masvs": "an id such as MASVS-NETWORK-2",
    "owasp-api": "an id such as API1:2023",
    "owasp-mobile": "an id such as M7:2024",
    "owasp-oat": "an id such as OAT-011",
}


def shown(value: object) -> str:
    """Return a value as a fault shows it: short, on one line, and what YAML would call it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = repr(value[: _MAX_SHOWN + 1])
    elif isinstance(value, int):
        # Python refuses to write out a number of thousands of digits.
        text = str(value) if abs(value) < 10**_MAX_SHOWN else "a huge number"
    elif isinstance(value, float):
        text = str(value)
    else:
        kinds = ((Mapping, "a mapping"), (list, "a list"))
        return next((name for kind, name in kinds if isinstance(value, kind)), "something else")
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
