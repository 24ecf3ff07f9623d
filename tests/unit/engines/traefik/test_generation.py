"""Hold the structure of Traefik's files; what it does with them is seen in test_answers.py."""

from dataclasses import replace

import pytest
import yaml
from tests.unit.engines.envoy.rig import bundle_of, route
from tests.unit.engines.forward_auth.rig import options

from watchword.engines.interface import Endpoint, EngineFileKind, UnsupportedError
from watchword.engines.traefik import generate, start
from watchword.vocabulary import Mode, Proof, ReplayMode

OPTIONS = options(authz=Endpoint("127.0.0.1", 9443), access_log="/var/log/refusals.json")
ROUTES = (route("/open/**", mode=Mode.OFF), route("/v1/**"))


def test_every_request_is_asked_about_and_then_cleaned() -> None:
    """One router over every path, the question first, nothing that a client states is trusted."""
    files = {file.name: file for file in generate(bundle_of(ROUTES), OPTIONS, 0)}
    http = yaml.safe_load(files["routes.yaml"].content)["http"]
    (router,) = http["routers"].values()
    assert router["rule"] == "PathPrefix(`/`)"
    assert router["middlewares"] == ["watchword-ask", "watchword-clean"]
    asked = http["middlewares"]["watchword-ask"]["forwardAuth"]
    assert asked["address"] == "https://127.0.0.1:9443/authz/bare/clinic"
    assert asked["trustForwardHeader"] is False
    assert set(asked["tls"]) == {"ca", "cert", "key"}
    assert "Watchword-Level" in asked["authResponseHeaders"]
    removed = http["middlewares"]["watchword-clean"]["headers"]["customRequestHeaders"]
    assert set(removed.values()) == {""}
    assert {
        "Watchword-Token",
        "Watchword-Api",
        "Watchword_Level",
        "Watchword.Instance",
        "Upgrade",
    } <= set(removed)
    assert {"Forwarded", "X-Forwarded-Ssl", "X-Forwarded-Prefix"} <= set(removed)
    assert "Watchword-Level" not in removed
    assert http["services"]["watchword-api"]["loadBalancer"] == {
        "servers": [{"url": "http://api.example:8000"}],
        "passHostHeader": True,
    }


def test_it_is_started_with_a_file_that_names_the_other() -> None:
    """The log keeps neither targets nor fields."""
    files = {file.name: file for file in generate(bundle_of(ROUTES), OPTIONS, 0)}
    assert [file.kind for file in files.values()][:2] == [EngineFileKind.PART, EngineFileKind.START]
    begun = yaml.safe_load(files["traefik.yaml"].content)
    assert begun["providers"]["file"]["filename"] == OPTIONS.path("routes.yaml")
    entry = begun["entryPoints"]["watchword"]
    assert entry["address"] == "127.0.0.1:8080"
    # Traefik would make one path of two that are read in two ways, and nobody would refuse them.
    assert entry["http"]["sanitizePath"] is False
    log = begun["accessLog"]
    assert log["fields"]["defaultMode"] == log["fields"]["headers"]["defaultMode"] == "drop"
    assert "RequestPath" not in log["fields"]["names"]
    assert OPTIONS.path("traefik.yaml") in start(OPTIONS)


@pytest.mark.parametrize("mode", [Mode.MONITOR, Mode.ENFORCE])
def test_routes_with_a_proof_are_refused(mode: Mode) -> None:
    """Nobody would see a body that was added."""
    rows = (*ROUTES, route("/proved/**", proof=Proof.DEVICE, mode=mode))
    with pytest.raises(UnsupportedError, match="nothing of a body") as caught:
        generate(bundle_of(rows), OPTIONS, 0)
    assert (caught.value.where, caught.value.setting) == ("/proved/**", "proof device")


def test_nonces_that_dont_come_through_are_refused() -> None:
    """Replay affine needs them on every answer."""
    with pytest.raises(UnsupportedError, match="nonce"):
        generate(bundle_of(ROUTES, replay=ReplayMode.AFFINE), OPTIONS, 0)


def test_sockets_are_refused() -> None:
    """Traefik knows none."""
    with pytest.raises(UnsupportedError, match="TCP alone"):
        generate(bundle_of(ROUTES), replace(OPTIONS, listen=Endpoint(socket="/run/x.sock")), 0)
