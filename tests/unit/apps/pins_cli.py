"""Run `watchword pins` in this process, as a shell would: arguments in, exit code and text out."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from watchword.apps.cli.main import run


@dataclass(frozen=True)
class Done:
    """Hold how a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what it printed as JSON."""
        return json.loads(self.out)


@dataclass
class Shell:
    """Run commands on one file, in its directory."""

    config: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, code: int | None = 0) -> Done:
        """Run a command, and hold it to what holds always; expect an exit code, None for any."""
        self.monkeypatch.chdir(self.config.parent)
        words = ["watchword", "-c", str(self.config), "pins", *map(str, arguments)]
        self.monkeypatch.setattr(sys, "argv", words)
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run()
        out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        assert "internal error" not in err, err
        assert isinstance(end.value.code, int)
        assert code is None or end.value.code == code, (arguments, out, err)
        return Done(end.value.code, out, err)
