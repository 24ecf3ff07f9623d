"""Run suites of our own making in each published layout, and suites that lie."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.machine import patience
from tests.system.conformance import own_suites as own

from watchword.reasons import MalformedError, Reason
from watchword_conformance.suites.interface import (
    MAX_FILE_BYTES,
    Case,
    MisreadError,
    Must,
    Outside,
    SuiteError,
    SuiteFile,
    agreed,
    find,
)
from watchword_conformance.suites.requests import (
    KINDS,
    genuine_request,
    proof_holds,
    proof_parameters,
    sign_proof,
)
from watchword_conformance.suites.results import (
    SUITES,
    Outcome,
    Run,
    outcome_of,
    run,
    table,
    totals,
)

WATCHWORD = str(Path(sys.executable).with_name("watchword"))
STRICT = Outside("strict", "Refused all the same.")
UNJUDGED = Outside("unjudged", "Nothing judges it.", unjudged=True)


def yes() -> bool:
    """Accept."""
    return True


def refuse() -> bool:
    """Refuse with a reason."""
    raise MalformedError.because(Reason.ENCODING_JSON)


def break_() -> bool:
    """Raise what is no refusal."""
    raise KeyError("secret input")


def misread() -> bool:
    """Read it as something else."""
    raise MisreadError("something else")


@pytest.mark.parametrize(
    ("must", "outside", "attempt", "expected"),
    [
        (Must.ACCEPT, None, yes, Outcome.ACCEPTED),
        (Must.ACCEPT, None, refuse, Outcome.WRONG_REJECT),
        (Must.ACCEPT, None, bool, Outcome.WRONG_REJECT),
        (Must.ACCEPT, None, misread, Outcome.WRONG_ACCEPT),
        (Must.REJECT, None, refuse, Outcome.REJECTED),
        (Must.REJECT, None, bool, Outcome.REJECTED),
        (Must.REJECT, None, yes, Outcome.WRONG_ACCEPT),
        (Must.REJECT, None, break_, Outcome.FOREIGN),
        (Must.REJECT, STRICT, yes, Outcome.WRONG_ACCEPT),
        (Must.ACCEPT, STRICT, yes, Outcome.WRONG_ACCEPT),
        (Must.ACCEPT, STRICT, refuse, Outcome.OUTSIDE),
        (Must.REJECT, UNJUDGED, yes, Outcome.OUTSIDE),
        (Must.EITHER, UNJUDGED, refuse, Outcome.OUTSIDE),
        (Must.EITHER, UNJUDGED, break_, Outcome.FOREIGN),
        (Must.EITHER, UNJUDGED, misread, Outcome.WRONG_ACCEPT),
    ],
)
def test_what_becomes_of_a_case(
    must: Must, outside: Outside | None, attempt: Callable[[], bool], expected: Outcome
) -> None:
    """A reason to lie outside excuses no exception, no misreading, and no accept where it isn't unjudged."""
    outcome, told = outcome_of(Case("case", must, attempt, outside))
    assert outcome is expected
    assert "secret" not in told


def test_readers_that_differ_are_a_misreading() -> None:
    """Two readers of one thing must say the same; a refusal is a no."""
    assert agreed(yes, yes)
    assert not agreed(refuse, bool)
    with pytest.raises(MisreadError):
        agreed(yes, refuse)


def numbers(*given_files: SuiteFile) -> dict[str, tuple[int, int, int]]:
    """Return the numbers of each set, of which none may have ended badly."""
    found = run(given_files, SUITES)
    assert [tally.wrong for tally in found.tallies.values() if tally.wrong] == []
    return {name: tally.numbers for name, tally in found.tallies.items()}


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (own.jose, (3, 1, 3)),
        (own.jwt, (4, 1, 1)),
        (own.signatures, (4, 3, 3)),
        (own.macs, (1, 1, 2)),
        (own.aeads, (1, 1, 1)),
        (own.fields, (1, 0, 2)),
        (own.limbo, (1, 1, 2)),
        (own.bettertls, (1, 1, 1)),
        (own.raw_http, (4, 1, 1)),
        (own.message_signatures, (9, 1, 2)),
    ],
)
def test_a_suite_in_each_layout(
    suite: Callable[[], SuiteFile], expected: tuple[int, int, int]
) -> None:
    """What must be rejected is, what must be accepted is, and the rest lies outside."""
    assert list(numbers(suite()).values()) == [expected]


