"""Keep, where a gate is, how far the service's audit trail was: what the service has by now can be held to it.

Which heads are kept: the newest, one for each hour before, fewer the older they are, and both of two that contradict
each other.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.gate.bundle import GateBundleError, a_list, a_number, an_object, some_bytes
from watchword.gate.trail import HASH_BYTES, AuditHead, ToldHead, contradicts
from watchword.reasons import MalformedError

MOST_HEADS: Final = 256
APART_SECONDS: Final = 3600
"""How far apart the heads are that are kept."""

MAX_HEADS_BYTES: Final = 64 * 1024
_SUFFIX: Final = ".heads"
_FORMAT: Final = 1


def heads_path(bundle: Path) -> Path:
    """Return the file beside a bundle."""
    return bundle.with_suffix(_SUFFIX)


def heads_from_json(path: Path, data: bytes) -> Sequence[ToldHead]:
    """Return what a file says, in the order in which the heads were told.

    :param path: for the text of an error.
    :raises GateBundleError: when it isn't such a file.
    """
    try:
        members = an_object(strict_json.loads(data, MAX_HEADS_BYTES), {"v", "heads"}, "heads")
        require_format(path, members["v"], _FORMAT)
        heads = [_head(each) for each in a_list(members["heads"], "heads")]
    except (PrivateFileError, MalformedError, GateBundleError, ValueError) as error:
        raise GateBundleError(f"{path}: {error}") from None
    if len(heads) > MOST_HEADS:
        raise GateBundleError(f"{path}: got {len(heads)} heads, expected at most {MOST_HEADS}")
    return heads


def newest_head(bundle: Path) -> ToldHead | None:
    """Return the head that was told last; None where none is kept, or the file is spoiled."""
    try:
        return _read(bundle)[-1]
    except (PrivateFileError, GateBundleError, IndexError):
        return None


def keep_heads(
    bundle: Path, newest: ToldHead, doubts: Sequence[tuple[ToldHead, ToldHead]] = ()
) -> None:
    """Keep the newest head, and pairs of which the later one contradicts the earlier one.

    :raises PrivateFileError: when the file can't be read or written.
    :raises GateBundleError: when there is one that isn't such a file; it is left to whoever looks into it.
    """
    known = list(_read(bundle))
    kept = known.copy()
    for head in [*(each for pair in doubts for each in pair), newest]:
        _add(kept, head)
    if kept != known:
        members = {"v": _FORMAT, "heads": [_to_json(each) for each in kept]}
        write_private(heads_path(bundle), strict_json.dumps(members) + b"\n")


def _add(kept: list[ToldHead], head: ToldHead) -> None:
    if kept and (head.generation <= kept[-1].generation or head.audit == kept[-1].audit):
        return
    if len(kept) > 1:
        before, last = kept[-2:]
        near = 0 <= last.made_at - before.made_at < APART_SECONDS
        if near and not contradicts(last, head) and not contradicts(before, last):
            kept.pop()
    kept.append(head)
    if len(kept) > MOST_HEADS:
        kept[: MOST_HEADS // 2] = kept[: MOST_HEADS // 2 : 2]


def _read(bundle: Path) -> Sequence[ToldHead]:
    path = heads_path(bundle)
    data = read_private(path, MAX_HEADS_BYTES)
    return () if data is None else heads_from_json(path, data)


def _head(value: Any) -> ToldHead:
    members = an_object(value, {"generation", "made_at", "size", "head"}, "each head")
    some_bytes(members["head"], HASH_BYTES, "head")
    return ToldHead(
        a_number(members["generation"], "generation", 1),
        a_number(members["made_at"], "made_at", 1),
        AuditHead(a_number(members["size"], "size", 0), members["head"]),
    )


def _to_json(head: ToldHead) -> dict[str, Any]:
    return {
        "generation": head.generation,
        "made_at": head.made_at,
        "size": head.audit.size,
        "head": head.audit.head,
    }
