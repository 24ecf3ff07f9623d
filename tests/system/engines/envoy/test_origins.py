"""Reach the origins of injected keys through the real Envoy: at checked addresses, under their names, and no others."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port
from tests.system.engines.envoy.test_control_plane import SERVICE, publish
from tests.unit.apps.pins_servers import Authority
from tests.unit.engines.envoy import rig as rigs
from tests.unit.engines.envoy.rig import (
    Rig,
    Seen,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)
from tests.unit.engines.envoy.third_party import AUTHORITY, GOOD, HOST, ThirdParty, rule, value

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.system import SystemClock
from watchword.apps.engines.envoy import FRESH_SECONDS, MOST_ADDRESSES, ControlPlane, Origins
from watchword.broker.interface import EdgeRule
from watchword.gate.interface import Limit, LimitKind

INJECTION = route("/maps/**", secret="maps")


def ask(
    tmp_path: Path,
    its: EdgeRule,
    addresses: Sequence[str] = ("127.0.0.1",),
) -> rigs.Answer:
    """Return the answer to one call of a key with this rule."""
    bundle = bundle_of([INJECTION], edges={"maps": its}, injected={"maps": value()})
    found = {"maps": list(addresses)}
    with envoy_before_api(tmp_path / "e", bundle, addresses=found) as rig:
        return rig.send(b"/maps/geocode/1", token=token())


@pytest.mark.parametrize(
    ("names", "authority", "changes"),
    [
        (("evil.example",), None, {}),
        ((HOST,), Authority("Somebody else"), {}),
        ((HOST,), None, {"ca": None}),
        ((HOST,), None, {"host": "127.0.0.1"}),
        (("127.0.0.1",), None, {"host": "127.0.0.1"}),
    ],
    ids=["other name", "other authority", "system's authorities", "address", "address as a name"],
)
def test_whoever_cannot_show_the_name_gets_no_byte_of_a_call(
    tmp_path: Path, names: tuple[str, ...], authority: Authority | None, changes: dict[str, Any]
) -> None:
    """Whoever can't show a certificate of the origin's name, by its authorities, gets no byte of a call."""
    party = ThirdParty(tmp_path, *names, authority=authority or AUTHORITY)
    answer = ask(tmp_path, rule(party.port, **changes))
    party.close()
    assert (answer.status, answer.slug) == (502, "upstream-unreachable")
    assert party.seen == []
    assert b"CERTIFICATE" not in answer.body


def test_a_wildcard_certificate_will_do(tmp_path: Path) -> None:
    """A certificate for all names of a domain will do, as it does elsewhere (RFC 9525 section 6.3)."""
    party = ThirdParty(tmp_path, "*.example.net")
    assert ask(tmp_path, rule(party.port)).status == 200
    party.close()


@pytest.mark.parametrize(
    ("addresses", "status"),
    [
        ([], 502),
        (["127.0.0.2"], 502),
        (["127.0.0.2", "127.0.0.1"], 200),
        (["::1", "127.0.0.1"], 200),
    ],
)
def test_addresses_are_tried_in_turn_and_none_is_no_answer(
    tmp_path: Path, addresses: list[str], status: int
) -> None:
    """An address that doesn't answer gives way to the next; without any the answer is 502."""
    party = ThirdParty(tmp_path)
    answer = ask(tmp_path, rule(party.port), addresses)
    party.close()
    assert answer.status == status
    assert len(party.seen) == (1 if status == 200 else 0)


def test_an_origin_that_hangs_is_waited_for_as_long_as_the_rule_says(tmp_path: Path) -> None:
    """An origin that takes a call and says nothing is given up after the rule's seconds, and not asked again."""
    party = ThirdParty(tmp_path)
    stop = threading.Event()

    def silent(_: Seen) -> bytes:
        stop.wait(30)
        return GOOD

    party.answer = silent
    answer = ask(tmp_path, rule(party.port, seconds=2.0))
    stop.set()
    party.close()
    assert (answer.status, answer.slug) == (502, "upstream-unreachable")
    assert len(party.seen) == 1


def test_an_answer_that_trickles_is_whole_and_one_that_stops_is_cut(tmp_path: Path) -> None:
    """An answer of which each piece comes in time is whole, longer than the rule's seconds; one that stops is cut."""
    party = ThirdParty(tmp_path)
    pieces = [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"a", b"b", b"c", b"d"]
    its = rule(party.port, seconds=2.0)
    bundle = bundle_of([INJECTION], edges={"maps": its}, injected={"maps": value()})
    with envoy_before_api(tmp_path / "e", bundle, addresses={"maps": ["127.0.0.1"]}) as rig:
        party.pieces = [(0.5, piece) for piece in pieces]
        assert rig.send(b"/maps/geocode/1", token=token()).body == b"abcd"
        party.pieces = [(0.0, pieces[0] + b"ab"), (30.0, b"cd")]
        with rig.connect() as held:
            held.sendall(rigs.request(b"/maps/geocode/1", token=token()))
            got = b""
            with suppress(ConnectionError):
                while piece := held.recv(4096):
                    got += piece
    assert got.endswith(b"\r\n\r\nab")
    party.close()


def moving(answers: Mapping[str, Any]) -> Origins:
    """Return origins whose names have these answers, which may be changed; time stands still but for ``clock``."""

    def resolver(name: str, _: int) -> Sequence[str]:
        found = answers[name]
        if isinstance(found, Exception):
            raise found
        if isinstance(found, threading.Event):
            found.wait(30)
            return ["192.0.2.1"]
        return list(found)

    return Origins(resolver, lambda: float(answers["clock"]))


PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        [PUBLIC, "10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["fe80::1%eth0"],
        ["0.0.0.0"],
        ["100.64.0.1"],
        [],
        ["not-an-address"],
        ["1.1.1.1"] * 65,
    ],
)
def test_an_answer_with_an_address_that_is_not_public_is_no_answer(answer: list[str]) -> None:
    """An answer with any address that isn't public leaves the origin without one, and is told."""
    origins = moving({HOST: answer, "clock": 0.0})
    assert origins.look([rule(443, private=False)]) == {"maps": ()}
    (fault,) = origins.faults()
    assert fault.startswith("maps is injected for nobody: got ")
    assert origins.faults() == []


def _is_at(origins: Origins, rules: Sequence[EdgeRule], expected: list[str]) -> bool:
    return list(origins.look(rules)["maps"]) == expected


def test_an_origin_is_asked_for_again_only_after_a_while_and_follows_its_name() -> None:
    """An origin is asked for again after half a minute; turned round addresses are no news; rebinding gains nothing."""
    answers: dict[str, Any] = {HOST: [PUBLIC, "1.1.1.1"], "clock": 0.0}
    origins = moving(answers)
    rules = [rule(443, private=False)]
    first = origins.look(rules)
    assert first == {"maps": [PUBLIC, "1.1.1.1"]}
    answers[HOST] = ["127.0.0.1"]
    assert origins.look(rules) == first
    for answer, expected in (
        (["1.1.1.1", PUBLIC], [PUBLIC, "1.1.1.1"]),
        (["9.9.9.9"], ["9.9.9.9"]),
        (OSError("down"), ["9.9.9.9"]),
        (["127.0.0.1"], []),
        (
            [PUBLIC] * 2 + [f"8.8.8.{n}" for n in range(9)],
            [PUBLIC, "8.8.8.0", "8.8.8.1", "8.8.8.2"],
        ),
    ):
        answers[HOST] = answer
        answers["clock"] += FRESH_SECONDS
        until(partial(_is_at, origins, rules, expected))
        assert len(expected) <= MOST_ADDRESSES
    faults = origins.faults()
    assert [fault.partition(":")[0] for fault in faults] == ["maps", "maps is injected for nobody"]


def test_a_name_that_hangs_holds_nobody_up() -> None:
    """A name that hangs is waited for once and for a moment; the others are answered meanwhile."""
    hanging = threading.Event()
    answers: dict[str, Any] = {"hangs.example": hanging, HOST: [PUBLIC], "clock": 0.0}
    origins = moving(answers)
    rules = [rule(443, private=False, secret=f"h{n}", host="hangs.example") for n in range(3)] + [
        rule(443, private=False)
    ]
    start = SystemClock().timestamp()
    found = origins.look(rules)
    assert found["maps"] == [PUBLIC]
    assert origins.look(rules)["h0"] == ()
    assert SystemClock().timestamp() - start < 25
    hanging.set()


def test_another_host_under_the_same_name_is_asked_for_at_once() -> None:
    """A rule that names another host, or loses its leave for private addresses, starts without addresses."""
    answers: dict[str, Any] = {HOST: ["10.0.0.1"], "other.example": ["1.1.1.1"], "clock": 0.0}
    origins = moving(answers)
    assert origins.look([rule(443)]) == {"maps": ["10.0.0.1"]}
    assert origins.look([rule(443, private=False)]) == {"maps": ()}
    assert origins.look([rule(443, host="other.example")]) == {"maps": ["1.1.1.1"]}
    assert origins.look([]) == {}


class Yard:
    """Hold a running Envoy with a control plane whose names and time are ours."""

    def __init__(self, rig: Rig, path: Path) -> None:
        """Follow a bundle."""
        self.answers: dict[str, Any] = {HOST: ["127.0.0.1"], "clock": 0.0}
        self.told: list[str] = []
        self.ahead = 0.0
        self.plane = ControlPlane(
            GateBundleFile(path, SERVICE.verification_key()),
            rig.options,
            lambda: SystemClock().timestamp() + self.ahead,
            self.told.append,
            moving(self.answers),
        )


