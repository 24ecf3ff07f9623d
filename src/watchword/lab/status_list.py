"""Keep the simulated Google's status list: which attestation certificates it withdrew.

The document has the shape of https://android.googleapis.com/attestation/status, with serials in hex
without leading zeros.  Nothing here reads or writes files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from watchword.lab.authorities import LabAuthorities
from watchword.lab.phones.kinds import REVOKED_BATCH, SUSPENDED_BATCH

MAX_ENTRIES: Final = 10_000
"""Most entries of a lab's list; Google's had about 500 in 2025."""

_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")


class Status(StrEnum):
    """Name what a vendor says of a certificate: withdrawn for good, or for the time being."""

    REVOKED = "REVOKED"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True, slots=True)
class LabStatusList:
    """Hold a list; every change gives a new one."""

    entries: Mapping[str, Status] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def first_of(cls, authorities: LabAuthorities) -> "LabStatusList":
        """Return the list that a lab starts with: its revoked and its suspended batch."""
        android = authorities.android
        return cls(
            MappingProxyType(
                {
                    android.batch_serial(REVOKED_BATCH): Status.REVOKED,
                    android.batch_serial(SUSPENDED_BATCH): Status.SUSPENDED,
                }
            )
        )

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "LabStatusList":
        """Return the list in a document that :meth:`document` gave.

        :raises ValueError: on anything else.
        """
        rows = document.get("entries")
        if not isinstance(rows, dict):
            raise ValueError('expected an object "entries"')  # noqa: TRY004
        entries = {}
        for serial, row in rows.items():
            if not isinstance(row, dict):
                raise ValueError("expected an object for each serial")  # noqa: TRY004
            entries[normal_serial(serial)] = Status(str(row.get("status")))
        return cls(MappingProxyType(entries))

    def document(self) -> dict[str, Any]:
        """Return the list as JSON; the reasons are Google's words."""
        return {
            "entries": {
                serial: {"status": status.value, "reason": _REASONS[status]}
                for serial, status in self.entries.items()
            }
        }

    def with_status(self, serial: str, status: Status | None) -> "LabStatusList":
        """Return the list with another status of one certificate; None restores it.

        :param serial: hex digits, leading zeros or not.
        :raises ValueError: on anything else, or beyond :data:`MAX_ENTRIES`.
        """
        entries = dict(self.entries)
        if status is None:
            entries.pop(normal_serial(serial), None)
        else:
            entries[normal_serial(serial)] = status
        if len(entries) > MAX_ENTRIES:
            raise ValueError(f"got more than {MAX_ENTRIES} entries")
        return LabStatusList(MappingProxyType(entries))


def normal_serial(serial: str) -> str:
    """Return a serial in lower-case hex without leading zeros.

    :raises ValueError: when it isn't 1 to 40 hex digits.
    """
    digits = serial.lower()
    if not _SERIAL.fullmatch(digits):
        raise ValueError(f"got serial {serial!r}, expected 1 to 40 hex digits")
    return digits.lstrip("0") or "0"


_REASONS: Final[Mapping[Status, str]] = MappingProxyType(
    {Status.REVOKED: "KEY_COMPROMISE", Status.SUSPENDED: "SOFTWARE_FLAW"}
)
