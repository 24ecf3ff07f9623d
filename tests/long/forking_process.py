"""Start ``watchword up`` again and again without importing it each time: one process for each line that comes in.

Each is a process of its own, forked before anything ran.  Its number is written first, then whatever it
writes, and ``ended`` after it was killed.
"""

import os
import sys

# Imported for its sake alone: what a start would spend most of its time on.
import watchword.adapters.lab_store
import watchword.apps.cli.deployment
import watchword.apps.deployment
import watchword.lab.phones  # noqa: F401
from watchword.apps.cli.main import run


def main() -> None:
    """Fork for each line, and wait until that process ends."""
    while sys.stdin.readline():
        number = os.fork()
        if number == 0:
            sys.argv = ["watchword", *sys.argv[1:]]
            _say(str(os.getpid()))
            run()
            os._exit(0)
        os.waitpid(number, 0)
        _say("ended")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
