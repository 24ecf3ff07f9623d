"""Find the rules of the scan; a new one is a file under ``rules``, whose name is the rule's id."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from watchword.scan import rules
from watchword.scan.interface import Rule

RULES: Final[tuple[Rule, ...]] = tuple(
    sorted(
        (
            import_module(f"{rules.__name__}.{each.name}").RULE
            for each in iter_modules(rules.__path__)
        ),
        key=lambda rule: rule.id,
    )
)
"""All rules, in the order of their ids."""
