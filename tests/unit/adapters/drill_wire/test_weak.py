"""Hold weakened connections to what they are: weak in one way, bounded, and never anywhere else."""

import contextlib
import ssl
import warnings
from pathlib import Path

import pytest
from tests.unit.adapters.drill_wire.machines import certified, machine, ok

from watchword.adapters.drill_wire import HttpWire
from watchword.drill.interface import MissingError, Need
from watchword.drill.wire import Call, Part, TargetLostError, Weakness

GET = Call(Part.GATE, "GET", "/v1/records", (("x-api-key", "secret"),))
NAME = "api.example"

SUITES = {
    Weakness.NO_ENCRYPTION: "eNULL:@SECLEVEL=0",
    Weakness.NO_AUTHENTICATION: "aNULL:@SECLEVEL=0",
}


def softened(tls: ssl.SSLContext, weakness: Weakness) -> None:
    """Have a server's TLS allow a weakness."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = ssl.TLSVersion.TLSv1
        if weakness in SUITES:
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers(SUITES.get(weakness, "ALL:@SECLEVEL=0"))


@pytest.mark.parametrize("weakness", Weakness)
def test_a_good_server_refuses_every_weakness(weakness: Weakness, tmp_path: Path) -> None:
    """Python's own defaults: no request arrives."""
    tls, ca = certified(tmp_path, NAME)
    with machine(tls=tls) as target:
        wire = HttpWire({Part.GATE: target.origin(NAME, "https")}, rate=None, ca=ca)
        # OpenSSL may be built without the weakest of them.
        with contextlib.suppress(MissingError):
            assert wire.send_weakly(GET, weakness).status == 0
        assert target.heads == []
        wire.close()


@pytest.mark.parametrize(
    "weakness", [Weakness.TLS_1_0, Weakness.TLS_1_1, *SUITES], ids=lambda each: each.value
)
def test_a_weak_server_serves(weakness: Weakness, tmp_path: Path) -> None:
    """The request arrives over just that connection, and the answer comes back."""
    tls, ca = certified(tmp_path, NAME)
    softened(tls, weakness)
    with machine(tls=tls) as target:
        wire = HttpWire({Part.GATE: target.origin(NAME, "https")}, rate=None, ca=ca)
        assert wire.send_weakly(GET, weakness).status == 200
        assert b"x-api-key: secret" in target.heads[0]
        assert f"Host: {NAME}:{target.port}".encode() in target.heads[0]
        assert wire.total == 1
        wire.close()


def test_cleartext_at_the_port_of_tls_is_seen(tmp_path: Path) -> None:
    """A port that answers without TLS is found out, though the origin says https."""
    with machine(ok()) as target:
        wire = HttpWire({Part.GATE: target.origin(NAME, "https")}, rate=None)
        assert wire.send_weakly(GET, Weakness.CLEARTEXT).status == 200
        wire.close()
    assert tmp_path.exists()


def test_without_tls_there_is_nothing_to_weaken() -> None:
    """An API on plain http isn't measured by its TLS."""
    with machine() as target:
        wire = HttpWire({Part.GATE: target.origin()}, rate=None)
        with pytest.raises(MissingError) as caught:
            wire.send_weakly(GET, Weakness.TLS_1_0)
        assert caught.value.need is Need.TLS
        assert target.connections == 0
        wire.close()


def test_nobody_there_is_no_refusal(tmp_path: Path) -> None:
    """A target that is gone doesn't count as one that refuses."""
    tls, ca = certified(tmp_path, NAME)
    with machine(tls=tls) as target:
        origin = target.origin(NAME, "https")
    wire = HttpWire({Part.GATE: origin}, rate=None, ca=ca)
    with pytest.raises(TargetLostError):
        wire.send_weakly(GET, Weakness.TLS_1_1)
    wire.close()
