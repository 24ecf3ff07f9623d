"""Keep secrets in the encrypted file: what is in it, who may change it, and what it does under stress."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.machine import patience
from tests.unit.adapters.secret_store.rig import (
    ENTROPY,
    ISSUER,
    MASTER,
    NOW,
    ONE,
    TWO,
    Kms,
    maps,
    run,
    store_in,
)

from watchword.adapters.secret_store import (
    Document,
    DocumentError,
    Entry,
    Kept,
    LocalMasterKey,
    Wrapped,
    write_document,
)
from watchword.broker.interface import (
    MAX_VALUE_BYTES,
    MAX_VERSIONS,
    SecretRecord,
    SecretValue,
    SecretVersion,
    StoredSecret,
    added,
    revoked,
    rotated,
)
from watchword.broker.keeper import SecretKeeper
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

AT_ONCE = 5
PAUSES = (0.01, 0.05, 0.1, 0.2)


def filled(directory: Path) -> Path:
    """Return a file with two secrets, ``maps`` at revision 2."""

    async def work() -> None:
        store = store_in(directory)
        assert await store.write(added("maps", ONE, NOW), None) == 1
        assert await store.write(maps(), 1) == 2
        assert await store.write(added("push", SecretValue("-----BEGIN\nline\n"), NOW), None) == 1

    run(work())
    return directory / "secrets.json"


def fault(directory: Path, deployment: str = ISSUER, master: LocalMasterKey = MASTER) -> str:
    """Return why the file can't be read; neither can it be written then, and it stays as it is."""
    path = directory / "secrets.json"
    before = path.read_bytes()

    async def work() -> str:
        store = store_in(directory, master, deployment)
        with pytest.raises(UnavailableError) as caught:
            await store.read_all()
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        for revision in (None, 2):
            with pytest.raises(UnavailableError):
                await store.write(maps(), revision)
        with pytest.raises(UnavailableError):
            await store.rewrap()
        return str(caught.value)

    text = run(work())
    assert path.read_bytes() == before
    assert "value-of-maps" not in text
    return text


def test_what_is_written_is_read_by_another(tmp_path: Path) -> None:
    """Names, versions, times and values, by name; and one that isn't there is none."""
    filled(tmp_path / "state")

    async def work() -> None:
        store = store_in(tmp_path / "state")
        assert await store.read("maps") == StoredSecret(maps(), 2)
        assert await store.read("none") is None
        assert [each.record.name for each in await store.read_all()] == ["maps", "push"]
        await store.aclose()

    run(work())


