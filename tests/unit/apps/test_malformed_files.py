"""Read files whose parts are replaced by anything at all: there are faults, with a place and a line, and no error of another kind."""

import copy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.system.upgrade.record import CONFIGURATION

from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.load import check_file
from watchword.apps.settings.template import TEMPLATE

ROOT: Final = Path(__file__).parents[3]
FILES: Final = [
    TEMPLATE,
    CONFIGURATION,
    *(each.read_text(encoding="utf-8") for each in sorted((ROOT / "examples").glob("*.yaml"))),
]
DOCUMENTS: Final = [yaml.safe_load(each) for each in FILES]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(allow_nan=False),
    st.sampled_from(
        ["", "off", "lab", "1d", "-1s", "/**", "a", "127.0.0.1:1", "https://a.example"]
    ),
    st.text(alphabet="a/*:{}[]%. é0", max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "path", "mode", "key", "1"]), inner, max_size=3),
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every part of a document."""
    found = [path]
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in parts:
        found += _places(inner, (*path, key))
    return found


PLACES: Final = [(number, way) for number, each in enumerate(DOCUMENTS) for way in _places(each)]


def _with(document: Any, way: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at one place."""
    if not way:
        return value
    made = copy.deepcopy(document)
    inner = made
    for part in way[:-1]:
        inner = inner[part]
    inner[way[-1]] = value
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where each document is written."""
    return tmp_path_factory.mktemp("malformed") / "watchword.yaml"


@settings(max_examples=250)
@given(place=st.sampled_from(PLACES), value=VALUES)
@example(place=(0, ("environment",)), value=["lab"])
@example(place=(0, ("drill", "clinic", "requests", 0, "status")), value=[700])
@example(place=(0, ("drill", "clinic", "requests", 0, "status")), value=[{"a": 1}])
def test_any_value_anywhere_is_read_or_a_fault(
    file: Path, place: tuple[int, tuple[Any, ...]], value: Any
) -> None:
    """No part of a file brings the reader down; what it says names the part and stands in a few lines."""
    number, way = place
    file.write_text(yaml.safe_dump(_with(DOCUMENTS[number], way, value)), encoding="utf-8")
    faults: tuple[Fault, ...] = ()
    try:
        check_file(file)
    except ConfigurationError as error:
        faults = error.faults
    for fault in faults:
        assert fault.got
        assert fault.expected
        assert "constrained" not in fault.path
