"""Write the refusals that an engine words itself, as every other mouth of the gate words them."""

from watchword.encoding import strict_json
from watchword.public_classes import PROBLEM_TYPE, PublicClass

RETRY_AFTER_SECONDS = 5
"""After which a client may try again where something doesn't answer, as everywhere."""


def problem(public: PublicClass, ref: str) -> str:
    """Return the body of a refusal (RFC 9457).

    :param ref: the engine's own expression for the id of a request.
    """
    members = {
        "type": PROBLEM_TYPE + public.slug,
        "title": public.title,
        "status": public.status,
        "ref": ref,
    }
    return strict_json.dumps(members).decode()
