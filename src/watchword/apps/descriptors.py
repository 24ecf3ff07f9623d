"""Take as many descriptors as the system grants: each connection needs one."""

import resource
from typing import Final

WANTED: Final = 65_536
"""Most descriptors that are asked for: four listeners with as many connections as each takes."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as the hard one allows, and return it (setrlimit(2), ``RLIMIT_NOFILE``).

    Shells and service managers start programs with 1024, for the sake of those that use select(2), which
    this one doesn't.  A thousand phones that keep their connection open would take all of them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft
