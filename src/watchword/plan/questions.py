"""Ask the method's questions in the words of whoever answers for the product.

The words stand in ``questions.toml``; techniques and protections have theirs in the catalogue.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from watchword.plan.interface import Actor, AssetKind, Component, Intelligence, Trait

NO_LIKELIHOOD = (
    "How likely an attack is isn't asked. Likelihood is a guess, and it changes with the next tool that somebody publishes. "
    "Think of a coat and a car: coats are stolen every night, cars hardly ever. Still the car gets the lock and the alarm, "
    "since a stolen coat is a bad evening, and a stolen car is a bad year."
)
"""Said to whoever looks for likelihood."""

DIMENSIONS = ("money", "people", "licence", "trust")
"""In what a business measures a loss; the worst of the four decides."""


@dataclass(frozen=True, slots=True)
class Question:
    """Hold one question of the method.

    :param id: also the name of its page; :param ask: the question; :param why: what it is asked for.
    """

    id: str
    title: str
    ask: str
    why: str


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold what one word of the file is called, and a line about it."""

    name: str
    about: str


@dataclass(frozen=True, slots=True)
class ImpactLevel:
    """Hold one level of the business's own scale, with worked examples.

    :param level: 5 is the worst.
    :param dimensions: what it means for each of :data:`DIMENSIONS`.
    """

    level: int
    name: str
    dimensions: Mapping[str, str]
    example: str


@dataclass(frozen=True, slots=True)
class Questions:
    """Hold all words of the workshop."""

    steps: Sequence[Question]
    parts: Mapping[Component, Wording]
    kinds: Mapping[AssetKind, Wording]
    traits: Mapping[Trait, Wording]
    actors: Mapping[Actor, Wording]
    intelligence: Mapping[Intelligence, str]
    impact: Sequence[ImpactLevel]

    def step(self, name: str) -> Question:
        """Return one question."""
        return next(each for each in self.steps if each.id == name)


@cache
def questions() -> Questions:
    """Return the words; each member of the vocabulary has its own, or this raises."""
    data = tomllib.loads((files("watchword.plan") / "questions.toml").read_text(encoding="utf-8"))
    return Questions(
        steps=tuple(Question(**each) for each in data["question"]),
        parts={each: Wording(**data["parts"][each.value]) for each in Component},
        kinds={each: Wording(**data["kinds"][each.value]) for each in AssetKind},
        traits={each: Wording(**data["traits"][each.value]) for each in Trait},
        actors={each: Wording(**data["actors"][each.value]) for each in Actor},
        intelligence={each: str(data["intelligence"][each.value]) for each in Intelligence},
        impact=tuple(
            ImpactLevel(
                each["level"],
                each["name"],
                {name: each[name] for name in DIMENSIONS},
                each["example"],
            )
            for each in data["impact"]
        ),
    )
