"""Keep what the process holds in memory out of files that a crash would leave."""

import resource


def forbid_core_dumps() -> None:
    """Have the system write no core dump of this process and its children (setrlimit(2), ``RLIMIT_CORE``).

    One would hold every key that is lent, delivered or signed with, readable for whoever gets the file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
