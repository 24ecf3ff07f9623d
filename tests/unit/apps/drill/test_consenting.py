"""Try to make the drill attack somebody who didn't agree: not one byte may reach them."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.adapters.drill_wire.machines import (
    Machine,
    bystander,
    machine,
    neighbours,
    ok,
    resolving,
)

from watchword.adapters.drill_wire import (
    AddressError,
    AddressFault,
    HttpWire,
    read_drill_key,
)
from watchword.apps.drill.cli import consent_command, keygen_command
from watchword.apps.drill.preparation import Agreement, RunSigner, permitted
from watchword.drill.consent import (
    PATH,
    Consent,
    ConsentError,
    ConsentFault,
    read_consent,
    verify_run,
    written_consent,
)
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Call, Part
from watchword.encoding import strict_json
from watchword.tokens.jose import SigningKey, jwk_from_public_key

KEY, OTHER = (SigningKey.from_scalar(bytes(31) + bytes([number])) for number in (1, 2))
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SOON = NOW + timedelta(days=7)
JSON = "Content-Type: application/json"
HERE = resolving(api_example=["127.0.0.1"], id_example=["127.0.0.1"], evil_example=["127.0.0.2"])
GET = Call(Part.GATE, "GET", "/v1/records")


@dataclass
class Owner:
    """Be the target: serve a consent at its place, and records everywhere else."""

    target: Machine
    bystander: Machine
    consent: bytes = b""
    answer: bytes = field(default_factory=lambda: ok(b"record"))

    def __post_init__(self) -> None:
        """Agree, until a test says otherwise."""
        self.target.answer = self._answered
        self.agree()

    def _answered(self, head: bytes, _: socket.socket) -> bytes:
        return self.consent if f" {PATH} ".encode() in head else self.answer

    @property
    def origin(self) -> str:
        """Return the target's origin."""
        return f"http://api.example:{self.target.port}"

    def agree(self, **changes: Any) -> None:
        """Serve a consent that differs in this."""
        good = Consent(KEY.kid, self.origin, None, 10, SOON)
        self.serve(written_consent(replace(good, **changes)))

    def serve(self, document: bytes, *headers: str, status: str = "200 OK") -> None:
        """Serve this at the consent's place."""
        self.consent = ok(document, *(headers or (JSON,)), status=status)

    @property
    def attacked(self) -> bool:
        """Tell whether anything but the consent was asked for."""
        return any(f" {PATH} ".encode() not in head for head in self.target.heads)


@pytest.fixture
def owner() -> Iterator[Owner]:
    """Return a target that agrees, beside another host, at the same port, that nobody may speak to."""
    with neighbours() as (target, other):
        yield Owner(target, other)


def asked(owner: Owner, url: str | None = None, **options: Any) -> Agreement:
    """Return what the owner agreed to."""
    given: dict[str, Any] = {"key": KEY, "attacks": None, "now": NOW, "resolver": HERE, **options}
    return permitted({Part.GATE: url or owner.origin}, **given)


def refused(owner: Owner, url: str | None = None, **options: Any) -> ConsentFault | AddressFault:
    """Return why there is no drill, after seeing that nothing was attacked."""
    with pytest.raises((ConsentError, AddressError)) as caught:
        asked(owner, url, **options)
    assert not owner.attacked
    error = caught.value
    assert isinstance(error, ConsentError | AddressError)
    return error.fault


def drilled(owner: Owner, agreement: Agreement, *calls: Call) -> None:
    """Send requests as a run does."""
    signer = RunSigner(agreement, KEY, "run-0001", NOW.timestamp)
    wire = HttpWire(agreement.origins, rate=None, signed=signer)
    for call in calls:
        wire.send(call)
    wire.close()


