"""Read the access log that nginx writes by a configuration of ``watchword gate config --engine nginx``.

The configuration names the reason of each refusal that is its own; what nginx refuses before it gets there
(a request that can't be read, an API that doesn't answer) is known by its status alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.fields import by_status, common

_CLIENT_LEFT = 499
"""What nginx notes of a client that went away before its answer: nothing was refused."""


def read(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :class:`watchword.apps.engines.logs.interface.EngineLog`."""
    refusal = common(members)
    if refusal.status < 400 or refusal.status == _CLIENT_LEFT:
        return None
    return replace(refusal, reason=refusal.reason or by_status(refusal.status))
