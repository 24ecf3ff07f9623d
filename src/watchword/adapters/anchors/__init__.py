"""Load trust anchors: the vendors' from the package, simulated ones from files of the lab."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Final

from watchword.encoding import strict_json
from watchword.ports import Anchor
from watchword.reasons import ExitCode, MalformedError, WatchwordError
from watchword.vocabulary import Environment, Vendor

MAX_FILE_BYTES: Final = 256 * 1024
"""Most bytes of a file with anchors; the packaged one has about 4 kB."""

LAB: Final = "lab"
SOFTWARE: Final = "software"

_PACKAGED: Final = "vendor_anchors.json"
_VENDORS: Final = frozenset(vendor.value for vendor in Vendor)


class AnchorsError(WatchwordError):
    """Report anchors that can't be loaded, or may not be in this environment."""

    exit_code = ExitCode.USAGE


class AnchorSet:
    """Know the anchors that were loaded."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        """Keep the anchors by vendor."""
        self._by_vendor: dict[str, list[Anchor]] = {}
        for anchor in anchors:
            self._by_vendor.setdefault(anchor.vendor, []).append(anchor)

    def for_vendor(self, vendor: str) -> Sequence[Anchor]:
        """Return the anchors of one vendor, possibly none."""
        return tuple(self._by_vendor.get(vendor, ()))


def trusted_anchors(packaged: bool, lab: Sequence[Anchor], environment: Environment) -> AnchorSet:
    """Return whom a deployment believes: the packaged vendors, if wanted, and those of its lab.

    A lab anchor vouches for simulated phones, whose keys anybody with the lab's files has: it
    is refused outside of the lab environment, whatever the configuration says.

    :raises AnchorsError: on lab anchors in another environment than ``lab``.
    """
    if lab and environment is not Environment.LAB:
        raise AnchorsError(f"lab anchors need environment: lab, got {environment.value}")
    return AnchorSet([*(packaged_anchors() if packaged else ()), *lab])


def packaged_anchors() -> tuple[Anchor, ...]:
    """Return Apple's two roots and Google's, and the software roots that Android is known to use."""
    data = resources.files(__name__).joinpath(_PACKAGED).read_bytes()
    document = strict_json.loads(data, MAX_FILE_BYTES)
    return tuple(_anchor(row, row["kind"]) for row in document["anchors"])


def read_lab_anchors(data: bytes, name: str) -> tuple[Anchor, ...]:
    """Return the anchors in a file of the lab.

    ``{"kind": "lab", "anchors": [{"name", "vendor", "kind", "spki", "subject"}]}``; the kind of
    an anchor is ``lab``, or ``software`` for simulated emulators.

    :param name: the file's name, for the error.
    :raises AnchorsError: when the file isn't one.
    """
    try:
        document = strict_json.loads(data, MAX_FILE_BYTES)
    except MalformedError as error:
        raise AnchorsError(f"{name}: {error.detail}") from None
    rows = document.get("anchors")
    if document.get("kind") != LAB or not isinstance(rows, list):
        raise AnchorsError(f'{name}: expected "kind": "lab" and a list of anchors')
    try:
        return tuple(_lab_anchor(row) for row in rows)
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        raise AnchorsError(f"{name}: expected name, vendor, spki and subject in base64") from None


def _lab_anchor(row: Mapping[str, Any]) -> Anchor:
    """Return an anchor of the lab; a file can't promote one to ``production``."""
    kind = row.get("kind", LAB)
    if kind not in {LAB, SOFTWARE}:
        raise ValueError("a kind that isn't the lab's")
    return _anchor(row, kind)


def _anchor(row: Mapping[str, Any], kind: str) -> Anchor:
    if row["vendor"] not in _VENDORS:
        raise ValueError("an unknown vendor")
    return Anchor(
        name=str(row["name"]),
        vendor=row["vendor"],
        kind=kind,
        spki=base64.b64decode(row["spki"], validate=True),
        subject=base64.b64decode(row["subject"], validate=True),
    )
