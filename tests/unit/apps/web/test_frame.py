"""The guard lets in the browser of whoever started the command, and nothing else; every answer is a page."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from tests.unit.apps.web.requests import CSRF, FORM, HOST, KEY, Answer, Header, ask, of_ours, opened

from watchword.apps.web import frame
from watchword.apps.web.frame import CSP, MAX_FORM_BYTES, MAX_UPLOAD_BYTES, action, page, page_app
from watchword.apps.web.kit import Kit, go
from watchword.reasons import WatchwordError

ACCESS = opened()


class Pages:
    """Hold an application that notes what was done."""

    def __init__(self) -> None:
        """Make it."""
        self.done: list[str] = []
        self.app = page_app(
            [
                page("/", lambda _: PlainTextResponse("home")),
                action("/do", self.act),
                action("/upload", self.act, upload=True),
                page("/broken", self.broken),
                page("/refused", self.refused),
            ],
            Kit(),
            ACCESS,
        )

    def act(self, _request: Request, form: FormData) -> Response:
        """Note what was asked for."""
        self.done.append(str(form.get("what")))
        return go("/")

    def broken(self, _request: Request) -> Response:
        """Fail."""
        raise RuntimeError("the-secret-place in line 7")

    def refused(self, _request: Request) -> Response:
        """Refuse."""
        raise WatchwordError("watchword.yaml:3: got <nothing>, expected a list")

    def post(self, *replaced: Header, body: bytes | None = None, without: str = "") -> Answer:
        """Send a form as our page would, but for some headers."""
        names = {name for name, _ in replaced} | {without}
        headers = [each for each in (*of_ours(ACCESS), FORM) if each[0] not in names]
        return ask(
            self.app, "POST", "/do", [*headers, *replaced], [self.body() if body is None else body]
        )

    @staticmethod
    def body(csrf: str = CSRF) -> bytes:
        """Return a form."""
        return f"csrf={csrf}&what=kept".encode()


@pytest.fixture
def pages() -> Pages:
    """Return fresh pages."""
    return Pages()


def test_a_form_of_ours_is_taken(pages: Pages) -> None:
    """A form of ours is taken."""
    assert pages.post().status == 303
    assert pages.done == ["kept"]


def test_the_key_becomes_a_cookie_that_no_script_reads(pages: Pages) -> None:
    """The key becomes a cookie that no script reads."""
    answer = ask(pages.app, "GET", f"/?key={KEY}", [("host", HOST)])

    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert cookie.startswith("watchword-8700=")
    assert "Domain" not in cookie


def test_a_key_that_is_followed_from_elsewhere_opens_by_one_more_click(pages: Pages) -> None:
    """A key that is followed from elsewhere opens by one more click."""
    headers = [("host", HOST), ("sec-fetch-site", "cross-site")]

    answer = ask(pages.app, "GET", f"/?key={KEY}", headers)

    assert answer.status == 200
    assert 'href="/"' in answer.text
    assert "set-cookie" in answer.headers
    assert KEY not in answer.text


@pytest.mark.parametrize("query", ["key=", f"key={KEY}0", f"key={KEY[:-1]}", "key=%ff%00"])
def test_another_key_is_refused(pages: Pages, query: str) -> None:
    """Another key is refused."""
    answer = ask(pages.app, "GET", f"/?{query}", [("host", HOST)])

    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["attacker.example:8700"],
        ["attacker.example"],
        ["127.0.0.1"],
        ["127.0.0.1:8701"],
        ["127.0.0.1:8700.attacker.example"],
        ["localhost.:8700"],
        ["127.1:8700"],
        ["0.0.0.0:8700"],
        ["user@127.0.0.1:8700"],
        [HOST, "attacker.example:8700"],
        [HOST, HOST],
    ],
)
def test_a_rebound_host_is_refused_and_told_why(pages: Pages, hosts: list[str]) -> None:
    """A rebound host is refused and told why."""
    headers = [each for each in of_ours(ACCESS) if each[0] != "host"]

    answer = ask(pages.app, "GET", "/", [*(("host", each) for each in hosts), *headers])

    assert answer.status == 421
    assert "this machine alone" in answer.text
    assert "attacker" not in answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8700", "localhost:8700", "LOCALHOST:8700", "[::1]:8700"]
)
def test_each_name_of_loopback_is_ours(pages: Pages, host: str) -> None:
    """Each name of loopback is ours."""
    headers = [("host", host), ("cookie", f"{ACCESS.cookie}={KEY}")]
    assert ask(pages.app, "GET", "/", headers).text == "home"


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "watchword-8700=",
        "watchword-8700=x",
        f"watchword-8701={ACCESS.cookie}",
        f"watchword-8700={CSRF}",
        "\xff=\xff",
    ],
)
def test_without_the_cookie_nothing_is_shown(pages: Pages, cookie: str) -> None:
    """Without the cookie nothing is shown."""
    answer = ask(pages.app, "GET", "/", [("host", HOST), ("cookie", cookie)])

    assert answer.status == 403
    assert "terminal" in answer.text


def test_a_cookie_of_another_program_on_this_machine_locks_nobody_out(pages: Pages) -> None:
    """A cookie of another program on this machine locks nobody out."""
    cookie = f'other={{"a": [1]}}; x y; {ACCESS.cookie}={KEY}'
    assert ask(pages.app, "GET", "/", [("host", HOST), ("cookie", cookie)]).status == 200


@pytest.mark.parametrize(
    "header",
    [
        ("origin", "https://attacker.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:8701"),
        ("origin", "https://127.0.0.1:8700"),
        # Another of our own names: its page isn't the one that was asked.
        ("origin", "http://localhost:8700"),
        ("sec-fetch-site", "cross-site"),
        # A page of another port of this machine.
        ("sec-fetch-site", "same-site"),
    ],
)
def test_a_form_from_elsewhere_changes_nothing(pages: Pages, header: Header) -> None:
    """A form from elsewhere changes nothing."""
    answer = pages.post(header)

    assert answer.status == 403
    assert pages.done == []


def test_a_form_without_any_word_on_where_it_is_from_changes_nothing(pages: Pages) -> None:
    """A form without any word on where it is from changes nothing."""
    headers = [each for each in of_ours(ACCESS) if each[0] in {"host", "cookie"}]

    answer = ask(pages.app, "POST", "/do", [*headers, FORM], [pages.body()])

    assert (answer.status, pages.done) == (403, [])


@pytest.mark.parametrize("without", ["origin", "sec-fetch-site"])
def test_either_word_on_where_it_is_from_will_do(pages: Pages, without: str) -> None:
    """Either word on where it is from will do."""
    assert pages.post(without=without).status == 303


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"what=kept",
        b"csrf=&what=kept",
        f"csrf={KEY}&what=kept".encode(),
        f"csrf={CSRF}&csrf={CSRF}&what=kept".encode(),
        "csrf=\u2603&what=kept".encode(),
        b"csrf=%ff%fe&what=kept",
    ],
)
def test_a_form_without_our_mark_changes_nothing(pages: Pages, body: bytes) -> None:
    """A form without our mark changes nothing."""
    answer = pages.post(body=body)

    assert (answer.status, pages.done) == (403, [])
    assert "Load the page again" in answer.text


def test_the_mark_as_a_file_is_none(pages: Pages) -> None:
    """The mark as a file is none."""
    body = (
        '--b\r\ncontent-disposition: form-data; name="csrf"; filename="c"\r\n\r\n'
        f"{CSRF}\r\n--b--\r\n"
    )
    answer = ask(
        pages.app,
        "POST",
        "/upload",
        [*of_ours(ACCESS), ("content-type", "multipart/form-data; boundary=b")],
        [body.encode()],
    )
    assert (answer.status, pages.done) == (403, [])


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_what_is_no_form_is_refused(pages: Pages, kind: str) -> None:
    """What is no form is refused."""
    assert pages.post(("content-type", kind)).status == 415
    assert pages.done == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"])
def test_other_methods_change_nothing(pages: Pages, method: str) -> None:
    """Other methods change nothing."""
    assert ask(pages.app, method, "/do", of_ours(ACCESS)).status == 405
    assert pages.done == []


def test_a_page_is_no_form_and_a_form_no_page(pages: Pages) -> None:
    """A page is no form and a form no page."""
    assert ask(pages.app, "GET", "/do", of_ours(ACCESS)).status == 405
    assert ask(pages.app, "POST", "/", [*of_ours(ACCESS), FORM], [pages.body()]).status == 405
    assert ask(pages.app, "HEAD", "/", of_ours(ACCESS)).status == 200
    assert pages.done == []


def test_an_unknown_address_says_so(pages: Pages) -> None:
    """An unknown address says so."""
    for target in ("/nothing", "//attacker.example/", "/../etc/passwd", "/static/../kit.css"):
        answer = ask(pages.app, "GET", target, of_ours(ACCESS))
        assert answer.status == 404
        assert "location" not in answer.headers


@pytest.mark.parametrize("length", [str(MAX_UPLOAD_BYTES + 1), "9" * 40, "-1", "1e3", "\xb2"])
def test_too_much_is_refused_before_it_is_read(pages: Pages, length: str) -> None:
    """Too much is refused before it is read."""
    assert pages.post(("content-length", length)).status == 413
    assert pages.done == []


def test_too_much_without_its_length_is_refused(pages: Pages) -> None:
    """Too much without its length is refused."""
    pieces = [pages.body(), *[b"&a=" + b"x" * 65_533] * (MAX_FORM_BYTES // 65_536 + 1)]

    answer = ask(pages.app, "POST", "/do", [*of_ours(ACCESS), FORM], pieces)

    assert (answer.status, pages.done) == (413, [])


def test_an_upload_may_be_larger_but_not_without_end(pages: Pages) -> None:
    """An upload may be larger but not without end."""
    head = (
        f'--b\r\ncontent-disposition: form-data; name="csrf"\r\n\r\n{CSRF}\r\n'
        '--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
    ).encode()
    kind = ("content-type", "multipart/form-data; boundary=b")
    pieces = [head, b"x" * (2 << 20), b"\r\n--b--\r\n"]

    def sent(target: str, body: list[bytes]) -> int:
        return ask(pages.app, "POST", target, [*of_ours(ACCESS), kind], body).status

    assert sent("/upload", pieces) == 303
    assert sent("/do", pieces) in {400, 413}
    assert (
        sent("/upload", [head, *[b"x" * (1 << 20)] * (MAX_UPLOAD_BYTES >> 20), b"\r\n--b--\r\n"])
        == 413
    )


def test_a_connection_that_is_lost_in_mid_form_changes_nothing(pages: Pages) -> None:
    """A connection that is lost in mid form changes nothing."""
    answer = ask(pages.app, "POST", "/do", [*of_ours(ACCESS), FORM], [pages.body()], ends=False)
    assert (answer.status, pages.done) == (400, [])


def test_a_form_that_never_ends_is_refused(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that never ends is refused."""
    monkeypatch.setattr(frame, "BODY_SECONDS", 0.01)
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: object) -> None:
        sent.append(dict(message))  # type: ignore[call-overload]

    headers = [(name.encode(), value.encode()) for name, value in (*of_ours(ACCESS), FORM)]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/do",
        "raw_path": b"/do",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(pages.app(scope, receive, send))  # type: ignore[arg-type]

    assert sent[0]["status"] == 408


