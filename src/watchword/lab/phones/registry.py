"""List the kinds of phones; a new kind is one line here and one in docs/lab.md."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from watchword.lab.phones.android import AndroidModel
from watchword.lab.phones.interface import PhoneModel
from watchword.lab.phones.iphone import IPhoneModel
from watchword.lab.phones.key_description import SecurityLevel

PHONES: Final[Mapping[str, PhoneModel]] = MappingProxyType(
    {
        "genuine-iphone": IPhoneModel("An iPhone with the app as you ship it."),
        "genuine-android": AndroidModel("An Android phone (TEE) with the app as you ship it."),
        "unlocked-android": AndroidModel(
            "A genuine phone whose bootloader is unlocked: any system may run on it.",
            locked=False,
        ),
        "emulator": AndroidModel(
            "An Android emulator: its chain ends at a software root.",
            security=SecurityLevel.SOFTWARE,
        ),
        "repackaged-android": AndroidModel(
            "A genuine phone with a changed app under your package name, signed by someone else.",
            repackaged=True,
        ),
        "wrong-app-iphone": IPhoneModel(
            "A genuine iPhone with another developer's app that talks to your service.",
            copycat=True,
        ),
    }
)
"""Name of each kind, and its model."""
