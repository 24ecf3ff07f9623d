"""Keep secrets in the real KV store of OpenBao."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.system.adapters.openbao.slow_path import slow_path
from tests.unit.adapters.openbao.server import BaoServer, documented

from watchword.adapters.keyring.private_file import write_private
from watchword.adapters.openbao.connection import OpenBao, OpenBaoPlace
from watchword.adapters.openbao.documents import DocumentError, from_document, to_document
from watchword.adapters.openbao.secret_store import OpenBaoSecretStore
from watchword.broker.interface import (
    MAX_VALUE_BYTES,
    MAX_VERSIONS,
    SecretRecord,
    SecretValue,
    SecretVersion,
    added,
    check_value,
    revoked,
    rotated,
)
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

_T = TypeVar("_T")
NOW = 1_700_000_000.0
ONE, TWO = SecretValue("value-one"), SecretValue("value-two")


def with_store(bao: BaoServer, use: Callable[[OpenBaoSecretStore], Awaitable[_T]]) -> _T:
    """Return what a use of a store of its own gives."""

    async def carry_out() -> _T:
        store = OpenBaoSecretStore(OpenBao(bao.place()))
        try:
            return await use(store)
        finally:
            await store.aclose()

    return asyncio.run(carry_out())


def elsewhere(bao: BaoServer, path: str, mount: str = "secret") -> OpenBaoPlace:
    """Return another place in the same server, that the documented policy says nothing of."""
    token = bao.directory / "root.token"
    write_private(token, bao.root.encode())
    return replace(bao.place(), token=token, path=path, mount=mount)


def put(bao: BaoServer, name: str, document: dict[str, Any]) -> None:
    """Put a document there, as an administrator could."""
    with bao.admin() as client:
        client.secrets.kv.v2.create_or_update_secret(f"watchword/{name}", document)


def names_in(store: OpenBaoSecretStore) -> Awaitable[set[str]]:
    """Return the names of all secrets."""

    async def ask() -> set[str]:
        return {each.record.name for each in await store.read_all()}

    return ask()


def test_record_comes_back_as_it_was(bao: BaoServer) -> None:
    """A record with each kind of version is kept as it is, also over a restart."""
    record = revoked(rotated(added("whole", ONE, NOW), TWO, 60, NOW), 1, NOW + 1)

    async def keep(store: OpenBaoSecretStore) -> None:
        assert await store.write(record, None) == 1

    async def look(store: OpenBaoSecretStore) -> None:
        kept = await store.read("whole")
        assert kept is not None
        assert (kept.record, kept.revision) == (record, 1)
        assert kept in await store.read_all()

    with_store(bao, keep)
    with_store(bao, look)
    bao.restart()
    with_store(bao, look)


def test_largest_record_fits(bao: BaoServer) -> None:
    """As many versions of the longest values as there may be, in letters that JSON escapes, are kept and read."""
    value = SecretValue("é" * (MAX_VALUE_BYTES // 2))
    record = SecretRecord(
        "largest", tuple(SecretVersion(n, value, int(NOW)) for n in range(1, MAX_VERSIONS + 1))
    )

    async def use(store: OpenBaoSecretStore) -> None:
        await store.write(record, None)
        kept = await store.read("largest")
        assert kept is not None
        assert kept.record == record

    with_store(bao, use)


def test_second_of_two_writers_is_told(bao: BaoServer) -> None:
    """Of two who change the same revision one wins, and the other is told and changes nothing."""

    async def use(store: OpenBaoSecretStore) -> None:
        first = added("raced", ONE, NOW)
        revision = await store.write(first, None)
        changes = [
            store.write(rotated(first, SecretValue(f"by-{n}"), 60, NOW), revision) for n in range(8)
        ]
        done = await asyncio.gather(*changes, return_exceptions=True)
        won = [n for n, each in enumerate(done) if isinstance(each, int)]
        lost = [each for each in done if isinstance(each, RefusedError)]
        assert len(won) == 1
        assert [each.reason for each in lost] == [Reason.SECRET_CONFLICT] * 7
        kept = await store.read("raced")
        assert kept is not None
        current = kept.record.current(NOW)
        assert current is not None
        assert current.value == SecretValue(f"by-{won[0]}")

    with_store(bao, use)


def test_secret_is_made_once(bao: BaoServer) -> None:
    """Of those who make a secret of one name at the same time, one does."""

    async def use(store: OpenBaoSecretStore) -> None:
        made = [store.write(added("made", ONE, NOW), None) for _ in range(4)]
        done = await asyncio.gather(*made, return_exceptions=True)
        lost = [each for each in done if isinstance(each, RefusedError)]
        assert [each.reason for each in lost] == [Reason.SECRET_CONFLICT] * 3
        assert done.count(1) == 1

    with_store(bao, use)


def test_revoked_value_is_nowhere(bao: BaoServer) -> None:
    """Of a document only the newest version stays: no older one hands out what was revoked."""

    async def use(store: OpenBaoSecretStore) -> None:
        first = added("gone", ONE, NOW)
        revision = await store.write(first, None)
        await store.write(revoked(first, None, NOW), revision)

    with_store(bao, use)
    with bao.admin() as client:
        metadata = client.secrets.kv.v2.read_secret_metadata("watchword/gone")["data"]
        assert list(metadata["versions"]) == ["2"]
        assert "value-one" not in str(client.read("secret/data/watchword/gone"))


def test_answer_that_got_lost_may_have_been_a_change(bao: BaoServer) -> None:
    """A change whose answer was lost is told as a fault; asked again, it conflicts, and is made once."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            store = OpenBaoSecretStore(OpenBao(bao.place(path.url)))
            record = added("lost", ONE, NOW)
            revision = await store.write(record, None)
            path.cut = 0
            with pytest.raises(UnavailableError) as caught:
                await store.write(rotated(record, TWO, 60, NOW), revision)
            assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
            path.cut = None
            with pytest.raises(RefusedError) as refused:
                await store.write(rotated(record, TWO, 60, NOW), revision)
            assert refused.value.reason is Reason.SECRET_CONFLICT
            kept = await store.read("lost")
            assert kept is not None
            assert [each.number for each in kept.record.versions] == [1, 2]
            await store.aclose()

    asyncio.run(use())


