package dev.watchword.internal

import dev.watchword.DeviceException
import dev.watchword.DeviceException.Kind
import dev.watchword.PublicKeyJwk
import java.math.BigInteger
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.PrivateKey
import java.security.Signature
import java.security.interfaces.ECPrivateKey
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec
import java.security.spec.ECPrivateKeySpec
import javax.crypto.KeyAgreement

/**
 * A P-256 key in this process.
 *
 * @property point its public part: x and y, 32 bytes each.
 * @property scalar its private part, 32 bytes; null where that is lost.
 */
internal class SoftwareKey(val point: ByteArray, val scalar: ByteArray?) {
    val jwk: PublicKeyJwk
        get() = PublicKeyJwk(
            Base64Url.encode(point.copyOfRange(0, SCALAR_BYTES)),
            Base64Url.encode(point.copyOfRange(SCALAR_BYTES, POINT_BYTES)),
        )

    /** Signs by ECDSA with SHA-256; the signature is DER. */
    fun sign(message: ByteArray): ByteArray = Signature.getInstance("SHA256withECDSA").run {
        initSign(privateKey())
        update(message)
        sign()
    }

    /** Returns the x coordinate of the shared point, 32 bytes. */
    fun agree(peer: ECPublicKey): ByteArray = KeyAgreement.getInstance("ECDH").run {
        init(privateKey())
        doPhase(peer, true)
        generateSecret()
    }

    private fun privateKey(): PrivateKey {
        val held = scalar ?: throw DeviceException(Kind.KEY_LOST, "a key in software lost its private part")
        return KeyFactory.getInstance("EC").generatePrivate(ECPrivateKeySpec(BigInteger(1, held), P256.PARAMETERS))
    }

    override fun toString(): String = "SoftwareKey(...)"

    companion object {
        const val SCALAR_BYTES: Int = 32
        const val POINT_BYTES: Int = 2 * SCALAR_BYTES

        fun make(): SoftwareKey {
            val pair = KeyPairGenerator.getInstance("EC").run {
                initialize(ECGenParameterSpec("secp256r1"))
                generateKeyPair()
            }
            val public = pair.public as ECPublicKey
            val point = fixedWidth(public.w.affineX, SCALAR_BYTES) + fixedWidth(public.w.affineY, SCALAR_BYTES)
            return SoftwareKey(point, fixedWidth((pair.private as ECPrivateKey).s, SCALAR_BYTES))
        }
    }
}
