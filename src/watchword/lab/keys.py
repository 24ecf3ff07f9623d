"""Derive every key of the lab from one seed, so that a run can be repeated to the byte."""

import math
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchword.encoding import base64url

MIN_SEED_BYTES: Final = 16
"""Fewest bytes of a seed: below that its keys could be guessed."""

_SEALING: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)

_SALT: Final = b"watchword/lab/v1"
_EXTRA_BYTES: Final = 8

_EXPONENT: Final = 65537
_PRIMES: Final = 8
_PRIME_BITS: Final = 512
_SMALL_PRIMES: Final = math.prod(
    number
    for number in range(3, 2000, 2)
    if all(number % divisor for divisor in range(3, math.isqrt(number) + 1, 2))
)
"""Product of the odd primes below 2000: what shares a factor with it needs no further test."""


def derive_bytes(seed: bytes, label: str, count: int) -> bytes:
    """Return ``count`` bytes that belong to this seed and label (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=count, salt=_SALT, info=label.encode()).derive(
        seed
    )


def derive_key(seed: bytes, label: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Return the private key that belongs to this seed and label.

    64 more bits than the order has make the reduction as good as uniform (FIPS 186-5,
    appendix A.2.1).
    """
    order = curve.group_order
    stream = derive_bytes(seed, f"{curve.name}/{label}", curve.key_size // 8 + _EXTRA_BYTES)
    return ec.derive_private_key(int.from_bytes(stream, "big") % (order - 1) + 1, curve)


def derive_rsa_key(seed: bytes, label: str) -> rsa.RSAPrivateKey:
    """Return the RSA-4096 private key that belongs to this seed and label, within 0.2 seconds.

    Two primes of 2048 bits would take seconds to find. Eight of 512 bits are as good for a key that
    is worth nothing outside of one lab (RFC 8017 section 3.2 allows several primes); signatures
    are ordinary ones.
    """
    primes = sorted(_derive_prime(seed, f"rsa/{label}/{index}") for index in range(_PRIMES))
    p, q = math.prod(primes[1::2]), math.prod(primes[::2])
    # Orders modulo the products stand where those modulo two primes would.
    order_p, order_q = (
        math.lcm(*(prime - 1 for prime in half)) for half in (primes[1::2], primes[::2])
    )
    private = pow(_EXPONENT, -1, math.lcm(order_p, order_q))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private,
        dmp1=private % order_p,
        dmq1=private % order_q,
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    # The validation would find that p and q are products, which they are on purpose.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _derive_prime(seed: bytes, label: str) -> int:
    """Return a prime of 512 bits; the top four bits are set, so that eight of them give 4096."""
    candidate = int.from_bytes(derive_bytes(seed, label, _PRIME_BITS // 8), "big")
    candidate |= 0xF << (_PRIME_BITS - 4) | 1
    while (
        math.gcd(candidate, _SMALL_PRIMES) != 1
        or math.gcd(candidate - 1, _EXPONENT) != 1
        # Fermat's test: nobody chose the candidate, so that a false prime is out of reach.
        or pow(2, candidate - 1, candidate) != 1
    ):
        candidate += 2
    return candidate


def derive_decimal_serial(seed: bytes, label: str) -> int:
    """Return a serial number whose hex has decimal digits only, as a third of the real ones do.

    A list that is read as decimal misses it.
    """
    digits = "".join(str(byte % 10) for byte in derive_bytes(seed, f"serial/{label}", 15))
    return int(f"1{digits}", 16)


def derive_serial(seed: bytes, label: str) -> int:
    """Return a positive certificate serial number of at most 127 bits for this seed and label."""
    return (int.from_bytes(derive_bytes(seed, f"serial/{label}", 16), "big") >> 1) | 1


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return a P-256 public key as a JWK (RFC 7518 section 6.2.1)."""
    numbers = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(32, "big")),
        "y": base64url.encode(numbers.y.to_bytes(32, "big")),
    }


def sign_message(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return ECDSA-SHA256 over a message, DER, as iOS and Android return it.

    Deterministic (RFC 6979), so that a run can be repeated to the byte.
    """
    return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def open_sealed(key: ec.EllipticCurvePrivateKey, info: bytes, sealed: bytes) -> bytes:
    """Return what was sealed to a P-256 key (HPKE, RFC 9180: base mode, one shot).

    :raises ValueError: if it was sealed to another key or with another info, or was changed.
    """
    try:
        return _SEALING.decrypt(sealed, key, info)
    except InvalidTag:
        raise ValueError("got something that wasn't sealed to this key with this info") from None
