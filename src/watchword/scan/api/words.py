"""Tell from names what an attacker would want of a field: names of properties and parameters, never prose."""

import re
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