def test_an_origin_that_moves_is_followed_without_a_failed_call(tmp_path: Path) -> None:
    """An origin whose name moves to another address is followed under load, and one that moves inside is left."""
    port = free_port()
    here = ThirdParty(tmp_path, port=port)
    there = ThirdParty(tmp_path, address="127.0.0.2", port=port)
    path = tmp_path / "clinic.jws"
    bundle = bundle_of([INJECTION], edges={"maps": rule(port)}, injected={"maps": value()})
    publish(path, bundle)
    (tmp_path / "e").mkdir(mode=0o700)
    kept, failed, done = token(), [], threading.Event()

    def call(rig: Rig) -> None:
        with rig.connect() as held:
            while not done.is_set():
                held.sendall(rigs.request(b"/maps/geocode/1", token=kept))
                status = rigs.read_answer(held).status
                if status != 200:
                    failed.append(status)
                    return

    with envoy_before_api(tmp_path / "e", bundle) as rig:
        yard = Yard(rig, path)
        assert rig.send(b"/maps/geocode/1", token=kept).status == 502
        assert yard.plane.step()
        until(lambda: rig.send(b"/maps/geocode/1", token=kept).status == 200)
        caller = threading.Thread(target=call, args=(rig,))
        caller.start()
        yard.answers.update({HOST: ["127.0.0.2"], "clock": FRESH_SECONDS})
        until(lambda: bool(yard.plane.step() or there.seen))
        until(lambda: len(there.seen) > 20)
        done.set()
        caller.join(10)
        assert failed == []
        yard.answers.update({HOST: ["169.254.169.254"], "clock": 2 * FRESH_SECONDS})

        def left() -> bool:
            yard.plane.step()
            return rig.send(b"/maps/geocode/1", token=kept).status == 502

        until(left)
        assert any("maps is injected for nobody" in text for text in yard.told)
    here.close()
    there.close()


def test_windows_turn_with_the_clock_and_not_back(tmp_path: Path) -> None:
    """The files are written anew when a window ends; a clock that is set back a little begins none again."""
    limits = (Limit("few", LimitKind.QUOTA, 3, 3600),)
    path = tmp_path / "clinic.jws"
    bundle = bundle_of([route("/v1/**")], limits=limits)
    publish(path, bundle)
    (tmp_path / "e").mkdir(mode=0o700)
    file = tmp_path / "e" / "filter-limit-few.yaml"
    with envoy_before_api(tmp_path / "e", bundle) as rig:
        yard = Yard(rig, path)
        # In the middle of a window, which so doesn't end by itself while the test runs.
        yard.ahead = 1800 - SystemClock().timestamp() % 3600
        yard.plane.step()
        first = file.read_text("utf-8")
        assert not yard.plane.step()
        yard.ahead += 3600 - (SystemClock().timestamp() + yard.ahead) % 3600 + 20
        assert yard.plane.step()
        second = file.read_text("utf-8")
        assert second != first
        yard.ahead -= 40  # Before the end of the window that was.
        publish(path, replace(bundle, generation=2))
        until(yard.plane.step)
        assert file.read_text("utf-8").partition("resources")[2] == second.partition("resources")[2]


def test_the_key_s_file_is_private_goes_with_its_rule_and_no_old_one_comes_back(
    tmp_path: Path,
) -> None:
    """The file of a key has mode 0600 and goes with its rule; when files are put back, a revoked key isn't."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port)}
    path = tmp_path / "clinic.jws"
    first = bundle_of([INJECTION, route("/v1/**")], edges=edges, injected={"maps": value("old")})
    publish(path, first)
    (tmp_path / "e").mkdir(mode=0o700)
    file = tmp_path / "e" / "lent-maps.yaml"
    with envoy_before_api(tmp_path / "e", first) as rig:
        yard = Yard(rig, path)
        yard.plane.step()
        assert file.stat().st_mode & 0o777 == 0o600
        assert "Bearer old" in file.read_text("utf-8")
        yard.plane.check()
        yard.ahead = 3.0
        yard.plane.check()  # Nothing was rejected: these files are good.
        publish(path, bundle_of([INJECTION, route("/v1/**")], edges=edges, generation=2))
        until(yard.plane.step)
        assert "old" not in file.read_text("utf-8").split("resources")[1]
        (tmp_path / "e" / "new").write_text("resources: [{", "utf-8")
        (tmp_path / "e" / "new").replace(tmp_path / "e" / "routes.yaml")

        def put_back() -> bool:
            yard.plane.check()
            return any("in their place again" in text for text in yard.told)

        until(put_back)
        assert "Bearer old" not in file.read_text("utf-8")
        publish(path, bundle_of([route("/v1/**")], generation=3))
        until(yard.plane.step)
        assert not file.exists()
    party.close()
