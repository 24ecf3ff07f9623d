"""Read reports of failed pin checks, and group them for people.

The only signal of an interception comes from the client that refused it: the server sees a closed connection.  Whoever can reach the service can
send one, so that a report is a claim: counted, shown, and never acted on by itself.

Two forms are read.  Ours is a JSON object with exactly ``app``, ``app_version``, ``host``, ``set`` (version of the pin set), ``basis``,
``mismatch``, ``refused``, ``chain`` (pins, base64url, the leaf first) and ``at`` (seconds since 1970).  The other is TrustKit's, for apps that
have it built in.  What TrustKit sends beside, the device's id and whole certificates, isn't kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NoReturn, Self, TypeVar

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import (
    MAX_CHAIN,
    PIN_BYTES,
    Basis,
    Judgement,
    pins_of_chain,
    read_host,
)
from watchword.pins.sets import MAX_TIME, MAX_VERSION, read_app, whole_number
from watchword.reasons import MalformedError, Reason

MAX_REPORT_BYTES: Final = 32 * 1024
"""Most bytes of a report: TrustKit's has up to two chains of whole certificates."""

MAX_NAMED: Final = 20
"""Most versions that a group names."""

MEDIA_TYPE: Final = "application/json"
"""The media type of both forms."""

_MEMBERS: Final = {
    "app",
    "app_version",
    "host",
    "set",
    "basis",
    "mismatch",
    "refused",
    "chain",
    "at",
}
_BASES: Final = {basis.value: basis for basis in Basis}
_TRUSTKIT_MARK: Final = "validated-certificate-chain"
_MAX_TEXT: Final = 128
_MAX_RESULT: Final = 100

_Named = TypeVar("_Named", str, int)


@dataclass(frozen=True, slots=True)
class PinReport:
    """Hold what an app reported; none of it is known to be true.

    :param app: its name here; with TrustKit its bundle id or package.
    :param set_version: of the set that was asked, 0 for none or unknown.
    :param refused: whether the app refused the connection.
    :param chain: pins of the chain that it saw, the leaf first.
    :param at: when, by the phone's clock; None where it didn't say.
    """

    app: str
    app_version: str
    host: str
    set_version: int
    basis: Basis
    mismatch: bool
    refused: bool
    chain: tuple[bytes, ...]
    at: int | None


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """Hold reports that tell of the same: one leaf key at one host, seen by one app.

    :param leaf: pin of the leaf; None for none, and for several that aren't told apart any more.
    :param first: time of the earliest report that has one; ``last`` of the latest.
    :param app_versions: those that reported, at most :data:`MAX_NAMED`; so are ``set_versions``.
    """

    app: str
    host: str
    leaf: bytes | None
    basis: Basis | None
    mismatch: bool
    count: int
    refused: int
    first: int | None
    last: int | None
    app_versions: tuple[str, ...]
    set_versions: tuple[int, ...]

    @classmethod
    def of(cls, report: PinReport) -> Self:
        """Return the group of one report."""
        return cls(
            app=report.app,
            host=report.host,
            leaf=report.chain[0] if report.chain else None,
            basis=report.basis,
            mismatch=report.mismatch,
            count=1,
            refused=int(report.refused),
            first=report.at,
            last=report.at,
            app_versions=(report.app_version,),
            set_versions=(report.set_version,),
        )

    @property
    def what(self) -> tuple[str, str, bytes | None, Basis | None, bool]:
        """Return what the reports have in common."""
        return self.app, self.host, self.leaf, self.basis, self.mismatch

    def merged(self, other: Self) -> Self:
        """Return both as one group; of versions no more are named than :data:`MAX_NAMED`."""
        return replace(
            self,
            count=self.count + other.count,
            refused=self.refused + other.refused,
            first=min((at for at in (self.first, other.first) if at is not None), default=None),
            last=max((at for at in (self.last, other.last) if at is not None), default=None),
            app_versions=_named(self.app_versions, other.app_versions),
            set_versions=_named(self.set_versions, other.set_versions),
        )


def _named(known: tuple[_Named, ...], more: tuple[_Named, ...]) -> tuple[_Named, ...]:
    added = tuple(each for each in more if each not in known)
    return tuple(sorted(known + added[: MAX_NAMED - len(known)]))


