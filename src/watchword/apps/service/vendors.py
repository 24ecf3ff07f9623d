"""Hold what the service asks of vendors beside the requests: a status list, newer receipts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from watchword.adapters.revocation import LiveStatusList
from watchword.enrolment.receipts import ReceiptRefresh
from watchword.enrolment.rejudgement import Rejudgement


class Closable(Protocol):
    """Hold connections that are closed in the end."""

    async def aclose(self) -> None:
        """Close them."""


@dataclass(frozen=True, slots=True)
class VendorWork:
    """Hold what a deployment has configured; None where it is left out.

    :param status_list: is refreshed; ``rejudgement`` revokes instances by it, or by snapshots.
    :param receipt_apps: the apps whose receipts are refreshed.
    :param first_list_seconds: how long a start waits for a status list that isn't known yet.
    :param fetcher: speaks for all of them, and is closed when the service stops; so is ``play_fetcher``,
        which asks Google's decoder while a request waits.
    :param contradictions: by name, how often evidence that enrolled or was refused by policy contradicted itself.
    """

    status_list: LiveStatusList | None = None
    rejudgement: Rejudgement | None = None
    receipts: ReceiptRefresh | None = None
    receipt_apps: tuple[str, ...] = ()
    first_list_seconds: float = 5.0
    fetcher: Closable | None = None
    play_fetcher: Closable | None = None
    contradictions: Mapping[str, int] = field(default_factory=dict)


NO_VENDORS: Final = VendorWork()
"""Nobody is asked, and nothing is known of withdrawn certificates."""
