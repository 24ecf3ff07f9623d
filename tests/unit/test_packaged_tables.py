"""Hold the tables that a maintainer edits to what reads them: a row that nobody reads says nothing."""

from collections.abc import Mapping
from typing import Any

import pytest

from watchword.encoding.tables import read_table
from watchword.engines.interface import Difference
from watchword.engines.registry import ENGINES
from watchword.plan.catalogue import load_catalogue
from watchword.plan.drafts import RULES as WORD_RULES
from watchword.plan.drafts.otm import RULES as THREAT_RULES
from watchword.scan import defaults
from watchword.scan.libraries import ASSEMBLIES, LIBRARIES, SDKS
from watchword.scan.rule_kinds import Marks


def _keys(rows: list[Mapping[str, Any]]) -> set[str]:
    return {key for row in rows for key in row}


def test_each_engine_declares_its_differences_once() -> None:
    """A table belongs to an engine, a name stands once in it, and what is shared is used."""
    table = read_table("watchword.engines", "differences.toml")
    shared = {each["name"] for each in table.pop("shared")}
    assert set(table) == set(ENGINES)
    assert {row["shared"] for rows in table.values() for row in rows if "shared" in row} == shared
    for engine in ENGINES.values():
        names = [each.name for each in engine.differences]
        assert len(names) == len(set(names))
        assert all(isinstance(each, Difference) for each in engine.differences)


def test_each_default_has_a_name_by_which_rules_ask() -> None:
    """A row without a constant would be shown on the page and decide nothing."""
    named = {each for each in vars(defaults).values() if isinstance(each, defaults.PlatformDefault)}
    assert named == {*defaults.ANDROID_DEFAULTS, *defaults.IOS_DEFAULTS}


@pytest.mark.parametrize("name", ["root", "emulator", "hooks"])
def test_marks_are_whole(name: str) -> None:
    """A hint stands in whatever the expression for native code matches, so it is in lower case; no mark is both."""
    marks = Marks.packaged(name)
    assert not marks.strong & marks.weak
    assert all(hint == hint.lower() for hint in marks.hints)
    assert set(read_table("watchword.scan", "marks.toml")) == {"root", "emulator", "hooks"}


def test_prefixes_end_where_a_name_does() -> None:
    """Without the dot ``com.stripe`` would take ``com.stripes`` along; none stands twice."""
    for prefixes in (tuple(SDKS), LIBRARIES, ASSEMBLIES):
        assert all(each.endswith(".") for each in prefixes)
        assert len(prefixes) == len(set(prefixes))


def test_words_and_threats_have_no_member_that_nobody_reads() -> None:
    """A misspelt ``numbers`` would be passed over; what a rule names is in the catalogue."""
    words = read_table("watchword.plan.drafts", "words.toml")["rules"]
    threats = read_table("watchword.plan.drafts", "threats.toml")["threats"]
    assert _keys(words) == {"traits", "counts_in", "words", "sensitive"}
    assert _keys(threats) == {"technique", "component", "trait", "numbers", "words"}
    assert (len(words), len(threats)) == (len(WORD_RULES), len(THREAT_RULES))
    assert {each.technique for each in THREAT_RULES} <= set(load_catalogue().techniques)
