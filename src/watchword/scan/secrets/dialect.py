r"""Translate regular expressions of Go's dialect (RE2 syntax) into Python's.

Four things differ in what the rules use: a flag group such as ``(?i)`` in the middle holds to the end of its group and over its
alternatives, ``\z`` is ``\Z``, ``$`` without the flag ``m`` is the end of the text alone, and ``(?<name>`` is ``(?P<name>``.
Classes such as ``\w`` know ASCII alone: compile with :data:`re.ASCII`.  Source: https://pkg.go.dev/regexp/syntax.
"""

import re

_FLAGS = re.compile(r"\(\?([ims]*(?:-[ims]+)?)\)")
_NAMED = re.compile(r"\(\?<(?=[A-Za-z_])")


def translate(source: str) -> str:
    """Return the expression in Python's dialect; it's taken to be valid in Go's."""
    return _Translator(source).run()


class _Translator:
    """Walk over one expression, with the flag groups that are open at each depth."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._written: list[str] = []
        self._open: list[list[str]] = [[]]

    def run(self) -> str:
        """Translate all of it."""
        while self._at < len(self._source):
            self._step()
        self._written.append(")" * len(self._open[0]))
        return "".join(self._written)

    def _step(self) -> None:
        char = self._source[self._at]
        if char == "\\":
            pair = self._source[self._at : self._at + 2]
            self._write("\\Z" if pair == "\\z" else pair, 2)
        elif char == "[":
            self._class()
        elif char == "(":
            self._group()
        elif char == ")":
            closing = ")" * len(self._open.pop())
            self._write(closing + ")", 1)
        elif char == "|":
            flags = self._open[-1]
            self._write(")" * len(flags) + "|" + "".join(f"(?{flag}:" for flag in flags), 1)
        else:
            self._write("\\Z" if char == "$" else char, 1)

    def _write(self, text: str, length: int) -> None:
        self._written.append(text)
        self._at += length

    def _group(self) -> None:
        flags = _FLAGS.match(self._source, self._at)
        if flags is not None:
            self._open[-1].append(flags[1])
            self._write(f"(?{flags[1]}:", len(flags[0]))
            return
        self._open.append([])
        named = _NAMED.match(self._source, self._at)
        if named is not None:
            self._write("(?P<", len(named[0]))
        else:
            self._write("(", 1)

    def _class(self) -> None:
        """Copy a class; a bracket inside it is escaped, since Python keeps it for nested sets."""
        end = self._at + 1
        if self._source[end : end + 1] == "^":
            end += 1
        if self._source[end : end + 1] == "]":
            end += 1
        while self._source[end] != "]":
            end += 2 if self._source[end] == "\\" else 1
        inner = self._source[self._at + 1 : end]
        self._write(
            "[" + re.sub(r"(\\.)|\[", lambda hit: hit[1] or "\\[", inner) + "]", len(inner) + 2
        )
