"""Let in only the browser of whoever started the command, and answer every request with a page.

What the guard is for: a page elsewhere that posts to us or frames us (CSRF), a name elsewhere that is made to lead to
loopback (DNS rebinding), other accounts of the machine, and requests that are too large, too slow or no HTTP form.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchword.apps.reports.text import one_line
from watchword.apps.terminal.environment import debugging
from watchword.apps.web.access import Access, same
from watchword.apps.web.kit import STATIC, Kit
from watchword.reasons import WatchwordError

MAX_FORM_BYTES: Final = 1 << 20
"""Most bytes of a form."""

MAX_UPLOAD_BYTES: Final = 20 << 20
"""Most bytes of a form with files, on the routes that take some."""

MAX_FIELDS: Final = 5_000
"""Most fields of a form."""

MAX_FILES: Final = 4

MAX_TARGET_BYTES: Final = 8_192
"""Most bytes of a path with its query."""

BODY_SECONDS: Final = 30.0
"""Longest time that a body may take."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The Content-Security-Policy of every page."""

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" browsers send "Origin: null" with a form of ours.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_METHODS: Final = ("GET", "HEAD", "POST")
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_AGAIN: Final = "Open the address that the command printed in the terminal; it has the key in it."

_logger = logging.getLogger(__name__)

# It writes a line to the terminal for each form that it can't read, of which the page tells already.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(slots=True)
class _RefusedError(Exception):
    """Say why a request isn't let in."""

    status: int
    title: str
    cause: str
    help: str = ""


def page_app(
    routes: Sequence[BaseRoute], *, access: Access, kit: Kit, uploads: Collection[str] = ()
) -> Starlette:
    """Return the application of some pages, behind the guard.

    :param access: who is let in; its port is set once the server listens.
    :param uploads: paths whose forms may hold :data:`MAX_UPLOAD_BYTES`.
    """

    def http_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title, cause = _HTTP_ERRORS.get(status, ("Not done", HTTPStatus(status).description))
        response = kit.refusal(status, title, cause, "Go back, or to the first page.")
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response

    def own_error(_request: Request, error: Exception) -> Response:
        return kit.refusal(409, "Not done", str(error), "Nothing was changed by this request.")

    static = Route(f"{STATIC}/{{name}}", kit.serve_static)
    return Starlette(
        routes=[static, *routes],
        middleware=[Middleware(Guard, access=access, kit=kit, uploads=frozenset(uploads))],
        exception_handlers={HTTPException: http_error, WatchwordError: own_error},
    )


_HTTP_ERRORS: Final = {
    404: ("No such page", "There is no page at this address."),
    405: ("Not done", "This page can't be asked for in this way."),
    400: ("Not done", "The request can't be read."),
}


def form_of(request: Request) -> FormData:
    """Return the form of a POST, as the guard read it; there is no second one to be read."""
    form: FormData = request.scope["state"]["form"]
    return form