def test_json_documents() -> None:
    """Documents of any kind are read as members, objects also as they stand; the sets are one."""
    documents = {
        "y_object.json": b'{"a":1}',
        "y_number.json": b"1.5",
        "y_twice.json": b'{"a":1,"a":2}',
        "n_open.json": b"[",
        "n_nan.json": b"NaN",
        "i_half.json": b'["\\ud800"]',
    }
    given_files = [own.file(f"test_parsing/{name}", text) for name, text in documents.items()]
    assert numbers(*given_files) == {"JSONTestSuite": (2, 2, 2)}


def test_cbor() -> None:
    """Examples are read as they say; what our profile lacks is refused, also deep inside."""
    examples = [
        {"hex": "a10102", "roundtrip": True, "diagnostic": "{1: 2}"},
        {"hex": "4101", "roundtrip": True, "diagnostic": "h'01'"},
        {"hex": "8101", "roundtrip": True, "decoded": [1]},
        {"hex": "81f93c00", "roundtrip": True, "decoded": [1.0]},
        {"hex": "a1019f01ff", "roundtrip": False, "decoded": None},
        {"hex": "c001", "roundtrip": True, "decoded": None},
    ]
    malformed = ["18", "ff", "5f00ff"]
    assert numbers(own.file("a.json", examples), own.file("f.json", malformed)) == {
        "CBOR, examples": (0, 3, 3),
        "CBOR, not well-formed": (3, 0, 0),
    }


def test_odd_certificates() -> None:
    """Certificates have no verdict; what else stands in PEM must be refused; bytes may be anything."""
    root = own.chain()[0]
    crl = own.pem(root).replace("CERTIFICATE", "X509 CRL").encode()
    broken = own.file("custom/ca/broken.der", own.der(root)[:-5])
    good = own.file("custom/good.pem", own.pem(root).encode())
    found = run([good, broken], SUITES)
    assert found.tallies["pyca x509/custom"].numbers == (0, 0, 2)
    # A certificate under the label of a CRL is one that is read: the suite lies, and is told so.
    lying = run([own.file("custom/crl.pem", crl)], SUITES)
    assert lying.tallies["pyca x509/custom"].bad == (1, 0, 0)


@pytest.mark.parametrize(
    ("lie", "bad"),
    [
        (own.file("test_parsing/n_good.json", b'{"a":1}'), (1, 0, 0)),
        (own.file("test_parsing/y_bad.json", b"[1,"), (0, 1, 0)),
        (own.file("a.json", [{"hex": "01", "roundtrip": True, "decoded": 2}]), (1, 0, 0)),
        (own.file("a.json", [{"hex": "01", "roundtrip": True, "decoded": True}]), (1, 0, 0)),
        (own.file("f.json", ["01"]), (1, 0, 0)),
    ],
)
def test_suites_that_lie_are_told(lie: SuiteFile, bad: tuple[int, int, int]) -> None:
    """A good case called bad is a wrong accept, a bad one called good a wrong reject, another value a misreading."""
    found = run([lie], SUITES)
    assert [tally.bad for tally in found.tallies.values()] == [bad]
    assert not found.good


def test_opening_to_another_text_is_a_misreading() -> None:
    """A sealed text that opens is accepted only as what the suite says it is."""
    lie = own.aeads().data.replace(own.MESSAGE.hex().encode(), b"00")
    (found,) = run([own.file("aead.json", lie)], SUITES).tallies.values()
    assert found.bad == (1, 0, 0)


@pytest.mark.parametrize(
    "make", [own.jose, own.signatures, own.macs, own.aeads, own.limbo, own.jwt]
)
def test_verdicts_turned_round(make: Callable[[], SuiteFile]) -> None:
    """With each verdict turned round, what was right is wrong: no number is right by chance."""
    text = make().data.decode()
    pairs = [("valid", "invalid"), ("SUCCESS", "FAILURE"), ("accept", "reject")]
    for first, second in pairs:
        a, b = f'"{first}"', f'"{second}"'
        text = text.replace(a, "\0").replace(b, a).replace("\0", b)
    ((rejected, accepted, _),) = numbers(make()).values()
    (turned,) = run([own.file(str(make().path), text.encode())], SUITES).tallies.values()
    assert turned.bad == (accepted, rejected, 0)


