"""List the attacks; a new one is one file, its id in ``attacks.toml``, its page (python -m scripts.pages attacks) and its tests."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from watchword.drill.interface import Attack
from watchword.encoding.tables import read_table

_MODULES: Final = "watchword.drill.attacks"

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        each: import_module(f"{_MODULES}.{each.replace('-', '_')}").ATTACK
        for group in read_table("watchword.drill", "attacks.toml").values()
        for each in group
    }
)
"""Every attack by its id, in the order in which reports show them."""