def test_with_consent_there_is_a_drill(owner: Owner) -> None:
    """The counterpart of every trick: an owner who agreed is attacked, signed, at his pinned address."""
    agreement = asked(owner)
    assert not agreement.loopback
    assert (agreement.rate, agreement.attacks, agreement.expires) == (10, None, SOON)
    assert agreement.parts == {Part.GATE}
    drilled(owner, agreement, GET)
    fields = dict(line.split(b": ", 1) for line in owner.target.heads[-1].split(b"\r\n")[1:-2])
    jwk = jwk_from_public_key(KEY.public)
    run = verify_run(fields[b"Watchword-Drill"].decode(), jwk, NOW.timestamp(), origin=owner.origin)
    assert run.run == "run-0001"
    assert fields[b"Host"].decode() == owner.origin.removeprefix("http://")


# Tricks with the consent.


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_trick_a_consent_by_redirect(owner: Owner, status: str) -> None:
    """1. The target's open redirect leads to another host's consent."""
    where = f"Location: {owner.bystander.url}{PATH}"
    owner.serve(b"{}", where, JSON, status=f"{status} Elsewhere")
    assert refused(owner) is ConsentFault.UNSERVED


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/octet-stream"])
def test_trick_a_consent_among_the_pages_of_users(owner: Owner, kind: str) -> None:
    """2. Whoever may put a page on the host doesn't own it."""
    document = owner.consent.partition(b"\r\n\r\n")[2]
    owner.serve(document, f"Content-Type: {kind}")
    assert refused(owner) is ConsentFault.UNSERVED


def test_trick_an_expired_consent(owner: Owner) -> None:
    """3. What was agreed to last month, or for ever, isn't agreed to."""
    for expires in (NOW, NOW - timedelta(seconds=1), datetime(2001, 1, 1, tzinfo=UTC)):
        owner.agree(expires=expires)
        assert refused(owner) is ConsentFault.EXPIRED
    owner.agree(expires=NOW + timedelta(days=32))
    assert refused(owner) is ConsentFault.TOO_FAR


def test_trick_a_consent_for_another_key(owner: Owner) -> None:
    """4. An owner who agreed to his colleague's drill didn't agree to this one."""
    owner.agree(key=OTHER.kid)
    assert refused(owner) is ConsentFault.KEY
    owner.agree()
    assert refused(owner, key=OTHER) is ConsentFault.KEY


@pytest.mark.parametrize(
    "change",
    [
        lambda origin: origin.replace("api.", "id."),
        lambda origin: origin.replace("http", "https"),
        lambda origin: origin.rpartition(":")[0] + ":81",
        lambda origin: "https://api.example",
    ],
    ids=["host", "scheme", "port", "default-port"],
)
def test_trick_a_copied_consent(owner: Owner, change: Callable[[str], str]) -> None:
    """5. Another host's document, or that of another port or scheme, is about somebody else."""
    owner.agree(origin=change(owner.origin))
    assert refused(owner) is ConsentFault.ORIGIN


@pytest.mark.parametrize("trick", ["oversized", "duplicate", "nested", "unknown", "html", "empty"])
def test_trick_a_document_that_is_read_in_two_ways(owner: Owner, trick: str) -> None:
    """6. Too long, doubled keys, deep nesting, unknown members: refused as a whole."""
    good = owner.consent.partition(b"\r\n\r\n")[2].strip()
    document = {
        "oversized": good + b" " * 8192,
        "duplicate": good[:-1] + b',"origin":"http://evil.example"}',
        "nested": good[:-1] + b',"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        "unknown": good[:-1] + b',"targets":["http://evil.example"]}',
        "html": b"<!doctype html>",
        "empty": b"",
    }[trick]
    owner.serve(document)
    assert refused(owner) in {ConsentFault.DOCUMENT, ConsentFault.UNSERVED}


def test_trick_an_attack_that_is_not_listed(owner: Owner) -> None:
    """7. What wasn't agreed to isn't run, whether it was asked for by name or not."""
    listed = frozenset({"token-expired"})
    owner.agree(attacks=listed)
    assert refused(owner, attacks=["credential-stuffing"]) is ConsentFault.ATTACK
    assert asked(owner, attacks=["token-expired"]).attacks == listed
    assert asked(owner).attacks == listed


