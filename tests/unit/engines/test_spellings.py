"""Show that what engines are given judges other spellings of paths as the gate does, or refuses them."""

import re
from array import array
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engines.envoy.rig import bundle_of
from tests.unit.gate.simulators import policy, route

from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.routes import plan as envoy_plan
from watchword.engines.envoy.routes import route_configuration
from watchword.engines.haproxy.plan import AMBIGUOUS, Row, lines
from watchword.engines.interface import Endpoint, UnsupportedError
from watchword.engines.nginx import render
from watchword.engines.paths import dots, doubles, normalised_expression, separators, spellings_of
from watchword.engines.yaml_text import Commented
from watchword.gate.decisions import CompiledPolicy
from watchword.gate.hygiene import compile_routes
from watchword.gate.interface import Route
from watchword.gate.revocations import Digests
from watchword.gate.spellings import SEPARATORS, fold, fold_path
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level, Mode, Proof

OPTIONS = EnvoyOptions(
    directory="/etc/envoy",
    listen=Endpoint("127.0.0.1", 8080),
    upstream=Endpoint("127.0.0.1", 8081),
    admin=Endpoint(socket="/run/admin.sock"),
    authz=Endpoint(socket="/run/authz.sock"),
)
SPELLINGS = {
    "s": ["s", "S", "S", "\u017f", "\uff53"],
    "k": ["k", "K", "\u212a"],
    "i": ["i", "I", "\u0131", "I\u0307"],
}
WORDS = ("sess", "kiss", "x")
PATTERNS = st.builds(
    lambda segments, rest: "/" + "/".join(segments + rest),
    st.lists(st.sampled_from([*WORDS, "Sess", "*"]), min_size=1, max_size=2),
    st.sampled_from([[], ["**"]]),
)
TABLES = st.lists(
    st.builds(
        route,
        PATTERNS,
        mode=st.sampled_from([Mode.OFF, Mode.MONITOR, Mode.ENFORCE, Mode.ENFORCE]),
        level=st.sampled_from([Level.SOFTWARE, Level.HARDWARE]),
        proof=st.sampled_from([Proof.BEARER, Proof.SESSION]),
        methods=st.sampled_from([(), ("GET",), ("POST",)]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each.pattern,
).map(lambda rows: [*rows, route("/**", level=Level.SOFTWARE, name="rest")])


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Return a path of the tables' words, spelled in some way."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    spelled = [
        "".join(draw(st.sampled_from(SPELLINGS.get(sign, [sign]))) for sign in word)
        for word in words
    ]
    return "/" + "/".join(quote(each, safe="") for each in spelled)


def by_gate(routes: Sequence[Route], path: str) -> str:
    """Return the row by which the gate judges, or the reason for which it refuses."""
    target = CompiledPolicy(1, policy(*routes)).resolve("GET", path.encode())
    return target.reason.code if isinstance(target, Refusal) else target.route.name


def by_haproxy(routes: Sequence[Route], path: str) -> str:
    """Return what the first line of HAProxy's map says that fits."""
    rows = tuple(Row(number, row) for number, row in enumerate(compile_routes(routes)))
    for line in lines(policy(*routes), rows):
        expression, _, asked = line.partition(" ")
        if re.search(expression, f"GET{path}"):
            if asked == AMBIGUOUS:
                return Reason.GATE_ROUTE_AMBIGUOUS.code
            return asked.split(":", 5)[5]
    return Reason.GATE_ROUTE_UNKNOWN.code


def by_envoy(routes: Sequence[Route], path: str) -> str:
    """Return the name of the first of Envoy's routes that fits, for requests without a body."""
    table = policy(*routes)
    made: dict[str, Any] = route_configuration(table, envoy_plan(table, OPTIONS), [])
    (host,) = made["virtual_hosts"]
    names = {
        "unknown": Reason.GATE_ROUTE_UNKNOWN.code,
        "ambiguous": Reason.GATE_ROUTE_AMBIGUOUS.code,
    }
    for written in host["routes"]:
        entry: dict[str, Any] = (
            dict(written.value) if isinstance(written, Commented) else dict(written)  # type: ignore[call-overload]
        )
        if _fits(entry["match"], path):
            return str(names.get(entry["name"], entry["name"]))
    raise AssertionError(path)


def _fits(match: Mapping[str, Any], path: str) -> bool:
    if "connect_matcher" in match or not path.startswith(match.get("prefix", "")):
        return False
    if "safe_regex" in match and not re.fullmatch(match["safe_regex"]["regex"], path):
        return False
    # A query can hold whatever it likes.
    fields = {":path": f"{path}?/x=/SESS", ":method": "GET", ":authority": "clinic.example"}
    return all(_holds(each, fields.get(each["name"])) for each in match.get("headers", ()))


def _holds(header: Mapping[str, Any], value: str | None) -> bool:
    if value is None:
        return bool(header.get("invert_match", False))
    text = header.get("string_match", {})
    if "safe_regex" in text:
        found = re.fullmatch(text["safe_regex"]["regex"], value) is not None
    else:
        found = text.get("contains", "\0") in value or text.get("exact") == value
    return found is not header.get("invert_match", False)


@settings(max_examples=300)
@given(TABLES, paths())
def test_engines_judge_as_the_gate(routes: list[Route], path: str) -> None:
    """The same row judges; where Unicode's forms could matter, the engine may refuse what the gate judges.

    A row that enforces nothing asks for nothing: for its sake an engine, which has no tables of Unicode, refuses no such form.
    """
    gate = by_gate(routes, path)
    enforced = {each.name for each in routes if each.mode is Mode.ENFORCE}
    for engine in (by_haproxy, by_envoy):
        found = engine(routes, path)
        if "%" in path and found == Reason.GATE_ROUTE_AMBIGUOUS.code:
            assert gate != Reason.GATE_ROUTE_UNKNOWN.code
        elif "%" in path and found != gate:
            assert not {gate, found} & enforced, engine.__name__
        else:
            assert found == gate, engine.__name__


def test_a_third_row_in_the_way() -> None:
    """Pairs that don't compare are refused, and a third row that is stricter than both judges."""
    low = route("/a/b", level=Level.SOFTWARE, proof=Proof.SESSION, name="low")
    top = route("/a/*", proof=Proof.SESSION, name="top")
    rest = route("/**", name="rest")
    for engine in (by_gate, by_haproxy, by_envoy):
        assert engine([low, top, rest], "/A/b") == "top"
        assert engine([low, rest], "/A/b") == "gate.route_ambiguous"
        assert engine([low, rest], "/a/b") == "low"


@given(st.text("ab./\uff0e\uff0f\u2025\u2026\uff1b\u00bd\u00e9", min_size=1, max_size=6))
def test_the_expression_of_separators(text: str) -> None:
    """Engines refuse exactly the paths in which the gate finds a separator or dots in another form."""
    segments = tuple(text.split("/"))
    if all(each.strip(".") for each in segments):
        path = "/" + quote(text, safe="/")
        found = re.fullmatch(normalised_expression(), path)
        assert (found is not None) is isinstance(fold_path(segments), Refusal)


def test_the_signs_are_all_of_unicode() -> None:
    """No sign beyond those that are looked at becomes one of ASCII."""
    known = {*separators(), *dots(), *doubles([chr(sign) for sign in range(0x20, 0x7F)])}
    for point in range(0xA0, 0x110000):
        if not 0xD800 <= point < 0xE000:
            plain = fold(chr(point))
            if plain.isascii() and len(plain) == 1:
                assert chr(point) in known
            if not SEPARATORS.isdisjoint(plain) or not plain.strip("."):
                assert chr(point) in known


def test_long_forms_are_known_where_they_matter() -> None:
    """A sign that stands for several letters counts where a row has these letters, and nowhere else."""
    assert {"\u00df", "\u017f", "\uff53"} <= set(doubles({"sess"}))
    assert "\u00df" not in doubles({"ses"})
    assert "\u0307" not in doubles({"sess"})
    assert {"\u0307", "\u0131"} <= set(doubles({"kiss"}))


def test_what_no_engine_can_tell_is_refused() -> None:
    """Signs outside of ASCII in a row that other spellings could lead to: nothing is written."""
    rows = (route("/caf%C3%A9", proof=Proof.SESSION, name="cafe"), route("/**", name="rest"))
    with pytest.raises(UnsupportedError, match="case: sensitive"):
        spellings_of(compile_routes(rows), policy(*rows))
    with pytest.raises(UnsupportedError, match="cafe"):
        render(bundle_of(rows), Digests(bytes(12), array("Q")).parts())
    sensitive = policy(*rows, case_sensitive=True)
    assert spellings_of(compile_routes(rows), sensitive).cases == ((), ())


def test_the_size_of_a_long_table() -> None:
    """A thousand rows before an open one make a thousand lines more, and one that looks for signs."""
    rows = [route(f"/a{at}/**", proof=Proof.SESSION) for at in range(999)]
    table = policy(*rows, route("/**"))
    planned = tuple(Row(at, row) for at, row in enumerate(compile_routes(table.routes)))
    written = list(lines(table, planned))
    assert len(written) == 1000 + 999 + 1
    assert max(map(len, written)) < 16_000
