"""Serve pages to people on this machine, and to nobody else.

Three things keep others out.  The name in ``Host`` must be a loopback address's, so that no page elsewhere reaches ours by a
name that it lets point here.  A random key, once in the address that the terminal shows and then in a cookie, keeps out
other users of this machine.  And what changes something comes from a page of ours: by its origin, and by a second random
value in the form, which no other page can read.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchword.apps.reports.text import one_line
from watchword.apps.terminal.environment import debugging
from watchword.apps.web.kit import Kit
from watchword.reasons import WatchwordError

MAX_FORM_BYTES: Final = 1024 * 1024
MAX_UPLOAD_BYTES: Final = 20 * 1024 * 1024
"""Most bytes of a request, with a file and without one."""

MAX_FIELDS: Final = 500

BODY_SECONDS: Final = 30.0
"""Longest that a form may take to arrive."""

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""What a page may do: nothing from elsewhere, and no script or style inside of it."""

_HEADERS: Final = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" a browser sends "Origin: null" with a form of ours that goes without script.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_STATIC: Final = "/static/"
_TYPES: Final = {
    "svg": "image/svg+xml",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
_HASH_CHARACTERS: Final = 12
_CSRF: Final = "csrf"
_OK: Final = 200
_DIGITS: Final = re.compile(r"[0-9]{1,12}")

_log = logging.getLogger("watchword.web")

# It writes a line to the terminal for each form that it can't read, of which the page tells already.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

Page = Callable[[Request], Response]
"""Answers a GET, in a thread."""

Action = Callable[[Request, FormData], Response]
"""Answers a POST whose form came from a page of ours, in a thread."""


@dataclass(frozen=True, slots=True)
class Access:
    """Hold what lets somebody in.

    :param port: where the pages are served, on loopback.
    :param key: stands in the address that the terminal shows, and then in a cookie.
    :param csrf: stands in each form.
    """

    port: int
    key: str = field(repr=False)
    csrf: str = field(repr=False)

    @property
    def origins(self) -> tuple[str, ...]:
        """Return the origins under which a browser knows these pages."""
        return tuple(f"http://{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]"))

    @property
    def address(self) -> str:
        """Return the address without the key."""
        return f"{self.origins[0]}/"

    @property
    def invitation(self) -> str:
        """Return the address that lets somebody in."""
        return f"{self.address}?{urlencode({'key': self.key})}"

    @property
    def cookie(self) -> str:
        """Return the cookie's name: browsers share cookies between ports, so that each has its own."""
        return f"watchword-{self.port}"


def page(path: str, answer: Page) -> Route:
    """Return the route of a page."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request)

    return Route(path, endpoint, methods=["GET"])


def action(path: str, answer: Action, *, upload: bool = False) -> Route:
    """Return the route of what changes something: it gets the form only if a page of ours sent it.

    :param upload: whether the form may bring a file.
    """

    async def endpoint(request: Request) -> Response:
        access: Access = request.app.state.access
        limit = MAX_UPLOAD_BYTES if upload else MAX_FORM_BYTES
        form = await _form(request, limit, files=1 if upload else 0)
        try:
            sent = form.getlist(_CSRF)
            if len(sent) != 1 or not isinstance(sent[0], str) or not _same(sent[0], access.csrf):
                raise HTTPException(
                    403,
                    "This form doesn't come from a page of this workshop as it runs now. Load the page again; "
                    "what you typed is still in the other tab.",
                )
            return await run_in_threadpool(answer, request, form)
        finally:
            await form.close()

    return Route(path, endpoint, methods=["POST"])


async def _form(request: Request, limit: int, *, files: int) -> FormData:
    """Return a form that arrives whole, in time, and isn't too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS:
        raise HTTPException(415)
    capped = Request(request.scope, _Capped(request.receive, limit))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await capped.form(
                max_files=files, max_fields=MAX_FIELDS, max_part_size=MAX_FORM_BYTES
            )
    except TimeoutError:
        raise HTTPException(408) from None
    except _TooLargeError:
        raise HTTPException(413) from None
    except ClientDisconnect:
        raise HTTPException(400) from None


def page_app(routes: Sequence[BaseRoute], kit: Kit, access: Access) -> ASGIApp:
    """Return the application that serves these pages."""
    static = StaticFiles.of(kit.packages)
    kit.let(csrf=access.csrf, static=static.urls)

    async def told(_request: Request, error: Exception) -> Response:
        return _problem(kit, 400, str(error))

    async def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        said = (
            error.detail if error.status_code == 403 else _SAID.get(error.status_code, error.detail)
        )
        return _problem(kit, error.status_code, said)

    async def failed(_request: Request, _error: Exception) -> Response:
        # It comes to the guard too, which tells the terminal.
        return _problem(kit, 500, _SAID[500])

    app = Starlette(
        routes=[*routes, Route(_STATIC + "{name:path}", static.answer, methods=["GET"])],
        exception_handlers={
            WatchwordError: told,
            HTTPException: refused,
            Exception: failed,
        },
    )
    app.state.access = access
    return Guard(app, kit, access)


