"""List the engines whose configuration can be written; a new one is one line here."""

from collections.abc import Mapping
from typing import Final

from watchword.engines.envoy.differences import DIFFERENCES as ENVOY_DIFFERENCES
from watchword.engines.interface import Engine

ENGINES: Final[Mapping[str, Engine]] = {"envoy": Engine("envoy", ENVOY_DIFFERENCES)}
"""Each by its name."""

__all__ = ["ENGINES"]
