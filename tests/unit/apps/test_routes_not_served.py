"""A route table that an engine can't have holds no revocation back."""

from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.envoy.rig import OTHER_KEY, bundle_of, route
from tests.unit.engines.envoy.third_party import rule, value

from watchword.apps.engines.envoy import ControlPlane
from watchword.apps.engines.follower import EngineFollower, EngineRejectedError, by_routes_of
from watchword.encoding import base64url
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, EngineOptions, Files
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import Rollout
from watchword.gate.revocations import Digests, digest_of, digested
from watchword.vocabulary import Mode

SERVED = bundle_of([route("/v1/**")])
GONE = "a-revoked-instance"
NOT_SERVED = replace(
    bundle_of([route("/v1/**"), route("/v2/**", mode=Mode.CANARY, canary=Rollout(5))]),
    generation=2,
    keys=(OTHER_KEY.published(),),
    revoked=frozenset({GONE}),
)


class Source:
    """Hold the bundle that was published last."""

    fault: str | None = None

    def __init__(self, bundle: GateBundle) -> None:
        """Begin with one."""
        self.bundle = bundle

    @property
    def generation(self) -> int:
        """Return its generation."""
        return self.bundle.generation


class Running:
    """Take files as an engine does that may refuse them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.files: Files = ()
        self.rejects: Callable[[str], bool] = lambda _: False

    def take(self, files: Files) -> None:
        """Hold the files, unless they are rejected."""
        if self.rejects("".join(file.content for file in files)):
            raise EngineRejectedError("it doesn't take them")
        self.files = files

    def keep_running(self) -> None:
        """Do nothing: nobody runs it."""

    def stop(self) -> None:
        """Do nothing."""

    def text(self) -> str:
        """Return all that it has."""
        return "".join(file.content for file in self.files)

    def revokes(self, subject: str) -> bool:
        """Tell whether an instance is among those that it was told are revoked, by its name or by its digest."""
        digest = digest_of(digested(SERVED).key, subject)
        forms = (f"{digest:016x} ", f"\n{base64url.encode(digest.to_bytes(8))} 1\n", subject)
        return any(each in self.text() for each in forms)


def follower(
    source: Source, running: Running, told: list[str], engine: str = "nginx"
) -> EngineFollower:
    """Return what follows for an engine."""
    options = EngineOptions(
        directory="/run/e",
        listen=Endpoint("127.0.0.1", 1),
        upstream=Endpoint("127.0.0.1", 2),
        access_log="/run/e/access.log",
    )
    return EngineFollower(source, ENGINES[engine], options, running, lambda: 1.0, told.append)


@pytest.mark.parametrize("engine", ["haproxy", "nginx"])
def test_revocations_and_keys_reach_an_engine_that_cant_have_the_routes(engine: str) -> None:
    """The routes of before stay; once all can be served, nothing of them is left."""
    source, running, told = Source(SERVED), Running(), list[str]()
    follows = follower(source, running, told, engine)
    assert follows.step()
    withdrawn = SERVED.keys[0].kid
    assert withdrawn in running.text()
    assert not running.revokes(GONE)
    source.bundle = NOT_SERVED
    assert not follows.step()
    assert running.revokes(GONE)
    assert withdrawn not in running.text()
    assert "/v2" not in running.text()
    assert "mode canary" in told[0]
    assert "revocations and keys go on" in told[0]
    assert not follows.step()
    assert len(told) == follows.faults == 1
    source.bundle = replace(SERVED, generation=3)
    assert follows.step()
    assert not running.revokes(GONE)


def test_nobody_is_forgotten_when_the_audience_changes_with_the_routes() -> None:
    """Names of instances are of one audience: those of the one before stay revoked with its routes."""
    source, running, told = (
        Source(replace(SERVED, revoked=frozenset({"of-before"}))),
        Running(),
        list[str](),
    )
    follows = follower(source, running, told)
    assert follows.step()
    source.bundle = NOT_SERVED
    assert not follows.step()
    assert running.revokes("of-before")
    assert running.revokes(GONE)


def listed(bundle: GateBundle, *subjects: str) -> GateBundle:
    """Return a bundle that lists digests of these subjects, and no names."""
    digests = Digests(
        b"k" * 12, array("Q", sorted(digest_of(b"k" * 12, each) for each in subjects))
    )
    return replace(bundle, revoked=frozenset(), digests=digests)


def test_digests_go_with_the_audience_whose_tokens_the_routes_take() -> None:
    """The latest count where the audience is the same; else those that the routes of before came with."""
    served, latest = listed(SERVED, "of-before"), listed(NOT_SERVED, GONE)
    same = digested(by_routes_of(served, latest))
    assert (GONE in same, "of-before" in same) == (True, False)
    policy = latest.policy
    elsewhere = replace(
        policy, expectation=replace(policy.expectation, audience="https://elsewhere.example")
    )
    other = digested(by_routes_of(served, replace(latest, policy=elsewhere)))
    assert (GONE in other, "of-before" in other) == (False, True)
    named = replace(SERVED, revoked=frozenset({"of-before"}))
    assert "of-before" in digested(by_routes_of(named, replace(latest, policy=elsewhere)))
    assert GONE in digested(by_routes_of(named, latest))
    again = digested(by_routes_of(named, NOT_SERVED))
    assert (GONE in again, "of-before" in again) == (True, True)
    assert digested(by_routes_of(named, NOT_SERVED)) is again


def test_what_the_engine_rejects_holds_no_revocation_back_either() -> None:
    """An engine that finds the new routes wrong has the rest with the routes before."""
    source, running, told = Source(SERVED), Running(), list[str]()
    follows = follower(source, running, told)
    assert follows.step()
    running.rejects = lambda text: "/v3" in text
    source.bundle = replace(bundle_of([route("/v3")]), generation=2, revoked=frozenset({GONE}))
    assert not follows.step()
    assert running.revokes(GONE)
    running.rejects = lambda _: True
    source.bundle = replace(source.bundle, generation=3)
    assert not follows.step()
    assert "no revocation reaches" in told[-1]
    running.rejects = lambda _: False
    source.bundle = replace(source.bundle, generation=4)
    assert follows.step()


def test_a_key_goes_on_being_injected_only_for_its_origin() -> None:
    """Its rotation counts; with another origin in the new table, the new key isn't sent to the one before."""
    injects = bundle_of(
        [route("/maps/**", secret="maps")],
        edges={"maps": rule(443)},
        injected={"maps": value("the-first-key")},
    )
    rotated = by_routes_of(
        injects, replace(injects, generation=2, injected={"maps": value("the-next-key")})
    )
    assert rotated.injected["maps"] == value("the-next-key")
    moved = bundle_of(
        [route("/maps/**", secret="maps")],
        edges={"maps": rule(444)},
        injected={"maps": value("a-key-for-others")},
    )
    assert not by_routes_of(injects, moved).injected
    assert not by_routes_of(injects, replace(injects, injected={})).injected


