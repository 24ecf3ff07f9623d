"""Show which TLS is spoken between the service and gates on other machines: 1.3, by both sides."""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.adapters.authority import Authority

from watchword.adapters.gate_bundle.remote import client_tls
from watchword.adapters.http_server.tls import server_tls

NAME = "localhost"


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[ssl.SSLContext, ...]]:
    """Return what makes the service's and the gate's side anew, with certificates of one authority."""
    directory: Path = tmp_path_factory.mktemp("tls")
    authority = Authority(directory, "ca")
    served, shown = authority.issue(NAME, server=True), authority.issue("edge.example")
    return lambda: (server_tls(*served, authority.file), client_tls(*shown, authority.file))


def spoken(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Return the version that both agree on.

    :raises ssl.SSLError: where they don't.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=NAME)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return theirs.version()


def test_the_service_and_gates_speak_tls_1_3(
    sides: Callable[[], tuple[ssl.SSLContext, ...]],
) -> None:
    """Each with its certificate, and the caller's is known."""
    assert spoken(*sides()) == "TLSv1.3"


@pytest.mark.parametrize("older", [0, 1], ids=["service", "gate"])
def test_whoever_speaks_no_more_than_tls_1_2_is_not_spoken_to(
    sides: Callable[[], tuple[ssl.SSLContext, ...]], older: int
) -> None:
    """Neither side goes down to what the other can, and no handshake ends."""
    both = sides()
    both[older].minimum_version = ssl.TLSVersion.TLSv1_2
    both[older].maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL"):
        spoken(*both)
