"""Change what a running HAProxy works by, and see that each request of every connection meets it."""

import os
import re
import signal
import socket
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.engines.haproxy.rig import BUNDLE, ROWS, Rig, haproxy_before_api, take_proofs
from tests.unit.adapters.loopback import end_listening
from tests.unit.engines.envoy.rig import (
    OTHER_KEY,
    PATIENCE,
    SECRET,
    TOKEN_KEY,
    claims,
    read_answer,
    request,
    route,
    token,
    until,
)

from watchword.adapters.system import SystemClock
from watchword.apps.engines.follower import EngineRejectedError
from watchword.apps.engines.haproxy import HaproxyError, RunningHaproxy
from watchword.engines.haproxy import text as names
from watchword.engines.haproxy.generation import generate
from watchword.engines.interface import Endpoint, EngineFile, EngineFileKind, EngineOptions
from watchword.gate.cuts import ALPHABET, Cut
from watchword.gate.revocations import Digests, digest_of
from watchword.reasons import WatchwordError
from watchword.tokens.interface import LEEWAY_SECONDS
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Level


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one HAProxy for all tests of this module that leave it as it was."""
    with haproxy_before_api(tmp_path_factory.mktemp("running")) as rig:
        yield rig


@pytest.fixture
def rig(shared: Rig) -> Iterator[Rig]:
    """Return it with the first bundle's content."""
    yield shared
    shared.push(
        policy=BUNDLE.policy, keys=BUNDLE.keys, secrets=BUNDLE.secrets, revoked=BUNDLE.revoked
    )


def workers(rig: Rig) -> str:
    """Return the process id of the worker."""
    said = rig.master.ask("show proc").partition("# workers")[2]
    return said.split()[0]


def ask(connection: socket.socket, sent: bytes) -> int:
    """Return the status of the answer to a request of a held connection."""
    connection.sendall(sent)
    return read_answer(connection).status


def test_revoked_instance_is_refused_on_a_held_connection_without_a_reload(rig: Rig) -> None:
    """The token was verified a moment ago, and the process stays the same."""
    sent, before = request(token=token()), workers(rig)
    with rig.connect() as held:
        assert ask(held, sent) == 200
        rig.push(revoked=frozenset({claims().subject}))
        assert ask(held, sent) == 401
        rig.push(revoked=frozenset())
        assert ask(held, sent) == 200
    assert workers(rig) == before


def test_removed_key_is_refused_though_its_token_was_verified(rig: Rig) -> None:
    """What is remembered is filed under a generation, which is another one now."""
    sent, before = request(token=token(OTHER_KEY)), workers(rig)
    with rig.connect() as held:
        assert ask(held, sent) == 200
        rig.push(keys=(TOKEN_KEY.published(),))
        answer_status = ask(held, sent)
    assert answer_status == 401
    assert rig.reason(rig.raw(sent)) == "token.key_unknown"
    assert workers(rig) == before


def test_key_that_retires_is_refused_by_its_time(rig: Rig) -> None:
    """A retired key's tokens end with it, whoever follows or doesn't."""
    ended = replace(OTHER_KEY.published(), verify_until=1.0)
    rig.push(keys=(TOKEN_KEY.published(), replace(ended, verify_until=2.0**33)))
    assert rig.send(token=token(OTHER_KEY)).status == 200
    path = rig.options.path(names.KEYS)
    segment = token(OTHER_KEY).split(b".")[0].decode()
    rig.master.notify(
        [f"set map {path} {segment} {OTHER_KEY.kid}:1", f"clear table {names.VERDICTS}"]
    )
    assert rig.reason(rig.send(token=token(OTHER_KEY))) == "token.key_retired"


def test_withdrawn_secret_ends_its_epoch(rig: Rig) -> None:
    """A proof under it was good, and isn't any more; no process is replaced."""
    before = workers(rig)
    assert rig.pay().status == 200
    rig.push(secrets=(GateSecret(7, bytes(32)),))
    assert rig.reason(rig.pay()) == "proof.epoch"
    rig.push(secrets=(SECRET,))
    assert rig.pay().status == 200
    assert workers(rig) == before


def test_many_revoked_instances_come_and_go(rig: Rig) -> None:
    """More than one command holds, and more than are taken out one by one."""
    crowd = frozenset(f"subject-{number:06d}" for number in range(3000))
    rig.push(revoked=crowd)
    assert rig.send(token=token(subject="subject-002999")).status == 401
    assert rig.send(token=token(subject="subject-003000")).status == 200
    rig.push(revoked=frozenset({"subject-000001"}))
    assert rig.send(token=token(subject="subject-002999")).status == 200
    assert rig.send(token=token(subject="subject-000001")).status == 401