def test_no_file_is_no_secret(tmp_path: Path) -> None:
    """Reading makes no file; the first secret does, with the mode of secrets."""

    async def work() -> None:
        store = store_in(tmp_path / "state")
        assert await store.read_all() == []
        assert not list((tmp_path / "state").iterdir())
        await store.write(maps(), None)

    run(work())
    assert (tmp_path / "state/secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_file_holds_no_value(tmp_path: Path) -> None:
    """Nor does it hold a master key or a data key; the same value twice is encrypted in two ways."""
    data = filled(tmp_path / "state").read_bytes()
    for marked in (b"value-of-maps", b"BEGIN", b"m" * 32):
        assert marked not in data
    versions = strict_json.loads(data, 10**6)["secrets"]["maps"]["versions"]
    assert len({each["sealed"]["key"] for each in versions}) == 2


def test_a_revoked_value_is_in_the_file_no_more(tmp_path: Path) -> None:
    """Not even encrypted: whoever gets the master key later finds nothing."""
    path = filled(tmp_path / "state")
    before = strict_json.loads(path.read_bytes(), 10**6)["secrets"]["maps"]["versions"]

    async def work() -> None:
        store = store_in(tmp_path / "state")
        stored = await store.read("maps")
        assert stored is not None
        await store.write(revoked(stored.record, 1, NOW), 2)

    run(work())
    text = path.read_text()
    assert before[0]["sealed"]["data"] not in text
    # What wasn't touched isn't encrypted anew: a copy of the file shows no more than it must.
    assert before[1]["sealed"]["data"] in text


@pytest.mark.parametrize(("held", "named"), [(None, 1), (2, None), (2, 1), (2, 3)])
def test_a_revision_must_be_the_one_that_is_held(
    tmp_path: Path, held: int | None, named: int | None
) -> None:
    """Whoever looked at another state changes nothing."""
    if held is not None:
        filled(tmp_path / "state")

    async def work() -> None:
        store = store_in(tmp_path / "state")
        before = await store.read("maps")
        with pytest.raises(RefusedError) as caught:
            await store.write(maps(), named)
        assert caught.value.reason is Reason.SECRET_CONFLICT
        assert await store.read("maps") == before

    run(work())


def test_a_change_of_another_process_is_seen(tmp_path: Path) -> None:
    """At the next reading, and a write that didn't see it is a conflict."""
    filled(tmp_path / "state")

    async def work() -> None:
        one, other = store_in(tmp_path / "state"), store_in(tmp_path / "state")
        assert await one.read("maps") == await other.read("maps")
        after = revoked(maps(), 1, NOW)
        assert await other.write(after, 2) == 3
        with pytest.raises(RefusedError):
            await one.write(maps(), 2)
        assert await one.read("maps") == StoredSecret(after, 3)

    run(work())


def test_other_secrets_are_written_at_the_same_time(tmp_path: Path) -> None:
    """Of many writes to one file none is lost, since each begins anew where another got ahead."""

    async def work() -> None:
        stores = [store_in(tmp_path / "state") for _ in range(6)]
        await asyncio.gather(
            *(store.write(added(f"secret-{at}", ONE, NOW), None) for at, store in enumerate(stores))
        )
        assert len(await store_in(tmp_path / "state").read_all()) == 6

    run(work())


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_damaged(tmp_path: Path, part: float) -> None:
    """Whatever is left of it; nothing starts anew over it."""
    path = filled(tmp_path / "state")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert "damaged" in fault(tmp_path / "state")


def test_another_deployments_file_is_refused(tmp_path: Path) -> None:
    """Also under the same master key: a copy of production is no lab."""
    filled(tmp_path / "state")
    assert "deployment" in fault(tmp_path / "state", deployment="https://lab.example")


def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    """The text names both keys by what is no secret."""
    filled(tmp_path / "state")
    other = LocalMasterKey(b"o" * 32, ENTROPY)
    text = fault(tmp_path / "state", master=other)
    assert MASTER.key_id in text
    assert other.key_id in text


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """They may have copied it, or change it."""
    filled(tmp_path / "state").chmod(0o640)
    assert "0600" in fault(tmp_path / "state")


def test_a_file_beyond_its_size_is_refused(tmp_path: Path) -> None:
    """Before it is parsed."""
    path = filled(tmp_path / "state")
    with path.open("ab") as file:
        file.truncate(17 * 1024 * 1024)
    assert "more than" in fault(tmp_path / "state")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A version that this one doesn't know isn't guessed at."""
    path = filled(tmp_path / "state")
    path.write_bytes(path.read_bytes().replace(b'{"v":1', b'{"v":2', 1))
    assert "version" in fault(tmp_path / "state")


def edited(path: Path, edit: str) -> bytes:
    """Return the file after somebody who can write it, but has no key, has changed it."""
    document = strict_json.loads(path.read_bytes(), 10**6)
    maps_, push = document["secrets"]["maps"], document["secrets"]["push"]
    first, second = maps_["versions"]
    if edit == "a longer life":
        first["until"] += 10**6
    elif edit == "no end":
        first["until"] = None
    elif edit == "a version less":
        maps_["versions"].pop()
    elif edit == "a secret less":
        del document["secrets"]["push"]
    elif edit == "values swapped":
        first["sealed"], second["sealed"] = second["sealed"], first["sealed"]
    elif edit == "another secret's value":
        second["sealed"] = push["versions"][0]["sealed"]
    elif edit == "an older revision":
        maps_["revision"] = 1
    elif edit == "another name":
        document["secrets"]["other"] = document["secrets"].pop("push")
    elif edit == "other ciphertext":
        data = second["sealed"]["data"]
        second["sealed"]["data"] = data[:-8] + data[-8:].swapcase()
    elif edit == "another data key":
        second["sealed"]["key"] = first["sealed"]["key"]
    else:
        document["mac"] = document["mac"][::-1].replace("=", "")
    return strict_json.dumps(document)


@pytest.mark.parametrize(
    "edit",
    [
        "a longer life",
        "no end",
        "a version less",
        "a secret less",
        "values swapped",
        "another secret's value",
        "an older revision",
        "another name",
        "other ciphertext",
        "another data key",
        "another mac",
    ],
)
def test_a_change_without_the_master_key_shows(tmp_path: Path, edit: str) -> None:
    """Whatever is changed, nothing of the file is believed any more."""
    path = filled(tmp_path / "state")
    path.write_bytes(edited(path, edit))
    assert "secrets.json" in fault(tmp_path / "state")


@pytest.mark.parametrize("part", ["secrets", "one secret", "one version"])
def test_a_part_of_an_older_copy_shows(tmp_path: Path, part: str) -> None:
    """A version that was revoked since doesn't come back with a piece of a backup."""
    path = filled(tmp_path / "state")
    old = strict_json.loads(path.read_bytes(), 10**6)

    async def work() -> None:
        await store_in(tmp_path / "state").write(revoked(maps(), None, NOW), 2)

    run(work())
    new = strict_json.loads(path.read_bytes(), 10**6)
    if part == "secrets":
        new["secrets"] = old["secrets"]
    elif part == "one secret":
        new["secrets"]["maps"] = old["secrets"]["maps"]
    else:
        new["secrets"]["maps"]["versions"][1] = old["secrets"]["maps"]["versions"][1]
    path.write_bytes(strict_json.dumps(new))
    assert "put together" in fault(tmp_path / "state")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Return a file to be mutated again and again, and what is in it."""
    path = filled(tmp_path_factory.mktemp("bent") / "state")
    return path, path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_raise_nothing_else(good: tuple[Path, bytes], data: st.DataObject) -> None:
    """A byte changed, taken out or put in anywhere: one kind of fault, and never other secrets than before."""
    path, whole = good
    at = data.draw(st.integers(0, len(whole) - 1))
    piece = data.draw(st.binary(max_size=2))
    path.write_bytes(whole[:at] + piece + whole[at + data.draw(st.integers(0, 2)) :])

    async def work() -> StoredSecret | Reason | None:
        try:
            return await store_in(path.parent).read("maps")
        except UnavailableError as error:
            return error.reason

    assert run(work()) in (Reason.SECRET_STORE_UNAVAILABLE, StoredSecret(maps(), 2))


def test_a_file_that_goes_away_is_no_fresh_start(tmp_path: Path) -> None:
    """It was there: whoever removed it by mistake gets no empty one in its place."""
    path = filled(tmp_path / "state")

    async def work() -> None:
        store = store_in(tmp_path / "state")
        await store.read_all()
        path.unlink()
        for call in (store.read_all(), store.write(added("new", ONE, NOW), None)):
            with pytest.raises(UnavailableError, match="is gone"):
                await call
        assert not path.exists()

    run(work())


def test_a_file_that_is_opened_to_others_while_it_is_used_is_refused(tmp_path: Path) -> None:
    """Not only at the next start: its bytes and times are what they were."""

    async def work() -> None:
        store = store_in(tmp_path / "state")
        await store.write(maps(), None)
        assert len(await store.read_all()) == 1
        (tmp_path / "state" / "secrets.json").chmod(0o644)
        with pytest.raises(UnavailableError) as caught:
            await store.read_all()
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE

    run(work())


def test_an_older_copy_with_the_times_of_the_newer_is_seen(tmp_path: Path) -> None:
    """Whoever can write the file can set its times as well, and needs no other size."""

    async def work() -> None:
        store, path = store_in(tmp_path / "state"), tmp_path / "state" / "secrets.json"
        old = added("maps", ONE, NOW)
        await store.write(old, None)
        before = path.read_bytes()
        await store.write(replace(old, versions=(replace(old.versions[0], made_at=NOW + 1),)), 1)
        assert (await store.read_all())[0].revision == 2
        found = path.stat()
        path.write_bytes(before)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert path.stat().st_size == found.st_size
        assert (await store.read_all())[0].revision == 1

    run(work())


def test_a_directory_that_can_not_be_written_changes_nothing(tmp_path: Path) -> None:
    """What others may enter isn't used, and what is read stays good."""
    path = filled(tmp_path / "state")
    before = path.read_bytes()
    path.parent.chmod(0o755)

    async def work() -> None:
        store = store_in(tmp_path / "state")
        assert await store.read("maps") == StoredSecret(maps(), 2)
        with pytest.raises(UnavailableError):
            await store.write(revoked(maps(), None, NOW), 2)

    run(work())
    assert path.read_bytes() == before


def test_a_lock_that_somebody_holds_is_waited_for_only_so_long(tmp_path: Path) -> None:
    """A stopped process holds nobody up for ever, and the event loop not at all."""
    path = filled(tmp_path / "state")
    handle = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    async def work() -> None:
        store = store_in(tmp_path / "state", lock_seconds=0.3)
        writing = asyncio.create_task(store.write(revoked(maps(), None, NOW), 2))
        ticks = 0
        while not writing.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(UnavailableError, match="lock"):
            await writing
        assert ticks > 3
        os.close(handle)
        assert await store.write(revoked(maps(), None, NOW), 2) == 3

    run(work())


UNREADABLE = {
    "a longer name": added("a" * 65, ONE, NOW),
    "a name of other characters": added("a/b", ONE, NOW),
    "no version": SecretRecord("empty", ()),
    "a longer value": added("long", SecretValue("v" * (MAX_VALUE_BYTES + 1)), NOW),
    "an empty value": added("short", SecretValue(""), NOW),
    "a time before 1970": added("early", ONE, -5),
    "too many versions": SecretRecord(
        "many", tuple(SecretVersion(each, ONE, NOW) for each in range(1, MAX_VERSIONS + 2))
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, what: str) -> None:
    """It would take all other secrets with it."""

    async def work() -> None:
        store = store_in(tmp_path / "state")
        longest = added("a" * 64, SecretValue("v" * MAX_VALUE_BYTES), NOW)
        await store.write(longest, None)
        with pytest.raises((UnavailableError, MalformedError)) as caught:
            await store.write(UNREADABLE[what], None)
        assert "value-of-maps" not in str(caught.value)
        (kept,) = await store_in(tmp_path / "state").read_all()
        assert kept.record == longest

    run(work())


def test_only_so_many_secrets_are_kept(tmp_path: Path) -> None:
    """The one beyond is refused, and all others stay."""
    secrets = {f"s-{each}": Kept(1, (Entry(1, NOW, None, NOW, None),)) for each in range(501)}
    wrapped = Wrapped("key", b"wrapped")
    write_document(Document(ISSUER, wrapped, dict(list(secrets.items())[:500])), b"k" * 32)
    with pytest.raises(DocumentError, match="501 secrets"):
        write_document(Document(ISSUER, wrapped, secrets), b"k" * 32)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50),
        min_size=1,
        max_size=6,
    )
)
def test_any_record_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Whatever the values are, and however often they changed."""
    directory = tmp_path_factory.mktemp("any") / "state"
    record = added("maps", SecretValue(texts[0]), NOW)
    for text in texts[1:]:
        record = rotated(record, SecretValue(text), 60, NOW)

    async def work() -> SecretRecord | None:
        await store_in(directory).write(record, None)
        stored = await store_in(directory).read("maps")
        return None if stored is None else stored.record

    assert run(work()) == record


def test_a_kms_is_asked_once_for_each_key(tmp_path: Path) -> None:
    """Not at every reading; and after a change only for what is new."""

    async def work() -> None:
        kms = Kms()
        await store_in(tmp_path / "state", kms).write(maps(), None)
        store = store_in(tmp_path / "state", kms)
        for _ in range(5):
            await store.read_all()
        assert kms.asked == 3  # The file's own key, and one for each version.
        await store_in(tmp_path / "state", kms).write(added("push", ONE, NOW), None)
        asked = kms.asked
        await store.read_all()
        assert kms.asked == asked + 2

    run(work())


def test_a_kms_that_is_away_loses_nothing(tmp_path: Path) -> None:
    """What was read stays good for who reads again; nothing is written; a new process must wait."""
    filled_under = Kms()

    async def work() -> None:
        kms = filled_under
        store = store_in(tmp_path / "state", kms)
        await store.write(maps(), None)
        assert await store.read("maps") == StoredSecret(maps(), 1)
        kms.away = True
        assert await store.read("maps") == StoredSecret(maps(), 1)
        with pytest.raises(UnavailableError, match="sealed"):
            await store.write(rotated(maps(), ONE, 0, NOW), 1)
        # A revocation needs no key: it wraps nothing.
        assert await store.write(revoked(maps(), None, NOW), 1) == 2
        with pytest.raises(UnavailableError, match="sealed"):
            await store_in(tmp_path / "state", kms).read_all()

    run(work())


def test_a_rotated_kms_key_is_taken_over(tmp_path: Path) -> None:
    """New values go under the newest version, and rewrapping brings all others there, values untouched."""

    async def work() -> None:
        kms = Kms()
        store = store_in(tmp_path / "state", kms)
        await store.write(maps(), None)
        kms.version = 2
        await store.write(added("push", ONE, NOW), None)
        text = (tmp_path / "state/secrets.json").read_text()
        assert (text.count("kms:v1"), text.count("kms:v2")) == (3, 1)
        assert await store.rewrap() == 2
        text = (tmp_path / "state/secrets.json").read_text()
        assert (text.count("kms:v1"), text.count("kms:v2")) == (0, 4)
        assert await store.rewrap() == 0
        assert await store_in(tmp_path / "state", kms).read("maps") == StoredSecret(maps(), 1)

    run(work())


def test_a_new_master_key_takes_over_from_the_old_one(tmp_path: Path) -> None:
    """After rewrapping the old one opens nothing any more; before, the new one doesn't."""
    filled(tmp_path / "state")
    new = LocalMasterKey(b"n" * 32, ENTROPY)

    async def work() -> None:
        store = store_in(tmp_path / "state", new)
        with pytest.raises(UnavailableError):
            await store.read_all()
        assert await store.rewrap(MASTER) == 3
        assert await store.read("maps") == StoredSecret(maps(), 2)
        assert await store.rewrap(MASTER) == 0

    run(work())
    assert new.key_id in fault(tmp_path / "state", master=MASTER)