def test_trick_a_part_that_is_not_listed(owner: Owner) -> None:
    """8. Who agrees at his gate hasn't agreed for the API behind it."""
    urls = {Part.GATE: owner.origin, Part.UPSTREAM: owner.origin}
    for parts in ({Part.GATE}, {Part.GATE, Part.SERVICE}):
        owner.agree(parts=frozenset(parts))
        with pytest.raises(ConsentError) as caught:
            permitted(urls, key=KEY, attacks=None, now=NOW, resolver=HERE)
        assert caught.value.fault is ConsentFault.PART
    owner.agree(parts=frozenset(Part))
    seen = len(owner.target.heads)
    found = permitted(urls, key=KEY, attacks=None, now=NOW, resolver=HERE)
    assert found.parts == urls.keys()
    assert len(owner.target.heads) == seen + 1


def test_trick_one_part_elsewhere(owner: Owner) -> None:
    """9. A consent of the gate doesn't reach the service on another host, which never agreed."""
    with machine() as service:
        where = f"http://id.example:{service.port}"
        urls = {Part.GATE: owner.origin, Part.SERVICE: where}
        with pytest.raises(ConsentError) as caught:
            permitted(urls, key=KEY, attacks=None, now=NOW, resolver=HERE)
        assert caught.value.fault is ConsentFault.UNSERVED
        assert where + PATH in str(caught.value)
        assert not owner.attacked
        assert all(f" {PATH} ".encode() in head for head in service.heads)


def test_trick_no_consent_and_no_key(owner: Owner) -> None:
    """10. Without a key nothing is fetched; without a document nothing is attacked; both say what to do."""
    assert refused(owner, key=None) is ConsentFault.NO_KEY
    assert owner.target.connections == 0
    owner.serve(b"not found", JSON, status="404 Not Found")
    assert refused(owner) is ConsentFault.UNSERVED


# Tricks with the address.


def test_trick_a_name_that_changes(owner: Owner) -> None:
    """11. DNS answers another address the second time: nobody asks a second time."""
    asked_for = []

    def turning(name: str, port: int) -> Sequence[str]:
        asked_for.append(name)
        return ["127.0.0.1"] if len(asked_for) == 1 else ["127.0.0.2"]

    owner.agree(parts=frozenset(Part))
    urls = {Part.GATE: owner.origin, Part.SERVICE: owner.origin}
    agreement = permitted(urls, key=KEY, attacks=None, now=NOW, resolver=turning)
    drilled(owner, agreement, GET, replace(GET, part=Part.SERVICE), GET)
    assert asked_for == ["api.example"]
    assert owner.attacked


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example:{port}@127.0.0.2:{other}",
        "http://api.example@127.0.0.2:{other}",
        "http://127.0.0.1:80@127.0.0.2:{other}",
        "http://127.0.0.2:{other}\\@api.example:{port}",
        "http://127.0.0.2:{other}/@api.example:{port}",
        "http://127.0.0.2:{other}#@127.0.0.1:{port}",
        "http://127.0.0.2:{other}?@127.0.0.1:{port}",
    ],
)
def test_trick_a_user_in_the_url(owner: Owner, url: str) -> None:
    """12. `https://good@evil` goes to evil, and other ways to write two hosts."""
    text = url.format(port=owner.target.port, other=owner.bystander.port)
    assert refused(owner, text, key=None) is AddressFault.URL
    assert owner.target.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "0x7f.2",
        "0x7f000002",
        "2130706434",
        "017700000002",
        "127.2",
        "127.0.2",
        "0177.0.0.2",
        "127.0.0.0x2",
        "127.0.0.2.",
        "\uff11\uff12\uff17.0.0.2",
        "127\u30020\u30020\u30022",
    ],
    ids=ascii,
)
def test_trick_an_odd_address(owner: Owner, host: str) -> None:
    """13. Mapped, decimal, octal, hex, short and look-alike addresses are nobody's free loopback."""
    assert refused(owner, f"http://{host}:{owner.bystander.port}", key=None) is AddressFault.HOST