def test_subjects_end_no_command(rig: Rig) -> None:
    """A semicolon begins another command of HAProxy's, such as one that takes everybody out of the list."""
    odd = "a;clear map " + rig.options.path(names.REVOKED).replace(" ", "")
    subjects = {odd.replace(" ", "~"), "b;c", "d'e", "%f,(g)", "$h", "<<"}
    rig.push(revoked=frozenset({*subjects, claims().subject}))
    for subject in subjects:
        assert rig.send(token=token(subject=subject)).status == 401, subject
    for gone in ({"b;c"}, {"<<"}, {"d'e", "$h"}):
        subjects -= gone
        rig.push(revoked=frozenset({*subjects, claims().subject}))
        assert [rig.send(token=token(subject=each)).status for each in gone] == [200] * len(gone)
        assert rig.send(token=token()).status == 401
    assert rig.send(token=token(subject="%f,(g)")).status == 401


def listing(key: bytes, *subjects: str, spread: int = 9000) -> Digests:
    """Return digests of subjects beside many others, which chance spread."""
    others = {digest_of(key, f"other-{number}") for number in range(spread)}
    return Digests(key, array("Q", sorted({*others, *(digest_of(key, each) for each in subjects)})))


def statuses(rig: Rig, *subjects: str) -> list[int]:
    """Return how requests of instances are answered."""
    return [rig.send(token=token(subject=each)).status for each in subjects]


def test_each_of_many_digests_is_found_and_nobody_else(rig: Rig) -> None:
    """Wherever in its line it stands; what is added later too, and what wanders into the lines."""
    digests = listing(b"a" * 12, "first")
    try:
        rig.push(digests=digests)
        listed = [f"other-{number}" for number in range(0, 9000, 150)]
        assert statuses(rig, "first", *listed) == [401] * (len(listed) + 1)
        assert statuses(rig, *(f"another-{number}" for number in range(60))) == [200] * 60
        before = workers(rig)
        assert statuses(rig, "second") == [200]
        digests.add([digest_of(digests.key, "second")])
        rig.push()
        assert statuses(rig, "first", "second", "third") == [401, 401, 200]
        digests.add([digest_of(digests.key, f"later-{number}") for number in range(5000)])
        rig.push()
        assert statuses(rig, "first", "second", "third") == [401, 401, 200]
        assert statuses(rig, "later-0", "later-4999", "later-5000") == [401, 401, 200]
        assert workers(rig) == before
    finally:
        rig.push(digests=None)


def test_another_key_of_digests_lets_nobody_in_meanwhile(rig: Rig) -> None:
    """A snapshot has a key of its own: under load, its lists replace the others and no answer is wrong."""
    rig.push(digests=listing(b"a" * 12, "gone"))
    wrong, over = list[tuple[str, int]](), threading.Event()
    sent = {each: request(token=token(subject=each)) for each in ("gone", "genuine")}

    def ask_on() -> None:
        with rig.connect() as held:
            while not over.is_set():
                got = {each: ask(held, sent[each]) for each in sent}
                wrong.extend(got.items() - {("gone", 401), ("genuine", 200)})

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for key in (b"b" * 12, b"c" * 12):
            rig.push(digests=listing(key, "gone"))
        rig.push(digests=listing(b"d" * 12, "gone", spread=0))
        rig.push(digests=listing(b"e" * 12, "gone"))
    finally:
        over.set()
        asking.join()
        rig.push(digests=None)
    assert not wrong
    # Nothing is left of the keys before.
    assert rig.runtime(f"show map {rig.options.path(names.REVOKED)}").split() == []


def test_cut_token_is_one_that_ended_until_another_is_had(rig: Rig) -> None:
    """Whether it was verified before or not, and whatever the route's proof; others aren't met."""
    mine, now = token(), int(SystemClock().timestamp())
    assert rig.send(token=mine).status == rig.pay().status == 200
    before = workers(rig)
    level, app = claims().level, claims().app_id
    part = ALPHABET.index(claims().subject[0])
    covering = (
        Cut(None, None, now + 1),
        Cut(app, level, now + 1, part + 1),
        Cut(app, None, now + 1),
    )
    passing = (
        Cut("another.app", None, now + 1),
        Cut(None, Level.SOFTWARE, now + 1),
        Cut(None, None, claims(issued_at=now - 5).issued_at),
        *([Cut(None, None, now + 1, part)] if part else []),
    )
    try:
        for cut in covering:
            rig.push(cuts=(cut,))
            # Each connection may meet another thread, of which only some have read this token.
            assert {rig.reason(rig.send(token=mine)) for _ in range(8)} == {"token.expired"}
            assert rig.reason(rig.send(token=token(lives=299))) == "token.expired"
            assert rig.reason(rig.pay()) == "token.expired"
            assert rig.send(token=token(issued_at=now + 1)).status == 200
        for cut in passing:
            rig.push(cuts=(cut,))
            assert rig.send(token=mine).status == rig.pay().status == 200, cut
        assert workers(rig) == before
    finally:
        rig.push(cuts=())


