"""Match by the library that HAProxy matches with, and count what it takes."""

import ctypes
import ctypes.util
from typing import Final

_NO_AUTO_CAPTURE: Final = 0x2000
"""``PCRE2_NO_AUTO_CAPTURE``, which HAProxy sets where it needs no groups (its ``src/regex.c``)."""

_NO_MATCH: Final = -1
_MATCH_LIMIT: Final = -47


def _library() -> ctypes.CDLL:
    found = ctypes.util.find_library("pcre2-8") or "libpcre2-8.so.0"
    library = ctypes.CDLL(found)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    numbers, sizes = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(size)
    for name, result, arguments in (
        ("compile", pointer, (ctypes.c_char_p, size, number, numbers, sizes, pointer)),
        ("match_context_create", pointer, (pointer,)),
        ("set_match_limit", ctypes.c_int, (pointer, number)),
        ("match_data_create_from_pattern", pointer, (pointer, pointer)),
        ("match", ctypes.c_int, (pointer, ctypes.c_char_p, size, size, number, pointer, pointer)),
        ("code_free", None, (pointer,)),
        ("match_data_free", None, (pointer,)),
        ("match_context_free", None, (pointer,)),
    ):
        function = getattr(library, f"pcre2_{name}_8")
        function.restype, function.argtypes = result, arguments
    return library


class TooManyStepsError(Exception):
    """Say that an expression went back more often than it may."""


class Expression:
    """Hold a compiled expression of PCRE2 (pcre2api(3))."""

    def __init__(self, text: bytes) -> None:
        """Compile it; raise ValueError for what is none."""
        self._library = _library()
        fault, at = ctypes.c_int(), ctypes.c_size_t()
        self._code = self._library.pcre2_compile_8(
            text, len(text), _NO_AUTO_CAPTURE, ctypes.byref(fault), ctypes.byref(at), None
        )
        if not self._code:
            raise ValueError(f"got fault {fault.value} at {at.value} of {text[:80]!r}")
        self._data = self._library.pcre2_match_data_create_from_pattern_8(self._code, None)
        self._context = self._library.pcre2_match_context_create_8(None)

    def matches(self, subject: bytes, most_steps: int) -> bool:
        """Tell whether it is found in a text.

        :param most_steps: how often it may go on to or back from another way to match.
        :raises TooManyStepsError: when it did so more often.
        """
        self._library.pcre2_set_match_limit_8(self._context, most_steps)
        found: int = self._library.pcre2_match_8(
            self._code, subject, len(subject), 0, 0, self._data, self._context
        )
        if found == _MATCH_LIMIT:
            raise TooManyStepsError(subject[:40])
        assert found >= _NO_MATCH, found
        return found != _NO_MATCH

    def __del__(self) -> None:
        """Give its memory back."""
        if self._code:
            self._library.pcre2_match_context_free_8(self._context)
            self._library.pcre2_match_data_free_8(self._data)
            self._library.pcre2_code_free_8(self._code)