@pytest.mark.parametrize("address", ["127.0.0.2", "::1", "::ffff:127.0.0.2", "64:ff9b::7f00:2"])
def test_trick_a_name_that_leads_to_loopback(owner: Owner, address: str) -> None:
    """14. A name of somebody's that leads to this machine isn't free, or isn't spoken to at all."""
    url = f"http://evil.example:{owner.bystander.port}"
    found = refused(owner, url, key=None, resolver=resolving(evil_example=[address]))
    plain = address in {"127.0.0.2", "::1"}
    assert found is (ConsentFault.NO_KEY if plain else AddressFault.UNNAMED)


@pytest.mark.parametrize(
    ("addresses", "fault"),
    [
        (["8.8.8.8", "10.0.0.5"], AddressFault.UNNAMED),
        (["10.0.0.5", "8.8.8.8"], AddressFault.UNNAMED),
        (["8.8.8.8", "127.0.0.2"], AddressFault.MIXED),
        (["127.0.0.2", "169.254.169.254"], AddressFault.MIXED),
        (["169.254.169.254"], AddressFault.UNNAMED),
        (["8.8.8.8", "0.0.0.0"], AddressFault.NOWHERE),
        (["8.8.8.8"], AddressFault.PLAIN),
    ],
)
def test_trick_a_name_of_two_minds(owner: Owner, addresses: list[str], fault: AddressFault) -> None:
    """15. Private beside public, loopback beside either, the cloud's metadata: named by the operator or refused."""
    found = refused(owner, "http://evil.example", resolver=resolving(evil_example=addresses))
    assert found is fault


def test_trick_localhost_elsewhere(owner: Owner) -> None:
    """16. A resolver that sends `localhost` out, and names that look like it."""
    for address in ("8.8.8.8", "10.0.0.5"):
        url = f"http://localhost:{owner.bystander.port}"
        assert refused(owner, url, resolver=resolving(localhost=[address])) is AddressFault.MIXED
    resolver = resolving(evil_localhost=["127.0.0.2"], localhost_evil=["127.0.0.2"])
    for name in ("evil.localhost", "localhost.evil"):
        url = f"http://{name}:{owner.bystander.port}"
        assert refused(owner, url, key=None, resolver=resolver) is ConsentFault.NO_KEY


# Tricks of the environment, of attacks, and of answers.


