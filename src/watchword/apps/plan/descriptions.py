"""Read a description that others made, JSON or YAML, into plain values, within bounds.

Unlike ``watchword.yaml`` such files have anchors, merge keys and keys given twice, and are large: aliases are followed
while what they expand to stays bounded, and the last of two keys counts, as for every tool that
wrote them.
"""

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.plan.drafts.wording import one_line

MAX_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of a description; a large one has about 5 MB."""

MAX_DEPTH: Final = 100
"""Most levels of nesting in YAML."""

MAX_NODES: Final = 4_000_000
"""Most values that a YAML file may hold, each alias counted as all that it stands for."""

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Its events alone are used: they come one by one, however deep the file nests."""

_SCALARS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...]] = (
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"~|null|Null|NULL|"), lambda _text: None),
    (re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})"), int),
    (re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"), float),
)


def read_description(file: Path) -> Any:
    """Read a file.

    :raises ConfigurationError: when it can't be read, is too large, or is neither JSON nor YAML.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refused(file, "no such file", "an OpenAPI document or a threat model") from None
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or "an unreadable file"
        raise _refused(file, got, "a readable file") from None
    if len(raw) > MAX_BYTES:
        raise _refused(file, f"more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(file, "bytes that aren't UTF-8", "UTF-8 text") from None
    return _parsed(file, text)


def _refused(file: Path, got: str, expected: str, line: int | None = None) -> ConfigurationError:
    return ConfigurationError(file, [Fault("", line, got, expected)])


def _parsed(file: Path, text: str) -> Any:
    """Parse a text as JSON where it looks like it, else as YAML."""
    not_json: json.JSONDecodeError | None = None
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            # Its YAML may still begin with a brace.
            not_json = error
        except (RecursionError, ValueError):
            raise _refused(file, "JSON that nests too deep", "a document") from None
    try:
        return _Builder().build(text)
    except _BoundsError as error:
        raise _refused(file, error.got, error.expected, error.line) from None
    except yaml.MarkedYAMLError as error:
        if not_json is not None:
            raise _refused(file, "invalid JSON", "valid JSON", not_json.lineno) from None
        raise _not_yaml(file, text, error) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise _refused(file, "neither JSON nor YAML", "valid JSON or YAML") from None


def _not_yaml(file: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigurationError:
    """Say what is wrong and where; what is never closed is noticed at the end, and began before."""
    last = text.count("\n", 0, len(text.rstrip())) + 1
    line = min(error.problem_mark.line + 1, last) if error.problem_mark else None
    begun = error.context_mark.line + 1 if error.context_mark else line
    where = f" of what begins on line {begun}" if begun != line else ""
    got = f"neither JSON nor YAML: {one_line(error.problem or 'no reason')}{where}"
    return _refused(file, got, "valid JSON or YAML", line)


class _BoundsError(Exception):
    """Say that a file holds more than is read."""

    def __init__(self, got: str, expected: str, line: int) -> None:
        super().__init__(got)
        self.got, self.expected, self.line = got, expected, line


@dataclass(slots=True)
class _Open:
    """Hold a mapping or list that isn't at its end yet.

    :param key: of a mapping: the key whose value comes next; ``_NO_KEY`` where a key comes next.
    :param size: values within, aliases expanded.
    """

    value: dict[str, Any] | list[Any]
    anchor: str | None
    key: Any
    size: int = 1
    merges: list[Any] = field(default_factory=list)


_NO_KEY: Final = object()
_MERGE: Final = object()
"""The merge key; in quotes ``<<`` is a name like any other."""


class _Builder:
    """Build plain values from YAML's events, without recursion."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._root: Any = None

    def build(self, text: str) -> Any:
        """Return the value of the first document.

        :raises _BoundsError: on more levels or values than are read, or an alias within itself.
        """
        for event in yaml.parse(text, Loader=_Loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentEndEvent):
                break
            if isinstance(event, yaml.ScalarEvent):
                merges = self._awaits_key() and _merges(event)
                self._anchored(event.anchor, _MERGE if merges else _scalar(event), 1, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor or "", line)
            elif isinstance(event, yaml.MappingStartEvent):
                self._begin({}, event.anchor, line)
            elif isinstance(event, yaml.SequenceStartEvent):
                self._begin([], event.anchor, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end(line)
        return self._root

    def _awaits_key(self) -> bool:
        """Tell whether what comes next is a key of a mapping."""
        around = self._stack[-1] if self._stack else None
        return around is not None and around.key is _NO_KEY and isinstance(around.value, dict)

    def _begin(self, value: dict[str, Any] | list[Any], anchor: str | None, line: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _BoundsError("deeper nesting", f"at most {MAX_DEPTH} levels", line)
        self._stack.append(_Open(value, anchor, _NO_KEY))

    def _end(self, line: int) -> None:
        done = self._stack.pop()
        if isinstance(done.value, dict):
            for merge in done.merges:
                for each in merge if isinstance(merge, list) else [merge]:
                    for key, value in each.items() if isinstance(each, dict) else ():
                        done.value.setdefault(key, value)
        self._anchored(done.anchor, done.value, done.size, line)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            expected = "an anchor that ended before"
            raise _BoundsError(f"the alias {anchor[:40]!r} of nothing", expected, line)
        self._place(*self._anchors[anchor], line)

    def _anchored(self, anchor: str | None, value: Any, size: int, line: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        self._place(value, size, line)

    def _place(self, value: Any, size: int, line: int) -> None:
        """Put a finished value where it belongs."""
        if not self._stack:
            self._root = value
            return
        around = self._stack[-1]
        around.size += size
        if around.size > MAX_NODES:
            expected = f"at most {MAX_NODES} values, each alias counted in full"
            raise _BoundsError("more values", expected, line)
        if isinstance(around.value, list):
            around.value.append(value)
        elif around.key is _NO_KEY:
            if isinstance(value, dict | list):
                raise _BoundsError("a key that isn't text", "a text key", line)
            around.key = value if isinstance(value, Hashable) else str(value)
        else:
            key, around.key = around.key, _NO_KEY
            if key is _MERGE:
                around.merges.append(value)
            else:
                around.value[_key_text(key)] = value


def _key_text(key: Any) -> str:
    """Return a key as JSON would write it: the answers of an API are keyed by numbers."""
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    return str(key)


def _merges(event: Any) -> bool:
    plain = event.implicit[0] and not event.style and event.anchor is None
    return bool(plain) and event.value == "<<"


def _scalar(event: Any) -> Any:
    """Return a scalar as YAML 1.2 reads it: a plain one may be a number, a truth value or null."""
    text = str(event.value)
    if event.implicit[0] and not event.style:
        for pattern, made in _SCALARS:
            if pattern.fullmatch(text):
                return made(text)
    return text
