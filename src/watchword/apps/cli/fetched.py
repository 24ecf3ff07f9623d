"""Say what a deployment asks of vendors, for people who read their firewall's rules beside it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchword.apps.settings import Settings


def duration(seconds: int) -> str:
    """Return a duration as it is written in ``watchword.yaml``, in the largest unit that fits."""
    # One day is better known by its hours.
    for least, unit, letter in ((172800, 86400, "d"), (3600, 3600, "h"), (60, 60, "m")):
        if seconds % unit == 0 and seconds >= least:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def fetched(settings: "Settings") -> Iterator[str]:
    """Yield a line for each thing that is fetched, and one where revocations aren't known at all."""
    ways = settings.revocation
    if ways.fetch:
        yield f"status list from {ways.url}, known for {duration(ways.max_age)} after its last fetch"
    elif settings.trust_lab:
        yield "status list of the lab"
    elif ways.snapshots:
        yield f"no status list; {len(ways.snapshots)} snapshots are read at the start"
    else:
        yield "no status list: certificates that were revoked are accepted"
    for name, receipts in settings.receipts.items():
        yield f"receipts of {name} from {receipts.server}, signed by key {receipts.key_id}"
    for play in settings.play.values():
        if play.service_account is not None:
            yield f"verdicts on {play.package} from Google, by {play.service_account.name}"
