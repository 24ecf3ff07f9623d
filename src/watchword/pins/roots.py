"""Write root lists, have them signed one key after the other, and read them strictly.

JWS in the general JSON serialisation (RFC 7515 section 7.2.1), since a list has several signatures; each has
the protected header ``alg``, ``kid`` and ``typ`` (``watchword-pin-roots+jwt``).  The payload is a JSON object with exactly::

    ver        version, 1 and up; the next list has exactly one more
    exp        seconds since 1970
    threshold  how many of the keys sign
    keys       root keys, as JWKs with exactly kty, crv, x and y
    pin_keys   the keys that sign pin sets, in the same way
    floors     by app: the lowest version of a set that still counts

Keys have no id of their own in it: the id is the thumbprint (RFC 7638), so that none can be given to two keys.  The rules are
those of The Update Framework 1.0.34, section 5.3.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.encoding import base64url, strict_json
from watchword.pins.interface import MAX_ROOT_KEYS, MAX_ROOTS_BYTES, RootList
from watchword.pins.sets import MAX_TIME, MAX_VERSION, malformed, read_app, whole_number
from watchword.ports import Signer, VerificationKey
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.jose import jwk_from_public_key, public_key_from_jwk, thumbprint

TYPE: Final = "watchword-pin-roots+jwt"
"""Type of each signature; no pin set and no token can be taken for one."""

MAX_FLOORS: Final = 200
"""Most apps that have a floor."""

_MEMBERS: Final = {"ver", "exp", "threshold", "keys", "pin_keys", "floors"}
_SIGNATURE_MEMBERS: Final = {"protected", "signature"}
_MAX_SIGNATURES: Final = 2 * MAX_ROOT_KEYS


@dataclass(frozen=True, slots=True)
class _Document:
    """Hold a list as it came: the payload as text, and header and signature by key id."""

    payload: str
    signatures: Mapping[str, tuple[str, bytes]]

    def is_signed_by(self, key: VerificationKey) -> bool:
        """Tell whether the signature under this key's id is the key's."""
        found = self.signatures.get(key.kid)
        if found is None:
            return False
        protected, signature = found
        return jose.is_signed_by(key.key, signature, f"{protected}.{self.payload}".encode("ascii"))


def unsigned(
    *,
    version: int,
    expires: int,
    keys: Sequence[EllipticCurvePublicKey],
    threshold: int,
    pin_keys: Sequence[EllipticCurvePublicKey],
    floors: Mapping[str, int] | None = None,
) -> bytes:
    """Return a list that nobody has signed yet; :func:`add_signature` goes on from there.

    :raises MalformedError: with ``pins.roots_malformed`` for a list that nobody would read.
    """
    payload: dict[str, Any] = {
        "ver": version,
        "exp": expires,
        "threshold": threshold,
        "keys": [jwk_from_public_key(key) for key in keys],
        "pin_keys": [jwk_from_public_key(key) for key in pin_keys],
        "floors": dict(floors or {}),
    }
    _read(payload)
    return _written(_Document(base64url.encode(strict_json.dumps(payload)), {}))


def add_signature(data: bytes, signer: Signer) -> bytes:
    """Return the list with one signature more; one by the same key is replaced. Raises MalformedError with ``pins.roots_malformed``."""
    document = _parse(data)
    protected = jose.header_segment(signer.kid, TYPE)
    signature = signer.sign(f"{protected}.{document.payload}".encode("ascii"))
    signed = {**document.signatures, signer.kid: (protected, signature)}
    return _written(_Document(document.payload, signed))


def sign_roots(data: bytes, signers: Iterable[Signer]) -> bytes:
    """Return the list with a signature of each signer; raises MalformedError with ``pins.roots_malformed``."""
    for signer in signers:
        data = add_signature(data, signer)
    return data


def read_unverified(data: bytes) -> RootList:
    """Return what a list says, for whoever is to sign it to read; no signature is looked at.

    :raises MalformedError: with ``pins.roots_malformed``.
    """
    return _list_of(_parse(data))


def signers_of(data: bytes, keys: Mapping[str, VerificationKey]) -> frozenset[str]:
    """Return the ids of those of the keys whose signature the list carries; raises MalformedError with ``pins.roots_malformed``."""
    document = _parse(data)
    return frozenset(kid for kid, key in keys.items() if document.is_signed_by(key))


def read_roots(data: bytes, previous: RootList | None) -> RootList:
    """Return a list that the one before it vouches for, and that its own keys signed.

    1. Of the previous list's keys as many as its threshold signed (TUF 5.3.4).
    2. Of its own keys as many as its own threshold signed.
    3. Its version is the previous one's plus 1 (TUF 5.3.5): none is left out, since each may have taken away a key.
    4. No floor is lower than in the previous one, and none is gone.

    A signature by a key that neither list names is passed over; one under a named key that doesn't fit isn't counted.
    It may have expired: whoever walks from list to list asks that of the last one alone (TUF 5.3.10).

    :param previous: None for the first list, which is trusted because of where it came from.
    :raises RefusedError: with ``pins.roots_malformed``, ``pins.roots_threshold`` or ``pins.roots_version``.
    """
    document = _parse(data)
    found = _list_of(document)
    keys = {**found.keys, **(previous.keys if previous is not None else {})}
    check_roots(found, previous, {kid for kid, key in keys.items() if document.is_signed_by(key)})
    return found


def check_roots(found: RootList, previous: RootList | None, signers: Collection[str]) -> None:
    """Hold a list against the one before it, as :func:`read_roots` does once signatures were verified.

    :param signers: ids of the keys whose signatures hold.
    :raises RefusedError: with ``pins.roots_threshold`` or ``pins.roots_version``.
    """
    if previous is not None:
        _require(previous, signers, f"root list {previous.version}")
    _require(found, signers, "this list itself")
    if previous is None:
        return
    if found.version != previous.version + 1:
        raise RefusedError.because(
            Reason.PINS_ROOTS_VERSION,
            f"got version {found.version}, expected {previous.version + 1}",
        )
    for app, floor in previous.floors.items():
        if found.floors.get(app, 0) < floor:
            raise RefusedError.because(
                Reason.PINS_ROOTS_VERSION,
                f"{app}: got {found.floors.get(app, 0)}, expected at least {floor}",
            )


def _require(by: RootList, signers: Collection[str], whose: str) -> None:
    count = sum(kid in signers for kid in by.keys)
    if count < by.threshold:
        raise RefusedError.because(
            Reason.PINS_ROOTS_THRESHOLD,
            f"got {count} signatures by keys of {whose}, expected {by.threshold}",
        )


def _written(document: _Document) -> bytes:
    signatures = [
        {"protected": protected, "signature": base64url.encode(signature)}
        for protected, signature in document.signatures.values()
    ]
    data = strict_json.dumps({"payload": document.payload, "signatures": signatures})
    if len(data) > MAX_ROOTS_BYTES or len(signatures) > _MAX_SIGNATURES:
        _refuse(f"got {len(data)} bytes and {len(signatures)} signatures, too many of either")
    return data


def _parse(data: bytes) -> _Document:
    """Take a list apart; nothing of it is believed yet, and its payload isn't read."""
    with malformed(Reason.PINS_ROOTS_MALFORMED):
        members = strict_json.loads(data, MAX_ROOTS_BYTES)
    payload, written = members.get("payload"), members.get("signatures")
    if members.keys() != {"payload", "signatures"} or not isinstance(payload, str):
        _refuse("expected exactly payload and signatures")
    if not isinstance(written, list) or len(written) > _MAX_SIGNATURES:
        _refuse(f"expected a list of at most {_MAX_SIGNATURES} signatures")
    signatures: dict[str, tuple[str, bytes]] = {}
    for each in written:
        kid, protected, signature = _signature(each, payload)
        if kid in signatures:
            _refuse("got two signatures by one key")
        signatures[kid] = (protected, signature)
    return _Document(payload, signatures)


