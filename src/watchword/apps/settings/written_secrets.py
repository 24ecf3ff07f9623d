"""Describe the ``secrets`` section as it is written: where keys are kept, and who may use them in which way."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from watchword.apps.settings.written_types import (
    Duration,
    FilePath,
    Name,
    Origin,
    Pattern,
    Written,
    within,
)
from watchword.broker.interface import MAX_SECRETS

_HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
_ParameterName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{1,64}$")]
_Placeholder: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.~-]{4,64}$",
        description="what the app sends in the key's place: 4 to 64 letters, digits, _ . ~ or -",
    ),
]
_Prefix: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[!-~][ -~]{0,62}$|^$",
        description="in front of the key in its header, with the blank: 'Bearer '",
    ),
]


def _https(text: str) -> str:
    """Accept an origin over TLS alone: on plain HTTP everybody on the way reads the key."""
    if not text.startswith("https://"):
        expected = "an https:// origin, such as https://maps.example.net"
        raise PydanticCustomError("expected", "{expected}", {"expected": expected})
    return text


class WrittenAdd(Written):
    """Say where the gate adds the key; whatever the client sends there is overwritten."""

    header: _HeaderName | None = None
    query: _ParameterName | None = None
    prefix: _Prefix = ""


class WrittenReplace(Written):
    """Say which text in which place the gate replaces by the key, for calls that can't be changed."""

    header: _HeaderName | None = None
    query: _ParameterName | None = None
    placeholder: _Placeholder


class WrittenQuota(Written):
    """Say how many calls one instance may make with the key."""

    calls: Annotated[int, Field(ge=1, le=1_000_000_000)]
    per: Annotated[Duration, within("1s", "366d")] = "1d"


class WrittenSpend(Written):
    """Say how much the calls of one instance may cost, in units of your own (cents, credits)."""

    most: Annotated[int, Field(ge=1, le=1_000_000_000_000)]
    per: Annotated[Duration, within("1s", "366d")] = "30d"
    cost: Annotated[int, Field(ge=1, le=1_000_000_000, description="units of one call")] = 1


class WrittenEdge(Written):
    """Say to what a key is lent: it is added to these calls alone, and never leaves the server."""

    origin: Annotated[Origin, AfterValidator(_https)]
    paths: Annotated[list[Pattern], Field(min_length=1, max_length=100)]
    methods: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Z]{1,16}$")]], Field(min_length=1, max_length=16)
    ] = ["GET"]
    add: WrittenAdd | None = None
    replace: WrittenReplace | None = None
    headers: Annotated[
        list[_HeaderName],
        Field(max_length=32, description="of the client's, sent on beside the few that always are"),
    ] = []
    quota: WrittenQuota | None = None
    spend: WrittenSpend | None = None
    ca: Annotated[
        FilePath | None, Field(description="PEM of the authorities believed for this origin alone")
    ] = None
    private: Annotated[
        bool, Field(description="the origin may be at a private address; environment lab alone")
    ] = False
    timeout: Annotated[Duration, within("1s", "5m")] = "30s"
    max_answer: Annotated[
        int, Field(ge=1, le=1024 * 1024 * 1024, description="most bytes of an answer's body")
    ] = 8 * 1024 * 1024
    reflects: Annotated[
        Literal["maybe", "never"],
        Field(
            description="whether an answer may show text of its request: such answers are held and searched whole "
            "before they are sent on; never lets them stream"
        ),
    ] = "maybe"


class WrittenDeliver(Written):
    """Say to which instances a key is handed, sealed; a phone's owner can read it there."""

    apps: Annotated[list[Name], Field(min_length=1)]
    level: Literal["hardware", "verified", "software"] = "hardware"
    lease: Annotated[
        Duration, within("1m", "30d"), Field(description="how long an instance may keep it")
    ] = "1h"


class WrittenSecret(Written):
    """Say which way a key goes: lent at the edge, or delivered; never both."""

    edge: WrittenEdge | None = None
    deliver: WrittenDeliver | None = None


class WrittenMasterKey(Written):
    """Say where the key is under which values are encrypted in the file; one of the three."""

    file: Annotated[
        FilePath | None, Field(description="32 bytes in base64url; made on the first start")
    ] = None
    env: Annotated[
        str | None,
        Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$", description="name of an environment variable"),
    ] = None
    transit: Annotated[
        Name | None, Field(description="name of a key in OpenBao's transit engine")
    ] = None


class WrittenOpenBao(Written):
    """Say where OpenBao or Vault is, and as whom it is asked."""

    url: Origin
    token: Annotated[FilePath, Field(description="file with the token, which an agent may renew")]
    mount: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")] = "secret"
    path: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/_-]{0,126}$")] = "watchword"
    transit: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")] = "transit"
    ca: Annotated[FilePath | None, Field(description="PEM of who signed its certificate")] = None
    timeout: Annotated[Duration, within("1s", "30s")] = "2s"


class WrittenUsage(Written):
    """Say where it is counted what instances use of keys: a file of this machine, or a Valkey."""

    store: Literal["host", "valkey"] = "host"
    url: Annotated[
        str | None,
        Field(pattern=r"^(rediss?|unix)://[!-~]{1,300}$", description="where the Valkey is"),
    ] = None
    password: Annotated[FilePath | None, Field(description="file with its password")] = None


class WrittenSecrets(Written):
    """Say which API keys the apps need, and how they are kept out of the apps."""

    store: Literal["file", "openbao"] = "file"
    master_key: WrittenMasterKey | None = None
    openbao: WrittenOpenBao | None = None
    signing: Annotated[
        Name | None,
        Field(
            description="prefix of keys in OpenBao's transit engine that sign tokens and bundles"
        ),
    ] = None
    usage: WrittenUsage = WrittenUsage()
    keys: Annotated[dict[Name, WrittenSecret], Field(max_length=MAX_SECRETS)] = {}