def test_deleted_document_is_no_secret(bao: BaoServer) -> None:
    """What was deleted in OpenBao is a fault that says so, and is nobody's to use; the others are as they were."""

    async def use(store: OpenBaoSecretStore) -> None:
        revision = await store.write(added("deleted", ONE, NOW), None)
        await store.write(added("not-deleted", ONE, NOW), None)
        with bao.admin() as client:
            client.secrets.kv.v2.delete_latest_version_of_secret("watchword/deleted")
        with pytest.raises(UnavailableError, match="was deleted in OpenBao"):
            await store.read("deleted")
        found = await names_in(store)
        assert "deleted" not in found
        assert "not-deleted" in found
        with pytest.raises(RefusedError) as caught:
            await store.write(added("deleted", TWO, NOW), None)
        assert caught.value.reason is Reason.SECRET_CONFLICT
        with bao.admin() as client:
            client.secrets.kv.v2.undelete_secret_versions("watchword/deleted", [revision])
        assert "deleted" in await names_in(store)

    with_store(bao, use)


class CountingBao(OpenBao):
    """Count the questions."""

    asked = 0

    async def ask(self, question: Callable[[Any], _T]) -> _T:
        """See the base class."""
        self.asked += 1
        return await super().ask(question)


def test_only_what_changed_is_read_again(bao: BaoServer) -> None:
    """Following the store costs one question while nothing changes, and misses no change."""

    async def use() -> None:
        connection = CountingBao(elsewhere(bao, "watchword/followed"))
        store = OpenBaoSecretStore(connection)
        records = [added(f"secret-{n}", ONE, NOW) for n in range(5)]
        for record in records:
            await store.write(record, None)
        connection.asked = 0
        first = await store.read_all()
        assert [each.record for each in first] == records
        assert connection.asked == 6
        assert await store.read_all() == first
        assert connection.asked == 7
        await store.write(rotated(records[0], TWO, 60, NOW), 1)
        (changed, *rest) = await store.read_all()
        assert changed.record == rotated(records[0], TWO, 60, NOW)
        assert rest == list(first[1:])
        with bao.admin() as client:
            kv = client.secrets.kv.v2
            kv.delete_latest_version_of_secret("watchword/followed/secret-1")
            kv.delete_metadata_and_all_versions("watchword/followed/secret-2")
            kv.delete_metadata_and_all_versions("watchword/followed/secret-3")
        await store.write(added("secret-3", TWO, NOW), None)
        after = {each.record.name: each.record for each in await store.read_all()}
        assert sorted(after) == ["secret-0", "secret-3", "secret-4"]
        assert after["secret-3"] == added("secret-3", TWO, NOW)
        await store.aclose()

    asyncio.run(use())


