"""Hold every attack to the catalogue and to its own file."""

from pathlib import Path

import pytest
from scripts.pages.attacks import NEEDS

import watchword.drill.attacks
from watchword.drill.interface import NEEDED, Attack, Need
from watchword.drill.registry import ATTACKS
from watchword.plan.catalogue import load_catalogue

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue()
FOLDER = Path(watchword.drill.attacks.__file__).parent
EVERY = pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))


def test_every_file_is_in_the_registry_under_its_own_name() -> None:
    """A file that nobody lists attacks nobody."""
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert all(attack.id == name for name, attack in ATTACKS.items())
    assert len(files) == len(ATTACKS)
    assert len(ATTACKS) >= 30


@EVERY
def test_an_attack_names_what_the_catalogue_has(attack: Attack) -> None:
    """Techniques, protections, and keys of evidence by which a running server proves them."""
    assert attack.techniques
    assert set(attack.techniques) <= set(CATALOGUE.techniques)
    assert attack.protections
    for name, key in attack.protections.items():
        assert key in CATALOGUE.protections[name].evidence
        assert key.startswith("live:")


@EVERY
def test_an_attack_says_what_it_does(attack: Attack) -> None:
    """Its texts are sentences, its variants have names of their own, its needs have words."""
    for text in (attack.sends, attack.must, attack.blind):
        assert text.endswith(".")
        assert not text[0].islower()
    assert not attack.title.endswith(".")
    names = [each.name for each in attack.variants]
    assert names
    assert len(set(names)) == len(names)
    assert set(attack.needs) <= set(NEEDED)


def test_every_need_has_words() -> None:
    """A need without words would end a run for no reason that anybody can read."""
    assert set(NEEDED) == set(Need)


def test_every_technique_has_an_attack_or_says_what_it_needs() -> None:
    """All 50, and none in silence."""
    executed = {name for attack in ATTACKS.values() for name in attack.techniques}
    assert set(CATALOGUE.techniques) == executed | set(NEEDS)
    assert set(NEEDS) <= set(CATALOGUE.techniques)


def test_the_readme_counts_them() -> None:
    """A number on the first page is a promise."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"with {len(ATTACKS)} attacks on your own deployment" in readme
