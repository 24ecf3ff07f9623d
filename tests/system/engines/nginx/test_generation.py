"""Show what is written for nginx, and what is refused in place of being written weaker."""

import json
from array import array
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.engines.envoy.rig import SECRET, TOKEN_KEY, bundle_of, route
from tests.unit.gate.simulators import CLAIMS

from watchword.broker.interface import HoneytokenWatch
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions, UnsupportedError
from watchword.engines.nginx import generate
from watchword.gate.bundle import GateBundle
from watchword.gate.cuts import Cut
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout
from watchword.gate.revocations import Digests, digest_of
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

OPTIONS = EngineOptions(
    directory="/srv/gate",
    listen=Endpoint("127.0.0.1", 8080),
    upstream=Endpoint("api.internal", 443),
    tls=True,
    access_log="/srv/gate/access.log",
)
PLAIN = route("/v1/**")


def files(bundle: GateBundle, **changes: Any) -> dict[str, str]:
    """Return the files by name."""
    return {file.name: file.content for file in generate(bundle, replace(OPTIONS, **changes), 0.0)}


@pytest.mark.parametrize(
    ("bundle", "changes", "where", "setting"),
    [
        (bundle_of([route("/a", mode=Mode.CANARY, canary=Rollout(5))]), {}, "/a", "mode canary"),
        (
            bundle_of([route("/a", proof=Proof.SESSION)], replay=ReplayMode.SHARED),
            {},
            "/a",
            "replay shared",
        ),
        (
            bundle_of([route("/a", proof=Proof.SESSION)], replay=ReplayMode.AFFINE),
            {},
            "/a",
            "replay affine",
        ),
        (
            bundle_of([PLAIN], limits=(Limit("daily", LimitKind.QUOTA, 5, 86400),)),
            {},
            "clinic",
            "limits",
        ),
        (bundle_of([PLAIN]), {"signed_verdict": True}, "clinic", "signed_verdict"),
        (
            bundle_of([PLAIN], canaries=HoneytokenWatch(b"k" * 32, {}, ())),
            {},
            "clinic",
            "canary keys",
        ),
        (bundle_of([PLAIN]), {"directory": "/srv/a b"}, "clinic", "path"),
        (bundle_of([PLAIN]), {"access_log": "/srv/log;include /etc/x"}, "clinic", "path"),
        (bundle_of([PLAIN]), {"upstream": Endpoint("a; b", 80)}, "clinic", "host"),
        (bundle_of([PLAIN]), {"listen": Endpoint(socket="/srv/{x}")}, "clinic", "path"),
        (bundle_of([PLAIN]), {"user": "root; daemon on"}, "clinic", "user"),
    ],
)
def test_what_nginx_cant_do_is_refused(
    bundle: GateBundle, changes: dict[str, Any], where: str, setting: str
) -> None:
    """Nothing is written, and the text says where, why and what to do."""
    with pytest.raises(UnsupportedError) as error:
        files(bundle, **changes)
    assert (error.value.where, error.value.setting) == (where, setting)


def test_replay_modes_matter_only_where_proofs_are_asked_for() -> None:
    """Bearer routes, and routes that are off, remember no proofs."""
    routes = [PLAIN, route("/open", mode=Mode.OFF, proof=Proof.SESSION)]
    assert "gate-state" in files(bundle_of(routes, replay=ReplayMode.SHARED))


def test_secrets_stand_in_the_private_file_alone() -> None:
    """It is the one of kind private; the others are the same for another generation with other secrets."""
    bundle = bundle_of([route("/pay", proof=Proof.SESSION)], revoked=frozenset({"gone"}))
    made = generate(bundle, OPTIONS, 0.0)
    assert [file.kind for file in made] == [
        EngineFileKind.PRIVATE,
        EngineFileKind.PART,
        EngineFileKind.ROOT,
    ]
    for file in made[1:]:
        assert SECRET.secret.hex() not in file.content
        assert "gone" not in file.content
    assert SECRET.secret.hex() not in repr(made)
    later = replace(bundle, generation=2, secrets=(), keys=(), revoked=frozenset())
    assert [file.content for file in generate(later, OPTIONS, 9.0)[1:]] == [
        file.content for file in made[1:]
    ]


