"""Find faults in where a file points on this machine: state directory, revocation lists, keys."""

import os
from collections.abc import Iterator
from pathlib import Path

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.faults import shown
from watchword.apps.settings.written import WrittenAndroidApp, WrittenFile


def misplaced(file: Path, written: WrittenFile) -> Iterator[Inconsistency]:
    """Yield what can't be used where it is; a state directory may be missing, it is made."""
    base = Path(os.path.realpath(file)).parent
    state = written.service.state
    trouble = _state_trouble(base / state)
    if trouble is not None:
        yield ("service", "state"), f"{shown(state)}: {trouble[0]}", trouble[1]
    for index, entry in enumerate(written.trust.revocation_lists if written.trust else ()):
        try:
            with (base / entry).open("rb"):
                pass
        except OSError as error:
            path = ("trust", "revocation_lists", index)
            yield path, f"{shown(entry)}: {error.strerror}", "a file that can be read"
    yield from _missing_play_files(base, written)


def _missing_play_files(base: Path, written: WrittenFile) -> Iterator[Inconsistency]:
    """Find key files that aren't there; whether they can be read concerns the service alone."""
    for name, app in written.apps.items():
        play = app.play_integrity if isinstance(app, WrittenAndroidApp) else None
        for key in ("decryption_key", "verification_key", "service_account"):
            entry = None if play is None else getattr(play, key)
            if entry is not None and not (base / entry).exists():
                path = ("apps", name, "play_integrity", key)
                yield path, f"{shown(entry)}: no such file", "a file from the Play Console or Cloud"


def _state_trouble(directory: Path) -> tuple[str, str] | None:
    """Return what is wrong with the directory and what was expected, None if nothing is."""
    try:
        path = directory.resolve()
        for parent in (path, *path.parents):
            if parent.exists():
                if not parent.is_dir():
                    return f"{parent.name} is a file", "a directory, or a place to make one"
                break
    except OSError as error:
        return error.strerror or "an unusable path", "a directory, or a place to make one"
    except RuntimeError:  # Python 3.11 and 3.12 report a loop of links that way.
        return "a loop of symbolic links", "a directory, or a place to make one"
    return None
