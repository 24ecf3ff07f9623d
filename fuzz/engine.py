"""Run one target under atheris: ``python -m fuzz.engine TARGET FOUND CORPUS... [-libfuzzer=option]``.

Atheris is loaded here alone, so that corpora can be replayed where it isn't installed.
"""

import importlib
import sys
import time
from hashlib import sha256
from pathlib import Path

SLOW = 0.05
"""Seconds of processor time that no input may take.  Traced code is several times slower than the
same code at rest: a slow input is only a suspect, which is timed again by :mod:`fuzz.replay`."""


def main() -> None:
    """Fuzz until libFuzzer's own options end it; suspects of slowness go into ``FOUND``."""
    name, found, *options = sys.argv[1:]
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["watchword"]):
        target = importlib.import_module("fuzz.targets").TARGETS[name]

    def once(data: bytes) -> None:
        before = time.thread_time()
        target.parse(data)
        if time.thread_time() - before > SLOW:
            (Path(found) / f"slow-{sha256(data).hexdigest()[:16]}").write_bytes(data)

    limits = [f"-max_len={target.max_input}", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
