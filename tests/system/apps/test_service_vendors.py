"""What runs beside the requests: it acts, it is measured, and it never holds anything up."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.service_process import configuration, running, upstream, watchword
from tests.unit.enrolment.simulators import CLINIC, MovableClock, SeededEntropy, SimulatedPhone

from watchword.adapters.anchors import AnchorSet
from watchword.adapters.keyring.private_file import private_directory
from watchword.adapters.lab_store import load_or_create
from watchword.adapters.revocation import LiveStatusList, StatusList
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.cli.check import fetched
from watchword.apps.compose.vendors import VendorWork, fetcher_of, trust_of
from watchword.apps.service.background import PeriodicTask, Scheduler, refresh_receipts
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.attestation.interface import Trust
from watchword.enrolment.evidence import ReceiptRefresh, Rejudgement
from watchword.lab.apple import AppleServer
from watchword.ports import FetchRequest, FetchResponse, InstanceStore, StoredReceipt
from watchword.reasons import Reason, UnavailableError

REVOKED = {"status": "REVOKED", "reason": "KEY_COMPROMISE"}


@dataclass
class Google:
    """Be the server of the status list behind the Fetcher port."""

    entries: dict[str, Any] = field(default_factory=dict)
    down: bool = False
    silent: bool = False
    closed: bool = False

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See the port."""
        if self.silent:
            await asyncio.Event().wait()
        if self.down:
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, "down")
        return FetchResponse(200, {}, json.dumps({"entries": self.entries}).encode())

    async def aclose(self) -> None:
        """Be closed."""
        self.closed = True


class NoReceipts:
    """Be an Apple that has nothing newer."""

    async def refresh(self, app: str, receipt: bytes) -> bytes | None:
        """See the port."""
        return None


@dataclass
class Vendors:
    """Make what is asked of vendors."""

    google: Google
    saved: Path

    def __call__(self, store: SqliteStore, clock: MovableClock) -> VendorWork:
        """Return the work over a store."""
        status_list = LiveStatusList(
            self.google, "https://google.example/status", max_age=86400, saved=self.saved
        )
        return VendorWork(
            status_list=status_list,
            rejudgement=Rejudgement(store, status_list),
            receipts=ReceiptRefresh(store, NoReceipts(), Trust(AnchorSet([]))),
            receipt_apps=("clinic-ios",),
            first_list_seconds=0.2,
            fetcher=self.google,
        )


@pytest.fixture
def google() -> Google:
    """Return a server with nobody on its list."""
    return Google()


@pytest.fixture
def bench(tmp_path: Path, google: Google) -> Iterator[ServiceBench]:
    """Return a service that asks it."""
    made = service_bench(tmp_path, vendors=Vendors(google, tmp_path / "status-list.json"))
    yield made
    made.store.close()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for is on a disk.
            await asyncio.sleep(0.05)


def test_revocation_reaches_the_gates_by_itself(bench: ServiceBench, google: Google) -> None:
    """The list changes; the instance is revoked, its renewals stop, gates refuse its tokens."""

    async def scenario(call: Caller) -> None:
        await bench.service.start()
        phone, other = SimulatedPhone(), SimulatedPhone()
        enrolled = await call.enrol(phone, serials=["a1", "b2"])
        await call.enrol(other, serials=["a1", "c3"])
        assert (await call.renew(phone, enrolled["instance"])).status_code == 200
        google.entries = {"0B2": REVOKED}
        bench.clock.advance(300)

        async def is_revoked() -> bool:
            return len(bench.published().revoked) == 1

        await until(is_revoked)
        refused = await call.renew(phone, enrolled["instance"])
        assert refused.status_code == 403
        audit = (await call.operator.get("/v1/audit?limit=1")).json()["entries"]
        assert (audit[0]["actor"], audit[0]["subject"]) == ("vendor", enrolled["instance"])
        listed = (await call.operator.get("/v1/instances")).json()["instances"]
        because = {each["instance"]: each["revoked_because"] for each in listed}
        assert sorted(because.values(), key=str) == [None, "certificate revoked by vendor"]
        (subject,) = bench.published().revoked
        shown = next(each for each in listed if each["instance"] == enrolled["instance"])
        assert shown["subjects"][CLINIC] == subject
        await bench.service.stop()
        assert google.closed

    bench.run(scenario)


