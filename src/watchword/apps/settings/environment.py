"""Read the environment variables, all of them here.

``WATCHWORD_DEBUG``: ``1`` shows stack traces of errors on stderr.
``WATCHWORD_LOG``: ``debug``, ``info`` (default), ``warning`` or ``error``.
``USER``/``LOGNAME``: the operator's name as claimed, for the audit trail.
"""

import os

_LEVELS = ("debug", "info", "warning", "error")


def debugging() -> bool:
    """Tell whether stack traces are wanted."""
    return os.environ.get("WATCHWORD_DEBUG") == "1"  # noqa: TID251 - the one reader.


def log_level() -> str:
    """Return the wanted log level; an unknown one counts as ``info``."""
    wanted = os.environ.get("WATCHWORD_LOG", "info").lower()  # noqa: TID251 - the one reader.
    return wanted if wanted in _LEVELS else "info"


def operator_name() -> str:
    """Return who calls, as the environment claims; it is recorded as a claim."""
    environ = os.environ  # noqa: TID251 - the one reader.
    return (environ.get("USER") or environ.get("LOGNAME") or "operator")[:64]
