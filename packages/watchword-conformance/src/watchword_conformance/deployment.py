"""Make and read the conformance deployment: keys and secrets that exist for tests alone.

Whoever holds the directory can sign tokens for the gate that loads its bundle.  It is in environment
``lab``, so that every other gate refuses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.keyring.private_file import read_private, write_private
from watchword.encoding import base64url, strict_json
from watchword.gate.bundle import GateBundle, signer_to_json, to_jws
from watchword.gate.interface import GatePolicy, Rate, Rollout, Route
from watchword.ports import Entropy, VerificationKey
from watchword.reasons import WatchwordError
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode
from watchword_conformance.corpus import Corpus

API: Final = "conformance"
REVOKED_SUBJECT: Final = "conformance-revoked-instance"
ACTIVE_EPOCH: Final = 2
EPOCHS: Final = (1, 2, 3)
"""Retired but living, active, prepared: a gate holds all three."""

ENDED_SECONDS_AGO: Final = 3600
"""When the retired token key ended."""

BUNDLE_FILE: Final = "bundle.jws"
SIGNER_FILE: Final = "signer.jwk"
"""Files in the directory: what a gate under test loads, and the key that it checks it with."""

_FILE: Final = "deployment.json"
_MAX_BYTES: Final = 64 * 1024
_KEYS: Final = ("active", "prepared", "retired", "bundle", "verdict")


class DeploymentError(WatchwordError):
    """Report a directory that holds no deployment; the text names it and says what to do."""


def new_key() -> SigningKey:
    """Return a fresh key."""
    return SigningKey(generate_private_key(SECP256R1()))


@dataclass(frozen=True, slots=True)
class Deployment:
    """Hold what the runner signs with and what a gate under test must know.

    :param keys: by name: active, prepared and retired sign tokens, bundle signs the gate's bundle.
    :param secrets: the gate secrets by epoch.
    :param made_at: seconds since 1970.
    :param without: names of rows that the gate's table doesn't have, since its engine can't hold them.
    """

    keys: Mapping[str, SigningKey]
    secrets: Mapping[int, bytes] = field(repr=False)
    reference_key: bytes = field(repr=False)
    made_at: int
    replay: ReplayMode
    without: frozenset[str] = frozenset()

    def gate_secrets(self) -> tuple[GateSecret, ...]:
        """Return the gate's secrets; none has ended."""
        return tuple(GateSecret(epoch, secret) for epoch, secret in self.secrets.items())

    def token_keys(self) -> tuple[VerificationKey, ...]:
        """Return the token keys as a gate knows them."""
        ended = float(self.made_at - ENDED_SECONDS_AGO)
        return (
            self.keys["active"].verification_key(),
            self.keys["prepared"].verification_key(),
            VerificationKey(self.keys["retired"].kid, self.keys["retired"].public, ended),
        )

    def policy(self, corpus: Corpus) -> GatePolicy:
        """Return the policy of the API that the corpus is written for."""
        routes = tuple(
            Route(
                name=row.name,
                pattern=row.pattern,
                methods=frozenset(row.methods),
                level=Level(row.level),
                proof=Proof(row.proof),
                mode=Mode(row.mode),
                dpop=row.dpop,
                max_body=row.max_body,
                minimum_versions=dict(row.minimum_versions),
                canary=Rollout(share=100) if row.mode == "canary" else None,
            )
            for row in corpus.routes
            if row.name not in self.without
        )
        expectation = TokenExpectation(
            corpus.issuer, corpus.audience, Environment.LAB, corpus.leeway
        )
        return GatePolicy(API, expectation, routes, self.replay, Rate(corpus.rate, 3600))


def make_deployment(
    entropy: Entropy, now: float, replay: ReplayMode, without: frozenset[str] = frozenset()
) -> Deployment:
    """Return a fresh deployment."""
    return Deployment(
        keys={name: new_key() for name in _KEYS},
        secrets={epoch: entropy.token_bytes(SESSION_KEY_BYTES) for epoch in EPOCHS},
        reference_key=entropy.token_bytes(32),
        made_at=int(now),
        replay=replay,
        without=without,
    )


def save(deployment: Deployment, directory: Path) -> None:
    """Write the deployment's secrets into a directory, mode 0600."""
    directory.mkdir(parents=True, exist_ok=True)
    members = {
        "v": 1,
        "made_at": deployment.made_at,
        "replay": deployment.replay.value,
        "without": sorted(deployment.without),
        "reference_key": base64url.encode(deployment.reference_key),
        "secrets": {str(e): base64url.encode(s) for e, s in deployment.secrets.items()},
        "keys": {name: base64url.encode(key.scalar) for name, key in deployment.keys.items()},
    }
    write_private(directory / _FILE, strict_json.dumps(members))


def publish(deployment: Deployment, corpus: Corpus, directory: Path) -> tuple[Path, Path]:
    """Write what a gate under test loads; return the paths of the bundle and of its signer's key."""
    bundle = GateBundle(
        generation=1,
        made_at=deployment.made_at,
        policy=deployment.policy(corpus),
        keys=deployment.token_keys(),
        secrets=deployment.gate_secrets(),
        revoked=frozenset({REVOKED_SUBJECT}),
        reference_key=deployment.reference_key,
        verdict_key=deployment.keys["verdict"],
    )
    signer = deployment.keys["bundle"]
    paths = directory / BUNDLE_FILE, directory / SIGNER_FILE
    publish_bundle(paths[0], to_jws(bundle, signer))
    write_private(paths[1], signer_to_json(signer.verification_key()))
    return paths


def load(directory: Path) -> Deployment:
    """Read a deployment back.

    :raises DeploymentError: when there is none.
    """
    path = directory / _FILE
    data = read_private(path, _MAX_BYTES)
    if data is None:
        raise DeploymentError(
            f"{path}: not found; make one: watchword conformance setup -o {directory}"
        )
    members: dict[str, Any] = strict_json.loads(data, _MAX_BYTES)
    return Deployment(
        keys={name: _key(text) for name, text in members["keys"].items()},
        secrets={int(e): base64url.decode(s) for e, s in members["secrets"].items()},
        reference_key=base64url.decode(members["reference_key"]),
        made_at=members["made_at"],
        replay=ReplayMode(members["replay"]),
        without=frozenset(members["without"]),
    )


def _key(text: str) -> SigningKey:
    return SigningKey.from_scalar(base64url.decode(text))
