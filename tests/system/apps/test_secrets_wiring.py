"""Put a deployment with secrets together from its file: each backend, each place of the master key, each fault."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.adapters.openbao.server import BaoServer
from tests.unit.enrolment.simulators import SeededEntropy
from tests.unit.pins.builders import certificate, pem

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import SystemClock
from watchword.apps.compose.documents import file_documents
from watchword.apps.compose.secrets import openbao_of, secret_work
from watchword.apps.deployment import gate_policies, service_of
from watchword.apps.key_files import (
    MAX_AUTHORITIES_BYTES,
    EdgeAuthoritiesError,
    require_key_files,
)
from watchword.apps.service.service import Service
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.broker.interface import InjectedValue, SecretValue
from watchword.gate.interface import LimitKind
from watchword.reasons import UnavailableError

FILE = """
version: 1
environment: lab
service: {{issuer: "http://127.0.0.1:1", listen: "127.0.0.1:1", state: state}}
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
apis:
  clinic:
    audience: https://clinic.example
    apps: [clinic-ios]
    listen: 127.0.0.1:2
    upstream: http://127.0.0.1:3
    limits: [{{name: few, kind: quota, requests: 20, per: 1d}}]
    routes:
      - {{path: /maps/**, secret: maps}}
      - {{path: /**}}
  ledger:
    audience: https://ledger.example
    apps: [clinic-ios]
    routes: [{{path: /**}}]
secrets:
  {how}
  keys:
    maps:
      edge:
        origin: https://maps.example.net
        paths: [/geocode/**]
        add: {{header: Authorization, prefix: "Bearer "}}
        {edge}
    push: {{deliver: {{apps: [clinic-ios]}}}}
"""
VALUE = SecretValue("sk_live_marked0001")


def configured(directory: Path, how: str = "store: file", edge: str = "private: false") -> Settings:
    """Return the settings of a file with secrets."""
    file = directory / "watchword.yaml"
    file.write_text(FILE.format(how=how, edge=edge), encoding="utf-8")
    return load_settings(file)


def in_bao(server: BaoServer, *further: str) -> str:
    """Return the section of secrets that are in OpenBao."""
    place = f"openbao: {{url: '{server.url}', token: '{server.token_file}', timeout: 20s}}"
    return "\n  ".join((place, *further))


def up(
    settings: Settings, work: Callable[[Service], Awaitable[None]] | None = None
) -> dict[str, InjectedValue]:
    """Start a service, do something, stop it; return what the clinic's gate injects then."""

    async def scenario() -> None:
        clock = SystemClock()
        service = service_of(
            settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
        )
        try:
            await service.start()
            if work is not None:
                await work(service)
        finally:
            await service.stop()
            service.context.store.close()

    asyncio.run(scenario())
    gates = settings.service.gates
    gate = GateBundleFile(gates / "clinic.jws", gates / "signer.jwk", api="clinic")
    return dict(gate.bundle.injected)


async def add(service: Service) -> None:
    """Keep a value, and tell the gates."""
    keeper, clock = service.context.secrets.keeper, service.context.clock
    assert keeper is not None
    await keeper.add("maps", VALUE, clock.timestamp())
    await service.context.publisher.publish(clock.now())


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaoServer]:
    """Run a real server, set up as the documentation says."""
    server = BaoServer(tmp_path_factory.mktemp("bao"))
    try:
        server.start()
        server.initialise()
        yield server
    finally:
        server.kill()


def test_file_under_a_key_that_is_made(tmp_path: Path) -> None:
    """The default: both lie in the state directory, for this user alone, and a restart reads them."""
    settings = configured(tmp_path)
    assert up(settings, add) == up(settings) == {"maps": InjectedValue(1, VALUE)}
    state = settings.service.state_dir
    assert read_private(state / "master.key") is not None
    kept = read_private(state / "secrets.json")
    assert kept is not None
    assert VALUE.text.encode() not in kept


def test_master_key_that_is_gone_is_never_made_anew(tmp_path: Path) -> None:
    """A start over values that nobody could read any more stops, and says which file is missing."""
    settings = configured(tmp_path, "master_key: {file: elsewhere.key}")
    up(settings, add)
    (tmp_path / "elsewhere.key").unlink()
    with pytest.raises(PrivateFileError, match=r"elsewhere\.key"):
        up(settings)
    assert not (tmp_path / "elsewhere.key").exists()


def test_start_that_fails_for_the_master_key_leaves_nothing(tmp_path: Path) -> None:
    """No key ring without a store, which the next start would complain of."""
    settings = configured(tmp_path, "master_key: {env: WATCHWORD_TEST_NOT_SET}")
    with pytest.raises(PrivateFileError, match="WATCHWORD_TEST_NOT_SET"):
        up(settings)
    assert not settings.service.keyring.exists()
    assert not settings.service.database.exists()


def test_deployment_without_secrets_makes_no_file_of_theirs(tmp_path: Path) -> None:
    """Neither a master key nor a ledger; canaries can be planted all the same."""
    text = FILE.format(how="store: file", edge="private: false")
    text = text.partition("secrets:")[0].replace(", secret: maps", "")
    (tmp_path / "watchword.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(tmp_path / "watchword.yaml")
    work = secret_work(settings, SeededEntropy(), None, file_documents(settings.service))
    assert (work.keeper, work.usage, work.names) == (None, None, ())
    assert work.canaries is not None
    assert up(settings) == {}
    made = {each.name for each in settings.service.state_dir.rglob("*")}
    assert not made & {"master.key", "secrets.json", "usage.sqlite", "canaries.json"}


def test_values_that_are_named_no_more_can_be_revoked(tmp_path: Path) -> None:
    """Also the last one: it lies in the file until somebody erases it."""
    settings = configured(tmp_path)
    up(settings, add)
    text = (tmp_path / "watchword.yaml").read_text(encoding="utf-8")
    text = text[: text.index("  keys:\n")].replace(", secret: maps", "")
    (tmp_path / "watchword.yaml").write_text(text, encoding="utf-8")

    async def revoke(service: Service) -> None:
        keeper = service.context.secrets.keeper
        assert keeper is not None
        assert list(keeper.known()) == ["maps"]
        assert await keeper.revoke("maps", None, service.context.clock.timestamp()) == (1,)

    assert up(load_settings(tmp_path / "watchword.yaml"), revoke) == {}
    kept = read_private(settings.service.secrets)
    assert kept is not None
    assert b'"sealed":null' in kept


def test_values_in_openbao(tmp_path: Path, bao: BaoServer) -> None:
    """Nothing of them is on this disk but what the gate adds; after a restart without the server it is still injected."""
    settings = configured(tmp_path, in_bao(bao, "store: openbao"))
    assert up(settings, add) == {"maps": InjectedValue(1, VALUE)}
    assert not settings.service.secrets.exists()
    assert not (settings.service.state_dir / "master.key").exists()
    bao.kill()
    try:
        with capture_logs() as logged:
            assert up(settings) == {"maps": InjectedValue(1, VALUE)}
    finally:
        bao.restart()
    assert "secrets aren't known" in {each["event"] for each in logged}
    assert VALUE.text not in str(logged)


def test_master_key_and_signing_keys_in_openbao(tmp_path: Path, bao: BaoServer) -> None:
    """The file's data keys go through transit, and the ring on the disk holds no private key."""
    further = ("master_key: {transit: watchword-master}", "signing: watchword")
    settings = configured(tmp_path, in_bao(bao, *further))
    assert up(settings, add) == up(settings) == {"maps": InjectedValue(1, VALUE)}
    kept, ring = read_private(settings.service.secrets), read_private(settings.service.keyring)
    assert kept is not None
    assert b"transit:watchword-master" in kept
    assert ring is not None
    assert b'"d"' not in ring


def test_threads_that_sign_end_with_the_service(tmp_path: Path, bao: BaoServer) -> None:
    """A process that stops and starts services, as tests and the lab do, must not gather threads."""
    settings = configured(tmp_path, in_bao(bao, "signing: watchword"))
    # Threads of what nobody holds any more end by themselves.
    held: list[Service] = []

    def signing() -> int:
        return sum(each.name.startswith("openbao-signing") for each in threading.enumerate())

    async def sign(service: Service) -> None:
        await service.context.keyring.aside(lambda: None)
        assert signing() > 0
        held.append(service)

    up(settings, sign)
    for each in threading.enumerate():
        if each.name.startswith("openbao-signing"):
            each.join(5)
    assert signing() == 0


def test_signing_keys_that_are_away_stop_the_start(tmp_path: Path, bao: BaoServer) -> None:
    """A service that can't sign has nothing to say to gates; it says what is wrong, within bounds."""
    settings = configured(tmp_path, in_bao(bao, "signing: watchword"))
    bao.kill()
    try:
        with pytest.raises(UnavailableError, match="OpenBao"):
            up(settings)
    finally:
        bao.restart()


def test_no_library_of_openbao_is_loaded_without_it(tmp_path: Path) -> None:
    """Who has secrets in a file needs neither the package nor the time that it takes."""
    settings = configured(tmp_path)
    assert openbao_of(settings) is None
    program = (
        "import sys; from pathlib import Path; from watchword.apps.settings.load import load_settings as l; "
        "from watchword.apps.compose.secrets import openbao_of, secret_work; "
        "from watchword.apps.compose.documents import file_documents as f; "
        "from watchword.adapters.system import SystemEntropy as E; s = l(Path('watchword.yaml')); "
        "secret_work(s, E(), openbao_of(s), f(s.service)); print('hvac' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_gate_is_told_the_rules_of_its_own_routes(tmp_path: Path) -> None:
    """Limits and edges go to the API that names them, and to no other."""
    file = tmp_path / "ca.pem"
    file.write_bytes(pem(certificate()))
    clinic, ledger = gate_policies(configured(tmp_path, edge="ca: ca.pem"))
    assert [(each.name, each.kind, each.requests) for each in clinic.limits] == [
        ("few", LimitKind.QUOTA, 20)
    ]
    assert clinic.edges["maps"].ca == file.read_text()
    assert clinic.edges["maps"].host == "maps.example.net"
    assert (ledger.limits, ledger.edges) == ((), {})


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no certificate",
        b"\xff\xfe",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"#" * (MAX_AUTHORITIES_BYTES + 1),
        "key",
    ],
)
def test_file_of_authorities_that_is_none_stops_the_start(
    tmp_path: Path, content: bytes | str | None
) -> None:
    """It is told before anything is made, with the place in the file; a private key never goes to gates."""
    if content == "key":
        block = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        content = pem(certificate()) + block
    if isinstance(content, bytes):
        (tmp_path / "ca.pem").write_bytes(content)
    settings = configured(tmp_path, edge="ca: ca.pem")
    with pytest.raises(EdgeAuthoritiesError, match=r"ca\.pem"):
        gate_policies(settings)
    with pytest.raises(ConfigurationError) as caught:
        require_key_files(settings)
    assert "secrets.keys.maps.edge.ca" in caught.value.render()
