"""Plant canaries, list and remove them, and tell gates how to recognise them."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.adapters.documents import FileDocument
from watchword.adapters.honeytoken_file import MAX_HONEYTOKENS, HoneytokenStore
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.system import SystemEntropy
from watchword.broker.honeytokens import KINDS, spot
from watchword.reasons import MalformedError, Reason, RefusedError

NOW = 1_800_000_000.5
ENTROPY = SystemEntropy()


def file_in(directory: Path) -> HoneytokenStore:
    """Return the canaries of a state directory."""
    directory.mkdir(mode=0o700, exist_ok=True)
    return HoneytokenStore(FileDocument(directory / "canaries.json", patience=5), ENTROPY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_canary_is_recognised(tmp_path: Path, kind: str) -> None:
    """By another process, in the usual places; until it is removed."""
    made = file_in(tmp_path / "state").add("decoy", kind, NOW, note="strings.xml of 4.2")
    other = file_in(tmp_path / "state")
    watch = other.watch()
    assert watch is not None
    assert spot(watch, [(b"authorization", b"Bearer " + made.value.encode())], b"") == "decoy"
    assert spot(watch, [], b"key=" + made.value.encode()) == "decoy"
    (planted,) = other.planted()
    assert (planted.name, planted.kind, planted.made_at) == ("decoy", kind, int(NOW))
    assert planted.note == "strings.xml of 4.2"
    assert file_in(tmp_path / "state").remove("decoy") == planted
    assert other.watch() is None
    assert other.planted() == ()


def test_the_key_is_kept_nowhere(tmp_path: Path) -> None:
    """Neither in the file, which is private, nor in anything that is shown."""
    canaries = file_in(tmp_path / "state")
    made = canaries.add("decoy", "stripe", NOW)
    path = tmp_path / "state/canaries.json"
    assert path.stat().st_mode & 0o777 == 0o600
    watch = canaries.watch()
    for shown in (path.read_text(), repr(canaries.planted()), repr(watch), repr(made)):
        assert made.value not in shown
        assert made.value[12:40] not in shown
    assert watch is not None
    assert watch.key.hex() not in repr(watch)


def test_without_canaries_nothing_is_watched(tmp_path: Path) -> None:
    """And no file is made by looking."""
    canaries = file_in(tmp_path / "state")
    assert canaries.watch() is None
    assert canaries.planted() == ()
    assert not list((tmp_path / "state").iterdir())


def test_more_places_are_watched_beside_the_usual_ones(tmp_path: Path) -> None:
    """Each canary may name some; they count for all, since the thief may mix them up."""
    canaries = file_in(tmp_path / "state")
    made = canaries.add("one", "google", NOW, headers=["X-Partner-Key"], parameters=["partner"])
    canaries.add("two", "github", NOW)
    watch = canaries.watch()
    assert watch is not None
    assert spot(watch, [(b"x-partner-key", made.value.encode())], b"") == "one"
    assert spot(watch, [], b"partner=" + made.value.encode()) == "one"
    assert spot(watch, [(b"x-api-key", made.value.encode())], b"") == "one"
    assert [each.name for each in canaries.planted()] == ["one", "two"]


def test_names_are_used_once(tmp_path: Path) -> None:
    """A second one of a name would take the first one's place in alarms; one that isn't there is unknown."""
    canaries = file_in(tmp_path / "state")
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            canaries.remove("one")
        assert caught.value.reason is Reason.SECRET_UNKNOWN
        canaries.add("two", "generic", NOW)
        canaries.remove("two")
    canaries.add("one", "generic", NOW)
    before = canaries.planted()
    with pytest.raises(RefusedError) as caught:
        canaries.add("one", "generic", NOW)
    assert caught.value.reason is Reason.SECRET_EXISTS
    assert canaries.planted() == before


@pytest.mark.parametrize(
    "given_",
    [
        {"name": ""},
        {"name": "Capital"},
        {"name": "a" * 65},
        {"kind": "unknown"},
        {"note": "two\nlines"},
        {"note": "n" * 201},
        {"headers": ["with blank"]},
        {"headers": ["x"] * 9},
        {"parameters": ["a&b"]},
        {"parameters": [""]},
    ],
    ids=str,
)
def test_what_can_not_be_is_refused(tmp_path: Path, given_: dict[str, str]) -> None:
    """Before anything is written."""
    call = {"name": "decoy", "kind": "generic", **given_}
    with pytest.raises(MalformedError) as caught:
        file_in(tmp_path / "state").add(call.pop("name"), call.pop("kind"), NOW, **call)
    assert caught.value.reason is Reason.SECRET_VALUE
    assert not (tmp_path / "state/canaries.json").exists()


def test_there_are_only_so_many(tmp_path: Path) -> None:
    """The one beyond is refused, and all others stay."""
    canaries = file_in(tmp_path / "state")
    canaries.add("c-0", "generic", NOW)
    path = tmp_path / "state/canaries.json"
    entry = re.search(r'"c-0":(\{.*?\})', path.read_text())
    assert entry is not None
    more = "".join(f',"c-{number}":{entry[1]}' for number in range(1, MAX_HONEYTOKENS))
    path.write_text(path.read_text().replace(entry[0], entry[0] + more))
    assert len(canaries.planted()) == MAX_HONEYTOKENS
    with pytest.raises(MalformedError):
        canaries.add("beyond", "generic", NOW)
    assert len(canaries.planted()) == MAX_HONEYTOKENS


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    """Each takes the lock: no canary that somebody was shown is forgotten."""
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda number: file_in(tmp_path / "state").add(f"c-{number}", "generic", NOW),
                range(24),
            )
        )
    assert len(file_in(tmp_path / "state").planted()) == 24


def test_what_can_not_be_trusted_is_not_started_anew(tmp_path: Path) -> None:
    """Cut off, readable by others, too large, or gone since: the canaries out there aren't forgotten."""
    canaries = file_in(tmp_path / "state")
    canaries.add("decoy", "generic", NOW)
    path = tmp_path / "state/canaries.json"
    whole = path.read_bytes()
    for data, mode in ((whole[:-9], 0o600), (b"", 0o600), (whole, 0o644), (b"x" * 300_000, 0o600)):
        path.write_bytes(data)
        path.chmod(mode)
        for call in (
            canaries.watch,
            canaries.planted,
            lambda: canaries.add("other", "generic", NOW),
            lambda: canaries.remove("decoy"),
        ):
            with pytest.raises(PrivateFileError):
                call()
        assert path.read_bytes() == data
    path.write_bytes(whole)
    assert canaries.watch() is not None
    path.unlink()
    with pytest.raises(PrivateFileError, match="gone"):
        canaries.watch()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_files_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A few bytes changed anywhere: one kind of fault, or what the file then says."""
    directory = tmp_path_factory.mktemp("bent") / "state"
    canaries = file_in(directory)
    canaries.add("decoy", "generic", NOW, headers=["x-a"])
    path = directory / "canaries.json"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=2)) + whole[at + 1 :])
    try:
        watch = file_in(directory).watch()
    except PrivateFileError:
        return
    assert watch is not None
    assert len(watch.digests) <= 1
