"""Give up root's rights for a while: root may write everywhere, so that it can't see a refusal."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """Give a directory of an ordinary user, and be that user (or stay the one that we are)."""
    directory = Path(tempfile.mkdtemp(prefix="watchword-test-"))
    root = os.geteuid() == 0
    try:
        if root:
            os.chown(directory, NOBODY, -1)
            os.seteuid(NOBODY)
        yield directory
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o700)
        shutil.rmtree(directory)
