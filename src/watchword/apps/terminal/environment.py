"""Read the environment variables, all of them here.

``WATCHWORD_DEBUG``: ``1`` shows stack traces of errors on stderr.
``WATCHWORD_LOG``: ``debug``, ``info`` (default), ``warning`` or ``error``.
``USER``/``LOGNAME``: the operator's name as claimed, for the audit trail; without them that of the process's user.
What ``secrets.master_key.env`` names: the master key, which is taken out of the environment.
"""

import os
import pwd

_LEVELS = ("debug", "info", "warning", "error")


def debugging() -> bool:
    """Tell whether stack traces are wanted."""
    return os.environ.get("WATCHWORD_DEBUG") == "1"  # noqa: TID251 - the one reader.


def log_level() -> str:
    """Return the wanted log level; an unknown one counts as ``info``."""
    wanted = os.environ.get("WATCHWORD_LOG", "info").lower()  # noqa: TID251 - the one reader.
    return wanted if wanted in _LEVELS else "info"


def operator_name() -> str:
    """Return who calls, as the environment claims, or else the name of the process's user; it is recorded as a claim."""
    environ = os.environ  # noqa: TID251 - the one reader.
    return (environ.get("USER") or environ.get("LOGNAME") or _account())[:64]


def _account() -> str:
    """Return the name of the process's user; its number where nobody named it, as in many containers."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"


def taken(name: str) -> str | None:
    """Return a secret that came by a variable, and take it out of the environment; None where it isn't set.

    It can be taken once: no child of this process gets it, and neither does whoever reads the process's
    environment later (``/proc/PID/environ``): unsetting a variable only forgets where the kernel had put it.
    """
    text = os.environ.pop(name, None) if _wipe(name) else None  # noqa: TID251 - the one reader.
    return text or None


def _wipe(name: str) -> bool:
    """Overwrite a value in the C library's environment, and tell whether there was one."""
    import ctypes  # noqa: PLC0415 - every command imports this module, and hardly one needs it.

    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    library.getenv.argtypes = [ctypes.c_char_p]
    place = library.getenv(os.fsencode(name))
    if not place:
        return False
    ctypes.memset(place, 0, len(ctypes.string_at(place)))
    return True
