"""Hold the ``secrets`` section after it was found to be whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from watchword.broker.interface import DeliveryRule, EdgeRule


@dataclass(frozen=True, slots=True)
class MasterKeySettings:
    """Hold where the master key is; exactly one is set."""

    file: Path | None = None
    env: str | None = None
    transit: str | None = None


@dataclass(frozen=True, slots=True)
class OpenBaoSettings:
    """Hold where OpenBao is, and as whom it is asked.

    :param token: file with the token.
    :param mount: of the KV engine of version 2, ``path`` of our documents in it.
    :param transit: mount of the transit engine.
    :param timeout: seconds.
    """

    url: str
    token: Path
    mount: str
    path: str
    transit: str
    ca: Path | None
    timeout: int


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """Hold where use is counted; ``url`` is set exactly for a Valkey."""

    url: str | None = None
    password: Path | None = None


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Hold a rule of the edge, without what stands in its file of authorities; ``ca`` is that file."""

    rule: EdgeRule
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class SecretsSettings:
    """Hold where secrets are kept and who may use them.

    :param openbao: None where nothing is kept there.
    :param master_key: None where OpenBao keeps the values.
    :param signing: prefix of the transit keys that sign for the service, None where the key ring does.
    :param edges: by secret; ``deliveries`` likewise: a secret is in one of both.
    """

    master_key: MasterKeySettings | None
    openbao: OpenBaoSettings | None = None
    in_openbao: bool = False
    signing: str | None = None
    usage: UsageSettings = UsageSettings()
    edges: Mapping[str, EdgeSettings] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryRule] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets."""
        return (*self.edges, *self.deliveries)
