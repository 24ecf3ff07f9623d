"""Write the ``plan`` section of a file, and nothing else of it.

The text is changed where a value changed: all other bytes stay, and with them comments, order, quotes and anchors.  A library
that reads and writes the whole section would lose comments where an entry goes, since it hangs them on the entry before
(docs/adr/0029-section-in-place.md).  What comes out is read again before anybody writes it.
"""

import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard, TypeVar

import yaml

from watchword.apps.settings.document import MAX_BYTES, composed, parse_document
from watchword.apps.settings.faults import ConfigurationError, shown
from watchword.encoding import strict_json
from watchword.plan.workshop import Section
from watchword.reasons import ExitCode, WatchwordError

SECTION: Final = "plan"
NEW_FILE: Final = "version: 1\n"
"""What a file begins with that wasn't there."""

_Collection = TypeVar("_Collection", bound=yaml.CollectionNode)

_BOM: Final = "\ufeff"
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\r\n]*", re.MULTILINE)
_ANCHOR: Final = re.compile(r"[&!][^\s,\[\]{}]+\s+")
_CARRIAGE_RETURN: Final = re.compile(r"\r(?!\n)")
_FEW: Final = 40
"""Characters of a mapping that is written on one line."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class SectionError(WatchwordError):
    """Report a file whose section can't be changed without changing more: what was got, and what to do."""

    exit_code = ExitCode.USAGE


class _Change(NamedTuple):
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class PlanFile:
    """Hold one state of the file.

    :param raw: its bytes; empty for a file that isn't there.
    :param data: its plain values by section, as :mod:`watchword.apps.settings.document` reads them.
    """

    file: Path
    raw: bytes
    data: Mapping[str, Any]

    @classmethod
    def parse(cls, file: Path, raw: bytes) -> "PlanFile":
        """Read the bytes of a file; none at all are a file to be made.

        :raises ConfigurationError: when it isn't YAML at all.
        :raises SectionError: when values are written in a way that hides their meaning, or it is no mapping.
        """
        if not raw.strip():
            return cls(file, raw, {})
        document = parse_document(file, raw)
        for fault in document.faults:
            line = f":{fault.line}" if fault.line else ""
            raise SectionError(f"{file}{line}: got {fault.got}, expected {fault.expected}")
        if not isinstance(document.data, dict):
            raise SectionError(f"{file}: got {shown(document.data)}, expected a mapping")
        return cls(file, raw, document.data)

    @property
    def section(self) -> Section:
        """Return the plain values of the section; empty where there is none."""
        found = self.data.get(SECTION)
        return found if isinstance(found, dict) else {}

    def with_section(self, wanted: Section) -> bytes:
        """Return the file's bytes with another section; all that stands outside it stays byte for byte.

        :raises SectionError: when that can't be done faithfully; nothing was written.
        """
        if wanted == self.section:
            return self.raw
        text = self.raw.decode("utf-8")
        head, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
        changed = (head + _Editor(self.file, body).replaced(self.section, wanted)).encode("utf-8")
        self._check(changed, wanted)
        return changed

    def _check(self, changed: bytes, wanted: Section) -> None:
        """Read what would be written: it must say what is wanted, and elsewhere what it said before."""
        if len(changed) > MAX_BYTES:
            raise SectionError(
                f"{self.file}: got {len(changed)} bytes to write, expected at most {MAX_BYTES}"
            )
        try:
            again = PlanFile.parse(self.file, changed)
        except ConfigurationError:
            raise self._unfaithful() from None
        others = {name: value for name, value in self.data.items() if name != SECTION}
        rest = {name: value for name, value in again.data.items() if name != SECTION}
        if not self.data:
            # A new file has a version besides.
            rest.pop("version", None)
        if again.section != wanted or rest != others:
            raise self._unfaithful()

    def _unfaithful(self) -> SectionError:
        return SectionError(
            f"{self.file}: the section can't be changed in place without changing what it says; nothing was "
            "written: write the section in block style (one key a line), and try again"
        )