def test_what_ends_at_an_instant_is_seen_to_end(bao: BaoServer) -> None:
    """Where an administrator has versions deleted after a time, one that ended is gone at once."""

    async def use() -> None:
        store = OpenBaoSecretStore(OpenBao(elsewhere(bao, "watchword/ending")))
        await store.write(added("brief", ONE, NOW), None)
        with bao.admin() as client:
            kv = client.secrets.kv.v2
            kv.update_metadata("watchword/ending/brief", delete_version_after="4s")
        await store.write(rotated(added("brief", ONE, NOW), TWO, 60, NOW), 1)
        left = await store.read_all()
        assert len(left) == 1
        for _ in range(300):
            if not left:
                break
            await asyncio.sleep(0.1)
            left = await store.read_all()
        assert list(left) == []
        await store.aclose()

    asyncio.run(use())


def test_backend_that_lists_names_alone_is_read_whole(bao: BaoServer) -> None:
    """With a policy that doesn't allow the detailed list, each document is read each time."""
    policy = documented("policy").replace("secret/detailed-metadata", "secret/nothing")
    (bao.directory / "plain.hcl").write_text(policy)
    bao.run_commands(
        "bao policy write plain plain.hcl;"
        "umask 077; bao token create -policy=plain -field=token > plain.token"
    )

    async def use() -> None:
        place = replace(bao.place(), token=bao.directory / "plain.token", path="watchword")
        connection = CountingBao(place)
        store = OpenBaoSecretStore(connection)
        await store.write(added("plainly", ONE, NOW), None)
        count = len(await store.read_all())
        assert count > 0
        await store.write(rotated(added("plainly", ONE, NOW), TWO, 60, NOW), 1)
        connection.asked = 0
        (kept,) = (each for each in await store.read_all() if each.record.name == "plainly")
        assert kept.revision == 2
        assert connection.asked > count
        await store.aclose()

    asyncio.run(use())


def test_foreign_documents_are_told(bao: BaoServer, caplog: pytest.LogCaptureFixture) -> None:
    """What somebody else put there is a fault of its own, and hides no secret; a folder is passed over."""
    put(bao, "foreign", {"password": "marked-foreign"})
    put(bao, "folder/inside", {"x": 1})
    put(bao, "not a name", {"x": 1})

    async def use(store: OpenBaoSecretStore) -> None:
        await store.write(added("ours", ONE, NOW), None)
        with pytest.raises(UnavailableError, match="expected a document of Watchword's") as caught:
            await store.read("foreign")
        assert "marked-foreign" not in str(caught.value)
        found = await names_in(store)
        assert "ours" in found
        assert not found & {"foreign", "folder", "not a name"}

    with_store(bao, use)
    assert "marked-foreign" not in caplog.text


@pytest.mark.parametrize("levels", [12, 5000])
def test_deep_document_hides_no_secret(bao: BaoServer, levels: int) -> None:
    """What nests deeper than we read is somebody else's document, and no fault of the backend's."""
    with bao.admin() as client:
        body = f'{{"data": {{"a": {"[" * levels}{"]" * levels}}}}}'
        url, token = f"{bao.url}/v1/secret/data/watchword/deep", {"X-Vault-Token": bao.root}
        client.adapter.session.post(url, data=body, headers=token).raise_for_status()

    async def use(store: OpenBaoSecretStore) -> None:
        if await store.read("beside") is None:
            await store.write(added("beside", ONE, NOW), None)
        with pytest.raises(UnavailableError, match="expected a document of Watchword's"):
            await store.read("deep")
        found = await names_in(store)
        assert "beside" in found
        assert "deep" not in found

    with_store(bao, use)


