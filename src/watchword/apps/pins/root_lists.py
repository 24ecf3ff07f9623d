"""Make, change and describe root lists: what is done offline, by whoever holds root keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from watchword.apps.pins.faults import PinsError
from watchword.pins.interface import MAX_ROOTS_BYTES, RootList
from watchword.pins.publishing import list_objections
from watchword.pins.roots import read_unverified, signers_of, unsigned
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError

MARK: Final = '{"payload":'
"""What tells a root list from another file."""

_KEY_RING: Final = "keyring.json"
"""In the service's state directory, and nowhere else."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Hold what the next root list has that the last one hasn't.

    :param remove_keys: ids, or what they begin with; ``remove_pin_keys`` likewise.
    :param threshold: None for the same; it never falls by itself.
    """

    add_keys: Sequence[VerificationKey] = ()
    remove_keys: Sequence[str] = ()
    add_pin_keys: Sequence[VerificationKey] = ()
    remove_pin_keys: Sequence[str] = ()
    floors: Mapping[str, int] = field(default_factory=dict)
    threshold: int | None = None


def majority(keys: int) -> int:
    """Return the threshold that is taken where nobody says one: more than half."""
    return keys // 2 + 1


def first_list(
    keys: Sequence[VerificationKey],
    pin_keys: Sequence[VerificationKey],
    threshold: int | None,
    expires: int,
) -> bytes:
    """Return the first root list, unsigned.

    :raises PinsError: when it can't be one.
    """
    try:
        return unsigned(
            version=1,
            expires=expires,
            keys=[each.key for each in keys],
            threshold=threshold or majority(len(keys)),
            pin_keys=[each.key for each in pin_keys],
        )
    except RefusedError as error:
        raise PinsError(_why(error)) from None


def next_list(
    last: RootList, changes: Changes, expires: int, published: Mapping[str, int] | None
) -> bytes:
    """Return the list after another one, unsigned.

    Where it takes a pin key out, the floor of each app is raised to the highest version that was published: older sets by the other
    keys would count again otherwise.

    :param published: by app, the highest version that was published; None where nobody knows here.
    :raises PinsError: when it can't be one, or should raise floors and doesn't.
    """
    if changes.remove_pin_keys:
        changes = replace(changes, floors=_raised(last, changes.floors, published))
    keys = _changed("root key", last.keys, changes.add_keys, changes.remove_keys)
    pin_keys = _changed("pin key", last.pin_keys, changes.add_pin_keys, changes.remove_pin_keys)
    floors = {**last.floors, **changes.floors}
    for app, floor in changes.floors.items():
        least = last.floors.get(app, 1)
        if floor < least:
            raise PinsError(
                f"--floor {app}: got {floor}, expected {least} or more: a floor only rises"
            )
    try:
        data = unsigned(
            version=last.version + 1,
            expires=expires,
            keys=[each.key for each in keys],
            threshold=changes.threshold or last.threshold,
            pin_keys=[each.key for each in pin_keys],
            floors=floors,
        )
    except RefusedError as error:
        raise PinsError(_why(error)) from None
    against = list_objections(read_unverified(data), last, published or {})
    if against:
        raise PinsError("; ".join(f"--floor {each.text}" for each in against))
    return data


def read_list(file: Path) -> tuple[bytes, RootList]:
    """Return a root list in a file as it stands and as it reads; its signatures aren't judged.

    :raises PinsError: when it is none.
    """
    with file.open("rb") as stream:
        data = stream.read(MAX_ROOTS_BYTES + 2)
    data = data.removesuffix(b"\n")
    try:
        return data, read_unverified(data)
    except RefusedError as error:
        raise PinsError(f"{file}: {_why(error)}") from None


def described(
    data: bytes, roots: RootList, now: float, previous: RootList | None = None
) -> dict[str, Any]:
    """Return what a list says, and who signed it, for people and scripts."""
    signed = signers_of(data, roots.keys)
    return {
        "version": roots.version,
        "expires": datetime.fromtimestamp(roots.expires, UTC).isoformat(timespec="seconds"),
        "expired": now >= roots.expires,
        "threshold": roots.threshold,
        "keys": [{"kid": kid, "signed": kid in signed} for kid in roots.keys],
        "pin_keys": list(roots.pin_keys),
        "floors": dict(roots.floors),
        "signed": len(signed),
        **(
            {}
            if previous is None
            else {
                "previous": {
                    "version": previous.version,
                    "threshold": previous.threshold,
                    "signed": len(signers_of(data, previous.keys)),
                },
                "new": _only_in(roots, previous),
                "gone": _only_in(previous, roots),
            }
        ),
    }


def _only_in(one: RootList, other: RootList) -> list[str]:
    """Return the ids of the keys of either kind that one list has and another hasn't: whoever signs it answers for these."""
    return [
        *(kid for kid in one.keys if kid not in other.keys),
        *(kid for kid in one.pin_keys if kid not in other.pin_keys),
    ]


def require_offline(directory: Path, online: Collection[Path]) -> None:
    """See to it that root keys aren't made where the service or the workspace is.

    :param online: directories of the deployment.
    :raises PinsError: when it is one of them or within, or within a state directory that nobody told of.
    """
    place = directory.resolve()
    inside = next((each for each in online if place.is_relative_to(each)), None)
    if inside is None:
        inside = next(
            (each for each in (place, *place.parents) if (each / _KEY_RING).exists()), None
        )
    if inside is not None:
        raise PinsError(
            f"{directory}: lies within {inside}, which belongs to the running deployment; root keys are made and kept "
            "offline, on a machine or a stick of their own: whoever takes the service must not get them"
        )


def missing_signatures(
    data: bytes, roots: RootList, previous: RootList | None
) -> tuple[tuple[str, int], ...]:
    """Return whose signatures are still missing, and how many; none for a list that is done."""
    missing = [(f"this list's {len(roots.keys)} keys", roots.threshold, roots.keys)]
    if previous is not None:
        whose = f"the {len(previous.keys)} keys of list {previous.version}"
        missing.append((whose, previous.threshold, previous.keys))
    found = ((whose, threshold - len(signers_of(data, keys))) for whose, threshold, keys in missing)
    return tuple((whose, count) for whose, count in found if count > 0)


def _changed(
    what: str,
    present: Mapping[str, VerificationKey],
    add: Sequence[VerificationKey],
    remove: Sequence[str],
) -> list[VerificationKey]:
    kept = dict(present)
    for text in remove:
        meant = [kid for kid in present if kid.startswith(text)]
        if len(meant) != 1 or not text:
            known = ", ".join(present)
            raise PinsError(f"{what}: got {text!r}, expected the id of one of these: {known}")
        kept.pop(meant[0], None)
    for key in add:
        if key.kid in kept:
            raise PinsError(f"{what}: got {key.kid}, which the list has already")
        kept[key.kid] = key
    if not kept:
        raise PinsError(f"{what}: got none that is left, expected one at least")
    return list(kept.values())


def _raised(
    last: RootList, asked: Mapping[str, int], published: Mapping[str, int] | None
) -> dict[str, int]:
    """Return the floors that were asked for, and for every other app the lowest that keeps older sets out."""
    if published is None and not asked:
        raise PinsError(
            "a pin key is taken out, and there is no workspace here that says what was published; got no --floor, expected one for "
            "each app: --floor APP=VERSION, that of its newest set, which `watchword pins show` says where the workspace is (1 if it has none)"
        )
    least = {
        app: max(version, last.floors.get(app, 1)) for app, version in (published or {}).items()
    }
    return {**least, **asked}


def _why(error: RefusedError) -> str:
    return error.refusals[0].detail or str(error)