class _Editor:
    """Find what to change in one text."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._text = text
        self._break = "\r\n" if "\r\n" in text else "\n"

    def replaced(self, before: Section, wanted: Section) -> str:
        """Return the text with another section."""
        if alone := _CARRIAGE_RETURN.search(self._text):
            line = self._text.count("\n", 0, alone.start()) + 1
            raise SectionError(
                f"{self._file}:{line}: got a carriage return without a line feed, expected one kind of line break"
            )
        root = composed(self._text) if self._text.strip() else None
        if root is None:
            return self._appended(self._text or self._lines(NEW_FILE), wanted)
        if not isinstance(root, yaml.MappingNode) or root.flow_style:
            self._refuse(root, "one key of the file a line, without braces around all")
        for key, value in root.value:
            if key.value == SECTION:
                changes = list(self._entry(key, value, before, wanted))
                return self._applied(changes)
        end = self._line_end(self._content_end(root))
        if self._text[end:].lstrip().startswith("..."):
            self._refuse(root, "no end marker (...) in the file")
        return self._appended(self._text, wanted, indent=root.start_mark.column)

    def _appended(self, text: str, wanted: Section, indent: int = 0) -> str:
        if text and not text.endswith("\n"):
            text += self._break
        gap = "" if not text.strip() else self._break
        return text + gap + self._block({SECTION: dict(wanted)}, indent)

    def _applied(self, changes: Sequence[_Change]) -> str:
        ordered = sorted(changes, key=lambda each: (each.start, each.end))
        if any(one.end > other.start for one, other in pairwise(ordered)):
            raise SectionError(
                f"{self._file}: the section can't be changed in place: two entries share a line; write one entry a line"
            )
        text = self._text
        for start, end, new in reversed(ordered):
            text = text[:start] + new + text[end:]
        return text

    def _refuse(self, node: yaml.Node, expected: str) -> None:
        line = node.start_mark.line + 1
        raise SectionError(
            f"{self._file}:{line}: the section can't be changed in place, expected {expected}"
        )

    # What changes.

    def _entry(
        self, key: yaml.Node, value: yaml.Node, before: Any, after: Any
    ) -> Iterator[_Change]:
        """Yield what makes the value of one key of a block mapping another."""
        if before == after:
            return
        if _is_block(value, yaml.MappingNode) and _filled(before, dict) and _filled(after, dict):
            yield from self._mapping(value, before, after)
        elif _is_block(value, yaml.SequenceNode) and _filled(before, list) and _filled(after, list):
            yield from self._sequence(value, before, after)
        elif self._fits_one_line(value, after):
            yield self._one_line(value, after)
        else:
            yield self._entry_anew(key, value, after)

    def _mapping(
        self, node: yaml.MappingNode, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Iterator[_Change]:
        nodes = {key.value: (key, value) for key, value in node.value}
        gone = [name for name in before if name not in after]
        new = [name for name in after if name not in before]
        for name in list(gone):
            # An entry that only got another name keeps its place and its comments.
            to = next((each for each in new if after[each] == before[name]), None)
            if to is not None and _PLAIN.fullmatch(to) and isinstance(after[to], dict):
                key = nodes[name][0]
                yield _Change(key.start_mark.index, key.end_mark.index, to)
                gone.remove(name)
                new.remove(to)
        for name in before:
            if name in after:
                yield from self._entry(*nodes[name], before[name], after[name])
        first = node.value[0][0]
        for name in gone:
            key, value = nodes[name]
            yield _Change(self._line_start(key), self._after(value), "")
        if new:
            end = self._after(node)
            text = self._block({name: after[name] for name in new}, first.start_mark.column)
            yield _Change(end, end, self._on_new_line(end, text))

    def _sequence(
        self, node: yaml.SequenceNode, before: Sequence[Any], after: Sequence[Any]
    ) -> Iterator[_Change]:
        one, other = ([strict_json.dumps(each) for each in items] for items in (before, after))
        indent = self._dash(node.value[0]) - self._line_start(node.value[0])
        for kind, start, end, low, high in difflib.SequenceMatcher(
            None, one, other, autojunk=False
        ).get_opcodes():
            if kind == "replace" and end - start == high - low:
                for place in range(end - start):
                    yield from self._item(
                        node.value[start + place], before[start + place], after[low + place], indent
                    )
                continue
            if kind in {"delete", "replace"}:
                for item in node.value[start:end]:
                    yield _Change(self._line_start(item), self._after(item), "")
            if kind in {"insert", "replace"}:
                last = node.value[end - 1] if end else None
                at = self._line_start(node.value[0]) if last is None else self._after(last)
                text = self._block(list(after[low:high]), indent)
                yield _Change(at, at, self._on_new_line(at, text))

    def _item(self, node: yaml.Node, before: Any, after: Any, indent: int) -> Iterator[_Change]:
        """Yield what makes one entry of a list another."""
        if _is_block(node, yaml.MappingNode) and isinstance(after, dict):
            first = node.value[0][0].value
            if before[first] == after.get(first):
                yield from self._mapping(node, before, after)
                return
        start, end = self._line_start(node), self._after(node)
        yield _Change(start, end, self._comments(start, end, indent) + self._block([after], indent))

    def _fits_one_line(self, node: yaml.Node, after: Any) -> bool:
        """Tell whether a value stands on one line, and another can take its place there."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            return False
        text = self._text[node.start_mark.index : self._content_end(node)]
        if "\n" in text or text.startswith(("|", ">")) or _COMMENT.search(text):
            return False
        return not isinstance(after, dict | list) or isinstance(node, yaml.CollectionNode)

    def _one_line(self, node: yaml.Node, after: Any) -> _Change:
        start, end = node.start_mark.index, self._content_end(node)
        properties = _ANCHOR.match(self._text, start, end)
        if properties is not None:
            start = properties.end()
        text = _dumped(after, flow=True)
        if text == "null":
            text = ""
        gap = " " if text and self._text[start - 1 : start] == ":" else ""
        return _Change(start, end, gap + text)

    def _entry_anew(self, key: yaml.Node, value: yaml.Node, after: Any) -> _Change:
        """Return a key and its value written anew; the comments between them stand above."""
        start, end, indent = self._line_start(key), self._after(value), key.start_mark.column
        if self._text[start : key.start_mark.index].strip():
            self._refuse(key, "each key on a line of its own")
        text = self._comments(start, end, indent) + self._block({key.value: after}, indent)
        return _Change(start, end, text)

    # Where it stands.

    def _content_end(self, node: yaml.Node) -> int:
        """Return the index behind the last character of a node that says something."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._content_end(last[1] if isinstance(last, tuple) else last)
        start, end = node.start_mark.index, node.end_mark.index
        return int(start + len(self._text[start:end].rstrip()))

    def _line_start(self, node: yaml.Node) -> int:
        return self._text.rfind("\n", 0, node.start_mark.index) + 1

    def _line_end(self, index: int) -> int:
        """Return the index behind the line break of the line in which an index stands."""
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found + 1

    def _after(self, node: yaml.Node) -> int:
        return self._line_end(self._content_end(node))

    def _dash(self, item: yaml.Node) -> int:
        """Return where the dash of an entry stands.

        :raises SectionError: when it doesn't begin its line.
        """
        start = self._line_start(item)
        before = self._text[start : item.start_mark.index]
        if not re.fullmatch(r" *- *", before):
            self._refuse(item, "each entry of a list on a line of its own")
        return start + before.index("-")

    def _comments(self, start: int, end: int, indent: int) -> str:
        """Return the comments of a stretch that is written anew, a line each."""
        found = (each.group().rstrip() for each in _COMMENT.finditer(self._text[start:end]))
        return "".join(f"{' ' * indent}{each}{self._break}" for each in found)

    # What is written.

    def _block(self, value: Any, indent: int) -> str:
        lines = _dumped(value, flow=False).splitlines()
        return "".join(f"{' ' * indent if line else ''}{line}{self._break}" for line in lines)

    def _lines(self, text: str) -> str:
        return text.replace("\n", self._break)

    def _on_new_line(self, at: int, text: str) -> str:
        return text if at == 0 or self._text[at - 1] == "\n" else self._break + text


class _Dumper(yaml.SafeDumper):
    """Write lists indented below their key, as the examples do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own signature.
        super().increase_indent(flow=flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own signature.
        """Write each value where it stands: an alias hides what it says."""
        return True


def _dumped(value: Any, *, flow: bool) -> str:
    """Return YAML: small collections in one line, text in quotes where anything could read it as something else."""
    node = _Dumper(io.StringIO(), sort_keys=False).represent_data(value)
    _lay_out(node, flow=flow)
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=1 << 20)
    # PyYAML ends a bare scalar with an end marker.
    return text.removesuffix("...\n").rstrip("\n")


def _lay_out(node: yaml.Node, *, flow: bool, depth: int = 0) -> None:
    """Write on one line what holds nothing but a few words, and each other entry on lines of its own."""
    if not isinstance(node, yaml.CollectionNode):
        return
    parts = [part for each in node.value for part in (each if isinstance(each, tuple) else [each])]
    leaf = all(isinstance(part, yaml.ScalarNode) for part in parts)
    small = isinstance(node, yaml.SequenceNode) or sum(len(part.value) for part in parts) <= _FEW
    node.flow_style = flow or (depth > 0 and leaf and small)
    for part in parts:
        _lay_out(part, flow=flow or node.flow_style, depth=depth + 1)


def _is_block(node: yaml.Node, kind: type[_Collection]) -> TypeGuard[_Collection]:
    return isinstance(node, kind) and not node.flow_style and bool(node.value)


def _filled(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and bool(value)
