"""A mutant is what it says, and is found again where its function went."""

from pathlib import Path

from scripts.house_mutants import Mutant, Site, _sites, found

SOURCE = """
class Door:
    def opens(self, key, tries):
        if not key or tries > 3:
            raise ValueError(key)
        return key == "right"
"""


def sites(directory: Path, name: str, text: str) -> list[Site]:
    """Return what can be changed in a module."""
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return list(_sites("gate", file))


def test_each_operator_makes_a_mutant(tmp_path: Path) -> None:
    """One change each, named by function and text."""
    made = {site.mutant.operator: site.mutant for site in sites(tmp_path, "door.py", SOURCE)}
    assert made.keys() == {"and/or", "not", "comparison", "constant", "raise", "return"}
    assert {each.name for each in made.values()} == {"Door.opens"}
    assert (made["constant"].before, made["constant"].after) == ("3", "4")
    assert made["raise"].after == "pass"
    assert made["and/or"].statement == "if not key or tries > 3:"


def test_a_mutant_changes_the_code_and_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    """Each code is another, and each differs from the function's own."""
    found_here = sites(tmp_path, "door.py", SOURCE)
    codes = {(site.code().co_code, site.code().co_consts) for site in found_here}
    assert len(codes) == len(found_here)


def test_a_mutant_is_found_in_another_module_and_class(tmp_path: Path) -> None:
    """By its name, or by the one place that reads alike; else not at all."""
    before = [site.mutant for site in sites(tmp_path, "door.py", SOURCE)]
    moved = sites(tmp_path, "house.py", f"LIMIT = 3\n\n{SOURCE.replace('Door', 'Gate')}")
    for mutant in before:
        (site,) = found(mutant, moved)
        assert (site.file.name, site.function) == ("house.py", "Gate.opens")
        assert site.mutant.after == mutant.after
    gone = Mutant("gate", "Door.closes", "return", "return 5 + 5", "return 5 + 5", "return None")
    assert found(gone, moved) == []