def test_the_private_file_says_what_the_policy_says() -> None:
    """Keys with their ends, secrets by epoch, routes with their pattern taken apart."""
    ended = replace(TOKEN_KEY.published(), verify_until=12.5)
    rows = [
        route("/a/*/c%20d/**", methods=frozenset({"GET"}), minimum_versions={CLAIMS.app_id: "1.2"})
    ]
    revoked = frozenset({"b", "a"})
    bundle = bundle_of(rows, keys=(ended,), rate=Rate(5, 60), revoked=revoked)
    first, revoked_line, last = files(bundle)["gate-state"].splitlines()
    state = json.loads(first)
    assert state["keys"][0]["ends"] == "12.500"
    assert state["secrets"][0] == {"epoch": 0, "secret": SECRET.secret.hex(), "ends": "-"}
    (row,) = state["routes"]
    assert row["segments"] == ["a", "*", "c d"]
    assert (row["methods"], row["open_ended"]) == (["GET", "HEAD"], True)
    assert state["rate"] == {"requests": 5, "seconds": 60}
    key = bytes.fromhex(state["revoked"]["key"])
    digests = sorted(digest_of(key, name) for name in revoked)
    assert state["revoked"] == {"key": key.hex(), "base": "", "count": 0}
    assert (revoked_line, last) == ("".join(f"{each:016x} " for each in digests), "end")


def test_one_more_revocation_is_written_as_little() -> None:
    """However many are revoked: most digests are in a file that stays as it is."""
    digests = Digests(b"k" * 12, array("Q", range(0, 2**60, 2**44)))
    bundle = replace(bundle_of([PLAIN]), digests=digests)
    bulk, state, *_ = generate(bundle, OPTIONS, 0.0)
    assert (bulk.kind, bulk.packed) == (EngineFileKind.BULK, digests.packed())
    named = json.loads(state.content.partition("\n")[0])["revoked"]
    assert named == {"key": (b"k" * 12).hex(), "base": bulk.name[8:], "count": 2**16}
    digests.add([0xABC])
    again, later, *_ = generate(replace(bundle, generation=2), OPTIONS, 0.0)
    assert again == bulk
    assert later.content.endswith("\n0000000000000abc \nend\n")
    assert len(later.data) < 4096
    assert b"abc" not in repr([again, later]).encode()


def test_what_tokens_are_verified_by_is_told_apart() -> None:
    """They stay verified where only who is revoked or cut off changed."""

    def state(**changes: Any) -> dict[str, Any]:
        made = files(replace(bundle_of([PLAIN]), **changes))["gate-state"]
        return dict(json.loads(made.partition("\n")[0]))

    cut = Cut("com.example", Level.VERIFIED, 1_900_000_000, 16)
    first, cut_off = state(), state(generation=9, revoked=frozenset({"a"}), cuts=(cut,))
    assert first["trust"] == cut_off["trust"]
    assert first["cuts"] == []
    assert cut_off["cuts"] == [
        {"app": "com.example", "level": "verified", "before": 1_900_000_000, "share": 16}
    ]
    for changed in (state(keys=()), state(secrets=()), state(policy=bundle_of([]).policy)):
        assert changed["trust"] != first["trust"]


def test_the_api_is_asked_over_tls_with_its_name_checked() -> None:
    """No certificate is checked by nginx unless it is told to."""
    written = files(bundle_of([PLAIN]))["nginx.conf"]
    assert "proxy_pass https://watchword_api;" in written
    for line in (
        "proxy_ssl_verify on;",
        "proxy_ssl_name api.internal;",
        "proxy_ssl_server_name on;",
    ):
        assert line in written
    assert "proxy_ssl" not in files(bundle_of([PLAIN]), tls=False)["nginx.conf"]
