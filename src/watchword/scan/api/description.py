"""Define an API as its description tells it: operations, who may call them, what they take and give, and what couldn't be read.

:mod:`watchword.scan.api.reader` fills it in, rules ask it.  OpenAPI 3 and Swagger 2 look the same from here on.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

MAX_NAME: Final = 120
"""How many characters of a name are looked at; what is longer is no name."""

MAX_SHOWN: Final = 200
"""How many characters of a stranger's text a finding shows."""

_MAX_BITS: Final = 256
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APART: Final = re.compile(r"[^a-z0-9]+")


class Kind(StrEnum):
    """Say what a field is good for.

    ``secret``: opens accounts or proves identity.  ``personal``: says who somebody is, or how to reach him.  ``privilege``: who sets it
    becomes more than he is.  ``address``: a URL that something may fetch.  ``open``: an object that takes further fields
    beside the listed ones.  ``file``: bytes.
    """

    SECRET = "secret"  # noqa: S105
    PERSONAL = "personal"
    PRIVILEGE = "privilege"
    ADDRESS = "address"
    OPEN = "open"
    FILE = "file"


def several(text: str) -> frozenset[str]:
    """Return the words of a text as a set: tables of words read better so."""
    return frozenset(text.split())


_SECRET: Final = several(
    "password passwd pwd passphrase passcode passwordhash passwordsalt hashedpassword passwordencrypted encryptedpassword secret"
    " secretkey privatekey apikey accesskey accesstoken refreshtoken authtoken sessiontoken idtoken bearertoken resettoken token jwt"
    " sessionid otp totp otpcode pincode pinhash cvv cvc ssn socialsecurity securitynumber nationalid passportnumber taxid"
    " securityanswer"
)
_PAGING: Final = several(
    "nexttoken pagetoken continuationtoken csrftoken xsrftoken pushtoken devicetoken fcmtoken synctoken cursortoken"
)
_PERSONAL: Final = several(
    "email emailaddress phone phonenumber mobile mobilenumber telephone msisdn birth birthdate birthday dob ofbirth homeaddress"
    " postaladdress streetaddress surname lastname fullname iban cardnumber accountnumber salary diagnosis"
)
_PRIVILEGE: Final = several(
    "role userrole admin isadmin superuser issuperuser permission privilege staff isstaff isverified emailverified isapproved"
    " accountbalance balance credit owner ownerid price discount"
)
_ADDRESS: Final = several("url uri callback callbackurl webhook webhookurl endpoint href")
_NO_TARGET: Final = several("redirecturl redirecturi returnurl returnuri")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, lower case and in the singular: ``userIDs`` gives ``user`` and ``id``."""
    text = _CAMEL.sub("-", name[:MAX_NAME]).lower()
    return tuple(_singular(part) for part in _APART.split(text) if part)


def with_pairs(words: tuple[str, ...]) -> frozenset[str]:
    """Return words, and each two neighbours as one: ``sign-in`` is ``signin`` to everybody but a computer."""
    return frozenset(words) | {a + b for a, b in pairwise(words)}


def kinds_of(name: str) -> frozenset[Kind]:
    """Return what a name says that a field is, by how it ends: a ``tokenType`` is no token."""
    words = words_of(name)
    if not words:
        return frozenset()
    ends = {words[-1], "".join(words[-2:])}
    found = set()
    if ends & _SECRET and not ends & _PAGING:
        found.add(Kind.SECRET)
    if ends & _PERSONAL:
        found.add(Kind.PERSONAL)
    if ends & _PRIVILEGE:
        found.add(Kind.PRIVILEGE)
    if ends & _ADDRESS and not ends & _NO_TARGET:
        found.add(Kind.ADDRESS)
    return frozenset(found)


def is_url(value: object) -> bool:
    """Tell whether an example is an address that could be fetched."""
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://"))


def plain(value: object) -> str:
    """Return a plain value as text, such as a key that YAML made a number of; empty for mappings, lists and endless numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() <= _MAX_BITS:
        return str(value)
    return str(value) if isinstance(value, float) else ""