def test_subject_that_begins_otherwise_is_of_the_first_part(rig: Rig) -> None:
    """As the gate counts it; the smallest cut has it too."""
    now = int(SystemClock().timestamp())
    try:
        rig.push(cuts=(Cut(None, None, now + 1, 1),))
        assert statuses(rig, "~odd", "A-first", "B-second") == [401, 401, 200]
    finally:
        rig.push(cuts=())


def test_a_revocation_makes_no_other_token_be_verified_again(rig: Rig) -> None:
    """Nor is a process started; a key that changes does, as before."""
    assert rig.send(token=token()).status == 200
    table = f"show table {names.VERDICTS}"
    assert "used:0" not in rig.runtime(table)
    rig.push(revoked=frozenset({"somebody"}))
    assert "used:0" not in rig.runtime(table)
    rig.push(keys=(TOKEN_KEY.published(),))
    assert "used:0" in rig.runtime(table)


def test_second_follower_of_a_directory_is_turned_away(rig: Rig) -> None:
    """Each would tell the process what the other one doesn't know of."""
    second = RunningHaproxy(rig.options, None, False, rig.told.append)
    with pytest.raises(HaproxyError, match="another process follows"):
        second.take(generate(rig.bundle, rig.options, 0))


def test_everything_in_the_log_is_json_with_its_time(rig: Rig) -> None:
    """Also what can't be parsed, and the end of a process, of which HAProxy would write in its own words."""
    sent = b"NONSENSE\r\n\r\n"
    assert rig.raw(sent).status == 400
    rig.push(policy=replace(BUNDLE.policy, routes=ROWS[:3]))
    until(lambda: not rig.master.former_workers())
    until(lambda: any(line["details"].startswith("PR") for line in rig.log()))
    assert all(re.fullmatch(r"20[0-9-]+T[0-9:.]+Z", line["time"]) for line in rig.log())


def test_new_policy_holds_for_a_connection_that_was_open_before(rig: Rig) -> None:
    """Another process takes over; the one before judges nothing more, whatever connection is left."""
    closed = replace(BUNDLE.policy, routes=ROWS[2:])
    with rig.connect() as held:
        assert ask(held, request(token=token())) == 200
        rig.push(policy=closed)
        held.sendall(request(token=token()))
        assert read_answer(held).status in {0, 403, 503}
    assert rig.send(token=token()).status == 403


def test_replaced_process_hands_on_which_proofs_were_used(rig: Rig) -> None:
    """What one process took, the next one refuses, and it takes new ones at once."""
    used = [rig.payment() for _ in range(20)]
    assert [rig.raw(sent).status for sent in used] == [200] * 20
    before = workers(rig)
    rig.push(policy=replace(BUNDLE.policy, routes=(*ROWS, route("/more/**"))))
    assert workers(rig) != before
    assert rig.told == []
    copies = [rig.raw(sent) for sent in used]
    assert [copy.status for copy in copies] == [401] * 20
    assert {rig.reason(copy) for copy in copies} == {"proof.replayed"}
    assert rig.pay().status == 200


def test_no_proof_is_turned_away_while_processes_are_replaced(rig: Rig) -> None:
    """New proofs wait for the table; each copy of an old one is refused."""
    statuses, copied, ends = list[int](), list[int](), threading.Event()
    used = [rig.payment() for _ in range(20)]
    assert [rig.raw(sent).status for sent in used] == [200] * 20

    def pay() -> None:
        while not ends.is_set():
            statuses.append(rig.pay().status)

    def copy() -> None:
        while not ends.is_set():
            copied.extend(rig.raw(sent).status for sent in used)

    payers = [threading.Thread(target=each) for each in (pay, pay, copy)]
    for payer in payers:
        payer.start()
    rig.push(policy=replace(BUNDLE.policy, routes=(*ROWS, route("/other/**"))))
    ends.set()
    for payer in payers:
        payer.join()
    assert 200 not in copied
    # A connection that the process before had accepted may be told to come again.
    assert {*statuses} <= {200, 503, 0}
    assert statuses.count(200) >= len(statuses) - 2