def parse_report(data: bytes, media_type: str) -> PinReport:
    """Return what a report says, in either form.

    :param media_type: as it was sent; parameters of it aren't looked at.
    :raises MalformedError: with ``request.media_type`` or ``pins.report_malformed``.
    """
    if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise MalformedError.because(Reason.REQUEST_MEDIA_TYPE, f"expected {MEDIA_TYPE}")
    try:
        members = strict_json.loads(data, MAX_REPORT_BYTES)
        return _trustkit(members) if _TRUSTKIT_MARK in members else _own(members)
    except MalformedError as error:
        if error.reason is Reason.PINS_REPORT_MALFORMED:
            raise
        raise error.as_reason(Reason.PINS_REPORT_MALFORMED) from None


def report_of(
    app: str, app_version: str, host: str, chain: Iterable[bytes], judgement: Judgement, at: float
) -> PinReport:
    """Return what an app reports of a connection that it judged."""
    seen = tuple(chain)[:MAX_CHAIN]
    return PinReport(
        app=app,
        app_version=app_version,
        host=host.lower().rstrip("."),
        set_version=judgement.version,
        basis=judgement.basis,
        mismatch=judgement.mismatch,
        refused=not judgement.passes,
        chain=seen,
        at=int(at),
    )


def write_report(report: PinReport) -> bytes:
    """Return a report as an app sends it."""
    return strict_json.dumps(
        {
            "app": report.app,
            "app_version": report.app_version,
            "host": report.host,
            "set": report.set_version,
            "basis": report.basis.value,
            "mismatch": report.mismatch,
            "refused": report.refused,
            "chain": [base64url.encode(each) for each in report.chain],
            "at": report.at or 0,
        }
    )


def _own(members: Mapping[str, Any]) -> PinReport:
    if members.keys() != _MEMBERS:
        _refuse(f"expected exactly {', '.join(sorted(_MEMBERS))}")
    basis, chain = members["basis"], members["chain"]
    if not isinstance(basis, str) or basis not in _BASES:
        _refuse(f"expected a basis of {', '.join(_BASES)}")
    if not isinstance(chain, list) or len(chain) > MAX_CHAIN:
        _refuse(f"expected a chain of at most {MAX_CHAIN} pins")
    return PinReport(
        app=read_app(members["app"]),
        app_version=_text(members, "app_version"),
        host=_host(members, "host"),
        set_version=whole_number(members.get("set"), "set", MAX_VERSION, _refuse, 0),
        basis=_BASES[basis],
        mismatch=_flag(members, "mismatch"),
        refused=_flag(members, "refused"),
        chain=tuple(_pin(each) for each in chain),
        at=whole_number(members.get("at"), "at", MAX_TIME, _refuse, 0) or None,
    )


def _trustkit(members: Mapping[str, Any]) -> PinReport:
    """Read what TrustKit for iOS and for Android send; members beside those below differ by release and aren't looked at."""
    chain = members[_TRUSTKIT_MARK]
    if not isinstance(chain, list) or len(chain) > MAX_CHAIN:
        _refuse(f"expected a chain of at most {MAX_CHAIN} certificates")
    if not all(isinstance(each, str) and "-----BEGIN CERTIFICATE-----" in each for each in chain):
        _refuse("expected certificates as PEM")
    failed = (
        whole_number(members.get("validation-result"), "validation-result", _MAX_RESULT, _refuse, 0)
        != 0
    )
    enforced = _flag(members, "enforce-pinning") if "enforce-pinning" in members else True
    return PinReport(
        app=read_app(members.get("app-bundle-id")),
        app_version=_text(members, "app-version"),
        host=_host(members, "hostname"),
        set_version=0,
        basis=Basis.PINS,
        mismatch=failed,
        refused=failed and enforced,
        chain=tuple(pin for each in chain for pin in pins_of_chain(each.encode(), 1)),
        at=_moment(members.get("date-time")),
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        _refuse(f"expected {name} to be a printable text of at most {_MAX_TEXT} characters")
    return value


def _host(members: Mapping[str, Any], name: str) -> str:
    return read_host(_text(members, name).lower().rstrip("."))


def _flag(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    if not isinstance(value, bool):
        _refuse(f"expected {name} to be true or false")
    return value


def _pin(text: Any) -> bytes:
    data = base64url.decode(text) if isinstance(text, str) else b""
    if len(data) != PIN_BYTES:
        _refuse(f"expected pins of {PIN_BYTES} bytes")
    return data


def _moment(text: Any) -> int | None:
    """Return a time in either of the two spellings; a phone that writes another calendar has none."""
    try:
        found = datetime.fromisoformat(text)
        seconds = 0 if found.tzinfo is None else int(found.timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= MAX_TIME else None


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PINS_REPORT_MALFORMED, detail)
