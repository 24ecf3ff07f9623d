"""Open a value only where it was sealed, also for somebody who could make a MAC over the file."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.adapters.secret_store.rig import (
    ENTROPY,
    ISSUER,
    MASTER,
    NOW,
    ONE,
    TWO,
    run,
    store_in,
)

from watchword.adapters.secret_store import (
    Document,
    ValueLocation,
    Wrapped,
    file_context,
    key_context,
    seal,
    unseal,
    write_document,
)
from watchword.broker.interface import SecretValue, added
from watchword.reasons import Reason, UnavailableError

HERE = ValueLocation(ISSUER, "maps", 1)
ELSEWHERE = [
    replace(HERE, deployment="https://lab.example"),
    replace(HERE, name="push"),
    replace(HERE, version=2),
]


@pytest.mark.parametrize("there", ELSEWHERE, ids=["deployment", "name", "version"])
def test_a_value_opens_only_where_it_stands(there: ValueLocation) -> None:
    """Neither does its data key unwrap elsewhere, nor does the value open elsewhere with that key."""
    sealed = run(seal(b"value", HERE, MASTER, ENTROPY))
    wrapped = sealed.wrapped
    key = run(MASTER.unwrap(wrapped.key, key_context(HERE), wrapped.key_id))
    assert unseal(sealed, key, HERE) == b"value"
    with pytest.raises(UnavailableError) as caught:
        unseal(sealed, key, there)
    assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
    with pytest.raises(UnavailableError):
        run(MASTER.unwrap(wrapped.key, key_context(there), wrapped.key_id))


def test_another_deployment_under_the_same_master_key_vouches_for_nothing_here(
    tmp_path: Path,
) -> None:
    """A lab that shares a KMS with production can have keys wrapped, but none for production's file."""
    key = b"f" * 32
    (tmp_path / "state").mkdir(mode=0o700)
    for context, good in ((file_context(ISSUER), True), (file_context("https://lab"), False)):
        wrapped = Wrapped(MASTER.key_id, run(MASTER.wrap(key, context)))
        path = tmp_path / "state/secrets.json"
        path.write_bytes(write_document(Document(ISSUER, wrapped), key))
        path.chmod(0o600)
        if good:
            assert run(store_in(tmp_path / "state").read_all()) == []
        else:
            with pytest.raises(UnavailableError, match="data key"):
                run(store_in(tmp_path / "state").read_all())


def test_a_value_that_changed_under_its_number_is_encrypted_anew(tmp_path: Path) -> None:
    """What is kept is what was given, whatever the caller did with the number."""

    async def work() -> SecretValue | None:
        store = store_in(tmp_path / "state")
        await store.write(added("maps", ONE, NOW), None)
        await store.write(added("maps", TWO, NOW), 1)
        stored = await store_in(tmp_path / "state").read("maps")
        return None if stored is None else stored.record.versions[0].value

    assert run(work()) == TWO
