"""Hold what Envoy is told of revoked instances and cuts: apart from everything else, whole, and never taken back."""

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engines.envoy.rig import OTHER_KEY, TOKEN_KEY, bundle_of, route

from watchword.apps.engines.envoy import PROVEN_SECONDS, ControlPlane
from watchword.engines.envoy.generation import PRIVATE_PREFIX, REVOCATIONS, generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.script import counts_script, render_revocations
from watchword.engines.interface import BULK_PREFIX, Endpoint, UnsupportedError
from watchword.gate.bundle import GateBundle
from watchword.gate.cuts import Cut
from watchword.gate.revocations import Digests, digest_of, digested, pack, unpack
from watchword.vocabulary import Level, Proof

KEY = b"k" * 12
GONE = "an-instance-that-was-revoked"
BUNDLE = bundle_of(
    [
        route("/v1/**"),
        route("/open", proof=Proof.SESSION, methods=frozenset({"GET"}), level=Level.HARDWARE),
    ]
)
CUTS = st.builds(
    Cut,
    st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.none() | st.sampled_from(Level),
    st.integers(0, 2**40),
    st.integers(1, 64),
)
LINES = re.compile(
    r"watchword-envoy-revocations 1\ngeneration (\d+)\nkey ([0-9a-f]{24})\nbase (\S+) (\d+)\n"
    r"((?:cut \d+ \d+ [a-z]+ [!-~]+\n)*)added ((?:[0-9a-f]{16} )*)\nend\n"
)
"""What the script takes for whole (engines/lua/envoy/counts.lua)."""


def places(directory: Path) -> EnvoyOptions:
    """Return where everything is."""
    return EnvoyOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", 1),
        upstream=Endpoint("127.0.0.1", 2),
        admin=Endpoint(socket=str(directory / "admin.sock")),
    )


def files_of(bundle: GateBundle) -> dict[str, bytes]:
    """Return the files by name."""
    return {each.name: each.data for each in generate(bundle, places(Path("/e")), 1.0)}


@given(st.integers(0, 2**53), st.lists(CUTS, max_size=5), st.sets(st.integers(0, 2**64 - 1)))
def test_all_is_said_in_lines(generation: int, cuts: list[Cut], digests: set[int]) -> None:
    """Whatever an app is called: nothing in its name can pass for another line, or for all apps."""
    text = render_revocations(generation, cuts, Digests(KEY, unpack(pack(digests))).parts())
    found = LINES.fullmatch(text)
    assert found is not None
    assert found.groups()[:4] == (str(generation), KEY.hex(), "-", "0")
    assert [int(each, 16) for each in found[6].split()] == sorted(digests)
    said = [line.split(" ")[1:] for line in found[5].splitlines()]
    read = [
        Cut(
            None if app == "all" else app.removeprefix(":"),
            None if level == "all" else Level(level),
            int(before),
            int(share),
        )
        for before, share, level, app in said
    ]
    assert read == cuts


@pytest.mark.parametrize("app", ["", "a b", "a\ncut 1 64 all all", "ä", "x" * 1025])
def test_an_app_that_is_no_word_is_refused(app: str) -> None:
    """It could be read as something else; no token names such an app."""
    with pytest.raises(UnsupportedError, match="app of a cut"):
        files_of(replace(BUNDLE, cuts=(Cut(app, None, 1),)))


def test_a_path_that_could_be_lua_is_refused() -> None:
    """The script names the file in quotes."""
    with pytest.raises(ValueError, match="state_file"):
        counts_script('/a"..os.exit()..".b')


def test_a_revocation_and_a_cut_change_one_file() -> None:
    """So that no worker forgets a token, and nothing is read but a few lines; an earlier version is told the same way."""
    first = files_of(BUNDLE)
    changed = replace(
        BUNDLE,
        generation=2,
        revoked=frozenset({GONE}),
        cuts=(Cut(None, Level.SOFTWARE, 1_900_000_000, 3),),
    )
    second = files_of(changed)
    assert {name for name in second if first.get(name) != second[name]} == {REVOCATIONS}
    assert first.keys() == second.keys()
    digest = digest_of(digested(changed).key, GONE)
    assert b"\ncut 1900000000 3 software all\nadded %016x \nend\n" % digest in second[REVOCATIONS]
    assert b"generation 2\n" in second[REVOCATIONS]


def test_many_stand_in_a_file_of_their_own() -> None:
    """It is written first, since the other one names it."""
    many = Digests(KEY, unpack(pack(range(5, 2**64, 2**50))))
    names = [each.name for each in generate(replace(BUNDLE, digests=many), places(Path("/e")), 1.0)]
    assert names[:2] == [f"{BULK_PREFIX}{many.parts().name}", REVOCATIONS]


def test_secrets_are_named_by_what_they_are() -> None:
    """A script that is being loaded finds those that it was made with, and stays where they do."""

    def named(bundle: GateBundle) -> list[str]:
        return [name for name in files_of(bundle) if name.startswith(PRIVATE_PREFIX)]

    (first,) = named(BUNDLE)
    assert named(replace(BUNDLE, generation=9, made_at=99)) == [first]
    assert named(replace(BUNDLE, keys=(OTHER_KEY.published(),))) != [first]
    script = files_of(BUNDLE)["filter-proof.yaml"].decode()
    assert f"/e/{first}" in script


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


class Admin(socketserver.UnixStreamServer):
    """Say how often a configuration was rejected, as Envoy's admin endpoint does."""

    rejected = 0


class _Handler(socketserver.StreamRequestHandler):
    server: Admin

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        stats = [{"name": "lds.update_rejected", "value": self.server.rejected}]
        body = json.dumps({"stats": stats}).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@contextmanager
def admin(path: Path) -> Iterator[Admin]:
    """Answer at a socket."""
    with Admin(str(path), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("audience", ["the same", "another"])
def test_who_is_revoked_stays_so_where_a_configuration_is_put_back(
    audience: str, tmp_path: Path
) -> None:
    """The good files come back with what was revoked since; where tokens are for another API, with what was before."""
    first = replace(BUNDLE, revoked=frozenset({"long-gone"}))
    policy = BUNDLE.policy
    if audience == "another":
        expectation = replace(policy.expectation, audience="https://another.example")
        policy = replace(policy, expectation=expectation)
    later = Digests(KEY, unpack(pack([digest_of(KEY, GONE)])))
    second = replace(
        BUNDLE, generation=2, policy=policy, digests=later, keys=(TOKEN_KEY.published(),)
    )
    source, told, now = Source(first), list[str](), [100.0]
    with admin(tmp_path / "admin.sock") as envoy:
        plane = ControlPlane(source, places(tmp_path), lambda: now[0], told.append)
        assert plane.step()
        now[0] += PROVEN_SECONDS
        plane.check()
        good = (tmp_path / "filter-token.yaml").read_bytes()
        source.bundle = second
        assert plane.step()
        assert (tmp_path / "filter-token.yaml").read_bytes() != good
        envoy.rejected += 1
        plane.check()
    assert (tmp_path / "filter-token.yaml").read_bytes() == good
    digests = later if audience == "the same" else digested(first)
    (added,) = digests.parts().added
    text = (tmp_path / REVOCATIONS).read_text("utf-8")
    # Workers that took the later file take no earlier generation.
    assert f"generation 2\nkey {digests.key.hex()}\n" in text
    assert f"added {added:016x} \n" in text
    assert told[-1] == "the last good files are in their place again"
