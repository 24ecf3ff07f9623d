"""Read the access log that HAProxy writes by a configuration of ``watchword gate config --engine haproxy``.

The configuration names the reason of each refusal that is its own; what HAProxy refuses before it gets there
(a request that can't be read, an API that doesn't answer) is known by its status alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.fields import by_status, common
from watchword.reasons import Reason

_BY_STATUS = {503: Reason.GATE_UPSTREAM}
"""Without a reason of the gate's, 503 is what HAProxy answers where no server of the API takes a request."""


def read(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :class:`watchword.apps.engines.logs.interface.EngineLog`."""
    refusal = common(members)
    if refusal.status < 400:
        # A row in monitor mode names why it would have refused, and passes the request on.
        return None
    known = refusal.reason or _BY_STATUS.get(refusal.status) or by_status(refusal.status)
    return replace(refusal, reason=known)
