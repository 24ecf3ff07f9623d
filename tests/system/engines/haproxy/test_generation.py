"""Write HAProxy's files from a bundle: what they say, and what they are never written for."""

import re
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.system.engines.haproxy.rig import BUNDLE, ROWS
from tests.unit.engines.envoy.rig import SECRET, bundle_of, route

from watchword.engines.haproxy import hygiene, proofs, text
from watchword.engines.haproxy.generation import generate, start
from watchword.engines.haproxy.plan import MAX_HELD_BODY
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions, UnsupportedError
from watchword.engines.registry import ENGINES
from watchword.gate.cuts import Cut
from watchword.gate.hygiene import read_path
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout, is_at_least
from watchword.gate.revocations import Digests, digested
from watchword.reasons import Refusal
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

OPTIONS = EngineOptions(
    "/var/lib/watchword/haproxy", Endpoint("::1", 8080), Endpoint("api.example", 443), tls=True
)


def files(bundle: Any = BUNDLE, options: EngineOptions = OPTIONS) -> dict[str, str]:
    """Return the content of each file by its name."""
    return {file.name: file.content for file in generate(bundle, options, 0)}


@pytest.mark.parametrize(
    ("bundle", "setting"),
    [
        (bundle_of([route("/a", proof=Proof.DEVICE)]), "proof device"),
        (bundle_of([route("/a", proof=Proof.DEVICE, dpop=True)]), "proof device with dpop"),
        (bundle_of([route("/a", mode=Mode.CANARY, canary=Rollout(5))]), "mode canary"),
        (bundle_of([route("/a/**", secret="maps")]), "secret maps"),
        (bundle_of(ROWS, replay=ReplayMode.SHARED), "replay shared"),
        (bundle_of(ROWS, replay=ReplayMode.AFFINE), "replay affine"),
        (bundle_of(ROWS, binding_header=b"authorization"), "binding_header"),
        (bundle_of(ROWS, limits=(Limit("day", LimitKind.QUOTA, 9, 86400),)), "limits"),
        (bundle_of(ROWS, rate=Rate(9, 2_000_000)), "rate"),
        (bundle_of(ROWS, device_for_session=True), "device_for_session"),
        (bundle_of([route("/a", name="two\nlines")]), "the row's name"),
    ],
)
def test_what_it_cannot_hold_is_refused_with_a_way_out(bundle: Any, setting: str) -> None:
    """Nothing is written, and somebody is told where to go."""
    with pytest.raises(UnsupportedError) as refused:
        generate(bundle, OPTIONS, 0)
    assert refused.value.setting == setting
    assert ";" in str(refused.value)


def test_signed_verdicts_and_odd_directories_are_refused() -> None:
    """They would be left out, or end a word of the configuration."""
    for options in (replace(OPTIONS, signed_verdict=True), replace(OPTIONS, directory="/a b")):
        with pytest.raises(UnsupportedError):
            generate(BUNDLE, options, 0)


def test_whatever_subjects_hold_the_lists_are_base64url() -> None:
    """None of them can break a line, or end a command; a bundle of either version is written alike."""
    odd = frozenset({"two words", "#comment", 'a"b', "a\\b", "a\nb 1", "", "x" * 257, "it's;fine"})
    found = files(bundle_of(ROWS, revoked=odd))
    assert found[text.REVOKED] == ""
    key, *lines = found[text.REVOKED_SINCE].splitlines()
    assert re.fullmatch(r"key [A-Za-z0-9_-]{16}", key)
    assert len(lines) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{11} 1", each) for each in lines)
    chained = replace(BUNDLE, digests=digested(bundle_of(ROWS, revoked=odd)))
    assert files(chained) == found


def test_many_digests_stand_in_one_line() -> None:
    """Each line is found by twelve bits, and what is listed before the next thousands come stays as it is."""
    digests = Digests(b"k" * 12, array("Q", range(0, 2**64, 2**51)))
    written = files(replace(BUNDLE, digests=digests))[text.REVOKED]
    lines = [line.split(" ") for line in written.splitlines()]
    assert len(lines) == 4096
    assert all(re.fullmatch(r"a2tra2tra2tra2tr[A-Za-z0-9_-]{2}", key) for key, _ in lines)
    assert {len(value) for _, value in lines} == {2 * 9}
    assert all(value[:9] > value[9:] for _, value in lines)
    digests.add([5])
    more = files(replace(BUNDLE, digests=digests))
    assert more[text.REVOKED] is written
    assert more[text.REVOKED_SINCE] == "key a2tra2tra2tra2tr\nAAAAAAAAAAU 1\n"


