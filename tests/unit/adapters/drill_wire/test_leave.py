"""Hold the wire to the run's leave: once it's over, not even a handshake goes out."""

import pytest
from tests.unit.adapters.drill_wire.machines import machine

from watchword.adapters.drill_wire import HttpWire, UnsendableError
from watchword.drill.wire import Call, Headers, Part

GET = Call(Part.GATE, "GET", "/v1/records")


def over(_: Call) -> Headers:
    """Say that nothing may be sent any more."""
    raise UnsendableError("over")


def test_nobody_connects_for_several_that_may_not_be_sent() -> None:
    """Those that go out together are connected before they're signed; a connection is bytes too."""
    with machine() as target:
        wire = HttpWire({Part.GATE: target.origin()}, rate=None, signed=over)
        with pytest.raises(UnsendableError):
            wire.send_together([GET, GET])
        wire.close()
        assert target.connections == 0


def test_leave_is_asked_again_once_the_connection_stands() -> None:
    """A slow handshake may outlast a consent: then it ends there."""
    asked: list[Call] = []

    def until_connected(call: Call) -> Headers:
        asked.append(call)
        return () if len(asked) == 1 else over(call)

    with machine() as target:
        wire = HttpWire({Part.GATE: target.origin()}, rate=None, signed=until_connected)
        with pytest.raises(UnsendableError):
            wire.send(GET)
        wire.close()
        assert target.heads == []
