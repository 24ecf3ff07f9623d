"""Declare where nginx isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.interface import Difference, Divergence
from watchword.engines.lua_parts.differences import NEW_REPLAY_TABLE

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "no-canary",
        _D.STRICTER,
        "enforces a route for a share of the instances and counts whom it would turn away",
        "writes no configuration for such a route",
        "its script keeps no counts of instances by route",
    ),
    NEW_REPLAY_TABLE,
    Difference(
        "bodies-over-100-mib",
        _D.STRICTER,
        "hands bodies of any length to the API, where no proof covers them",
        "refuses more than 100 MiB by 413",
        "it keeps a body until it is there as a whole, and what it keeps is bounded",
    ),
    Difference(
        "fields-of-nginx",
        _D.STRICTER,
        "takes fields such as Expect or Range twice, and tabs around a value",
        "refuses such a field where it occurs twice, and takes a tab for a part of the value",
        "nginx reads heads by itself, before the script sees them",
    ),
    Difference(
        "no-upgrade",
        _D.STRICTER,
        "hands a handshake's Upgrade to the API",
        "drops it, and answers as to a plain request",
        "the API would be asked over a connection that nginx shares among clients",
    ),
)