def test_digests_that_chance_did_not_spread_are_refused() -> None:
    """A line that is longer than the rules look through would let revoked instances in."""
    digests = Digests(b"k" * 12, array("Q", range(5000)))
    with pytest.raises(UnsupportedError, match="begin alike"):
        generate(replace(BUNDLE, digests=digests), OPTIONS, 0)


def test_cuts_have_a_line_for_each_part_level_and_app() -> None:
    """The latest of several counts; an app that no token may have here breaks no line."""
    cuts = (
        Cut(None, Level.VERIFIED, 50, 2),
        Cut(None, Level.VERIFIED, 60, 1),
        Cut("app.one", Level.HARDWARE, 70, 1),
        Cut("two words", None, 80),
    )
    found = files(replace(BUNDLE, cuts=cuts))[text.CUTS]
    assert found == "A:hardware:app.one 70\nA:verified 60\nB:verified 50\n"
    assert len(files(replace(BUNDLE, cuts=(Cut(None, None, 9),)))[text.CUTS].splitlines()) == 256
    assert files()[text.CUTS] == ""


def test_device_route_that_is_off_is_no_reason_to_refuse() -> None:
    """Nobody looks at proofs there."""
    assert files(bundle_of([route("/a", proof=Proof.DEVICE, mode=Mode.OFF)]))


def test_secrets_are_in_one_private_file_and_nowhere_else() -> None:
    """It is written first; and where no route looks at proofs, it is empty."""
    made = generate(BUNDLE, OPTIONS, 0)
    assert [file.name for file in made if file.kind is EngineFileKind.PRIVATE] == [text.SECRETS]
    assert made[0].name == text.SECRETS
    assert made[0].content not in repr(made)
    assert files(bundle_of([route("/a")]))[text.SECRETS] == ""
    assert str(SECRET.epoch) in files()[text.SECRETS]


def test_retired_keys_are_left_out() -> None:
    """So are rules for them."""
    ended = replace(BUNDLE.keys[1], verify_until=5.5)
    bundle = replace(BUNDLE, keys=(BUNDLE.keys[0], ended))
    before, after = generate(bundle, OPTIONS, 5), generate(bundle, OPTIONS, 6)
    named = text.key_file(ended.kid)
    assert named in {file.name for file in before}
    assert named not in {file.name for file in after}
    assert all(named not in file.content for file in after)
    # The second in which it ends is over for it: HAProxy counts whole ones.
    assert any(f"{ended.kid}:5\n" in file.content for file in before)


def test_bodies_are_bound_by_what_is_held() -> None:
    """A row may ask for less, and gets no more."""
    rows = [route("/a", proof=Proof.SESSION, max_body=9), route("/b", proof=Proof.SESSION)]
    lines = files(bundle_of(rows))[text.ROUTES].splitlines()
    assert [line.split(" ")[1].split(":")[4] for line in lines] == ["9", str(MAX_HELD_BODY)]


def test_engine_is_registered_with_its_command() -> None:
    """The command names the master socket, by which it is followed."""
    engine = ENGINES["haproxy"]
    assert engine.generate is generate
    assert engine.follows
    assert "-W -S /var/lib/watchword/haproxy/master.sock,mode,600" in start(OPTIONS)
    assert start(replace(OPTIONS, access_log="/var/log/x.log")).endswith(">> /var/log/x.log")


def test_certificate_of_the_api_is_checked_for_its_name() -> None:
    """Without a name, any certificate of any host would do."""
    config = files()[text.CONFIG]
    assert 'ssl verify required ca-file @system-ca verifyhost "api.example"' in config
    plain = replace(OPTIONS, tls=False, upstream=Endpoint(socket="/run/api.sock"))
    assert 'server api "unix@/run/api.sock"' in files(options=plain)[text.CONFIG]


