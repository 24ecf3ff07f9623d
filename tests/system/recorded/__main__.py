"""Compare what the product puts out with what was recorded, or record it anew: ``python -m tests.recorded [--write] [GROUP ...]``."""

import difflib
import sys

from tests.system.recorded.groups import GROUPS, made
from tests.system.recorded.transcript import FILES, recorded


def main(words: list[str]) -> int:
    """Compare or write the groups that are named, all if none is."""
    names = [word for word in words if not word.startswith("-")] or list(GROUPS)
    different = 0
    for name in names:
        text = made(name)
        if "--write" in words:
            FILES.mkdir(exist_ok=True)
            (FILES / f"{name}.txt").write_text(text, encoding="utf-8")
            continue
        was = recorded(name)
        if text != was:
            different += 1
            sys.stdout.writelines(
                difflib.unified_diff(
                    was.splitlines(keepends=True), text.splitlines(keepends=True), name, "now", n=2
                )
            )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
