"""Define what a published suite is: cases, what must become of each, what lies outside of our profile; and find its files.

A case outside of the profile is refused all the same, and one that is taken counts as a wrong accept.  The exception is
what the profile leaves ``unjudged``: there a verdict of the suite asks for something that nothing of ours decides by,
or the suite itself has no verdict.

Files are found in a directory, also inside of tar archives, which are never unpacked.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from watchword.reasons import RefusedError

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
"""Most bytes of a file; the largest published one (x509-limbo) has about 50 MB."""

MAX_MEMBER_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a file in an archive, and of each of which its size is only claimed."""

MAX_FILES: Final = 100_000
"""Most files that are looked at."""

_ARCHIVES: Final = (".tar.gz", ".tgz", ".tar")


class SuiteError(Exception):
    """Report a directory or a file that can't be run."""


@dataclass(frozen=True)
class SuiteFile:
    """Hold one file.

    :param path: below the directory, the name of an archive included.
    """

    path: PurePosixPath
    data: bytes

    @cached_property
    def json(self) -> Any:
        """Return the JSON in it, None where it is none: recognising asks this of every file."""
        if self.data.lstrip()[:1] not in (b"{", b"["):
            return None
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return None

    def json_object(self, *members: str) -> dict[str, Any] | None:
        """Return the JSON object in it if it has all of these members, None otherwise."""
        found = self.json
        if isinstance(found, dict) and all(name in found for name in members):
            return found
        return None


def find(directory: Path) -> Iterator[SuiteFile]:
    """Yield the files below a directory, by name; links are followed nowhere.

    :raises SuiteError: for what can't be read, for too large a file and for too many.
    """
    for count, path in enumerate(sorted(directory.rglob("*"))):
        if count >= MAX_FILES:
            raise SuiteError(f"got more than {MAX_FILES} files in {directory}")
        if path.is_symlink() or not path.is_file():
            continue
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise SuiteError(f"got {size} bytes in {path}, expected at most {MAX_FILE_BYTES}")
            name = PurePosixPath(path.relative_to(directory).as_posix())
            if path.name.endswith(_ARCHIVES):
                yield from _members(path, name)
            else:
                yield SuiteFile(name, path.read_bytes())
        except (OSError, tarfile.TarError, EOFError) as error:
            raise SuiteError(f"{path} can't be read: {error}") from None


def _members(path: Path, name: PurePosixPath) -> Iterator[SuiteFile]:
    """Yield the regular files of an archive, in its order."""
    with tarfile.open(path) as archive:
        for count, member in enumerate(archive):
            if count >= MAX_FILES:
                raise SuiteError(f"got more than {MAX_FILES} files in {path}")
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if member.size > MAX_MEMBER_BYTES:
                raise SuiteError(
                    f"got {member.size} bytes of {member.name} in {path}, "
                    f"expected at most {MAX_MEMBER_BYTES}"
                )
            yield SuiteFile(name / member.name.lstrip("/"), file.read())


JsonObject = dict[str, Any]

Attempt = Callable[[], bool]
"""Puts one case through our code.  True: accepted.  False, or a RefusedError: refused."""


class Must(StrEnum):
    """Say what must become of a case; ``EITHER``, where a suite has no verdict, is outside of the profile always."""

    ACCEPT = "accept"
    REJECT = "reject"
    EITHER = "either"


class MisreadError(Exception):
    """Report that a case was accepted and read as something else than it says: worse than a refusal."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Name why cases lie outside of our profile.

    :param why: a sentence for the page.
    :param unjudged: whether our code may accept such a case as well as refuse it.
    """

    name: str
    why: str
    unjudged: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one case.

    :param must: what the suite says; of a case outside of the profile it is only told.
    :param outside: None for a case that our profile has.
    """

    id: str
    must: Must
    attempt: Attempt
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Hold the cases of one file; sets of one name are counted together."""

    name: str
    cases: Iterable[Case]


Reader = Callable[[SuiteFile], CaseSet | None]
"""Return the cases of a file, None where its layout is another one.

A file of the layout that lacks something raises LookupError, TypeError, ValueError or AttributeError.
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """Hold one layout, and what of ours its cases are put through.

    :param source: where the suite is published.
    :param layout: by what a file is recognised.
    :param held: the code that is held to it.
    :param outside: every reason that its cases can have.
    """

    title: str
    source: str
    layout: str
    held: str
    read: Reader
    outside: tuple[Outside, ...] = ()


def must_of(result: str) -> Must:
    """Return what Wycheproof's ``result`` asks for; ``acceptable`` leaves it open."""
    return {"valid": Must.ACCEPT, "invalid": Must.REJECT, "acceptable": Must.EITHER}[result]


def agreed(*attempts: Attempt) -> bool:
    """Return what several readers of the same thing say.

    :raises MisreadError: where they differ; a refusal is a False.
    """
    answers = {_answer(attempt) for attempt in attempts}
    if len(answers) > 1:
        raise MisreadError("two readers of ours differ")
    return answers.pop()


def _answer(attempt: Attempt) -> bool:
    try:
        return attempt()
    except RefusedError:
        return False
