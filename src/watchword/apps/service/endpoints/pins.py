"""Answer ``GET /v1/pins/{app}``, ``GET /v1/pins/{app}/roots/{version}`` and ``POST /v1/pins/reports``."""

import re
from typing import Final

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response
from watchword.pins.interface import ROOTS_MEDIA_TYPE, SET_MEDIA_TYPE
from watchword.pins.reports import MAX_REPORT_BYTES, parse_report
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

CACHE_SECONDS: Final = 60
"""How long a cache may hand out a set or a root list: at 3 a.m. the next one must not wait for it."""

RETRY_SECONDS: Final = 60
"""After how long a report may come again that there was no room for."""

_CACHE: Final = f"public, max-age={CACHE_SECONDS}".encode()
_VERSION: Final = re.compile(r"[1-9][0-9]{0,15}")
_TAG: Final = re.compile(rb'(?:W/)?"([^"]*)"')


async def show_pins(context: ServiceContext, request: Request) -> Response:
    """Return the newest set of an app as it was signed, or 304 for one who has it.

    :raises RefusedError: ``request.not_found`` for an app that nothing is published for.
    """
    published = context.pins.newest(request.parameters["app"])
    if published is None:
        raise RefusedError.because(
            Reason.REQUEST_NOT_FOUND, "expected an app that pins are published for"
        )
    tag = published.tag.encode()
    headers = ((b"etag", b'"' + tag + b'"'), (b"cache-control", _CACHE))
    known = request.headers.get(b"if-none-match", b"")
    if known.strip() == b"*" or tag in _TAG.findall(known):
        return Response(304, b"", headers)
    return Response(200, published.data, ((b"content-type", SET_MEDIA_TYPE.encode()), *headers))


async def show_root_list(context: ServiceContext, request: Request) -> Response:
    """Return a root list as it was signed; also for an app whose set counts no more, which needs it most.

    :raises RefusedError: ``request.not_found`` for a version that isn't there yet.
    """
    app, version = request.parameters["app"], request.parameters["version"]
    data = None
    if app in context.pins.apps and _VERSION.fullmatch(version):
        data = context.pins.root_list(int(version))
    if data is None:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected a root list that is there")
    headers = ((b"content-type", ROOTS_MEDIA_TYPE.encode()), (b"cache-control", _CACHE))
    return Response(200, data, headers)


async def report_failure(context: ServiceContext, request: Request) -> Response:
    """Count a report; one of an app or a host that isn't pinned is answered alike, so that nobody learns which are.

    :raises RefusedError: ``request.not_found`` where no host is pinned at all.
    :raises MalformedError: ``request.body_too_large``, or as :func:`watchword.pins.reports.parse_report` does.
    :raises UnavailableError: ``service.overloaded`` for one report too many.
    """
    if not context.pins.apps:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected a service of pinned hosts")
    if len(request.body) > MAX_REPORT_BYTES:
        raise MalformedError.because(
            Reason.REQUEST_BODY_TOO_LARGE, f"expected at most {MAX_REPORT_BYTES} bytes"
        )
    # Before it is parsed: whole chains of certificates cost more than counting.
    if not context.pin_reports.has_room():
        raise UnavailableError(
            Reason.SERVICE_OVERLOADED, "more reports than are taken", retry_after=RETRY_SECONDS
        )
    media_type = request.headers.get(b"content-type", b"").decode("latin-1")
    context.pin_reports.record(parse_report(request.body, media_type))
    return Response(204, b"", ((b"cache-control", b"no-store"),))
