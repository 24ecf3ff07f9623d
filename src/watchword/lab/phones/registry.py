"""List the kinds of phones; a new kind is one line here, or in its list, and one in docs/lab.md."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from watchword.lab.phones.android_kinds import ANDROID_PHONES
from watchword.lab.phones.interface import PhoneModel
from watchword.lab.phones.iphone_kinds import IPHONES
from watchword.lab.phones.play import PLAY_PHONES

PHONES: Final[Mapping[str, PhoneModel]] = MappingProxyType(
    {
        **IPHONES,
        **ANDROID_PHONES,
        **PLAY_PHONES,
    }
)
"""Name of each kind, and its model."""
