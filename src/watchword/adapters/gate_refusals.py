"""Keep what gates inside applications refuse, let pass in ``monitor`` or count, where the operator's commands look for it.

Such a gate has no listener that could be asked.  It counts in memory, and adds its counts to one private file about once a
second, beside those of the other processes of the machine.  Neither token nor detail nor address goes there.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from watchword.adapters.engine_refusals import EngineRefusal, gate_refusals
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.refusal_log import MemoryRefusalLog, RefusalSample
from watchword.adapters.written_behind import Writer
from watchword.ports import Clock, Entropy
from watchword.reasons import Refusal

_log = structlog.get_logger()


class GateRefusals:
    """Implement :class:`watchword.ports.RefusalLog` for the gate of one API; any thread may record.

    What is counted and decides nothing (:class:`watchword.gate.tallies.TallySink`) is kept beside, under codes of its own.

    What can't be written waits in memory, which is bounded by reasons and routes; a process that is killed loses about a
    second of its counts.
    """

    def __init__(
        self, path: Path, api: str, *, clock: Clock, entropy: Entropy, seconds: float = 1.0
    ) -> None:
        """Keep the path; the file is made with the first refusals, its directory by whoever publishes bundles.

        :param seconds: after how long counts are written.
        """
        self._path = path
        self._api = api
        self._clock = clock
        self._entropy = entropy
        self._file = gate_refusals(path)
        self._fault: str | None = None
        self._forget()
        self._writer = Writer(self._write, self._forget, name="watchword-refusals", seconds=seconds)

    def record(self, refusals: Sequence[Refusal], where: str) -> None:
        """See :meth:`watchword.ports.RefusalLog.record`; the first cause names the sample's kind."""
        if not refusals:
            return
        with self._holding:
            self._held.record(refusals, where)
        self._writer.wake()

    def count(self, code: str, where: str) -> None:
        """See :meth:`watchword.gate.tallies.TallySink.count`."""
        with self._holding:
            self._tallied[code, where] += 1
        self._writer.wake()

    def close(self) -> None:
        """Write what is left; what is recorded later isn't kept."""
        self._writer.close()

    def _forget(self) -> None:
        """Begin empty, in a child too: what the parent didn't write yet it writes itself."""
        self._holding = threading.Lock()
        self._held = MemoryRefusalLog(self._clock)
        self._tallied: Counter[tuple[str, str]] = Counter()

    def _write(self) -> None:
        if not self._path.parent.is_dir():
            # The service makes its directories itself, with the modes that it trusts.  Until then counts wait.
            return
        with self._holding:
            counts, latest = self._held.drain()
            tallied, self._tallied = self._tallied, Counter()
        if not counts and not tallied:
            return
        begin = self._entropy.token_bytes(16)
        samples = [
            (hashlib.sha256(begin + bytes([number >> 8, number & 255])).digest(), _kept(sample))
            for number, sample in enumerate(sorted(latest, key=lambda each: each.at))
        ]
        try:
            self._file.add_counts(
                self._api,
                {(reason.code, where): count for (reason, where), count in counts.items()}
                | tallied,
                samples,
            )
        except PrivateFileError as error:
            # Nothing was written, so that nothing counts twice; the next refusal tries again.
            with self._holding:
                self._held.put_back(counts)
                self._tallied.update(tallied)
            if str(error) != self._fault:
                self._fault = str(error)
                _log.error("refusals not kept", api=self._api, detail=self._fault)
            return
        self._fault = None


def _kept(sample: RefusalSample) -> EngineRefusal:
    reason = sample.refusals[0].reason
    return EngineRefusal(sample.at, "", sample.where, reason.public.status, reason)