def test_rewrapping_without_the_right_old_key_changes_nothing(tmp_path: Path) -> None:
    """The file stays under the key that it is under."""
    before = filled(tmp_path / "state").read_bytes()
    new, wrong = (LocalMasterKey(each * 32, ENTROPY) for each in (b"n", b"w"))

    async def work() -> None:
        with pytest.raises(UnavailableError):
            await store_in(tmp_path / "state", new).rewrap(wrong)

    run(work())
    assert (tmp_path / "state/secrets.json").read_bytes() == before


def test_nothing_is_rewrapped_where_nothing_is(tmp_path: Path) -> None:
    """And no file is made."""
    assert run(store_in(tmp_path / "state").rewrap()) == 0
    assert not list((tmp_path / "state").iterdir())


def test_a_running_process_keeps_what_it_has_while_the_master_key_changes(tmp_path: Path) -> None:
    """It can't read the file any more, says so, and goes on injecting until it is started anew."""
    filled(tmp_path / "state")

    async def work() -> None:
        keeper = SecretKeeper(store_in(tmp_path / "state"), {"maps"})
        await keeper.refresh(NOW)
        new = LocalMasterKey(b"n" * 32, ENTROPY)
        await store_in(tmp_path / "state", new).rewrap(MASTER)
        with pytest.raises(UnavailableError):
            await keeper.refresh(NOW + 1)
        assert new.key_id in (keeper.trouble or "")
        assert keeper.injected(["maps"], NOW + 1)["maps"].value == TWO

    run(work())


