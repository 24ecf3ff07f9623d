"""Follow the gate bundle, and keep the files of an Envoy as it says."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from watchword.apps.engines.admin import rejections
from watchword.apps.engines.files import write_files
from watchword.apps.engines.origins import Origins
from watchword.apps.engines.source import BundleListener, BundleSource, by_routes_of
from watchword.engines.envoy.generation import generate, next_change, table_of
from watchword.engines.envoy.lending import LENT_PREFIX, empty_secret_file, lent_rules
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import EngineFile, Files, UnsupportedError
from watchword.gate.bundle import GateBundle
from watchword.reasons import WatchwordError

LOOK_SECONDS: Final = 0.2
"""How often the bundle is looked at, so that with its own half second a revocation holds within one."""

PROVEN_SECONDS: Final = 2.0
"""After which files that Envoy didn't reject count as good; it takes them in within milliseconds, a
script that loads slowly within a second."""

HELD_SECONDS: Final = 60.0
"""How far the clock may be set back without another window of a quota; beyond, the window is the clock's."""


class ControlPlane(BundleListener):
    """Write the files of each new generation; what Envoy has stays when anything is wrong.

    Envoy needs nobody to go on: a control plane that is gone leaves it enforcing what it has, and the
    next one takes over the same files.
    """

    def __init__(
        self,
        source: BundleSource,
        options: EnvoyOptions,
        now: Callable[[], float],
        tell: Callable[[str], None],
        origins: Origins | None = None,
    ) -> None:
        """Prepare; nothing is written yet.

        :param now: seconds since 1970.
        :param tell: is told each fault once, in one line.
        :param origins: knows where keys are lent to; without it, routes that lend keys answer 502.
        """
        super().__init__(source, tell)
        self._options = options
        self._now = now
        self._latest = 0.0
        self._origins = origins
        self._addresses: Mapping[str, Sequence[str]] = {}
        self._written: GateBundle | None = None
        self._served: GateBundle | None = None
        self._next_change: float | None = None
        self._rejected: dict[str, int] | None = None
        self._files: Sequence[EngineFile] = ()
        self._written_at = 0.0
        self._good: Sequence[EngineFile] = ()

    def step(self) -> bool:
        """Look once; tell whether files were written."""
        bundle = self.latest()
        if bundle is None:
            return False
        now = self._instant()
        addresses = self._resolved(bundle)
        due = self._next_change is not None and now >= self._next_change
        if bundle == self._written and addresses == self._addresses and not due:
            return False
        if self._files:
            # What was rejected until now is the fault of what is there, not of what comes.
            self.check()
        try:
            files, served, why = self._servable(bundle, now, addresses)
            write_files(Path(self._options.directory), files)
        except UnsupportedError as error:
            self.not_served(bundle, error, rest=False)
            # It won't be better until another one comes.
            self._written, self._addresses = bundle, addresses
            return False
        except (OSError, WatchwordError) as error:
            self.fault(f"generation {bundle.generation} isn't written: {error}")
            return False
        self._written, self._served, self._addresses = bundle, served, addresses
        self._files, self._written_at = files, now
        self._next_change = next_change(served, now)
        if why is not None:
            self.not_served(bundle, why, rest=True)
            return False
        self.forget_told()
        return True

    def _servable(
        self, bundle: GateBundle, now: float, addresses: Mapping[str, Sequence[str]]
    ) -> tuple[Files, GateBundle, UnsupportedError | None]:
        """Return the files, and by which bundle: by the routes of before, and why, where these can't be served.

        Who was revoked meanwhile mustn't gain by a table that can't be served.
        """
        try:
            return generate(bundle, self._options, now, addresses), bundle, None
        except UnsupportedError as error:
            if self._served is None:
                raise
            served = by_routes_of(self._served, bundle)
            return generate(served, self._options, now, addresses), served, error

    def _instant(self) -> float:
        """Return the time; a clock that is set back a little doesn't begin the last window of a quota again."""
        now = self._now()
        if not self._latest - HELD_SECONDS <= now < self._latest:
            self._latest = now
        return self._latest

    def _resolved(self, bundle: GateBundle) -> Mapping[str, Sequence[str]]:
        """Return by secret the addresses of its origin, as far as they are known."""
        if self._origins is None or not bundle.policy.edges:
            return {}
        try:
            found = self._origins.look(lent_rules(bundle.policy))
        except UnsupportedError:
            return {}  # Told where it is written.
        for text in self._origins.faults():
            self.fault(text)
        return found

    def check(self) -> None:
        """Ask Envoy what it rejected since the last time, tell, and put back what it had taken.

        Without that, an Envoy that is started anew would find nothing but what it rejects.
        """
        found = rejections(Path(self._options.admin.socket))
        if found is None:
            return
        known, self._rejected = self._rejected or {}, found
        rejected = [
            name
            for name, count in found.items()
            if count > known.get(name, 0) and not self._is_of_another_table(name)
        ]
        if rejected:
            self.fault(
                f"Envoy rejected its configuration and keeps the last good one ({rejected[0]})"
            )
            self._put_back()
        elif self._now() - self._written_at >= PROVEN_SECONDS:
            self._good = self._files

    def _is_of_another_table(self, name: str) -> bool:
        """Tell whether a count is of a listener that ends, which takes no table but its own."""
        table = table_of(self._files)
        return bool(table) and ".rds." in name and f".rds.{table}." not in name

    def _put_back(self) -> None:
        if not self._good:
            return
        try:
            write_files(Path(self._options.directory), self._without_old_keys())
        except (OSError, WatchwordError) as error:
            self.fault(f"the last good files can't be put back: {error}")
        else:
            self._files = self._good
            self.say("the last good files are in their place again")

    def _without_old_keys(self) -> Sequence[EngineFile]:
        """Return the last good files, but for keys, which stay what they are now: an old one may be revoked."""
        current = {file.name: file for file in self._files}
        return [
            current.get(file.name) or empty_secret_file(file.name)
            if file.name.startswith(LENT_PREFIX)
            else file
            for file in self._good
        ]
