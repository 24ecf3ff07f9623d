"""Say what to install where the packages of an extra are missing, in a line that works for how Watchword itself was installed.

``pip install "watchword[server]"`` asks an index.  Whoever installed a file or a clone needs the same file or clone once more, which
installers record beside the package (https://packaging.python.org/specifications/direct-url-data-structure/, read 2026-11-29).
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_NAME: Final = "watchword"
_CONFORMANCE: Final = "watchword-conformance"


class MissingExtraError(ModuleNotFoundError):
    """Say that a package isn't installed, which extra brings it, and the line that adds it."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Run imports that only an extra makes possible.

    :raises MissingExtraError: where a package of others isn't installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, MissingExtraError) or not is_of_others(error):
            raise
        raise MissingExtraError(explained(error, extra), name=error.name) from error


def explained(error: ModuleNotFoundError, extra: str = "server") -> str:
    """Return in one sentence what is missing and what adds it: what the error says itself where it knows the extra."""
    if isinstance(error, MissingExtraError) or not is_of_others(error):
        return str(error)
    return (
        f"the package {error.name} isn't installed; "
        f"the extra {extra} brings it: {install_command(extra)}"
    )


def install_command(extra: str, origin: Mapping[str, Any] | None = None) -> str:
    """Return the command that adds an extra to this installation.

    :param origin: what direct_url.json says; None reads it.
    """
    found = _origin() if origin is None else origin
    place = _place(found)
    if place is None:
        return _pip(f"{_NAME}[{extra}]")
    if isinstance(place, str):
        return _pip(f"{_NAME}[{extra}] @ {place}")
    editable = found.get("dir_info", {}).get("editable") is True
    return _pip(*(["-e"] if editable else []), f"{place}[{extra}]")


def corpus_command(origin: Mapping[str, Any] | None = None) -> str:
    """Return the command that adds the package of the conformance corpus: from where this installation came.

    :param origin: as above.
    """
    found = _origin() if origin is None else origin
    place = _place(found)
    if place is None:
        return _pip(_CONFORMANCE)
    if isinstance(place, str):
        if "vcs_info" in found:
            return _pip(f"{_CONFORMANCE} @ {place}#subdirectory=packages/{_CONFORMANCE}")
        return _pip(f"{_CONFORMANCE} @ {_beside(place)}")
    if "dir_info" in found:
        return _pip("-e", str(place / "packages" / _CONFORMANCE))
    return _pip(_beside(str(place)))


def is_of_others(error: ModuleNotFoundError) -> bool:
    """Tell whether the module is a package of others: one of ours that is missing is a fault."""
    return error.name is not None and error.name.partition(".")[0] != _NAME


def _origin() -> Mapping[str, Any]:
    """Return what the installer recorded; nothing for what came from an index, or wasn't installed."""
    # Reading metadata takes longer than most commands do; it is done where something is missing.
    import json  # noqa: PLC0415
    from importlib import metadata  # noqa: PLC0415

    try:
        found = json.loads(metadata.distribution(_NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _place(origin: Mapping[str, Any]) -> PurePosixPath | str | None:
    """Return a path on this machine, what pip takes behind an ``@``, or None for an index."""
    url = origin.get("url")
    if not isinstance(url, str):
        return None
    version = origin.get("vcs_info")
    if isinstance(version, dict):
        return f"{version.get('vcs')}+{url}@{version.get('commit_id')}"
    parts = urlsplit(url)
    return PurePosixPath(unquote(parts.path)) if parts.scheme == "file" else url


def _beside(place: str) -> str:
    """Return where the corpus' file lies if it was put beside the product's."""
    folder, slash, name = place.rpartition("/")
    return f"{folder}{slash}{name.replace(_NAME, _CONFORMANCE.replace('-', '_'), 1)}"


def _pip(*words: str) -> str:
    return shlex.join(["pip", "install", *words])
