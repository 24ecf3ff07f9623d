"""Tell who runs a step, for the log."""

import os
import pwd
import socket


def who_runs() -> str:
    """Return the user and the machine, such as ``alice@build-3``; the number of a user who has no name."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"{name}@{socket.gethostname()}"
