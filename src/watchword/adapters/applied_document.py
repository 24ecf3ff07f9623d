"""Keep the configuration files that were applied in one document that all nodes share: each as it was, and which of them is in force.

Index and texts are one document, so that nobody sees the one without the other.  A write takes the place of what it read,
or of nothing: of two nodes that apply at once the second is refused.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.adapters.applied_files import (
    MOST_KEPT,
    AppliedFile,
    as_members,
    read_files,
    require_base,
)
from watchword.adapters.documents import KeptDocument
from watchword.adapters.keyring.private_file import PrivateFileError, require_format
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, RefusedError

FORMAT: Final = 1

MOST_TEXT_BYTES: Final = 8 * 1024 * 1024
"""Of all texts together: the oldest go first, and the one in force and the one before it stay."""

_STAYS: Final = 2
_MOST_BYTES: Final = 16 * 1024 * 1024
_MOST_ONE_TEXT: Final = 6 * 1024 * 1024
_MEMBERS: Final = {"v", "files", "texts"}

Opened = Callable[[], AbstractContextManager[KeptDocument]]
"""Open the document for one call."""


@dataclass(frozen=True, slots=True)
class AppliedTexts:
    """Hold what was applied, the newest last, with the text of each."""

    files: Sequence[AppliedFile]
    texts: Sequence[bytes] = field(repr=False)


NOTHING: Final = AppliedTexts((), ())


class AppliedDocument:
    """Implement :class:`watchword.adapters.applied_files.AppliedKeeper` for all nodes of one deployment."""

    is_shared = True

    def __init__(self, opened: Opened) -> None:
        """Read nothing yet.

        :param opened: is asked for the document at each call.
        """
        self._opened = opened
        self._read: tuple[object | None, AppliedTexts] = None, NOTHING

    def newest(self) -> tuple[int, str]:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.newest`: as of the last look."""
        with self._opened() as document:
            files = self._texts(document).files
            return (files[-1].number, files[-1].sha256) if files else (0, "")

    def all(self) -> Sequence[AppliedFile]:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.all`."""
        with self._opened() as document:
            return self._texts(document).files

    def text(self, file: AppliedFile) -> bytes:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.text`."""
        with self._opened() as document:
            kept = self._texts(document)
            for each, text in zip(kept.files, kept.texts, strict=True):
                if each.number == file.number and each.sha256 == file.sha256:
                    return text
            raise PrivateFileError(f"{document.where}: has no configuration {file.number} any more")

    def add(self, text: bytes, file: AppliedFile, base: int) -> AppliedFile:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.add`."""
        made = file

        with self._opened() as document:

            def work(data: bytes | None) -> bytes:
                nonlocal made
                kept = _parsed(document.where, data)
                now = kept.files[-1].number if kept.files else 0
                require_base(base, now)
                made = replace(file, number=now + 1, sha256=hashlib.sha256(text).hexdigest())
                return write_texts(AppliedTexts((*kept.files, made), (*kept.texts, text)))

            document.change(work)
        return made

    def note_recorded(self, number: int) -> None:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.note_recorded`."""
        with self._opened() as document:

            def work(data: bytes | None) -> bytes | None:
                kept = _parsed(document.where, data)
                files = [
                    replace(each, recorded=True) if each.number == number else each
                    for each in kept.files
                ]
                return write_texts(AppliedTexts(files, kept.texts)) if files else None

            document.change(work)

    def place(self, number: int) -> str:
        """See :meth:`watchword.adapters.applied_files.AppliedKeeper.place`."""
        with self._opened() as document:
            return f"{document.where}: configuration {number}"

    def _texts(self, document: KeptDocument) -> AppliedTexts:
        stamp = document.stamp()
        # Asked first: what can't be trusted any more is told, though it was read before.
        data = document.read()
        if stamp is None or stamp != self._read[0]:
            self._read = stamp, _parsed(document.where, data)
        return self._read[1]


def _parsed(where: str, data: bytes | None) -> AppliedTexts:
    if data is None:
        return NOTHING
    try:
        return read_texts(where, data)
    except (MalformedError, RefusedError, ValueError, TypeError, AttributeError, KeyError):
        raise PrivateFileError(f"{where}: got something else than the applied files") from None


def write_texts(kept: AppliedTexts) -> bytes:
    """Return what was applied as a document; the oldest are left out where there are too many, or they are too large."""
    files, texts = list(kept.files)[-MOST_KEPT:], list(kept.texts)[-MOST_KEPT:]
    while len(files) > _STAYS and sum(map(len, texts)) > MOST_TEXT_BYTES:
        del files[0], texts[0]
    return strict_json.dumps(
        {
            "v": FORMAT,
            "files": [as_members(each) for each in files],
            "texts": [base64url.encode(each) for each in texts],
        }
    )


def read_texts(where: str, data: bytes) -> AppliedTexts:
    """Return what :func:`write_texts` was given.

    :param where: it was read, for the error's text.
    :raises OtherFormatError: when a newer version wrote it.
    :raises MalformedError: when it isn't JSON.
    :raises RefusedError: when a text isn't base64url.
    :raises ValueError: when it says anything else; so do TypeError, AttributeError and KeyError.
    """
    members: dict[str, Any] = strict_json.loads(data, _MOST_BYTES)
    require_format(where, members["v"], FORMAT)
    if members.keys() != _MEMBERS:
        raise ValueError("other members")
    files = read_files(members["files"])
    texts = [base64url.decode(each, _MOST_ONE_TEXT) for each in members["texts"]]
    if [hashlib.sha256(each).hexdigest() for each in texts] != [each.sha256 for each in files]:
        raise ValueError("texts that aren't of these files")
    return AppliedTexts(files, texts)
