"""Make requests that are right but for up to three things."""

import random  # noqa: TID251 - seeded, so that a fault comes again.
from collections.abc import Callable

from tests.system.engines.nginx.fuzzed_proofs import ProofMaker
from tests.system.engines.nginx.fuzzed_tokens import TokenMaker
from tests.system.engines.nginx.fuzzer import HOST, MAX_BODY, Sent

_PATHS = (
    *(
        b"/open/x",
        b"/hw/1",
        b"/pay/x",
        b"/sign",
        b"/dpop/x",
        b"/watched",
        b"/watched-pay",
        b"/v1/x",
    ),
    *(b"/n%C3%A9/x", b"/n%c3%a9/x", b"/hw/1/", b"/hw", b"/pay", b"/v1", b"/none"),
)
_PIECES = (
    *(
        b"%2e",
        b"%2E%2e",
        b"%2f",
        b"%5c",
        b"%00",
        b"%25",
        b"%2525",
        b"%C2%85",
        b"%ED%A0%80",
        b"%C3",
        b"%",
        b"%4",
    ),
    *(
        b"//",
        b"/./",
        b"/../",
        b"/.",
        b"/..",
        b";a",
        b"\\",
        b"#",
        b"?",
        b"??",
        b"*",
        b"**",
        b"~",
        b"\xc3\xa9",
        b"\x7f",
    ),
    *(
        b"%41",
        b"%61",
        b"%7e",
        b"%3f",
        b"%23",
        b"%3B",
        b"%E2%82%AC",
        b"%F4%90%80%80",
        b"%C0%AF",
        b"!$&'()+,:=@",
        b'|^`{}<>[]"',
    ),
)
_METHODS = (
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"PATCH",
    b"HEAD",
    b"OPTIONS",
    b"BUY",
    b"A-B",
    b"M-SEARCH",
    b"get",
)
_HOSTS = (
    *(
        b"Clinic.Example",
        b"clinic.example:443",
        b"clinic.example:80",
        b"clinic.example.",
        b"[::1]:80",
        b"[::1",
    ),
    *(
        b"a:123456",
        b"a:",
        b"a_b",
        b"a~b",
        b"a/b",
        b"a@b",
        b"a,b",
        b"",
        b"a%41",
        b"x" * 200,
        b"CLINIC.EXAMPLE:443",
    ),
)
_NAMES = (
    *(
        b"Watchword-Token",
        b"Watchword_Token",
        b"Watchword-Level",
        b"Watchword_Level",
        b"Watchword.App",
    ),
    *(
        b"Watchword-Instance",
        b"watchword-verdict",
        b"watchword-api",
        b"DPoP",
        b"Signature",
        b"Signature-Input",
        b"Signature_Input",
    ),
    *(
        b"Content-Digest",
        b"Content.Digest",
        b"Authorization",
        b"X-Session",
        b"X_Session",
        b"x.session",
        b"X",
        b"Cookie",
    ),
    *(
        b"X-Forwarded-For",
        b"Forwarded",
        b"Upgrade",
        b"TE",
        b"a(b",
        b"a!b",
        b"Trailer",
        b"Host_",
    ),
)
_OPTIONS = (
    *(
        b"keep-alive",
        b"close, x-session",
        b"X_Session",
        b"upgrade",
        b"Upgrade, Keep-Alive",
        b"watchword-token",
    ),
    *(
        b"Content_Digest",
        b"x-other",
        b"",
        b",",
        b"a b",
        b"host",
        b"signature",
        b"Signature_Input",
        b"keep-alive,",
    ),
    *(
        b"watchword-instance",
        b"transfer-encoding",
        b"te, x-session",
        b"connection",
        b"cookie , x-other",
    ),
)


class Maker:
    """Make requests that are right but for up to three things."""

    def __init__(self, seed: int, *, bound: bool, first_moment: float) -> None:
        """Start; the same seed and clock give the same requests.

        :param first_moment: no proof claims to be older.
        """
        self.random = random.Random(seed)
        self._bound = bound
        self._tokens = TokenMaker(self.random, bound=bound)
        self._proofs = ProofMaker(self.random, first_moment)

    def make(self) -> Sent:
        """Return another request."""
        one = self.random
        method = one.choice((b"GET", b"GET", b"POST", *_METHODS)) if one.random() < 0.5 else b"GET"
        target = one.choice(_PATHS[:8]) if one.random() < 0.8 else one.choice(_PATHS)
        if one.random() < 0.15:
            at = one.randint(1, len(target))
            target = target[:at] + one.choice(_PIECES) + target[at:]
        if one.random() < 0.3:
            target += b"?" + one.choice(
                (b"", b"a=1", b"a=\xff", b"?", b"#", b"a#b", b"%zz", b'"', b"x" * 8192, b"x" * 8193)
            )
        host = one.choice(_HOSTS) if one.random() < 0.1 else HOST
        body, chunked = b"", False
        if one.random() < 0.3:
            size = one.choice((0, 1, 10, 700, MAX_BODY - 1, MAX_BODY, MAX_BODY + 1))
            body, chunked = one.randbytes(size), one.random() < 0.4
        held = self._tokens.token()
        fields = [(b"Host", host), (b"Watchword-Token", held)]
        sent = Sent(method, target, fields, body, chunked)
        if chunked:
            fields.append((b"Transfer-Encoding", one.choice((b"chunked", b"chunked", b"Chunked"))))
        elif body or one.random() < 0.05:
            fields.append(
                (b"Content-Length", one.choice((b"%d", b"%d", b"0%d", b"000%d")) % len(body))
            )
        if self._bound:
            fields.append((b"X-Session", b"user 1"))
        self._proofs.prove(sent, held, announced=chunked or bool(body))
        for _ in range(one.choice((0, 0, 0, 1, 1, 2))):
            self._disturb(sent)
        if one.random() < 0.1:
            one.shuffle(sent.fields)
        # White space around a value is no part of it (RFC 9110, section 5.5).
        sent.fields[:] = [(name, value.strip(b" \t")) for name, value in sent.fields]
        return sent

    def _disturb(self, sent: Sent) -> None:
        one, fields = self.random, sent.fields
        # Neither more nor fewer bytes than are sent: what ends where is for other tests.
        framing = [each for each in fields if each[0] in (b"Content-Length", b"Transfer-Encoding")]
        fields[:] = [each for each in fields if each not in framing]
        at = one.randrange(len(fields))
        name, value = fields[at]
        ways: list[Callable[[], object]] = [
            lambda: fields.insert(
                one.randint(0, len(fields)),
                (one.choice(_NAMES), one.choice((b"", b"x", b"a, b", b"\xff", b"\x01"))),
            ),
            lambda: fields.insert(
                one.randint(0, len(fields)), (b"Connection", one.choice(_OPTIONS))
            ),
            lambda: fields.append((b"Connection", one.choice(_OPTIONS))),
            lambda: fields.append((name, value)),
            lambda: fields.pop(at),
            lambda: fields.__setitem__(
                at, (one.choice((name.upper(), name.lower(), name.title())), value)
            ),
            lambda: fields.__setitem__(
                at, (name.replace(b"-", one.choice((b"_", b".", b"!"))), value)
            ),
            lambda: fields.__setitem__(
                at, (name, self._tokens.bytes_changed(value, b'Aa0 ,;"=\xe9\x7f\x01'))
            ),
            lambda: fields.append(
                (b"X-Session", one.choice((b"user 1", b"user 2", b"", b"user  1")))
            ),
            lambda: fields.extend(
                (b"X-%d" % each, b"y") for each in range(one.choice((94, 95, 96, 97, 98, 99)))
            ),
            lambda: fields.append((b"X-Big", b"y" * one.choice((8186, 8187, 8188, 8189, 4000)))),
            lambda: fields.extend((b"X-Big-%d" % each, b"y" * 5200) for each in range(3)),
            lambda: fields.append(
                (
                    b"X-Fill",
                    b"y"
                    * max(
                        0,
                        16384
                        - sum(map(sum, (map(len, each) for each in fields)))
                        - 6
                        + one.randint(-2, 2),
                    ),
                )
            ),
            lambda: sent.pads.extend([(b"", b""), (b"  ", b" "), (b" ", b"   ")]),
        ]
        one.choice(ways)()
        fields += framing