def test_process_that_ends_takes_no_proof(rig: Rig) -> None:
    """Its table was handed over; whoever reloads by hand is held to that too."""
    sent = rig.payment()
    with rig.connect() as held:
        held.sendall(sent[:40])
        # It has to be accepted before, or the next process would be.
        time.sleep(0.2)
        assert rig.master.ask("reload").startswith("Success=1")
        until(lambda: bool(rig.master.former_workers()))
        held.sendall(sent[40:])
        answer = read_answer(held)
    assert answer.status == 503
    assert rig.reason(answer) == "gate.state_unavailable"
    take_proofs(rig)
    assert rig.raw(sent).status == 200


def test_process_that_was_replaced_judges_nothing_though_nobody_tells_it(rig: Rig) -> None:
    """Who follows may be killed right behind a reload, or somebody reloads by hand."""
    sent = request(token=token())
    with rig.connect() as held:
        held.sendall(sent[:40])
        until(lambda: "1" in rig.runtime("show info").partition("CurrConns:")[2][:3])
        assert rig.master.ask("reload").startswith("Success=1")
        held.sendall(sent[40:])
        answer = read_answer(held)
    assert answer.status == 503
    assert rig.reason(answer) == "gate.state_unavailable"
    take_proofs(rig)


def test_rejected_files_change_nothing(rig: Rig) -> None:
    """Neither what runs nor what lies there; the words name no secret."""
    before = (rig.directory / names.CONFIG).read_text("utf-8")
    bad = EngineFile(names.CONFIG, EngineFileKind.ROOT, "global\n    nonsense\n")
    with pytest.raises(EngineRejectedError, match="nonsense"):
        rig.running.take([bad])
    assert (rig.directory / names.CONFIG).read_text("utf-8") == before
    assert rig.send(token=token()).status == 200


def test_half_an_answer_goes_on_and_the_next_request_meets_the_new_policy(tmp_path: Path) -> None:
    """A connection in the middle of a slow answer isn't cut, and isn't judged by old rules afterwards."""
    with slow_api() as (port, go_on):
        upstream = Endpoint("127.0.0.1", port)
        with haproxy_before_api(tmp_path, upstream=upstream) as rig, rig.connect() as held:
            sent = request(token=token())
            held.sendall(sent)
            begun = held.recv(4096)
            assert begun.startswith(b"HTTP/1.1 200")
            rig.push(policy=replace(BUNDLE.policy, routes=ROWS[2:]))
            held.sendall(sent)
            go_on.set()
            rest = b""
            while piece := held.recv(4096):
                rest += piece
            assert (begun + rest).count(b"x" * 10) == 1
            assert b"HTTP/1.1 200" not in rest
            assert rig.send(token=token()).status == 403


class slow_api:  # noqa: N801 - used as a function is.
    """Be an API that answers half, waits, and then answers the rest."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self._go_on = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[int, threading.Event]:
        """Return the port, and what makes it go on."""
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listener.getsockname()[1]), self._go_on

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._go_on.set()
        end_listening(self._listener)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n" + b"x" * 5)
                self._go_on.wait(PATIENCE)
                connection.sendall(b"x" * 5)


def test_process_that_dies_is_started_again(tmp_path: Path) -> None:
    """It takes no proof that the dead one may have taken."""
    with haproxy_before_api(tmp_path) as rig:
        used = rig.payment()
        assert rig.raw(used).status == 200
        (master,) = re.findall(r"^(\d+)\s+master", rig.master.ask("show proc"), re.MULTILINE)
        # One that ended within its first second would count as one that can't run at all.
        time.sleep(1.1)
        rig.running.keep_running()
        os.kill(int(master), signal.SIGKILL)
        until(lambda: not rig.master.is_there())

        def is_back() -> bool:
            rig.running.keep_running()
            return rig.master.is_there()

        until(is_back)
        until(rig.listens)
        assert rig.told
        assert rig.reason(rig.raw(used)) == "proof.replayed"
        # A phone whose clock is ahead may have sent it before: that it is made later than the start says nothing.
        ahead = rig.payment(created=int(SystemClock().timestamp()) + LEEWAY_SECONDS - 1)
        assert rig.reason(rig.raw(ahead)) == "gate.replay_unavailable"
        assert rig.send(token=token()).status == 200


def test_taken_port_is_said_and_not_shared(tmp_path: Path) -> None:
    """HAProxy is ended, or not even started, where somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Endpoint("127.0.0.1", taken.getsockname()[1])
        options = EngineOptions(str(tmp_path / "haproxy"), listen, Endpoint("127.0.0.1", 1))
        told = list[str]()
        running = RunningHaproxy(options, None, True, told.append)

        def ended() -> bool:
            try:
                running.keep_running()
            except WatchwordError as error:
                told.append(str(error))
            return bool(told)

        try:
            running.take(generate(BUNDLE, options, 0))
            until(ended)
            assert listen.address in told[0]
        finally:
            running.stop()
