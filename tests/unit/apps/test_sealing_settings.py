"""Show where the key stands that seals rows in PostgreSQL, and each fault with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import EXAMPLE_DIGEST, EXAMPLE_TEAM_ID, TEMPLATE

STORE = "postgresql://watchword_node@db.example/watchword"
BAO = {"url": "https://bao.example:8200", "token": "bao.token"}


def written(
    tmp_path: Path,
    postgres: dict[str, Any],
    secrets: dict[str, Any] | None = None,
    *,
    prod: bool = False,
) -> Path:
    """Write a file with these parts."""
    text = TEMPLATE.replace("mode: off", "mode: 'off'")
    if prod:
        text = text.replace(EXAMPLE_TEAM_ID, "ZYXWV98765").replace(EXAMPLE_DIGEST, "0f" * 32)
        text = text.replace("environment: lab", "environment: prod")
        text = text.replace("issuer: http://", "issuer: https://")
    data = yaml.safe_load(text)
    data["service"] |= {"store": STORE, "postgres": postgres}
    if secrets is not None:
        data["secrets"] = secrets
    file = tmp_path / "watchword.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_one_key_seals_rows_and_values(tmp_path: Path) -> None:
    """Secrets go by it, too, in production as well; files stay where the section says nothing."""
    keys = {"keys": {"maps": {"deliver": {"apps": ["clinic-ios"], "lease": "2h"}}}}
    sealed = load_settings(
        written(tmp_path, {"master_key": {"file": "sealing.key"}}, keys, prod=True)
    )
    assert sealed.service.sealing is not None
    assert sealed.service.sealing.file == tmp_path / "sealing.key"
    assert sealed.secrets is not None
    assert sealed.secrets.master_key == sealed.service.sealing
    files = load_settings(written(tmp_path, {"connections": 4}, keys))
    assert files.service.sealing is None
    assert files.secrets is not None
    assert files.secrets.master_key is not None
    assert files.secrets.master_key.file == files.service.state_dir / "master.key"


@pytest.mark.parametrize(
    ("postgres", "where", "expected"),
    [
        ({"master_key": {}}, "service.postgres.master_key", "one of file, env and transit"),
        (
            {"master_key": {"file": "a", "env": "B"}},
            "service.postgres.master_key",
            "one of file, env and transit",
        ),
        (
            {"master_key": {"file": "a"}, "other_master_key": {}},
            "service.postgres.other_master_key",
            "one of file, env and transit",
        ),
        ({"other_master_key": {"file": "a"}}, "service.postgres", "master_key beside it"),
        ({"master_key": {"transit": "a"}}, "service.postgres.master_key", "secrets.openbao"),
    ],
)
def test_a_key_that_is_nowhere_is_told(
    tmp_path: Path, postgres: dict[str, Any], where: str, expected: str
) -> None:
    """With the place and what to write there."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(written(tmp_path, postgres))
    assert where in str(caught.value)
    assert expected in str(caught.value)


def test_a_key_of_openbao_is_taken(tmp_path: Path) -> None:
    """Where the file says where that is."""
    file = written(tmp_path, {"master_key": {"transit": "sealing"}}, {"openbao": BAO})
    sealing = load_settings(file).service.sealing
    assert sealing is not None
    assert sealing.transit == "sealing"
