"""Hold the real Envoy, with the configuration that is written for it, to the gate's decisions."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engines.envoy import rig as rigs
from tests.unit.engines.envoy.rig import (
    OTHER_KEY,
    SECRET,
    TOKEN_KEY,
    Rig,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)
from tests.unit.gate.simulators import SoftwareSigner

from watchword.engines.envoy.generation import generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, UnsupportedError, living_keys
from watchword.engines.paths import READABLE_TARGET
from watchword.gate.hygiene import CLIENT_SIDE, read_path
from watchword.gate.interface import Rate
from watchword.reasons import Refusal
from watchword.vocabulary import Environment, Level, Mode, Proof

ROUTES = [
    route("/open/**", mode=Mode.OFF),
    route("/hw/*", level=Level.HARDWARE),
    route("/pay", proof=Proof.SESSION, methods=frozenset({"GET"})),
    route("/v1/**", methods=frozenset({"GET", "POST"})),
]

CLIENT_NAMES = [name.encode() for name in CLIENT_SIDE]
SIGNS = (b"-", b"_", b".", b"~")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one Envoy for all cases that change nothing."""
    with envoy_before_api(tmp_path_factory.mktemp("e"), bundle_of(ROUTES)) as running:
        yield running


def reached(rig: Rig) -> int:
    """Return how many requests reached the API."""
    return len(rig.api.seen)


REFUSED = [
    ("no token", b"/v1/x", [], None, 401, "token-required"),
    ("forged", b"/v1/x", [], "forged", 401, "token-refused"),
    ("other audience", b"/v1/x", [], "audience", 401, "token-refused"),
    ("lab", b"/v1/x", [], "lab", 401, "token-refused"),
    ("expired", b"/v1/x", [], "expired", 401, "token-refused"),
    ("level", b"/hw/1", [], "software", 403, "level-insufficient"),
    ("unknown route", b"/nope", [], "good", 403, "route-refused"),
    ("case counts", b"/V1/x", [], "good", 403, "route-refused"),
    ("dots", b"/v1/../open/x", [], "good", 400, "request-malformed"),
    ("encoded slash", b"/open%2fx", [], "good", 400, "request-malformed"),
    ("encoded twice", b"/open/%2561", [], "good", 400, "request-malformed"),
    ("empty segment", b"//open/x", [], "good", 400, "request-malformed"),
    ("semicolon", b"/open;x", [], "good", 400, "request-malformed"),
    ("two tokens", b"/open/x", [b"Watchword-Token: a"], "good", 400, "request-malformed"),
    ("underscore", b"/open/x", [b"Watchword_Token: a"], "good", 400, "request-malformed"),
    ("two DPoP", b"/open/x", [b"DPoP: a", b"DPoP: b"], "good", 400, "request-malformed"),
    (
        "two signatures",
        b"/v1/x",
        [b"Signature: a", b"Signature: b"],
        "good",
        400,
        "request-malformed",
    ),
    (
        "two credentials",
        b"/open/x",
        [b"Authorization: Bearer a", b"Authorization: Bearer b"],
        "good",
        400,
        "request-malformed",
    ),
    ("connection", b"/v1/x", [b"Connection: Watchword-Token"], "good", 401, "token-required"),
    ("large", b"/open/x", [b"X: " + b"a" * 8192], "good", 431, "headers-too-large"),
    ("many", b"/open/x", [b"X%d: 1" % n for n in range(120)], "good", 431, "headers-too-large"),
    (
        "websocket",
        b"/open/x",
        [b"Upgrade: websocket", b"Connection: Upgrade"],
        "good",
        403,
        "route-refused",
    ),
    (
        "both framings",
        b"/open/x",
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        "good",
        400,
        "request-malformed",
    ),
    ("body on a proof", b"/pay", [b"Transfer-Encoding: chunked"], "good", 401, "proof-required"),
]


def made(kind: str | None) -> bytes | None:
    """Return a token of a kind."""
    if kind is None:
        return None
    if kind == "forged":
        return token(SoftwareSigner("token-1"))
    changes: dict[str, dict[str, Any]] = {
        "good": {},
        "audience": {"audience": "https://other.example"},
        "lab": {"environment": Environment.LAB},
        "expired": {"issued_at": 1_700_000_000, "expires_at": 1_700_000_300},
        "software": {"level": Level.SOFTWARE},
    }
    return token(**changes[kind])


