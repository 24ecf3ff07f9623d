"""Show that no text becomes part of a query: what would end one is kept, found and compared as it is."""

import asyncio
from dataclasses import replace

import pytest
from tests.store_contract.entries import audit, instance, use
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.store import EngineStore

HOSTILE = (
    "'; DROP TABLE instances; --",
    "' OR '1'='1",
    '" OR ""="',
    "one%",
    "o_e",
    "one' UNION SELECT * FROM audit --",
    ":id",
    "?",
    "one\N{FULLWIDTH APOSTROPHE}",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_would_end_a_query_is_text(store: EngineStore, text: str) -> None:
    """As id, app, serial and reason: it names nobody else, matches nobody else, and comes back as it was."""

    async def work() -> None:
        one = instance("one")
        await store.enrol(use(), one, audit())
        assert await store.find(text) is None
        assert await store.instances_with_serials([text], 9) == []
        assert await store.list_instances(9, app=text) == []
        odd = replace(
            instance(text), app=text, attested_key=text.encode(), serials=(text,), device_key=None
        )
        await store.enrol(use(b"other"), odd, replace(audit(), subject=text, actor=text))
        assert await store.find(text) == odd
        assert [each.id for each in await store.list_instances(9, app=text)] == [text]
        assert [each.id for each in await store.instances_with_serials([text], 9)] == [text]
        await store.revoke(text, NOW, text, audit("instance.revoked"))
        kept = await store.find(text)
        assert kept is not None
        assert kept.revoked_because == text
        assert await store.find("one") == one
        entries = await store.audit_entries(9)
        assert sorted(each.subject for each in entries) == sorted(["one", "one", text])

    asyncio.run(work())