class Guard:
    """Stand before an application, and refuse what isn't from its own pages."""

    def __init__(
        self, app: ASGIApp, *, access: Access, kit: Kit, uploads: frozenset[str] = frozenset()
    ) -> None:
        """Guard one application."""
        self._app = app
        self._access = access
        self._kit = kit
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        sender = _Sender(send, page=not scope["path"].startswith(f"{STATIC}/"))
        try:
            answer = await self._answer(scope, receive, sender)
        except _RefusedError as refused:
            answer = self._kit.refusal(refused.status, refused.title, refused.cause, refused.help)
            if refused.status == HTTPStatus.METHOD_NOT_ALLOWED:
                answer.headers["allow"] = ", ".join(_METHODS)
        except Exception as error:
            said = one_line(f"{type(error).__name__}: {error}")
            _logger.error("a request failed: %s", said, exc_info=debugging())  # noqa: TRY400 - as asked.
            answer = self._kit.refusal(
                500,
                "This is a fault of Watchword",
                "The request met an error that nobody expected. Answers given before are kept.",
                "Load the page again. If it happens again, report it with what the terminal shows.",
            )
        if answer is not None and not sender.started:
            await answer(scope, _nothing, sender)

    async def _answer(self, scope: Scope, receive: Receive, send: "_Sender") -> Response | None:
        """Answer what concerns the guard itself, and hand the rest on."""
        headers = Headers(scope=scope)
        host = self._host(headers)
        if scope["method"] not in _METHODS:
            raise _RefusedError(405, "Not done", "Pages are read with GET and changed with POST.")
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if target > MAX_TARGET_BYTES:
            cause = f"got an address of {target} bytes, expected at most {MAX_TARGET_BYTES}"
            raise _RefusedError(414, "Not done", cause)
        if scope["path"].startswith(f"{STATIC}/"):
            if scope["method"] == "POST":
                raise _RefusedError(405, "Not done", "A static file is only read.")
        elif (opened := self._opened(scope, headers)) is not None:
            return opened
        else:
            self._known(headers)
            self._from_ours(headers, scope["method"], host)
        if scope["method"] == "POST":
            await self._form(scope, headers, receive)
            receive = _nothing
        try:
            await self._app(scope, receive, send)
        finally:
            form = scope.get("state", {}).get("form")
            if form is not None:
                await form.close()
        return None

    def _host(self, headers: Headers) -> str:
        """Return the host asked for: a name of a page elsewhere that is made to lead here is no name of ours."""
        found = headers.getlist("host")
        if len(found) != 1 or found[0].lower() not in self._access.hosts:
            raise _RefusedError(
                421,
                "Not the host of these pages",
                "These pages are served on this machine alone, and the request names another host.",
                _AGAIN,
            )
        return found[0].lower()

    def _opened(self, scope: Scope, headers: Headers) -> Response | None:
        """Return what gives a browser the cookie for the key, None for a request without one."""
        if (
            scope["path"] != "/"
            or scope["method"] == "POST"
            or b"key=" not in scope["query_string"]
        ):
            return None
        keys = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=100).get("key", [])
        if len(keys) != 1 or not same(keys[0], self._access.key):
            raise _RefusedError(
                403, "Not the key of these pages", "The key isn't this run's.", _AGAIN
            )
        if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            answer: Response = RedirectResponse("/", 303)
        else:
            # Followed from a page elsewhere: a redirect would go without the strict cookie.
            answer = self._kit.page("opened.html.j2", title="Open the pages")
        answer.set_cookie(
            self._access.cookie_name,
            self._access.cookie,
            httponly=True,
            samesite="strict",
            path="/",
        )
        return answer

    def _known(self, headers: Headers) -> None:
        """Refuse whoever hasn't the cookie."""
        found = cookie_parser(headers.get("cookie", "")).get(self._access.cookie_name)
        if found is None or not same(found, self._access.cookie):
            cause = "This browser hasn't opened these pages with the key of this run."
            raise _RefusedError(403, "Open the pages with their key", cause, _AGAIN)

    def _from_ours(self, headers: Headers, method: str, host: str) -> None:
        """Refuse what a page elsewhere asks for in the name of this browser."""
        site = headers.get("sec-fetch-site")
        origins = headers.getlist("origin")
        told = [each.lower() == f"http://{host}" for each in origins]
        if site in {"cross-site", "same-site"} or not all(told):
            raise _elsewhere()
        if method == "POST" and not (told or site == "same-origin"):
            raise _elsewhere()

    async def _form(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        """Read the form whole for :func:`form_of`, and refuse it unless one of our pages held it."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _FORMS:
            raise _RefusedError(415, "Not done", "The request holds no form.")
        most = MAX_UPLOAD_BYTES if scope["path"] in self._uploads else MAX_FORM_BYTES
        body = await _body(headers, receive, most)
        try:
            # Without "app" in its scope the reader reports what is wrong as its own error.
            form = await Request(scope, _replayed(body)).form(
                max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FORM_BYTES
            )
        except HTTPException as error:
            raise _RefusedError(400, "The form can't be read", str(error.detail)) from None
        given = form.getlist("csrf")
        if (
            len(given) != 1
            or not isinstance(given[0], str)
            or not same(given[0], self._access.csrf)
        ):
            await form.close()
            cause = "The form isn't of a page of this run, so nothing was changed."
            raise _RefusedError(
                403, "The page is out of date", cause, "Load the page again and repeat it."
            )
        scope.setdefault("state", {})["form"] = form


def _elsewhere() -> _RefusedError:
    return _RefusedError(
        403,
        "A page elsewhere asked for this",
        "The browser says that another site made this request, so nothing was done.",
        "Type the address of these pages into the browser, or open the one in the terminal.",
    )


async def _body(headers: Headers, receive: Receive, most: int) -> bytes:
    """Return a body of at most ``most`` bytes that arrives in time."""
    too_large = _RefusedError(
        413, "Too much at once", f"A form here has at most {most >> 20} MiB.", "Send less of it."
    )
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _RefusedError(400, "Not done", "The connection ended in mid-form.")
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        cause = f"The form took longer than {BODY_SECONDS:.0f} seconds."
        raise _RefusedError(408, "Too slow", cause, "Send it again.") from None


def _replayed(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class _Sender:
    """Send an answer with the headers that every answer has."""

    def __init__(self, send: Send, *, page: bool) -> None:
        self._send = send
        self._page = page
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._page or message["status"] != HTTPStatus.OK:
                headers["cache-control"] = "no-store"
        await self._send(message)

