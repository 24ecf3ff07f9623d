"""The workshop's words: one for each member of the vocabulary, and never a question of likelihood."""

import re

from watchword.plan.catalogue import LIKELIHOOD_WORDS, load_catalogue
from watchword.plan.interface import IMPACT_LEVELS, Actor, AssetKind, Component, Intelligence, Trait
from watchword.plan.questions import DIMENSIONS, questions


def test_each_word_of_the_file_is_said() -> None:
    """Whatever a file can hold has a name and a line about it."""
    words = questions()
    assert set(words.parts) == set(Component)
    assert set(words.kinds) == set(AssetKind)
    assert set(words.traits) == set(Trait)
    assert set(words.actors) == set(Actor)
    assert set(words.intelligence) == set(Intelligence)
    assert tuple(each.level for each in words.impact) == IMPACT_LEVELS
    assert all(set(each.dimensions) == set(DIMENSIONS) for each in words.impact)


def test_no_question_asks_for_likelihood() -> None:
    """Neither a question nor the scale uses a word that the file refuses."""
    said = " ".join(
        [each.ask for each in questions().steps]
        + [
            " ".join((each.name, each.example, *each.dimensions.values()))
            for each in questions().impact
        ]
    ).lower()
    assert not LIKELIHOOD_WORDS & set(re.findall(r"[a-z]+", said))


def test_each_technique_is_said_in_a_sentence() -> None:
    """Scenarios are shown by the catalogue's own words: whole sentences that need no other page."""
    for technique in load_catalogue().techniques.values():
        assert technique.about.endswith(".")
        assert len(technique.about) > 40