def test_first_list_is_there_before_anybody_enrols(bench: ServiceBench, google: Google) -> None:
    """A start waits for the list, so that its first minute is no open door."""
    google.entries = {"b2": REVOKED}

    async def scenario(_call: Caller) -> bool:
        await bench.service.start()
        status_list = bench.service.context.vendors.status_list
        assert status_list is not None
        found = status_list.find("b2") is not None
        await bench.service.stop()
        return found

    assert bench.run(scenario)


@pytest.mark.parametrize("trouble", ["down", "silent"])
def test_vendor_that_is_down_stops_no_start(
    bench: ServiceBench, google: Google, trouble: str
) -> None:
    """The service starts, is well, enrols; it stops in the middle of a fetch, too."""
    setattr(google, trouble, True)

    async def scenario(call: Caller) -> int:
        await bench.service.start()
        await call.enrol(SimulatedPhone())
        health = await call.public.get("/healthz")
        async with asyncio.timeout(3):
            await bench.service.stop()
        return health.status_code

    assert bench.run(scenario) == 200


def test_metrics_tell_how_old_the_list_is(bench: ServiceBench, google: Google) -> None:
    """Age, entries, attempts, what they did, and the receipts."""
    google.entries = {"a1": REVOKED, "b2": REVOKED, "c3": {"status": "SUSPENDED"}}

    async def scenario(call: Caller) -> tuple[str, str]:
        await bench.service.start()
        phone = SimulatedPhone()
        late = await call.attest(phone, await call.challenge(phone), {"serials": ["a1"]})
        assert late.status_code == 403
        bench.clock.advance(200)

        async def is_swept() -> bool:
            rejudgement = bench.service.context.vendors.rejudgement
            assert rejudgement is not None
            return rejudgement.revoked == 1

        await until(is_swept)
        known = (await call.operator.get("/metrics")).text
        google.down = True
        bench.clock.advance(86400)
        status_list = bench.service.context.vendors.status_list
        assert status_list is not None
        await status_list.refresh(bench.clock.now())
        old = (await call.operator.get("/metrics")).text
        await bench.service.stop()
        return known, old

    known, old = bench.run(scenario)
    assert "watchword_revocation_list_age_seconds 200.0" in known
    assert "watchword_revocation_list_known 1.0" in known
    assert 'watchword_revocation_list_entries{status="REVOKED"} 2.0' in known
    assert 'watchword_revocation_list_entries{status="SUSPENDED"} 1.0' in known
    assert 'watchword_revocation_fetches_total{outcome="taken"} 1.0' in known
    assert 'watchword_revocation_last_fetch{outcome="taken"} 1.0' in known
    assert "watchword_instances_revoked_by_vendor_total 1.0" in known
    assert 'watchword_receipts_due{app="clinic-ios"} 0.0' in known
    assert "watchword_revocation_list_age_seconds 86600.0" in old
    assert "watchword_revocation_list_known 0.0" in old
    assert 'watchword_revocation_last_fetch{outcome="failed"} 1.0' in old


def test_bad_round_ends_no_later_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a task raises is told once, without its text where it isn't ours; others go on."""
    rounds = {"bad": 0, "good": 0, "slow": 0}

    async def bad() -> None:
        rounds["bad"] += 1
        if rounds["bad"] < 5:
            raise ZeroDivisionError("secret-in-the-text")
        if rounds["bad"] < 9:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "full")

    async def good() -> None:
        rounds["good"] += 1

    async def slow() -> None:
        rounds["slow"] += 1
        await asyncio.Event().wait()

    async def scenario() -> None:
        scheduler = Scheduler(
            (
                PeriodicTask("bad", 0.001, bad),
                PeriodicTask("good", 0.001, good),
                PeriodicTask("slow", 0.001, slow),
            )
        )
        scheduler.start()

        async def enough() -> bool:
            return rounds["bad"] > 20 and rounds["good"] > 20

        await until(enough)
        await scheduler.stop()
        await scheduler.stop()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(scenario())
    assert [(line["event"], line["detail"]) for line in lines] == [
        ("bad failed", "ZeroDivisionError"),
        ("bad failed", "store.unavailable: full"),
        ("bad works again", ""),
    ]
    assert rounds["slow"] == 1
    assert "secret" not in capsys.readouterr().out


