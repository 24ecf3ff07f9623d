"""Say who asked for a change, as far as that is known."""

import re
from typing import Final

from watchword.apps.service.messages import Request

OPERATOR_HEADER: Final = b"watchword-operator"
"""The header in which the command line names the person; a claim, recorded as such."""

_NAME = re.compile(rb"[A-Za-z0-9._@-]{1,64}")


def actor_of(request: Request) -> str:
    """Return the actor for the audit trail.

    Only the service's own user (and root) can open the socket, so that the name is a note among
    colleagues and no protection.
    """
    name = request.headers.get(OPERATOR_HEADER, b"")
    if not _NAME.fullmatch(name):
        return "operator"
    return f"operator (claimed: {name.decode('ascii')})"
