"""Pin the servers that an app talks to, by a set that can be replaced; the check is made before a request leaves.

Face of the package.  Adapters, each with its library: :mod:`.httpx_transport`, :mod:`.urllib3_pools`, :mod:`.requests_adapter`,
:mod:`.aiohttp_connector`; for anything else that takes an ``ssl.SSLContext``: :class:`PinnedContext` (docs/pinning-client.md).
"""

from watchword.client.channel_refusals import (
    ChannelRefusedError,
    CleartextRefusedError,
    PinMismatchError,
    PinsExpiredError,
    SecretsWithheldError,
    mismatch_of,
    refusal_of,
)
from watchword.client.pinning.installation import (
    FilePinStore,
    HttpPinSource,
    PinKeeper,
    PinSource,
    PinStore,
    PinUpdater,
    Seen,
    SourceError,
    StoreError,
    Update,
)
from watchword.client.pinning.reporter import HttpPostman, Reporter
from watchword.client.pinning.tls import Judges, PinnedContext
from watchword.pins.installed import BuiltinError, read_builtin

__all__ = [
    "BuiltinError",
    "ChannelRefusedError",
    "CleartextRefusedError",
    "FilePinStore",
    "HttpPinSource",
    "HttpPostman",
    "Judges",
    "PinKeeper",
    "PinMismatchError",
    "PinSource",
    "PinStore",
    "PinUpdater",
    "PinnedContext",
    "PinsExpiredError",
    "Reporter",
    "SecretsWithheldError",
    "Seen",
    "SourceError",
    "StoreError",
    "Update",
    "mismatch_of",
    "read_builtin",
    "refusal_of",
]
