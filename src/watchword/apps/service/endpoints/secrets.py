"""Answer ``POST /v1/secrets``."""

import structlog

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.endpoints.instances import read_renewal
from watchword.apps.service.messages import Request, Response, json_response
from watchword.encoding import base64url

_log = structlog.get_logger()


async def create_lease(context: ServiceContext, request: Request) -> Response:
    """Hand a secret to an instance, sealed, under a lease."""
    context.safeguards.require_steady_clock()
    delivered = await context.delivery.deliver(read_renewal(request.members), context.clock.now())
    lease = delivered.lease
    _log.info("delivered", instance=lease.instance_id, name=lease.secret, version=lease.version)
    return json_response(
        200,
        {
            "name": lease.secret,
            "version": lease.version,
            "lease": lease.id,
            "expires_in": delivered.expires_in,
            "expires_at": int(lease.expires_at.timestamp()),
            "sealed": base64url.encode(delivered.sealed),
        },
    )
