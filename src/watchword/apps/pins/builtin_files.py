"""Read what versions of an app ship with out of the workspace, where faults are told by the file's name."""

from watchword.apps.pins.faults import PinsError
from watchword.pins.builtins import BuiltinError, read_builtin
from watchword.pins.interface import Builtin


def read_builtin_file(name: str, data: bytes) -> Builtin:
    """Return what a version of an app ships with.

    :param name: of the file, for errors.
    :raises PinsError: when it isn't as it was written.
    """
    try:
        return read_builtin(data)
    except BuiltinError as error:
        raise PinsError(f"builtins/{name}.json: {error}; restore it from a backup") from None
