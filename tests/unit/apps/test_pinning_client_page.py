"""Show that docs/pinning-client.md is true: its lines are run as written, beside the file that a release wrote."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.pins_servers import HOST
from tests.unit.apps.pins_yard import APP, yard

from watchword.apps.pins.publication import release
from watchword.client.pinning.httpx_transport import PinnedTransport
from watchword.pins.interface import Basis

PAGE = (Path(__file__).parents[3] / "docs" / "pinning-client.md").read_text(encoding="utf-8")


def test_lines_of_the_page_pin_by_what_a_release_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any network the app begins by the set in its package, and says why it isn't newer."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    phone = tmp_path / "phone"
    phone.mkdir()
    with yard(tmp_path, mode="enforce") as made:
        (published,) = made.publish(why="a test reports on nothing first")
        data, _, version = release(made.config, APP, "4.2.0", made.now, "alice@test")
    (phone / "watchword_pins.json").write_bytes(data)
    monkeypatch.chdir(phone)
    # Nobody listens there: the fetch ends on this machine.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    names: dict[str, Any] = {}
    exec(compile(block, "docs/pinning-client.md", "exec"), names)
    pins = names["pins"]
    assert pins.keeper.installed.set == published.draft
    assert pins.keeper.installed.seen == version
    judgement = pins.keeper.judge(HOST, (bytes(32), bytes(32)))
    assert (judgement.passes, judgement.basis) == (False, Basis.PINS)
    update = pins.update()
    assert not update.changed
    assert "ConnectError" in update.fault
    assert isinstance(names["api"]._transport, PinnedTransport)
