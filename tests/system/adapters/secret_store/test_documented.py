"""Hold docs/secrets-storage.md to what is so: its commands, its example, and the tests that it names."""

import re
import subprocess
from pathlib import Path

from tests.system.adapters.secret_store import test_file
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

from watchword.adapters.secret_store import master_key_from_file
from watchword.broker.interface import added, revoked, rotated
from watchword.encoding import strict_json

PAGE = (Path(__file__).parents[4] / "docs/secrets-storage.md").read_text(encoding="utf-8")


def test_the_command_makes_a_master_key(tmp_path: Path) -> None:
    """As it stands there, in a shell: another one each time, private, and taken at the start."""
    (command,) = re.findall(r"```sh\n(umask.*?)```", PAGE, re.DOTALL)
    ids = set()
    for _ in range(20):
        subprocess.run(["/bin/sh", "-euc", command], cwd=tmp_path, check=True)
        ids.add(master_key_from_file(tmp_path / "master.key", ENTROPY).key_id)
    assert len(ids) == 20


def test_the_example_has_the_members_of_a_file(tmp_path: Path) -> None:
    """At each level, in the same order, and for the same history the same times and states."""
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    record = rotated(added("maps", ONE, NOW), TWO, 600, NOW)

    async def work() -> None:
        store = store_in(tmp_path / "state", MASTER, ISSUER)
        await store.write(record, None)
        await store.write(revoked(record, 1, NOW + 100), 1)

    run(work())
    text = (tmp_path / "state/secrets.json").read_text()
    filled = re.sub(r'"(key|data|mac)":"[^"]*"', r'"\1":"..."', text).replace(
        MASTER.key_id, "local-0f3a..."
    )
    assert re.sub(r"\n *", "", example) == filled
    assert strict_json.loads(example.encode(), 10_000)


def test_every_promise_names_a_test_that_is_there() -> None:
    """A renamed test would leave a promise that nothing holds."""
    named = re.findall(r"`(test_[a-z_]+)`", PAGE)
    assert len(named) >= 7
    assert all(hasattr(test_file, each) for each in named)
