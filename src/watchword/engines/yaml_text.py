"""Write YAML with comments: block style, each scalar as JSON writes it.

JSON's strings, numbers and words are YAML's too (YAML 1.2, chapter 10), so that nothing needs to be
guessed: what was text stays text.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

Node = "str | int | float | bool | None | Mapping[str, Node] | Sequence[Node] | Commented"  # pragma: no cover
"""What can be written: scalars, mappings by text, sequences, and any of them with a comment."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WIDTH: Final = 100


class Commented(NamedTuple):
    """Hold a value with what is to be said about it, in whole sentences."""

    value: object
    comment: str


class Block(NamedTuple):
    """Hold text of several lines that is written as it is (a script)."""

    text: str


def render(document: object, heading: str) -> str:
    """Return a YAML document under a heading; a person can read both.

    :raises TypeError: when something can't be written.
    """
    lines = [*_comment(heading, ""), *_lines(document, "")]
    return "\n".join(lines) + "\n"


def _lines(node: object, indent: str) -> Iterator[str]:
    """Yield the lines of a mapping or a sequence."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _entry(f"{indent}{_key(key)}:", value, indent)
    elif isinstance(node, Sequence) and not isinstance(node, str | Block | Commented):
        for value in node:
            yield from _item(value, indent)
    else:
        raise TypeError(f"expected a mapping or a sequence, got {type(node).__name__}")


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Commented):
        yield from _comment(value.comment, indent)
        yield from _entry(head, value.value, indent)
    elif isinstance(value, Block):
        yield f"{head} |"
        yield from (f"{indent}  {line}" if line else "" for line in value.text.split("\n"))
    elif _is_collection(value):
        yield head
        yield from _lines(value, f"{indent}  ")
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Commented):
        yield from _comment(value.comment, indent)
        yield from _item(value.value, indent)
    elif _is_collection(value):
        # The first line of what is inside stands behind the dash, comments before it.
        dashed = False
        for line in _lines(value, f"{indent}  "):
            if dashed or line.lstrip().startswith("#"):
                yield line
            else:
                dashed = True
                yield f"{indent}- {line[len(indent) + 2 :]}"
    else:
        yield f"{indent}- {_scalar(value)}"


def _is_collection(value: object) -> bool:
    return (
        isinstance(value, Mapping | Sequence) and not isinstance(value, str | Block) and bool(value)
    )


def _scalar(value: object) -> str:
    if isinstance(value, Mapping | list | tuple) and not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    if value is None or isinstance(value, str | int | float | bool):
        return json.dumps(value, allow_nan=False)
    raise TypeError(f"expected a scalar, got {type(value).__name__}")


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)


def _comment(text: str, indent: str) -> Iterator[str]:
    """Yield the text as comment lines, broken between words."""
    width = _WIDTH - len(indent) - 2
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and len(line) + 1 + len(word) > width:
                yield f"{indent}# {line}"
                line = word
            else:
                line = f"{line} {word}" if line else word
        yield f"{indent}# {line}".rstrip()
