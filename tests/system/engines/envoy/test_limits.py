"""Count what instances send and what they use of injected keys, with the real Envoy."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.system.engines.envoy.test_authz_routes import authz, running
from tests.unit.engines.envoy.rig import (
    Answer,
    Rig,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)
from tests.unit.engines.envoy.third_party import ThirdParty, quota, rule, value

from watchword.adapters.system import SystemClock
from watchword.broker.interface import Allowance
from watchword.engines.envoy.filters import counters
from watchword.engines.envoy.generation import generate, next_change
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, UnsupportedError
from watchword.gate.interface import Limit, LimitKind, Rate

HERE = {"maps": ["127.0.0.1"]}
INJECTION = route("/maps/**", secret="maps")
DAY = 86_400
OPTIONS = EnvoyOptions(
    directory="/srv/envoy",
    listen=Endpoint("127.0.0.1", 8080),
    upstream=Endpoint("127.0.0.1", 8081),
    admin=Endpoint(socket="/srv/envoy/admin.sock"),
)


def limit(**changes: Any) -> Limit:
    """Return a quota of three a day, on every route."""
    return Limit(
        **{"name": "few", "kind": LimitKind.QUOTA, "requests": 3, "seconds": DAY, **changes}
    )


def statuses(rig: Rig, count: int, target: bytes = b"/v1/x", **of_token: Any) -> list[int]:
    """Return the answers to some requests, one after another."""
    kept = token(**of_token)
    return [rig.send(target, token=kept).status for _ in range(count)]


def wait_of(answer: Answer) -> str:
    """Return the Retry-After of an answer."""
    (found,) = (
        line.partition(": ")[2]
        for line in answer.raw_head.splitlines()
        if line.lower().startswith("retry-after: ")
    )
    return found


def test_the_hundred_and_first_call_stops_at_a_quota_of_a_hundred(tmp_path: Path) -> None:
    """Exactly a hundred calls of one instance carry the key in a window, over all workers and generations."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port, allowances=quota(100))}
    injected = {"maps": value()}
    now = SystemClock().timestamp()
    with envoy_before_api(
        tmp_path / "e",
        bundle_of([INJECTION], edges=edges, injected=injected),
        addresses=HERE,
        now=now,
    ) as rig:
        # What is refused before counts nowhere: unlisted paths, strangers.
        assert statuses(rig, 5, b"/maps/billing") == [403] * 5
        assert rig.send(b"/maps/geocode/1").status == 401
        assert statuses(rig, 60, b"/maps/geocode/1") == [200] * 60
        # Another generation, with a rotated key, forgives nothing.
        rotated = {"maps": value("rotated", 2)}
        rig.publish(bundle_of([INJECTION], edges=edges, injected=rotated, generation=2), now)
        until(
            lambda: (
                b"Bearer rotated" in party.injected() or not statuses(rig, 1, b"/maps/geocode/1")
            )
        )
        used = len(party.seen)
        assert statuses(rig, 102 - used, b"/maps/geocode/1") == [200] * (100 - used) + [429] * 2
        assert len(party.seen) == 100
        over = rig.send(b"/maps/geocode/1", token=token())
        assert over.slug == "rate-limited"
        end = (int(now) // DAY + 1) * DAY
        assert parsedate_to_datetime(wait_of(over)).timestamp() == end
        assert statuses(rig, 1, b"/maps/geocode/1", subject="another") == [200]
        # A window that ended begins anew, and the one before it never does.
        rig.publish(bundle_of([INJECTION], edges=edges, injected=rotated, generation=3), now + DAY)
        # Each worker hears of it by itself: a row of answers comes from all of them.
        reached = len(party.seen)
        until(lambda: statuses(rig, 12, b"/maps/geocode/1") == [200] * 12)
        used = len(party.seen) - reached
        assert statuses(rig, 101 - used, b"/maps/geocode/1") == [200] * (100 - used) + [429]
    party.close()


@pytest.mark.parametrize(
    ("allowances", "cost", "most"),
    [
        ((Allowance(DAY, spend=10),), 3, 3),
        ((Allowance(DAY, spend=10),), 0, None),
        ((Allowance(DAY, calls=5), Allowance(30 * DAY, spend=4)), 1, 4),
        ((Allowance(DAY, calls=2, spend=9),), 3, 2),
    ],
)
def test_a_spend_cap_is_that_many_calls(
    tmp_path: Path, allowances: Sequence[Allowance], cost: int, most: int | None
) -> None:
    """A spend cap is as many calls as fit into it, and the stricter allowance decides."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port, allowances=tuple(allowances), cost=cost)}
    bundle = bundle_of([INJECTION], edges=edges, injected={"maps": value()})
    with envoy_before_api(tmp_path / "e", bundle, addresses=HERE) as rig:
        found = statuses(rig, 6, b"/maps/geocode/1")
    expected = 6 if most is None else most
    assert found == [200] * expected + [429] * (6 - expected)
    party.close()


def test_two_routes_of_one_key_share_its_quota(tmp_path: Path) -> None:
    """Two routes that inject one key share what an instance may use of it."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port, allowances=quota(3))}
    routes = [INJECTION, route("/m2/**", secret="maps")]
    bundle = bundle_of(routes, edges=edges, injected={"maps": value()})
    with envoy_before_api(tmp_path / "e", bundle, addresses=HERE) as rig:
        assert statuses(rig, 2, b"/maps/geocode/1") == [200, 200]
        assert statuses(rig, 2, b"/m2/geocode/1") == [200, 429]
    party.close()


def test_a_limit_counts_the_routes_that_it_names_together(tmp_path: Path) -> None:
    """A limit counts the routes that it names together, an instance at a time, and no others."""
    routes = [route("/a/**"), route("/b/**"), route("/v1/**")]
    few = limit(routes=frozenset({"/a/**", "/b/**"}))
    with envoy_before_api(tmp_path / "e", bundle_of(routes, limits=(few,))) as rig:
        assert statuses(rig, 2, b"/a/1") == [200, 200]
        assert statuses(rig, 3, b"/b/1") == [200, 429, 429]
        assert statuses(rig, 5, b"/v1/x") == [200] * 5
        assert statuses(rig, 1, b"/a/1", subject="another") == [200]
        assert rig.send(b"/a/1").slug == "token-required"


def test_a_rate_fills_again_and_a_quota_does_not(tmp_path: Path) -> None:
    """A limit of kind rate lets a request pass again after its share of the time; a quota doesn't."""
    limits = (
        limit(
            name="burst", kind=LimitKind.RATE, requests=20, seconds=20, routes=frozenset({"/a/**"})
        ),
        limit(name="quota", requests=20, seconds=10, routes=frozenset({"/b/**"})),
    )
    bundle = bundle_of([route("/a/**"), route("/b/**")], limits=limits)
    with envoy_before_api(tmp_path / "e", bundle) as rig:
        assert statuses(rig, 21, b"/b/1") == [200] * 20 + [429]
        kept = token()
        answers = (rig.send(b"/a/1", token=kept) for _ in range(200))
        over = next(answer for answer in answers if answer.status != 200)
        assert (over.status, wait_of(over)) == (429, "1")
        # Its share is a second; to fill as a whole would take it twenty.
        assert until(lambda: statuses(rig, 1, b"/a/1") == [200]) < 15
        assert statuses(rig, 1, b"/b/1") == [429]


def test_python_counts_what_envoy_cannot(tmp_path: Path) -> None:
    """Limits below a version and in monitor are counted by Python, over /authz, on the routes that they name."""
    limits = (
        limit(below={"clinic-ios": "3"}, routes=frozenset({"/old/**"})),
        limit(name="watched", enforced=False, routes=frozenset({"/watched/**"})),
    )
    routes = [route("/old/**"), route("/watched/**"), route("/v1/**")]
    with running(tmp_path / "a", bundle_of(routes, limits=limits)) as rig:
        assert statuses(rig, 5, b"/old/1", app_version="2.9") == [200] * 3 + [429] * 2
        newer = {"app_version": "3.0", "subject": "another"}
        assert statuses(rig, 5, b"/old/1", **newer) == [200] * 5
        assert statuses(rig, 5, b"/watched/1") == [200] * 5
        assert statuses(rig, 5) == [200] * 5


def test_a_route_that_asks_python_injects_and_counts_alike(tmp_path: Path) -> None:
    """A route that asks Python injects its key for whom Python lets through, and counts these calls."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port, allowances=quota(2))}
    newer = route("/maps/**", secret="maps", minimum_versions={"clinic-ios": "2.0"})
    bundle = bundle_of([newer], edges=edges, injected={"maps": value()})
    path = tmp_path / "authz.sock"
    with (
        authz(bundle, path, tmp_path / "used.sqlite"),
        envoy_before_api(
            tmp_path / "e", bundle, authz=Endpoint(socket=str(path)), addresses=HERE
        ) as rig,
    ):
        target = b"/maps/geocode/1"
        assert statuses(rig, 3, target, app_version="1.9") == [403] * 3
        assert statuses(rig, 1, b"/maps/billing", app_version="2.0") == [403]
        assert statuses(rig, 3, target, app_version="2.0") == [200, 200, 429]
        assert rig.send(target).slug == "token-required"
    assert party.injected() == [b"Bearer the-key-of-maps"] * 2
    assert not [name for seen in party.seen for name, _ in seen.fields if b"watchword" in name]
    party.close()


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"enforced": False}, "limit few in monitor"),
        ({"below": {"clinic-ios": "3"}}, "limit few below a version"),
        ({"seconds": 9}, "limit few per 9 s"),
        ({"name": "../few"}, "limit ../few"),
    ],
)
def test_without_authz_such_a_limit_is_refused(changes: dict[str, Any], setting: str) -> None:
    """Without /authz a limit that Envoy can't carry out itself is refused with its route."""
    bundle = bundle_of([route("/v1/**")], limits=(limit(**changes),))
    with pytest.raises(UnsupportedError) as caught:
        generate(bundle, OPTIONS, 0)
    assert (caught.value.where, caught.value.setting) == ("/v1/**", setting)


def test_the_files_are_due_when_the_next_window_ends() -> None:
    """The files are due again when the first window of a quota ends; a rate has none."""
    assert next_change(bundle_of([route("/v1/**")], rate=Rate(1, 60)), 100.0) is None
    limits = (limit(), limit(name="hourly", seconds=3600), limit(name="r", kind=LimitKind.RATE))
    edges = {"maps": rule(443, allowances=quota(3, 600))}
    bundle = bundle_of([route("/v1/**"), INJECTION], limits=limits, edges=edges)
    assert next_change(bundle, 3700.0) == 4200.0
    assert next_change(bundle, 4200.0) == 4800.0
    assert [each.of_key for each in counters(bundle.policy).values()] == [False, False, False, True]


def test_a_generation_changes_no_file_that_counts() -> None:
    """What counts is the same in another generation, but for its number; Envoy goes on counting then."""
    edges = {"maps": rule(443, allowances=quota(3))}
    bundles = [
        bundle_of(
            [INJECTION],
            limits=(limit(),),
            edges=edges,
            generation=n,
            injected={"maps": value(str(n))},
        )
        for n in (1, 2)
    ]
    first, second = (
        {file.name: file.content for file in generate(bundle, OPTIONS, 5.0)} for bundle in bundles
    )
    for name in ("filter-limit-few.yaml", "filter-quota-maps-0.yaml"):
        assert first[name].replace('"1"', '"2"', 1) == second[name]
