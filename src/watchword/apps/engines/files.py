"""Write an engine's files so that it never reads half of one, and secrets so that nobody else does."""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from watchword.adapters.keyring.private_file import private_directory, write_private
from watchword.engines.envoy.generation import PRIVATE_PREFIX
from watchword.engines.envoy.lending import LENT_PREFIX
from watchword.engines.interface import EngineFile, EngineFileKind

_KEPT_SECRETS = 2


def write_files(directory: Path, files: Sequence[EngineFile]) -> None:
    """Write the files that changed, in their order; each is renamed onto its name.

    :raises PrivateFileError: when the directory isn't ours alone, or the disk refuses.
    :raises OSError: when the disk refuses.
    """
    private_directory(directory)
    for file in files:
        path = directory / file.name
        data = file.content.encode("utf-8")
        if file.kind is EngineFileKind.PRIVATE:
            # Always anew: whoever could read an old one with a wider mode reads this one no more.
            write_private(path, data)
        elif not _holds(path, data):
            new = path.with_name(f".{file.name}.{os.getpid()}.new")
            new.write_bytes(data)
            new.replace(path)
    named = {file.name for file in files}
    _forget_old_secrets(directory, named)
    _forget_keys(directory, named)


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether the file is right as it is; Envoy needn't read it again then."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _forget_old_secrets(directory: Path, named: Collection[str]) -> None:
    """Remove the secrets of generations that no script is loaded with any more.

    :param named: the files that were just written, which stay though newer ones are there.
    """
    found = [
        path
        for path in directory.glob(f"{PRIVATE_PREFIX}*")
        if path.name.removeprefix(PRIVATE_PREFIX).isdecimal()
    ]
    found.sort(key=lambda path: int(path.name.removeprefix(PRIVATE_PREFIX)))
    for path in found[:-_KEPT_SECRETS]:
        if path.name not in named:
            with suppress(OSError):
                path.unlink()


def _forget_keys(directory: Path, named: Collection[str]) -> None:
    """Remove the files of keys that are lent no more."""
    for path in directory.glob(f"{LENT_PREFIX}*.yaml"):
        if path.name not in named:
            with suppress(OSError):
                path.unlink()
