"""Write down what the product puts out, command by command and answer by answer, in a text that a person can compare.

Nothing is left out in silence: what differs from run to run is replaced by a visible mark in angle brackets, JSON on one line is shown
indented (which loses nothing: it is checked), and of long outputs the first lines stand there and the SHA-256 of the whole.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from watchword import __version__
from watchword.adapters.system import SystemClock
from watchword.apps.cli.entry import run

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
RECORDED_VERSION: Final = "0.1.0"
"""The version that the recorded files show; today's is shown as this one."""

FILES: Final = HERE / "files"
RENAMES: Final = HERE / "renames.toml"

_SHOWN_LINES: Final = 60
_LONGEST_LINE: Final = 2_000
_NOW_WITHIN: Final = 70
"""Seconds before and after the time that a group has run for: what is told and lies there is now.  Some are told in whole minutes."""

_MOMENT: Final = re.compile(
    r"(?<!\d)20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00| UTC)?"
    r"|\d{1,2} [A-Z][a-z]+ 20\d\d, \d\d:\d\d UTC"
    r"|(?<![\d.])(?:20\d{12}|[1-9]\d{9}(?:\.\d+)?)(?!\d)"
)
_UUID: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
)


@dataclass
class Transcript:
    """Hold a directory to work in, and what was put out there so far.

    :ivar aliases: regular expressions of what is drawn anew in each run; each text that matches gets a number, in the order of
        appearance (``<key 1>``), so that the same is seen to be the same.
    :ivar marks: the same of what is measured anew in each run, without numbers (``<took>``).
    :ivar ahead: seconds after now that are told as moments, beside now itself.
    :ivar most_lines: up to which an output stands here whole.
    """

    directory: Path
    aliases: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)
    most_lines: int = 400
    lines: list[str] = field(default_factory=list)
    _began: float = field(default_factory=lambda: SystemClock().timestamp())
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file below the directory."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def example(self, name: str, to: str | None = None) -> str:
        """Copy an example of the project; return its name here."""
        self.write(to or name, (ROOT / "examples" / name).read_bytes())
        return to or name

    def note(self, title: str, text: str) -> None:
        """Add a text under a title."""
        self.lines += [f"=== {self._marked(title)}", *self._shown(text), ""]

    def __call__(self, *words: str, stdin: str = "", config: str | None = None) -> None:
        """Run a command as a shell would, and write down its code and what it printed."""
        arguments = ["watchword", *(["-c", config] if config else []), *words]
        code, out, err = _ran(arguments, stdin)
        self.lines += [f"=== $ {self._marked(shlex.join(arguments))}", f"exit {code}"]
        for name, text in (("out", out), ("err", err)):
            if text:
                self.lines += [f"--- {name}", *self._shown(text)]
        self.lines.append("")

    def printed(self, *words: str, config: str | None = None) -> str:
        """Run a command, and return what it printed instead of writing it down."""
        return _ran(["watchword", *(["-c", config] if config else []), *words], "")[1]

    def file(self, name: str) -> None:
        """Add a file that was written."""
        path = self.directory / name
        mode = path.stat().st_mode & 0o777
        self.note(f"file {name} ({mode:o})", path.read_text("utf-8"))

    def tree(self, name: str) -> None:
        """Add all files below a directory, by name."""
        files = (each for each in (self.directory / name).rglob("*") if each.is_file())
        # Names with something in them that is drawn are sorted by its number.
        for path in sorted(files, key=lambda each: self._marked(str(each))):
            self.file(str(path.relative_to(self.directory)))

    def text(self) -> str:
        """Return what was written down."""
        return "\n".join(self.lines).rstrip("\n") + "\n"

    def _shown(self, text: str) -> list[str]:
        if not text.endswith("\n"):
            text += "\n<no newline at the end>\n"
        told = (shown for line in text[:-1].split("\n") for shown in _of_line(line))
        text = self._marked("\n".join(told))
        lines = text.split("\n")
        if len(lines) <= self.most_lines and all(len(line) <= _LONGEST_LINE for line in lines):
            return lines
        digest = hashlib.sha256(text.encode()).hexdigest()
        first = [_cut(line) for line in lines[:_SHOWN_LINES]]
        return [*first, f"<... of {len(lines)} lines, SHA-256 of the whole {digest}>"]

    def _marked(self, text: str) -> str:
        text = text.replace(__version__, RECORDED_VERSION)
        text = text.replace(str(self.directory), "<dir>").replace(str(ROOT), "<project>")
        text = _UUID.sub("<uuid>", _MOMENT.sub(self._moment, text))
        for name, pattern in self.marks.items():
            text = re.sub(pattern, f"<{name}>", text)
        for name, pattern in self.aliases.items():
            text = re.sub(pattern, partial(self._alias, name), text)
        return text

    def _alias(self, name: str, found: re.Match[str]) -> str:
        numbers = self._numbers.setdefault(name, {})
        return f"<{name} {numbers.setdefault(found[0], len(numbers) + 1)}>"

    def _moment(self, found: re.Match[str]) -> str:
        """Return the mark of a moment that is told from now, and any other as it is."""
        text = found[0]
        if text[4:5] == "-":
            at = _seconds(datetime.fromisoformat(text.replace(" UTC", "+00:00")))
        elif "UTC" in text or len(text) == 14:
            form = "%d %B %Y, %H:%M UTC" if "UTC" in text else "%Y%m%d%H%M%S"
            try:
                at = _seconds(datetime.strptime(text, form))  # noqa: DTZ007 - as below.
            except ValueError:
                return text
        else:
            at = float(text)
        passed = SystemClock().timestamp() - self._began
        for name, ahead in {"now": 0.0, **self.ahead}.items():
            if -_NOW_WITHIN <= at - self._began - ahead <= passed + _NOW_WITHIN:
                return f"<{name}>"
        return text


