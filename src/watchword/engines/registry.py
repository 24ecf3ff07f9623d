"""List the engines whose configuration can be written; a new one is one line here."""

from collections.abc import Mapping, Sequence
from typing import Final

from watchword.engines.envoy.differences import DIFFERENCES as ENVOY_DIFFERENCES
from watchword.engines.interface import Difference

ENGINES: Final[Mapping[str, Sequence[Difference]]] = {"envoy": ENVOY_DIFFERENCES}
"""By name: in what each differs from the Python gate."""

__all__ = ["ENGINES"]
