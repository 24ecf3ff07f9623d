"""List the attacks; a new one is one file, its id in ``attacks.toml``, its page (python -m scripts.pages attacks) and its tests."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from watchword.drill import attacks
from watchword.drill.interface import Attack
from watchword.encoding.tables import read_table

_FOUND: Final[Mapping[str, Attack]] = {
    attack.id: attack
    for attack in (
        import_module(f"{attacks.__name__}.{each.name}").ATTACK
        for each in iter_modules(attacks.__path__)
    )
}

ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        each: _FOUND[each]
        for group in read_table("watchword.drill", "attacks.toml").values()
        for each in group
    }
)
"""Every attack by its id, in the order in which reports show them."""
