"""Read YAML into plain values, remembering the line of each; refuse what hides its meaning.

Duplicate keys, aliases (a few lines can expand to gigabytes) and tags are faults here, since
a person who reads the file must see what the program sees.
"""

import os.path
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

try:
    # libyaml's parser builds the same nodes ten times faster; not every PyYAML has it.
    from yaml import CSafeLoader as _BaseLoader
except ImportError:
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.encoding.collector import collector_at_rest

MAX_BYTES = 4 * 1024 * 1024
"""Most bytes of a configuration file; most have a few kB, a plan for 10,000 assets two MB."""

MAX_DEPTH = 14
"""Most levels of nesting; the format has five."""

STATE: Final = ".watchword"
"""Directory of keys, store and sockets where the file names none, from the file's own."""

OPERATOR_SOCKET: Final = "operator.sock"
"""The operator's socket, in that directory."""

ENGINE_REFUSALS: Final = "engine-refusals.db"
GATE_REFUSALS: Final = "gates/refusals.db"
"""What engines refused, in that directory."""

_EXPECTED: Final = (
    "valid YAML; keys of one section begin in one column, indented by spaces and never by tabs, "
    "and text with ': ' or ' #' in it stands in quotes"
)

_TEXT: Final = "tag:yaml.org,2002:str"

Path_ = tuple[str | int, ...]

Inconsistency = tuple[Path_, str, str]
"""Path, got, expected."""


class _Loader(_BaseLoader):
    """Read plain scalars as YAML 1.2 does.

    YAML 1.1 turns ``mode: off`` into false, ``8080:90`` into a number of base 60 and
    ``2026-11-24`` into a date; a configuration must not change its meaning that way.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to say it.


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


@dataclass(slots=True)
class Document:
    """Hold the plain values, the line of each path, and the faults found while reading."""

    data: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path_) -> int | None:
        """Return the line of a path, or of the nearest parent that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), None)

    def located(self, found: Iterable[Inconsistency]) -> list[Fault]:
        """Return a fault with its line for each of these."""
        return [Fault(join(path), self.line(path), got, expected) for path, got, expected in found]


def mapping_at(data: Any, *path: str) -> dict[str, Any]:
    """Return the mapping that stands at a place of a file that nobody has checked; an empty one where none does."""
    found: Any = data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def read_document(file: Path, missing: str = "a file; `watchword init` writes one") -> Document:
    """Read a file.

    :param missing: what is expected where there is no file: what to do then.
    :raises ConfigurationError: when it can't be read, or isn't YAML at all.
    """
    return parse_document(file, read_bytes(file, missing, MAX_BYTES))


def composed(text: str) -> yaml.Node | None:
    """Return the nodes of a text that was read without faults, each with where it stands; None where it says nothing.

    The parser is that of :func:`parse_document`: another one would refuse some files that this one takes.
    """
    return yaml.compose(text, Loader=_BaseLoader)


def running_state(file: Path) -> Path | None:
    """Return the state directory of a ``watchword.yaml`` whose service runs; None where none does, or the section isn't plain.

    Of the file nothing else is looked at: a service that runs has read it, and an operator in a hurry isn't kept from it
    by what somebody wrote there since.

    :raises ConfigurationError: when the file can't be read, or isn't YAML at all.
    """
    found = read_document(file)
    state = mapping_at(found.data, "service").get("state", STATE)
    if found.faults or not isinstance(state, str) or not state:
        return None
    directory = Path(os.path.realpath(Path(os.path.realpath(file)).parent / state))
    return directory if (directory / OPERATOR_SOCKET).is_socket() else None


def read_bytes(file: Path, missing: str, most: int) -> bytes:
    """Return the bytes of a file that a person named, ``most`` of them at most.

    :param missing: what is expected where there is no file.
    :raises ConfigurationError: when it isn't there, can't be read, or is larger.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(most + 1)
    except FileNotFoundError:
        raise unusable(file, "no such file", missing) from None
    except (OSError, ValueError) as error:
        # Python calls a name that the system can't have a wrong value, without a text of the system's.
        got = getattr(error, "strerror", None) or "an unreadable file"
        raise unusable(file, got, "a readable file") from None
    if len(raw) > most:
        raise unusable(file, f"more than {most} bytes", f"at most {most} bytes")
    return raw


def unusable(file: Path, got: str, expected: str, line: int | None = None) -> ConfigurationError:
    """Return the error of a file of which nothing can be read."""
    return ConfigurationError(file, [Fault("", line, got, expected)])


def parse_document(file: Path, raw: bytes) -> Document:
    """Parse the bytes of a file.

    :raises ConfigurationError: when it isn't YAML at all.
    """
    with collector_at_rest():
        return _parsed(file, raw)


def _parsed(file: Path, raw: bytes) -> Document:
    try:
        loader = _Loader(raw.decode("utf-8"))
        node = loader.get_single_node()
    except UnicodeDecodeError:
        raise unusable(file, "bytes that aren't UTF-8", "UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise unusable(file, error.problem or "invalid YAML", _EXPECTED, line) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise unusable(file, "invalid YAML", _EXPECTED) from None
    reader = _Reader(loader, Document())
    if node is None:
        reader.fault((), None, "an empty file", "a mapping")
    else:
        reader.document.data = reader.plain(node, ())
    return reader.document


class _Reader:
    """Turn nodes into plain values; collect what is wrong with them."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader = loader
        self._seen: set[int] = set()
        self.document = document

    def fault(self, path: Path_, line: int | None, got: str, expected: str) -> None:
        self.document.faults.append(Fault(join(path), line, got, expected))

    def plain(self, node: yaml.Node, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self.document.lines.setdefault(path, line)
        if id(node) in self._seen:
            self.fault(path, line, "a YAML alias", "the value itself")
            return None
        self._seen.add(id(node))
        if len(path) > MAX_DEPTH:
            self.fault(path, line, "deeper nesting", f"at most {MAX_DEPTH} levels")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.tag == _TEXT:
            return node.value
        try:
            value = self._loader.construct_object(node)
            # An explicit tag makes a date or bytes, which nothing here reads.
            if value is None or isinstance(value, str | int | float):
                return value
        except (yaml.YAMLError, ValueError):
            pass
        self.fault(path, line, f"the tag or value {node.tag}", "a plain value")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        """Return a dict with text keys; a key given twice is a fault."""
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.fault(path, line, "a key that isn't text", "a text key")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in result:
                first = self.document.lines[here]
                expected = f"{key!r} once; it first stands on line {first}"
                self.fault(here, line, "the same key again", expected)
                continue
            self.document.lines[here] = line
            result[key] = self.plain(value_node, here)
        return result