def test_without_routes_of_before_it_is_said_that_nobody_is_revoked() -> None:
    """A follower that starts with such a table writes nothing, and says what that means."""
    running, told = Running(), list[str]()
    assert not follower(Source(NOT_SERVED), running, told).step()
    assert not running.files
    assert "no revocation reaches" in told[0]


def test_envoys_routes_of_before_stay_with_who_is_revoked(tmp_path: Path) -> None:
    """The same for Envoy, whose files are on the disk."""
    options = EnvoyOptions(
        directory=str(tmp_path),
        listen=Endpoint("127.0.0.1", 1),
        upstream=Endpoint("127.0.0.1", 2),
        admin=Endpoint(socket=str(tmp_path / "admin.sock")),
    )
    source, told = Source(SERVED), list[str]()
    plane = ControlPlane(source, options, lambda: 1.0, told.append)
    assert plane.step()
    source.bundle = NOT_SERVED
    assert not plane.step()
    digest = digest_of(digested(NOT_SERVED).key, GONE)
    assert f"added {digest:016x} \n" in (tmp_path / "revocations").read_text()
    assert "/v2" not in (tmp_path / "routes.yaml").read_text()
    assert "mode canary" in told[0]
    assert "revocations and keys go on" in told[0]
    assert not plane.step()
    assert len(told) == 1