def shown(text: object, most: int = MAX_SHOWN) -> str:
    """Return a stranger's text on one line, without what a terminal would obey, cut to a length."""
    line = "".join(char if char.isprintable() else " " for char in plain(text)[: 4 * most])
    line = " ".join(line.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


READS: Final = frozenset({"GET", "QUERY"})
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Aspect(StrEnum):
    """Name what a rule asks of a description; what wasn't seen is told by aspect."""

    OPERATIONS = "operations"
    ACCESS = "access"
    PARAMETERS = "parameters"
    REQUESTS = "requests"
    ANSWERS = "answers"
    SERVERS = "servers"


@dataclass(frozen=True, slots=True)
class Missed:
    """Hold what wasn't seen of a description.

    :param where: an operation or a reference.
    :param why: for people.
    """

    aspect: Aspect
    where: str
    why: str


class SchemeKind(StrEnum):
    """Name how a caller shows who he is.

    ``key``: says which client calls, not which user.  ``session``: a token of a user's, however it's carried.  ``unknown``: not
    described, or of a kind that isn't known here.
    """

    BASIC = "basic"
    BEARER = "bearer"
    KEY = "key"
    SESSION = "session"
    OAUTH = "oauth"
    CERTIFICATE = "certificate"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Hold a security scheme.

    :param place: ``header``, ``query`` or ``cookie``, where it's said; ``parameter`` in a header that isn't declared as a scheme.
    :param carrier: the name of header, parameter or cookie.
    :param flows: of OAuth: ``implicit``, ``password`` and so on, with the names of OpenAPI 3.
    :param urls: that it names: where tokens come from.
    """

    name: str
    kind: SchemeKind
    place: str = ""
    carrier: str = ""
    flows: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """Hold one scheme that a call needs, with the scopes or roles."""

    scheme: Scheme
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Hold who may call an operation.

    :param alternatives: each a set of needs that suffices; an empty one lets everybody in.
    :param stated: whether the operation says so itself.
    :param known: whether it could be read.
    """

    alternatives: tuple[tuple[Need, ...], ...] = ()
    stated: bool = False
    known: bool = True

    @property
    def open(self) -> bool:
        """Tell whether anybody may call, as far as the description says."""
        return self.known and (not self.alternatives or () in self.alternatives)

    @property
    def anonymous(self) -> bool:
        """Tell whether no user is asked for: anybody, or whoever has the app's key."""
        return self.open or (
            self.known
            and any(
                all(n.scheme.kind is SchemeKind.KEY for n in each) for each in self.alternatives
            )
        )

    @property
    def key_only(self) -> bool:
        """Tell whether an API key is enough, and is needed."""
        return self.anonymous and not self.open

    @property
    def scopes(self) -> frozenset[str]:
        """Return all scopes or roles that are asked for."""
        return frozenset(s for each in self.alternatives for need in each for s in need.scopes)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Hold a parameter of a path, query, header or cookie.

    :param types: JSON's names of types; none if nothing is said.
    :param examples: values that the description shows, as text.
    :param limited: whether its values are listed.
    """

    name: str
    place: str
    types: frozenset[str] = frozenset()
    format: str = ""
    max_length: int | None = None
    pattern: str = ""
    examples: tuple[str, ...] = ()
    limited: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """Hold a field of a request or an answer that is worth a look.

    :param path: as ``users[].password``.
    :param listed: whether it comes once for each of many.
    """

    path: str
    kinds: frozenset[Kind]
    listed: bool = False
    read_only: bool = False
    write_only: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """Hold one operation.

    :param name: as ``GET /v1/users/{id}``: method and path of the description, without the server's base path.
    :param segments: of its path; one with a parameter in it is ``{}``.
    :param words: of the literal segments of its path, pairs of neighbours too.
    :param last: the same, of its last literal segment.
    :param about: of its tags.
    :param text: summary and description, cut.
    :param limits_told: whether it says that calls are counted or an account locked.
    """

    name: str
    method: str
    path: str
    segments: tuple[str, ...]
    words: frozenset[str]
    last: frozenset[str]
    about: frozenset[str]
    text: str
    identifier: str
    deprecated: bool
    access: Access
    parameters: tuple[Parameter, ...]
    asked: tuple[Field, ...]
    answered: tuple[Field, ...]
    refuses: bool
    limits_told: bool
    calls_back: tuple[str, ...]

    @property
    def reads(self) -> bool:
        """Tell whether its method is one that reads."""
        return self.method in READS

    @property
    def writes(self) -> bool:
        """Tell whether its method is one that changes something."""
        return self.method in WRITES


@dataclass(frozen=True, slots=True)
class Server:
    """Hold where the API is.

    :param url: for people, without credentials.
    :param scheme: lower case, empty if nothing is said.
    :param host: lower case, without its port, empty if nothing is said.
    :param base: the segments of its path.
    """

    url: str
    scheme: str
    host: str
    base: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Hold a whole description as it was read.

    :param fault: why it's no description that can be read; then there is nothing else.
    :param total: how many operations it has.
    :param secured: whether any operation asks for anything.
    """

    name: str
    fault: str = ""
    operations: tuple[Operation, ...] = ()
    total: int = 0
    schemes: tuple[Scheme, ...] = ()
    servers: tuple[Server, ...] = ()
    missed: tuple[Missed, ...] = ()
    secured: bool = False

    def missed_of(self, *aspects: Aspect) -> tuple[Missed, ...]:
        """Return what wasn't seen of these."""
        return tuple(each for each in self.missed if each.aspect in aspects)
