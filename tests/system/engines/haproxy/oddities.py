"""List what is odd in a request, one way each."""

from typing import Final

from tests.system.engines.claim_names import CLAIM_NAMES

TEXTS: Final = [
    "",
    "x",
    "a b",
    "é",
    "\x00",
    'q"',
    "b\\",
    "#a",
    "a,b",
    "a\nb",
    "prod",
    "lab",
    "hardware",
    "software",
    "strong",
    "https://clinic.example",
    "https://watchword.example",
]
LONG_TEXTS: Final = ("x" * 256, "x" * 257, "\u00e9" * 200)
VALUES: Final[tuple[object, ...]] = (
    *(None, True, False, 0, -1, 1, 5, 1.5, 1e9),
    *(2**40, 2**40 + 1, 2**63, 10**25, [], {}, ["x"], {"a": 1}),
)
NAMES: Final = [
    *CLAIM_NAMES,
]
SPELLED: Final = [
    "1e9",
    "1.0",
    "-0",
    "0",
    "00",
    "1E3",
    "0x1",
    "NaN",
    "Infinity",
    "111111111111111111111111111111",
    "2e400",
    "{now}.0",
    "{now}e0",
    '"{now}"',
    "null",
    "true",
    "[{now}]",
    "{later}",
    "-{later}",
    "{later}0",
    "0{later}",
]
LINES: Final = (
    b"Watchword-Level: hardware @@ watchword_level: x @@ Watchword.Instance: x @@ "
    b"WATCHWORD-APP: x @@ watchword~app:x @@ Watchword-Verdict: x @@ watchword_api: x @@ "
    b"Watchword-Token: x @@ watchword_token: x @@ Watchword.Token: x @@ "
    b"Host: other.example @@ Host: clinic.example @@ Authorization: a @@ "
    b"Authorization: b @@ Content-Length: 0 @@ Content-Length: 00 @@ "
    b"Content-Length: -1 @@ Content-Length: +0 @@ Content-Length: 0, 0 @@ "
    b"Content-Length: 0x1 @@ content_length: 5 @@ Transfer-Encoding: identity @@ "
    b"Transfer-Encoding: gzip, chunked @@ transfer.encoding: chunked @@ "
    b"Connection: close @@ Connection: keep-alive @@ Connection: Upgrade @@ "
    b"Connection: x-secret @@ Connection: , @@ Connection: watchword-level @@ "
    b"Connection: Watchword_Token @@ Connection: keep-alive, te @@ Connection: host @@ "
    b"Connection: close\r\nConnection: authorization @@ "
    b"Connection: keep-alive\r\nConnection: te @@ Keep-Alive: 3 @@ TE: trailers @@ "
    b"Upgrade: websocket @@ Upgrade: h2c @@ Upgrade: websocket, h2c @@ "
    b"HTTP2-Settings: x @@ Expect: 100-continue @@ X-Odd: \xe9\xff @@ X-Odd:\ta @@ "
    b"X-Odd: a\r\n b @@ X Odd: a @@ X-Odd : a @@ : a @@ X-Odd @@ X-Odd: \x00 @@ "
    b"X-Odd: a\rb @@ X-Odd: \x01 @@ X-Odd: \x7f @@ X-Empty: @@ Cookie: a=b @@ "
    b"X-\xe9: a @@ X(Y): a @@ Proxy-Connection: keep-alive @@ Trailer: watchword-level @@ "
    b"X-Forwarded-For: 1.2.3.4 @@ x_forwarded.PROTO: https @@ X-Forwarded-Any: a @@ "
    b"Forwarded: for=1.2.3.4 @@ X~Real-IP: 1.2.3.4 @@ Connection: te ,  ,, x_forwarded-for @@ "
    b"Signature: x @@ DPoP: x @@ "
    b"Connection: keep-alive, Watchword-Level @@ Connection: watchword~instance @@ "
    b'Connection: "close" @@ Connection: upgrade, foo'
).split(b" @@ ")
SEGMENTS: Final = (
    b"a @@ %61 @@ .. @@ . @@ %2e @@ %2E%2e @@ .a @@ a;b @@ a%3bb @@ %2f @@ %5c @@ \\ @@ "
    b"%25%32%66 @@ %252e @@ %00 @@ %7f @@ %c2%80 @@ %C3%A9 @@ %ff @@ %ed%a0%80 @@ "
    b"%f0%9f%98%80 @@ %f4%90%80%80 @@ %c0%af @@ % @@ %4 @@ %zz @@  @@ ~ @@ a*b @@ * @@ "
    b"** @@ a b @@ \xc3\xa9 @@ a#b @@ a%23 @@ a%3f @@ a'b @@ a\"b @@ a&b=c @@ {a} @@ "
    b"v1 @@ pay @@ now @@ open @@ %76%31 @@ p%61y @@ V1 @@ na%C3%AFve @@ na\xc3\xafve @@ "
    b"a@b @@ a:80 @@ x%20y"
).split(b" @@ ")
METHODS: Final = (
    b"get @@ TRACE @@ CONNECT @@ OPTIONS @@ PATCH @@ FOO-BAR @@ F_O @@ "
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA @@ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA @@ "
    b"M-SEARCH @@ G\xe9T @@ -GET @@ DELETE @@ QUERY @@ GET2"
).split(b" @@ ")
HOSTS: Final = (
    b"CLINIC.example @@ clinic.example:80 @@ clinic.example: @@ clinic.example:123456 @@ "
    b"a,b @@  @@ [::1]:80 @@ [::1 @@ a@b @@ a/b @@ a b @@ a_b @@ a%41 @@ \xe9 @@ a\\b @@ "
    b"clinic.example. @@ * @@ a:b @@ [::g]"
).split(b" @@ ")