numbers = st.integers(0, 1200).map(str) | st.sampled_from(["0", "00", "007", "9", "10", "99", "a"])
dotted = st.lists(numbers, min_size=1, max_size=9).map(".".join)


@given(dotted, st.lists(st.integers(0, 1200), min_size=1, max_size=4))
def test_versions_have_the_gates_order(version: str, minimum: list[int]) -> None:
    """The expression matches exactly what the gate takes."""
    lowest = ".".join(map(str, minimum))
    matched = re.match(text.at_least(lowest), version, re.ASCII) is not None
    assert matched is is_at_least(version, lowest)


@pytest.mark.parametrize(
    "version", ["1.0\n", "1.0-beta", "", ".1", "1.", "1..2", "\u0661", "9" * 19]
)
def test_versions_without_a_place_in_the_order_are_none(version: str) -> None:
    """Whatever the minimum is."""
    assert re.match(text.at_least("0"), version, re.ASCII) is None
    assert not is_at_least(version, "0")


pieces = st.sampled_from(
    [
        *(
            "/",
            "//",
            "a",
            "A",
            ".",
            "..",
            "...",
            "-",
            "~",
            ";",
            "\\",
            "#",
            "%",
            "%2",
            "%25",
            "%2541",
        ),
        *("%41", "%2e", "%2E", "%2f", "%5c", "%3B", "%00", "%1f", "%7f", "%c2%80", "%C2%A0"),
        *("%c3%a9", "%e0%a0%80", "%e0%80%80", "%ed%a0%80", "%ed%9f%bf", "%f0%90%80%80"),
        *("%f4%90%80%80", "%f4%8f%bf%bf", "%80", "%ff", "%34", "%61", "4", "1", "'", '"', "?"),
    ]
)


@given(st.lists(pieces, max_size=12).map(lambda found: "/" + "".join(found)))
def test_paths_are_read_as_the_gate_reads_them(path: str) -> None:
    """The expression matches exactly the paths that can be read in one way."""
    readable = not isinstance(read_path(path.encode()), Refusal)
    assert (re.match(hygiene.READABLE, path) is not None) is readable
    assert readable or re.match(hygiene.COMMON, path) is None


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_words_end_where_they_end(content: str) -> None:
    """Read by the rules of the manual, a word is what was written into it."""
    quoted = text.word(content)
    assert quoted[0] == quoted[-1] == '"'
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == content
    assert re.fullmatch(r'(?:[^"\\$]|\\.)*', quoted[1:-1], re.DOTALL)


def test_words_hold_no_control_characters_and_arguments_no_quotes() -> None:
    """A line break in a name would be another line of the configuration."""
    for content in ("a\rb", "a\x00", "\x7f"):
        with pytest.raises(ValueError, match="control character"):
            text.word(content)
    assert text.word("a\nb") == '"a\\nb"'
    with pytest.raises(ValueError, match="single quote"):
        text.argument("it's")


def test_what_counts_or_waits_asks_first_whether_anything_was_wrong() -> None:
    """Rules that set variables may run for nothing; a refused request takes no nonce and no room."""
    bundle = bundle_of((route("/pay/**", proof=Proof.SESSION),), rate=Rate(5, 2))
    lines = [line.strip() for line in files(bundle)[text.CONFIG].splitlines()]
    acting = ("track-sc", "sc-set-", "wait-for-body", "lua.watchword_wait", "sc_inc_")
    acts = [line for line in lines if any(each in line for each in acting)]
    assert len(acts) > 10
    # What is asked all at once counts where all of it holds.
    guards = (text.WHOLE, text.found("txn.sound"), proofs.FIRST)
    assert [line for line in acts if not any(each in line for each in guards)] == []


def test_no_line_of_the_configuration_has_more_words_than_haproxy_takes() -> None:
    """It takes 64, and the longest lines ask all at once."""
    rows = (
        route("/pay/**", proof=Proof.SESSION, minimum_versions={"clinic-ios": "1.2"}),
        route("/v1/**", minimum_versions={"clinic-ios": "1.2", "clinic-android": "1.3"}),
    )
    config = files(bundle_of(rows, rate=Rate(5, 2)))[text.CONFIG]
    words = [len(re.findall(r'"(?:[^"\\]|\\.)*"|\S+', line)) for line in config.splitlines()]
    assert max(words) <= 64
