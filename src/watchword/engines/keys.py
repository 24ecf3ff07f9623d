"""Say which token keys an engine is given, and when that changes though the bundle stays the same."""

from collections.abc import Iterable

from watchword.ports import VerificationKey


def living_keys(keys: Iterable[VerificationKey], now: float) -> tuple[VerificationKey, ...]:
    """Return the keys whose tokens are accepted."""
    return tuple(key for key in keys if key.verify_until is None or now < key.verify_until)


def next_retirement(keys: Iterable[VerificationKey], now: float) -> float | None:
    """Return when the next key retires, for engines that know no end of a key; None if none does."""
    ends = (key.verify_until for key in keys if key.verify_until is not None)
    return min((end for end in ends if end > now), default=None)
