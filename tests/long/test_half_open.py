"""Hold 400 half-open connections at each enforcement point, with fewer descriptors than that: others are served again within 8 s."""

import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.long.half_open import Address, confine, seconds_until_served
from tests.ports import free_port
from tests.unit.adapters.authority import Authority
from tests.unit.apps.service_process import configuration, running, upstream
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, deployed

SERVED_AGAIN_SECONDS = 8.0
ENGINES = ("asgi-granian", "caddy", "envoy", "haproxy", "nginx", "nginx-authz")
LISTENERS = ("service", "gate", "authz", "delivery")
GATES = """
gates:
  listen: 127.0.0.1:{port}
  certificate: {certificate}
  key: {key}
  client_ca: {authority}
  clients: {{edge.example: [clinic]}}
"""
AUTHZ = "    authz: {style: original}\n    audience:"


@contextmanager
def deployment(directory: Path) -> Iterator[Mapping[str, Address]]:
    """Run ``watchword up``; give where it listens."""
    with upstream() as port:
        file = configuration(directory, port, **{"    audience:": AUTHZ})
        delivery = free_port()
        authority = Authority(directory, "ca")
        authority.issue("edge.example")
        certificate, key = authority.issue("localhost", server=True)
        places = {"certificate": certificate, "key": key, "authority": directory / "ca.pem"}
        with file.open("a", encoding="utf-8") as more:
            more.write(GATES.format(port=delivery, **places))
        with running(file) as (where, _process):
            yield {
                "service": _address(where["service"]),
                "gate": _address(where["apis"]["clinic"]),
                "delivery": ("127.0.0.1", delivery),
                "authz": str(Path(where["operator"]).with_name("authz-clinic.sock")),
            }


def _gates_tls(directory: Path) -> ssl.SSLContext:
    """Return how a gate of another machine connects."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(directory / "ca.pem")
    tls.load_cert_chain(directory / "edge.example.crt", directory / "edge.example.key")
    return tls


def _address(text: str) -> Address:
    host, _, port = text.removeprefix("http://").rpartition(":")
    return host, int(port)


def measured(directory: Path, name: str) -> tuple[float, int]:
    """Start one enforcement point and measure it."""
    directory.mkdir(mode=0o700)
    with ExitStack() as stack:
        if name in LISTENERS:
            address = stack.enter_context(deployment(directory))[name]
            if name == "delivery":
                confine(address)
                return seconds_until_served(address, tls=_gates_tls(directory))
        else:
            point = ENFORCEMENT_POINTS[name](deployed(directory), "http://127.0.0.1:9", None)
            address = ("127.0.0.1", stack.enter_context(point).port)
        confine(address)
        return seconds_until_served(address)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[float, int]]:
    """Measure all of them at once: most of it is waiting."""
    directory = tmp_path_factory.mktemp("half-open")
    names = (*LISTENERS, *ENGINES)
    with ThreadPoolExecutor(len(names)) as pool:
        results = pool.map(lambda name: measured(directory / name, name), names)
        return dict(zip(names, results, strict=True))


@pytest.mark.parametrize("name", [*LISTENERS, *ENGINES])
def test_others_are_served_again(found: Mapping[str, tuple[float, int]], name: str) -> None:
    """Whoever holds connections holds them for a few seconds; the answer is the gate's or the service's own."""
    seconds, answered = found[name]
    assert seconds < SERVED_AGAIN_SECONDS, found
    assert 200 <= answered < 500, found
