"""Keep corpora small: of many inputs the fewest that reach each step of the code that any reaches."""

import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"

KEPT_BYTES = 12 * 1024
"""Most bytes of the inputs that are kept of one target."""

FIND = "find-"
"""How the names of inputs begin that once were finds: they stay for good."""

Step = tuple[str, int, int]
"""A file of ours, a line in it, and the line before."""


def corpus(name: str) -> list[bytes]:
    """Return the kept inputs of a target, in the same order each time."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def steps(target: Target, data: bytes) -> set[Step]:
    """Return the steps that an input takes through our code; what it raises is raised."""
    taken: set[Step] = set()

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        if "/watchword/" not in file:
            return None
        before = 0

        def step(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal before
            if event == "line":
                taken.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step

    previous = sys.gettrace()
    sys.settrace(enter)
    try:
        target.parse(data)
    finally:
        sys.settrace(previous)
    return taken


def fewest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Return inputs that together take every step that any takes, the smallest first."""
    kept, taken = [], set[Step]()
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        new = steps(target, data) - taken
        if new:
            kept.append(data)
            taken |= new
    return kept


def keep(name: str, target: Target, inputs: Iterable[bytes]) -> None:
    """Replace a target's corpus by the fewest of these inputs, up to the cap."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if not path.name.startswith(FIND):
            path.unlink()
    room = KEPT_BYTES
    for data in fewest(target, inputs):
        room -= len(data)
        if room < 0:
            break
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
