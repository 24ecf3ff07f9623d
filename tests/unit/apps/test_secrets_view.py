"""Say what there is of secrets and alarms in lines for people."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from watchword.apps.secrets.commands import (
    alarm_lines,
    in_use,
    lines,
    rows,
    time_of,
    use_lines,
)
from watchword.apps.terminal.paragraphs import table

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
WIDTH = 80


def at(**before: float) -> str:
    """Return an instant before now, as the service writes it."""
    return (NOW - timedelta(**before)).isoformat()


def version(number: int, state: str, **times: str | None) -> dict[str, Any]:
    """Return a version as the service shows it."""
    made = {"made_at": at(days=3), "until": None, "revoked_at": None}
    return {"version": number, "state": state, **made, **times}


def secret(*versions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a secret as the service shows it."""
    edge = {
        "origin": "https://maps.example.net:8443",
        "paths": ["/geocode/**", "/tiles/**"],
        "methods": ["GET"],
        "place": "header",
        "in": "x-api-key",
        "replaces": None,
        "allowances": [{"seconds": 86400, "calls": 100, "spend": None}],
    }
    routes = [{"api": "clinic", "route": "maps", "path": "/maps/**"}]
    shown = {"name": "maps", "configured": True, "state": "good", "edge": edge, "deliver": None}
    return {**shown, "routes": routes, "versions": list(versions), **changes}


def text(made: Iterable[str]) -> str:
    """Return lines as a terminal of 80 columns shows them, each in its place."""
    shown = list(made)
    assert all(len(line) <= WIDTH for line in shown), shown
    return "\n".join(shown)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the terminal a person has."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (90_000, "1d"),
        (1e7, "115d"),
    ],
)
def test_spans_are_told_in_their_largest_unit(seconds: float, expected: str) -> None:
    """A clock of the caller's that is behind tells no negative age."""
    assert time_of(seconds) == expected


def test_listing_tells_where_each_goes() -> None:
    """At the edge by route, sealed by app, empty, and one that the file names no more."""
    deliver = {"apps": ["clinic-ios"], "level": "hardware", "lease": 7200}
    two = [{"api": "clinic", "route": "a", "path": f"/{each}/**"} for each in "ab"]
    found = {
        "secrets": [
            secret(version(1, "overlap"), version(2, "current", made_at=at(hours=5))),
            secret(name="push", edge=None, deliver=deliver, state="empty"),
            secret(version(1, "revoked"), name="both", routes=two, state="ended"),
            secret(version(1, "current"), name="old", edge=None, configured=False, routes=[]),
        ]
    }
    shown = text(table(("name", "goes", "state", "version", "made", "used by"), rows(found, NOW)))
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["maps", "edge", "good", "2", "5h", "ago", "clinic", "/maps/**"],
        ["push", "sealed", "empty", "-", "-", "clinic-ios"],
        ["both", "edge", "ended", "-", "-", "clinic", "/a/**", "and", "1", "more"],
        ["old", "nowhere", "good,", "not", "in", "the", "file", "1", "3d", "ago", "no", "route"],
    ]


def test_versions_are_told_with_their_times() -> None:
    """The newest first: in force, counting still, ended, revoked, and revoked without the backend."""
    shown = text(
        lines(
            secret(
                version(1, "revoked", revoked_at=at(hours=2)),
                version(2, "ended", until=at(minutes=30)),
                version(3, "withheld"),
                version(4, "overlap", until=at(hours=-6)),
                version(5, "current"),
            ),
            NOW,
        )
    )
    assert shown.splitlines()[-5:] == [
        "  version 5  current   made 3d ago",
        "  version 4  overlap   made 3d ago, ends in 6h",
        "  version 3  withheld  made 3d ago",
        "  version 2  ended     made 3d ago, ended 30m ago",
        "  version 1  revoked   made 3d ago, revoked 2h ago",
    ]
    assert "sent to https://maps.example.net:8443 for GET /geocode/**, /tiles/**" in shown
    assert "at most 100 calls of one instance in 24h" in shown