def test_why_receipts_fail_is_logged_when_it_changes() -> None:
    """A key that Apple doesn't take is told once; no round of an app ends another's."""

    class Apple:
        why = "it doesn't take the key"

        async def refresh(self, app: str, receipt: bytes) -> bytes | None:
            """See the port."""
            if self.why:
                raise UnavailableError(Reason.VENDOR_UNAVAILABLE, self.why, 1)
            return None

    @dataclass
    class Store:
        asked: int = 0

        async def due_receipts(
            self, app: str, now: datetime, limit: int
        ) -> Sequence[StoredReceipt]:
            """See the port."""
            self.asked += 1
            return [StoredReceipt("one", app, b"receipt", now)]

        async def put_receipt(self, *kept: object) -> None:
            """See the port."""

    async def scenario() -> None:
        apple, store, clock = Apple(), Store(), MovableClock()
        refresh = ReceiptRefresh(cast("InstanceStore", store), apple, Trust(AnchorSet([])))

        async def work() -> None:
            clock.advance(3600)
            await refresh_receipts(refresh, "clinic-ios", clock)

        scheduler = Scheduler((PeriodicTask("receipts of clinic-ios", 0.001, work),))
        scheduler.start()

        async def more(count: int) -> None:
            until_then = store.asked + count

            async def enough() -> bool:
                return store.asked >= until_then

            await until(enough)

        await more(10)
        apple.why = ""
        await more(10)
        await scheduler.stop()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(scenario())
    assert [(line["event"], line["detail"]) for line in lines] == [
        ("receipts of clinic-ios failed", "vendor.unavailable: it doesn't take the key"),
        ("receipts of clinic-ios works again", ""),
    ]


def deployed(directory: Path, **replace: str) -> Path:
    """Return a file of the lab with some words replaced."""
    text = TEMPLATE
    for old, new in replace.items():
        assert old in text
        text = text.replace(old, new)
    file = directory / "watchword.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_who_is_asked_follows_from_the_file(tmp_path: Path) -> None:
    """Fetched where it says so, the lab's in a lab, else snapshots, else nothing."""
    settings = load_settings(deployed(tmp_path))
    assert fetcher_of(settings) is None
    assert list(fetched(settings)) == ["status list of the lab"]
    found = trust_of(settings, SeededEntropy()).revocation
    assert isinstance(found, LiveStatusList)
    asyncio.run(found.refresh(MovableClock().now()))
    assert found.revoked()
    assert settings.service.status_list.parent == settings.service.state_dir
    assert not settings.service.status_list.exists()


def test_file_can_ask_for_another_server(tmp_path: Path) -> None:
    """A lab can be told to fetch, from loopback; snapshots are merged."""
    (tmp_path / "snapshot.json").write_text(json.dumps({"entries": {"a1": REVOKED}}))
    trust = (
        "version: 1\ntrust:\n  anchors: [lab]\n  revocation_lists: [snapshot.json]\n"
        "  revocation: {fetch: true, url: 'http://127.0.0.1:1/status', max_age: 1h}\n"
    )
    settings = load_settings(deployed(tmp_path, **{"version: 1\n": trust}))
    fetcher = fetcher_of(settings)
    assert fetcher is not None
    found = trust_of(settings, SeededEntropy(), fetcher).revocation
    assert isinstance(found, LiveStatusList)
    assert found.revoked() == ["a1"]
    assert list(fetched(settings)) == [
        "status list from http://127.0.0.1:1/status, known for 1h after its last fetch"
    ]
    without = trust_of(settings, SeededEntropy()).revocation
    assert isinstance(without, LiveStatusList | StatusList)
    done = watchword(settings.path, "check")
    assert "status list from http://127.0.0.1:1/status" in done.stdout