@pytest.mark.parametrize("without", ["", "*", "api.example", "127.0.0.1,localhost"])
def test_trick_proxies_of_the_environment(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    """17. Neither the consent nor an attack goes through a proxy, whatever NO_PROXY says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, owner.bystander.url)
        monkeypatch.setenv(name.lower(), owner.bystander.url)
    monkeypatch.setenv("NO_PROXY", without)
    monkeypatch.setenv("no_proxy", without)
    drilled(owner, asked(owner), GET)
    assert owner.attacked


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_trick_an_answer_by_redirect(owner: Owner, status: str) -> None:
    """18. An answer to an attack points elsewhere, moves the service, sets cookies: the next goes where this went."""
    where = f"{owner.bystander.host}:{owner.bystander.port}"
    owner.answer = ok(
        b"",
        f"Location: http://{where}/v1",
        f'Alt-Svc: http/1.1="{where}"; ma=86400',
        f"Set-Cookie: where={where}; Domain=evil.example",
        f"Refresh: 0; url=http://{where}/",
        status=f"{status} Elsewhere",
    )
    drilled(owner, asked(owner), GET, GET)
    assert len(owner.target.heads) == 3
    assert b"ookie" not in owner.target.heads[-1]


def test_trick_a_request_that_names_another_host(owner: Owner) -> None:
    """19. An attack's Host, its absolute target or its CONNECT go to the owner who agreed, signed for him."""
    where = f"{owner.bystander.host}:{owner.bystander.port}"
    agreement = asked(owner)
    drilled(
        owner,
        agreement,
        GET.with_header("Host", where),
        replace(GET, target=f"http://{where}/v1"),
        replace(GET, target=f"//{where}/v1"),
        replace(GET, method="CONNECT", target=where),
        GET.with_header("Watchword-Drill", "forged"),
    )
    assert len(owner.target.heads) == 6
    jwk = jwk_from_public_key(KEY.public)
    for head in owner.target.heads[1:]:
        value = head.split(b"\r\nWatchword-Drill: ")[1].split(b"\r\n")[0].decode()
        verify_run(value, jwk, NOW.timestamp(), origin=owner.origin)


def test_trick_a_run_that_outlasts_its_consent(owner: Owner) -> None:
    """20. At the consent's end nothing more is sent, in the middle of a run."""
    times = [NOW.timestamp()]
    agreement = asked(owner)
    signer = RunSigner(agreement, KEY, "run-0001", lambda: times[-1])
    wire = HttpWire(agreement.origins, rate=None, signed=signer)
    wire.send(GET)
    times.append(SOON.timestamp() - 1)
    wire.send(GET)
    seen = len(owner.target.heads)
    for after in (0, 1):
        times.append(SOON.timestamp() + after)
        with pytest.raises(ConsentError) as caught:
            wire.send(GET)
        assert caught.value.fault is ConsentFault.EXPIRED
    assert len(owner.target.heads) == seen
    wire.close()


# What is agreed to.


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"])
def test_this_machine_is_free(url: str) -> None:
    """Written as loopback, it needs no key, no consent and no bound."""
    resolver = resolving(localhost=["127.0.0.1"])
    found = permitted({Part.GATE: url}, key=None, attacks=["any"], now=NOW, resolver=resolver)
    assert (found.loopback, found.rate, found.attacks, found.expires) == (True, None, None, None)
    assert (
        permitted({Part.GATE: url}, key=None, attacks=None, now=NOW, rate=7, resolver=resolver).rate
        == 7
    )


def test_the_least_of_all_rates_and_the_attacks_of_all(owner: Owner) -> None:
    """Two owners: the slower rate, the attacks that both listed, the earlier end."""
    with bystander() as other, machine() as service:
        second = Owner(service, other)
        origin = f"http://id.example:{service.port}"
        owner.agree(rate=20, attacks=frozenset({"a", "b"}))
        early = NOW + timedelta(hours=1)

        def agreed(**options: Any) -> Agreement:
            urls = {Part.GATE: owner.origin, Part.SERVICE: origin}
            given: dict[str, Any] = {"attacks": None, **options}
            return permitted(urls, key=KEY, now=NOW, resolver=HERE, **given)

        parts = frozenset({Part.SERVICE})
        listed = frozenset({"b", "c"})
        second.agree(origin=origin, rate=5, attacks=listed, parts=parts, expires=early)
        found = agreed()
        assert (found.rate, found.attacks, found.expires) == (5, frozenset({"b"}), early)
        assert agreed(rate=0.5).rate == 0.5
        assert agreed(rate=50).rate == 5
        for wanted in (["a"], ["c"], ["b", "c"]):
            with pytest.raises(ConsentError) as caught:
                agreed(attacks=wanted)
            assert caught.value.fault is ConsentFault.ATTACK
        second.agree(origin=origin, attacks=frozenset({"c"}), parts=parts)
        with pytest.raises(ConsentError) as caught:
            agreed()
        assert caught.value.fault is ConsentFault.ATTACK
        assert not owner.attacked
        assert not second.attacked


def test_a_named_address_still_needs_consent(owner: Owner) -> None:
    """Who names an address says that it is meant, not that its owner agrees."""
    owner.agree(key=OTHER.kid)
    assert refused(owner, named=["127.0.0.1"]) is ConsentFault.KEY


def test_a_run_is_signed_again() -> None:
    """A long run's signatures are never older than half their life, and per origin."""
    agreement = permitted({Part.GATE: "http://127.0.0.1:1"}, key=None, attacks=None, now=NOW)
    at = NOW.timestamp()
    times = iter([at, at + 299, at + 300, at + 290, at + 301, at])
    signer = RunSigner(agreement, KEY, "run-0001", lambda: next(times))
    values = [signer(GET)[0][1] for _ in range(5)]
    jwk = jwk_from_public_key(KEY.public)
    iats = [verify_run(value, jwk, at + 300).iat - int(at) for value in values]
    assert iats == [0, 0, 300, 290, 290]
    with pytest.raises(ConsentError) as caught:
        signer(replace(GET, part=Part.UPSTREAM))
    assert caught.value.fault is ConsentFault.PART


# The commands.


def run(command: Any, *arguments: str) -> Any:
    """Return the result of a command."""
    return CliRunner().invoke(command, list(arguments), obj=Path("watchword.yaml"))


def test_from_key_to_consent_by_command(owner: Owner, tmp_path: Path) -> None:
    """What the two commands write is a key and a document with which there is a drill."""
    pem = tmp_path / "drill.pem"
    made = run(keygen_command, "-o", str(pem), "--json")
    assert made.exit_code == 0, made.output
    key = read_drill_key(pem)
    assert strict_json.loads(made.stdout.encode(), 9999)["kid"] == key.kid
    arguments = [
        "--key",
        str(tmp_path / "drill.jwk"),
        "--origin",
        owner.origin.upper().replace("HTTP", "http"),
    ]
    attack = next(iter(ATTACKS))
    options = ["--attacks", attack, "--rate", "3", "--expires", "2d", "--part", "gate"]
    printed = run(consent_command, *arguments, *options)
    assert printed.exit_code == 0, printed.output
    assert owner.origin + PATH in printed.stderr
    owner.serve(printed.stdout.encode())
    consent = read_consent(printed.stdout.encode())
    found = asked(owner, key=key, now=consent.expires - timedelta(days=2))
    assert (found.rate, found.attacks) == (3, frozenset({attack}))
    as_json = run(consent_command, *arguments, "--json")
    assert read_consent(as_json.stdout.encode()).attacks is None


@pytest.mark.parametrize(
    "options",
    [
        ["--origin", "https://api.example/path"],
        ["--origin", "https://a@b"],
        ["--attacks", "no-such-attack"],
        ["--attacks", ","],
        ["--rate", "51"],
        ["--rate", "0"],
        ["--expires", "32d"],
        ["--expires", "forever"],
        ["--part", "database"],
    ],
    ids=" ".join,
)
def test_wrong_usage_writes_no_consent(tmp_path: Path, options: list[str]) -> None:
    """What nobody can agree to is told as wrong usage, and nothing is printed that could be served."""
    run(keygen_command, "-o", str(tmp_path / "drill.pem"))
    given = ["--key", str(tmp_path / "drill.jwk"), "--origin", "https://api.example", *options]
    result = run(consent_command, *given)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    """A second call leaves both files as they are; half a pair isn't left behind."""
    pem, jwk = tmp_path / "drill.pem", tmp_path / "drill.jwk"
    run(keygen_command, "-o", str(pem))
    before = pem.read_bytes(), jwk.read_bytes()
    assert run(keygen_command, "-o", str(pem)).exit_code != 0
    jwk.unlink()
    assert run(keygen_command, "-o", str(pem)).exit_code != 0
    assert (pem.read_bytes(), jwk.exists()) == (before[0], False)
    assert run(keygen_command, "-o", str(pem), "--public", str(pem)).exit_code == 2
    lost = tmp_path / "no" / "drill.jwk"
    assert run(keygen_command, "-o", str(tmp_path / "new.pem"), "--public", str(lost)).exit_code
    assert not (tmp_path / "new.pem").exists()