def test_copied_document_is_not_injected_in_place_of_another(bao: BaoServer) -> None:
    """A document that was copied to another name is refused: it says whose it is."""

    async def use(store: OpenBaoSecretStore) -> None:
        await store.write(added("original", ONE, NOW), None)
        put(bao, "copy", to_document(added("original", ONE, NOW)))
        with pytest.raises(UnavailableError, match="of another secret"):
            await store.read("copy")

    with_store(bao, use)


@pytest.mark.parametrize("name", ["", "../other", "a/b", "A", "x" * 100, ".x", "a?b"])
def test_name_leads_nowhere_else(bao: BaoServer, name: str) -> None:
    """A name that isn't one is refused before anything is asked."""

    async def use(store: OpenBaoSecretStore) -> None:
        with pytest.raises(RefusedError) as caught:
            await store.read(name)
        assert caught.value.reason is Reason.SECRET_UNKNOWN

    with_store(bao, use)


def test_empty_store_has_no_secrets(bao: BaoServer) -> None:
    """A path below which nothing stands is an empty store; an engine that isn't mounted is a fault."""

    async def ask(path: str, mount: str) -> int:
        store = OpenBaoSecretStore(OpenBao(elsewhere(bao, path, mount)))
        try:
            return len(await store.read_all())
        finally:
            await store.aclose()

    assert asyncio.run(ask("nothing-here", "secret")) == 0
    with pytest.raises(UnavailableError, match="status 404"):
        asyncio.run(ask("watchword", "nowhere"))


def _values() -> st.SearchStrategy[SecretValue]:
    def fits(text: str) -> bool:
        try:
            check_value(text, one_line=False)
        except MalformedError:
            return False
        return True

    return st.text(min_size=1, max_size=40).filter(fits).map(SecretValue)


@st.composite
def records(draw: st.DrawFn) -> SecretRecord:
    """Make records that the broker could have made."""
    record = added("drawn", draw(_values()), NOW)
    for step in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            record = rotated(record, draw(_values()), draw(st.integers(0, 90)), NOW + step)
        else:
            number = draw(st.sampled_from([each.number for each in record.versions]))
            record = revoked(record, number, NOW + step)
    return record


@given(records())
def test_each_record_has_one_form(record: SecretRecord) -> None:
    """Whatever the broker makes of a secret is read as it was written, through JSON."""
    document = strict_json.loads(strict_json.dumps(to_document(record)), 1_000_000)
    assert from_document(document, "drawn") == record


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(records(), st.data())
def test_mutated_documents_raise_nothing_foreign(record: SecretRecord, data: st.DataObject) -> None:
    """A document with anything in the place of a member is read or refused as a document."""
    document = to_document(record)
    where: Any = document
    if data.draw(st.booleans()):
        where = document["versions"][data.draw(st.integers(0, len(record.versions) - 1))]
    where[data.draw(st.sampled_from([*where, "more"]))] = data.draw(_JSON)
    try:
        read = from_document(document, "drawn")
    except DocumentError:
        return
    assert to_document(read) == document


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("number", 0),
        ("number", True),
        ("number", 1.0),
        ("number", None),
        ("made_at", None),
        ("made_at", -1),
        ("made_at", 10**12),
        ("until", 10**12),
        ("value", ""),
        ("value", "a\x00b"),
        ("value", "x" * (MAX_VALUE_BYTES + 1)),
        ("revoked_at", 5),
    ],
)
def test_crooked_versions_are_refused(member: str, value: object) -> None:
    """A version with one member that can't be is refused, a revoked one that has its value too."""
    document = to_document(added("maps", ONE, NOW))
    document["versions"][0][member] = value
    with pytest.raises(DocumentError):
        from_document(document, "maps")


@pytest.mark.parametrize("count", [0, MAX_VERSIONS + 1])
def test_number_of_versions_is_bounded(count: int) -> None:
    """A document without versions, or with more than there may be, is refused."""
    document = to_document(added("maps", ONE, NOW))
    version = document["versions"][0]
    document["versions"] = [{**version, "number": n + 1} for n in range(count)]
    with pytest.raises(DocumentError):
        from_document(document, "maps")


def test_versions_grow() -> None:
    """A number that occurs twice is refused: nobody could tell which value it means."""
    document = to_document(added("maps", ONE, NOW))
    document["versions"] *= 2
    with pytest.raises(DocumentError, match="numbers grow"):
        from_document(document, "maps")