def test_revocation_in_the_lab_acts_on_a_running_service(tmp_path: Path) -> None:
    """From the phone that is served to the phone that is refused, by one command."""
    with upstream() as port, running(configuration(tmp_path, port)) as (where, _process):
        file = tmp_path / "watchword.yaml"
        url = f"http://{where['apis']['clinic']}/"
        assert watchword(file, "lab", "request", "genuine-android", url).returncode == 0
        assert watchword(file, "lab", "revoke", "genuine-android").returncode == 0

        def gone() -> bool:
            transport = httpx.HTTPTransport(uds=str(where["operator"]))
            with httpx.Client(transport=transport, base_url="http://operator") as operator:
                (instance,) = operator.get("/v1/instances").json()["instances"]
                return bool(instance["revoked_because"] == "certificate revoked by vendor")

        async def is_gone() -> bool:
            return await asyncio.to_thread(gone)

        asyncio.run(until(is_gone))

        async def is_refused() -> bool:
            # The phone keeps its token; gates look at the published state every half second.
            command = (file, "lab", "request", "genuine-android", url)
            return (await asyncio.to_thread(watchword, *command)).returncode == 1

        asyncio.run(until(is_refused))
        served = watchword(file, "lab", "request", "genuine-iphone", url)
        assert served.returncode == 0


@contextmanager
def simulated_apple(apple: AppleServer) -> Iterator[str]:
    """Serve the lab's Apple on loopback; give its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer as Apple does."""
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = FetchRequest("POST", f"http://127.0.0.1{self.path}", headers, body)
            answer = apple.answer(request, SystemClock().now())
            self.send_response(answer.status)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_receipt_of_an_enrolled_iphone_is_refreshed(tmp_path: Path) -> None:
    """From the phone's attestation over Apple's server to the risk metric in the audit trail."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "AuthKey.p8").write_bytes(pem)
    (tmp_path / "AuthKey.p8").chmod(0o600)
    state = tmp_path / ".watchword"
    private_directory(state)
    authorities = load_or_create(state, SystemEntropy())
    apple = AppleServer(authorities.receipts, {("ABCDE12345", "KEYID67890"): key.public_key()})
    with simulated_apple(apple) as origin, upstream() as port:
        receipts = (
            "bundle_id: com.example.clinic\n    receipts: "
            f"{{key_id: KEYID67890, key: AuthKey.p8, server: '{origin}'}}"
        )
        file = configuration(tmp_path, port, **{"bundle_id: com.example.clinic": receipts})
        with running(file) as (where, _process):
            url = f"http://{where['apis']['clinic']}/"
            served = watchword(file, "lab", "request", "genuine-iphone", url)
            assert served.returncode == 0, served.stderr

            def entries() -> list[dict[str, Any]]:
                transport = httpx.HTTPTransport(uds=str(where["operator"]))
                with httpx.Client(transport=transport, base_url="http://operator") as operator:
                    found: list[dict[str, Any]] = operator.get("/v1/audit").json()["entries"]
                    return [each for each in found if each["action"] == "instance.risk_metric"]

            async def is_told() -> bool:
                return bool(await asyncio.to_thread(entries))

            asyncio.run(until(is_told, 15))
            (entry,) = entries()
            assert entry["detail"] == {"app": "clinic-ios", "before": None, "now": 1}
            metrics = watchword(file, "metrics", "--prometheus").stdout
            assert 'watchword_receipts_total{outcome="refreshed"} 1.0' in metrics
            shown = watchword(file, "check").stdout
            assert f"receipts of clinic-ios from {origin}, signed by key KEYID67890" in shown