_SAID: Final = {
    400: "This form can't be read, or the connection was lost in mid-form. Nothing was changed.",
    404: "There is no such page here.",
    405: "This page can't be used in this way.",
    408: "The form took too long to arrive. Nothing was changed; send it again.",
    413: "That is larger than this page takes.",
    415: "That is no form of a page.",
    500: "The page failed by a fault of ours; the terminal has its cause. Nothing was lost.",
}


def _problem(kit: Kit, status: int, said: str) -> Response:
    return HTMLResponse(kit.text("problem.html.j2", said=said, status=status), status)


class Guard:
    """Stand before all pages: who may come in, how much one may send, what each answer says to the browser."""

    def __init__(self, app: ASGIApp, kit: Kit, access: Access) -> None:
        """Keep what is guarded."""
        self._app = app
        self._kit = kit
        self._access = access
        self._hosts = frozenset(each.removeprefix("http://") for each in access.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            return
        static = scope["path"].startswith(_STATIC)
        sender = _Sender(send, static=static)
        try:
            await self._guarded(scope, receive, sender)
        except Exception as error:  # noqa: BLE001 - told without where in the code it happened.
            said = one_line(f"{type(error).__name__}: {error}")
            _log.error("a page failed: %s", said, exc_info=debugging())
            if not sender.started:
                await _problem(self._kit, 500, _SAID[500])(scope, receive, sender)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer = self._refusal(request)
        if answer is None and request.url.path == "/" and "key" in request.query_params:
            answer = self._let_in(request)
        if answer is None and not request.url.path.startswith(_STATIC) and not self._is_in(request):
            answer = _problem(
                self._kit,
                403,
                "Open the address that the terminal shows: it has the key that lets you in.",
            )
        if answer is None:
            await self._app(scope, receive, send)
        else:
            await answer(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _problem(
                self._kit,
                421,
                f"This page is for this machine alone. Open it as {self._access.address}, not under another name.",
            )
        if request.method in {"GET", "HEAD"}:
            return None
        length = request.headers.get("content-length", "0")
        if not _DIGITS.fullmatch(length) or int(length) > MAX_UPLOAD_BYTES:
            return _problem(self._kit, 413, _SAID[413])
        origins, site = request.headers.getlist("origin"), request.headers.get("sec-fetch-site")
        ours = origins == [f"http://{hosts[0].lower()}"]
        if (origins and not ours) or site not in (
            {"same-origin", None} if ours else {"same-origin"}
        ):
            return _problem(
                self._kit, 403, "Another page sent this. Nothing was changed; close that page."
            )
        return None

    def _let_in(self, request: Request) -> Response:
        if not _same(request.query_params["key"], self._access.key):
            return _problem(
                self._kit,
                403,
                "The key in this address is another workshop's. Open the address that the terminal shows now.",
            )
        answer: Response = RedirectResponse("/", 303)
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            # Followed from a page elsewhere: a redirect would go without the strict cookie.
            answer = self._kit.page("opened.html.j2")
        answer.set_cookie(self._access.cookie, self._access.key, httponly=True, samesite="strict")
        return answer

    def _is_in(self, request: Request) -> bool:
        return _same(request.cookies.get(self._access.cookie, ""), self._access.key)


def _same(got: str, wanted: str) -> bool:
    return hmac.compare_digest(got.encode("utf-8", "replace"), wanted.encode())


class _TooLargeError(Exception):
    """Report a body that goes on beyond what was announced or is allowed."""


class _Capped:
    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._left = most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLargeError
        return message


class _Sender:
    """Send an answer, with the headers that all answers have."""

    def __init__(self, send: Send, *, static: bool) -> None:
        self._send = send
        self._static = static
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            # Each static file has its hash in its name.
            kept = self._static and message["status"] == _OK
            headers["cache-control"] = "max-age=31536000, immutable" if kept else "no-store"
        await self._send(message)


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """Hold the styles and scripts of some packages, each under a name with its hash."""

    found: Mapping[str, tuple[bytes, str]]
    urls: Mapping[str, str]

    @classmethod
    def of(cls, packages: Sequence[str]) -> "StaticFiles":
        """Read the folder ``static`` of each package."""
        found: dict[str, tuple[bytes, str]] = {}
        urls: dict[str, str] = {}
        for package in packages:
            folder = files(package) / "static"
            for each in (
                sorted(folder.iterdir(), key=lambda one: one.name) if folder.is_dir() else ()
            ):
                kind = _TYPES.get(each.name.rpartition(".")[2])
                if kind is not None:
                    data = each.read_bytes()
                    name = f"{hashlib.sha256(data).hexdigest()[:_HASH_CHARACTERS]}/{each.name}"
                    found[name], urls[each.name] = (data, kind), _STATIC + name
        return cls(found, urls)

    async def answer(self, request: Request) -> Response:
        """Answer with one file."""
        data, kind = self.found.get(request.path_params["name"], (b"", ""))
        if not kind:
            raise HTTPException(404)
        return Response(data, media_type=kind)


def query(request: Request, name: str, default: str = "") -> str:
    """Return one member of the address, the first of several."""
    found: Any = parse_qs(request.url.query).get(name)
    return str(found[0]) if found else default
