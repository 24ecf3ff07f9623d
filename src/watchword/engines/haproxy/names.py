"""Name the files, tables and sections that several parts of the configuration speak of."""

from typing import Final

CONFIG: Final = "haproxy.cfg"
KEYS: Final = "keys.map"
"""By the first segment of its tokens, a token key and when it retires."""

SECRETS: Final = "secrets.map"
"""By epoch, when it ends and the gate secret: mode 0600."""

REVOKED: Final = "revoked.map"
"""Subjects of revoked instances; what stands beside them means nothing."""

STATE: Final = "state.map"
"""What the one who follows the bundle tells a running HAProxy."""

ROUTES: Final = "routes.map"
VERSIONS: Final = "versions.lst"
PAYLOAD: Final = "payload.lst"
SIZES: Final = "sizes.map"
WAITING: Final = "waiting.lua"
RECALL: Final = "recall.lua"

MASTER_SOCKET: Final = "master.sock"
PEERS_SOCKET: Final = "peers.sock"

VERDICTS: Final = "watchword_verdicts"
USED: Final = "watchword_used"
RATES: Final = "watchword_rates"
"""The tables: verified tokens, used proofs, what instances sent."""

LOCAL_PEER: Final = "watchword"

GENERATION: Final = "generation"
PROOFS: Final = "proofs"
"""The keys of :data:`STATE`."""

COLD: Final = "cold"
SYNCING: Final = "syncing"
READY: Final = "ready"
UNSURE: Final = "unsure"
"""What :data:`PROOFS` can be: a table of used proofs that began empty; one that is being handed over; one that
knows all; one that began empty by a clock that had been further, so that it takes none yet."""

CLOSED: Final = "closed"
"""The generation of a process that must judge nothing more, since another one does."""


def key_file(kid: str) -> str:
    """Return the name of the file with a public token key."""
    return f"key-{kid}.pem"