@given(st.binary(max_size=300), st.sampled_from(["urlencoded", "multipart"]))
def test_whatever_a_form_holds_it_is_read_or_refused(body: bytes, kind: str) -> None:
    """Whatever a form holds it is read or refused."""
    pages = Pages()
    value = FORM[1] if kind == "urlencoded" else "multipart/form-data; boundary=b"
    answer = pages.post(
        ("content-type", value), body=b"--b\r\n" + body if kind == "multipart" else body
    )
    assert answer.status in {400, 403}
    assert pages.done == []


def test_a_fault_of_ours_shows_nothing_of_the_code(
    pages: Pages, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours shows nothing of the code."""
    with caplog.at_level(logging.ERROR):
        answer = ask(pages.app, "GET", "/broken", of_ours(ACCESS))

    assert answer.status == 500
    assert "the-secret-place" not in answer.text
    assert "Traceback" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


def test_a_refusal_of_ours_is_told_escaped(pages: Pages) -> None:
    """A refusal of ours is told escaped."""
    answer = ask(pages.app, "GET", "/refused", of_ours(ACCESS))

    assert answer.status == 400
    assert "got &lt;nothing&gt;, expected a list" in answer.text


@pytest.mark.parametrize("target", ["/", "/nothing", "/broken", f"/?key={KEY}", "/?key=x"])
def test_every_answer_is_guarded_by_its_headers(pages: Pages, target: str) -> None:
    """Every answer is guarded by its headers."""
    for headers in (of_ours(ACCESS), [("host", HOST)], []):
        found = ask(pages.app, "GET", target, headers).headers
        assert found["content-security-policy"] == CSP
        assert found["cache-control"] == "no-store"
        assert found["x-content-type-options"] == "nosniff"
        assert found["x-frame-options"] == "DENY"
        assert found["referrer-policy"] == "same-origin"
        assert found["cross-origin-resource-policy"] == "same-origin"


def test_a_websocket_is_never_accepted(pages: Pages) -> None:
    """A websocket is never accepted."""
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    asyncio.run(pages.app({"type": "websocket", "path": "/", "headers": []}, receive, send))  # type: ignore[arg-type]

    assert sent == []


def test_no_secret_is_in_a_text_of_the_access() -> None:
    """No secret is in a text of the access."""
    assert KEY not in repr(ACCESS)
    assert CSRF not in repr(ACCESS)
