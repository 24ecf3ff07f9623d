package dev.watchword.internal

import dev.watchword.PublicKeyJwk
import java.math.BigInteger
import java.security.KeyFactory
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.ECFieldFp
import java.security.spec.ECParameterSpec
import java.security.spec.ECPoint
import java.security.spec.ECPublicKeySpec
import java.security.spec.EllipticCurve

/** The curve P-256 (FIPS 186, SEC 2 `secp256r1`) and what the protocol does on it. */
internal object P256 {
    const val BYTES = 32
    private val PRIME = BigInteger("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16)
    private val ORDER = BigInteger("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
    private val A = PRIME - BigInteger.valueOf(3)
    private val B = BigInteger("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16)
    private val G =
        ECPoint(
            BigInteger("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", 16),
            BigInteger("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", 16),
        )

    /** The curve's parameters, in numbers: `AlgorithmParameters` of `EC` came with Android 8. */
    val PARAMETERS: ECParameterSpec = ECParameterSpec(EllipticCurve(ECFieldFp(PRIME), A, B), G, ORDER, 1)

    /**
     * Returns the public key with these coordinates.
     *
     * @throws IllegalArgumentException if they are no point of the curve: a secret agreed with one could be had by asking.
     */
    fun publicKey(x: ByteArray, y: ByteArray): ECPublicKey {
        require(x.size == BYTES && y.size == BYTES) { "got a coordinate that isn't of 32 bytes" }
        val (left, right) = BigInteger(1, x) to BigInteger(1, y)
        require(left < PRIME && right < PRIME && isOnCurve(left, right)) { "got a point that isn't on P-256" }
        return KeyFactory.getInstance("EC").generatePublic(ECPublicKeySpec(ECPoint(left, right), PARAMETERS)) as ECPublicKey
    }

    /** Returns the public key of a JWK; see the other [publicKey]. */
    fun publicKey(jwk: PublicKeyJwk): ECPublicKey =
        publicKey(Base64Url.decode(jwk.x, MAX_COORDINATE), Base64Url.decode(jwk.y, MAX_COORDINATE))

    /**
     * Returns r and s, 32 bytes each, of an ECDSA signature in DER (RFC 3279 section 2.2.3).
     *
     * @throws IllegalArgumentException unless it is strict DER with r and s from 1 to the order less 1.
     */
    fun fixedSignature(der: ByteArray): ByteArray {
        require(der.size in MIN_DER..MAX_DER && der[0].toInt() == SEQUENCE && der[1].toInt() == der.size - 2) {
            "got a signature that isn't one in DER"
        }
        val (r, next) = integer(der, 2)
        val (s, end) = integer(der, next)
        require(end == der.size) { "got a signature with something behind it" }
        return fixedWidth(r, BYTES) + fixedWidth(s, BYTES)
    }

    /**
     * Returns DER of r and s.
     *
     * @throws IllegalArgumentException unless they have 32 bytes each, and are from 1 to the order less 1.
     */
    fun derSignature(fixed: ByteArray): ByteArray {
        require(fixed.size == 2 * BYTES) { "got a signature that isn't of 64 bytes" }
        val parts =
            listOf(fixed.copyOfRange(0, BYTES), fixed.copyOfRange(BYTES, 2 * BYTES)).map {
                val raw = scalar(BigInteger(1, it)).toByteArray()
                byteArrayOf(INTEGER.toByte(), raw.size.toByte()) + raw
            }
        val both = parts[0] + parts[1]
        return byteArrayOf(SEQUENCE.toByte(), both.size.toByte()) + both
    }

    /** Tells whether [fixed] (r and s) is a signature of [message] by [key], ECDSA with SHA-256. */
    fun verifies(key: ECPublicKey, message: ByteArray, fixed: ByteArray): Boolean = try {
        Signature.getInstance("SHA256withECDSA").run {
            initVerify(key)
            update(message)
            verify(derSignature(fixed))
        }
    } catch (_: java.security.SignatureException) {
        false
    } catch (_: IllegalArgumentException) {
        false
    }

    private fun isOnCurve(x: BigInteger, y: BigInteger): Boolean = (y * y - x * x * x - A * x - B).mod(PRIME).signum() == 0

    /** Returns the integer at [start] and where it ends. */
    private fun integer(der: ByteArray, start: Int): Pair<BigInteger, Int> {
        require(start + 2 < der.size && der[start].toInt() == INTEGER) { "got a signature without an integer" }
        val (first, end) = start + 2 to start + 2 + der[start + 1]
        require(der[start + 1] > 0 && end <= der.size) { "got an integer that is cut off" }
        val isPadded = der[start + 1] > 1 && der[first].toInt() == 0 && der[first + 1] >= 0
        require(!isPadded) { "got an integer that isn't in its shortest form" }
        return scalar(BigInteger(der.copyOfRange(first, end))) to end
    }

    private fun scalar(number: BigInteger): BigInteger =
        number.also { require(it.signum() > 0 && it < ORDER) { "got a signature with a number out of range" } }

    private const val SEQUENCE = 0x30
    private const val INTEGER = 0x02
    private const val MIN_DER = 8
    private const val MAX_DER = 72
    private const val MAX_COORDINATE = 64
}
