"""Describe the parameters of rules, for whoever writes a policy: meaning, bounds, known words."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

_KEY: Final = "parameter"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Hold what may be written for one parameter.

    :param says: its meaning, in a clause.
    :param least: lowest number; ``most``: highest.
    :param words: the words that mean something, where it takes words.
    :param required: it has no default.
    """

    says: str
    least: int | None = None
    most: int | None = None
    words: tuple[str, ...] = ()
    required: bool = False


def parameter(
    says: str,
    *,
    default: Any = MISSING,
    least: int | None = None,
    most: int | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that carries its description; without a default it is required."""
    described = Parameter(says, least, most, words, required=default is MISSING)
    return field(default=default, metadata={_KEY: described})


def parameters_of(rule: type) -> Mapping[str, Parameter]:
    """Return the parameters of a rule's class by name, in their order."""
    return {each.name: each.metadata[_KEY] for each in fields(rule)}