def test_who_uses_which_version_is_told() -> None:
    """An old one that nobody is known to use says so: that is what the provider's key waits for."""
    found = {
        "versions": [
            version(1, "ended", until=at(hours=1)),
            version(2, "overlap"),
            version(3, "current"),
        ],
        "gates": [{"api": "clinic", "version": 3, "generation": 17}],
        "calls": [{"version": 2, "last_at": at(minutes=4)}],
        "trouble": None,
        "leases": [
            {
                "version": 2,
                "app": "clinic-ios",
                "app_version": None,
                "leases": 12,
                "withdrawn": 1,
                "latest_expiry": at(minutes=-40),
            }
        ],
    }
    shown = " ".join(text(use_lines(found, NOW)).split())
    assert "version 3 current made 3d ago gate of clinic adds it (told in generation 17)" in shown
    assert "last call with it 4m ago" in shown
    assert "12 instances of clinic-ios (version unknown); the last lease ends in 40m" in shown
    assert "1 instance of clinic-ios (version unknown), revoked meanwhile" in shown
    assert shown.endswith("ended 1h ago nobody that we know of")


def test_instances_with_a_version_that_is_forgotten_are_told() -> None:
    """After sixteen rotations within a lease phones have a version that nothing else speaks of."""
    lease = {
        "version": 1,
        "app": "clinic-ios",
        "app_version": "3.1",
        "leases": 2,
        "withdrawn": 0,
        "latest_expiry": at(minutes=-40),
    }
    found = {
        "versions": [version(17, "current")],
        "gates": [],
        "calls": [{"version": 1, "last_at": at(days=1)}],
        "trouble": None,
        "leases": [lease],
    }
    shown = " ".join(text(use_lines(found, NOW)).split())
    assert "version 1 forgotten" in shown
    assert shown.endswith("2 instances of clinic-ios 3.1; the last lease ends in 40m")


def test_calls_that_cannot_be_told_are_not_told_as_none() -> None:
    """Nobody should withdraw a key because the ledger was away."""
    found = {
        "versions": [version(1, "current")],
        "gates": [],
        "calls": None,
        "trouble": "secret.usage_unavailable: no Valkey",
        "leases": [],
    }
    shown = text(use_lines(found, NOW))
    assert "no Valkey" in shown
    assert "nobody that we know of" not in shown


def test_what_counts_after_a_change_is_told() -> None:
    """Which version is in use from now on, or that none is."""
    assert in_use(secret(version(1, "current"), version(2, "revoked"))) == "Gates add version 1."
    sealed = secret(version(1, "current"), edge=None)
    assert in_use(sealed) == "Instances get version 1."
    assert in_use(secret(version(1, "revoked"))) == "No version counts now."


def test_what_a_thief_writes_reaches_no_terminal_as_it_is() -> None:
    """His headers and path are shown without what a terminal obeys."""
    alarm = {
        "canary": "old-key",
        "uses": 3,
        "first": at(days=2),
        "last": at(minutes=5),
        "api": "clinic",
        "route": "all",
        "method": "GET",
        "path": "/v1/\x1b[2Jpatients",
        "address": "203.0.113.9",
        "forwarded": "1.2.3.4\x1b]0;x\x07",
        "user_agent": "curl/8\x9b31m",
        "header_names": ["host", "x-\x1bc"],
        "app": "clinic-ios",
        "version": "7",
        "subject": "abc",
        "refused": True,
    }
    shown = text(alarm_lines([alarm, {**alarm, "app": None, "uses": 1, "refused": False}], NOW))
    assert not {"\x1b", "\x9b", "\x07"} & set(shown)
    assert "old-key: 3 uses, the last 5m ago, the first 2d ago" in shown
    assert "at clinic, refused" in shown
    assert "at clinic, let through: the route doesn't enforce" in " ".join(shown.split())
    assert shown.count("token of clinic-ios 7") == 1