def _seconds(at: datetime) -> float:
    """Return seconds since 1970 of a time that is in UTC where it says nothing."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _of_line(line: str) -> list[str]:
    """Return a line of JSON indented where that loses nothing, else the line."""
    if len(line) < 100 or line[0] not in "{[":
        return [line]
    with contextlib.suppress(ValueError):
        for name, separators in (("", (", ", ": ")), (" compact", (",", ":"))):
            value: Any = json.loads(line)
            if json.dumps(value, separators=separators) == line:
                shown = json.dumps(value, indent=1)
                return [f"<one line of{name} JSON>", *shown.split("\n")]
    return [line]


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:200]}<... {len(line)} characters>"


def _ran(arguments: list[str], stdin: str) -> tuple[object, str, str]:
    """Run the command line in this process; return its exit code, and what it printed to either side."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    before = sys.argv, sys.stdin, sys.modules["__main__"]
    # Click tells from the main module what it was started as.
    sys.argv, sys.stdin, sys.modules["__main__"] = arguments, given, ModuleType("__main__")
    code: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv, sys.stdin, sys.modules["__main__"] = before
    texts = [each.buffer.getvalue().decode() for each in (out, err)]
    return code, texts[0], texts[1]


@contextmanager
def workspace() -> Iterator[Path]:
    """Give an empty directory whose path is always as long, and be in it: what is wrapped is wrapped alike."""
    settings = {"COLUMNS": "100", "LINES": "40", "NO_COLOR": "1", "TERM": "dumb", "TZ": "UTC"}
    settings |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "USER": "alice", "LOGNAME": "alice"}
    before, was = dict(os.environ), Path.cwd()  # noqa: TID251 - a child of a shell has these.
    with tempfile.TemporaryDirectory(prefix="recorded-", dir="/tmp") as made:
        try:
            os.chdir(made)
            kept = {k: v for k, v in before.items() if not k.startswith("WATCHWORD")}
            _become({**kept, **settings})
            yield Path(made)
        finally:
            os.chdir(was)
            _become(before)


def _become(variables: Mapping[str, str]) -> None:
    os.environ.clear()  # noqa: TID251 - as above.
    os.environ.update(variables)  # noqa: TID251 - as above.


@dataclass(frozen=True)
class Rename:
    """Hold one line of the table of what is called otherwise than when it was recorded."""

    was: str
    now: str
    why: str


def renames() -> list[Rename]:
    """Read the table of what was renamed since."""
    table = tomllib.loads(RENAMES.read_text("utf-8"))
    return [Rename(each["was"], each["is"], each["why"]) for each in table.get("rename", [])]


def recorded(name: str) -> str:
    """Return what was recorded of a group, under the names of today."""
    text = (FILES / f"{name}.txt").read_text("utf-8")
    for each in renames():
        text = text.replace(each.was, each.now)
    return text
