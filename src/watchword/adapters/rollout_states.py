"""Keep narrowed rollouts in one small private file beside the gate's bundle."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.gate.decisions import RolloutState
from watchword.gate.interface import Rollout
from watchword.reasons import RefusedError

_VERSION: Final = 1
_MAX_BYTES: Final = 256 * 1024


class RolloutStateFile:
    """Read the states at the start and write each new one; a restart then widens nothing."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is made when a canary is narrowed for the first time."""
        self._path = path
        self._keeping = threading.Lock()

    def load(self) -> dict[str, RolloutState]:
        """Return by route what was narrowed, nothing where no file is.

        :raises PrivateFileError: when it can't be read or trusted.  The gate must not start then as if
            nothing had been narrowed; removing the file is an operator's decision.
        """
        data = read_private(self._path, _MAX_BYTES)
        if data is None:
            return {}
        try:
            members = strict_json.loads(data, _MAX_BYTES)
            require_format(self._path, members["v"], _VERSION)
            return {route: _rollout_state(entry) for route, entry in members["routes"].items()}
        except (RefusedError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise PrivateFileError(
                f"{self._path}: is damaged ({type(error).__name__}); remove it to start each canary "
                "at its written share"
            ) from None

    def keep(self, rollout_states: Mapping[str, RolloutState]) -> None:
        """Add to what is kept; it is durable on return.

        Another process of the gate may have narrowed further, or another route: under the same settings
        the smaller share stays, whoever writes last.

        :raises PrivateFileError: when the disk refuses, or what is kept can't be read.
        """
        with self._keeping:
            kept = self.load()
            for route, rollout_state in rollout_states.items():
                before = kept.get(route)
                if (
                    before is None
                    or before.canary != rollout_state.canary
                    or before.share > rollout_state.share
                ):
                    kept[route] = rollout_state
            self._write(kept)

    def _write(self, rollout_states: Mapping[str, RolloutState]) -> None:
        routes = {route: _members(rollout_state) for route, rollout_state in rollout_states.items()}
        write_private(self._path, strict_json.dumps({"v": _VERSION, "routes": routes}))


def _members(rollout_state: RolloutState) -> dict[str, Any]:
    canary = rollout_state.canary
    return {
        "share": rollout_state.share,
        "tripped_at": rollout_state.tripped_at,
        "canary": {
            "share": canary.share,
            "from_versions": dict(canary.from_versions),
            "budget": canary.budget,
        },
    }


def _rollout_state(entry: Mapping[str, Any]) -> RolloutState:
    written = entry["canary"]
    canary = Rollout(
        int(written["share"]),
        {str(app): str(version) for app, version in written["from_versions"].items()},
        float(written["budget"]),
    )
    share = float(entry["share"])
    if not 0 <= share < canary.share:
        raise ValueError("a narrowed share is less than the written one")
    return RolloutState(canary, share, float(entry["tripped_at"]))
