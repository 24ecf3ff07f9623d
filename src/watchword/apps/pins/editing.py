"""Change the pinned keys: the file as a whole, under the workspace's lock."""

from collections.abc import Callable
from pathlib import Path

from watchword.apps.pins.bench import Bench, open_bench
from watchword.apps.pins.faults import PinsError
from watchword.apps.pins.pinned_keys import PinnedKey, PinnedKeys, parse_pinned, pinned_document
from watchword.pins.interface import Pin, PinRole
from watchword.pins.spki import PinError, read_pin


def edit(config: Path, change: Callable[[Bench, PinnedKeys], PinnedKeys]) -> Bench:
    """Change the keys by what they are when nobody else changes them; return what holds then.

    :raises WatchwordError: as the change does; nothing is written then.
    """
    bench = open_bench(config)
    workspace = bench.workspace
    with workspace.locked():
        pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
        changed = change(bench, pinned)
        if changed != pinned:
            workspace.write_pinned(pinned_document(changed))
    return Bench(bench.file, workspace, changed, bench.lists)


def adding(
    pinned: PinnedKeys, host: str, role: PinRole, sources: tuple[tuple[bytes, str], ...]
) -> PinnedKeys:
    """Return the keys with some more of one role.

    There is one current key: another one takes the place of a current key that no published set needs, and that is what
    `watchword pins rotate` is for.

    :raises PinsError: for a second current key, and for too many.
    """
    for spki, note in sources:
        others = [each for each in pinned.of(host) if each.pin.spki != spki]
        current = next((each for each in others if each.pin.role is PinRole.CURRENT), None)
        if role is PinRole.CURRENT and current is not None:
            raise PinsError(
                f"{host}: got another current key, expected one: {current.pin} is; add this one as next, then see "
                f"`watchword pins rotate {host}`, or remove that one first"
            )
        pinned = pinned.adding(host, PinnedKey(Pin(spki, role), note))
    return pinned


def found_key(pinned: PinnedKeys, host: str, text: str) -> PinnedKey:
    """Return the key of a host that is meant: by its pin in any form, the beginning of it, or by a role that one key has.

    :raises PinsError: when that isn't one key.
    """
    keys = pinned.of(host)
    if text in {role.value for role in PinRole}:
        found = [each for each in keys if each.pin.role.value == text]
    else:
        begin = text.removeprefix("sha256/")
        found = [
            each
            for each in keys
            if begin and str(each.pin).removeprefix("sha256/").startswith(begin)
        ]
        if not found:
            try:
                spki = read_pin(text)
            except PinError as error:
                raise PinsError(
                    f"{error.detail}, or a role, or the beginning of a pin of {host}"
                ) from None
            found = [each for each in keys if each.pin.spki == spki]
    if len(found) != 1:
        known = ", ".join(f"{each.pin} ({each.pin.role.value})" for each in keys) or "none"
        raise PinsError(
            f"{host}: got {text[:60]!r}, which is {len(found)} keys, expected one of: {known}"
        )
    return found[0]
