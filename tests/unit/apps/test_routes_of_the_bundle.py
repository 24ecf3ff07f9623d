"""Show that an application's log says when its gate goes by other routes than the file it was started with."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.apps.test_gate_from import publish as publish_policy
from tests.unit.gate.simulators import NOW, request

from watchword.adapters.gate_bundle.file import LOOK_SECONDS
from watchword.apps.compose.gates import route_differences
from watchword.apps.deployment import gate_policy
from watchword.apps.gateway import gate_from
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.template import TEMPLATE

ROUTES = """\
    routes:
      - {path: /health, methods: [GET, HEAD], mode: off}
      - {path: /login, methods: [POST], mode: monitor, proof: device, max_body: 2048}
      - {path: /pay/**, mode: canary, canary: {share: 5, from_versions: {clinic-ios: "4.2"}, budget: 2}}
      - {path: /**, mode: MODE, proof: session, minimum_versions: {clinic-ios: "2.0"}}
"""


def settings_of(directory: Path, mode: str) -> Settings:
    """Write the file, its last route in this mode."""
    file = directory / "watchword.yaml"
    kept = TEMPLATE[: TEMPLATE.index("    routes:\n")]
    file.write_text(kept + ROUTES.replace("MODE", mode), encoding="utf-8")
    return load_settings(file)


def publish(settings: Settings, generation: int) -> None:
    """Publish what the service makes of these settings."""
    publish_policy(settings, gate_policy(settings, settings.apis["clinic"]), generation)


def test_a_laxer_bundle_is_told_at_once_and_when_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the route, both modes and the remedy; not again while nothing changes, not where nothing differs."""
    publish(settings_of(tmp_path, "monitor"), 1)
    settings = settings_of(tmp_path, "enforce")
    with caplog.at_level(logging.WARNING, "watchword.gate"):
        gate = gate_from(settings.path, "clinic")
        (line,) = [record.getMessage() for record in caplog.records]
        assert line == (
            f"the gate of clinic goes by other routes than {settings.path}: /** is enforce in the file, and monitor in the "
            "bundle. Run `watchword config apply`, or restart `watchword up` with this file; on another machine, copy the "
            "service's file here and restart the application"
        )
        caplog.clear()
        assert gate.decide(request("/records"), NOW).allow
        publish(settings, 2)
        time.sleep(LOOK_SECONDS)
        assert not gate.decide(request("/records"), NOW).allow
        assert [record.getMessage() for record in caplog.records] == [
            f"the gate of clinic goes by the routes of {settings.path} now"
        ]
        caplog.clear()
        publish(settings, 3)
        time.sleep(LOOK_SECONDS)
        gate.decide(request("/records"), NOW)
        gate_from(settings.path, "clinic")
        assert caplog.records == []


def test_a_file_that_was_applied_meanwhile_is_no_difference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The application goes on with the file as it was read at its start, and looks at it anew before it says anything."""
    settings = settings_of(tmp_path, "enforce")
    publish(settings, 1)
    gate = gate_from(settings.path, "clinic")
    assert not gate.decide(request("/records"), NOW).allow
    publish(settings_of(tmp_path, "monitor"), 2)
    with caplog.at_level(logging.WARNING, "watchword.gate"):
        time.sleep(LOOK_SECONDS)
        assert gate.decide(request("/records"), NOW).allow
    assert caplog.records == []


def test_every_difference_is_named(tmp_path: Path) -> None:
    """A route that one of them hasn't, one that asks for something else, another order; five of them at most in a line."""
    routes = settings_of(tmp_path, "enforce").apis["clinic"].routes
    assert route_differences(routes, routes) == []
    assert route_differences(routes, routes[1:]) == [
        "GET HEAD /health is off in the file, and not in the bundle"
    ]
    assert route_differences(routes[1:], routes) == [
        "GET HEAD /health is off in the bundle, and not in the file"
    ]
    other = (replace(routes[0], max_body=7), *routes[1:])
    assert route_differences(routes, other) == [
        "GET HEAD /health asks for something else in the bundle than in the file"
    ]
    assert route_differences(routes, routes[::-1]) == ["their order differs"]


def test_the_first_line_of_a_gate_without_a_bundle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says that everything is refused, by which reason, and what brings the bundle; then that it came."""
    settings = settings_of(tmp_path, "enforce")
    with caplog.at_level(logging.WARNING, "watchword.gate"):
        gate = gate_from(settings.path, "clinic")
        publish(settings, 1)
        time.sleep(LOOK_SECONDS)
        gate.decide(request("/records"), NOW)
    place = settings.service.gate_bundle("clinic")
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"everything is refused with 503 (gate.state_unavailable): no bundle yet at {place}; `watchword up` with the same "
            "watchword.yaml, or `watchword gate pull`, writes it"
        ),
        "the gate of clinic has its first bundle",
    ]