def writer(directory: Path, name: str, least: int) -> "subprocess.Popen[str]":
    """Start a process that writes."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.system.adapters.secret_store.writer",
            str(directory),
            name,
            str(least),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    """Both change one secret as fast as they can: each revision is written once, by one of them."""
    directory = tmp_path / "state"
    store_in(directory)
    processes = [writer(directory, "maps", 60) for _ in range(2)]
    told = [process.communicate(timeout=patience(120))[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    written = sorted(int(each) for lines in told for each in lines if each != "conflict")
    assert written == list(range(1, len(written) + 1))
    stored = run(store_in(directory).read("maps"))
    assert stored is not None
    assert stored.revision == len(written) >= 60


def test_killed_at_any_moment_the_file_is_old_or_new(tmp_path: Path) -> None:
    """Writing processes are killed 20 times: what they told is there, and nothing is broken or left over."""
    directory = tmp_path / "state"
    store_in(directory)
    told = 0
    for pause in PAUSES:
        # Several at once: the time goes into starting Python.
        processes = [writer(directory, f"secret-{each}", 0) for each in range(AT_ONCE)]
        first = [process.stdout.readline() for process in processes if process.stdout]
        time.sleep(pause)
        for process in processes:
            process.send_signal(signal.SIGKILL)
        stored = {each.record.name: each for each in run(store_in(directory).read_all())}
        for at, process in enumerate(processes):
            lines = (first[at] + process.communicate(timeout=patience(30))[0]).split("\n")
            kept = [int(line) for line in lines[:-1] if line != "conflict"]
            told += len(lines) - 1
            assert not kept or stored[f"secret-{at}"].revision >= max(kept)
        for each in stored.values():
            newest = each.record.versions[-1]
            assert newest.value is not None
            assert newest.value.text.startswith(f"value-{each.revision:06}-")
    assert told >= AT_ONCE * len(PAUSES)
    run(store_in(directory).write(added("last", ONE, NOW), None))
    assert [each.name for each in directory.iterdir()] == ["secrets.json"]
