"""Show what a missing package makes Watchword say: a line to type that fits how it was installed."""

import shlex
from typing import Any

import pytest
from packaging.requirements import Requirement

from watchword.extras import (
    MissingExtraError,
    corpus_command,
    explained,
    install_command,
    is_of_others,
    needs,
)

WHEEL = {"url": "file:///tmp/a%20b/watchword-0.3.0-py3-none-any.whl", "archive_info": {}}
EDITABLE = {"url": "file:///home/me/clone", "dir_info": {"editable": True}}
CLONE = {"url": "file:///home/me/clone", "dir_info": {}}
GIT = {"url": "https://git.example/w.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}}
REMOTE = {"url": "https://files.example/watchword-0.3.0-py3-none-any.whl", "archive_info": {}}
COMMANDS: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({}, "watchword[scan]", "watchword-conformance"),
    (
        WHEEL,
        "/tmp/a b/watchword-0.3.0-py3-none-any.whl[scan]",
        "/tmp/a b/watchword_conformance-0.3.0-py3-none-any.whl",
    ),
    (EDITABLE, "/home/me/clone[scan]", "/home/me/clone/packages/watchword-conformance"),
    (CLONE, "/home/me/clone[scan]", "/home/me/clone/packages/watchword-conformance"),
    (
        GIT,
        "watchword[scan] @ git+https://git.example/w.git@ab12",
        (
            "watchword-conformance @ git+https://git.example/w.git@ab12"
            "#subdirectory=packages/watchword-conformance"
        ),
    ),
    (
        REMOTE,
        "watchword[scan] @ https://files.example/watchword-0.3.0-py3-none-any.whl",
        "watchword-conformance @ https://files.example/watchword_conformance-0.3.0-py3-none-any.whl",
    ),
)


def test_line_to_type_fits_where_the_installation_came_from() -> None:
    """An index, a file, a clone, a repository and an address each get one that a shell hands on as one requirement."""
    for origin, extra, corpus in COMMANDS:
        words = shlex.split(install_command("scan", origin))
        assert words == ["pip", "install", *(["-e"] if origin is EDITABLE else []), extra]
        from_clone = origin in (EDITABLE, CLONE)
        words = shlex.split(corpus_command(origin))
        assert words == ["pip", "install", *(["-e"] if from_clone else []), corpus]
        for each in (extra, corpus):
            if " @ " in each:
                assert Requirement(each).url


def test_record_that_says_nothing_is_as_from_an_index() -> None:
    """A file that an installer left crooked ends in no error of its own."""
    crooked: tuple[dict[str, Any], ...] = ({"url": 7}, {"archive_info": {}})
    for origin in crooked:
        assert install_command("plan", origin) == "pip install 'watchword[plan]'"


def test_missing_package_names_its_extra() -> None:
    """Where an import needs an extra, the error says so, and is still the error that Python raises."""
    with pytest.raises(ModuleNotFoundError) as no, needs("lab"):
        raise ModuleNotFoundError("No module named 'cbor2'", name="cbor2")
    assert no.value.name == "cbor2"
    said = str(no.value)
    assert said.startswith(
        "the package cbor2 isn't installed; the extra lab brings it: pip install "
    )
    assert "[lab]" in said
    # The innermost knows best; whoever catches it adds nothing.
    with pytest.raises(MissingExtraError) as outer, needs("config"):
        raise no.value
    assert outer.value is no.value
    assert explained(no.value) == said
    assert "the extra server" in explained(ModuleNotFoundError("no", name="click"))


def test_module_of_ours_that_is_missing_is_a_fault() -> None:
    """No extra brings it: the error stays what it is, also where it has no name."""
    for name in ("watchword.apps.nowhere", "watchword", None):
        error = ModuleNotFoundError("gone", name=name)
        assert not is_of_others(error)
        with pytest.raises(ModuleNotFoundError) as no, needs("lab"):
            raise error
        assert no.value is error
        assert explained(error) == "gone"
    assert is_of_others(ModuleNotFoundError("gone", name="watchwordish"))