def _signature(value: Any, payload: str) -> tuple[str, str, bytes]:
    """Return key id, protected header and signature; each reads as a compact JWS of its own."""
    if not isinstance(value, dict) or value.keys() != _SIGNATURE_MEMBERS:
        _refuse("expected a signature with exactly protected and signature")
    protected, signature = value["protected"], value["signature"]
    if not isinstance(protected, str) or not isinstance(signature, str):
        _refuse("expected protected and signature to be strings")
    with malformed(Reason.PINS_ROOTS_MALFORMED):
        jws = jose.parse(f"{protected}.{payload}.{signature}", TYPE, MAX_ROOTS_BYTES)
    return jws.kid, protected, jws.signature


def _list_of(document: _Document) -> RootList:
    with malformed(Reason.PINS_ROOTS_MALFORMED):
        payload = base64url.decode(document.payload, MAX_ROOTS_BYTES)
        members = strict_json.loads(payload, MAX_ROOTS_BYTES)
    return _read(members)


def _read(members: Mapping[str, Any]) -> RootList:
    if members.keys() != _MEMBERS:
        _refuse("expected exactly ver, exp, threshold, keys, pin_keys and floors")
    keys, pin_keys = _keys(members, "keys"), _keys(members, "pin_keys")
    if keys.keys() & pin_keys.keys():
        _refuse(
            "got a key that is a root key and a pin key: root keys are offline, pin keys aren't"
        )
    return RootList(
        version=whole_number(members["ver"], "ver", MAX_VERSION, _refuse),
        expires=whole_number(members["exp"], "exp", MAX_TIME, _refuse),
        keys=keys,
        threshold=whole_number(members["threshold"], "threshold", len(keys), _refuse),
        pin_keys=pin_keys,
        floors=_floors(members["floors"]),
    )


def _keys(members: Mapping[str, Any], name: str) -> dict[str, VerificationKey]:
    written = members[name]
    if not isinstance(written, list) or not 0 < len(written) <= MAX_ROOT_KEYS:
        _refuse(f"expected {name} to be a list of 1 to {MAX_ROOT_KEYS} keys")
    keys: dict[str, VerificationKey] = {}
    for jwk in written:
        if not isinstance(jwk, dict):
            _refuse(f"expected {name} to hold JWKs")
        with malformed(Reason.PINS_ROOTS_MALFORMED, name):
            key = public_key_from_jwk(jwk)
        kid = thumbprint(jwk)
        if kid in keys:
            _refuse(f"got a key twice in {name}: it would count twice")
        keys[kid] = VerificationKey(kid, key)
    return keys


def _floors(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > MAX_FLOORS:
        _refuse(f"expected floors to be an object of at most {MAX_FLOORS} apps")
    with malformed(Reason.PINS_ROOTS_MALFORMED, "floors"):
        return {
            read_app(app): whole_number(floor, "a floor", MAX_VERSION, _refuse)
            for app, floor in value.items()
        }


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PINS_ROOTS_MALFORMED, detail)
