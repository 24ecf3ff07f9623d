"""Say what of a ``watchword.yaml`` all nodes of a service have in common, and what each of them has of its own."""

import json
from collections.abc import Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any, Final

_OWN: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset({"listen", "state", "store", "postgres"}),
    "gates": frozenset({"listen", "certificate", "key", "client_ca"}),
    "apis": frozenset({"listen", "upstream", "authz"}),
}
"""By section, what each node has of its own: where it listens, and where its files are."""

_ALONE: Final = frozenset({"plan", "drill", "records"})
"""Sections that say nothing of who gets in: each node has its own."""

_SHOWN: Final = 32


def configuration_digest(data: Mapping[str, Any]) -> str:
    """Return a digest of what a configuration says to all nodes alike, as it is written.

    What is left out has no part in it, so that a version that knows more settings has the same.

    :param data: the plain values of the file.
    """
    shared: dict[str, Any] = {}
    for name, section in data.items():
        own = _OWN.get(name, frozenset())
        if name in _ALONE or not isinstance(section, Mapping):
            if name not in _ALONE:
                shared[name] = section
        elif name == "apis":
            shared[name] = {api: _without(each, own) for api, each in section.items()}
        else:
            shared[name] = _without(section, own)
    text = json.dumps(shared, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]


def _without(section: Any, names: frozenset[str]) -> Any:
    if not isinstance(section, Mapping):
        return section
    return {name: value for name, value in section.items() if name not in names}


def with_own(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a file of another node as this one goes by them.

    A section that this node doesn't have is taken as it is there: a new API, say.

    :param own: the plain values of this node's file.
    """
    found = {name: deepcopy(value) for name, value in shared.items() if name not in _ALONE}
    found |= {name: deepcopy(value) for name, value in own.items() if name in _ALONE}
    for name, names in _OWN.items():
        section, mine = found.get(name), own.get(name)
        if not isinstance(section, Mapping) or not isinstance(mine, Mapping):
            continue
        if name == "apis":
            found[name] = {
                api: _placed(mine[api], each, names) if api in mine else each
                for api, each in section.items()
            }
        else:
            found[name] = _placed(mine, section, names)
    return found


def _placed(own: Any, shared: Any, names: frozenset[str]) -> Any:
    if not isinstance(own, Mapping) or not isinstance(shared, Mapping):
        return shared
    mine = {name: deepcopy(value) for name, value in own.items() if name in names}
    return {**_without(shared, names), **mine}
