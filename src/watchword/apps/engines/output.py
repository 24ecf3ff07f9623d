"""Share standard output with an engine that opens it anew."""

import os
from contextlib import suppress
from fcntl import F_GETFL, F_SETFL, fcntl


def append_to_output() -> None:
    """Write standard output and errors at the end of their files from now on.

    An engine that logs to ``/dev/stdout`` opens the file behind it again, with a place of its own in it; each
    would write over lines of the other.  Pipes and terminals have no places, and nothing changes for them.
    """
    for descriptor in (1, 2):
        # One that is closed, or can't be appended to, is none of our business.
        with suppress(OSError):
            fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | os.O_APPEND)
