"""Read entitlements in DER, as code signatures hold them since iOS 15: dictionaries, lists, texts, numbers and flags.

A dictionary is a list of pairs under tag 16, in older signatures a SET of them; around the outermost stands the version of the form.
"""

from collections.abc import Mapping
from typing import Final

from watchword.encoding import der
from watchword.reasons import MalformedError, WatchwordError

MOST_DEPTH: Final = 16
"""How deep values may be nested; those of Apple's are three deep."""

_APPLICATION: Final = 1
_DICTIONARY: Final = 16
_TEXT: Final = 12
_VERSION: Final = 1


class EntitlementsError(WatchwordError):
    """Report that entitlements can't be read; the text says why and holds nothing of their content."""


def read_entitlements(data: bytes) -> Mapping[str, object]:
    """Return the dictionary of entitlements.

    :raises EntitlementsError: if it is damaged, nested too deep, or of a form that isn't known.
    """
    try:
        whole = der.read(data)
        if whole.tag_class == _APPLICATION and whole.number == _DICTIONARY:
            version, whole = _two(der.children(whole))
            if der.integer(version) != _VERSION:
                raise EntitlementsError("entitlements in DER of a version that isn't known")
        found = _value(whole, MOST_DEPTH)
    except MalformedError as error:
        raise EntitlementsError("entitlements in DER that are damaged") from error
    if not isinstance(found, dict):
        raise EntitlementsError("entitlements in DER that are no dictionary")
    return found


def _value(element: der.Tlv, depth: int) -> object:
    """Return what an element holds, in the types that a property list has."""
    found: object
    if not depth:
        raise EntitlementsError(f"entitlements in DER that are nested deeper than {MOST_DEPTH}")
    if element.is_context(_DICTIONARY) or element.is_universal(der.SET):
        pairs = (_two(der.sequence(pair)) for pair in der.children(element))
        found = {_text(key): _value(value, depth - 1) for key, value in pairs}
    elif element.is_universal(der.SEQUENCE):
        found = [_value(each, depth - 1) for each in der.children(element)]
    elif element.is_universal(der.BOOLEAN):
        found = der.boolean(element)
    elif element.is_universal(der.INTEGER):
        found = der.integer(element)
    else:
        found = _text(element)
    return found


def _two(elements: tuple[der.Tlv, ...]) -> tuple[der.Tlv, der.Tlv]:
    """Return a pair."""
    if len(elements) != 2:
        raise EntitlementsError("entitlements in DER with an element that isn't a pair")
    return elements[0], elements[1]


def _text(element: der.Tlv) -> str:
    """Return a UTF-8 string."""
    if element.constructed or not element.is_universal(_TEXT):
        raise EntitlementsError("entitlements in DER with a value of a type that isn't known")
    try:
        return element.content.decode()
    except UnicodeDecodeError as error:
        raise EntitlementsError("entitlements in DER with a text that is damaged") from error
