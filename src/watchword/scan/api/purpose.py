"""Tell what an operation is for, by the words of its path, tags and texts."""

import re
from typing import Final

from watchword.scan.api.description import Operation
from watchword.scan.api.paths import ANY, literals
from watchword.scan.api.words import Kind, several

_SIGN_IN: Final = several(
    "login signin logon signon signup register registration authenticate auth otp passcode totp mfa 2fa forgot"
    " forget forgotpassword forgetpassword resetpassword passwordreset recover recovery token refreshtoken session"
    " verify verification activate activation magiclink"
)
_PUBLIC: Final = several(
    "health healthz live livez liveness ready readyz readiness ping status version heartbeat login signin oauth authorize jwk"
    " jwksjson wellknown doc swagger swaggerjson openapi openapijson openid robot favicon term privacy imprint verify"
)
_STAFF: Final = several(
    "admin administrator administration superadmin sysadmin internal management backoffice staff superuser debug actuator"
    " moderator ops"
)
_STAFF_TAGS: Final = several(
    "admin administrator administration superadmin sysadmin backoffice staff superuser moderator"
)
_STAFF_TEXT: Final = re.compile(
    r"\b(?:only (?:for )?(?:admin|administrator|moderator)s?|(?:admin|administrator|moderator)s?(?: only)\b)",
    re.IGNORECASE,
)
_CHANGES: Final = re.compile(
    r"(?:create|delete|remove|drop|reset|purge|populate|wipe|truncate|seed|restore)(?![ds](?:$|[^a-z]))",
    re.IGNORECASE,
)
_CODES: Final = several("coupon voucher giftcard promocode promo")
_TRIES: Final = several("validate apply redeem check use")


def signs_in(operation: Operation) -> bool:
    """Tell whether an operation takes a password or a code from somebody who isn't signed in yet."""
    if operation.method not in {"POST", "PUT", "PATCH"} or not operation.access.anonymous:
        return False
    if operation.last & _SIGN_IN:
        return True
    asks = any(Kind.SECRET in each.kinds for each in operation.asked)
    return operation.method == "POST" and asks and not for_staff(operation)


def tries_codes(operation: Operation) -> bool:
    """Tell whether an operation says of a voucher's code whether it's worth something."""
    return bool(operation.words & _CODES and operation.words & _TRIES)


def for_staff(operation: Operation) -> bool:
    """Tell whether an operation is for administrators or operators, by its path, a tag or its text."""
    if is_public(operation):
        return False
    return bool(
        operation.words & _STAFF
        or operation.about & _STAFF_TAGS
        or _STAFF_TEXT.search(operation.text)
    )


def is_public(operation: Operation) -> bool:
    """Tell whether everybody may know what an operation reads: the entrance, probes, keys, texts."""
    said = [each for each in literals(operation.segments) if each.lower() not in {"api", "rest"}]
    if operation.method in {"GET", "HEAD", "OPTIONS"} and ANY not in operation.segments:
        return not said or bool(operation.last & _PUBLIC)
    return False


def changes_by_reading(operation: Operation) -> bool:
    """Tell whether an operation that reads by its method changes something by its name."""
    last = next(iter(reversed(tuple(literals(operation.segments)))), "")
    return operation.reads and bool(_CHANGES.match(last))
