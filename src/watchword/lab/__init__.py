"""Simulate Apple, Google and phones that issue evidence; shares no code with the verifiers.

Face of the package: :class:`LabAuthorities` (the vendors), :data:`PHONES` (the kinds of phones)
and what is installed on them.
"""

from watchword.lab.authorities import MARKER, LabAuthorities
from watchword.lab.phones.interface import (
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    Phone,
    PhoneModel,
    PhoneSetup,
)
from watchword.lab.phones.registry import PHONES

__all__ = [
    "MARKER",
    "PHONES",
    "InstalledAndroidApp",
    "InstalledApp",
    "InstalledIosApp",
    "LabAuthorities",
    "Phone",
    "PhoneModel",
    "PhoneSetup",
]
