"""Tell what can be key material by its looks: lengths that ciphers take, in bytes, hex or base64."""

import base64
import binascii
import re

from watchword.scan.secrets import noise

SIZES = frozenset((16, 24, 32))
"""Bytes of an AES key, and of a vector or a 3DES key."""

_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,86}={0,2}")
_WORDS = re.compile(
    r"(?i)(?:aes|des(?:ede)?|rsa|pbe\w*|pbkdf2\w*|hmac\w*|sha-?\d*|md5|blowfish|ec(?:dsa|dh)?)(?:[/\w-]*)"
    r"|utf-?(?:8|16\w*)|us-ascii|iso-8859-1|android_?keystore\w*|sha\d+prng|bc|sc"
)


def is_algorithm(text: str) -> bool:
    """Tell whether a text names an algorithm, a character set or a provider."""
    return _WORDS.fullmatch(text) is not None


def is_encoded_key(text: str) -> bool:
    """Tell whether a text is hex or base64 of as many bytes as a key has, and isn't a word by itself."""
    if len(set(text)) < 6:
        return False
    if _HEX.fullmatch(text):
        return len(text) // 2 in SIZES and len(text) % 2 == 0 and bool(re.search(r"\d", text))
    if not _BASE64.fullmatch(text) or not re.search(r"\d", text):
        return False
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        size = len(base64.b64decode(bare + "=" * (-len(bare) % 4)))
    except binascii.Error:
        return False
    return size in SIZES and (text.endswith("=") or not noise.is_identifier(text))


def is_raw_key(text: str) -> bool:
    """Tell whether a text has as many bytes as a key, and isn't the name of something."""
    if len(text.encode("utf-8", "replace")) not in SIZES or len(set(text)) < 4:
        return False
    return not is_algorithm(text) and not noise.is_identifier(text)
