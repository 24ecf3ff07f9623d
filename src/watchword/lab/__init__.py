"""Simulate Apple, Google and phones that issue evidence; shares no code with the verifiers.

Face of the package: :class:`LabAuthorities` (the vendors), :data:`PHONES` (the kinds of phones, each
with what a verifier must make of it), what is installed on them, and :class:`LabStatusList`.
"""

from watchword.extras import needs

with needs("lab"):
    from watchword.lab.authorities import MARKER, LabAuthorities
    from watchword.lab.phones.interface import (
        Expectation,
        InstalledAndroidApp,
        InstalledApp,
        InstalledIosApp,
        Phone,
        PhoneModel,
        PhoneSetup,
    )
    from watchword.lab.phones.kinds import PHONES
    from watchword.lab.status_list import LabStatusList, Status

__all__ = [
    "MARKER",
    "PHONES",
    "Expectation",
    "InstalledAndroidApp",
    "InstalledApp",
    "InstalledIosApp",
    "LabAuthorities",
    "LabStatusList",
    "Phone",
    "PhoneModel",
    "PhoneSetup",
    "Status",
]
