"""Call a WSGI application as a server would, and see what it answers."""

import io
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

Environ = dict[str, Any]


@dataclass
class Answer:
    """Hold what an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class RecordedRequests:
    """Be the application behind; remember each environ that reaches it, and each body."""

    seen: list[Environ] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer 200."""
        self.seen.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"served"]


def environ_of(scope: Mapping[str, Any], body: bytes = b"", *, raw: bool = True) -> Environ:
    """Return what a server makes of a request, as gunicorn does.

    :param scope: the same request as an ASGI scope; its ``path`` is what ``PATH_INFO`` comes from.
    :param raw: whether the server tells the target as received.
    """
    raw_path, query = scope["raw_path"], scope["query_string"].decode("latin-1")
    mount = scope.get("root_path", "")
    path = unquote_to_bytes(raw_path).decode("latin-1")
    if scope["path"] != unquote(raw_path.decode("latin-1")):
        path = scope["path"].encode().decode("latin-1")
    environ: Environ = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": mount,
        "PATH_INFO": path.removeprefix(mount),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if raw:
        target = raw_path.decode("latin-1") + (f"?{query}" if query else "")
        environ["RAW_URI"] = target
    put_fields(environ, scope["headers"])
    return environ


def put_fields(environ: Environ, fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Turn header fields into variables; those of one name are joined."""
    for name, value in fields:
        variable = name.decode("latin-1").upper().replace("-", "_")
        if variable not in {"CONTENT_LENGTH", "CONTENT_TYPE"}:
            variable = f"HTTP_{variable}"
        text = value.decode("latin-1")
        environ[variable] = f"{environ[variable]},{text}" if variable in environ else text


def call(app: Callable[..., Iterable[bytes]], environ: MutableMapping[str, Any]) -> Answer:
    """Run one call of an application to its end."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc: object = None
    ) -> Callable[[bytes], None]:
        begun.append((status, headers))
        return lambda _piece: None

    body = b"".join(app(dict(environ), start_response))
    status, headers = begun[-1]
    return Answer(int(status.split(" ")[0]), {name.lower(): v for name, v in headers}, body)