def test_files_that_lack_something_are_errors_of_the_file() -> None:
    """A layout with a hole in it is told by its file's name, and isn't counted against our code."""
    for crooked in (
        own.file("a.json", {"schema": "json_web_x", "testGroups": [{"comment": "a"}]}),
        own.file("b.json", {"version": 1, "testcases": [{}]}),
        own.file("c.json", {"trustRoot": 1, "testCases": []}),
        own.file("d.json", {"cases": {"a": {"must": "?"}}, "generated_large": []}),
        own.file("e.json", [{"name": "a", "header_type": "other", "raw": [""]}]),
        own.file("f.json", {"testGroups": 1, "algorithm": "x"}),
    ):
        with pytest.raises(SuiteError, match=crooked.path.name):
            run([crooked], SUITES)


@given(st.binary(max_size=200), st.sampled_from(["a.json", "custom/a.der", "custom/a.pem"]))
def test_any_bytes(data: bytes, name: str) -> None:
    """Whatever a file holds, it is run, left alone, or an error of the file."""
    try:
        found = run([own.file(name, data)], SUITES)
    except SuiteError:
        return
    assert all(tally.bad[2] == 0 for tally in found.tallies.values())


def test_own_form_is_accepted() -> None:
    """The proofs into which crooked fields are put hold as they are: it is the field that is refused."""
    for kind in KINDS:
        for body in (None, b"{}"):
            signed = genuine_request(body)
            inside = proof_parameters(kind, with_body=body is not None)
            assert proof_holds(kind, signed, sign_proof(kind, signed, inside), body)


def archive(path: Path, **members: bytes) -> None:
    """Write a tar archive, with a link out of it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"test_parsing/{name}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("test_parsing/n_link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)


def test_archives_are_read_and_links_followed_nowhere(tmp_path: Path) -> None:
    """An archive's files are run as if unpacked; links, inside and outside of archives, are not."""
    archive(tmp_path / "suite.tar.gz", y_a=b"{}", n_b=b"{")
    (tmp_path / "link.json").symlink_to(tmp_path / "suite.tar.gz")
    assert [str(file.path) for file in find(tmp_path)] == [
        "suite.tar.gz/test_parsing/y_a.json",
        "suite.tar.gz/test_parsing/n_b.json",
    ]


def test_caps(tmp_path: Path) -> None:
    """A file larger than the cap is refused unread, and so is what is no archive."""
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(SuiteError, match="large"):
        list(find(tmp_path))
    (tmp_path / "large.json").unlink()
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8bgarbage")
    with pytest.raises(SuiteError, match="broken"):
        list(find(tmp_path))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``watchword conformance suites``."""
    asked = [WATCHWORD, "conformance", "suites", *words]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=patience(60))


def test_command(tmp_path: Path) -> None:
    """0 and a table where all is well, 1 and the case where it isn't, 2 where there is nothing to run."""
    done = command(str(tmp_path))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    (tmp_path / "test_parsing").mkdir()
    (tmp_path / "test_parsing" / "n_open.json").write_bytes(b"[")
    done = command(str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "JSONTestSuite" in done.stdout
    (tmp_path / "test_parsing" / "n_\x1b[31m.json").write_bytes(b"{}")
    done = command(str(tmp_path))
    assert done.returncode == 1
    assert "WRONG ACCEPT in JSONTestSuite" in done.stdout
    assert "\x1b" not in done.stdout
    done = command(str(tmp_path), "--json")
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, row["rejected"], row["wrong_accepts"]) == (1, 1, 1)
    (tmp_path / "limbo.json").write_text('{"version": 1, "testcases": [{}]}')
    done = command(str(tmp_path))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "limbo.json" in done.stderr


def test_report_of_nothing() -> None:
    """A run without sets has a table all the same."""
    assert totals(Run()) == (0,) * 7
    assert "all" in table(Run())