@pytest.mark.parametrize(
    ("target", "fields", "kind", "status", "slug"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_bad_request_is_refused_by_its_public_class_and_never_reaches_the_api(
    rig: Rig, target: bytes, fields: list[bytes], kind: str | None, status: int, slug: str
) -> None:
    """A bad request is refused by its public class and never reaches the api."""
    before = reached(rig)
    answer = rig.send(target, *fields, token=made(kind))
    assert (answer.status, answer.slug, reached(rig)) == (status, slug, before)
    assert answer.problem.keys() == {"type", "title", "status", "ref"}
    assert b"jwt" not in answer.body.lower()


def test_the_api_sees_the_verified_instance_and_nothing_that_a_client_claims(rig: Rig) -> None:
    """The api sees the verified instance and nothing that a client claims."""
    forged = [b"%b: 6.6.6.6" % name.replace(b"-", sign) for name in CLIENT_NAMES for sign in SIGNS]
    spoofs = [
        b"Watchword-Level: none",
        b"watchword_instance: me",
        b"Watchword.App: me",
        b"Watchword-Verdict: me",
        b"Watchword.Api: me",
        b"Watchword-Environment: lab",
        b"X-Request-Id: chosen",
        b"x.request_id: chosen",
    ]
    parts = [forged[at : at + 80] for at in range(0, len(forged), 80)]
    for target, part in itertools.product((b"/v1/x", b"/open/x"), parts):
        assert rig.send(target, *spoofs, *part, token=token()).status == 200
        seen = rig.api.seen[-1]
        named = {name: value for name, value in seen.fields if name.startswith(b"watchword")}
        verified = {
            b"watchword-instance": b"pairwise-subject-of-an-instance",
            b"watchword-level": b"hardware",
            b"watchword-app": b"clinic-ios",
        }
        assert named == (verified if target == b"/v1/x" else {})
        assert not [field for field in seen.fields if field[1] in {b"6.6.6.6", b"chosen"}]
        assert len(seen.values(b"x-forwarded-for")) == 1


@pytest.mark.parametrize("target", [b"/%76%31/x", b"/v1", b"/v1/", b"/v1/%c3%a9?q=/../"])
def test_every_spelling_of_a_path_meets_the_same_row_unchanged(rig: Rig, target: bytes) -> None:
    """Every spelling of a path meets the same row unchanged."""
    assert rig.send(target).status == 401
    assert rig.send(target, token=token()).status == 200
    assert rig.api.seen[-1].line == b"GET " + target + b" HTTP/1.1"


def test_head_goes_with_get_and_other_methods_do_not(rig: Rig) -> None:
    """Head goes with get and other methods do not."""
    assert rig.send(b"/v1/x", token=token(), method=b"DELETE").status == 403
    answer = rig.send(b"/v1/x", token=token(), method=b"HEAD")
    assert answer.status == 200


def test_no_secret_stands_in_what_admin_shows(rig: Rig) -> None:
    """No secret stands in what admin shows."""
    dump = rig.admin("/config_dump")
    assert b"watchword.proof" in dump
    assert SECRET.secret.hex().encode() not in dump.lower()


def test_a_reference_is_found_in_the_access_log(rig: Rig) -> None:
    """A reference is found in the access log."""
    ref = rig.send(b"/hw/1", token=made("software")).problem["ref"]
    until(lambda: any(line["ref"] == ref for line in rig.log()))
    line = next(line for line in rig.log() if line["ref"] == ref)
    assert (line["route"], line["status"]) == ("/hw/*", 403)
    assert "rbac" in line["details"]


def test_changes_hold_within_a_second_on_open_connections_and_broken_ones_change_nothing(
    tmp_path: Path,
) -> None:
    """Changes hold within a second on open connections and broken ones change nothing."""
    good, other = token(), token(OTHER_KEY, subject="somebody-else")
    with envoy_before_api(tmp_path / "e", bundle_of(ROUTES)) as rig, rig.connect() as held:

        def ask(kept: bytes) -> int:
            held.sendall(rigs.request(b"/v1/x", token=kept))
            return rigs.read_answer(held).status

        assert [ask(good), ask(good), ask(other)] == [200, 200, 200]
        rig.publish(bundle_of(ROUTES, generation=2, keys=(OTHER_KEY.published(),)))
        # The token was cached, and the connection was open before the key was removed.
        assert until(lambda: ask(good) == 401) < 1
        assert ask(other) == 200
        revoked = frozenset({"somebody-else"})
        keys = (OTHER_KEY.published(), TOKEN_KEY.published())
        rig.publish(bundle_of(ROUTES, generation=3, keys=keys, revoked=revoked))
        assert until(lambda: ask(other) == 401) < 1
        assert until(lambda: ask(good) == 200) < 1
        broken = tmp_path / "e" / "new"
        for name in ("routes.yaml", "filter-token.yaml", "filter-claims-software.yaml"):
            broken.write_text("resources: [{", "utf-8")
            broken.replace(tmp_path / "e" / name)
        failures = r"rds\.watchword-[0-9a-f]+\.update_failure"
        until(lambda: any(rig.stat(failures).values()))
        assert [ask(other), ask(good)] == [401, 200]


def test_one_instance_over_its_rate_waits_and_another_does_not(tmp_path: Path) -> None:
    """One instance over its rate waits and another does not."""
    bundle = bundle_of([route("/v1/**")], rate=Rate(3, 60))
    with envoy_before_api(tmp_path / "e", bundle, concurrency=1) as rig:
        found = [rig.send(token=token()) for _ in range(4)]
        assert [answer.status for answer in found] == [200, 200, 200, 429]
        assert found[-1].slug == "rate-limited"
        assert b"retry-after: 20" in found[-1].head
        assert rig.send(token=token(subject="another")).status == 200


def test_instances_of_one_device_share_its_rate(tmp_path: Path) -> None:
    """Enrolling again brings no new rate; who is of no known device has his own, whatever he says of himself."""
    bundle = bundle_of([route("/v1/**")], rate=Rate(3, 600))
    with envoy_before_api(tmp_path / "e", bundle, concurrency=1) as rig:
        sent = [token(subject=name, device="device-1") for name in ("a", "b", "c", "d", "a")]
        assert [rig.send(token=each).status for each in sent] == [200] * 3 + [429] * 2
        assert rig.send(token=token(subject="e", device="device-2")).status == 200
        own = [
            rig.send(b"/v1/x", b"Watchword-Device: %d" % number, token=token(subject="a")).status
            for number in range(4)
        ]
        assert own == [200] * 3 + [429]
        assert (
            b"watchword-device" not in str([seen.fields for seen in rig.api.seen]).lower().encode()
        )


OPTIONS = EnvoyOptions(
    directory="/srv/envoy",
    listen=Endpoint("127.0.0.1", 8080),
    upstream=Endpoint("127.0.0.1", 8081),
    admin=Endpoint(socket="/srv/envoy/admin.sock"),
)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"mode": Mode.MONITOR}, "mode monitor"),
        ({"minimum_versions": {"clinic": "1.2"}}, "minimum_versions"),
        ({"proof": Proof.SESSION}, "proof session on methods with a body"),
    ],
)
def test_what_cannot_be_exact_is_refused_with_the_way_out(
    changes: dict[str, Any], setting: str
) -> None:
    """What cannot be exact is refused with the way out."""
    with pytest.raises(UnsupportedError) as caught:
        generate(bundle_of([route("/v1/**", **changes)]), OPTIONS, 0)
    assert (caught.value.where, caught.value.setting) == ("/v1/**", setting)


def test_a_retired_key_is_left_out() -> None:
    """A retired key is left out."""
    keys = (TOKEN_KEY.published(100), OTHER_KEY.published(200))
    assert [key.kid for key in living_keys(keys, 100)] == ["token-2"]


PIECES = st.sampled_from(
    [
        "/",
        "a",
        "f",
        "%25",
        "%2e",
        ".",
        "%41",
        "%c3%a9",
        "%C2%85",
        "%ed%a0%80",
        "%2f",
        ";",
        "%20",
        "%G",
    ]
)


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)))
def test_the_expression_reads_exactly_the_paths_that_the_gate_reads(path: str) -> None:
    """The expression reads exactly the paths that the gate reads."""
    readable = not isinstance(read_path(path.encode()), Refusal)
    assert bool(re.fullmatch(READABLE_TARGET, path)) is readable
