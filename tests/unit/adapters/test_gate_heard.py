"""Show that a gate says when it hears nothing of its service, and goes on all the same."""

import logging
import os
from pathlib import Path

import pytest
from tests.unit.adapters.test_gate_bundle import BUNDLE, KEY, Ticks, later, publish

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_bundle.freshness import SILENT_SECONDS, freshness_path, note_fresh


def touch(bundle: Path, at: int) -> None:
    """Touch the file at a time of our own, so that a coarse clock can't hide it."""
    note_fresh(bundle)
    os.utime(freshness_path(bundle), ns=(at, at))


def test_a_service_that_falls_silent_is_told_and_heard_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each, in the log and in what the metrics show; keys and routes stay what they are."""
    path, ticks = tmp_path / "clinic.jws", Ticks()
    publish(path, BUNDLE)
    touch(path, 1)
    state = GateBundleFile(path, KEY, ticks)
    with caplog.at_level(logging.WARNING, "watchword.gate"):
        ticks.at += SILENT_SECONDS - 1
        assert later(state, ticks) == 10
        assert state.trouble() is None
        for _ in range(3):
            assert later(state, ticks) == 10
        assert "nothing was heard" in (state.trouble() or "")
        assert state.fault is None
        touch(path, 2)
        later(state, ticks)
        assert state.trouble() is None
    assert [record.getMessage() for record in caplog.records] == [
        "clinic: nothing was heard of the service for 600 s; revocations don't arrive",
        "clinic: the service was heard of again",
    ]


def test_touches_keep_it_calm_whatever_their_clock_says(tmp_path: Path) -> None:
    """Also one that goes back: what counts is that the file was touched."""
    path, ticks = tmp_path / "clinic.jws", Ticks()
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    for at in (10**18, 5, 6, 10**18):
        touch(path, at)
        ticks.at += SILENT_SECONDS - 1
        later(state, ticks)
        assert state.trouble() is None


def test_a_bundle_that_is_copied_by_hand_raises_no_alarm(tmp_path: Path) -> None:
    """Nobody touches anything beside it."""
    path, ticks = tmp_path / "clinic.jws", Ticks()
    publish(path, BUNDLE)
    state = GateBundleFile(path, KEY, ticks)
    ticks.at += 10 * SILENT_SECONDS
    assert (later(state, ticks), state.trouble()) == (10, None)


def test_who_removes_the_file_silences_no_alarm(tmp_path: Path) -> None:
    """Once it was seen, its absence is a silence too."""
    path, ticks = tmp_path / "clinic.jws", Ticks()
    publish(path, BUNDLE)
    touch(path, 1)
    state = GateBundleFile(path, KEY, ticks)
    freshness_path(path).unlink()
    ticks.at += SILENT_SECONDS
    later(state, ticks)
    assert state.trouble() is not None


def test_the_file_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    """What a link points at is somebody else's."""
    path, other = tmp_path / "clinic.jws", tmp_path / "other"
    note_fresh(path)
    assert freshness_path(path).stat().st_mode & 0o777 == 0o600
    freshness_path(path).unlink()
    other.write_text("x")
    os.utime(other, ns=(1, 1))
    freshness_path(path).symlink_to(other)
    note_fresh(path)
    assert other.stat().st_mtime_ns == 1
